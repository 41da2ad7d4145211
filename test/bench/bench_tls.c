/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What TLS costs virtxd's HTTP server: its processor time for a GET on a connection that is kept,
 * plain, by TLS, and by TLS where another host has to answer it, by the same client; and for a
 * handshake. Exits 1 where a request costs more than its bar allows.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench_servers.h"
#include "certificates.h"

#define CONNECTIONS  16
#define REQUESTS     1500 /* on each */
#define HANDSHAKES   500
#define ROUNDS	     5
#define MEASURED_CPU 0
#define OTHER_CPU    1
#define BAR	     0.6 /* of the requests that plain HTTP answers in the same time */
#define BAR_FORWARD  0.5 /* of those that a host passes on, to those that it answers itself */
#define GET(path)    "GET /vms/" BENCH_VM path " HTTP/1.1\r\nHost: localhost\r\n\r\n"

/* What any host answers itself, and what only the one can that has the VM. */
static const char get_runstate[] = GET("/runstate"), get_vm[] = GET("");

struct target {
	pid_t pid;
	struct sockaddr_in addr;
	SSL_CTX *ctx; /* NULL: plain */
};

struct connection {
	int fd;
	SSL *ssl;
};

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "bench_tls: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Two threads of one core slow each other down, by more the busier the other one is. So the server
 * that is measured has a CPU to itself, whoever else takes part another one, where there are two,
 * and that one is always busy: on hosts of their own, none of these would slow another one down. */
static void
keep_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

/* Takes what is left of the other CPU. */
static pid_t
keep_busy(void)
{
	const struct sched_param none = { 0 };
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)sched_setscheduler(0, SCHED_IDLE, &none);
	for (;;)
		;
}

/* One that passes requests on to the other, where there is one. */
static void
start(struct target *t, const struct bench_tls *files, const struct target *other, int cpu)
{
	uint16_t port;
	int fds[2];

	if (pipe(fds) < 0 || (t->pid = fork()) < 0)
		die("fork");
	if (t->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(fds[0]);
		keep_to(cpu);
		if (other)
			bench_serve_forwarder(fds[1], ntohs(other->addr.sin_port), files);
		bench_serve_api(fds[1], 60, files);
	}
	close(fds[1]);
	if (read(fds[0], &port, sizeof(port)) != sizeof(port))
		die("start");
	close(fds[0]);
	t->addr = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
	t->addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	t->ctx = files ? SSL_CTX_new(TLS_client_method()) : NULL;
}

/* Ends it; the microseconds of processor time that it took. */
static double
stop(struct target *t)
{
	struct rusage usage;

	kill(t->pid, SIGTERM);
	if (wait4(t->pid, NULL, 0, &usage) < 0)
		die("wait");
	SSL_CTX_free(t->ctx);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void
open_connection(const struct target *t, struct connection *c)
{
	int on = 1;

	*c = (struct connection){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)&t->addr, sizeof(t->addr)) < 0)
		die("connect");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (!t->ctx)
		return;
	c->ssl = SSL_new(t->ctx);
	if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1 || SSL_connect(c->ssl) != 1)
		die("handshake");
}

static void
close_connection(struct connection *c)
{
	SSL_free(c->ssl);
	close(c->fd);
}

static void
send_request(struct connection *c, const char *text)
{
	int len = (int)strlen(text);
	int n = c->ssl ? SSL_write(c->ssl, text, len) : (int)send(c->fd, text, (size_t)len, 0);

	if (n != len)
		die("send");
}

/* The whole answer, which fits into one read or few. */
static void
receive(struct connection *c)
{
	char text[16384];
	size_t len = 0;

	do {
		size_t room = sizeof(text) - 1 - len;
		int n = c->ssl ? SSL_read(c->ssl, text + len, (int)room)
			       : (int)recv(c->fd, text + len, room, 0);

		if (n <= 0)
			die("recv");
		len += (size_t)n;
		text[len] = '\0';
	} while (!strstr(text, "\r\n\r\n{") || text[len - 1] != '}');
	if (strncmp(text, "HTTP/1.1 200 ", 13) != 0) {
		fprintf(stderr, "bench_tls: %s\n", text);
		exit(1);
	}
}

static void
ask_all(const struct target *t, const char *request)
{
	struct connection list[CONNECTIONS];

	for (int i = 0; i < CONNECTIONS; i++)
		open_connection(t, &list[i]);
	for (int round = 0; round < REQUESTS; round++) {
		for (int i = 0; i < CONNECTIONS; i++)
			send_request(&list[i], request);
		for (int i = 0; i < CONNECTIONS; i++)
			receive(&list[i]);
	}
	for (int i = 0; i < CONNECTIONS; i++)
		close_connection(&list[i]);
}

