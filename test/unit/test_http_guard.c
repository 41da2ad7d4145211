/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What pages of other sites try through a browser. */
#include "http_fixture.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

static bool
is_host(void *arg, const char *name)
{
	return strcasecmp(name, "h2") == 0;
}

/* One request with these headers: 0 for one that the handler got, else the problem's status. */
static int
ask(struct fixture *f, const char *line, const char *headers, const char *body)
{
	_free_ char *text = xasprintf(
	    "%s HTTP/1.1\r\n%sContent-Length: %zu\r\n\r\n%s", line, headers, strlen(body), body);
	unsigned int handled = f->handled;
	struct client c;
	struct reply r;
	int status;

	client_open(&c, f);
	client_send(&c, text);
	read_reply(&c, false, &r);
	if (f->handled == handled)
		assert_header(&r, "Content-Type", "application/problem+json");
	status = f->handled == handled ? r.status : 0;
	reply_clear(&r);
	client_close(&c);
	return status;
}

static void
test_body_type(void **state)
{
	static const struct {
		const char *headers;
		int status;
	} rows[] = {
		{ "", 415 },
		{ "Content-Type: text/plain\r\n", 415 },
		{ "Content-Type: text/plain;application/json\r\n", 415 },
		{ "Content-Type: application/x-www-form-urlencoded\r\n", 415 },
		{ "Content-Type: multipart/form-data; boundary=x\r\n", 415 },
		{ "Content-Type: application/jsonx\r\n", 415 },
		{ "Content-Type: \r\n", 415 },
		{ JSON "Content-Type: text/plain\r\n", 415 },
		{ JSON, 0 },
		{ "content-type: Application/JSON; charset=utf-8\r\n", 0 },
	};
	static const char *const lines[] = { "POST /vms", "PUT /vms/" UUID, "DELETE /vms/" UUID,
		"GET /vms", "POST /vms/" UUID "/runstate/boot" };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(lines); k++)
			assert_int_equal(ask(f, lines[k], rows[i].headers, "{}"), rows[i].status);
		/* What has no body has no type. */
		assert_int_equal(
		    ask(f, "POST /vms/" UUID "/runstate/pause", rows[i].headers, ""), 0);
	}
	refused(f, "POST /vms HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
	    415, "Content-Type", false);
}

static void
test_origin(void **state)
{
	static const struct {
		const char *headers;
		int status;
	} rows[] = {
		{ "Host: 10.0.0.1:8080\r\nOrigin: http://10.0.0.1:8080\r\n", 0 },
		{ "Host: LocalHost:8080\r\nOrigin: http://localhost:8080\r\n", 0 },
		{ "Host: localhost\r\nOrigin: https://localhost\r\n", 0 },
		{ "Host: 10.0.0.1:8080\r\nOrigin: http://10.0.0.1:8081\r\n", 403 },
		{ "Host: 10.0.0.1:8080\r\nOrigin: http://10.0.0.1\r\n", 403 },
		{ "Host: 10.0.0.1:8080\r\nOrigin: http://evil.example\r\n", 403 },
		{ "Host: 10.0.0.1:8080\r\nOrigin: http://ui.example:81\r\n", 0 },
		{ "Host: 10.0.0.1:8080\r\nOrigin: https://ui.example\r\n", 0 },
		{ "Host: 10.0.0.1:8080\r\nOrigin: https://ui.exampl\r\n", 403 },
		{ "Host: 10.0.0.1:8080\r\nOrigin: null\r\n", 403 },
		{ "Host: 10.0.0.1:8080\r\nOrigin:\r\n", 403 },
		{ "Origin: http://\r\n", 403 },
		{ "Host: 10.0.0.1\r\nOrigin: http://10.0.0.1\r\nOrigin: http://10.0.0.1\r\n", 403 },
	};
	struct fixture *f = *state;

	str_set(&f->config.allowed_origins, "http://ui.example:81 https://ui.example");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int pause = ask(f, "POST /vms/" UUID "/runstate/pause", rows[i].headers, "");
		int list = ask(f, "GET /vms", rows[i].headers, "");

		if (pause != rows[i].status || list != rows[i].status)
			fail_msg("%s: %d, %d", rows[i].headers, pause, list);
	}
}

