/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <cmocka.h>

#include "proto/util.h"

static void
test_refusal(void **state)
{
	static const struct {
		const char *addr, *why;
	} rows[] = {
		{ "127.0.0.1", "loopback" },
		{ "127.255.1.2", "loopback" },
		{ "::1", "loopback" },
		{ "::ffff:127.0.0.1", "loopback" },
		{ "0.0.0.0", "any" },
		{ "0.1.2.3", "any" },
		{ "::", "any" },
		{ "::ffff:0.0.0.0", "any" },
		{ "169.254.169.254", "link-local" },
		{ "::ffff:169.254.1.1", "link-local" },
		{ "fe80::1", "link-local" },
		{ "224.0.0.1", "multicast" },
		{ "239.1.2.3", "multicast" },
		{ "255.255.255.255", "multicast" },
		{ "ff02::1", "multicast" },
		{ "localhost", "no IP address" },
		{ "", "no IP address" },
		{ "192.0.2.1 ", "no IP address" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *why = address_refusal(rows[i].addr);

		if (!why || !strstr(why, rows[i].why))
			fail_msg("'%s': %s", rows[i].addr, str_or_empty(why));
	}
	assert_null(address_refusal("192.0.2.1"));
	assert_null(address_refusal("2001:db8::1"));
	assert_null(address_refusal("::ffff:192.0.2.1"));
}

/* Whatever this machine has is its own. */
static void
test_own(void **state)
{
	struct ifaddrs *all, *at;
	char text[ADDRESS_SIZE];

	assert_int_equal(getifaddrs(&all), 0);
	for (at = all; at; at = at->ifa_next) {
		if (!at->ifa_addr || at->ifa_addr->sa_family != AF_INET ||
		    !(at->ifa_flags & IFF_UP))
			continue;
		inet_ntop(
		    AF_INET, &((struct sockaddr_in *)at->ifa_addr)->sin_addr, text, sizeof(text));
		assert_true(address_is_own(text));
		assert_non_null(address_refusal(text));
		assert_true(address_is_usable(text));
	}
	freeifaddrs(all);
	assert_false(address_is_own("192.0.2.1"));
	assert_false(address_is_usable("192.0.2.1"));
	assert_true(address_source("127.0.0.1", text));
	assert_string_equal(text, "127.0.0.1");
	assert_false(address_is_own("no address"));
}

static void
test_list(void **state)
{
	static const struct {
		const char *addr, *list;
		bool in;
	} rows[] = {
		{ "10.0.0.1", "", false },
		{ "10.0.0.1", "10.0.0.1", true },
		{ "10.0.0.1", " 10.0.0.2  10.0.0.1 ", true },
		{ "10.0.0.11", "10.0.0.1", false },
		{ "10.0.0.1", "10.0.0.0/24", true },
		{ "10.0.1.1", "10.0.0.0/24", false },
		{ "10.0.1.1", "10.0.0.0/23", true },
		{ "10.0.2.1", "10.0.0.0/23", false },
		{ "192.0.2.1", "0.0.0.0/0", true },
		{ "::1", "0.0.0.0/0", false },
		{ "::ffff:10.0.0.1", "10.0.0.1", true },
		{ "2001:db8::7", "2001:db8::/32", true },
		{ "2001:db9::7", "2001:db8::/32", false },
		{ "somebody", "0.0.0.0/0 ::/0", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_true(address_list_valid(rows[i].list));
		if (address_in_list(rows[i].addr, rows[i].list) != rows[i].in)
			fail_msg("'%s' in '%s'", rows[i].addr, rows[i].list);
	}
	assert_false(address_list_valid("10.0.0.0/"));
	assert_false(address_list_valid("10.0.0.0/1x"));
	assert_false(address_list_valid("10.0.0.0/-1"));
	assert_false(address_list_valid("10.0.0.1,10.0.0.2"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusal),
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
