/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMs of a dead host: in which order they are claimed, by whom, and what becomes of them. */
#include "failover_host.h"

/* So many at once, in the order in which they were listed. */
static void
test_the_order(void **state)
{
	vms_of_h2[0] = VM3;
	vms_of_h2[1] = VM1;
	vms_of_h2[2] = VM2;
	let_h2_die();
	assert_int_equal(failover_count(failover)->at_once, FAILOVER_AT_ONCE);
	end_claim(VM3, false);
	assert_string_equal(claiming(), VM1);
	pass(2000);
	end_claim(VM1, false);
	assert_string_equal(claiming(), VM2);
	end_claim(VM2, false);
	pass(5000);
	assert_int_equal(results(FAILOVER_UNWANTED), 3);
	assert_string_equal(booting(), "");
}

static void
test_outcomes(void **state)
{
	static const struct {
		enum claim_outcome outcome;
		enum failover_result result;
		bool again; /* it is asked again, for a while */
	} rows[] = {
		{ CLAIM_LOST, FAILOVER_LOST, false },
		{ CLAIM_HELD, FAILOVER_HELD, true },
		{ CLAIM_UNSETTLED, FAILOVER_UNSETTLED, true },
		{ CLAIM_REFUSED, FAILOVER_REFUSED, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned int asked = 0;

		set_serf(H2, CSTATE_ACTIVE);
		sight = LOCKSPACE_SIGHT_LIVE;
		vms_of_h2[0] = VM1;
		pass(10000);
		let_h2_die();
		for (; *claiming() && asked < 100; asked++) {
			end_claim_as(rows[i].outcome);
			pass(FAILOVER_TRIES_MS / 10);
		}
		assert_true(rows[i].again ? asked >= 10 && asked <= 13 : asked == 1);
		assert_int_equal(results(rows[i].result), 1);
	}
}

/* What a host held that has died since, or what this host was refused, is not given up for good as
 * long as the dead host has it. */
static void
test_what_is_left(void **state)
{
	vms_of_h2[1] = VM2;
	let_h2_die();
	end_claim(VM1, true);
	pass(2000);
	end_boot(VM1);
	end_claim_as(CLAIM_REFUSED);
	pass(600000);
	assert_string_equal(claiming(), VM2);
	end_claim_as(CLAIM_REFUSED);
	assert_int_equal(results(FAILOVER_REFUSED), 1);
	told("; its VMs: 1 booted, 1 refused");
	pass(600000);
	end_claim(VM2, true);
	pass(2000);
	end_boot(VM2);
	pass(5000);
	assert_int_equal(results(FAILOVER_BOOTED), 2);
	told("; its VMs: 2 booted");
	pass(600000);
	assert_string_equal(claiming(), "");
	/* One that nobody knew of: another host gave it back. */
	vms_of_h2[0] = VM3;
	pass(130000);
	end_claim(VM3, false);
	/* It is looked at no more when the host is back. */
	pass(5000);
	set_serf(H2, CSTATE_ACTIVE);
	sight = LOCKSPACE_SIGHT_LIVE;
	vms_of_h2[0] = VM2;
	pass(600000);
	assert_string_equal(claiming(), "");
	assert_int_equal(failover_count(failover)->at_once, 0);
}

/* A job that dies may have claimed it. */
static void
test_a_claim_that_dies(void **state)
{
	struct vm_claim_result res = claimed(VM1, true);

	let_h2_die();
	ops_fail_job(WORK_VM_CLAIM, 500, "killed by signal 9");
	pass(2000);
	ops_end_job(WORK_VM_HEAL, &res.result);
	model_clear(&vm_claim_result_model, &res);
	pass(12000);
	assert_string_equal(claiming(), "");
	end_boot(VM1);
	pass(2000);
	assert_int_equal(results(FAILOVER_BOOTED), 1);
}

/* Its room is not given away before it is known how it ended. */
static void
test_the_room_of_one_that_dies(void **state)
{
	struct vm_claim_result res = claimed(VM1, true);
	const struct host *self = inventory_find_host(here.ctx.inventory, SELF);
	int32_t memory = self->resources.memory.availablevms / 3 * 2;

	assert_true(memory > 0);
	vms_of_h2[1] = VM2;
	memory_of[0] = memory_of[1] = res.result.vm.def.memory.total = memory;
	let_h2_die();
	assert_int_equal(results(FAILOVER_NO_ROOM), 1);
	ops_fail_job(WORK_VM_CLAIM, 500, "killed by signal 9");
	pass(20000);
	assert_string_equal(claiming(), "");
	unlist(VM1);
	ops_end_job(WORK_VM_HEAL, &res.result);
	model_clear(&vm_claim_result_model, &res);
	pass(12000);
	assert_string_equal(claiming(), "");
	end_boot(VM1);
	pass(5000);
	assert_int_equal(results(FAILOVER_BOOTED), 1);
	/* It has gone: there is room again. */
	inventory_end_vm(here.ctx.inventory, VM1);
	pass(10000);
	assert_string_equal(claiming(), VM2);
	end_claim_as(CLAIM_LOST);
}

/* QEMU's lock of an image may be there for a while; what does not start is a problem. */
static void
test_a_boot_in_vain(void **state)
{
	unsigned int boots = 0;

	vms_of_h2[1] = VM2;
	let_h2_die();
	end_claim(VM1, true);
	end_claim(VM2, false);
	pass(2000);
	for (; is_booting(VM1) && boots < 100; boots++) {
		ops_fail_job(WORK_VM_BOOT, 424, "Failed to get \"write\" lock");
		pass(10000);
	}
	assert_true(boots >= 10 && boots <= 13);
	assert_int_equal(results(FAILOVER_UNBOOTED), 1);
	assert_non_null(strstr(problem_of(VM1), "taken over from host '" H2 "'"));
}

static void
test_a_boot_that_fails(void **state)
{
	let_h2_die();
	end_claim(VM1, true);
	pass(2000);
	ops_fail_job(WORK_VM_BOOT, 424, "no such file");
	pass(600000);
	assert_false(is_booting(VM1));
	assert_int_equal(results(FAILOVER_UNBOOTED), 1);
	assert_non_null(strstr(problem_of(VM1), "no such file"));
}

/* The next one comes later, and leaves alone what the first has got. */
static void
test_the_second_of_two(void **state)
{
	static const struct host_ha third = { true, 3, 1, 10, 60 };
	const char *second = NULL, *first = NULL, *vms[] = { VM1, VM2, VM3 };

	ops_add_host(H3, "h3", 10000);
	inventory_set_ha(here.ctx.inventory, H3, &third);
	for (size_t i = 0; i < ARRAY_SIZE(vms); i++) {
		if (failover_is_before(vms[i], SELF, H3))
			first = vms[i];
		else
			second = vms[i];
		assert_true(
		    failover_is_before(vms[i], SELF, H3) != failover_is_before(vms[i], H3, SELF));
	}
	assert_non_null(first);
	assert_non_null(second);
	vms_of_h2[0] = second;
	vms_of_h2[1] = first;
	let_h2_die();
	assert_string_equal(claiming(), first);
	end_claim_as(CLAIM_LOST);
	assert_string_equal(claiming(), "");
	pass(FAILOVER_RANK_MS + 5000);
	assert_string_equal(claiming(), second);
	end_claim_as(CLAIM_HELD);
	ops_add_remote(second, H3, VMRUNSTATE_RUNNING);
	pass(600000);
	assert_string_equal(claiming(), "");
	assert_int_equal(results(FAILOVER_LOST), 2);
}

/* Nobody waits for the turn of a host that is armed and takes nothing over. */
static void
test_one_that_is_off(void **state)
{
	static const struct host_ha third = { true, 3, 1, 10, 60 };
	const char *vms[] = { VM1, VM2, VM3 };

	ops_add_host(H3, "h3", 10000);
	inventory_set_ha(here.ctx.inventory, H3, &third);
	inventory_set_ha_off(here.ctx.inventory, H3, true);
	for (size_t i = 0; i < ARRAY_SIZE(vms); i++) {
		if (failover_is_before(vms[i], H3, SELF))
			vms_of_h2[0] = vms[i];
	}
	assert_true(failover_is_before(vms_of_h2[0], H3, SELF));
	let_h2_die();
	assert_string_equal(claiming(), vms_of_h2[0]);
	end_claim_as(CLAIM_LOST);
}

/* It waits until there is room. */
static void
test_no_room(void **state)
{
	vms_of_h2[1] = VM2;
	memory_of[0] = 1 << 30;
	let_h2_die();
	assert_string_equal(claiming(), VM2);
	end_claim_as(CLAIM_LOST);
	pass(600000);
	assert_string_equal(claiming(), "");
	assert_int_equal(results(FAILOVER_NO_ROOM), 1);
	/* A host that is forgotten is nobody's any more. */
	set_serf(H2, CSTATE_INVALID);
	pass(5000);
	assert_int_equal(results(FAILOVER_LOST), 2);
}

/* So many are looked at in a second, and those behind get their turn. */
static void
test_many(void **state)
{
	struct failover_count counts = { 0 };
	struct host_vms_result found = { 0 };
	struct failover_vms *list;

	pass(WAIT_MS + 5000);
	for (unsigned int i = 0; i < 10 * FAILOVER_LOOKS; i++) {
		struct host_vm *vm = model_append(&found.vms, &found.n_vms);

		vm->uuid = xasprintf("5a1f3c7e-9b52-4d0a-8f3e-%012x", i);
		vm->def.memory.total = i == 10 * FAILOVER_LOOKS - 1 ? 16 : 1 << 30;
	}
	list = failover_vms_new(&here.ctx, &counts, H2, &found, here.now);
	failover_vms_step(list, true);
	assert_int_equal(counts.results[FAILOVER_NO_ROOM], FAILOVER_LOOKS);
	for (unsigned int i = 0; i < 11; i++) {
		pass(1000);
		failover_vms_step(list, true);
	}
	assert_int_equal(counts.results[FAILOVER_NO_ROOM], 10 * FAILOVER_LOOKS - 1);
	assert_string_equal(claiming(), found.vms[found.n_vms - 1].uuid);
	end_claim_as(CLAIM_LOST);
	failover_vms_free(list);
	model_clear(&host_vms_result_model, &found);
}

/* Since when, what is missing, how many, and what became of them; no names. */
static void
test_what_is_told(void **state)
{
	_free_ char *none = failover_text(NULL, H2);

	assert_string_equal(none, "");
	memory_of[1] = 1 << 30;
	vms_of_h2[1] = VM2;
	pass(WAIT_MS + 5000);
	told("");
	set_serf(H2, CSTATE_FAILED);
	sight = LOCKSPACE_SIGHT_FAIL;
	pass(5000);
	told("(serf says failed, sanlock FAIL); its 2 VMs restart from 20");
	told("; 1 cannot: no host has room; not yet: sanlock says FAIL, and not DEAD yet");
	sight = LOCKSPACE_SIGHT_DEAD;
	pass(10000);
	told("; its VMs: 1 waits, 1 no room");
	end_claim(VM1, true);
	pass(2000);
	end_boot(VM1);
	pass(2000);
	told("; its VMs: 1 booted, 1 no room");
	set_serf(H2, CSTATE_ACTIVE);
	sight = LOCKSPACE_SIGHT_LIVE;
	pass(5000);
	told("");
}

/* virtxd was started anew between a claim and its boot. */
static void
test_what_was_left(void **state)
{
	struct vm_stay left[] = { { (char *)VM1, (char *)"" }, { (char *)VM2, (char *)"" } };
	struct autostart_result res = { .kept = true, .vms = left, .n_vms = 2 };

	wanted_vm(VM1, VMRUNSTATE_POWEROFF, WANT_ON, "restart", NULL, "vm");
	ops_advance(2000);
	assert_true(((const struct autostart_request *)ops_request_of(WORK_AUTOSTART))->failover);
	ops_end_job(WORK_AUTOSTART, &res);
	pass(2000);
	end_boot(VM1);
	pass(FAILOVER_TRIES_MS + 10000);
	assert_false(is_booting(VM1));
	assert_false(is_booting(VM2));
	assert_int_equal(kept, 2);
	assert_int_equal(results(FAILOVER_LOST), 0);
}

/* A run_dir that cannot be read or written is told, until it can be. */
static void
test_no_record(void **state)
{
	ops_advance(2000);
	assert_string_equal(failover_record_why(failover), "");
	ops_fail_job(WORK_AUTOSTART, 507, "cannot read '/run/virtx/failover'");
	assert_string_equal(failover_record_why(failover),
	    "which VMs are taken over cannot be kept: cannot read '/run/virtx/failover'");
	pass(20000);
	assert_string_equal(failover_record_why(failover), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FAILOVER(test_the_order),
		FAILOVER(test_outcomes),
		FAILOVER(test_what_is_left),
		FAILOVER(test_a_claim_that_dies),
		FAILOVER(test_the_room_of_one_that_dies),
		FAILOVER(test_a_boot_in_vain),
		FAILOVER(test_a_boot_that_fails),
		FAILOVER(test_the_second_of_two),
		FAILOVER(test_one_that_is_off),
		FAILOVER(test_no_room),
		FAILOVER(test_many),
		FAILOVER(test_what_is_told),
		FAILOVER(test_what_was_left),
		FAILOVER(test_no_record),
	};

	return cmocka_run_group_tests_name("failover_vms", tests, NULL, NULL);
}
