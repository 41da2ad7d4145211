/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the server does not put up with: too much, too slowly, too many at once. */
#include "http_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "proto/shared_text.h"

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
	head = xasprintf("POST /vms HTTP/1.1\r\n" JSON "Content-Length: %zu\r\n\r\n", max - 1);
	client_send(&c, head);
	client_send_bytes(&c, body, max - 1);
	expect(&c, 202);
	assert_int_equal(f->body_len, max - 1);
	/* The client sends it all before it reads, and must find the reply. */
	for (size_t len = max; len <= 2 * max; len += max) {
		_free_ char *over =
		    xasprintf("POST /vms HTTP/1.1\r\n" JSON "Content-Length: %zu\r\n\r\n", len);

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

static unsigned int
count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* A socket is kept for what its client still sends, until that ends it; then the next one, which
 * gets its number, is served. */
static void
test_drained(void **state)
{
	struct fixture *f = *state;
	unsigned int before = count_descriptors();
	struct client c;

	for (int i = 0; i < 3; i++) {
		client_open(&c, f);
		client_send(
		    &c, "POST /vms HTTP/1.1\r\n" JSON "Content-Length: 2000000\r\n\r\nxxxxxxxx");
		expect_problem(&c, 413, "too large");
		assert_true(client_wait_closed(&c, 2000));
		assert_int_equal(count_connections(f), 0);
		assert_int_equal(count_descriptors(), before + 2);
		for (int k = 0; k < 20; k++) {
			client_send(&c, "more of the body");
			run_for(f, 5);
		}
		client_close(&c);
		run_for(f, 50);
		assert_int_equal(count_descriptors(), before);
		client_open(&c, f);
		client_send(&c, "GET /healthz HTTP/1.1\r\n\r\n");
		expect(&c, 202);
		client_close(&c);
		run_for(f, 50);
	}
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

	fixture_stop(f);
	f->config.request_timeout = 20;
	f->config.idle_timeout = 1;
	fixture_start(f);
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
test_too_many_connections(void **state)
{
	struct fixture *f = *state;
	struct client parked[8];
	struct http_stats stats;
	struct client c;
	int64_t begin;

	fixture_stop(f);
	f->config.max_connections = 8;
	f->config.request_timeout = 20;
	fixture_start(f);
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

	fixture_stop(f);
	f->config.max_connections = 4;
	fixture_start(f);
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

/* One client has all connections, and does not read what it asked for. */
static void
test_shares(void **state)
{
	struct fixture *f = *state;
	struct client idle, stuck[3], c, other;

	fixture_stop(f);
	f->config.max_connections = 4;
	f->config.request_timeout = 20;
	fixture_start(f);
	client_connect_from(&idle, f, "127.0.0.3");
	event_add(idle.event, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(stuck); i++) {
		client_connect_from(&stuck[i], f, "127.0.0.2");
		client_send(&stuck[i], "GET /openapi.json HTTP/1.1\r\n\r\n");
		run_for(f, 50);
	}
	run_for(f, 1200);
	assert_int_equal(count_connections(f), 4);

	/* Its longest goes, although another client has waited for longer. */
	client_open(&c, f);
	client_send(&c, "GET /healthz HTTP/1.1\r\n\r\n");
	expect(&c, 202);
	event_add(stuck[0].event, NULL);
	assert_true(client_wait_closed(&stuck[0], 5000));
	assert_false(idle.closed);
	assert_int_equal(count_connections(f), 4);

	/* It gets another for one of its own alone. */
	client_connect_from(&other, f, "127.0.0.2");
	event_add(other.event, NULL);
	client_send(&other, "GET /healthz HTTP/1.1\r\n\r\n");
	expect(&other, 202);
	event_add(stuck[1].event, NULL);
	assert_true(client_wait_closed(&stuck[1], 5000));
	run_for(f, 50);
	assert_false(idle.closed);
	assert_false(c.closed);
	assert_int_equal(count_connections(f), 4);
	client_close(&idle);
	client_close(&c);
	client_close(&other);
	for (size_t i = 0; i < ARRAY_SIZE(stuck); i++)
		client_close(&stuck[i]);
	run_for(f, 50);
	assert_int_equal(count_connections(f), 0);
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
	fixture_stop(f);
	f->config.max_connections = 64;
	f->config.request_timeout = 20;
	fixture_start(f);
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

	fixture_stop(f);
	f->config.request_timeout = 60;
	fixture_start(f);
	for (int i = 0; i < N; i++) {
		client_open(&clients[i], f);
		client_send(
		    &clients[i], "POST /vms HTTP/1.1\r\n" JSON "Content-Length: 1048575\r\n\r\n");
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

/* Reads on until there are so many bytes, or the end, or an error; returns how many came. */
static size_t
read_up_to(struct client *c, size_t most)
{
	static char piece[1 << 16];
	size_t got = 0;

	while (got < most) {
		ssize_t n;

		event_base_loop(c->f->base, EVLOOP_NONBLOCK);
		n = recv(c->fd, piece, sizeof(piece), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			break;
		got += n > 0 ? (size_t)n : 0;
	}
	return got;
}

/* Large replies that nobody reads make room for each other at once, not only at the next tick; not
 * those of another client, who has but one. */
static void
test_replies_are_bounded(void **state)
{
	enum { N = 16 };
	struct fixture *f = *state;
	struct client clients[N + 1];

	/* However long the others take here, none is closed for not being read. */
	fixture_stop(f);
	f->config.request_timeout = 60;
	fixture_start(f);
	for (int i = 0; i < N + 1; i++) {
		client_connect_from(&clients[i], f, i == 0 ? "127.0.0.9" : "127.0.0.1");
		client_send(&clients[i], "GET /openapi.json HTTP/1.1\r\n\r\n");
		for (unsigned int k = 0; k < 100 && f->handled < (unsigned int)i + 1; k++)
			event_base_loop(f->base, EVLOOP_ONCE);
		event_base_loop(f->base, EVLOOP_NONBLOCK);
		assert_in_range(count_connections(f), 1, (256 << 20) / (BIG - (8 << 20)));
	}
	assert_in_range(count_connections(f), 2, N - 3);
	assert_true(read_up_to(&clients[0], BIG) >= BIG);
	assert_true(read_up_to(&clients[1], BIG) < BIG);
	for (int i = 0; i < N + 1; i++)
		client_close(&clients[i]);
	run_for(f, 50);
	assert_int_equal(count_connections(f), 0);
}

/* The same at the next tick, where there is not too much at once. */
static void
test_room_for_replies(void **state)
{
	enum { N = 6, MOST = (128 << 20) / (BIG - (8 << 20)) };
	struct fixture *f = *state;
	struct client clients[N + 1];

	fixture_stop(f);
	f->config.request_timeout = 60;
	fixture_start(f);
	for (int i = 0; i < N + 1; i++) {
		client_connect_from(&clients[i], f, i == 0 ? "127.0.0.9" : "127.0.0.1");
		client_send(&clients[i], "GET /openapi.json HTTP/1.1\r\n\r\n");
	}
	for (int i = 0; i < 100 && (f->handled < N + 1 || count_connections(f) > MOST); i++)
		run_for(f, 100);
	assert_in_range(count_connections(f), 2, MOST);
	assert_true(read_up_to(&clients[0], BIG) >= BIG);
	for (int i = 0; i < N + 1; i++)
		client_close(&clients[i]);
}

/* Bytes that this process has of malloc; 0 where a sanitizer counts itself. */
static size_t
allocated(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

/* What was sent of a large reply is not held until the rest is read, too. */
static void
test_sent_is_free(void **state)
{
	struct fixture *f = *state;
	size_t before = allocated();
	struct client c;

	client_connect(&c, f);
	client_send(&c, "GET /openapi.json HTTP/1.1\r\n\r\n");
	assert_true(read_up_to(&c, BIG / 2) >= BIG / 2);
	/* A little more has left than was read. */
	assert_true(allocated() < before + BIG / 4 * 3);
	client_close(&c);
}

/* Nor are lists that have changed since, of which many clients leave the end unread. */
static void
test_shared_is_bounded(void **state)
{
	enum { N = 5, LEN = 24 << 20, MOST = 32 << 20 };
	struct fixture *f = *state;
	struct client clients[N];
	size_t got[N];

	fixture_stop(f);
	f->config.request_timeout = 60;
	fixture_start(f);
	f->shared_len = LEN;
	for (int i = 0; i < N; i++) {
		client_connect(&clients[i], f);
		client_send(&clients[i], "GET /vms HTTP/1.1\r\n\r\n");
		got[i] = read_up_to(&clients[i], LEN / 2);
	}
	assert_int_equal(count_connections(f), N);
	assert_true(shared_text_alive() <= MOST);
	/* However it is sent, it is whole. */
	for (int i = 0; i < N; i++) {
		assert_true(got[i] + read_up_to(&clients[i], LEN - got[i]) >= LEN);
		client_close(&clients[i]);
	}
	run_for(f, 50);
	assert_int_equal(shared_text_alive(), 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_body_limit),
		TEST(test_drained),
		TEST(test_header_limit),
		TEST(test_slow_client),
		TEST(test_idle_client),
		TEST(test_reply_not_read),
		TEST(test_flood_while_pending),
		TEST(test_too_many_connections),
		TEST(test_busy_are_kept),
		TEST(test_shares),
		TEST(test_thousands),
		TEST(test_no_descriptors),
		TEST(test_memory_bound),
		TEST(test_replies_are_bounded),
		TEST(test_room_for_replies),
		TEST(test_sent_is_free),
		TEST(test_shared_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
