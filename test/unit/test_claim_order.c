/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A dead host's VM that somebody wants to be this host's: what the job is asked, and the boot. */
#include "own_boot_host.h"

#include "ops/claim.h"

static int
setup_hosts(void **state)
{
	setup_up(state);
	ops_add_host(H2, "two", 4096);
	ops_add_host(H3, "three", 4096);
	ops_add_remote(VM1, H2, VMRUNSTATE_RUNNING);
	inventory_set_host(here.ctx.inventory, H2, "two", CSTATE_FAILED);
	return 0;
}

#define ORDER(function) cmocka_unit_test_setup_teardown(function, setup_hosts, ops_teardown)

static void
ask(const char *vm)
{
	claim_start(&here.ctx, ops_request(ROUTE_VM_FAILOVER, vm, "{}"), CLAIM_RECALL_NONE);
}

/* The job is done, and the VM is off here, and wanted so. */
static void
claimed(const char *vm, enum want want)
{
	struct vm_claim_result res = { .result = ops_result(vm, VMRUNSTATE_POWEROFF) };

	res.result.vm.want = want;
	res.result.vm.recorded = true;
	res.want_on = want == WANT_ON;
	ops_end_job(WORK_VM_CLAIM, &res);
	model_clear(&vm_claim_result_model, &res);
}

static void
test_what_the_job_is_asked(void **state)
{
	const struct vm_claim_request *request;

	ask(VM1);
	request = ops_request_of(WORK_VM_CLAIM);
	assert_string_equal(request->uuid, VM1);
	assert_string_equal(request->from, H2);
	assert_true(request->or_fail);
	assert_true(request->doubt);
	assert_int_equal(request->n_away, 1);
	assert_string_equal(request->away[0].uuid, H2);
	assert_true(request->bounded);
	assert_int_equal(request->memory,
	    inventory_find_host(here.ctx.inventory, SELF)->resources.memory.availablevms);
	assert_true(request->memory > 0);
	assert_int_equal(here.replies, 0);
	claimed(VM1, WANT_OFF);
	assert_int_equal(here.status, 204);
	assert_string_equal(ops_latest()->op, "VmFailover");
	assert_string_equal(ops_latest()->state, "completed");
	assert_int_equal(ops_runstate(VM1), VMRUNSTATE_POWEROFF);
	assert_string_equal(booting(), "");

	/* One that nobody here knows is for the registry to tell. */
	ask(VM2);
	request = ops_request_of(WORK_VM_CLAIM);
	assert_string_equal(str_or_empty(request->from), "");
	ops_fail_job(WORK_VM_CLAIM, 404, "VM is registered under no host");
	assert_int_equal(here.status, 404);
}

/* The host that had it was reset by its watchdog, or that is for somebody to have made sure of. */
static void
test_what_is_not_proved(void **state)
{
	static const struct {
		struct host_ha there, here;
		enum watchdog watchdog;
		const char *why; /* NULL: nothing */
	} cases[] = {
		{ { true, 1, 1, 10, 60 }, { true, 2, 1, 10, 60 }, WATCHDOG_ON, NULL },
		{ { true, 1, 1, 10, 60 }, { true, 2, 1, 10, 60 }, WATCHDOG_OFF,
		    "it had no watchdog" },
		{ { 0 }, { true, 2, 1, 10, 60 }, WATCHDOG_ON, "it was not armed" },
		{ { true, 1, 1, 10, 60 }, { 0 }, WATCHDOG_ON, "this host is not armed" },
		{ { true, 1, 1, 20, 60 }, { true, 2, 1, 10, 60 }, WATCHDOG_ON,
		    "an io_timeout of 20 s" },
		{ { true, 1, 1, 10, 90 }, { true, 2, 1, 10, 60 }, WATCHDOG_ON, "fires after 90 s" },
	};

	const struct vm_claim_request *request;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		inventory_set_ha(here.ctx.inventory, H2, &cases[i].there);
		inventory_set_ha(here.ctx.inventory, SELF, &cases[i].here);
		inventory_set_watchdog(here.ctx.inventory, H2, cases[i].watchdog);
		ask(VM1);
		request = ops_request_of(WORK_VM_CLAIM);
		if (cases[i].why) {
			assert_non_null(strstr(request->unproved, "'" VM1 "'"));
			assert_non_null(strstr(request->unproved, "'" H2 "' (serf says failed, "));
			assert_non_null(strstr(request->unproved, cases[i].why));
			assert_non_null(strstr(request->unproved, "has to be powered off"));
		} else {
			assert_string_equal(str_or_empty(request->unproved), "");
		}
		ops_fail_job(WORK_VM_CLAIM, 409, "held");
	}
	ask(VM2);
	request = ops_request_of(WORK_VM_CLAIM);
	assert_non_null(
	    strstr(request->unproved, "the host that had it: nothing is known of that host here"));
	ops_fail_job(WORK_VM_CLAIM, 409, "held");
}

