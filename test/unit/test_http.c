/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The real server on loopback, and raw sockets as its clients, all in one loop. */
#include "http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/json.h"
#include "proto/model.h"

#define UUID	 "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
#define BIG	 (32 << 20)
#define HELD_MAX 4

struct fixture {
	struct event_base *base;
	struct config config;
	struct http_server *server;
	unsigned int handled;
	/* Requests for /readyz are kept here until the test replies. */
	struct request *held[HELD_MAX];
	unsigned int n_held;
	/* A request for /events becomes this stream. */
	struct request *stream;
	unsigned int gone;
	/* Of the last request. */
	char *body;
	size_t body_len;
	char *query;
	char user[128];
	bool looped;
	bool respond_async;
};

struct client {
	struct fixture *f;
	int fd;
	struct event *event;
	struct buffer in;
	bool closed; /* by the server */
	int64_t closed_at;
};

struct reply {
	int status;
	char *head; /* with the status line */
	char *body;
	size_t len;
};

static void
on_gone(void *arg)
{
	struct fixture *f = arg;

	f->gone++;
	request_end(steal_ptr(f->stream), false);
}

static const struct request_watch watch = { .gone = on_gone };

static void
handle(void *arg, struct request *req)
{
	struct fixture *f = arg;
	struct vmruninfo info = { .runstate = VMRUNSTATE_RUNNING, .host = req->param };

	f->handled++;
	free(f->body);
	f->body = xcalloc(req->body_len + 1, 1);
	memcpy(f->body, req->body, req->body_len + 1);
	f->body_len = req->body_len;
	str_set(&f->query, req->query);
	snprintf(f->user, sizeof(f->user), "%s", req->user);
	f->looped = req->looped;
	f->respond_async = req->respond_async;

	switch (req->route->id) {
	case ROUTE_VM_RUNSTATE_GET:
		request_reply_model(req, 200, &vmruninfo_model, &info);
		break;
	case ROUTE_OPENAPI: {
		char *text = xcalloc(BIG, 1);

		memset(text, 'x', BIG);
		request_reply_text(req, 200, "text/plain", text, BIG);
		break;
	}
	case ROUTE_EVENTS:
		f->stream = req;
		request_set_watch(req, &watch, f);
		request_start(req, 200, "text/event-stream", -1, NULL, 0);
		break;
	case ROUTE_READYZ:
		assert_true(f->n_held < HELD_MAX);
		f->held[f->n_held++] = req;
		break;
	case ROUTE_HOST_LIST:
		request_reply_text(
		    req, 200, "text/plain", xstrdup(req->client), strlen(req->client));
		break;
	case ROUTE_VM_CREATE: {
		static const struct request_header header = { "Location", "/operations/1" };

		request_reply_json(req, 202, xstrdup("\"x\""), 3, &header, 1);
		break;
	}
	case ROUTE_HEALTHZ:
		request_reply(req, 202);
		break;
	default:
		request_reply(req, 204);
		break;
	}
}

static void
start(struct fixture *f)
{
	struct error err = { 0 };

	f->server = http_server_new(f->base, &f->config, handle, f, &err);
	if (!f->server)
		fail_msg("%s", err.detail);
}

static void
stop(struct fixture *f)
{
	http_server_free(f->server);
	f->server = NULL;
}

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	f->base = event_base_new();
	config_init(&f->config);
	f->config.listen[0].port = 0;
	f->config.request_timeout = 1;
	f->config.idle_timeout = 20;
	start(f);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	stop(f);
	event_base_free(f->base);
	config_clear(&f->config);
	free(f->body);
	free(f->query);
	free(f);
	return 0;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;
	char chunk[65536];
	ssize_t n = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT);

	if (n > 0) {
		buffer_add(&c->in, chunk, (size_t)n);
		return;
	}
	if (n < 0 && errno == EAGAIN)
		return;
	c->closed = true;
	c->closed_at = monotonic_ms();
	event_del(c->event);
}

/* Connects, but does not read yet. */
static void
client_connect(struct client *c, struct fixture *f)
{
	struct sockaddr_in in = { .sin_family = AF_INET };

	*c = (struct client){ .f = f };
	in.sin_port = htons(http_server_port(f->server, 0));
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(c->fd >= 0);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&in, sizeof(in)), 0);
	c->event = event_new(f->base, c->fd, EV_READ | EV_PERSIST, on_readable, c);
}

static void
client_open(struct client *c, struct fixture *f)
{
	client_connect(c, f);
	event_add(c->event, NULL);
}

static void
client_close(struct client *c)
{
	if (c->event)
		event_free(c->event);
	if (c->fd >= 0)
		close(c->fd);
	buffer_clear(&c->in);
	*c = (struct client){ .fd = -1 };
}

static void
client_send_bytes(struct client *c, const char *data, size_t len)
{
	int64_t end = monotonic_ms() + 10000;

	while (len > 0) {
		ssize_t n = send(c->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			assert_true(monotonic_ms() < end);
			event_base_loop(c->f->base, EVLOOP_ONCE);
			continue;
		}
		if (n < 0)
			fail_msg("send: %s", strerror(errno));
		data += n;
		len -= (size_t)n;
	}
}

static void
client_send(struct client *c, const char *text)
{
	client_send_bytes(c, text, strlen(text));
}

/* Runs the loop for so long. */
static void
run_for(struct fixture *f, int ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	event_base_loopexit(f->base, &tv);
	event_base_dispatch(f->base);
}

