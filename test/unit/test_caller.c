/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/caller.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static bool
same(const struct caller *a, const struct caller *b)
{
	return a->by == b->by && a->role == b->role && str_equal(a->user, b->user) &&
	       str_equal(a->from, b->from) && str_equal(a->only_name, b->only_name) &&
	       str_equal(a->only_value, b->only_value);
}

static void
test_both_ways(void **state)
{
	static const struct {
		struct caller caller;
		const char *text;
	} cases[] = {
		{ { .by = CALLER_TOKEN,
		      .role = ROLE_OPERATOR,
		      .user = "token:ci",
		      .from = "10.0.0.9" },
		    "token operator token:ci 10.0.0.9" },
		{ { .by = CALLER_SOCKET, .role = ROLE_ADMIN, .user = "uid:0", .from = "unix" },
		    "socket admin uid:0 unix" },
		{ { .by = CALLER_ADDRESS,
		      .role = ROLE_ADMIN,
		      .user = "fe80::1%eth0",
		      .from = "fe80::1%eth0" },
		    "address admin fe80::1%25eth0 fe80::1%25eth0" },
		{ { .by = CALLER_CERTIFICATE,
		      .role = ROLE_OPERATOR,
		      .user = "user:alice",
		      .from = "10.0.0.9" },
		    "certificate operator user:alice 10.0.0.9" },
		{ { .by = CALLER_TOKEN, .role = ROLE_VIEWER, .user = "a b\"?", .from = "x" },
		    "token viewer a%20b%22%3F x" },
		{ { .by = CALLER_TOKEN,
		      .role = ROLE_VIEWER,
		      .user = "token:a",
		      .from = "x",
		      .only_name = "owner",
		      .only_value = "alice" },
		    "token viewer token:a x owner alice" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[CALLER_TEXT_SIZE];
		struct caller read;
		struct error err = { 0 };

		caller_write(&cases[i].caller, text);
		assert_string_equal(text, cases[i].text);
		if (caller_read(text, &read, &err) < 0)
			fail_msg("%s: %s", text, err.detail);
		assert_true(same(&read, &cases[i].caller));
	}
}

/* What only hosts may do, a host has nobody else do. */
static void
test_host(void **state)
{
	const struct caller host = {
		.by = CALLER_CERTIFICATE, .role = ROLE_HOST, .user = "host:1", .from = "10.0.0.1"
	};
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
	memset(longest.only_name, 'n', VMDEF_CUSTOM_BYTES_MAX);
	memset(longest.only_value, 'v', VMDEF_CUSTOM_BYTES_MAX);
	caller_write(&longest, text);
	assert_int_equal(caller_read(text, &read, &err), 0);
	assert_true(same(&read, &longest));
}

static void
test_malformed(void **state)
{
	static const char *const bad[] = {
		"", " ", "token", "token viewer", "token viewer a", "token viewer a ",
		"token viewer  b", " token viewer a b", "token viewer a b ", "token viewer a b c",
		"token viewer a b c ", "token viewer a b  d", "token viewer a b c d e",
		"token viewer a b c d ", "token viewer a b c%20 d", "token viewer a b c %2e",
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

/* Which VMs are there, and what may become of them. */
static void
test_limits(void **state)
{
	struct custom_field alice[] = { { (char *)"a", (char *)"b" },
		{ (char *)"owner", (char *)"alice" } };
	struct custom_field both[] = { { (char *)"owner", (char *)"alice" },
		{ (char *)"owner", (char *)"bob" } };
	struct custom_field bob[] = { { (char *)"owner", (char *)"bob" },
		{ (char *)"alice", (char *)"owner" } };
	const struct vmdef of_alice = { .custom = alice, .n_custom = 2 };
	const struct vmdef of_both = { .custom = both, .n_custom = 2 };
	const struct vmdef of_bob = { .custom = bob, .n_custom = 2 }, of_none = { 0 };
	const struct caller all = { 0 };
	const struct caller some = { .only_name = "owner", .only_value = "alice" };

	assert_false(caller_is_limited(&all));
	assert_true(caller_sees(&all, &of_bob) && caller_sees(&all, &of_none));
	assert_true(caller_keeps(&all, &of_bob) && caller_keeps(&all, &of_both));
	assert_true(caller_is_limited(&some));
	assert_true(caller_sees(&some, &of_alice) && caller_sees(&some, &of_both));
	assert_false(caller_sees(&some, &of_bob) || caller_sees(&some, &of_none));
	assert_true(caller_keeps(&some, &of_alice));
	assert_false(caller_keeps(&some, &of_both) || caller_keeps(&some, &of_bob));
	assert_false(caller_keeps(&some, &of_none));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_host),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
