/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a client gets: replies with and without a body, large ones, late ones, and streams. */
#include "http_fixture.h"

#include <string.h>
#include <sys/socket.h>

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
		    "Host: localhost\r\n\r\n");
		read_reply(&c, false, &r);
		assert_int_equal(r.status, 200);
		assert_string_equal(
		    r.body, "{\"runstate\":4,\"host\":\"" UUID "\",\"reason\":\"\",\"last\":0}");
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
	client_send(&c, "POST /vms HTTP/1.1\r\n" JSON "Content-Length: 2\r\n\r\n{}");
	read_reply(&c, false, &r);
	assert_int_equal(r.status, 202);
	assert_header(&r, "Location", "/operations/1");
	assert_string_equal(r.body, "\"x\"");
	reply_clear(&r);
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
	fixture_stop(f);
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

/* What fits into the socket leaves in the turn of the loop that read the request. */
static void
test_at_once(void **state)
{
	struct fixture *f = *state;
	struct client c;
	char text[1024];

	client_connect(&c, f);
	run_for(f, 50);
	for (int i = 0; i < 3; i++) {
		ssize_t n;

		client_send(&c, "GET /healthz HTTP/1.1\r\n\r\n");
		event_base_loop(f->base, EVLOOP_ONCE);
		n = recv(c.fd, text, sizeof(text), MSG_DONTWAIT);
		assert_true(n > 13);
		assert_memory_equal(text, "HTTP/1.1 202 ", 13);
	}
	client_close(&c);
}

static void
test_late_reply(void **state)
{
	struct fixture *f = *state;
	struct client c;

	client_open(&c, f);
	client_send(&c, "GET /readyz HTTP/1.1\r\n" JSON "Content-Length: 2\r\n\r\nab");
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

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_get),
		TEST(test_head),
		TEST(test_empty_replies),
		TEST(test_stream),
		TEST(test_big_reply),
		TEST(test_at_once),
		TEST(test_late_reply),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
