/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests a second of virtxd's HTTP server (A) against a bare evhttp that answers the same bytes
 * (B), by the same client, in turns. A is a running virtxd, given as http://ADDR:PORT/PATH, or else
 * the server of this tree with a handler that encodes a run state.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
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
#include <unistd.h>

#include "http/server.h"
#include "loop/base.h"
#include "proto/model.h"

#define PATH	    "/vms/0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0/runstate"
#define ROUNDS_MAX  99
#define REPLY_MAX   65536
#define STALL_LIMIT 10000 /* ms */

/* A server under test. */
struct target {
	const char *name;
	struct sockaddr_in addr;
	char path[256];
	pid_t pid; /* 0 where it is not ours */
	double rates[ROUNDS_MAX];
};

struct connection {
	int fd;
	size_t got;
};

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "bench_http: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
handle_runstate(void *arg, struct request *req)
{
	struct vmruninfo info = {
		.runstate = VMRUNSTATE_RUNNING,
		.host = (char[]){ "6e0f3a52-7d1c-4a88-9a3e-0b6a4f2c9d11" },
	};

	request_reply_model(req, 200, &vmruninfo_model, &info);
}

/* Tells the port to the parent, then serves until that ends. */
static void __attribute__((noreturn)) serve(struct event_base *base, int fd, uint16_t port)
{
	if (write(fd, &port, sizeof(port)) != sizeof(port))
		die("write");
	close(fd);
	event_base_dispatch(base);
	exit(1);
}

static void
serve_ours(int fd, const struct buffer *reply)
{
	struct event_base *base = base_new();
	struct http_server *server;
	struct config config;
	struct error err;

	config_init(&config);
	config.listen[0].port = 0;
	server = http_server_new(base, &config, handle_runstate, NULL, &err);
	if (!server) {
		fprintf(stderr, "bench_http: %s\n", err.detail);
		exit(1);
	}
	serve(base, fd, http_server_port(server, 0));
}

static void
handle_bare(struct evhttp_request *req, void *arg)
{
	const struct buffer *reply = arg;
	struct evbuffer *output = evhttp_request_get_output_buffer(req);

	evhttp_add_header(
	    evhttp_request_get_output_headers(req), "Content-Type", "application/json");
	evbuffer_add(output, reply->data, reply->len);
	evhttp_send_reply(req, 200, "OK", NULL);
}

static void
serve_bare(int fd, const struct buffer *reply)
{
	struct event_base *base = base_new();
	struct evhttp *http = evhttp_new(base);
	struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(http, "127.0.0.1", 0);
	struct sockaddr_in in;
	socklen_t len = sizeof(in);

	if (!bound || getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&in, &len))
		die("bind");
	evhttp_set_gencb(http, handle_bare, (void *)reply);
	serve(base, fd, ntohs(in.sin_port));
}

static void
start_target(
    struct target *t, void (*run)(int fd, const struct buffer *reply), const struct buffer *reply)
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
		run(fds[1], reply);
	}
	close(fds[1]);
	if (read(fds[0], &port, sizeof(port)) != sizeof(port))
		die(t->name);
	close(fds[0]);
	t->addr = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
	t->addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	snprintf(t->path, sizeof(t->path), "%s", PATH);
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

/* Asks once: the size of a whole reply, the same for all, and its body. */
static size_t
learn_reply(const struct target *t, struct buffer *body)
{
	int fd = open_connection(t);
	char text[REPLY_MAX + 1] = "";
	const char *start = NULL, *length;
	size_t got = 0, want = SIZE_MAX;

	send_request(t, fd);
	while (got < want) {
		ssize_t n = recv(fd, text + got, REPLY_MAX - got, 0);

		if (n <= 0)
			die("recv");
		got += (size_t)n;
		text[got] = '\0';
		start = strstr(text, "\r\n\r\n");
		length = strcasestr(text, "\r\nContent-Length: ");
		if (start && length)
			want = (size_t)(start + 4 - text) + strtoul(length + 18, NULL, 10);
	}
	close(fd);
	if (strncmp(text, "HTTP/1.1 200 ", 13) != 0) {
		fprintf(stderr, "bench_http: %s answers %s\n", t->name, text);
		exit(1);
	}
	if (body)
		buffer_add(body, start + 4, want - (size_t)(start + 4 - text));
	return want;
}

