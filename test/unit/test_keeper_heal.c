/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Operations that no job is at any more are healed, by one job a VM, and again where that fails. */
#include "keeper_host.h"

#include "state/reason.h"

/* An operation is "started" in the log of a VM, and no job is at it. */
static void
wound(const char *vm, const char *op, enum vmrunstate runstate, struct vm_report *ret)
{
	struct oplog_item *item;

	ops_report(vm, runstate, ret);
	item = model_append(&ret->oplog.items, &ret->oplog.n_items);
	item->op = xstrdup(op);
	item->status = xstrdup("started");
}

static void
report(struct vm_report *wounded)
{
	struct inventory *inventory = here.ctx.inventory;

	inventory_report_vm(inventory, inventory_mark(inventory), false, wounded);
	model_clear(&vm_report_model, wounded);
}

static void
test_heal(void **state)
{
	struct vm_result res = ops_result(VM1, VMRUNSTATE_POWEROFF);
	struct vm_report wounded;

	wound(VM1, "VmUpdate", VMRUNSTATE_POWEROFF, &wounded);
	report(&wounded);
	ops_advance(200);
	assert_string_equal(ops_find_job(WORK_VM_HEAL)->vm, VM1);
	res.warning = xstrdup("an image is left");
	ops_end_job(WORK_VM_HEAL, &res);
	assert_int_equal(find(VM1)->vm.stats.oplog.n_items, 0);
	ops_advance(1000);
	assert_null(ops_find_job(WORK_VM_HEAL));
	model_clear(&vm_result_model, &res);
}

/* A job is at it, maybe the one that has written "started". */
static void
test_heal_waits(void **state)
{
	char vm[] = VM1;
	struct vm_request request = { .uuid = vm };
	struct vm_report wounded;
	struct error err = { 0 };

	assert_non_null(job_start(NULL, WORK_VM_PAUSE, &request, VM1, "", NULL, NULL, NULL, &err));
	wound(VM1, "VmPause", VMRUNSTATE_RUNNING, &wounded);
	report(&wounded);
	keeper_heal(here.ctx.keeper, VM1);
	ops_advance(1000);
	assert_null(ops_find_job(WORK_VM_HEAL));
	/* Nor without libvirt. */
	here.jobs->vm[0] = '\0';
	keeper_set_libvirt(here.ctx.keeper, false);
	ops_advance(1000);
	assert_null(ops_find_job(WORK_VM_HEAL));
	keeper_set_libvirt(here.ctx.keeper, true);
	ops_advance(200);
	assert_non_null(ops_find_job(WORK_VM_HEAL));
}

/* It cannot be healed now: the next collection sees to it again, and not before. */
static void
test_heal_again(void **state)
{
	struct vm_report wounded;
	struct vm_result res = { 0 };

	wound(VM1, "VmUpdate", VMRUNSTATE_POWEROFF, &wounded);
	report(&wounded);
	ops_advance(200);
	wound(VM1, "VmUpdate", VMRUNSTATE_POWEROFF, &res.vm);
	ops_end_job(WORK_VM_HEAL, &res);
	ops_advance(1000);
	assert_null(ops_find_job(WORK_VM_HEAL));
	model_clear(&vm_result_model, &res);
	ops_advance(15000);
	ops_fail_job(WORK_COLLECT, 424, "no");
	assert_null(ops_find_job(WORK_VM_HEAL));
	ops_advance(15000);
	{
		struct collect_result collected = { .host = { .uuid = xstrdup(SELF) } };

		wound(VM1, "VmUpdate", VMRUNSTATE_POWEROFF,
		    model_append(&collected.vms, &collected.n_vms));
		ops_end_job(WORK_COLLECT, &collected);
		model_clear(&collect_result_model, &collected);
	}
	ops_advance(200);
	ops_fail_job(WORK_VM_HEAL, 424, "no");
	/* No job can be started: it is not forgotten before the next collection. */
	keeper_heal(here.ctx.keeper, VM1);
	here.no_jobs = true;
	ops_advance(200);
	here.no_jobs = false;
	ops_advance(1000);
	assert_null(ops_find_job(WORK_VM_HEAL));
}

/* What a shutdown has begun the guest ends; a VM that is off needs no cloud-init CD. */
static void
test_what_is_wounded(void **state)
{
	struct vm_report shutdown, seeded;
	const struct vm_result gone = { .gone = true };

	wound(VM1, "VmShutdown", VMRUNSTATE_RUNNING, &shutdown);
	report(&shutdown);
	ops_report(VM2, VMRUNSTATE_RUNNING, &seeded);
	seeded.cloud_init = xstrdup("/vms/ds/seed.iso");
	report(&seeded);
	ops_advance(1000);
	assert_null(ops_find_job(WORK_VM_HEAL));
	ops_report(VM2, VMRUNSTATE_POWEROFF, &seeded);
	seeded.cloud_init = xstrdup("/vms/ds/seed.iso");
	report(&seeded);
	ops_advance(200);
	assert_string_equal(ops_find_job(WORK_VM_HEAL)->vm, VM2);
	ops_end_job(WORK_VM_HEAL, &gone);
	assert_non_null(find(VM2));
}