/* Waits until the server has closed the connection, for up to ms. */
static bool
client_wait_closed(struct client *c, int ms)
{
	int64_t end = monotonic_ms() + ms;

	while (!c->closed && monotonic_ms() < end)
		event_base_loop(c->f->base, EVLOOP_ONCE);
	return c->closed;
}

static void
reply_clear(struct reply *r)
{
	free(r->head);
	free(r->body);
	*r = (struct reply){ 0 };
}

/* A header's value, NULL for none. The caller frees. */
static char *
reply_header(const struct reply *r, const char *name)
{
	_free_ char *key = xasprintf("\r\n%s: ", name);
	const char *at = strcasestr(r->head, key);

	if (!at)
		return NULL;
	at += strlen(key);
	return xstrndup(at, strcspn(at, "\r"));
}

static void
assert_header(const struct reply *r, const char *name, const char *value)
{
	_free_ char *got = reply_header(r, name);

	assert_non_null(got);
	assert_string_equal(got, value);
}

/* Takes one reply off the front of what was read, if it is there whole. */
static bool
take_reply(struct client *c, bool head, struct reply *r)
{
	_free_ char *length = NULL;
	const char *end = c->in.data ? memmem(c->in.data, c->in.len, "\r\n\r\n", 4) : NULL;
	size_t head_len, body_len = 0;

	if (!end)
		return false;
	head_len = (size_t)(end - c->in.data) + 4;
	r->head = xstrndup(c->in.data, head_len);
	assert_int_equal(sscanf(r->head, "HTTP/1.%*d %d", &r->status), 1);
	length = reply_header(r, "Content-Length");
	if (length && !head)
		body_len = (size_t)strtoul(length, NULL, 10);
	if (c->in.len < head_len + body_len) {
		reply_clear(r);
		return false;
	}
	r->body = xcalloc(body_len + 1, 1);
	memcpy(r->body, c->in.data + head_len, body_len);
	r->len = body_len;
	c->in.len -= head_len + body_len;
	memmove(c->in.data, c->in.data + head_len + body_len, c->in.len + 1);
	return true;
}

static void
read_reply(struct client *c, bool head, struct reply *r)
{
	int64_t end = monotonic_ms() + 10000;

	*r = (struct reply){ 0 };
	while (!take_reply(c, head, r)) {
		if (c->closed || monotonic_ms() >= end)
			fail_msg("no reply, only '%s'%s", str_or_empty(c->in.data),
			    c->closed ? " and the end" : "");
		event_base_loop(c->f->base, EVLOOP_ONCE);
	}
}

/* The next reply must have this status. */
static void
expect(struct client *c, int status)
{
	struct reply r;

	read_reply(c, false, &r);
	if (r.status != status)
		fail_msg("%s%s", r.head, r.body);
	reply_clear(&r);
}

/* It must be a problem that says so. */
static void
expect_problem(struct client *c, int status, const char *word)
{
	struct problem problem = { 0 };
	struct error err = { 0 };
	struct reply r;

	read_reply(c, false, &r);
	if (r.status != status)
		fail_msg("%s%s", r.head, r.body);
	assert_header(&r, "Content-Type", "application/problem+json");
	if (json_decode(&problem_model, r.body, r.len, &problem, &err) < 0)
		fail_msg("%s", err.detail);
	assert_int_equal(problem.status, status);
	if (!strstr(problem.detail, word))
		fail_msg("'%s' does not say '%s'", problem.detail, word);
	model_clear(&problem_model, &problem);
	reply_clear(&r);
}

/* One request on a connection of its own gets this problem. */
static void
refused(struct fixture *f, const char *request, int status, const char *word, bool closes)
{
	unsigned int handled = f->handled;
	struct client c;

	client_open(&c, f);
	client_send(&c, request);
	expect_problem(&c, status, word);
	assert_int_equal(f->handled, handled);
	if (closes) {
		assert_true(client_wait_closed(&c, 2000));
	} else {
		client_send(&c, "GET /healthz HTTP/1.1\r\n\r\n");
		expect(&c, 202);
	}
	client_close(&c);
}

static unsigned int
count_connections(struct fixture *f)
{
	struct http_stats stats;

	http_server_get_stats(f->server, &stats);
	return stats.connections;
}

static void
test_get(void **state)
{
	struct fixture *f = *state;
	struct http_stats stats;
	struct client c;
	struct reply r;
	_free_ char *chunked = NULL;

	client_open(&c, f);
	for (int i = 0; i < 3; i++) {
		client_send(&c,
		    "GET /vms/0F1E2D3C-4B5A-6978-8796-A5B4C3D2E1F0/runstate HTTP/1.1\r\n"
		    "Host: x\r\n\r\n");
		read_reply(&c, false, &r);
		assert_int_equal(r.status, 200);
		assert_string_equal(r.body, "{\"runstate\":4,\"host\":\"" UUID "\"}");
		assert_header(&r, "Content-Type", "application/json");
		chunked = reply_header(&r, "Transfer-Encoding");
		assert_null(chunked);
		reply_clear(&r);
	}
	http_server_get_stats(f->server, &stats);
	assert_int_equal(stats.connections, 1);
	assert_int_equal(stats.requests, 3);
	assert_int_equal(stats.refused, 0);
	client_close(&c);
	run_for(f, 20);
	assert_int_equal(count_connections(f), 0);
}