/* It is booted where it was wanted on, which has begun when the answer comes. */
static void
test_the_boot(void **state)
{
	struct vm_claim_result res = { 0 };

	ask(VM1);
	claimed(VM1, WANT_ON);
	assert_int_equal(here.status, 204);
	assert_true(is_booting(VM1));
	assert_string_equal(ops_latest()->op, "VmBoot");
	assert_string_equal(ops_latest()->user, "me");
	end_boot(VM1);
	assert_null(problem_of(VM1));

	/* It was claimed before, and runs. */
	inventory_end_vm(here.ctx.inventory, VM1);
	ask(VM1);
	res.result = ops_result(VM1, VMRUNSTATE_RUNNING);
	res.result.vm.want = WANT_ON;
	res.result.vm.recorded = true;
	ops_end_job(WORK_VM_CLAIM, &res);
	assert_string_equal(booting(), "");
	model_clear(&vm_claim_result_model, &res);
}

static void
test_a_boot_that_fails(void **state)
{
	ask(VM1);
	claimed(VM1, WANT_ON);
	ops_fail_job(WORK_VM_BOOT, 424, "no such bridge");
	assert_non_null(strstr(problem_of(VM1), "no such bridge"));
	assert_int_equal(ops_runstate(VM1), VMRUNSTATE_POWEROFF);
}

/* The storage tells the locks of a host that has just died for a while. */
static void
test_a_boot_that_is_tried_again(void **state)
{
	unsigned int boots = 0;

	ask(VM1);
	claimed(VM1, WANT_ON);
	for (; is_booting(VM1) && boots < 100; boots++) {
		assert_null(problem_of(VM1));
		ops_fail_job(WORK_VM_BOOT, 424, "Failed to get \"write\" lock");
		ops_advance(10000);
	}
	assert_true(boots >= 10 && boots <= 25);
	assert_non_null(strstr(problem_of(VM1), "\"write\" lock"));
	/* One that somebody wants off meanwhile is left so. */
	inventory_end_vm(here.ctx.inventory, VM1);
	ask(VM1);
	claimed(VM1, WANT_ON);
	ops_fail_job(WORK_VM_BOOT, 424, "Failed to get \"write\" lock");
	wanted_vm(VM1, VMRUNSTATE_POWEROFF, WANT_OFF, NULL, NULL, "vm");
	ops_advance(10000);
	assert_string_equal(booting(), "");
	/* And one that starts at last. */
	wanted_vm(VM1, VMRUNSTATE_POWEROFF, WANT_ON, NULL, NULL, "vm");
	inventory_end_vm(here.ctx.inventory, VM1);
	ask(VM1);
	claimed(VM1, WANT_ON);
	ops_fail_job(WORK_VM_BOOT, 424, "Failed to get \"write\" lock");
	ops_advance(10000);
	end_boot(VM1);
	assert_int_equal(ops_runstate(VM1), VMRUNSTATE_RUNNING);
	ops_advance(10000);
	assert_string_equal(booting(), "");
}