/* A shutdown waits for a guest that was asked, and for nothing else. */
static void
test_shutdowns_of_vms_that_are_on(void **state)
{
	static const struct {
		enum vmrunstate runstate;
		const char *msg;
		bool recorded;
		enum want want;
		bool heals;
	} rows[] = {
		{ VMRUNSTATE_RUNNING, "", true, WANT_OFF, false },
		{ VMRUNSTATE_RUNNING, "", false, WANT_UNKNOWN, false },
		{ VMRUNSTATE_RUNNING, "", true, WANT_ON, true },
		{ VMRUNSTATE_RUNNING, "forced shutdown", true, WANT_ON, true },
		{ VMRUNSTATE_PAUSED, "forced shutdown", true, WANT_OFF, true },
		{ VMRUNSTATE_RUNNING, "forced shutdown", false, WANT_UNKNOWN, true },
		{ VMRUNSTATE_TERMINATING, "forced shutdown", true, WANT_OFF, false },
		{ VMRUNSTATE_RUNNING, REASON_UNPROTECTED ": why", true, WANT_ON, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct vm_result gone = { .gone = true };
		struct vm_report found;

		wound(VM1, "VmShutdown", rows[i].runstate, &found);
		str_set(&found.oplog.items[0].msg, rows[i].msg);
		found.recorded = rows[i].recorded;
		found.want = rows[i].want;
		report(&found);
		ops_advance(200);
		if ((ops_find_job(WORK_VM_HEAL) != NULL) != rows[i].heals)
			fail_msg("row %zu", i);
		if (rows[i].heals)
			ops_end_job(WORK_VM_HEAL, &gone);
	}
}

/* A reboot waits for a guest that was asked within ten minutes, and for the boot after that. */
static void
test_reboots(void **state)
{
	static const struct {
		enum vmrunstate runstate;
		enum want want;
		const char *told;
		int64_t ago;
		bool booted, heals;
	} rows[] = {
		{ VMRUNSTATE_RUNNING, WANT_ON, "", 0, false, false },
		{ VMRUNSTATE_RUNNING, WANT_ON, "", REASON_REBOOT_MS, false, true },
		{ VMRUNSTATE_RUNNING, WANT_ON, "", 0, true, true },
		{ VMRUNSTATE_TERMINATING, WANT_ON, "", REASON_REBOOT_MS, false, false },
		{ VMRUNSTATE_POWEROFF, WANT_ON, REASON_SHUTDOWN, 0, false, false },
		{ VMRUNSTATE_POWEROFF, WANT_ON, REASON_SHUTDOWN, REASON_REBOOT_MS, false, false },
		{ VMRUNSTATE_POWEROFF, WANT_ON, "", 0, false, false },
		{ VMRUNSTATE_POWEROFF, WANT_OFF, REASON_SHUTDOWN, 0, false, true },
		{ VMRUNSTATE_POWEROFF, WANT_ON, REASON_DESTROYED, 0, false, true },
		{ VMRUNSTATE_CRASHED, WANT_ON, "", 0, false, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct vm_result gone = { .gone = true };
		struct oplog_item *item;
		struct vm_report found;

		wound(VM1, "VmReboot", rows[i].runstate, &found);
		found.oplog.items[0].ts = now_ms() - rows[i].ago;
		if (rows[i].booted) {
			item = model_append(&found.oplog.items, &found.oplog.n_items);
			item->op = xstrdup("VmBoot");
			item->ts = now_ms() + 1;
			item->status = xstrdup("completed");
		}
		found.recorded = true;
		found.want = rows[i].want;
		found.excused = rows[i].runstate == VMRUNSTATE_POWEROFF;
		str_set(&found.reason, rows[i].told);
		report(&found);
		ops_advance(200);
		if ((ops_find_job(WORK_VM_HEAL) != NULL) != rows[i].heals)
			fail_msg("row %zu", i);
		if (rows[i].heals)
			ops_end_job(WORK_VM_HEAL, &gone);
	}
}

/* A VM that no job of ours has started: its leases are to be recorded. */
static void
test_starts_by_itself(void **state)
{
	ops_add_vm(VM1, VMRUNSTATE_POWEROFF);
	event(VM1, VMRUNSTATE_RUNNING);
	assert_int_equal(ops_runstate(VM1), VMRUNSTATE_RUNNING);
	ops_advance(200);
	assert_string_equal(ops_find_job(WORK_VM_HEAL)->vm, VM1);
}

/* One that a job of ours starts has them recorded by that. */
static void
test_started_by_a_job(void **state)
{
	char vm[] = VM1;
	struct vm_request request = { .uuid = vm };
	struct error err = { 0 };

	ops_add_vm(VM1, VMRUNSTATE_PAUSED);
	assert_non_null(job_start(NULL, WORK_VM_RESUME, &request, VM1, "", NULL, NULL, NULL, &err));
	event(VM1, VMRUNSTATE_RUNNING);
	here.jobs->vm[0] = '\0';
	ops_advance(1000);
	assert_int_equal(ops_runstate(VM1), VMRUNSTATE_RUNNING);
	assert_null(ops_find_job(WORK_VM_HEAL));
}

/* A VM of VirtX, wanted so, as it stands still for that reason, or runs. */
static void
want(enum vmrunstate runstate, const char *reason, enum want want, bool excused)
{
	struct vm_report found;

	ops_report(VM1, runstate, &found);
	str_set(&found.reason, reason);
	found.want = want;
	found.excused = excused;
	found.recorded = true;
	report(&found);
	ops_advance(200);
}

/* The job is asked whether it was ended, and ends it. */
static void
expect_heal(bool ended)
{
	const struct vm_heal_request *asked = ops_request_of(WORK_VM_HEAL);
	struct vm_result res = ops_result(VM1, VMRUNSTATE_POWEROFF);

	assert_int_equal(asked->ended, ended);
	ops_end_job(WORK_VM_HEAL, &res);
	model_clear(&vm_result_model, &res);
}

/* What follows from how the VM is is written down. */
static void
test_what_is_wanted(void **state)
{
	static const struct {
		enum vmrunstate runstate;
		const char *reason;
		enum want want;
		bool excused, heals;
	} rows[] = {
		{ VMRUNSTATE_RUNNING, "", WANT_ON, false, false },
		{ VMRUNSTATE_RUNNING, "", WANT_UNKNOWN, false, true },
		{ VMRUNSTATE_RUNNING, "", WANT_OFF, false, true },
		{ VMRUNSTATE_RUNNING, "", WANT_ON, true, true },
		{ VMRUNSTATE_PAUSED, "", WANT_OFF, false, true },
		{ VMRUNSTATE_MIGRATING, "", WANT_OFF, false, false },
		{ VMRUNSTATE_POWEROFF, REASON_SHUTDOWN, WANT_ON, false, true },
		{ VMRUNSTATE_POWEROFF, REASON_SHUTDOWN, WANT_ON, true, false },
		{ VMRUNSTATE_POWEROFF, REASON_SHUTDOWN, WANT_OFF, false, false },
		{ VMRUNSTATE_POWEROFF, REASON_DESTROYED, WANT_ON, false, false },
		{ VMRUNSTATE_POWEROFF, "", WANT_ON, false, false },
		{ VMRUNSTATE_CRASHED, REASON_SHUTDOWN, WANT_ON, false, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		want(rows[i].runstate, rows[i].reason, rows[i].want, rows[i].excused);
		if ((ops_find_job(WORK_VM_HEAL) != NULL) != rows[i].heals)
			fail_msg("row %zu", i);
		if (rows[i].heals)
			expect_heal(false);
	}
}

/* libvirt says of one that was ended by a signal that its guest shut down. */
static void
test_ended_by_a_signal(void **state)
{
	want(VMRUNSTATE_RUNNING, "", WANT_ON, false);
	inventory_set_signalled(here.ctx.inventory, VM1);
	event(VM1, VMRUNSTATE_TERMINATING);
	event(VM1, VMRUNSTATE_POWEROFF);
	want(VMRUNSTATE_POWEROFF, REASON_SHUTDOWN, WANT_ON, false);
	expect_heal(true);
	event(VM1, VMRUNSTATE_RUNNING);
	want(VMRUNSTATE_RUNNING, "", WANT_ON, false);
	event(VM1, VMRUNSTATE_POWEROFF);
	want(VMRUNSTATE_POWEROFF, REASON_SHUTDOWN, WANT_ON, false);
	expect_heal(false);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		KEEPER(test_heal),
		KEEPER(test_heal_waits),
		KEEPER(test_heal_again),
		KEEPER(test_what_is_wounded),
		KEEPER(test_shutdowns_of_vms_that_are_on),
		KEEPER(test_reboots),
		KEEPER(test_starts_by_itself),
		KEEPER(test_started_by_a_job),
		KEEPER(test_what_is_wanted),
		KEEPER(test_ended_by_a_signal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
