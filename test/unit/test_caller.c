/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/caller.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void
test_both_ways(void **state)
{
	static const struct {
		struct caller caller;
		const char *text;
	} cases[] = {
		{ { CALLER_TOKEN, ROLE_OPERATOR, "token:ci", "10.0.0.9" },
		    "token operator token:ci 10.0.0.9" },
		{ { CALLER_SOCKET, ROLE_ADMIN, "uid:0", "unix" }, "socket admin uid:0 unix" },
		{ { CALLER_ADDRESS, ROLE_ADMIN, "fe80::1%eth0", "fe80::1%eth0" },
		    "address admin fe80::1%25eth0 fe80::1%25eth0" },
		{ { CALLER_TOKEN, ROLE_VIEWER, "a b\"?", "x" }, "token viewer a%20b%22%3F x" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[CALLER_TEXT_SIZE];
		struct caller read;
		struct error err = { 0 };

		caller_write(&cases[i].caller, text);
		assert_string_equal(text, cases[i].text);
		if (caller_read(text, &read, &err) < 0)
			fail_msg("%s: %s", text, err.detail);
		assert_memory_equal(&read, &cases[i].caller, sizeof(read));
	}
}

/* What only hosts may do, a host has nobody else do. */
static void
test_host(void **state)
{
	const struct caller host = { CALLER_CERTIFICATE, ROLE_HOST, "host:1", "10.0.0.1" };
	char text[CALLER_TEXT_SIZE];

	caller_write(&host, text);
	assert_string_equal(text, "certificate admin host:1 10.0.0.1");
}

/* All that may be in it fits. */
static void
test_longest(void **state)
{
	struct caller longest = { .by = CALLER_CERTIFICATE, .role = ROLE_OPERATOR }, read;
	char text[CALLER_TEXT_SIZE];
	struct error err = { 0 };

	memset(longest.user, '%', CALLER_USER_MAX);
	memset(longest.from, ' ', CALLER_USER_MAX);
	caller_write(&longest, text);
	assert_int_equal(caller_read(text, &read, &err), 0);
	assert_memory_equal(&read, &longest, sizeof(read));
}

static void
test_malformed(void **state)
{
	static const char *const bad[] = {
		"", " ", "token", "token viewer", "token viewer a", "token viewer a ",
		"token viewer  b", " token viewer a b", "token viewer a b ", "token viewer a b c",
		"token none a b", "token host a b", "token Viewer a b", "nothing viewer a b",
		"token viewer a%0Ab c", "token viewer a%00 c", "token viewer a%zz c",
		"token viewer a%4 c", "token viewer a% c", "token viewer a %",
		"token viewer a\tb c", "token viewer \xc3\xa4 c", "token viewer %c3%a4 c",
		"certificatecertificate viewer a b",
		"token viewer aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa b"
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct caller read = { .role = ROLE_HOST };
		struct error err = { 0 };

		if (caller_read(bad[i], &read, &err) == 0)
			fail_msg("'%s' was read", bad[i]);
		assert_int_equal(err.status, 400);
		assert_int_equal(read.role, ROLE_NONE);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_host),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
