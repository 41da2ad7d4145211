/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/text.h"
#include "proto/util.h"

static void
test_copies_what_fits(void **state)
{
	char text[4];

	text_copy(text, sizeof(text), "");
	assert_string_equal(text, "");
	text_copy(text, sizeof(text), "abc");
	assert_string_equal(text, "abc");
	text_copy(text, sizeof(text), "abcd");
	assert_string_equal(text, "abc");
	text_copy(text, 1, "abc");
	assert_string_equal(text, "");
}

static void
test_decimals(void **state)
{
	static const struct {
		int64_t value;
		const char *text;
	} rows[] = {
		{ 0, "0" },
		{ 7, "7" },
		{ -10, "-10" },
		{ INT64_MAX, "9223372036854775807" },
		{ INT64_MIN, "-9223372036854775808" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[TEXT_DECIMAL_SIZE];

		assert_int_equal(text_decimal(text, rows[i].value), strlen(rows[i].text));
		assert_string_equal(text, rows[i].text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copies_what_fits),
		cmocka_unit_test(test_decimals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
