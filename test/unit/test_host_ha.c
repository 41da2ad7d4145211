/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/host_ha.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/util.h"

static void
test_parse(void **state)
{
	static const struct {
		const char *text;
		struct host_ha is;
	} rows[] = {
		{ "7:3:10:60", { true, 7, 3, 10, 60 } },
		{ "1:1:1:1", { true, 1, 1, 1, 1 } },
		{ "2000:18446744073709551615:60:600", { true, 2000, UINT64_MAX, 60, 600 } },
	};
	char text[HOST_HA_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct host_ha ha;

		memset(&ha, 0xff, sizeof(ha));
		assert_int_equal(host_ha_parse(rows[i].text, &ha), 0);
		assert_true(ha.armed);
		assert_int_equal(ha.host_id, rows[i].is.host_id);
		assert_true(ha.generation == rows[i].is.generation);
		assert_int_equal(ha.io_timeout, rows[i].is.io_timeout);
		assert_int_equal(ha.fire_timeout, rows[i].is.fire_timeout);
		host_ha_text(&ha, text);
		assert_string_equal(text, rows[i].text);
	}
}

/* A member says of itself what it likes. */
static void
test_refused(void **state)
{
	static const char *const rows[] = { NULL, "", "7", "7:3", "7:3:10",
		"7:3:10:", "7:3:10:60:", "7:3:10:60:1", "7:3:10:60 ", " 7:3:10:60", "7: 3:10:60",
		"+7:3:10:60", "-7:3:10:60", "7:-3:10:60", "0:3:10:60", "7:0:10:60", "7:3:0:60",
		"7:3:10:0", "2001:3:10:60", "7:18446744073709551616:10:60", "7:3:61:60",
		"7:3:10:601", "4294967303:3:10:60", "7:3:10:4294967356", "007:3:10:60",
		"0x7:3:10:60", "7;3;10;60", "7:3:1e1:60", "7:3:10.0:60",
		"::::", "99999999999999999999999999999999:3:10:60" };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct host_ha ha;
		char text[HOST_HA_SIZE];

		memset(&ha, 0xff, sizeof(ha));
		if (host_ha_parse(rows[i], &ha) == 0)
			fail_msg("'%s' was taken", str_or_empty(rows[i]));
		assert_false(ha.armed);
		assert_int_equal(ha.host_id, 0);
		assert_true(ha.generation == 0);
		assert_int_equal(ha.io_timeout, 0);
		assert_int_equal(ha.fire_timeout, 0);
		host_ha_text(&ha, text);
		assert_string_equal(text, "");
	}
}

static void
test_equal(void **state)
{
	static const struct host_ha rows[] = { { 0 }, { true, 7, 3, 5, 60 }, { true, 8, 3, 5, 60 },
		{ true, 7, 4, 5, 60 }, { true, 7, 3, 6, 60 }, { true, 7, 3, 5, 61 } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(rows); j++)
			assert_int_equal(host_ha_equal(&rows[i], &rows[j]), i == j);
	}
}

static void
test_wait(void **state)
{
	const struct host_ha ha = { true, 7, 3, 5, 60 };

	assert_int_equal(host_ha_wait(&ha), 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
