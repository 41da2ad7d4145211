/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a member of the cluster may answer: a fake one sends raw bytes to a server that forwards to
 * it, and a client looks at what gets through. */
#include "http/answer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <malloc.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "http/forward.h"
#include "http/peer.h"
#include "http/server.h"
#include "proto/json.h"
#include "state/inventory.h"
#include "state/operations.h"

#define UUID   "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
#define HOST   "11111111-2222-3333-4444-555555555555"
#define GET    "GET /vms/" UUID " HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define HEAD   "HEAD /vms/" UUID " HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define DELETE "DELETE /vms/" UUID " HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define JSON   "Content-Type: application/json\r\n"
#define OK     "HTTP/1.1 200 OK\r\n"
#define FLOOD  (64 << 20) /* bytes, more than anything may hold */
#define PEERS  64
#define MANY   30

struct fixture {
	struct event_base *base;
	struct config config;
	struct peers *peers;
	struct inventory *inventory;
	struct operations *operations;
	struct forwarder *forwarder;
	struct http_server *front;
	struct forward_address address;
	/* The member: to each request it says this, and then pours the next over and over. */
	struct evconnlistener *listener;
	const char *answer, *pour;
	size_t answer_len;
	bool closes;
	bool asked;
	struct bufferevent *bevs[PEERS];
	size_t n_bevs;
	size_t poured;
	/* The client. */
	int fd;
	struct buffer in;
	bool closed;
};

static void
pour(struct bufferevent *bev, void *arg)
{
	struct fixture *f = arg;
	struct evbuffer *out = bufferevent_get_output(bev);

	if (!f->asked)
		return;
	if (f->closes)
		shutdown(bufferevent_getfd(bev), SHUT_WR);
	while (f->pour && f->poured < FLOOD && evbuffer_get_length(out) < 65536) {
		evbuffer_add(out, f->pour, strlen(f->pour));
		f->poured += strlen(f->pour);
	}
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct fixture *f = arg;
	struct evbuffer *in = bufferevent_get_input(bev);

	evbuffer_drain(in, evbuffer_get_length(in));
	f->asked = true;
	evbuffer_add(bufferevent_get_output(bev), f->answer, f->answer_len);
	if (f->answer_len == 0)
		pour(bev, f);
}

static void
on_accept(
    struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *addr, int len, void *arg)
{
	struct fixture *f = arg;
	struct bufferevent *bev = bufferevent_socket_new(f->base, fd, BEV_OPT_CLOSE_ON_FREE);

	assert_true(f->n_bevs < PEERS);
	f->bevs[f->n_bevs++] = bev;
	bufferevent_setcb(bev, on_read, pour, NULL, f);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
}

static bool
find(void *arg, const char *host, struct forward_address *ret)
{
	struct fixture *f = arg;

	*ret = f->address;
	return true;
}

static void
on_front(void *arg, struct request *req)
{
	struct fixture *f = arg;

	forward_request(f->forwarder, req, HOST);
}

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	struct error err = { 0 };

	f->base = event_base_new();
	config_init(&f->config);
	f->config.listen[0].port = 0;
	f->config.listen[0].access = ACCESS_OPEN;
	f->config.reply_timeout = 1;
	f->peers = peers_new(f->base, NULL);
	f->inventory = inventory_new();
	f->operations = operations_new();
	f->forwarder = forwarder_new(f->peers, &f->config, f->inventory, f->operations, find, f);
	f->front = http_server_new(f->base, &f->config, on_front, f, &err);
	f->listener = evconnlistener_new_bind(
	    f->base, on_accept, f, LEV_OPT_CLOSE_ON_FREE, -1, (struct sockaddr *)&in, sizeof(in));
	getsockname(evconnlistener_get_fd(f->listener), (struct sockaddr *)&in, &len);
	f->address = (struct forward_address){ "127.0.0.1", ntohs(in.sin_port), false };
	f->fd = -1;
	*state = f;
	return 0;
}

