/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "work/hugepages.h"

static void
test_fit(void **state)
{
	static const struct {
		unsigned int size;
		int64_t n, mib;
		bool fit;
	} rows[] = {
		{ 2048, 32, 64, true },
		{ 2048, 31, 64, false },
		/* Whole pages. */
		{ 2048, 32, 63, true },
		{ 2048, 32, 65, false },
		{ 1048576, 2, 1536, true },
		{ 1048576, 1, 1536, false },
		{ 1048576, 1, 1024, true },
		/* QEMU: "must be equal to or larger than page size". */
		{ 1048576, 8, 1023, false },
		{ 2048, 1, 1, false },
		{ 2048, 0, 2, false },
		{ 2048, -1, 2, false },
		{ 1048576, INT64_C(1) << 30, INT32_MAX, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(hugepages_fit(rows[i].size, rows[i].n, rows[i].mib), rows[i].fit);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fit),
	};

	return cmocka_run_group_tests_name("hugepages", tests, NULL, NULL);
}
