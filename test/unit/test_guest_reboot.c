/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMs whose guests were asked to reboot: which are booted again, and when they are not. */
#include "own_boot_host.h"

#include <unistd.h>

#include "ops/guest_reboot.h"
#include "state/reason.h"
#include "work/host_down.h"

static struct guest_reboots *guest_reboots;

static int
setup(void **state)
{
	ops_setup(state);
	str_set(&here.config.run_dir, "/nonexistent");
	guest_reboots = guest_reboots_new(&here.ctx);
	return 0;
}

static int
teardown(void **state)
{
	guest_reboots_free(guest_reboots);
	return ops_teardown(state);
}

#define REBOOT(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

/* A VM that is as libvirt tells, and whose log has these; NULL for none. */
static void
logged_vm(enum vmrunstate runstate, enum want want, const char *told, const char *reboot,
    const char *later)
{
	struct inventory *inventory = here.ctx.inventory;
	struct oplog_item *item;
	struct vm_report report;

	ops_report(VM1, runstate, &report);
	report.want = want;
	report.recorded = report.excused = true;
	str_set(&report.reason, told);
	item = model_append(&report.oplog.items, &report.oplog.n_items);
	item->op = xstrdup("VmReboot");
	item->ts = now_ms();
	item->status = xstrdup(reboot);
	if (later) {
		item = model_append(&report.oplog.items, &report.oplog.n_items);
		item->op = xstrdup(later);
		item->ts = now_ms() + 1;
		item->status = xstrdup("completed");
	}
	inventory_report_vm(inventory, inventory_mark(inventory), true, &report);
	model_clear(&vm_report_model, &report);
}

static void
went_off_to_reboot(void)
{
	logged_vm(VMRUNSTATE_POWEROFF, WANT_ON, REASON_SHUTDOWN, "started", NULL);
}

/* Whatever its policy is. */
static void
test_which(void **state)
{
	static const struct {
		enum vmrunstate runstate;
		enum want want;
		const char *told, *reboot, *later;
		bool due;
	} rows[] = {
		{ VMRUNSTATE_POWEROFF, WANT_ON, REASON_SHUTDOWN, "started", NULL, true },
		{ VMRUNSTATE_POWEROFF, WANT_ON, "", "started", NULL, true },
		{ VMRUNSTATE_POWEROFF, WANT_OFF, REASON_SHUTDOWN, "started", NULL, false },
		{ VMRUNSTATE_POWEROFF, WANT_ON, REASON_DESTROYED, "started", NULL, false },
		{ VMRUNSTATE_POWEROFF, WANT_ON, REASON_SHUTDOWN, "failed", NULL, false },
		{ VMRUNSTATE_POWEROFF, WANT_ON, REASON_SHUTDOWN, "started", "VmShutdown", false },
		{ VMRUNSTATE_CRASHED, WANT_ON, "", "started", NULL, false },
		{ VMRUNSTATE_RUNNING, WANT_ON, "", "started", NULL, false },
	};

	ops_up();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		inventory_end_vm(here.ctx.inventory, VM1);
		ops_advance(2000);
		logged_vm(
		    rows[i].runstate, rows[i].want, rows[i].told, rows[i].reboot, rows[i].later);
		ops_advance(10);
		if (ops_find_job(WORK_VM_HEAL))
			ops_end_job(WORK_VM_HEAL, NULL);
		ops_advance(5000);
		if (is_booting(VM1) != rows[i].due)
			fail_msg("row %zu", i);
		if (rows[i].due) {
			assert_string_equal(ops_latest()->op, "VmBoot");
			assert_string_equal(ops_latest()->user, "virtxd");
			end_boot(VM1);
		}
	}
}

/* It is the host's guests that go then, and they come back with it. */
static void
test_a_host_that_goes_down(void **state)
{
	char folder[] = "/tmp/virtx-reboot-XXXXXX";
	_free_ char *file = NULL;
	struct error err = { 0 };

	ops_up();
	assert_non_null(mkdtemp(folder));
	file = xasprintf("%s/guests", folder);
	str_set(&here.config.run_dir, folder);
	assert_int_equal(host_down_begin_guests(folder, &err), 0);
	went_off_to_reboot();
	ops_advance(20000);
	assert_false(is_booting(VM1));
	assert_int_equal(unlink(file), 0);
	ops_advance(2000);
	assert_true(is_booting(VM1));
	assert_int_equal(rmdir(folder), 0);
}

/* It is tried again where the host could not, and told where the VM does not start. */
static void
test_one_that_does_not_start(void **state)
{
	struct error err = { 0 };

	ops_up();
	went_off_to_reboot();
	ops_advance(2000);
	assert_true(is_booting(VM1));
	error_set_type(&err, ERROR_BUSY, "too many jobs");
	ops_fail_job_as(WORK_VM_BOOT, &err);
	ops_advance(10000);
	assert_false(is_booting(VM1));
	assert_null(problem_of(VM1));
	ops_advance(10000);
	assert_true(is_booting(VM1));
	ops_fail_job(WORK_VM_BOOT, 422, "its disk is missing");
	ops_advance(100000);
	assert_false(is_booting(VM1));
	assert_non_null(
	    strstr(problem_of(VM1), "did not start after its guest was asked to reboot"));
	assert_non_null(strstr(problem_of(VM1), "its disk is missing"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		REBOOT(test_which),
		REBOOT(test_a_host_that_goes_down),
		REBOOT(test_one_that_does_not_start),
	};

	return cmocka_run_group_tests_name("guest_reboot", tests, NULL, NULL);
}
