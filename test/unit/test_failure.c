/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Exit codes and what is said with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "virtx/failure.h"

static void
test_codes(void **state)
{
	static const struct {
		enum command_result result;
		int status, code;
	} cases[] = {
		{ COMMAND_OK, 404, 0 },
		{ COMMAND_USAGE, 404, 2 },
		{ COMMAND_FAILED, CLIENT_ERROR_STATUS, 1 },
		{ COMMAND_FAILED, 400, 1 },
		{ COMMAND_FAILED, 424, 1 },
		{ COMMAND_FAILED, 500, 1 },
		{ COMMAND_FAILED, 404, 3 },
		{ COMMAND_FAILED, 409, 4 },
		{ COMMAND_FAILED, 422, 5 },
		{ COMMAND_FAILED, 401, 6 },
		{ COMMAND_FAILED, 403, 6 },
		{ COMMAND_FAILED, 502, 7 },
		{ COMMAND_FAILED, 503, 7 },
		{ COMMAND_FAILED, CLIENT_UNREACHABLE_STATUS, 7 },
		{ COMMAND_FAILED, 504, 8 },
		{ COMMAND_FAILED, CLIENT_GOES_ON_STATUS, 8 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct error err = { .status = cases[i].status };

		assert_int_equal(failure_code(cases[i].result, &err), cases[i].code);
	}
}

static void
assert_prints(enum failure_code code, const struct error *err, bool json, const char *expected)
{
	_free_ char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	failure_print(out, code, err, json);
	fclose(out);
	assert_string_equal(text, expected);
}

static void
test_what_is_said(void **state)
{
	const struct error busy = {
		.status = 409, .detail = "VM \"\x1b[2J\" is busy", .vm = "v", .operation = "o"
	};
	const struct error usage = { .status = CLIENT_ERROR_STATUS, .detail = "no" };

	assert_prints(FAILURE_CONFLICT, &busy, false, "virtx: VM \"?[2J\" is busy\n");
	assert_prints(FAILURE_CONFLICT, &busy, true,
	    "{\"code\":4,\"status\":409,\"detail\":\"VM \\\"\\u001B[2J\\\" is busy\","
	    "\"vm\":\"v\",\"operation\":\"o\"}\n");
	assert_prints(FAILURE_USAGE, &usage, false,
	    "virtx: no\nTry 'virtx --help' or 'virtx COMMAND --help'.\n");
	assert_prints(FAILURE_USAGE, &usage, true, "{\"code\":2,\"status\":0,\"detail\":\"no\"}\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_codes),
		cmocka_unit_test(test_what_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
