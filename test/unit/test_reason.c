/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "state/inventory.h"
#include "state/reason.h"

#define SELF "aaaaaaaa-0000-4000-8000-000000000000"
#define VM   "11111111-0000-4000-8000-000000000000"
#define VM2  "22222222-0000-4000-8000-000000000000"

#define ITEM(o, t, s, m)                                        \
	{                                                       \
		.op = (o), .ts = (t), .status = (s), .msg = (m) \
	}

static char boot[] = "VmBoot", pause_op[] = "VmPause", down[] = "VmShutdown", resume[] = "VmResume",
	    migrate[] = "VmMigrate";
static char completed[] = "completed", failed[] = "failed", none[] = "", why[] = "no such file";
static char ended[] = REASON_UNPROTECTED ": why";

static void
test_by_whom(void **state)
{
	struct {
		const char *told;
		struct oplog_item items[3];
		const char *expected;
		const char *loss;
	} rows[] = {
		{ NULL, { ITEM(boot, 1, completed, none) }, "", NULL },
		{ "I/O error on disk 'vda'", { ITEM(pause_op, 1, completed, none) },
		    "I/O error on disk 'vda'", NULL },
		{ REASON_PAUSED,
		    { ITEM(boot, 1, completed, none), ITEM(pause_op, 2, completed, none) },
		    "it was paused by VmPause", NULL },
		{ REASON_PAUSED,
		    { ITEM(resume, 3, completed, none), ITEM(pause_op, 2, completed, none) },
		    "it was paused by another program than VirtX", NULL },
		{ REASON_PAUSED,
		    { ITEM(migrate, 3, failed, why), ITEM(pause_op, 2, completed, none) },
		    "it was paused by VmPause", NULL },
		{ REASON_PAUSED,
		    { ITEM(migrate, 3, completed, none), ITEM(pause_op, 2, completed, none) },
		    "it was paused by another program than VirtX", NULL },
		{ REASON_DESTROYED, { ITEM(boot, 3, failed, why), ITEM(down, 2, completed, none) },
		    "it was ended by force by VmShutdown", NULL },
		{ REASON_SHUTDOWN,
		    { ITEM(boot, 1, completed, none), ITEM(down, 2, completed, none) },
		    "the guest shut down as VmShutdown asked it to", NULL },
		{ REASON_SHUTDOWN,
		    { ITEM(boot, 3, completed, none), ITEM(down, 2, completed, none) },
		    "the guest shut down of its own accord", NULL },
		{ REASON_DESTROYED, { ITEM(boot, 1, completed, none), ITEM(down, 2, failed, none) },
		    "it was ended by force by another program than VirtX", NULL },
		{ REASON_FAILED, { ITEM(boot, 1, failed, why) }, "it could not start: no such file",
		    NULL },
		{ REASON_FAILED, { ITEM(down, 1, completed, none) }, "it could not start", NULL },
		{ REASON_SHUTDOWN, { ITEM(boot, 1, completed, none) },
		    "its leases were lost: sanlock has ended", "sanlock has ended" },
		{ REASON_SHUTDOWN, { ITEM(boot, 1, completed, none) },
		    "the guest shut down of its own accord", "" },
		{ REASON_DESTROYED,
		    { ITEM(boot, 3, completed, none), ITEM(down, 2, completed, none) },
		    "its leases were lost: sanlock has ended", "sanlock has ended" },
		{ REASON_DESTROYED,
		    { ITEM(boot, 1, completed, none), ITEM(down, 2, completed, none) },
		    "it was ended by force by VmShutdown", "sanlock has ended" },
		{ REASON_DESTROYED,
		    { ITEM(boot, 1, completed, none), ITEM(down, 2, completed, ended) },
		    "it was ended by force by kill_unprotected: why", "sanlock has ended" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct oplog_list oplog = { rows[i].items, rows[i].items[1].op ? 2 : 1 };
		_free_ char *text = reason_explain(rows[i].told, &oplog, rows[i].loss);

		assert_string_equal(text, rows[i].expected);
	}
}

/* What has failed since it was asked changes nothing. */
static void
test_reboot(void **state)
{
	static char reboot[] = "VmReboot", reset[] = "VmReset", started[] = "started";
	struct {
		struct oplog_item items[2];
		enum reboot expected;
	} rows[] = {
		{ { ITEM(boot, 1, completed, none), ITEM(boot, 1, completed, none) }, REBOOT_NONE },
		{ { ITEM(boot, 1, completed, none), ITEM(reboot, 2, completed, none) },
		    REBOOT_NONE },
		{ { ITEM(boot, 1, completed, none), ITEM(reboot, 2, started, none) },
		    REBOOT_WAITS },
		{ { ITEM(boot, 3, failed, why), ITEM(reboot, 2, started, none) }, REBOOT_WAITS },
		{ { ITEM(boot, 3, started, none), ITEM(reboot, 2, started, none) }, REBOOT_DONE },
		{ { ITEM(reset, 3, completed, none), ITEM(reboot, 2, started, none) },
		    REBOOT_DONE },
		{ { ITEM(down, 3, started, none), ITEM(reboot, 2, started, none) },
		    REBOOT_CANCELLED },
		{ { ITEM(down, 1, completed, none), ITEM(reboot, 2, started, none) },
		    REBOOT_WAITS },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct oplog_list oplog = { rows[i].items, 2 };

		assert_int_equal(reason_reboot(&oplog), rows[i].expected);
	}
}

static void
report(struct inventory *inventory, const char *uuid, enum vmrunstate runstate, bool managed)
{
	struct vm_report report = { .runstate = runstate, .has_def = true };

	report.uuid = xstrdup(uuid);
	report.reason = xstrdup(runstate == VMRUNSTATE_POWEROFF ? "the guest shut down" : "");
	report.def.name = xstrdup("local");
	report.def.osdisk.man = managed ? DISK_MAN_MODE_MANAGED : DISK_MAN_MODE_UNMANAGED;
	inventory_report_vm(inventory, inventory_mark(inventory), false, &report);
	model_clear(&vm_report_model, &report);
}

static void
report_end(struct inventory *inventory, const char *uuid, bool managed)
{
	report(inventory, uuid, VMRUNSTATE_POWEROFF, managed);
}

static struct inventory *
make(void)
{
	struct inventory *inventory = inventory_new();
	struct host_report report = { .uuid = (char[]){ SELF }, .has_def = true };

	report.def.name = (char[]){ "self" };
	inventory_report_host(inventory, &report);
	return inventory;
}

static void
expect_reason(const struct inventory *inventory, const char *uuid, const char *reason)
{
	assert_string_equal(inventory_find_vm(inventory, uuid)->vm.runinfo.reason, reason);
}

static void
test_ends_by_loss(void **state)
{
	static const char own[] = "the guest shut down of its own accord";
	static const char lost[] = "its leases were lost: why";
	struct inventory *inventory = make();

	/* Ended before it was known. */
	report(inventory, VM, VMRUNSTATE_RUNNING, true);
	report_end(inventory, VM, true);
	expect_reason(inventory, VM, own);
	inventory_set_loss(inventory, "why");
	expect_reason(inventory, VM, lost);
	/* It needs none. */
	report(inventory, VM2, VMRUNSTATE_RUNNING, false);
	report_end(inventory, VM2, false);
	expect_reason(inventory, VM2, own);
	/* What is known of it stays, until it has run again. */
	inventory_set_loss(inventory, "");
	report_end(inventory, VM, true);
	expect_reason(inventory, VM, lost);
	inventory_set_runstate(inventory, VM, VMRUNSTATE_RUNNING);
	report_end(inventory, VM, true);
	expect_reason(inventory, VM, own);
	/* Ended after. */
	inventory_set_runstate(inventory, VM, VMRUNSTATE_RUNNING);
	inventory_set_loss(inventory, "why");
	inventory_set_runstate(inventory, VM, VMRUNSTATE_POWEROFF);
	report_end(inventory, VM, true);
	expect_reason(inventory, VM, lost);
	inventory_free(inventory);
}

/* One that was off before has not lost any. */
static void
test_off_before_the_loss(void **state)
{
	struct inventory *inventory = make();

	inventory_set_loss(inventory, "why");
	report_end(inventory, VM, true);
	expect_reason(inventory, VM, "the guest shut down of its own accord");
	inventory_free(inventory);
}

static void
test_asked_off(void **state)
{
	static char started[] = "started", unprotected[] = REASON_UNPROTECTED ": why";
	struct {
		struct oplog_item items[2];
		bool asked;
	} rows[] = {
		{ { ITEM(boot, 1, completed, none), ITEM(down, 2, started, none) }, true },
		{ { ITEM(down, 2, started, none), ITEM(boot, 3, failed, why) }, true },
		{ { ITEM(boot, 3, completed, none), ITEM(down, 2, started, none) }, false },
		{ { ITEM(boot, 3, started, none), ITEM(down, 2, started, none) }, false },
		{ { ITEM(boot, 1, completed, none), ITEM(down, 2, completed, none) }, false },
		{ { ITEM(boot, 1, completed, none), ITEM(down, 2, failed, none) }, false },
		{ { ITEM(boot, 1, completed, none), ITEM(down, 2, started, unprotected) }, false },
		{ { ITEM(boot, 1, completed, none), ITEM(pause_op, 2, started, none) }, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct oplog_list oplog = { rows[i].items, 2 };

		if ((reason_asked_off(&oplog) != NULL) != rows[i].asked)
			fail_msg("row %zu", i);
	}
}

/* How a shutdown stands of a VM that is on. */
static void
test_shutdown(void **state)
{
	static char started[] = "started", forced[] = "forced shutdown",
		    unprotected[] = REASON_UNPROTECTED ": why";
	struct {
		struct oplog_item items[2];
		bool recorded;
		enum want want;
		enum shutdown shutdown;
	} rows[] = {
		{ { ITEM(boot, 1, completed, none), ITEM(down, 2, completed, none) }, true,
		    WANT_OFF, SHUTDOWN_NONE },
		{ { ITEM(boot, 1, completed, none), ITEM(down, 2, started, unprotected) }, true,
		    WANT_ON, SHUTDOWN_NONE },
		{ { ITEM(boot, 1, completed, none), ITEM(down, 2, started, none) }, true, WANT_OFF,
		    SHUTDOWN_WAITS },
		{ { ITEM(boot, 3, failed, why), ITEM(down, 2, started, none) }, true, WANT_OFF,
		    SHUTDOWN_WAITS },
		{ { ITEM(boot, 1, completed, none), ITEM(down, 2, started, none) }, true, WANT_ON,
		    SHUTDOWN_CUT_OFF },
		{ { ITEM(boot, 1, completed, none), ITEM(down, 2, started, none) }, true,
		    WANT_UNKNOWN, SHUTDOWN_CUT_OFF },
		{ { ITEM(boot, 1, completed, none), ITEM(down, 2, started, none) }, false,
		    WANT_UNKNOWN, SHUTDOWN_WAITS },
		{ { ITEM(boot, 1, completed, none), ITEM(down, 2, started, forced) }, true,
		    WANT_OFF, SHUTDOWN_CUT_OFF },
		{ { ITEM(boot, 1, completed, none), ITEM(down, 2, started, forced) }, false,
		    WANT_UNKNOWN, SHUTDOWN_CUT_OFF },
		{ { ITEM(boot, 3, completed, none), ITEM(down, 2, started, none) }, true, WANT_ON,
		    SHUTDOWN_OVER },
		{ { ITEM(boot, 3, started, none), ITEM(down, 2, started, forced) }, true, WANT_ON,
		    SHUTDOWN_OVER },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct oplog_list oplog = { rows[i].items, 2 };

		if (reason_shutdown(&oplog, rows[i].recorded, rows[i].want) != rows[i].shutdown)
			fail_msg("row %zu", i);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_whom),
		cmocka_unit_test(test_reboot),
		cmocka_unit_test(test_asked_off),
		cmocka_unit_test(test_shutdown),
		cmocka_unit_test(test_ends_by_loss),
		cmocka_unit_test(test_off_before_the_loss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
