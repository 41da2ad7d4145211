/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "proto/util.h"
#include "proto/uuid.h"

static void
test_make(void **state)
{
	char a[UUID_TEXT_SIZE], b[UUID_TEXT_SIZE], c[UUID_TEXT_SIZE];

	uuid_make(a);
	uuid_make(b);
	assert_string_not_equal(a, b);
	assert_int_equal(a[14], '4');
	assert_int_equal(uuid_normalize(a, c), 0);
	assert_string_equal(a, c);
}

static void
test_normalize(void **state)
{
	static const char *const bad[] = {
		"",
		"5a1f3c7e-9b52-4d0a-8f3e-0c1d2e3f4a5",
		"5a1f3c7e-9b52-4d0a-8f3e-0c1d2e3f4a5bb",
		"5a1f3c7e-9b52-4d0a-8f3e-0c1d2e3f4a5g",
		"5a1f3c7e09b52-4d0a-8f3e-0c1d2e3f4a5b",
		"5a1f3c7e9b524d0a8f3e0c1d2e3f4a5b",
		"{5a1f3c7e-9b52-4d0a-8f3e-0c1d2e3f4a5",
		" 5a1f3c7e-9b52-4d0a-8f3e-0c1d2e3f4a5",
		"5a1f3c7e-9b52-4d0a-8f3e--c1d2e3f4a5b",
	};
	char out[UUID_TEXT_SIZE];

	assert_int_equal(uuid_normalize("5A1F3C7E-9B52-4D0A-8F3E-0C1D2E3F4A5B", out), 0);
	assert_string_equal(out, "5a1f3c7e-9b52-4d0a-8f3e-0c1d2e3f4a5b");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(uuid_normalize(bad[i], out), -EINVAL);
		assert_string_equal(out, "");
	}
	assert_int_equal(uuid_normalize(NULL, out), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_make),
		cmocka_unit_test(test_normalize),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
