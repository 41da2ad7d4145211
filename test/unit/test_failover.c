/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMs of a dead host: when they are claimed, by whom, in which order, and what becomes of them. */
#include "own_boot_host.h"

#include <unistd.h>

#include "disk/lease.h"
#include "ops/failover.h"
#include "work/host_down.h"

#define WAIT_MS 140000 /* 8 x 10 s, and 60 s */

static struct failover *failover;
static enum lockspace_sight sight; /* of H2 */
static const char *vms_of_h2[8];
static int32_t memory_of[8];		       /* MiB */
static unsigned int listed, kept, hosts_asked; /* jobs that have ended */
static bool deaf;			       /* sanlock does not answer */

static int
setup(void **state)
{
	static const struct host_ha self = { true, 1, 1, 10, 60 }, other = { true, 2, 5, 10, 60 };

	ops_setup(state);
	here.config.ha_enabled = true;
	str_set(&here.config.run_dir, "/nonexistent");
	ops_up();
	failover = failover_new(&here.ctx);
	ops_add_host(H2, "h2", 10000);
	inventory_set_ha(here.ctx.inventory, SELF, &self);
	inventory_set_ha(here.ctx.inventory, H2, &other);
	sight = LOCKSPACE_SIGHT_LIVE;
	memset(vms_of_h2, 0, sizeof(vms_of_h2));
	memset(memory_of, 0, sizeof(memory_of));
	vms_of_h2[0] = VM1;
	listed = kept = hosts_asked = 0;
	deaf = false;
	return 0;
}

static int
teardown(void **state)
{
	failover_free(failover);
	return ops_teardown(state);
}

#define FAILOVER(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

/* A VM as it is when it was claimed. */
static struct vm_claim_result
claimed(const char *vm, bool want_on)
{
	struct vm_claim_result res = { .outcome = CLAIM_CLAIMED, .want_on = want_on };

	res.result = ops_result(vm, VMRUNSTATE_POWEROFF);
	res.result.vm.want = want_on ? WANT_ON : WANT_OFF;
	res.result.vm.recorded = true;
	ha_set(&res.result.vm.def, HA_POLICY, "restart");
	return res;
}

static void
answer_list(void)
{
	struct host_vms_result res = { 0 };

	assert_string_equal(
	    ((const struct host_vms_request *)ops_request_of(WORK_HOST_VMS))->host, H2);
	for (size_t i = 0; i < ARRAY_SIZE(vms_of_h2) && vms_of_h2[i]; i++) {
		struct host_vm *vm = model_append(&res.vms, &res.n_vms);

		vm->uuid = xstrdup(vms_of_h2[i]);
		vm->def.memory.total = memory_of[i] ? memory_of[i] : 16;
	}
	listed++;
	ops_end_job(WORK_HOST_VMS, &res);
	model_clear(&host_vms_result_model, &res);
}

/* What jobs answer by themselves, but those that claim and boot. */
static void
attend_failover(void)
{
	struct seen_host seen = { 2, 5, 10, (int16_t)sight };
	struct lockspace_hosts_result hosts = { &seen, 1 };

	if (ops_find_job(WORK_LOCKSPACE_HOSTS) && !deaf) {
		hosts_asked++;
		ops_end_job(WORK_LOCKSPACE_HOSTS, &hosts);
	}
	if (ops_find_job(WORK_HOST_VMS))
		answer_list();
	/* This host has no watchdog. */
	if (here.answers == WORK_WATCHDOG && ops_find_job(WORK_WATCHDOG)) {
		struct watchdog_result res = { xstrdup("none"), NULL, 1, 1, 10, 60, 3600 };

		ops_end_job(WORK_WATCHDOG, &res);
		model_clear(&watchdog_result_model, &res);
	}
	if (ops_find_job(WORK_AUTOSTART)) {
		kept += ((const struct autostart_request *)ops_request_of(WORK_AUTOSTART))->keep;
		ops_end_job(WORK_AUTOSTART, NULL);
	}
}

static void
pass(int64_t ms)
{
	for (; ms > 0; ms -= 1000) {
		ops_advance(ms < 1000 ? ms : 1000);
		attend_failover();
	}
}

static void
set_serf(const char *host, enum cstate cstate)
{
	inventory_set_host(here.ctx.inventory, host, "h", cstate);
}

