/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "virtx/server.h"

static void
test_server(void **state)
{
	static const struct {
		const char *text, *host;
		unsigned int port;
		bool tls;
		const char *socket, *prefix;
	} cases[] = {
		{ "localhost", "localhost", 8080, false, NULL, NULL },
		{ "host1:9000", "host1", 9000, false, NULL, NULL },
		{ "10.77.0.1", "10.77.0.1", 8080, false, NULL, NULL },
		{ "10.77.0.1:1", "10.77.0.1", 1, false, NULL, NULL },
		{ "::1", "::1", 8080, false, NULL, NULL },
		{ "fe80::1%eth0", "fe80::1%eth0", 8080, false, NULL, NULL },
		{ "[::1]", "::1", 8080, false, NULL, NULL },
		{ "[fd00::2]:65535", "fd00::2", 65535, false, NULL, NULL },
		{ "http://host1", "host1", 8080, false, NULL, NULL },
		{ "http://host1/", "host1", 8080, false, NULL, NULL },
		{ "HTTP://host1:81/", "host1", 81, false, NULL, NULL },
		{ "http://[::1]:81", "::1", 81, false, NULL, NULL },
		{ "https://host1", "host1", 8080, true, NULL, NULL },
		{ "HTTPS://[::1]:81/", "::1", 81, true, NULL, NULL },
		{ "https://proxy/virtx", "proxy", 8080, true, NULL, "/virtx" },
		{ "https://proxy:443/a-1/b_2/c.~/", "proxy", 443, true, NULL, "/a-1/b_2/c.~" },
		{ "http://[::1]:81/virtx", "::1", 81, false, NULL, "/virtx" },
		{ "unix:/run/x.sock", "localhost", 8080, false, "/run/x.sock", NULL },
		{ "http://[::1]/x", "::1", 8080, false, NULL, "/x" },
		{ "unix:///run/x.sock", "localhost", 8080, false, "/run/x.sock", NULL },
		{ "host1", "host1", 8080, false, NULL, NULL },
	};
	struct server server = { 0 };
	struct error err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (server_parse(cases[i].text, &server, &err) < 0)
			fail_msg("%s", err.detail);
		assert_string_equal(server.host, cases[i].host);
		assert_int_equal(server.port, cases[i].port);
		assert_int_equal(server.tls, cases[i].tls);
		assert_true(str_equal(server.socket, cases[i].socket));
		assert_true(str_equal(server.prefix, cases[i].prefix));
	}
	server_clear(&server);
}

static void
test_bad_server(void **state)
{
	static const char *const cases[] = { "", ":8080", "host:", "host:0", "host:65536",
		"host:99999999999", "host:80x", "host: 80", "host:+80", "https://host//",
		"https://", "unix:", "unix:run/x", "unix://run/x", "ftp://host", "http://",
		"http:///", "http:///path", "http://host//path", "http://host/a//b",
		"http://host/..", "http://host/a/../b", "http://host/./", "http://host/a?b",
		"http://host/a#b", "http://host/%2e", "http://host/a b", "http://host/a\r\nX: y",
		"http://host/\xc3\xb6", "http:user@host/", "host/", "host/path", "user@host",
		"[::1", "[::1]x", "[host]:80", "[]", "ho st", "host\r\nX: y", "host?",
		"h\xc3\xb6st" };
	struct server server = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error err = { 0 };

		if (server_parse(cases[i], &server, &err) == 0)
			fail_msg("'%s' was taken", cases[i]);
		assert_int_equal(err.status, SERVER_ERROR_STATUS);
		assert_non_null(strstr(err.detail, "server '"));
		assert_null(server.host);
	}
}

