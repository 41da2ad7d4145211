/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests a second of virtxd's HTTP server against a bare evhttp that answers the same bytes, by
 * the same client, in turns. Without arguments: the servers of this tree, each list and number of
 * connections that has a bar; exits 1 where one does not hold. With options or a URL: that alone.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench_servers.h"

#define RUNSTATE    "/vms/" BENCH_VM "/runstate"
#define ROUNDS_MAX  99
#define CHUNK	    (256 * 1024) /* bytes of an answer that are read at once */
#define STALL_LIMIT 10000	 /* ms */

/* What is asked for. */
struct load {
	const char *path;
	unsigned int vms; /* that the inventory has */
	unsigned int requests;
	unsigned int connections;
	unsigned int rounds;
	double bar; /* of the requests that evhttp answers; 0: none */
};

/* With enough requests for a round of a tenth of a second or more. */
static const struct load loads[] = {
	{ RUNSTATE, 60, 10000, 1, 9, 0.9 },
	{ RUNSTATE, 60, 20000, 50, 9, 0.9 },
	{ "/vms", 60, 10000, 1, 9, 0.6 },
	{ "/vms", 60, 10000, 50, 9, 0.6 },
	{ "/vms", 520, 4000, 1, 9, 0.6 },
	{ "/vms", 520, 4000, 50, 9, 0.6 },
	{ "/vms", 10000, 200, 1, 9, 0.5 },
	{ "/vms", 10000, 200, 50, 9, 0.5 },
};

/* A server under test. */
struct target {
	const char *name;
	struct sockaddr_in addr;
	char path[256];
	pid_t pid;   /* 0 where it is not ours */
	size_t size; /* of a whole answer, the same for all */
	double rates[ROUNDS_MAX];
};

struct connection {
	int fd;
	size_t got;
};

static char chunk[CHUNK + 1];

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "bench_http: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* In a process of its own: the bare one, where there is a reply. */
static void
start_target(struct target *t, const struct load *load, const struct buffer *reply)
{
	uint16_t port;
	int fds[2];

	if (pipe(fds) < 0)
		die("pipe");
	t->pid = fork();
	if (t->pid < 0)
		die("fork");
	if (t->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(fds[0]);
		if (reply)
			bench_serve_bare(fds[1], reply);
		bench_serve_api(fds[1], load->vms, NULL);
	}
	close(fds[1]);
	if (read(fds[0], &port, sizeof(port)) != sizeof(port))
		die(t->name);
	close(fds[0]);
	t->addr = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
	t->addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	snprintf(t->path, sizeof(t->path), "%s", load->path);
}

static int
open_connection(const struct target *t)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0 || connect(fd, (const struct sockaddr *)&t->addr, sizeof(t->addr)) < 0)
		die(t->name);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static void
send_request(const struct target *t, int fd)
{
	char text[512];
	int len =
	    snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", t->path);

	if (send(fd, text, (size_t)len, MSG_NOSIGNAL) != len)
		die("send");
}

/* Some of an answer, into chunk. */
static size_t
receive(const struct target *t, int fd, bool begins)
{
	ssize_t n = recv(fd, chunk, CHUNK, 0);

	if (n <= 0)
		die("recv");
	chunk[n] = '\0';
	if (begins && strncmp(chunk, "HTTP/1.1 200 ", 13) != 0) {
		fprintf(stderr, "bench_http: %s answers %s\n", t->name, chunk);
		exit(1);
	}
	return (size_t)n;
}

/* Asks once: how large a whole answer is, and its body where it is wanted. */
static void
learn_reply(struct target *t, struct buffer *body)
{
	int fd = open_connection(t);
	_buffer_ struct buffer text = { 0 };
	const char *start = NULL, *length;

	t->size = SIZE_MAX;
	send_request(t, fd);
	while (text.len < t->size) {
		size_t n = receive(t, fd, text.len == 0);

		buffer_add(&text, chunk, n);
		start = strstr(text.data, "\r\n\r\n");
		length = strcasestr(text.data, "\r\nContent-Length: ");
		if (start && length)
			t->size = (size_t)(start + 4 - text.data) + strtoul(length + 18, NULL, 10);
	}
	close(fd);
	if (body)
		buffer_add(body, start + 4, t->size - (size_t)(start + 4 - text.data));
}

static int
open_all(const struct target *t, struct connection *list, unsigned int n)
{
	int ep = epoll_create1(EPOLL_CLOEXEC);

	if (ep < 0)
		die("epoll");
	for (unsigned int i = 0; i < n; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = &list[i] };

		list[i].fd = open_connection(t);
		if (epoll_ctl(ep, EPOLL_CTL_ADD, list[i].fd, &event) < 0)
			die("epoll");
	}
	return ep;
}