/* This host has been up for long, and h2 dies. */
static void
let_h2_die(void)
{
	pass(WAIT_MS + 5000);
	set_serf(H2, CSTATE_FAILED);
	sight = LOCKSPACE_SIGHT_DEAD;
	pass(10000);
}

static const char *
claiming(void)
{
	const struct ops_job *job = ops_find_job(WORK_VM_CLAIM);

	return job ? job->vm : "";
}

static void
told(const char *words)
{
	_free_ char *text = failover_text(failover, H2);

	if (*words ? !strstr(text, words) : *text != '\0')
		fail_msg("no '%s' in '%s'", words, text);
}

/* The registry has it under another host by now. */
static void
unlist(const char *vm)
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(vms_of_h2); i++) {
		if (!str_equal(vms_of_h2[i], vm))
			vms_of_h2[n++] = vms_of_h2[i];
	}
	while (n < ARRAY_SIZE(vms_of_h2))
		vms_of_h2[n++] = NULL;
}

static void
end_claim(const char *vm, bool want_on)
{
	struct vm_claim_result res = claimed(vm, want_on);

	assert_string_equal(claiming(), vm);
	assert_string_equal(
	    ((const struct vm_claim_request *)ops_request_of(WORK_VM_CLAIM))->from, H2);
	unlist(vm);
	ops_end_job(WORK_VM_CLAIM, &res);
	model_clear(&vm_claim_result_model, &res);
}

static void
end_claim_as(enum claim_outcome outcome)
{
	struct vm_claim_result res = { .outcome = outcome, .why = xstrdup("so it is") };

	if (outcome == CLAIM_LOST)
		unlist(claiming());
	ops_end_job(WORK_VM_CLAIM, &res);
	model_clear(&vm_claim_result_model, &res);
}

static uint64_t
results(enum failover_result result)
{
	return failover_count(failover)->results[result];
}

static void
test_a_host_dies(void **state)
{
	let_h2_die();
	assert_string_equal(claiming(), VM1);
	/* Read when it was suspected, and again when it was dead. */
	assert_int_equal(listed, 2);
	assert_int_equal(kept, 1);
	end_claim(VM1, true);
	pass(2000);
	assert_true(is_booting(VM1));
	assert_string_equal(ops_latest()->op, "VmBoot");
	assert_string_equal(ops_latest()->user, "virtxd");
	end_boot(VM1);
	pass(5000);
	assert_int_equal(results(FAILOVER_BOOTED), 1);
	assert_true(failover_count(failover)->booted_ms > 0);
	assert_int_equal(failover_count(failover)->at_once, 0);
	/* That nothing is left is kept, too. */
	assert_int_equal(kept, 2);
	pass(600000);
	assert_string_equal(claiming(), "");
	assert_string_equal(booting(), "");
}

static void
test_disabled(void **state)
{
	failover_free(failover);
	here.config.ha_enabled = false;
	failover = failover_new(&here.ctx);
	let_h2_die();
	pass(600000);
	assert_int_equal(hosts_asked, 0);
	assert_int_equal(listed, 0);
	assert_string_equal(claiming(), "");
}

/* The configuration is read again: what is not claimed yet stays then, and goes on later. */
static void
test_switched(void **state)
{
	pass(WAIT_MS + 5000);
	here.config.ha_enabled = false;
	set_serf(H2, CSTATE_FAILED);
	sight = LOCKSPACE_SIGHT_FAIL;
	pass(60000);
	assert_int_equal(listed, 0);
	here.config.ha_enabled = true;
	pass(10000);
	assert_int_equal(listed, 1);
	here.config.ha_enabled = false;
	sight = LOCKSPACE_SIGHT_DEAD;
	pass(60000);
	assert_int_equal(listed, 1);
	assert_string_equal(claiming(), "");
	/* This host was there all the while: nothing is waited for. */
	here.config.ha_enabled = true;
	pass(10000);
	assert_string_equal(claiming(), VM1);
	/* One that is being claimed is booted. */
	here.config.ha_enabled = false;
	pass(2000);
	end_claim(VM1, true);
	pass(2000);
	assert_true(is_booting(VM1));
	end_boot(VM1);
	pass(5000);
	assert_int_equal(failover_count(failover)->results[FAILOVER_BOOTED], 1);
	assert_string_equal(claiming(), "");
}