static void
test_head(void **state)
{
	struct fixture *f = *state;
	struct client c;
	struct reply get, head;
	_free_ char *length = NULL;

	client_open(&c, f);
	client_send(&c, "GET /vms/" UUID "/runstate HTTP/1.1\r\n\r\n");
	read_reply(&c, false, &get);
	client_send(&c, "HEAD /vms/" UUID "/runstate HTTP/1.1\r\n\r\n"
			"GET /healthz HTTP/1.1\r\n\r\n");
	read_reply(&c, true, &head);
	assert_int_equal(head.status, 200);
	length = reply_header(&get, "Content-Length");
	assert_header(&head, "Content-Length", length);
	assert_header(&head, "Content-Type", "application/json");
	/* Nothing between it and the next reply. */
	expect(&c, 202);

	client_send(&c, "HEAD /vmz HTTP/1.1\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n");
	reply_clear(&head);
	read_reply(&c, true, &head);
	assert_int_equal(head.status, 404);
	expect(&c, 202);
	reply_clear(&get);
	reply_clear(&head);
	client_close(&c);
}

static void
test_empty_replies(void **state)
{
	struct fixture *f = *state;
	struct client c;
	struct reply r;

	client_open(&c, f);
	client_send(&c, "POST /vms/" UUID "/runstate/pause HTTP/1.1\r\n\r\n");
	read_reply(&c, false, &r);
	assert_int_equal(r.status, 204);
	assert_null(strcasestr(r.head, "Content-Length"));
	assert_null(strcasestr(r.head, "Content-Type"));
	reply_clear(&r);
	client_send(&c, "GET /healthz HTTP/1.1\r\n\r\n");
	read_reply(&c, false, &r);
	assert_int_equal(r.status, 202);
	assert_header(&r, "Content-Length", "0");
	assert_null(strcasestr(r.head, "Content-Type"));
	reply_clear(&r);
	client_send(&c, "POST /vms HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}");
	read_reply(&c, false, &r);
	assert_int_equal(r.status, 202);
	assert_header(&r, "Location", "/operations/1");
	assert_string_equal(r.body, "\"x\"");
	reply_clear(&r);
	client_close(&c);
}

static void
test_no_route(void **state)
{
	struct fixture *f = *state;

	refused(f, "GET /vmz HTTP/1.1\r\n\r\n", 404, "'/vmz'", false);
	refused(f, "GET / HTTP/1.1\r\n\r\n", 404, "'/'", false);
	refused(f, "GET /vms/ HTTP/1.1\r\n\r\n", 404, "'/vms/'", false);
	refused(f, "GET //vms HTTP/1.1\r\n\r\n", 404, "there is no", false);
	refused(f, "OPTIONS * HTTP/1.1\r\n\r\n", 404, "'*'", false);
	refused(f, "GET /vms/web/runstate HTTP/1.1\r\n\r\n", 400, "/vms/web/runstate", false);
	refused(f, "GET /vms%zz HTTP/1.1\r\n\r\n", 400, "percent", false);
	refused(f, "GET /vms/%00 HTTP/1.1\r\n\r\n", 400, "percent", false);
	refused(f, "GET /operations/a%2fb HTTP/1.1\r\n\r\n", 400, "percent", false);
	refused(f, "BREW /vmz HTTP/1.1\r\n\r\n", 404, "'/vmz'", false);
}

static void
test_methods(void **state)
{
	static const char *const words[] = { "DELETE", "PUT", "PATCH", "OPTIONS", "TRACE", "BREW",
		"get" };
	struct fixture *f = *state;
	struct reply r;
	struct client c;

	client_open(&c, f);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		_free_ char *text = xasprintf("%s /vms HTTP/1.1\r\nHost: x\r\n\r\n", words[i]);

		client_send(&c, text);
		read_reply(&c, false, &r);
		if (r.status != 405)
			fail_msg("%s: %s%s", words[i], r.head, r.body);
		assert_header(&r, "Allow", "GET, HEAD, POST");
		assert_header(&r, "Content-Type", "application/problem+json");
		assert_non_null(strstr(r.body, "/vms"));
		reply_clear(&r);
	}
	client_send(&c, "PUT /vms/" UUID "/runstate/boot HTTP/1.1\r\nContent-Length: 1\r\n\r\n1");
	read_reply(&c, false, &r);
	assert_int_equal(r.status, 405);
	assert_header(&r, "Allow", "POST, DELETE");
	reply_clear(&r);
	client_close(&c);

	client_open(&c, f);
	client_send(&c, "CONNECT example.com:80 HTTP/1.1\r\n\r\n");
	read_reply(&c, false, &r);
	assert_int_equal(r.status, 404);
	reply_clear(&r);
	client_close(&c);
}

static void
test_bodies(void **state)
{
	static const char *const starts[] = { "GET /vms?a=b%20&c", "DELETE /vms/" UUID "?a=b%20&c",
		"POST /vms?a=b%20&c", "PUT /vms/" UUID "?a=b%20&c" };
	struct fixture *f = *state;
	struct reply r;
	struct client c;

	client_open(&c, f);
	for (size_t i = 0; i < ARRAY_SIZE(starts); i++) {
		_free_ char *plain =
		    xasprintf("%s HTTP/1.1\r\nContent-Length: 5\r\n\r\nab\ncd", starts[i]);
		_free_ char *chunked = xasprintf("%s HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
						 "2\r\nab\r\n3 ;x=y\r\n\ncd\r\n0\r\n\r\n",
		    starts[i]);

		client_send(&c, plain);
		read_reply(&c, false, &r);
		reply_clear(&r);
		assert_int_equal(f->handled, 2 * i + 1);
		assert_int_equal(f->body_len, 5);
		assert_string_equal(f->body, "ab\ncd");
		assert_string_equal(f->query, "a=b%20&c");
		client_send(&c, chunked);
		read_reply(&c, false, &r);
		reply_clear(&r);
		assert_int_equal(f->handled, 2 * i + 2);
		assert_int_equal(f->body_len, 5);
		assert_string_equal(f->body, "ab\ncd");
	}
	client_send(&c, "GET /vms HTTP/1.1\r\n\r\n");
	expect(&c, 204);
	assert_int_equal(f->body_len, 0);
	assert_string_equal(f->body, "");
	client_close(&c);
}