/* Each connection has one request under way at a time. */
static void
ask_all(const struct target *t, struct connection *list, int ep, const struct load *load)
{
	unsigned int sent = 0, done = 0;

	for (unsigned int i = 0; i < load->connections && sent < load->requests; i++, sent++)
		send_request(t, list[i].fd);
	while (done < load->requests) {
		struct epoll_event events[64];
		int n = epoll_wait(ep, events, ARRAY_SIZE(events), STALL_LIMIT);

		if (n <= 0)
			die("no reply");
		for (int i = 0; i < n; i++) {
			struct connection *c = events[i].data.ptr;

			c->got += receive(t, c->fd, c->got == 0);
			if (c->got < t->size)
				continue;
			c->got = 0;
			done++;
			if (sent == load->requests)
				continue;
			sent++;
			send_request(t, c->fd);
		}
	}
}

/* Requests a second. */
static double
run_round(const struct target *t, const struct load *load)
{
	_free_ struct connection *list = xcalloc(load->connections, sizeof(*list));
	int ep = open_all(t, list, load->connections);
	struct timespec begin, end;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	ask_all(t, list, ep, load);
	clock_gettime(CLOCK_MONOTONIC, &end);
	for (unsigned int i = 0; i < load->connections; i++)
		close(list[i].fd);
	close(ep);
	return load->requests /
	       ((double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9);
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
median(double *values, unsigned int n)
{
	qsort(values, n, sizeof(*values), compare);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static void
parse_url(struct target *t, const char *url)
{
	char host[64];
	unsigned int port;

	t->addr.sin_family = AF_INET;
	if (sscanf(url, "http://%63[0-9.]:%u%255s", host, &port, t->path) != 3 ||
	    inet_pton(AF_INET, host, &t->addr.sin_addr) != 1) {
		fprintf(stderr, "bench_http: '%s' is not http://ADDR:PORT/PATH\n", url);
		exit(2);
	}
	t->addr.sin_port = htons((uint16_t)port);
}

/* Processor time of a server of ours, in microseconds a request; ends it. */
static double
stop_target(struct target *t, unsigned int requests)
{
	struct rusage usage;

	if (t->pid == 0)
		return 0;
	kill(t->pid, SIGTERM);
	if (wait4(t->pid, NULL, 0, &usage) < 0)
		die("wait");
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 / requests +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / requests;
}

/* One line; whether the bar holds. Of what else the machine does, the two of a round get about as
 * much: so the ratio is the median of theirs. */
static bool
run_load(const struct load *load, const char *url)
{
	struct target a = { .name = "virtxd" }, b = { .name = "evhttp" };
	_buffer_ struct buffer body = { 0 };
	double ratios[ROUNDS_MAX], ratio, cpu_a, cpu_b;

	if (url)
		parse_url(&a, url);
	else
		start_target(&a, load, NULL);
	learn_reply(&a, &body);
	start_target(&b, load, &body);
	snprintf(b.path, sizeof(b.path), "%s", a.path);
	learn_reply(&b, NULL);
	for (unsigned int i = 0; i < load->rounds; i++) {
		a.rates[i] = run_round(&a, load);
		b.rates[i] = run_round(&b, load);
		ratios[i] = a.rates[i] / b.rates[i];
	}
	ratio = median(ratios, load->rounds);
	cpu_a = stop_target(&a, load->rounds * load->requests);
	cpu_b = stop_target(&b, load->rounds * load->requests);
	printf("%7zu bytes, %2u connections: virtxd %6.0f/s, evhttp %6.0f/s, ratio %.2f", body.len,
	    load->connections, median(a.rates, load->rounds), median(b.rates, load->rounds), ratio);
	if (cpu_a > 0)
		printf(", processor time %.1f and %.1f us", cpu_a, cpu_b);
	if (load->bar > 0)
		printf("  [bar %.1f: %s]", load->bar, ratio >= load->bar ? "holds" : "FAILS");
	printf("  %s\n", a.path);
	fflush(stdout);
	return ratio >= load->bar;
}

static void __attribute__((noreturn)) usage(void)
{
	fprintf(stderr,
	    "usage: bench_http [-n requests] [-c connections] [-r rounds] "
	    "[-l VMs | http://ADDR:PORT/PATH]\n"
	    "-l lists an inventory of so many VMs; without it, a run state is asked for\n");
	exit(2);
}

static void
read_options(int argc, char **argv, struct load *load)
{
	int option;

	while ((option = getopt(argc, argv, "n:c:r:l:")) != -1) {
		unsigned int value = optarg ? (unsigned int)strtoul(optarg, NULL, 10) : 0;

		if (value == 0 || (option == 'r' && value > ROUNDS_MAX))
			usage();
		if (option == 'n') {
			load->requests = value;
		} else if (option == 'c') {
			load->connections = value;
		} else if (option == 'r') {
			load->rounds = value;
		} else if (option == 'l') {
			load->vms = value;
			load->path = "/vms";
		} else {
			usage();
		}
	}
	if (argc - optind > 1)
		usage();
}

int
main(int argc, char **argv)
{
	struct load load = { RUNSTATE, 1, 20000, 16, 7, 0 };
	bool holds = true;

	(void)signal(SIGPIPE, SIG_IGN);
	read_options(argc, argv, &load);
	if (argc > 1)
		return !run_load(&load, argv[optind]);
	for (size_t i = 0; i < ARRAY_SIZE(loads); i++)
		holds &= run_load(&loads[i], NULL);
	return !holds;
}
