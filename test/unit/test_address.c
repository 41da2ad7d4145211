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
	}
	freeifaddrs(all);
	assert_false(address_is_own("192.0.2.1"));
	assert_false(address_is_own("no address"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusal),
		cmocka_unit_test(test_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
