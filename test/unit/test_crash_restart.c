/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMs that crashed: which are booted again, when, and how often. */
#include "own_boot_host.h"

#include "ops/crash_restart.h"

static struct crash_restart *crash_restart;

static int
setup(void **state)
{
	ops_setup(state);
	crash_restart = crash_restart_new(&here.ctx);
	return 0;
}

static int
teardown(void **state)
{
	crash_restart_free(crash_restart);
	return ops_teardown(state);
}

#define CRASH(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

static void
crash(const char *vm)
{
	wanted_vm(vm, VMRUNSTATE_CRASHED, WANT_ON, "restart", NULL, "vm");
}

/* It is off for so long, and no longer, then it is booted. */
static void
booted_after(const char *vm, int64_t pause_ms)
{
	ops_advance(pause_ms - 1000);
	assert_false(is_booting(vm));
	ops_advance(5000);
	end_boot(vm);
}

static void
test_which(void **state)
{
	static const struct {
		enum vmrunstate runstate;
		enum want want;
		const char *policy;
		bool otherwise, due;
	} rows[] = {
		{ VMRUNSTATE_CRASHED, WANT_ON, "restart", false, true },
		{ VMRUNSTATE_CRASHED, WANT_ON, NULL, true, true },
		{ VMRUNSTATE_CRASHED, WANT_ON, NULL, false, false },
		{ VMRUNSTATE_CRASHED, WANT_ON, "none", true, false },
		{ VMRUNSTATE_CRASHED, WANT_OFF, "restart", true, false },
		{ VMRUNSTATE_CRASHED, WANT_UNKNOWN, "restart", true, false },
		{ VMRUNSTATE_POWEROFF, WANT_ON, "restart", true, false },
		{ VMRUNSTATE_PAUSED, WANT_ON, "restart", true, false },
		{ VMRUNSTATE_RUNNING, WANT_ON, "restart", true, false },
	};

	ops_up();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		inventory_end_vm(here.ctx.inventory, VM1);
		ops_advance(2000);
		here.config.ha_restart = rows[i].otherwise;
		wanted_vm(VM1, rows[i].runstate, rows[i].want, rows[i].policy, NULL, "vm");
		ops_advance(10000);
		assert_int_equal(is_booting(VM1), rows[i].due);
		if (rows[i].due) {
			assert_string_equal(ops_latest()->op, "VmBoot");
			assert_string_equal(ops_latest()->user, "virtxd");
			end_boot(VM1);
			ops_advance(3600000);
		}
	}
}

/* Each time after a longer while, three times an hour; then it needs somebody. */
static void
test_how_often(void **state)
{
	ops_up();
	crash(VM1);
	booted_after(VM1, 5000);
	crash(VM1);
	booted_after(VM1, 30000);
	crash(VM1);
	booted_after(VM1, 120000);
	assert_null(problem_of(VM1));
	crash(VM1);
	ops_advance(4000);
	assert_non_null(strstr(problem_of(VM1), "booted again 3 times within an hour"));
	/* Not even when the hour is over. */
	ops_advance(4000000);
	assert_false(is_booting(VM1));
	assert_non_null(problem_of(VM1));

	wanted_vm(VM1, VMRUNSTATE_RUNNING, WANT_ON, "restart", NULL, "vm");
	inventory_set_problems(here.ctx.inventory, NULL, 0);
	assert_null(problem_of(VM1));
	ops_advance(4000);
	crash(VM1);
	booted_after(VM1, 5000);
}

/* What is longer ago than an hour does not count, and each VM has its own. */
static void
test_an_hour(void **state)
{
	ops_up();
	crash(VM1);
	booted_after(VM1, 5000);
	ops_advance(1800000);
	crash(VM1);
	booted_after(VM1, 30000);
	crash(VM2);
	booted_after(VM2, 5000);
	ops_advance(1800000);
	crash(VM1);
	booted_after(VM1, 30000);
	crash(VM1);
	booted_after(VM1, 120000);
	crash(VM1);
	ops_advance(4000);
	assert_non_null(problem_of(VM1));
	assert_null(problem_of(VM2));
}

/* A boot in vain is one of them. */
static void
test_one_that_does_not_start(void **state)
{
	static const int64_t pauses_ms[] = { 5000, 30000, 120000 };

	ops_up();
	crash(VM1);
	for (size_t i = 0; i < ARRAY_SIZE(pauses_ms); i++) {
		ops_advance(pauses_ms[i] + 4000);
		assert_true(is_booting(VM1));
		ops_fail_job(WORK_VM_BOOT, 424, "no such file");
	}
	ops_advance(4000);
	assert_false(is_booting(VM1));
	assert_non_null(strstr(problem_of(VM1), "the last time in vain: "));
	assert_non_null(strstr(problem_of(VM1), "no such file"));
}

/* What the host lacks is waited for, and counts as no restart. */
static void
test_a_host_that_is_not_ready(void **state)
{
	struct error err = { 0 };

	here.libvirt = "gone";
	ops_up();
	crash(VM1);
	ops_advance(600000);
	assert_false(is_booting(VM1));
	here.libvirt = NULL;
	inventory_set_maintenance(here.ctx.inventory, SELF, true);
	ops_advance(600000);
	assert_false(is_booting(VM1));
	inventory_set_maintenance(here.ctx.inventory, SELF, false);
	for (int i = 0; i < 10; i++) {
		ops_advance(18000);
		assert_true(is_booting(VM1));
		error_set_type(&err, ERROR_BUSY, "too many jobs");
		ops_fail_job_as(WORK_VM_BOOT, &err);
	}
	ops_advance(18000);
	end_boot(VM1);
	crash(VM1);
	booted_after(VM1, 30000);
}

/* Somebody has shut it down, deleted or booted it meanwhile. */
static void
test_one_that_is_not_due_any_more(void **state)
{
	struct error err = { 0 };

	ops_up();
	crash(VM1);
	crash(VM2);
	ops_advance(2000);
	wanted_vm(VM1, VMRUNSTATE_CRASHED, WANT_OFF, "restart", NULL, "vm");
	inventory_end_vm(here.ctx.inventory, VM2);
	ops_advance(600000);
	assert_null(ops_find_job(WORK_VM_BOOT));
	/* Nor is the one that somebody has just booted a failure. */
	crash(VM3);
	ops_advance(10000);
	assert_true(is_booting(VM3));
	error_set_type(&err, ERROR_ALREADY_RUNNING, "it is running already");
	ops_fail_job_as(WORK_VM_BOOT, &err);
	wanted_vm(VM3, VMRUNSTATE_RUNNING, WANT_ON, "restart", NULL, "vm");
	ops_advance(600000);
	assert_null(ops_find_job(WORK_VM_BOOT));
	assert_null(problem_of(VM3));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CRASH(test_which),
		CRASH(test_how_often),
		CRASH(test_an_hour),
		CRASH(test_one_that_does_not_start),
		CRASH(test_a_host_that_is_not_ready),
		CRASH(test_one_that_is_not_due_any_more),
	};

	return cmocka_run_group_tests_name("crash_restart", tests, NULL, NULL);
}