static void
test_expect_continue(void **state)
{
	struct fixture *f = *state;
	struct client c;

	client_open(&c, f);
	for (int i = 0; i < 2; i++) {
		client_send(&c, "POST /vms HTTP/1.1\r\nContent-Length: 3\r\n"
				"Expect: 100-continue\r\n\r\n");
		expect(&c, 100);
		client_send(&c, "abc");
		expect(&c, 202);
		assert_string_equal(f->body, "abc");
	}
	client_close(&c);
	refused(f, "POST /vms HTTP/1.1\r\nContent-Length: 3\r\nExpect: tea\r\n\r\nabc", 417,
	    "100-continue", true);
}

static void
test_body_limit(void **state)
{
	struct fixture *f = *state;
	size_t max = (size_t)f->config.max_body;
	_free_ char *body = xcalloc(2 * max + 1, 1);
	_free_ char *head = NULL;
	struct client c;

	memset(body, 'x', 2 * max);
	client_open(&c, f);
	head = xasprintf("POST /vms HTTP/1.1\r\nContent-Length: %zu\r\n\r\n", max - 1);
	client_send(&c, head);
	client_send_bytes(&c, body, max - 1);
	expect(&c, 202);
	assert_int_equal(f->body_len, max - 1);
	/* The client sends it all before it reads, and must find the reply. */
	for (size_t len = max; len <= 2 * max; len += max) {
		_free_ char *over =
		    xasprintf("POST /vms HTTP/1.1\r\nContent-Length: %zu\r\n\r\n", len);

		client_send(&c, over);
		client_send_bytes(&c, body, len);
		expect_problem(&c, 413, "too large");
		assert_true(client_wait_closed(&c, 2000));
		client_close(&c);
		client_open(&c, f);
	}
	client_send(&c, "POST /vms HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n");
	expect_problem(&c, 413, "too large");
	client_close(&c);
	assert_int_equal(f->handled, 1);

	refused(
	    f, "POST /vms HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 413, "", true);
	refused(f, "POST /vms HTTP/1.1\r\nContent-Length: 1048576\r\nExpect: 100-continue\r\n\r\n",
	    413, "", true);
	refused(f, "POST /vms HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400, "", true);
	refused(f, "POST /vms HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 413,
	    "malformed", true);
}

static void
test_header_limit(void **state)
{
	struct fixture *f = *state;
	_free_ char *filler = xcalloc(40000, 1);
	_free_ char *one = NULL;
	_free_ char *line = NULL;
	_free_ char *fits = NULL;
	_buffer_ struct buffer many = { 0 };
	struct client c;

	memset(filler, 'x', 39999);
	one = xasprintf("GET /vms HTTP/1.1\r\nA: %s\r\n\r\n", filler);
	refused(f, one, 400, "too large", true);
	line = xasprintf("GET /%s HTTP/1.1\r\n\r\n", filler);
	refused(f, line, 400, "too large", true);
	buffer_printf(&many, "GET /vms HTTP/1.1\r\n");
	for (int i = 0; i < 3000; i++)
		buffer_printf(&many, "A%d: b\r\n", i);
	buffer_printf(&many, "\r\n");
	refused(f, many.data, 400, "too large", true);

	filler[16000] = '\0';
	fits = xasprintf("GET /vms HTTP/1.1\r\nA: %s\r\n\r\n", filler);
	client_open(&c, f);
	client_send(&c, fits);
	expect(&c, 204);
	client_close(&c);
}

static void
test_framing(void **state)
{
	struct fixture *f = *state;

	refused(f,
	    "POST /vms HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "0\r\n\r\n",
	    400, "", true);
	refused(f,
	    "POST /vms HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"
	    "0\r\n\r\n",
	    400, "", true);
	refused(f, "POST /vms HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400,
	    "", true);
	refused(f, "POST /vms HTTP/1.1\r\nContent-Length : 5\r\n\r\nGET /", 400, "", true);
	refused(f, "POST /vms HTTP/1.1\r\nContent-Length: +5\r\n\r\nabcde", 400, "", true);
	refused(f, "POST /vms HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\nabcde", 400, "", true);
	refused(f, "POST /vms HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400,
	    "", true);
	refused(f, "GET /vms HTTP/1.1\r\nno colon\r\n\r\n", 400, "", true);
	refused(f, "GET /vms\r\n\r\n", 400, "", true);
	refused(f, "GET /vms HTTP/2.0\r\n\r\n", 400, "", true);
	refused(f, "hello, is anyone there?\r\n\r\n", 400, "", true);
	refused(f, "BREW /vms HTTP/1.1\r\nContent-Length: 5\r\n\r\nGET /", 405, "", true);
}

static void
test_head_with_body(void **state)
{
	struct fixture *f = *state;
	struct client c;
	struct reply r;

	/* evhttp would take the body for the next request. */
	client_open(&c, f);
	client_send(&c, "HEAD /vms HTTP/1.1\r\nContent-Length: 25\r\n\r\n"
			"GET /healthz HTTP/1.1\r\n\r\n");
	read_reply(&c, true, &r);
	assert_int_equal(r.status, 400);
	reply_clear(&r);
	assert_true(client_wait_closed(&c, 2000));
	assert_int_equal(c.in.len, 0);
	assert_int_equal(f->handled, 0);
	client_close(&c);
}

static void
test_http_1_0(void **state)
{
	struct fixture *f = *state;
	struct client c;
	struct reply r;

	client_open(&c, f);
	client_send(&c, "GET /vms/" UUID "/runstate HTTP/1.0\r\n\r\n");
	read_reply(&c, false, &r);
	assert_int_equal(r.status, 200);
	assert_int_equal(r.len, strlen("{\"runstate\":4,\"host\":\"" UUID "\"}"));
	reply_clear(&r);
	assert_true(client_wait_closed(&c, 2000));
	client_close(&c);

	client_open(&c, f);
	for (int i = 0; i < 2; i++) {
		client_send(&c, "GET /vms/" UUID "/runstate HTTP/1.0\r\n"
				"Connection: keep-alive\r\n\r\n");
		read_reply(&c, false, &r);
		assert_int_equal(r.status, 200);
		assert_header(&r, "Connection", "keep-alive");
		reply_clear(&r);
	}
	client_close(&c);

	client_open(&c, f);
	client_send(&c, "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n");
	read_reply(&c, false, &r);
	assert_header(&r, "Connection", "close");
	reply_clear(&r);
	assert_true(client_wait_closed(&c, 2000));
	client_close(&c);
}

static void
test_half_close(void **state)
{
	struct fixture *f = *state;
	struct client c;

	client_open(&c, f);
	client_send(&c, "GET /healthz HTTP/1.1\r\n\r\n");
	assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
	expect(&c, 202);
	assert_true(client_wait_closed(&c, 2000));
	client_close(&c);
}

static void
test_request_fields(void **state)
{
	static const struct {
		const char *headers;
		const char *user;
		bool looped;
		bool respond_async;
	} rows[] = {
		{ "", "127.0.0.1", false, false },
		{ "X-Forwarded-For: 10.1.2.3, 10.4.5.6\r\n", "10.1.2.3", false, false },
		{ "x-forwarded-for:   fe80::1%eth0 \r\n", "fe80::1%eth0", false, false },
		{ "X-Forwarded-For: a\tb\x01<c>\r\n", "a?b??c", false, false },
		{ "X-Forwarded-For: ,10.1.2.3\r\n", "127.0.0.1", false, false },
		{ "X-VirtX-Loop: 1\r\n", "127.0.0.1", true, false },
		{ "Prefer: respond-async\r\n", "127.0.0.1", false, true },
		{ "Prefer: wait=10, Respond-Async;x=1\r\n", "127.0.0.1", false, true },
		{ "Prefer: wait=10\r\nPrefer: respond-async , x\r\n", "127.0.0.1", false, true },
		{ "Prefer: respond-asynchronous\r\n", "127.0.0.1", false, false },
		{ "Prefer: x=\"a,respond-async\"\r\n", "127.0.0.1", false, false },
		{ "Prefer: x=\"\\\",respond-async\", respond-async\r\n", "127.0.0.1", false, true },
		{ "Prefer: no-respond-async\r\n", "127.0.0.1", false, false },
	};
	struct fixture *f = *state;
	struct client c;
	struct reply r;

	client_open(&c, f);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_free_ char *text = xasprintf("GET /hosts HTTP/1.1\r\n%s\r\n", rows[i].headers);

		client_send(&c, text);
		read_reply(&c, false, &r);
		assert_string_equal(r.body, "127.0.0.1");
		reply_clear(&r);
		assert_string_equal(f->user, rows[i].user);
		assert_int_equal(f->looped, rows[i].looped);
		assert_int_equal(f->respond_async, rows[i].respond_async);
	}
	client_close(&c);
}

static void
test_slow_client(void **state)
{
	static const char text[] = "POST /vms HTTP/1.1\r\nContent-Length: 100\r\n\r\n0123456789";
	struct fixture *f = *state;
	int64_t begin = monotonic_ms();
	struct client c;
	size_t i;

	client_open(&c, f);
	for (i = 0; !c.closed && i < sizeof(text); i++) {
		(void)!send(c.fd, text + i, 1, MSG_NOSIGNAL);
		run_for(f, 100);
	}
	assert_true(c.closed);
	assert_in_range(c.closed_at - begin, 900, 2200);
	expect_problem(&c, 408, "in time");
	client_close(&c);
	assert_int_equal(f->handled, 0);
}

static void
test_idle_client(void **state)
{
	struct fixture *f = *state;
	struct client never, once;
	int64_t begin;

	stop(f);
	f->config.request_timeout = 20;
	f->config.idle_timeout = 1;
	start(f);
	begin = monotonic_ms();
	client_open(&never, f);
	client_open(&once, f);
	run_for(f, 600);
	client_send(&once, "GET /healthz HTTP/1.1\r\n\r\n");
	expect(&once, 202);
	assert_true(client_wait_closed(&never, 3000));
	assert_int_equal(never.in.len, 0);
	assert_in_range(never.closed_at - begin, 900, 2000);
	assert_false(once.closed);
	assert_true(client_wait_closed(&once, 3000));
	assert_in_range(once.closed_at - begin, 1500, 2700);
	client_close(&never);
	client_close(&once);
}

static void
test_reply_not_read(void **state)
{
	struct fixture *f = *state;
	struct client c;
	int64_t begin = monotonic_ms();

	client_connect(&c, f);
	client_send(&c, "GET /openapi.json HTTP/1.1\r\n\r\n");
	run_for(f, 300);
	assert_int_equal(f->handled, 1);
	assert_int_equal(count_connections(f), 1);
	while (count_connections(f) > 0 && monotonic_ms() - begin < 5000)
		run_for(f, 100);
	assert_int_equal(count_connections(f), 0);
	client_close(&c);
}

/* A stream has no deadline while its client takes what it is sent. */
static void
test_stream(void **state)
{
	struct fixture *f = *state;
	struct client c;

	client_open(&c, f);
	client_send(&c, "GET /events HTTP/1.1\r\n\r\n");
	run_for(f, 2500);
	assert_false(c.closed);
	assert_non_null(strstr(c.in.data, "Transfer-Encoding: chunked\r\n"));
	assert_int_equal(request_write(f->stream, "abc", 3), 3 + strlen("3\r\n\r\n"));
	run_for(f, 50);
	assert_non_null(strstr(c.in.data, "\r\n\r\n3\r\nabc\r\n"));
	/* What is sent meanwhile waits. */
	client_send(&c, "GET /healthz HTTP/1.1\r\n\r\n");
	run_for(f, 50);
	assert_int_equal(f->handled, 1);
	request_end(steal_ptr(f->stream), true);
	run_for(f, 50);
	assert_non_null(strstr(c.in.data, "abc\r\n0\r\n\r\n"));
	assert_int_equal(f->gone, 0);
	client_close(&c);

	/* It hangs up. */
	client_open(&c, f);
	client_send(&c, "GET /events HTTP/1.1\r\n\r\n");
	run_for(f, 50);
	client_close(&c);
	run_for(f, 50);
	assert_int_equal(f->gone, 1);
	assert_null(f->stream);
	/* It does not read. */
	client_open(&c, f);
	client_send(&c, "GET /events HTTP/1.1\r\n\r\n");
	run_for(f, 50);
	event_del(c.event);
	for (int i = 0; i < 8; i++) {
		_free_ char *filler = xcalloc(1, 1 << 20);

		request_write(f->stream, filler, 1 << 20);
	}
	run_for(f, 3000);
	assert_int_equal(f->gone, 2);
	client_close(&c);
	/* The server ends. */
	client_open(&c, f);
	client_send(&c, "GET /events HTTP/1.1\r\n\r\n");
	run_for(f, 50);
	stop(f);
	assert_int_equal(f->gone, 3);
	client_close(&c);
}

static void
test_big_reply(void **state)
{
	struct fixture *f = *state;
	struct client c;
	struct reply r;

	client_open(&c, f);
	client_send(&c, "GET /openapi.json HTTP/1.1\r\n\r\n");
	read_reply(&c, false, &r);
	assert_int_equal(r.len, BIG);
	assert_int_equal(r.body[BIG - 1], 'x');
	reply_clear(&r);
	client_send(&c, "GET /healthz HTTP/1.1\r\n\r\n");
	expect(&c, 202);
	client_close(&c);
}

/* Runs the loop until n requests are held. */
static void
wait_held(struct fixture *f, unsigned int n)
{
	int64_t end = monotonic_ms() + 5000;

	while (f->n_held < n && monotonic_ms() < end)
		event_base_loop(f->base, EVLOOP_ONCE);
	assert_int_equal(f->n_held, n);
}

static void
test_late_reply(void **state)
{
	struct fixture *f = *state;
	struct client c;

	client_open(&c, f);
	client_send(&c, "GET /readyz HTTP/1.1\r\nContent-Length: 2\r\n\r\nab");
	wait_held(f, 1);
	/* Longer than any timeout: those are for the client, not for the handler. */
	run_for(f, 2500);
	assert_false(c.closed);
	assert_string_equal(f->held[0]->body, "ab");
	assert_string_equal(f->held[0]->client, "127.0.0.1");
	request_reply(f->held[0], 204);
	expect(&c, 204);
	client_send(&c, "GET /healthz HTTP/1.1\r\n\r\n");
	expect(&c, 202);
	client_close(&c);
}

static void
test_hang_up(void **state)
{
	struct vmruninfo info = { 0 };
	struct fixture *f = *state;
	struct client c;

	client_open(&c, f);
	client_send(&c, "GET /readyz?x=y HTTP/1.1\r\nContent-Length: 2\r\n\r\nab");
	wait_held(f, 1);
	assert_int_equal(count_connections(f), 1);
	client_close(&c);
	run_for(f, 100);
	/* Noticed at once, but the request is still there for its handler. */
	assert_int_equal(count_connections(f), 0);
	assert_string_equal(f->held[0]->body, "ab");
	assert_string_equal(f->held[0]->query, "x=y");
	request_reply_model(f->held[0], 200, &vmruninfo_model, &info);

	/* With a reset instead of an end. */
	client_open(&c, f);
	client_send(&c, "GET /readyz HTTP/1.1\r\n\r\n");
	wait_held(f, 2);
	assert_int_equal(setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 },
			     sizeof(struct linger)),
	    0);
	client_close(&c);
	run_for(f, 100);
	assert_int_equal(count_connections(f), 0);
	request_reply(f->held[1], 204);
}