static void
test_host(void **state)
{
	static const struct {
		const char *host;
		int status;
	} rows[] = {
		{ "", 0 },
		{ "127.0.0.1", 0 },
		{ "10.1.2.3:8080", 0 },
		{ "[::1]:8080", 0 },
		{ "[fe80::1%25eth0]", 0 },
		{ "localhost", 0 },
		{ "LOCALHOST.:80", 0 },
		{ "h2:8080", 0 },
		{ "H2", 0 },
		{ "alias.example", 0 },
		{ "other.example:80", 0 },
		{ "h3", 421 },
		{ "evil.example", 421 },
		{ "evil.example:8080", 421 },
		{ "localhost.evil.example", 421 },
		{ "alias", 421 },
		{ "127.1", 421 },
		{ "[evil.example]", 421 },
		{ "::1", 400 },
		{ "[::1", 400 },
		{ "localhost:80x", 400 },
		{ "localhost:80:80", 400 },
		{ ":80", 400 },
		{ "127.0.0.1\r\nHost: localhost", 400 },
	};
	struct fixture *f = *state;
	char self[HOST_NAME_MAX + 1];
	_free_ char *own = NULL;
	struct client c;

	str_set(&f->config.host_names, "alias.example  other.example");
	http_server_set_hosts(f->server, is_host, NULL, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_free_ char *header = xasprintf("Host: %s\r\n", rows[i].host);
		int status = ask(f, "GET /vms", header, "");

		if (status != rows[i].status)
			fail_msg("%s: %d", rows[i].host, status);
	}
	assert_int_equal(gethostname(self, sizeof(self)), 0);
	own = xasprintf("Host: %s:80\r\n", self);
	assert_int_equal(ask(f, "GET /vms", own, ""), 0);
	refused(f, "GET /vms HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, "host_names", false);

	client_open(&c, f);
	client_send(&c, "GET /vms HTTP/1.0\r\n\r\n");
	expect(&c, 204);
	client_close(&c);
}

static enum guard_who
who(void *arg, const char *addr, const char **why)
{
	*why = "it is not connected";
	return strcmp(addr, "10.0.0.2") == 0   ? GUARD_MEMBER
	       : strcmp(addr, "10.0.0.3") == 0 ? GUARD_UNKNOWN
					       : GUARD_STRANGER;
}

/* What hosts ask of each other. */
static void
test_internal(void **state)
{
	static const enum route_id internal[] = { ROUTE_GOSSIP_VMS, ROUTE_VM_RESERVE,
		ROUTE_VM_RESERVE_END };
	struct guard guard = { .who = who };
	struct error err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(internal); i++) {
		const struct route *route = &routes[internal[i]];

		assert_int_equal(guard_check_client(&guard, route, "10.0.0.2", &err), 0);
		assert_int_equal(guard_check_client(&guard, route, "127.0.0.1", &err), 0);
		assert_int_equal(guard_check_client(&guard, route, "::1", &err), 0);
		assert_int_equal(guard_check_client(&guard, route, "10.0.0.9", &err), -1);
		assert_int_equal(err.status, 403);
		assert_int_equal(error_get_type(&err), ERROR_NOT_A_MEMBER);
		assert_non_null(strstr(err.detail, "10.0.0.9"));
		assert_int_equal(guard_check_client(&guard, route, "10.0.0.3", &err), -1);
		assert_int_equal(err.status, 503);
		assert_non_null(strstr(err.detail, "it is not connected"));
	}
	assert_int_equal(guard_check_client(&guard, &routes[ROUTE_VM_LIST], "10.0.0.9", &err), 0);
	guard.who = NULL;
	assert_int_equal(
	    guard_check_client(&guard, &routes[ROUTE_GOSSIP_VMS], "10.0.0.2", &err), -1);
	assert_int_equal(err.status, 503);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_body_type),
		TEST(test_origin),
		TEST(test_host),
		TEST(test_internal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