static void
forget_peers(struct fixture *f)
{
	while (f->n_bevs > 0)
		bufferevent_free(f->bevs[--f->n_bevs]);
	f->poured = 0;
	f->asked = false;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	http_server_free(f->front);
	forwarder_free(f->forwarder);
	peers_free(f->peers);
	operations_free(f->operations);
	inventory_free(f->inventory);
	evconnlistener_free(f->listener);
	forget_peers(f);
	if (f->fd >= 0)
		close(f->fd);
	config_clear(&f->config);
	event_base_free(f->base);
	buffer_clear(&f->in);
	free(f);
	return 0;
}

static void
turn(struct fixture *f)
{
	static char chunk[256 * 1024];
	struct timeval tv = { 0, 2000 };
	ssize_t n;

	event_base_loopexit(f->base, &tv);
	event_base_dispatch(f->base);
	while ((n = read(f->fd, chunk, sizeof(chunk))) > 0)
		buffer_add(&f->in, chunk, (size_t)n);
	f->closed = n == 0;
}

/* Whether the reply is there: the head, and as much of a body as it says. */
static bool
is_whole(const struct fixture *f, bool head)
{
	const char *end = f->in.data ? strstr(f->in.data, "\r\n\r\n") : NULL;
	const char *length = end ? strstr(f->in.data, "Content-Length: ") : NULL;

	if (!end)
		return false;
	if (head || !length || length > end)
		return true;
	return f->in.len - (size_t)(end + 4 - f->in.data) >= strtoul(length + 16, NULL, 10);
}

static int
connect_front(struct fixture *f)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(http_server_port(f->front, 0)) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	(void)!connect(fd, (struct sockaddr *)&in, sizeof(in));
	return fd;
}

/* One request on a connection of its own, and what the client gets. */
static const char *
ask(struct fixture *f, const char *request)
{
	int64_t end = monotonic_ms() + 20000;

	if (f->fd >= 0)
		close(f->fd);
	f->fd = connect_front(f);
	buffer_clear(&f->in);
	f->closed = false;
	turn(f);
	assert_int_equal(write(f->fd, request, strlen(request)), strlen(request));
	while (!is_whole(f, request[0] == 'H') && !f->closed && monotonic_ms() < end)
		turn(f);
	return str_or_empty(f->in.data);
}

static void
assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("'%.600s' does not hold '%s'", str_or_empty(text), part);
}

static void
assert_refused(struct fixture *f, const char *request, const char *why)
{
	const char *got = ask(f, request), *body = strstr(got, "\r\n\r\n");
	struct problem problem = { 0 };
	struct error err;

	assert_has(got, "HTTP/1.1 502 Bad Gateway\r\n");
	if (request[0] == 'H')
		return;
	assert_has(got, "Content-Type: application/problem+json\r\n");
	assert_has(got, "host '" HOST "' at 127.0.0.1 port");
	assert_has(got, why);
	/* Whatever of the answer is in it. */
	if (json_decode(&problem_model, body + 4, strlen(body + 4), &problem, &err) < 0)
		fail_msg("%s", err.detail);
	model_clear(&problem_model, &problem);
}

/* What came with a wrong answer stays behind: the next client gets its own. */
static void
assert_healthy(struct fixture *f)
{
	const char *got;

	f->answer = OK JSON "Content-Length: 4\r\n\r\ngood";
	f->answer_len = strlen(f->answer);
	f->pour = NULL;
	f->closes = false;
	got = ask(f, GET);
	assert_has(got, "HTTP/1.1 200 OK\r\n");
	assert_has(got, "\r\n\r\ngood");
}

#define BAD(request, answer, why)                               \
	{                                                       \
		request, answer, sizeof(answer) - 1, why, false \
	}
#define CUT(request, answer, why)                              \
	{                                                      \
		request, answer, sizeof(answer) - 1, why, true \
	}