/* The reply is given before the loop could notice that the client has gone. */
static void
test_hang_up_unnoticed(void **state)
{
	struct fixture *f = *state;
	struct client c;

	client_open(&c, f);
	client_send(&c, "GET /readyz HTTP/1.1\r\n\r\n");
	wait_held(f, 1);
	client_close(&c);
	request_reply(f->held[0], 204);
	run_for(f, 100);
	assert_int_equal(count_connections(f), 0);
}

static void
test_pipelining(void **state)
{
	struct fixture *f = *state;
	struct client c;
	struct reply r;

	client_open(&c, f);
	client_send(&c, "GET /healthz HTTP/1.1\r\n\r\n"
			"POST /vms HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"
			"GET /hosts HTTP/1.1\r\n\r\n"
			"GET /readyz HTTP/1.1\r\n\r\n"
			"GET /vms HTTP/1.1\r\n\r\n"
			"GET /heal");
	expect(&c, 202);
	read_reply(&c, false, &r);
	assert_string_equal(r.body, "\"x\"");
	reply_clear(&r);
	expect(&c, 200);
	wait_held(f, 1);
	client_send(&c, "thz HTTP/1.1\r\n\r\n");
	run_for(f, 200);
	assert_int_equal(f->handled, 4);
	assert_int_equal(c.in.len, 0);
	request_reply(f->held[0], 204);
	expect(&c, 204);
	expect(&c, 204);
	expect(&c, 202);
	client_close(&c);
}

