/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "api/handlers.h"

static void
test_each_route_has_its_own_handler(void **state)
{
	for (int i = 0; i < ROUTE_N; i++) {
		if (!api_handlers[i])
			fail_msg("route %d, '%s', has no handler", i, routes[i].path);
		for (int k = 0; k < i; k++) {
			if (api_handlers[i] == api_handlers[k])
				fail_msg("routes %d and %d have the same handler", k, i);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_route_has_its_own_handler),
	};

	return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