/* Microseconds of the server for each request. */
static double
measure_requests(const struct bench_tls *files, const char *request)
{
	struct target t;

	start(&t, files, NULL, MEASURED_CPU);
	ask_all(&t, request);
	return stop(&t) / (CONNECTIONS * REQUESTS);
}

/* Of the host that passes each request on; *other gets those of the one that answers it. */
static double
measure_forwarded(
    const struct bench_tls *files, const struct bench_tls *forwarder_files, double *other)
{
	struct target t, answers;
	double spent;

	start(&answers, files, NULL, OTHER_CPU);
	start(&t, forwarder_files, &answers, MEASURED_CPU);
	ask_all(&t, get_vm);
	spent = stop(&t) / (CONNECTIONS * REQUESTS);
	*other = stop(&answers) / (CONNECTIONS * REQUESTS);
	return spent;
}

/* Of the server for each connection with one request. */
static double
measure_connections(const struct bench_tls *files)
{
	struct connection c;
	struct target t;

	start(&t, files, NULL, MEASURED_CPU);
	for (int i = 0; i < HANDSHAKES; i++) {
		open_connection(&t, &c);
		send_request(&c, get_runstate);
		receive(&c);
		close_connection(&c);
	}
	return stop(&t) / HANDSHAKES;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Of two ways to be answered. */
static bool
tell(const char *what, const char *one, double cost, const char *other, double other_cost,
    double ratios[ROUNDS], double bar)
{
	double ratio;

	qsort(ratios, ROUNDS, sizeof(*ratios), compare);
	ratio = ratios[ROUNDS / 2];
	printf("%s: %s %.1f us, %s %.1f us of processor time, ratio %.2f  [bar %.1f: %s]\n", what,
	    one, cost, other, other_cost, ratio, bar, ratio >= bar ? "holds" : "FAILS");
	return ratio >= bar;
}

/* The other things that the machine does make a round longer, never shorter, and all parts of one
 * alike. */
static bool
run(const struct bench_tls *files, const struct bench_tls *forwarder_files)
{
	double to_plain[ROUNDS], to_direct[ROUNDS], plain = 0, tls = 0;
	double direct = 0, forwarded = 0, other = 0;
	bool holds;

	for (int i = 0; i < ROUNDS; i++) {
		plain = measure_requests(NULL, get_runstate);
		tls = measure_requests(files, get_runstate);
		direct = measure_requests(files, get_vm);
		forwarded = measure_forwarded(files, forwarder_files, &other);
		to_plain[i] = plain / tls;
		to_direct[i] = direct / forwarded;
	}
	holds = tell("a GET on a kept connection", "plain", plain, "TLS", tls, to_plain, BAR);
	holds &= tell("a GET of a VM by TLS", "answered", direct, "passed on", forwarded, to_direct,
	    BAR_FORWARD);
	printf("the host that answers what is passed on: %.1f us\n", other);
	printf("a connection with one GET: plain %.0f us, TLS %.0f us\n", measure_connections(NULL),
	    measure_connections(files));
	return holds;
}

/* The files of a host, which are in the folder under its name. */
static struct bench_tls
make_files(const struct authority *authority, const char *name, const char *host)
{
	_free_ char *san = xasprintf("URI:virtx:host:%s", host);
	_free_ char *certificate = xasprintf("%s.pem", name), *key = xasprintf("%s.key", name);

	authority_sign(authority, name, san, -1, 365);
	return (struct bench_tls){
		.certificate = authority_path(authority, certificate),
		.key = authority_path(authority, key),
		.ca = authority_path(authority, "ca.pem"),
	};
}

int
main(void)
{
	char folder[] = "/tmp/virtx-bench-tls-XXXXXX";
	struct bench_tls files, forwarder_files;
	struct authority *authority;
	_free_ char *remove = NULL;
	pid_t busy;
	bool holds;

	(void)signal(SIGPIPE, SIG_IGN);
	keep_to(OTHER_CPU);
	if (!mkdtemp(folder))
		die(folder);
	authority = authority_new(folder, "ca");
	/* They stay until the end. */
	files = make_files(authority, "host", BENCH_HOST);
	forwarder_files = make_files(authority, "forwarder", BENCH_FORWARDER);
	busy = keep_busy();
	holds = run(&files, &forwarder_files);
	kill(busy, SIGKILL);
	authority_free(authority);
	remove = xasprintf("rm -r '%s'", folder);
	return system(remove) != 0 || !holds;
}