static void
test_flood_while_pending(void **state)
{
	struct fixture *f = *state;
	_free_ char *flood = xcalloc(8 << 20, 1);
	struct client c;
	size_t sent = 0;

	memset(flood, 'x', 8 << 20);
	client_open(&c, f);
	client_send(&c, "GET /readyz HTTP/1.1\r\n\r\n");
	wait_held(f, 1);
	for (int i = 0; i < 20; i++) {
		ssize_t n = send(c.fd, flood, 8 << 20, MSG_DONTWAIT | MSG_NOSIGNAL);

		sent += n > 0 ? (size_t)n : 0;
		run_for(f, 10);
	}
	assert_true(sent > 65536);
	request_reply(f->held[0], 204);
	expect(&c, 204);
	expect_problem(&c, 400, "");
	client_close(&c);
	run_for(f, 50);
	assert_int_equal(count_connections(f), 0);
}

static void
test_free_with_pending(void **state)
{
	struct fixture *f = *state;
	struct client c, d, idle;

	client_open(&c, f);
	client_send(&c, "GET /readyz HTTP/1.1\r\n\r\n");
	wait_held(f, 1);
	client_open(&d, f);
	client_send(&d, "GET /readyz HTTP/1.1\r\n\r\n");
	wait_held(f, 2);
	client_close(&d);
	client_open(&idle, f);
	run_for(f, 50);
	stop(f);
	assert_true(client_wait_closed(&c, 1000));
	request_reply(f->held[0], 204);
	request_reply(f->held[1], 204);
	client_close(&c);
	client_close(&idle);
}

