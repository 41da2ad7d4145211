/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "work/work.h"

static void
test_each_work_has_its_own_function(void **state)
{
	for (int i = 0; i < WORK_N; i++) {
		if (!works[i].run)
			fail_msg("work %d has no function", i);
		for (int k = 0; k < i; k++) {
			if (works[i].run == works[k].run)
				fail_msg("works %d and %d have the same function", k, i);
		}
	}
}

static void
test_each_row_is_complete(void **state)
{
	for (int i = 0; i < WORK_N; i++) {
		if (str_empty(works[i].name) || str_empty(works[i].summary))
			fail_msg("work %d has no name or no summary", i);
		/* Each has at least an environment to work in. */
		assert_non_null(works[i].request);
		/* Nothing may run without end. */
		assert_true(works[i].deadline > 0);
	}
}

/* A name that two rows have would run the first of them for both. */
static void
test_each_is_found_by_its_name(void **state)
{
	for (int i = 0; i < WORK_N; i++)
		assert_ptr_equal(work_find(works[i].name), &works[i]);
	assert_null(work_find("vm-"));
	assert_null(work_find(""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_work_has_its_own_function),
		cmocka_unit_test(test_each_row_is_complete),
		cmocka_unit_test(test_each_is_found_by_its_name),
	};

	return cmocka_run_group_tests_name("work", tests, NULL, NULL);
}
