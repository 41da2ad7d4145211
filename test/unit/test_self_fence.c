/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When a VM that runs without its leases is ended, and when that is only told. */
#include "keeper_host.h"

#include "ops/arming.h"

#define QEMU  4711
#define START 123456
#define BEAT  2000

static int
setup_armed(void **state)
{
	ops_setup(state);
	ops_up();
	ops_add_vm(VM1, VMRUNSTATE_RUNNING);
	ops_advance(20000);
	assert_true(arming_is_armed(keeper_arming(here.ctx.keeper)));
	here.answers = WORK_SELF_FENCE;
	return 0;
}

#define ARMED(function) cmocka_unit_test_setup_teardown(function, setup_armed, ops_teardown)

/* Time goes on until it looks, which must be within so many ms. */
static const struct self_fence_request *
await_look(int64_t ms)
{
	for (int64_t at = 0; at < ms && !ops_find_job(WORK_SELF_FENCE); at += 500)
		ops_advance(500);
	assert_non_null(ops_find_job(WORK_SELF_FENCE));
	return ops_request_of(WORK_SELF_FENCE);
}

static void
expect_no_look(int64_t ms)
{
	ops_advance(ms);
	assert_null(ops_find_job(WORK_SELF_FENCE));
}

static void
end_look(int64_t pid, int64_t start, bool ended)
{
	char vm[] = VM1, why[] = "sanlock does not know its process 4711";
	struct fence_process process = { vm, pid, start, why };
	const struct self_fence_result res = {
		.loose = &process, .n_loose = pid && !ended, .ended = &process, .n_ended = ended
	};

	ops_end_job(WORK_SELF_FENCE, &res);
}

/* It looks, with so many that are to be ended, and finds this process; 0 for none. */
static void
look(size_t victims, int64_t pid, int64_t start)
{
	assert_int_equal(await_look(BEAT + 500)->n_victims, victims);
	end_look(pid, start, false);
}

static void
test_ends_it(void **state)
{
	const struct self_fence_request *asked;

	await_look(10000 + BEAT);
	end_look(QEMU, START, false);
	look(0, QEMU, START);
	asked = await_look(BEAT + 500);
	assert_int_equal(asked->n_victims, 1);
	assert_string_equal(asked->victims[0].uuid, VM1);
	assert_int_equal(asked->victims[0].pid, QEMU);
	assert_int_equal(asked->victims[0].start, START);
	end_look(QEMU, START, true);
	expect_no_look(8000);
	await_look(BEAT + 500);
	end_look(0, 0, false);
}

/* It has its leases again, or another process has its number. */
static void
test_begins_anew(void **state)
{
	await_look(10000 + BEAT);
	end_look(QEMU, START, false);
	look(0, 0, 0);
	expect_no_look(7000);
	await_look(3000 + BEAT);
	end_look(QEMU, START, false);
	look(0, QEMU, START + 1);
	look(0, QEMU + 1, START + 1);
	look(0, QEMU + 1, START + 1);
	look(1, QEMU + 1, START + 1);
	look(1, QEMU + 1, START + 1);
}

static void
done(void *arg, void *result, const struct error *err)
{
}

/* A job works on the VM: it is being moved, say. */
static void
test_something_is_under_way(void **state)
{
	struct vm_request req = { .uuid = (char[]){ VM1 } };
	struct error err = { 0 };

	await_look(10000 + BEAT);
	assert_non_null(
	    job_start(here.ctx.jobs, WORK_VM_PAUSE, &req, VM1, "op", NULL, done, NULL, &err));
	end_look(QEMU, START, false);
	for (int i = 0; i < 5; i++)
		look(0, QEMU, START);
	ops_end_job(WORK_VM_PAUSE, NULL);
	look(0, QEMU, START);
	look(0, QEMU, START);
	/* And just before it would be ended. */
	assert_non_null(
	    job_start(here.ctx.jobs, WORK_VM_PAUSE, &req, VM1, "op", NULL, done, NULL, &err));
	look(0, QEMU, START);
	ops_end_job(WORK_VM_PAUSE, NULL);
}

static void
end_reconciliations(void)
{
	while (ops_find_job(WORK_RECONCILE))
		ops_end_job(WORK_RECONCILE, NULL);
}

/* A host that is not armed says so only, and at once, by a reconciliation. */
static void
test_tells_of_it(void **state)
{
	char why[] = "the host has no watchdog device";
	const struct watchdog_result res = { why, NULL, 1, 1, 10, 60, 3600 };

	here.unattended = true;
	while (!ops_find_job(WORK_WATCHDOG))
		ops_advance(1000);
	ops_end_job(WORK_WATCHDOG, &res);
	assert_false(arming_fences(keeper_arming(here.ctx.keeper)));
	await_look(10000 + BEAT);
	end_look(QEMU, START, false);
	await_look(BEAT + 500);
	end_reconciliations();
	end_look(QEMU, START, false);
	assert_non_null(ops_find_job(WORK_RECONCILE));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(await_look(BEAT + 500)->n_victims, 0);
		end_reconciliations();
		end_look(QEMU, START, false);
		assert_null(ops_find_job(WORK_RECONCILE));
	}
}

/* sanlock has ended: it is looked at soon, and what it does not keep is ended. */
static void
test_sanlock_ends(void **state)
{
	await_look(10000 + BEAT);
	end_look(0, 0, false);
	here.sanlock_ended(here.sanlock_arg);
	assert_false(arming_is_armed(keeper_arming(here.ctx.keeper)));
	look(0, QEMU, START);
	look(0, QEMU, START);
	look(1, QEMU, START);
}

/* Where nothing runs, as far as that is known, it looks all the same, but seldom. */
static void
test_nothing_runs(void **state)
{
	await_look(10000 + BEAT);
	end_look(0, 0, false);
	inventory_set_runstate(here.ctx.inventory, VM1, VMRUNSTATE_POWEROFF);
	expect_no_look(55000);
	await_look(5000 + BEAT);
	end_look(0, 0, false);
	expect_no_look(15000);
	inventory_set_runstate(here.ctx.inventory, VM1, VMRUNSTATE_RUNNING);
	await_look(10000 + BEAT);
	end_look(0, 0, false);
}

/* Without libvirt's word nothing is looked at, and what was seen before does not count. */
static void
test_not_known(void **state)
{
	await_look(10000 + BEAT);
	end_look(QEMU, START, false);
	look(0, QEMU, START);
	keeper_set_libvirt(here.ctx.keeper, false);
	if (ops_find_job(WORK_SELF_FENCE))
		end_look(QEMU, START, false);
	expect_no_look(20000);
	keeper_set_libvirt(here.ctx.keeper, true);
	await_look(BEAT + 500);
	ops_fail_job(WORK_SELF_FENCE, 503, "sanlock hangs");
	await_look(BEAT + 500);
	end_look(0, 0, false);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ARMED(test_ends_it),
		ARMED(test_begins_anew),
		ARMED(test_something_is_under_way),
		ARMED(test_tells_of_it),
		ARMED(test_sanlock_ends),
		ARMED(test_nothing_runs),
		ARMED(test_not_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
