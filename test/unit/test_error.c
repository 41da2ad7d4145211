/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "proto/error.h"
#include "proto/problem.h"
#include "proto/utf8.h"

static void
test_set(void **state)
{
	struct error err;

	memset(&err, 'x', sizeof(err));
	assert_int_equal(error_set(&err, 404, "no VM '%s'\n", "web"), -1);
	assert_int_equal(err.status, 404);
	assert_string_equal(err.detail, "no VM 'web'");
	assert_string_equal(err.vm, "");
	assert_string_equal(err.host, "");
	assert_string_equal(err.operation, "");
	assert_int_equal(error_set(NULL, 404, "nobody listens"), -1);
	assert_int_equal(error_wrap(NULL, "nor here"), -1);
	error_append(NULL, "nor here");
}

static void
test_errno(void **state)
{
	struct error err = { 0 };

	assert_int_equal(error_errno(&err, 507, ENOSPC, "cannot write '%s'", "a"), -1);
	assert_string_equal(err.detail, "cannot write 'a': No space left on device");
	assert_int_equal(err.status, 507);
	assert_int_equal(error_errno(NULL, 507, ENOSPC, "x"), -1);
}

static void
test_wrap_and_append(void **state)
{
	struct error err = { 0 };

	error_set(&err, 424, "refused");
	snprintf(err.vm, sizeof(err.vm), "v");
	assert_int_equal(error_wrap(&err, "define '%s'", "web"), -1);
	error_append(&err, "'%s' is left", "a.qcow2");
	assert_int_equal(err.status, 424);
	assert_string_equal(err.detail, "define 'web': refused; 'a.qcow2' is left");
	assert_string_equal(err.vm, "v");
	/* The arguments may be the detail itself. */
	error_set(&err, 400, "again: %s", err.detail);
	assert_string_equal(err.detail, "again: define 'web': refused; 'a.qcow2' is left");
}

static void
test_cut_at_a_character(void **state)
{
	struct error err = { 0 };
	char text[ERROR_DETAIL_MAX * 3];

	for (size_t shift = 0; shift < 5; shift++) {
		size_t len = 0;

		for (len = 0; len < shift; len++)
			text[len] = 'a';
		while (len + 4 < sizeof(text)) {
			memcpy(text + len, "\xf0\x9f\x98\x80", 4);
			len += 4;
		}
		text[len] = '\0';
		error_set(&err, 400, "%s", text);
		assert_true(strlen(err.detail) >= ERROR_DETAIL_MAX - 5);
		assert_true(utf8_valid(err.detail, strlen(err.detail)));
	}
}

static void
test_json_round_trip(void **state)
{
	struct error err = { 0 }, back = { 0 };
	_free_ char *text = NULL;
	size_t len;

	error_set(&err, 409, "busy: \"x\"");
	snprintf(err.vm, sizeof(err.vm), "5a1f3c7e-9b52-4d0a-8f3e-0c1d2e3f4a5b");
	snprintf(err.operation, sizeof(err.operation), "op-1");
	text = problem_encode(&err, &len);
	assert_int_equal(strlen(text), len);
	assert_string_equal(text,
	    "{\"type\":\"/problems/busy\",\"title\":\"Another operation is in the way\","
	    "\"status\":409,"
	    "\"detail\":\"busy: \\\"x\\\"\",\"vm\":\"5a1f3c7e-9b52-4d0a-8f3e-0c1d2e3f4a5b\","
	    "\"host\":\"\",\"operation\":\"op-1\"}");
	problem_decode(&back, 0, text, len);
	assert_memory_equal(&back.status, &err.status, sizeof(err.status));
	assert_string_equal(back.detail, err.detail);
	assert_string_equal(back.vm, err.vm);
	assert_string_equal(back.operation, err.operation);
	problem_decode(&back, 502, text, len);
	assert_int_equal(back.status, 502);
}

static void
test_types(void **state)
{
	struct error err = { 0 }, back = { 0 };
	_free_ char *text = NULL, *other = NULL;
	size_t len;

	assert_false(error_is(&err, ERROR_BY_STATUS));
	for (unsigned int i = ERROR_BY_STATUS + 1; i < ERROR_TYPE_N; i++) {
		const struct error_type_info *info = &error_types[i];

		assert_non_null(info->name);
		assert_int_equal(
		    strspn(info->name, "abcdefghijklmnopqrstuvwxyz-"), strlen(info->name));
		assert_int_equal(error_type_find(info->name), i);
		assert_true(*info->title && *info->text);
		assert_string_not_equal(error_title(info->status), "Error");
	}
	assert_int_equal(error_type_find("nonsense"), ERROR_BY_STATUS);

	assert_int_equal(error_set_type(&err, ERROR_ALREADY_OFF, "VM '%s' is off", "web"), -1);
	assert_int_equal(err.status, 424);
	assert_string_equal(err.detail, "VM 'web' is off");
	error_wrap(&err, "cannot");
	assert_int_equal(error_get_type(&err), ERROR_ALREADY_OFF);
	assert_true(error_is(&err, ERROR_ALREADY_OFF) && error_is(&err, ERROR_FAILED));
	assert_false(error_is(&err, ERROR_ALREADY_ON) || error_is(&err, ERROR_BUSY));
	text = problem_encode(&err, &len);
	assert_non_null(strstr(text, "\"type\":\"/problems/already-off\""));
	problem_decode(&back, 0, text, len);
	assert_int_equal(error_get_type(&back), ERROR_ALREADY_OFF);
	/* What is said with another status is of another type. */
	back.status = 503;
	assert_int_equal(error_get_type(&back), ERROR_UNAVAILABLE);
	error_set(&err, 424, "again");
	assert_int_equal(error_get_type(&err), ERROR_FAILED);
	assert_false(error_is(&err, ERROR_ALREADY_OFF));
	error_set(&err, 418, "none of ours");
	assert_int_equal(error_get_type(&err), ERROR_BY_STATUS);
	other = problem_encode(&err, &len);
	assert_non_null(strstr(other, "\"type\":\"about:blank\""));
	assert_int_equal(error_set_type(NULL, ERROR_BUSY, "nobody listens"), -1);
}

static void
test_from_what_is_no_problem(void **state)
{
	struct error err = { 0 };
	char big[5000];

	problem_decode(&err, 422, "VM is running\n", 14);
	assert_int_equal(err.status, 422);
	assert_string_equal(err.detail, "VM is running");
	problem_decode(&err, 503, "", 0);
	assert_string_equal(err.detail, "Service Unavailable");
	problem_decode(&err, 0, "{\"status\":70000}", 16);
	assert_int_equal(err.status, 500);
	assert_string_equal(err.detail, "{\"status\":70000}");
	problem_decode(&err, 0, "{\"status\":7,\"title\":\"t\"}", 24);
	assert_int_equal(err.status, 500);
	assert_string_equal(err.detail, "t");
	memset(big, 'a', sizeof(big));
	problem_decode(&err, 500, big, sizeof(big));
	assert_int_equal(strlen(err.detail), ERROR_DETAIL_MAX - 1);
	problem_decode(&err, 0, "\"text\"", 6);
	assert_string_equal(err.detail, "\"text\"");
}

static void
test_title(void **state)
{
	assert_string_equal(error_title(404), "Not Found");
	assert_string_equal(error_title(508), "Loop Detected");
	assert_string_equal(error_title(299), "Error");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_errno),
		cmocka_unit_test(test_wrap_and_append),
		cmocka_unit_test(test_cut_at_a_character),
		cmocka_unit_test(test_json_round_trip),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_from_what_is_no_problem),
		cmocka_unit_test(test_title),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