/* What comes before the paths of virtxd is a proxy's. */
static void
test_prefix(void **state)
{
	static const struct {
		const char *given, *path, *own;
	} cases[] = {
		{ "http://h1", "/vms", "/vms" },
		{ "http://h1/a/b/", "/a/b/vms", "/vms" },
		{ "http://h1/a/b", "/a/b/", "/" },
		{ "http://h1/a/b", "/a/b", "/a/b" },
		{ "http://h1/a/b", "/a/bc/vms", "/a/bc/vms" },
		{ "http://h1/a/b", "/vms", "/vms" },
		{ "http://h1:81/a/b", "http://h1/a/b/vms", "/vms" },
		{ "http://h1/a/b", "HTTPS://H1:8443/a/b/vms", "/vms" },
		{ "http://h1", "http://h1/vms", "/vms" },
		{ "https://[fd00::1]:81/a", "https://[fd00::1]:81/a/vms", "/vms" },
		{ "https://[fd00::1]:81/a", "https://fd00::1/a/vms", "https://fd00::1/a/vms" },
		{ "http://h1/a/b", "http://h10/a/b/vms", "http://h10/a/b/vms" },
		{ "http://h1/a/b", "http://h1:x/a/b/vms", "http://h1:x/a/b/vms" },
		{ "http://h1/a/b", "http://x@h1/a/b/vms", "http://x@h1/a/b/vms" },
		{ "http://h1/a/b", "ftp://h1/a/b/vms", "ftp://h1/a/b/vms" },
		{ "http://h1/a/b", "http://h1", "http://h1" },
		{ "http://h1/a/b", "//h1/a/b/vms", "//h1/a/b/vms" },
		{ "http://h1/a/b", "", "" },
	};
	struct server server = { 0 };
	struct error err = { 0 };
	char text[320] = "http://h1/";

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(server_parse(cases[i].given, &server, &err), 0);
		assert_string_equal(server_own_path(&server, cases[i].path), cases[i].own);
	}
	/* With its slash it may have 255 bytes. */
	memset(text + strlen(text), 'a', 254);
	assert_int_equal(server_parse(text, &server, &err), 0);
	assert_int_equal(strlen(server.prefix), 255);
	strcat(text, "a");
	assert_int_equal(server_parse(text, &server, &err), -1);
	assert_int_equal(strlen(server.prefix), 255);
	server_clear(&server);
	assert_null(server.prefix);
}

static void
test_here(void **state)
{
	struct server server = { 0 };
	struct error err = { 0 };

	assert_int_equal(server_here(&server, &err), 0);
	assert_string_equal(server.host, "localhost");
	assert_int_equal(server.port, SERVER_PORT);
	server_set_ca(&server, "/b/ca.pem");
	assert_string_equal(server.ca, "/b/ca.pem");
	server_clear(&server);
}

/* A secret is not sent in the clear unless that was said, and to nobody who was not named. */
static void
test_secret(void **state)
{
	static const struct {
		const char *given;
		bool fails, sent, tls;
	} cases[] = {
		{ NULL, true, false, false },
		{ "h1", false, true, true },
		{ "localhost", false, true, true },
		{ "[fd00::1]:81", false, true, true },
		{ "https://h1", false, true, true },
		{ "http://h1", false, true, false },
		{ "HTTP://[::1]:81/", false, true, false },
		{ "unix:/run/x.sock", false, false, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct server server = { 0 };
		struct error err = { 0 };
		bool sent = false;

		assert_int_equal(cases[i].given ? server_parse(cases[i].given, &server, &err)
						: server_here(&server, &err),
		    0);
		if (cases[i].given || !server.socket) {
			if (server_take_secret(&server, &sent, &err) != (cases[i].fails ? -1 : 0))
				fail_msg("%s: '%s'", cases[i].given, err.detail);
			assert_int_equal(cases[i].fails || sent == cases[i].sent, 1);
			assert_int_equal(server.tls, cases[i].tls);
		}
		if (cases[i].fails && !server.socket)
			assert_non_null(strstr(err.detail, "VIRTX_API_SERVER"));
		server_clear(&server);
	}
}

/* It is shown by TLS alone, and to nobody who was not named. */
static void
test_certificate(void **state)
{
	static const struct {
		const char *given;
		int rc;
		bool shown;
	} cases[] = {
		{ "h1", 0, true },
		{ "https://h1", 0, true },
		{ "http://h1", -1, false },
		{ "unix:/run/x.sock", 0, false },
	};
	struct server server = { 0 };
	struct error err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(server_parse(cases[i].given, &server, &err), 0);
		assert_int_equal(
		    server_set_certificate(&server, "a.pem", "a.key", &err), cases[i].rc);
		assert_true(str_equal(server.certificate, cases[i].shown ? "a.pem" : NULL));
		assert_true(str_equal(server.key, cases[i].shown ? "a.key" : NULL));
		assert_true(!cases[i].shown || server.tls);
		server_clear(&server);
		server = (struct server){ 0 };
	}
	server.said = SERVER_UNSAID;
	assert_int_equal(server_set_certificate(&server, "a.pem", NULL, &err), -1);
	assert_non_null(strstr(err.detail, "VIRTX_API_SERVER"));
	/* The key may be in the same file. */
	assert_int_equal(server_parse("https://h1", &server, &err), 0);
	assert_int_equal(server_set_certificate(&server, NULL, NULL, &err), 0);
	assert_null(server.certificate);
	assert_int_equal(server_set_certificate(&server, "b.pem", NULL, &err), 0);
	assert_string_equal(server.certificate, "b.pem");
	assert_string_equal(server.key, "b.pem");
	assert_int_equal(server_set_certificate(&server, NULL, "b.key", &err), -1);
	assert_non_null(strstr(err.detail, "b.key"));
	server_clear(&server);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_server),
		cmocka_unit_test(test_bad_server),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_here),
		cmocka_unit_test(test_secret),
		cmocka_unit_test(test_certificate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
