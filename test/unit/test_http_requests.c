/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a request may look like: routes, methods, bodies and their framing, headers. */
#include "http_fixture.h"

#include <string.h>

static void
test_no_route(void **state)
{
	struct fixture *f = *state;

	refused(f, "GET /vmz HTTP/1.1\r\n\r\n", 404, "'/vmz'", false);
	refused(f, "GET / HTTP/1.1\r\n\r\n", 404, "'/'", false);
	refused(f, "GET /vms/ HTTP/1.1\r\n\r\n", 404, "'/vms/'", false);
	refused(f, "GET //vms HTTP/1.1\r\n\r\n", 404, "there is no", false);
	/* What may be a token's secret is not told again, and not logged. */
	refused(f, "DELETE /tokens/virtx_0123456789abcdef HTTP/1.1\r\n\r\n", 404,
	    "there is no '/tokens/virtx_...'", false);
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
		_free_ char *text =
		    xasprintf("%s /vms HTTP/1.1\r\nHost: localhost\r\n\r\n", words[i]);

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
		    xasprintf("%s HTTP/1.1\r\n" JSON "Content-Length: 5\r\n\r\nab\ncd", starts[i]);
		_free_ char *chunked =
		    xasprintf("%s HTTP/1.1\r\n" JSON "Transfer-Encoding: chunked\r\n\r\n"
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
		client_send(&c, "POST /vms HTTP/1.1\r\n" JSON "Content-Length: 3\r\n"
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
test_request_fields(void **state)
{
	static const struct {
		const char *headers;
		const char *user;
		bool looped;
		bool respond_async;
	} rows[] = {
		{ "", "127.0.0.1", false, false },
		/* Whoever is nobody's proxy asks for himself. */
		{ "X-Forwarded-For: 10.1.2.3\r\n", "127.0.0.1", false, false },
		{ "X-VirtX-Loop: 1\r\nX-Forwarded-For: 10.1.2.3\r\n", "127.0.0.1", true, false },
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

static enum guard_who
who(void *arg, const char *addr, const char **why)
{
	return strcmp(addr, arg) == 0 ? GUARD_MEMBER : GUARD_STRANGER;
}

/* For whom a proxy asks, and another host. */
static void
test_user(void **state)
{
	static const struct {
		const char *proxies, *member, *headers, *user;
	} rows[] = {
		{ "", "", "X-Forwarded-For: 10.1.2.3\r\n", "127.0.0.1" },
		{ "127.0.0.1", "", "X-Forwarded-For: 10.1.2.3\r\n", "10.1.2.3" },
		{ "10.0.0.9 127.0.0.0/8", "", "X-Forwarded-For: 10.1.2.3\r\n", "10.1.2.3" },
		{ "127.0.0.1", "", "x-forwarded-for:   fe80::1%eth0 \r\n", "fe80::1%eth0" },
		{ "127.0.0.1", "", "X-Forwarded-For: a\tb\x01<c>\r\n", "a?b??c" },
		{ "127.0.0.1", "", "X-Forwarded-For: 10.1.2.3,\r\n", "127.0.0.1" },
		{ "127.0.0.1", "", "X-Forwarded-For:\r\n", "127.0.0.1" },
		/* What a client sent itself stands left of what its proxy appended. */
		{ "127.0.0.1", "", "X-Forwarded-For: root, 10.1.2.3\r\n", "10.1.2.3" },
		{ "127.0.0.1", "", "X-Forwarded-For: root\r\nX-Forwarded-For: 10.1.2.3\r\n",
		    "10.1.2.3" },
		{ "127.0.0.1 10.0.0.9", "", "X-Forwarded-For: root, 10.1.2.3, 10.0.0.9\r\n",
		    "10.1.2.3" },
		{ "127.0.0.1 10.0.0.9", "", "X-Forwarded-For: 10.0.0.9\r\n", "10.0.0.9" },
		/* A host says so when it asks for somebody. */
		{ "", "127.0.0.1", "X-Forwarded-For: 10.1.2.3\r\n", "127.0.0.1" },
		{ "", "127.0.0.1", "X-VirtX-Loop: 1\r\nX-Forwarded-For: 10.1.2.3\r\n", "10.1.2.3" },
		{ "", "10.0.0.9", "X-VirtX-Loop: 1\r\nX-Forwarded-For: 10.1.2.3\r\n", "127.0.0.1" },
	};
	struct fixture *f = *state;
	struct client c;

	client_open(&c, f);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_free_ char *text = xasprintf("GET /hosts HTTP/1.1\r\n%s\r\n", rows[i].headers);

		str_set(&f->config.trusted_proxies, rows[i].proxies);
		http_server_set_hosts(f->server, NULL, who, (void *)rows[i].member);
		client_send(&c, text);
		expect(&c, 200);
		if (strcmp(f->user, rows[i].user) != 0)
			fail_msg("row %zu: '%s' is not '%s'", i, f->user, rows[i].user);
	}
	client_close(&c);
}

/* Where a listener is open, a host may still state who may do less, and nobody else anything. */
static void
test_states(void **state)
{
	static const struct {
		const char *member, *headers;
		int status;
		const char *caller;
	} rows[] = {
		{ "127.0.0.1",
		    "X-VirtX-Loop: 1\r\nX-VirtX-Caller: token viewer token:v 10.0.0.9\r\n", 200,
		    "token viewer token:v 10.0.0.9" },
		{ "127.0.0.1", "X-VirtX-Loop: 1\r\nX-VirtX-Caller: token viewer\r\n", 400, NULL },
		{ "127.0.0.1", "X-VirtX-Caller: token viewer token:v 10.0.0.9\r\n", 200,
		    "address admin 127.0.0.1 127.0.0.1" },
		{ "10.0.0.9",
		    "X-VirtX-Loop: 1\r\nX-VirtX-Caller: token viewer token:v 10.0.0.9\r\n", 200,
		    "address admin 127.0.0.1 127.0.0.1" },
	};
	struct fixture *f = *state;
	struct client c;

	client_open(&c, f);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_free_ char *text = xasprintf("GET /hosts HTTP/1.1\r\n%s\r\n", rows[i].headers);

		http_server_set_hosts(f->server, NULL, who, (void *)rows[i].member);
		client_send(&c, text);
		expect(&c, rows[i].status);
		if (rows[i].caller)
			assert_string_equal(f->caller, rows[i].caller);
	}
	client_send(&c, "DELETE /vms/" UUID " HTTP/1.1\r\nX-VirtX-Loop: 1\r\n"
			"X-VirtX-Caller: token viewer token:v 10.0.0.9\r\n\r\n");
	expect(&c, 204);
	http_server_set_hosts(f->server, NULL, who, (void *)rows[0].member);
	client_send(&c, "DELETE /vms/" UUID " HTTP/1.1\r\nX-VirtX-Loop: 1\r\n"
			"X-VirtX-Caller: token viewer token:v 10.0.0.9\r\n\r\n");
	expect(&c, 403);
	client_close(&c);
}

/* What hosts ask that have to be known, they have to be by each spelling of its path, also where a
 * listener is open, and whatever a host there states. */
static void
test_known_hosts(void **state)
{
	static const char *const paths[] = { "/cluster/join", "/cluster/%6aoin",
		"/%63luster/joi%6E", "/cluster/certificates", "/cluster/certificate%73",
		"/%63%6c%75%73%74%65%72/%63ertificates" };
	static char member[] = "127.0.0.1";
	struct fixture *f = *state;
	struct client c;

	client_open(&c, f);
	http_server_set_hosts(f->server, NULL, who, member);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		_free_ char *text = xasprintf("POST %s HTTP/1.1\r\nContent-Length: 0\r\n"
					      "X-VirtX-Loop: 1\r\n\r\n",
		    paths[i]);

		client_send(&c, text);
		expect(&c, 401);
	}
	assert_int_equal(f->handled, 0);
	client_close(&c);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_no_route),
		TEST(test_methods),
		TEST(test_bodies),
		TEST(test_expect_continue),
		TEST(test_framing),
		TEST(test_head_with_body),
		TEST(test_request_fields),
		TEST(test_user),
		TEST(test_states),
		TEST(test_known_hosts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