static void
test_bad(void **state)
{
	static const struct {
		const char *request, *answer;
		size_t len;
		const char *why;
		bool closes;
	} rows[] = {
		BAD(GET, "HTTP/1.1 304 Not Modified\r\nContent-Length: 60000\r\n\r\n",
		    "status 304"),
		BAD(GET, "HTTP/1.1 150 Wait\r\nContent-Length: 60000\r\n\r\n", "status 150"),
		BAD(GET, "HTTP/1.1 100 Continue\r\n\r\n" OK JSON "Content-Length: 2\r\n\r\n{}",
		    "status 100"),
		BAD(GET, "HTTP/1.1 -500 No\r\n" JSON "Content-Length: 2\r\n\r\n{}", "status -500"),
		BAD(GET, "HTTP/1.1 99999 No\r\n" JSON "Content-Length: 2\r\n\r\n{}",
		    "status 99999"),
		BAD(GET, "HTTP/1.1 600 No\r\n" JSON "Content-Length: 2\r\n\r\n{}", "status 600"),
		BAD(GET, "HTTP/1.1 302 Found\r\nLocation: //evil/\r\nContent-Length: 0\r\n\r\n",
		    "status 302"),
		BAD(DELETE, "HTTP/1.1 204 No Content\r\n" JSON "Content-Length: 2\r\n\r\n{}",
		    "status 204 and a body"),
		BAD(DELETE, "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
		    "status 204 and a body"),
		BAD(DELETE, "HTTP/1.1 204 No Content\r\n\r\nPOISON", "more than its answer"),
		BAD(GET, OK JSON "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
		    "several Content-Length"),
		BAD(GET, OK JSON "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
		    "several Content-Length"),
		BAD(GET, OK JSON "Content-Length: -2\r\n\r\n{}", "'-2' that is no length"),
		BAD(GET, OK JSON "Content-Length: +2\r\n\r\n{}", "'+2' that is no length"),
		BAD(GET, OK JSON "Content-Length: 0x2\r\n\r\n{}", "'0x2' that is no length"),
		BAD(GET, OK JSON "Content-Length: 9999999999999999999999\r\n\r\n", "no length"),
		BAD(GET, OK JSON "Content-Length:\r\n\r\n{}", "no length"),
		BAD(GET, OK JSON "Content-Length: 99999999999\r\n\r\n{}", "too large"),
		BAD(GET,
		    OK JSON "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
			    "2\r\n{}\r\n0\r\n\r\n",
		    "sent "),
		BAD(GET, OK JSON "Transfer-Encoding: gzip\r\n\r\n{}", "not 'chunked'"),
		BAD(GET, OK JSON "Transfer-Encoding: chunked\r\n\r\n-5\r\n{}\r\n", "sent "),
		BAD(GET, OK JSON "Transfer-Encoding: chunked\r\n\r\nffffffff\r\n{}\r\n",
		    "too large"),
		BAD(GET, OK JSON "Content-Length: 2\r\n\r\n{}" OK "Content-Length: 6\r\n\r\nPOISON",
		    "more than its answer"),
		BAD(HEAD, OK JSON "Content-Length: 6\r\n\r\nPOISON", "more than its answer"),
		BAD(GET, OK "Content-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
		    "'text/html'"),
		BAD(GET, OK "Content-Type: text/event-stream\r\nContent-Length: 6\r\n\r\ndata: ",
		    "'text/event-stream'"),
		BAD(GET, OK "Content-Length: 6\r\n\r\n<html>", "a body of type ''"),
		BAD(GET, OK "Content-Type: application/jsonx\r\nContent-Length: 2\r\n\r\n{}",
		    "'application/jsonx'"),
		BAD(GET, OK "Content-Type: a/\xff\xc3(\xe2\x80\r\nContent-Length: 2\r\n\r\n{}",
		    "a body of type 'a/"),
		BAD(GET, OK JSON "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
		    "encoded as 'gzip'"),
		BAD(GET, OK JSON "Content-Length: 2\r\nWarning: a\033[31m\r\n\r\n{}",
		    "control characters"),
		BAD(GET, OK JSON "Content-Length: 2\r\nSet Cookie: a\r\n\r\n{}", "bad name"),
		BAD(GET, OK JSON "Content-Length: 2\r\nLocation: https://evil/\r\n\r\n{}",
		    "Location that is no path"),
		BAD(GET, OK JSON "Content-Length: 2\r\nLocation: //evil/\r\n\r\n{}",
		    "Location that is no path"),
		BAD(GET, "HTTP/1.1 200 OK\r\nno header at all\r\n\r\n", "no HTTP answer"),
		BAD(GET, "\0\0\0\0\r\n\r\n", "no HTTP answer"),
		CUT(GET, OK JSON "\r\n{}", "does not say how long"),
		CUT(GET, OK JSON "Content-Length: 10\r\n\r\n{}", "before its answer was whole"),
		CUT(GET, OK JSON "Transfer-Encoding: chunked\r\n\r\n5\r\n{}",
		    "before its answer was whole"),
		CUT(GET, OK JSON "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
		    "before its answer was whole"),
		CUT(GET, OK JSON "Content-Le", "before its answer was whole"),
		CUT(GET, "", "before its answer was whole"),
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		f->answer = rows[i].answer;
		f->answer_len = rows[i].len;
		f->closes = rows[i].closes;
		assert_refused(f, rows[i].request, rows[i].why);
		assert_healthy(f);
		forget_peers(f);
	}
}

