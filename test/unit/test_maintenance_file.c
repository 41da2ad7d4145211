/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

#include "domain/maintenance_file.h"
#include "domain/store.h"
#include "scratch.h"

#define HOST1 "11111111-1111-4111-8111-111111111111"
#define HOST2 "22222222-2222-4222-8222-222222222222"
#define VM1   "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
#define FILE1 "xml/" HOST1 "/maintenance"

static void
test_save_load_remove(void **state)
{
	struct maintenance_vm vms[] = { { .vm = (char[]){ VM1 }, .host = (char[]){ HOST2 } },
		{ .vm = (char[]){ HOST2 }, .reason = (char[]){ "no bridge 'ö'" } } };
	struct maintenance sent = { .since = 1700000000000,
		.user = (char[]){ "10.0.0.1" },
		.restoring = true,
		.operation = (char[]){ VM1 },
		.vms = vms,
		.n_vms = ARRAY_SIZE(vms) };
	struct maintenance got = { 0 }, none = { 0 };
	struct error err = { 0 };

	/* Neither the directory nor the file is there. */
	assert_int_equal(maintenance_file_load(*state, HOST1, &got, &err), 0);
	assert_true(model_equal(&maintenance_model, &got, &none));
	assert_int_equal(maintenance_file_save(*state, HOST1, &none, &err), 0);
	assert_int_equal(scratch_mode(*state, "xml/" HOST1), -1);

	assert_int_equal(maintenance_file_save(*state, HOST1, &sent, &err), 0);
	assert_int_equal(scratch_mode(*state, FILE1), 0640);
	assert_int_equal(maintenance_file_load(*state, HOST1, &got, &err), 0);
	assert_true(model_equal(&maintenance_model, &got, &sent));
	model_clear(&maintenance_model, &got);
	assert_int_equal(maintenance_file_load(*state, HOST2, &got, &err), 0);
	assert_int_equal(got.since, 0);

	assert_int_equal(maintenance_file_save(*state, HOST1, &none, &err), 0);
	assert_int_equal(scratch_mode(*state, FILE1), -1);
	assert_int_equal(maintenance_file_save(*state, HOST1, &none, &err), 0);
	assert_int_equal(maintenance_file_load(*state, HOST1, &got, &err), 0);
	assert_int_equal(got.since, 0);
}

/* What is wrong with which file, where in it, and what to do. */
static void
check_told(const char *root, const struct error *err, const char *where)
{
	_free_ char *path = xasprintf("'%s/" FILE1 "' is malformed: ", root);

	assert_int_equal(err->status, MAINTENANCE_FILE_DAMAGED);
	assert_ptr_equal(strstr(err->detail, path), err->detail);
	if (!strstr(err->detail, where))
		fail_msg("%s", err->detail);
	assert_non_null(strstr(err->detail, "`virtx maintain host -e " HOST1 "`"));
}

static void
test_bad_files(void **state)
{
	struct maintenance got = { 0 }, sent = { .since = 1 };
	struct error err = { 0 };

	assert_int_equal(maintenance_file_save(*state, HOST1, &sent, &err), 0);
	scratch_write(*state, FILE1, "{\"since\":");
	assert_int_equal(maintenance_file_load(*state, HOST1, &got, &err), -1);
	check_told(*state, &err, "invalid JSON at byte ");
	scratch_write(*state, FILE1, "{\"since\":true}");
	assert_int_equal(maintenance_file_load(*state, HOST1, &got, &err), -1);
	check_told(*state, &err, "since: expected an integer");
	/* Names that are followed later. */
	scratch_write(*state, FILE1, "{\"since\":1,\"vms\":[{\"vm\":\"" VM1 "\"},{}]}");
	assert_int_equal(maintenance_file_load(*state, HOST1, &got, &err), -1);
	check_told(*state, &err, "vms[1].vm: '' is no UUID");
	scratch_write(
	    *state, FILE1, "{\"since\":1,\"vms\":[{\"vm\":\"" VM1 "\",\"host\":\"h2\"}]}");
	assert_int_equal(maintenance_file_load(*state, HOST1, &got, &err), -1);
	check_told(*state, &err, "vms[0].host: 'h2' is no UUID");
	assert_int_equal(got.since, 0);
	assert_null(got.vms);
	/* One that somebody made by hand. */
	scratch_write(*state, FILE1, "");
	assert_int_equal(maintenance_file_load(*state, HOST1, &got, &err), 0);
	assert_true(got.since > 0);
	model_clear(&maintenance_model, &got);
	assert_int_equal(maintenance_file_load(*state, "h1", &got, &err), -1);
	assert_int_equal(err.status, 400);
	assert_int_equal(maintenance_file_load("/nowhere", HOST1, &got, &err), -1);
	assert_int_equal(err.status, 507);
}

static void
test_what_is_not_ours(void **state)
{
	_free_ char *path = scratch_path(*state, FILE1),
		    *text = xasprintf("%*s", STORE_FILE_MAX + 1, "");
	struct maintenance got = { 0 };
	struct error err = { 0 };

	scratch_mkdir(*state, "xml/" HOST1);
	scratch_mkdir(*state, FILE1);
	assert_int_equal(maintenance_file_load(*state, HOST1, &got, &err), -1);
	assert_int_equal(err.status, 507);
	assert_non_null(strstr(err.detail, "is no regular file: move it away"));
	assert_int_equal(rmdir(path), 0);
	scratch_write(*state, FILE1, text);
	assert_int_equal(maintenance_file_load(*state, HOST1, &got, &err), -1);
	assert_int_equal(err.status, 507);
	assert_non_null(strstr(err.detail, "move it away"));
}

int
main(void)
{
#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, scratch_storage_setup, scratch_teardown)
	static const struct CMUnitTest tests[] = {
		TEST(test_save_load_remove),
		TEST(test_bad_files),
		TEST(test_what_is_not_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
