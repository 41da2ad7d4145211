/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk_root.h"

#include "disk/lease.h"
#include "domain/marker.h"
#include "work/folders.h"
#include "work/storage_check.h"

#define HOST "11111111-1111-4111-8111-111111111111"
#define SEEN "xml/" HOST "/seen"

static struct work_env env;

/* A storage as `virtx storage init` has made it, with the folder of a host. */
static int
setup(void **state)
{
	struct error err = { 0 };
	struct marker storage;
	size_t marked;

	if (disk_root_setup(state) < 0 || mkdir(at("run"), 0700) < 0 ||
	    marker_make(disk_root, "", &storage, &err) < 0 || mkdir(at("lock"), 0750) < 0 ||
	    mkdir(at("xml/" HOST), 0750) < 0)
		return -1;
	write_file(at("lock/" LEASE_LOCKSPACE), "x", 1);
	env = (struct work_env){ .root = disk_root, .host = (char *)HOST };
	env.run_dir = xstrdup(at("run"));
	return folders_mark(&env, &storage, &marked, &err);
}

static int
teardown(void **state)
{
	free(env.run_dir);
	return disk_root_teardown(state);
}

static void
expect_well(void)
{
	struct error err = { 0 };

	if (storage_look(&env, &err) < 0)
		fail_msg("%s", err.detail);
}

static void
expect_refused(const char *why)
{
	struct error err = { 0 };

	assert_int_equal(storage_look(&env, &err), -1);
	assert_int_equal(err.status, 503);
	if (!strstr(err.detail, why))
		fail_msg("no '%s' in '%s'", why, err.detail);
}

static void
test_each_look_writes(void **state)
{
	const struct timespec old[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	struct stat st;

	expect_well();
	assert_int_equal(utimensat(AT_FDCWD, at(SEEN), old, 0), 0);
	expect_well();
	assert_int_equal(stat(at(SEEN), &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_true(st.st_mtime > 1);
}

static void
test_what_takes_no_writes_is_refused(void **state)
{
	assert_int_equal(symlink("seen", at(SEEN)), 0);
	expect_refused("storage: cannot write to '");
	expect_refused(SEEN "': Too many levels of symbolic links");
}

/* One that has not joined yet, and does not know its name. */
static void
test_host_without_folder_makes_none(void **state)
{
	const struct timespec old[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	struct stat st;

	assert_int_equal(rmdir(at("xml/" HOST)), 0);
	for (int known = 1; known >= 0; known--) {
		assert_int_equal(utimensat(AT_FDCWD, at("xml"), old, 0), 0);
		env.host = (char *)(known ? HOST : "");
		expect_well();
		assert_int_equal(stat(at("xml"), &st), 0);
		assert_true(st.st_mtime > 1);
		assert_int_equal(access(at("xml/" HOST), F_OK), -1);
		assert_int_equal(access(at("xml/seen"), F_OK), -1);
	}
}

static void
test_nothing_is_written_to_another_root(void **state)
{
	assert_int_equal(unlink(at("xml/.virtx-storage")), 0);
	expect_refused("is not mounted");
	assert_int_equal(access(at(SEEN), F_OK), -1);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_each_look_writes),
		TEST(test_what_takes_no_writes_is_refused),
		TEST(test_host_without_folder_makes_none),
		TEST(test_nothing_is_written_to_another_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