/* Headers by the dozen, and large ones. */
static void
test_headers(void **state)
{
	struct fixture *f = *state;
	_buffer_ struct buffer many = { 0 }, large = { 0 };

	buffer_printf(&many, OK JSON "Content-Length: 2\r\n");
	for (int i = 0; i < ANSWER_HEADERS_MAX; i++)
		buffer_printf(&many, "X-%d: 1\r\n", i);
	buffer_printf(&many, "\r\n{}");
	f->answer = many.data;
	f->answer_len = many.len;
	assert_refused(f, GET, "more than 64 headers");
	assert_healthy(f);

	buffer_printf(&large, OK JSON "Content-Length: 2\r\nWarning: %09000d\r\n\r\n{}", 1);
	f->answer = large.data;
	f->answer_len = large.len;
	assert_refused(f, GET, "too long");
	assert_healthy(f);

	buffer_clear(&large);
	buffer_printf(&large, OK JSON "Content-Length: 2\r\nX%064d: 1\r\n\r\n{}", 1);
	f->answer = large.data;
	f->answer_len = large.len;
	assert_refused(f, GET, "a header with a bad name");
	assert_healthy(f);
}

/* What is right gets through, but for what a browser would act upon. */
static void
test_good(void **state)
{
	static const char nuls[] = OK JSON "Content-Length: 8\r\n\r\n{\0\0\0\0\0\0}";
	struct fixture *f = *state;
	struct http_stats stats;
	const char *got;

	f->answer = OK "Content-Type: Application/JSON;charset=utf-8\r\nContent-Length: 2\r\n"
		       "Set-Cookie: a=b\r\nAccess-Control-Allow-Origin: *\r\nX-Other: 1\r\n"
		       "Location: /operations/7\r\nWarning: 299 VirtX \"left\"\r\n"
		       "X-VirtX-Refused: 1 2 3 4\r\nRetry-After: 7\r\n\r\n{}";
	f->answer_len = strlen(f->answer);
	got = ask(f, GET);
	assert_has(got, "HTTP/1.1 200 OK\r\n");
	assert_has(got, "Content-Type: application/json\r\n");
	assert_has(got, "Location: /operations/7\r\n");
	assert_has(got, "Warning: 299 VirtX \"left\"\r\n");
	assert_has(got, "Retry-After: 7\r\n");
	assert_null(strstr(got, "Set-Cookie"));
	assert_null(strstr(got, "Access-Control"));
	assert_null(strstr(got, "X-Other"));
	assert_null(strstr(got, "X-VirtX-Refused"));

	/* A body is as long as it is, whatever is in it. */
	f->answer = nuls;
	f->answer_len = sizeof(nuls) - 1;
	ask(f, GET);
	assert_memory_equal(f->in.data + f->in.len - 8, nuls + sizeof(nuls) - 9, 8);

	f->answer = "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n"
		    "Transfer-Encoding: chunked\r\n\r\n5\r\nno VM\r\n0\r\n\r\n";
	f->answer_len = strlen(f->answer);
	got = ask(f, GET);
	assert_has(got, "HTTP/1.1 404 Not Found\r\n");
	assert_has(got, "Content-Type: text/plain");
	assert_has(got, "\r\n\r\nno VM");

	f->answer = OK JSON "Content-Length: 60000\r\n\r\n";
	f->answer_len = strlen(f->answer);
	got = ask(f, HEAD);
	assert_has(got, "Content-Length: 60000\r\n");
	f->answer = "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n";
	f->answer_len = strlen(f->answer);
	assert_has(ask(f, DELETE), "HTTP/1.1 204 No Content\r\n");
	http_server_get_stats(f->front, &stats);
	assert_int_equal(stats.replies[ROUTE_VM_GET][2], 3);
	assert_int_equal(stats.replies[ROUTE_VM_GET][4], 1);
}

