/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What TLS costs virtxd's HTTP server: its processor time for a GET on a connection that is kept,
 * plain and by TLS, by the same client, and for a handshake. Exits 1 where a request by TLS costs
 * more than the bar allows.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
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

#define CONNECTIONS 16
#define REQUESTS    1500 /* on each */
#define HANDSHAKES  500
#define ROUNDS	    5
#define BAR	    0.6 /* of the requests that plain HTTP answers in the same time */
#define GET	    "GET /vms/" BENCH_VM "/runstate HTTP/1.1\r\nHost: localhost\r\n\r\n"

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

static void
start(struct target *t, const struct bench_tls *files)
{
	uint16_t port;
	int fds[2];

	if (pipe(fds) < 0 || (t->pid = fork()) < 0)
		die("fork");
	if (t->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(fds[0]);
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
send_request(struct connection *c)
{
	int len = (int)strlen(GET);
	int n = c->ssl ? SSL_write(c->ssl, GET, len) : (int)send(c->fd, GET, (size_t)len, 0);

	if (n != len)
		die("send");
}

/* The whole answer, which fits into one read or few. */
static void
receive(struct connection *c)
{
	char text[4096];
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

/* Microseconds of the server for each request. */
static double
measure_requests(const struct bench_tls *files)
{
	struct connection list[CONNECTIONS];
	struct target t;

	start(&t, files);
	for (int i = 0; i < CONNECTIONS; i++)
		open_connection(&t, &list[i]);
	for (int round = 0; round < REQUESTS; round++) {
		for (int i = 0; i < CONNECTIONS; i++)
			send_request(&list[i]);
		for (int i = 0; i < CONNECTIONS; i++)
			receive(&list[i]);
	}
	for (int i = 0; i < CONNECTIONS; i++)
		close_connection(&list[i]);
	return stop(&t) / (CONNECTIONS * REQUESTS);
}

/* Of the server for each connection with one request. */
static double
measure_connections(const struct bench_tls *files)
{
	struct connection c;
	struct target t;

	start(&t, files);
	for (int i = 0; i < HANDSHAKES; i++) {
		open_connection(&t, &c);
		send_request(&c);
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

/* The other things that the machine does make a round longer, never shorter, and both of one alike.
 */
static bool
run(const struct bench_tls *files)
{
	double ratios[ROUNDS], plain = 0, tls = 0;

	for (int i = 0; i < ROUNDS; i++) {
		plain = measure_requests(NULL);
		tls = measure_requests(files);
		ratios[i] = plain / tls;
	}
	qsort(ratios, ROUNDS, sizeof(*ratios), compare);
	printf(
	    "a GET on a kept connection: plain %.1f us, TLS %.1f us of processor time, ratio %.2f  "
	    "[bar %.1f: %s]\n",
	    plain, tls, ratios[ROUNDS / 2], BAR, ratios[ROUNDS / 2] >= BAR ? "holds" : "FAILS");
	printf("a connection with one GET: plain %.0f us, TLS %.0f us\n", measure_connections(NULL),
	    measure_connections(files));
	return ratios[ROUNDS / 2] >= BAR;
}

int
main(void)
{
	char folder[] = "/tmp/virtx-bench-tls-XXXXXX";
	_free_ char *remove = NULL, *certificate = NULL, *key = NULL, *ca = NULL;
	struct authority *authority;
	struct bench_tls files;
	bool holds;

	(void)signal(SIGPIPE, SIG_IGN);
	if (!mkdtemp(folder))
		die(folder);
	authority = authority_new(folder, "ca");
	authority_sign(authority, "host", "URI:virtx:host:" BENCH_VM, -1, 365);
	files.certificate = certificate = authority_path(authority, "host.pem");
	files.key = key = authority_path(authority, "host.key");
	files.ca = ca = authority_path(authority, "ca.pem");
	holds = run(&files);
	authority_free(authority);
	remove = xasprintf("rm -r '%s'", folder);
	return system(remove) != 0 || !holds;
}
