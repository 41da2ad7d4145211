/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serf/pacer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void
test_rates(void **state)
{
	struct pacer pacer;

	pacer_init(&pacer, 0);
	pacer_set_size(&pacer, 100, 100, 0);
	assert_int_equal(pacer_wait(&pacer, 2, 0), 0);
	pacer_take(&pacer, 2, 0);
	/* Not its own, but nobody else needs it; and then one at a time. */
	assert_false(pacer_has(&pacer, 1, 0));
	assert_int_equal(pacer_wait(&pacer, 1, 0), 0);
	pacer_take(&pacer, 1, 0);
	assert_int_equal(pacer_wait(&pacer, 1, 0), 2000);
	assert_int_equal(pacer_wait(&pacer, 1, 2000), 0);
	/* The others have been told much: 36 tokens are missing, at 5 a second. */
	pacer_hear(&pacer, 100, 2000);
	assert_in_range(pacer_wait(&pacer, 1, 2000), 7200, 7201);
	pacer_hear(&pacer, 100, 2000);
	assert_in_range(pacer_wait(&pacer, 1, 2000), 27200, 27201);
	assert_in_range(pacer_wait_calm(&pacer, 2000), 27200, 27201);
	/* Its own come whatever the others do. */
	pacer_hear(&pacer, 1000, 2000);
	assert_in_range(pacer_wait(&pacer, 1, 2000), 38000, 38001);
	assert_int_equal(pacer_wait(&pacer, 1, 40001), 0);
	assert_true(pacer_has(&pacer, 1, 40001));
	assert_true(pacer_cost(111) == 1 && pacer_cost(600) == 4 && pacer_cost(1020) == 8);
	assert_int_equal(pacer_period(32), 15000);
	assert_int_equal(pacer_period(33), 30000);
	assert_int_equal(pacer_period(100), 60000);
	/* The HIs alone must leave room for news. */
	for (unsigned int n = 2; n <= 300; n++)
		assert_true(
		    n * 1000.0 / (double)pacer_period(n) <= pacer_cluster_rate(n) / 2 * 0.6);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
