/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A host for unit tests of failovers: another one, h2, has VMs, and dies when the test says so. */
#ifndef TEST_FAILOVER_HOST_H
#define TEST_FAILOVER_HOST_H

#include "own_boot_host.h"

#include "disk/lease.h"
#include "ops/failover.h"

#define WAIT_MS 140000 /* 8 x 10 s, and 60 s */

static struct failover *failover;
static enum lockspace_sight sight; /* of H2 */
static const char *vms_of_h2[8];
static int32_t memory_of[8];		       /* MiB */
static unsigned int listed, kept, hosts_asked; /* jobs that have ended */
static bool deaf;			       /* sanlock does not answer */

static inline int
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

static inline int
teardown(void **state)
{
	failover_free(failover);
	return ops_teardown(state);
}

#define FAILOVER(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

/* A VM as it is when it was claimed. */
static inline struct vm_claim_result
claimed(const char *vm, bool want_on)
{
	struct vm_claim_result res = { .outcome = CLAIM_CLAIMED, .want_on = want_on };

	res.result = ops_result(vm, VMRUNSTATE_POWEROFF);
	res.result.vm.want = want_on ? WANT_ON : WANT_OFF;
	res.result.vm.recorded = true;
	ha_set(&res.result.vm.def, HA_POLICY, "restart");
	return res;
}

static inline void
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
static inline void
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

static inline void
pass(int64_t ms)
{
	for (; ms > 0; ms -= 1000) {
		ops_advance(ms < 1000 ? ms : 1000);
		attend_failover();
	}
}

static inline void
set_serf(const char *host, enum cstate cstate)
{
	inventory_set_host(here.ctx.inventory, host, "h", cstate);
}

/* This host has been up for long, and h2 dies. */
static inline void
let_h2_die(void)
{
	pass(WAIT_MS + 5000);
	set_serf(H2, CSTATE_FAILED);
	sight = LOCKSPACE_SIGHT_DEAD;
	pass(10000);
}

static inline const char *
claiming(void)
{
	const struct ops_job *job = ops_find_job(WORK_VM_CLAIM);

	return job ? job->vm : "";
}

static inline void
told(const char *words)
{
	_free_ char *text = failover_text(failover, H2);

	if (*words ? !strstr(text, words) : *text != '\0')
		fail_msg("no '%s' in '%s'", words, text);
}

/* The registry has it under another host by now. */
static inline void
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

static inline void
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

static inline void
end_claim_as(enum claim_outcome outcome)
{
	struct vm_claim_result res = { .outcome = outcome, .why = xstrdup("so it is") };

	if (outcome == CLAIM_LOST)
		unlist(claiming());
	ops_end_job(WORK_VM_CLAIM, &res);
	model_clear(&vm_claim_result_model, &res);
}

static inline uint64_t
results(enum failover_result result)
{
	return failover_count(failover)->results[result];
}

#endif