static void
test_too_many_connections(void **state)
{
	struct fixture *f = *state;
	struct client parked[8];
	struct http_stats stats;
	struct client c;
	int64_t begin;

	stop(f);
	f->config.max_connections = 8;
	f->config.request_timeout = 20;
	start(f);
	begin = monotonic_ms();
	for (size_t i = 0; i < ARRAY_SIZE(parked); i++)
		client_open(&parked[i], f);
	run_for(f, 50);
	assert_int_equal(count_connections(f), 8);
	/* All of them may still be about to ask. */
	for (int i = 0; i < 100; i++) {
		client_open(&c, f);
		client_send(&c, "GET /healthz HTTP/1.1\r\n\r\n");
		expect_problem(&c, 503, "too many connections");
		assert_true(client_wait_closed(&c, 1000));
		client_close(&c);
	}
	assert_true(monotonic_ms() - begin < 900);
	http_server_get_stats(f->server, &stats);
	assert_int_equal(stats.connections, 8);
	assert_int_equal(stats.refused, 100);

	/* The one that asks stays, of the others the oldest goes. */
	client_send(&parked[0], "GET /healthz HTTP/1.1\r\n\r\n");
	expect(&parked[0], 202);
	run_for(f, (int)(begin + 1100 - monotonic_ms()));
	client_open(&c, f);
	client_send(&c, "GET /healthz HTTP/1.1\r\n\r\n");
	expect(&c, 202);
	run_for(f, 50);
	assert_false(parked[0].closed);
	assert_true(parked[1].closed);
	for (size_t i = 2; i < ARRAY_SIZE(parked); i++)
		assert_false(parked[i].closed);
	assert_int_equal(count_connections(f), 8);
	client_close(&c);
	for (size_t i = 0; i < ARRAY_SIZE(parked); i++)
		client_close(&parked[i]);
	run_for(f, 50);
	assert_int_equal(count_connections(f), 0);
}

/* Requests under way are never given up for newcomers. */
static void
test_busy_are_kept(void **state)
{
	struct fixture *f = *state;
	struct client busy[4], c;

	stop(f);
	f->config.max_connections = 4;
	start(f);
	for (size_t i = 0; i < ARRAY_SIZE(busy); i++) {
		client_open(&busy[i], f);
		client_send(&busy[i], "GET /readyz HTTP/1.1\r\n\r\n");
		wait_held(f, (unsigned int)i + 1);
	}
	run_for(f, 1200);
	client_open(&c, f);
	expect_problem(&c, 503, "");
	client_close(&c);
	for (size_t i = 0; i < ARRAY_SIZE(busy); i++) {
		request_reply(f->held[i], 204);
		expect(&busy[i], 204);
		client_close(&busy[i]);
	}
}

