/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include <errno.h>

#include "domain/maintenance_file.h"
#include "domain/marker.h"
#include "domain/registry.h"
#include "scratch.h"

#define HOST   "11111111-1111-4111-8111-111111111111"
#define VM     "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
#define MARKER "xml/.virtx-storage"

static void
expect_no_marker(const char *root)
{
	struct error err = { 0 };
	struct marker marker;

	assert_int_equal(marker_load(root, &marker, &err), -1);
	assert_int_equal(err.status, 503);
	assert_non_null(strstr(err.detail, "is not mounted"));
	assert_non_null(strstr(err.detail, "virtx storage init"));
}

/* Nothing is made in what the storage would be mounted on. */
static void
expect_nothing_saved(const char *root)
{
	struct maintenance maintenance = { .since = 1 };
	struct error err = { 0 };

	expect_no_marker(root);
	assert_int_equal(registry_save(root, HOST, VM, "<domain/>", &err), -1);
	assert_int_equal(err.status, 503);
	assert_int_equal(registry_save_lockid(root, HOST, 7, &err), -1);
	assert_int_equal(err.status, 503);
	assert_int_equal(maintenance_file_save(root, HOST, &maintenance, &err), -1);
	assert_int_equal(err.status, 503);
	assert_int_equal(scratch_mode(root, "xml/" HOST), -1);
}

static void
test_without_marker(void **state)
{
	expect_nothing_saved(*state);
	assert_int_equal(scratch_mode(*state, "xml"), -1);
	/* An empty directory of that name proves nothing: it may be a mount point. */
	scratch_mkdir(*state, "xml");
	expect_nothing_saved(*state);
}

static void
test_make(void **state)
{
	struct marker made, again, loaded;
	struct error err = { 0 };
	struct stat status;
	_free_ char *path = scratch_path(*state, MARKER);

	assert_int_equal(marker_make(*state, "", &made, &err), 0);
	assert_int_equal(scratch_mode(*state, "xml"), 0750);
	assert_int_equal(scratch_mode(*state, MARKER), 0640);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_nlink, 1);
	assert_int_equal(marker_make(*state, "", &again, &err), 0);
	assert_string_equal(again.uuid, made.uuid);
	assert_int_equal(marker_load(*state, &loaded, &err), 0);
	assert_string_equal(loaded.uuid, made.uuid);
	assert_int_equal(registry_save(*state, HOST, VM, "<domain/>", &err), 0);
}

static void
test_another_marker(void **state)
{
	struct marker made, other;
	struct error err = { 0 };

	assert_int_equal(marker_make(*state, "", &made, &err), 0);
	scratch_write(*state, MARKER, "5A1F3C7E-9B52-4D0A-8F3E-0C1D2E3F4A5B\n");
	assert_int_equal(marker_load(*state, &other, &err), 0);
	assert_string_equal(other.uuid, "5a1f3c7e-9b52-4d0a-8f3e-0c1d2e3f4a5b");
	/* What cannot be read is not replaced. */
	scratch_write(*state, MARKER, "");
	assert_int_equal(marker_load(*state, &other, &err), -1);
	assert_int_equal(err.status, 503);
	assert_non_null(strstr(err.detail, "holds no uuid"));
	assert_int_equal(marker_make(*state, "", &other, &err), -1);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_without_marker),
		TEST(test_make),
		TEST(test_another_marker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
