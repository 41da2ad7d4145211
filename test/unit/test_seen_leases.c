/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When a lease that was sound need not be read again. */
#include "work_host.h"

#include <time.h>

#include "work/seen_leases.h"

#define NAME "11111111111111111111111111111111"

static void
age(int seconds)
{
	const struct timespec times[2] = { { time(NULL) - seconds, 0 },
		{ time(NULL) - seconds, 0 } };

	assert_int_equal(utimensat(AT_FDCWD, at("lock/" NAME "/" NAME), times, 0), 0);
}

static bool
is_recalled_for(const char *vm)
{
	struct stat file;

	return seen_leases_recall(disk_root, NAME, vm, &file);
}

static bool
is_recalled(void)
{
	return is_recalled_for(TEST_VM);
}

/* It is found to be sound, of that many seconds ago. */
static void
keep(int seconds)
{
	struct stat file;

	mkdir(at("lock/" NAME), 0700);
	write_file(at("lock/" NAME "/" NAME), "lease", 5);
	age(seconds);
	assert_false(seen_leases_recall(disk_root, NAME, TEST_VM, &file));
	seen_leases_keep(disk_root, NAME, TEST_VM, &file);
}

static void
test_is_as_it_was(void **state)
{
	seen_leases_forget();
	keep(3600);
	assert_true(is_recalled());
	assert_true(is_recalled());
	assert_false(is_recalled_for(TEST_OTHER));
	seen_leases_forget();
	assert_false(is_recalled());
}

/* A byte is another, and its time is set back. */
static void
test_is_written(void **state)
{
	seen_leases_forget();
	keep(3600);
	write_file(at("lock/" NAME "/" NAME), "lEase", 5);
	assert_false(is_recalled());
	age(3600);
	assert_false(is_recalled());
}

static void
test_is_replaced(void **state)
{
	_free_ char *copy = xstrdup(at("lock/copy"));

	seen_leases_forget();
	keep(3600);
	assert_int_equal(run_program("cp", "-p", at("lock/" NAME "/" NAME), copy), 0);
	assert_int_equal(rename(copy, at("lock/" NAME "/" NAME)), 0);
	assert_false(is_recalled());
}

static void
test_is_gone(void **state)
{
	struct stat file;

	seen_leases_forget();
	keep(3600);
	assert_int_equal(unlink(at("lock/" NAME "/" NAME)), 0);
	assert_false(seen_leases_recall(disk_root, NAME, TEST_VM, &file));
	/* Of what is not there nothing is remembered. */
	seen_leases_keep(disk_root, NAME, TEST_VM, &file);
	write_file(at("lock/" NAME "/" NAME), "lease", 5);
	assert_false(is_recalled());
}

/* What has just been written may be written again within a tick of the storage's clock. */
static void
test_is_young(void **state)
{
	seen_leases_forget();
	keep(0);
	assert_false(is_recalled());
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WORK_TEST(test_is_as_it_was),
		WORK_TEST(test_is_written),
		WORK_TEST(test_is_replaced),
		WORK_TEST(test_is_gone),
		WORK_TEST(test_is_young),
	};

	return cmocka_run_group_tests_name("seen_leases", tests, NULL, NULL);
}