/* A host that is shut down itself claims and boots nothing; one that stays up after all goes on. */
static void
test_goes_down_itself(void **state)
{
	char folder[] = "/tmp/virtx-XXXXXX";
	_free_ char *flag = NULL;
	struct error err = { 0 };

	assert_non_null(mkdtemp(folder));
	flag = xasprintf("%s/guests", folder);
	str_set(&here.config.run_dir, folder);
	assert_int_equal(host_down_begin_guests(folder, &err), 0);
	let_h2_die();
	pass(60000);
	assert_string_equal(claiming(), "");
	/* libvirt-guests may have been stopped alone, which nobody would see else. */
	assert_non_null(strstr(failover_record_why(failover), "libvirt-guests"));
	assert_int_equal(unlink(flag), 0);
	assert_string_equal(failover_record_why(failover), "");
	pass(10000);
	end_claim(VM1, true);
	assert_int_equal(host_down_begin_guests(folder, &err), 0);
	pass(60000);
	assert_false(is_booting(VM1));
	assert_int_equal(unlink(flag), 0);
	pass(5000);
	assert_true(is_booting(VM1));
	end_boot(VM1);
	pass(5000);
	assert_int_equal(rmdir(folder), 0);
}

/* It was shut down in order, and leaves its tag: nothing is waited for once its host id is free. */
static void
test_hands_over(void **state)
{
	pass(WAIT_MS + 5000);
	set_serf(H2, CSTATE_LEFT);
	pass(10000);
	assert_string_equal(claiming(), "");
	sight = LOCKSPACE_SIGHT_FREE;
	pass(10000);
	end_claim(VM1, true);
	pass(2000);
	end_boot(VM1);
	pass(5000);
}

/* sanlock says LIVE: nothing is done, however long serf does not reach it. */
static void
test_a_partition(void **state)
{
	pass(WAIT_MS + 5000);
	set_serf(H2, CSTATE_FAILED);
	pass(3600000);
	assert_string_equal(claiming(), "");
	set_serf(H2, CSTATE_ACTIVE);
	pass(5000);
	assert_string_equal(claiming(), "");
}

/* sanlock alone proves nothing, and what it said before the suspicion does not either. */
static void
test_sanlock_alone(void **state)
{
	pass(WAIT_MS + 5000);
	sight = LOCKSPACE_SIGHT_DEAD;
	pass(600000);
	assert_string_equal(claiming(), "");
	deaf = true;
	pass(10000);
	set_serf(H2, CSTATE_FAILED);
	pass(600000);
	assert_string_equal(claiming(), "");
	deaf = false;
	pass(10000);
	assert_string_equal(claiming(), VM1);
	end_claim_as(CLAIM_LOST);
}

static void
test_back_before_it_is_proved(void **state)
{
	pass(WAIT_MS + 5000);
	set_serf(H2, CSTATE_FAILED);
	sight = LOCKSPACE_SIGHT_FAIL;
	pass(60000);
	set_serf(H2, CSTATE_ACTIVE);
	sight = LOCKSPACE_SIGHT_LIVE;
	pass(600000);
	assert_string_equal(claiming(), "");
	assert_int_equal(listed, 1);
	set_serf(H2, CSTATE_FAILED);
	sight = LOCKSPACE_SIGHT_FAIL;
	pass(5000);
	assert_int_equal(listed, 2);
}

/* It comes back while its VMs are taken over: what is under way ends, and nothing else begins. */
static void
test_back_afterwards(void **state)
{
	vms_of_h2[1] = VM2;
	vms_of_h2[2] = VM3;
	let_h2_die();
	set_serf(H2, CSTATE_ACTIVE);
	pass(5000);
	end_claim(VM1, true);
	end_claim_as(CLAIM_HELD);
	pass(5000);
	end_boot(VM1);
	pass(600000);
	assert_string_equal(claiming(), "");
	assert_int_equal(results(FAILOVER_BOOTED), 1);
	assert_int_equal(results(FAILOVER_LOST), 2);
	/* And it dies again. */
	vms_of_h2[0] = VM2;
	vms_of_h2[1] = NULL;
	sight = LOCKSPACE_SIGHT_DEAD;
	set_serf(H2, CSTATE_FAILED);
	pass(10000);
	assert_string_equal(claiming(), VM2);
	end_claim_as(CLAIM_LOST);
}