/* Without an end: each is given up after a bounded number of bytes, long before its deadline. */
static void
test_endless(void **state)
{
	static const struct {
		const char *answer, *pour, *why;
		size_t max;
	} rows[] = {
		{ "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "status 100",
		    1 << 20 },
		{ "HTTP/1.1 200 ", "OKOKOKOKOKOKOK", "headers are too large", 8 << 20 },
		{ OK, "X-A: aaaaaaaaaaaaaaaaaaaaa\r\n", "headers are too large", 8 << 20 },
		{ OK JSON "Transfer-Encoding: chunked\r\n\r\n", "0000000000000000", "at once",
		    8 << 20 },
		{ OK JSON "Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", "too large", FLOOD },
		{ OK JSON "Transfer-Encoding: chunked\r\n\r\n0\r\n", "X-A: aaaaaaaaaaaaaaaaa\r\n",
		    "too large", 8 << 20 },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t start = monotonic_ms();

		f->answer = rows[i].answer;
		f->answer_len = strlen(f->answer);
		f->pour = rows[i].pour;
		assert_refused(f, GET, rows[i].why);
		if (f->poured > rows[i].max)
			fail_msg("%zu bytes were taken of '%s'", f->poured, rows[i].pour);
		assert_true(monotonic_ms() - start < 9000);
		assert_healthy(f);
		forget_peers(f);
	}
}

/* Many answers at once, none of which ends: what they hold together is bounded. */
static void
test_held(void **state)
{
	struct fixture *f = *state;
	_buffer_ struct buffer answer = { 0 };
	int64_t end = monotonic_ms() + 20000;
	struct peers_stats stats;
	int fds[MANY];

	buffer_printf(&answer, OK JSON "Transfer-Encoding: chunked\r\n\r\nf0000\r\n%0900000d", 0);
	f->answer = answer.data;
	f->answer_len = answer.len;
	for (size_t i = 0; i < MANY; i++) {
		fds[i] = connect_front(f);
		turn(f);
		assert_int_equal(write(fds[i], GET, strlen(GET)), strlen(GET));
	}
	do {
		turn(f);
		peers_get_stats(f->peers, &stats);
	} while ((stats.failed < MANY / 2 || f->n_bevs < MANY) && monotonic_ms() < end);
	assert_in_range(stats.failed, MANY / 2, MANY - 1);
	assert_in_range(stats.calls, 8, 15);
	for (size_t i = 0; i < MANY; i++)
		close(fds[i]);
}

/* A body of single bytes, each at the end of what is read at once: what is kept is the body. */
static void
test_sparse(void **state)
{
	struct fixture *f = *state;
	_free_ char *chunk = xasprintf("\r\n1%4090s\r\nx", "");
	int64_t end = monotonic_ms() + 9000;
	size_t before;

	f->answer = OK JSON "Transfer-Encoding: chunked\r\n\r\n";
	f->answer_len = strlen(f->answer);
	f->pour = chunk;
	f->fd = connect_front(f);
	turn(f);
	before = mallinfo2().uordblks;
	assert_int_equal(write(f->fd, GET, strlen(GET)), strlen(GET));
	while (f->poured < FLOOD / 2 && monotonic_ms() < end)
		turn(f);
	assert_true(f->poured > 1 << 20);
	assert_in_range(mallinfo2().uordblks, 0, before + f->poured / 32);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bad, setup, teardown),
		cmocka_unit_test_setup_teardown(test_headers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_good, setup, teardown),
		cmocka_unit_test_setup_teardown(test_endless, setup, teardown),
		cmocka_unit_test_setup_teardown(test_held, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sparse, setup, teardown),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
