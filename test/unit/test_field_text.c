/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Values as people write them; test_yaml_read.c has more of them in files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "proto/model.h"
#include "virtx/field_text.h"

static const struct field *
total_field(void)
{
	return &vmdef_memory_model.fields[0];
}

static void
test_sizes(void **state)
{
	static const struct {
		const char *text;
		int32_t mib;
	} cases[] = {
		{ "0", 0 },
		{ "4096", 4096 },
		{ "4G", 4096 },
		{ "4 GiB", 4096 },
		{ "0.5g", 512 },
		{ "1024k", 1 },
		{ "2047T", 2146435072 },
		{ "1048.576MB", 1000 },
		{ "-1", -1 },
	};
	struct vmdef_memory memory = { 0 };
	struct error err;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(field_read(total_field(), &memory, cases[i].text, false, &err), 0);
		assert_int_equal(memory.total, cases[i].mib);
	}
}

static void
test_what_is_none(void **state)
{
	static const char *const cases[] = { "", "x", "4GB", "4KB", "1K", "4Gi", "4  G", ".5G",
		"1.2345G", "-4G", "010", "2048T", "9999999999G", "4G ", "0x10" };
	struct vmdef_memory memory = { .total = 7 };
	struct error err;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(field_read(total_field(), &memory, cases[i], false, &err), -1);
		assert_non_null(strstr(err.detail, cases[i]));
		assert_int_equal(memory.total, 7);
	}
	assert_int_equal(field_read(total_field(), &memory, "4", true, &err), -1);
	assert_int_equal(memory.total, 7);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_what_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