/* As long as this host was not well itself for long enough, what its sanlock says does not count.
 */
static void
test_this_host_was_away(void **state)
{
	pass(WAIT_MS + 5000);
	here.sanlock = "gone";
	pass(5000);
	here.sanlock = NULL;
	set_serf(H2, CSTATE_FAILED);
	sight = LOCKSPACE_SIGHT_DEAD;
	pass(WAIT_MS - 10000);
	assert_string_equal(claiming(), "");
	pass(30000);
	assert_string_equal(claiming(), VM1);
	end_claim_as(CLAIM_LOST);
}

/* Nor after it stood still, be it while it takes over. */
static void
test_this_host_stood_still(void **state)
{
	pass(WAIT_MS + 5000);
	set_serf(H2, CSTATE_FAILED);
	pass(5000);
	here.now += 21000;
	sight = LOCKSPACE_SIGHT_DEAD;
	pass(WAIT_MS - 5000);
	assert_string_equal(claiming(), "");
	vms_of_h2[1] = VM2;
	vms_of_h2[2] = VM3;
	pass(20000);
	assert_string_equal(claiming(), VM1);
	here.now += 21000;
	pass(2000);
	end_claim_as(CLAIM_LOST);
	end_claim_as(CLAIM_LOST);
	pass(WAIT_MS - 10000);
	assert_string_equal(claiming(), "");
	pass(20000);
	assert_string_equal(claiming(), VM3);
	end_claim_as(CLAIM_LOST);
}

static void
test_who_is_not_armed(void **state)
{
	static const struct host_ha off, other = { true, 2, 5, 10, 60 },
					 slow = { true, 2, 5, 20, 60 };

	inventory_set_ha(here.ctx.inventory, H2, &slow);
	let_h2_die();
	pass(600000);
	assert_string_equal(claiming(), "");
	here.answers = WORK_WATCHDOG;
	inventory_set_ha(here.ctx.inventory, H2, &slow);
	pass(130000);
	inventory_set_ha(here.ctx.inventory, H2, &other);
	pass(600000);
	assert_string_equal(claiming(), "");
	inventory_set_ha(here.ctx.inventory, H2, &off);
	here.answers = WORK_PROBE;
	pass(600000);
	assert_string_equal(claiming(), "");
}

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

/* It is nobody's any more, and what sanlock said of it last suspects nobody. */
static void
test_a_host_that_is_forgotten(void **state)
{
	unsigned int before;

	pass(WAIT_MS + 5000);
	sight = LOCKSPACE_SIGHT_DEAD;
	pass(10000);
	told("serf says active, sanlock DEAD");
	set_serf(H2, CSTATE_INVALID);
	pass(5000);
	told("");
	before = hosts_asked;
	pass(60000);
	assert_true(hosts_asked - before <= 7);
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
		FAILOVER(test_a_host_dies),
		FAILOVER(test_disabled),
		FAILOVER(test_switched),
		FAILOVER(test_goes_down_itself),
		FAILOVER(test_hands_over),
		FAILOVER(test_a_partition),
		FAILOVER(test_sanlock_alone),
		FAILOVER(test_back_before_it_is_proved),
		FAILOVER(test_back_afterwards),
		FAILOVER(test_this_host_was_away),
		FAILOVER(test_this_host_stood_still),
		FAILOVER(test_who_is_not_armed),
		FAILOVER(test_no_record),
		FAILOVER(test_the_order),
		FAILOVER(test_outcomes),
		FAILOVER(test_what_is_left),
		FAILOVER(test_a_claim_that_dies),
		FAILOVER(test_the_room_of_one_that_dies),
		FAILOVER(test_a_boot_in_vain),
		FAILOVER(test_a_boot_that_fails),
		FAILOVER(test_the_second_of_two),
		FAILOVER(test_no_room),
		FAILOVER(test_many),
		FAILOVER(test_a_host_that_is_forgotten),
		FAILOVER(test_what_is_told),
		FAILOVER(test_what_was_left),
	};

	return cmocka_run_group_tests_name("failover", tests, NULL, NULL);
}