static void
test_one_that_is_held(void **state)
{
	ask(VM1);
	ops_fail_job(WORK_VM_CLAIM, 409, "resource 'vm' is held by host_id 7");
	assert_int_equal(here.status, 409);
	assert_non_null(strstr(here.body, "is held by host_id 7"));
	assert_string_equal(booting(), "");
	assert_string_equal(inventory_find_vm(here.ctx.inventory, VM1)->vm.runinfo.host, H2);
}

/* What was half done when the job died is found out, and the VM is booted all the same. */
static void
test_a_job_that_dies(void **state)
{
	struct vm_result res;

	ask(VM1);
	ops_progress(WORK_VM_CLAIM, -1, WORK_STAGE_BEGUN);
	ops_fail_job(WORK_VM_CLAIM, 500, "killed");
	assert_int_equal(here.replies, 0);
	ops_advance(1000);
	res = ops_result(VM1, VMRUNSTATE_POWEROFF);
	res.done = true;
	res.warning = xstrdup("a file of it is left");
	res.vm.want = WANT_ON;
	res.vm.recorded = true;
	assert_string_equal(
	    ((const struct vm_heal_request *)ops_request_of(WORK_VM_HEAL))->op, "VmFailover");
	ops_end_job(WORK_VM_HEAL, &res);
	model_clear(&vm_result_model, &res);
	/* With what the job would have told. */
	assert_int_equal(here.status, 200);
	assert_non_null(strstr(here.headers, "a file of it is left; nothing here proves that VM"));
	assert_true(is_booting(VM1));
}

/* serf's word for its host is no matter then; and it is booted as any. */
static void
test_a_recall(void **state)
{
	static const enum claim_recall ways[] = { CLAIM_RECALL_TERM, CLAIM_RECALL_KILL };

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		const struct vm_claim_request *request;

		claim_start(&here.ctx, ops_request(ROUTE_VM_RECALL, VM1, "{}"), ways[i]);
		request = ops_request_of(WORK_VM_CLAIM);
		assert_false(request->doubt);
		assert_int_equal(request->recall, ways[i]);
		assert_string_equal(ops_latest()->op, "VmRecall");
		if (i == 0)
			ops_fail_job(WORK_VM_CLAIM, 409, "it was asked back 54 s ago");
	}
	assert_int_equal(here.status, 409);
	claimed(VM1, WANT_ON);
	assert_int_equal(here.status, 204);
	assert_true(is_booting(VM1));
}

static void
test_refused(void **state)
{
	ops_add_vm(VM3, VMRUNSTATE_POWEROFF);
	ask(VM3);
	assert_int_equal(here.status, 409);
	assert_non_null(strstr(here.body, "on this host already"));
	inventory_set_maintenance(here.ctx.inventory, SELF, true);
	ask(VM1);
	assert_int_equal(here.status, 503);
	assert_non_null(strstr(here.body, "is in maintenance"));
	assert_null(ops_find_job(WORK_VM_CLAIM));
}

/* While it cannot be asked who is away, sanlock is asked of all. */
static void
test_without_serf(void **state)
{
	here.serf = "it does not answer";
	ask(VM1);
	assert_int_equal(
	    ((const struct vm_claim_request *)ops_request_of(WORK_VM_CLAIM))->n_away, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ORDER(test_what_the_job_is_asked),
		ORDER(test_what_is_not_proved),
		ORDER(test_the_boot),
		ORDER(test_a_boot_that_fails),
		ORDER(test_a_boot_that_is_tried_again),
		ORDER(test_one_that_is_held),
		ORDER(test_a_job_that_dies),
		ORDER(test_a_recall),
		ORDER(test_refused),
		ORDER(test_without_serf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