static void
test_thousands(void **state)
{
	enum { N = 2000 };
	struct fixture *f = *state;
	struct client *clients = xcalloc(N, sizeof(*clients));
	struct http_stats stats;
	struct rlimit limit;
	struct client c;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_cur < 2 * N)
		skip();
	stop(f);
	f->config.max_connections = 64;
	f->config.request_timeout = 20;
	start(f);
	for (int i = 0; i < N; i++) {
		client_open(&clients[i], f);
		if (i % 100 == 99)
			run_for(f, 5);
	}
	run_for(f, 1500);
	http_server_get_stats(f->server, &stats);
	assert_in_range(stats.connections, 1, 64);
	client_open(&c, f);
	client_send(&c, "GET /healthz HTTP/1.1\r\n\r\n");
	expect(&c, 202);
	client_close(&c);
	for (int i = 0; i < N; i++)
		client_close(&clients[i]);
	run_for(f, 50);
	assert_int_equal(count_connections(f), 0);
	free(clients);
}

/* Without a descriptor left the loop must not spin, and must go on once there is one. */
static void
test_no_descriptors(void **state)
{
	struct fixture *f = *state;
	struct rlimit limit, low;
	struct client c;
	clock_t used;

	client_open(&c, f);
	client_send(&c, "GET /healthz HTTP/1.1\r\n\r\n");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	low = limit;
	low.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	used = clock();
	run_for(f, 1000);
	used = clock() - used;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(f->handled, 0);
	assert_true(used < CLOCKS_PER_SEC / 5);
	expect(&c, 202);
	client_close(&c);
}

/* Many large requests that never end must not fill the memory: the oldest go. */
static void
test_memory_bound(void **state)
{
	enum { N = 150, BODY = 1000000, MOST = (128 << 20) / BODY };
	struct fixture *f = *state;
	struct client *clients = xcalloc(N, sizeof(*clients));
	_free_ char *body = xcalloc(BODY, 1);

	stop(f);
	f->config.request_timeout = 60;
	start(f);
	for (int i = 0; i < N; i++) {
		client_open(&clients[i], f);
		client_send(&clients[i], "POST /vms HTTP/1.1\r\nContent-Length: 1048575\r\n\r\n");
		client_send_bytes(&clients[i], body, BODY);
	}
	/* Until all of it is read; slowly on a machine that has other things to do. */
	for (int i = 0; i < 200 && (!clients[0].closed || count_connections(f) > MOST); i++)
		run_for(f, 100);
	assert_in_range(count_connections(f), MOST - 10, MOST);
	assert_true(clients[0].closed);
	assert_false(clients[N - 1].closed);
	for (int i = 0; i < N; i++)
		client_close(&clients[i]);
	free(clients);
}

static void
test_two_listeners(void **state)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct fixture *f = *state;
	struct client c = { .f = f };
	struct reply r;

	c.fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c.fd < 0 || bind(c.fd, (struct sockaddr *)&in6, sizeof(in6)) < 0) {
		client_close(&c);
		skip();
	}
	stop(f);
	f->config.listen = xrealloc(f->config.listen, 2, sizeof(*f->config.listen));
	f->config.listen[1] = (struct config_listen){ .addr = xstrdup("::1") };
	f->config.n_listen = 2;
	start(f);
	in6.sin6_port = htons(http_server_port(f->server, 1));
	assert_int_not_equal(in6.sin6_port, htons(http_server_port(f->server, 0)));
	assert_int_equal(connect(c.fd, (struct sockaddr *)&in6, sizeof(in6)), 0);
	c.event = event_new(f->base, c.fd, EV_READ | EV_PERSIST, on_readable, &c);
	event_add(c.event, NULL);
	client_send(&c, "GET /hosts HTTP/1.1\r\n\r\n");
	read_reply(&c, false, &r);
	assert_string_equal(r.body, "::1");
	reply_clear(&r);
	client_close(&c);
	client_open(&c, f);
	client_send(&c, "GET /hosts HTTP/1.1\r\n\r\n");
	expect(&c, 200);
	client_close(&c);
}

static void
test_bind_failure(void **state)
{
	struct fixture *f = *state;
	struct config config;
	struct error err = { 0 };

	config_init(&config);
	config.listen[0].port = http_server_port(f->server, 0);
	assert_null(http_server_new(f->base, &config, handle, f, &err));
	assert_non_null(strstr(err.detail, "127.0.0.1"));
	assert_non_null(strstr(err.detail, strerror(EADDRINUSE)));
	str_set(&config.listen[0].addr, "192.0.2.1");
	assert_null(http_server_new(f->base, &config, handle, f, &err));
	assert_non_null(strstr(err.detail, strerror(EADDRNOTAVAIL)));
	config_clear(&config);
	assert_int_equal(http_server_port(f->server, 1), 0);
}

int
main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(test_get),
		TEST(test_head),
		TEST(test_empty_replies),
		TEST(test_no_route),
		TEST(test_methods),
		TEST(test_bodies),
		TEST(test_expect_continue),
		TEST(test_body_limit),
		TEST(test_header_limit),
		TEST(test_framing),
		TEST(test_head_with_body),
		TEST(test_http_1_0),
		TEST(test_half_close),
		TEST(test_request_fields),
		TEST(test_slow_client),
		TEST(test_idle_client),
		TEST(test_reply_not_read),
		TEST(test_stream),
		TEST(test_big_reply),
		TEST(test_late_reply),
		TEST(test_hang_up),
		TEST(test_hang_up_unnoticed),
		TEST(test_pipelining),
		TEST(test_flood_while_pending),
		TEST(test_free_with_pending),
		TEST(test_too_many_connections),
		TEST(test_busy_are_kept),
		TEST(test_thousands),
		TEST(test_no_descriptors),
		TEST(test_memory_bound),
		TEST(test_two_listeners),
		TEST(test_bind_failure),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
