/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How connections begin and end: listeners, keep-alive, pipelining, and who hangs up when. */
#include "http_fixture.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "proto/model.h"

#define AHEAD_REQUESTS 2000
#define AHEAD_EACH     8000 /* bytes of each */

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
	assert_int_equal(
	    r.len, strlen("{\"runstate\":4,\"host\":\"" UUID "\",\"reason\":\"\",\"last\":0}"));
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
test_hang_up(void **state)
{
	struct vmruninfo info = { 0 };
	struct fixture *f = *state;
	struct client c;

	client_open(&c, f);
	client_send(&c, "GET /readyz?x=y HTTP/1.1\r\n" JSON "Content-Length: 2\r\n\r\nab");
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
			"POST /vms HTTP/1.1\r\n" JSON "Content-Length: 2\r\n\r\n{}"
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

/* What the server takes of it within a while. */
static size_t
send_for_a_while(struct client *c, const struct buffer *data)
{
	size_t sent = 0;

	for (int idle = 0; idle < 20 && sent < data->len; idle++) {
		ssize_t n =
		    send(c->fd, data->data + sent, data->len - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		assert_true(n > 0 || errno == EAGAIN);
		if (n > 0) {
			sent += (size_t)n;
			idle = 0;
		}
		run_for(c->f, 5);
	}
	return sent;
}

/* What comes while a reply is waited for is left to the kernel beyond a bound, and all of it is
 * answered. */
static void
test_read_ahead(void **state)
{
	_buffer_ struct buffer data = { 0 };
	int64_t end = monotonic_ms() + 20000;
	struct fixture *f = *state;
	struct client c;
	size_t sent;

	for (unsigned int i = 0; i < AHEAD_REQUESTS; i++)
		buffer_printf(&data, "GET /healthz HTTP/1.1\r\nA: %0*u\r\n\r\n", AHEAD_EACH, i);
	client_open(&c, f);
	client_send(&c, "GET /readyz HTTP/1.1\r\n\r\n");
	wait_held(f, 1);
	sent = send_for_a_while(&c, &data);
	assert_in_range(sent, 1, data.len / 2);
	assert_int_equal(f->handled, 1);
	request_reply(f->held[0], 204);
	client_send_bytes(&c, data.data + sent, data.len - sent);
	while (f->handled <= AHEAD_REQUESTS && monotonic_ms() < end)
		event_base_loop(f->base, EVLOOP_ONCE);
	assert_int_equal(f->handled, AHEAD_REQUESTS + 1);
	expect(&c, 204);
	expect(&c, 202);
	client_close(&c);
}

/* Each reply says when it was made, once, as its last header; to HTTP/1.0 none does. */
static void
test_date(void **state)
{
	struct fixture *f = *state;
	int64_t before, after, told;
	struct tm tm = { 0 };
	struct client c;
	struct reply r;
	const char *date;

	client_open(&c, f);
	for (int i = 0; i < 3; i++) {
		before = now_ms() / 1000;
		client_send(&c, "GET /hosts HTTP/1.1\r\n\r\n");
		read_reply(&c, false, &r);
		after = now_ms() / 1000;
		date = strstr(r.head, "\r\nDate: ");
		assert_non_null(date);
		date = strptime(date, "\r\nDate: %a, %d %b %Y %H:%M:%S GMT", &tm);
		assert_non_null(date);
		assert_null(strstr(date, ": "));
		told = timegm(&tm);
		assert_in_range(told, before, after);
		reply_clear(&r);
		/* The last is of another second. */
		while (i == 1 && now_ms() / 1000 == after)
			run_for(f, 10);
	}
	client_close(&c);
	client_open(&c, f);
	client_send(&c, "GET /hosts HTTP/1.0\r\n\r\n");
	read_reply(&c, false, &r);
	assert_null(strstr(r.head, "Date"));
	reply_clear(&r);
	client_close(&c);
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
	fixture_stop(f);
	assert_true(client_wait_closed(&c, 1000));
	request_reply(f->held[0], 204);
	request_reply(f->held[1], 204);
	client_close(&c);
	client_close(&idle);
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
	fixture_stop(f);
	f->config.listen = xrealloc(f->config.listen, 2, sizeof(*f->config.listen));
	f->config.listen[1] = (struct config_listen){ .addr = xstrdup("::1") };
	f->config.n_listen = 2;
	fixture_start(f);
	in6.sin6_port = htons(http_server_port(f->server, 1));
	assert_int_not_equal(in6.sin6_port, htons(http_server_port(f->server, 0)));
	assert_int_equal(connect(c.fd, (struct sockaddr *)&in6, sizeof(in6)), 0);
	c.event = event_new(f->base, c.fd, EV_READ | EV_PERSIST, client_on_readable, &c);
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
	assert_null(http_server_new(f->base, &config, fixture_handle, f, &err));
	assert_non_null(strstr(err.detail, "127.0.0.1"));
	assert_non_null(strstr(err.detail, strerror(EADDRINUSE)));
	str_set(&config.listen[0].addr, "192.0.2.1");
	assert_null(http_server_new(f->base, &config, fixture_handle, f, &err));
	assert_non_null(strstr(err.detail, strerror(EADDRNOTAVAIL)));
	config_clear(&config);
	assert_int_equal(http_server_port(f->server, 1), 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_http_1_0),
		TEST(test_half_close),
		TEST(test_hang_up),
		TEST(test_hang_up_unnoticed),
		TEST(test_pipelining),
		TEST(test_read_ahead),
		TEST(test_date),
		TEST(test_free_with_pending),
		TEST(test_two_listeners),
		TEST(test_bind_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