/* Requests a second over this many connections, each with one request under way at a time. */
static double
run_round(const struct target *t, size_t size, unsigned int requests, unsigned int connections)
{
	struct connection *list = xcalloc(connections, sizeof(*list));
	unsigned int sent = 0, done = 0;
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct timespec begin, end;

	if (ep < 0)
		die("epoll");
	for (unsigned int i = 0; i < connections; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = &list[i] };

		list[i].fd = open_connection(t);
		if (epoll_ctl(ep, EPOLL_CTL_ADD, list[i].fd, &event) < 0)
			die("epoll");
	}
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (unsigned int i = 0; i < connections && sent < requests; i++, sent++)
		send_request(t, list[i].fd);
	while (done < requests) {
		struct epoll_event events[64];
		int n = epoll_wait(ep, events, ARRAY_SIZE(events), STALL_LIMIT);

		if (n <= 0)
			die("no reply");
		for (int i = 0; i < n; i++) {
			struct connection *c = events[i].data.ptr;
			char text[REPLY_MAX];
			ssize_t got = recv(c->fd, text, sizeof(text), 0);

			if (got <= 0)
				die("recv");
			if (c->got == 0 && (got < 13 || memcmp(text, "HTTP/1.1 200 ", 13) != 0)) {
				fprintf(stderr, "bench_http: bad reply: %.*s\n", (int)got, text);
				exit(1);
			}
			c->got += (size_t)got;
			if (c->got < size)
				continue;
			c->got = 0;
			done++;
			if (sent < requests) {
				sent++;
				send_request(t, c->fd);
			}
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	for (unsigned int i = 0; i < connections; i++)
		close(list[i].fd);
	close(ep);
	free(list);
	return requests /
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

static void __attribute__((noreturn)) usage(void)
{
	fprintf(stderr, "usage: bench_http [-n requests] [-c connections] [-r rounds] "
			"[http://ADDR:PORT/PATH]\n");
	exit(2);
}

int
main(int argc, char **argv)
{
	struct target a = { .name = "virtxd" }, b = { .name = "evhttp" };
	unsigned int requests = 20000, connections = 16, rounds = 7;
	_buffer_ struct buffer body = { 0 };
	size_t size_a, size_b;
	double rate_a, rate_b, cpu_a, cpu_b;
	int option;

	while ((option = getopt(argc, argv, "n:c:r:")) != -1) {
		unsigned int value = optarg ? (unsigned int)strtoul(optarg, NULL, 10) : 0;

		if (value == 0)
			usage();
		if (option == 'n')
			requests = value;
		else if (option == 'c')
			connections = value;
		else if (option == 'r' && value <= ROUNDS_MAX)
			rounds = value;
		else
			usage();
	}
	if (argc - optind > 1)
		usage();
	(void)signal(SIGPIPE, SIG_IGN);

	if (argc > optind)
		parse_url(&a, argv[optind]);
	else
		start_target(&a, serve_ours, NULL);
	size_a = learn_reply(&a, &body);
	start_target(&b, serve_bare, &body);
	size_b = learn_reply(&b, NULL);

	for (unsigned int i = 0; i < rounds; i++) {
		a.rates[i] = run_round(&a, size_a, requests, connections);
		b.rates[i] = run_round(&b, size_b, requests, connections);
		printf("round %u: virtxd %.0f/s, evhttp %.0f/s\n", i + 1, a.rates[i], b.rates[i]);
	}
	rate_a = median(a.rates, rounds);
	rate_b = median(b.rates, rounds);
	cpu_a = stop_target(&a, rounds * requests);
	cpu_b = stop_target(&b, rounds * requests);
	printf(
	    "median: virtxd %.0f/s, evhttp %.0f/s, ratio %.2f\n", rate_a, rate_b, rate_a / rate_b);
	if (cpu_a > 0)
		printf("processor time a request: virtxd %.1f us, evhttp %.1f us\n", cpu_a, cpu_b);
	return 0;
}
