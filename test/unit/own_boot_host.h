/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A host for unit tests of VMs that virtxd boots by itself. */
#ifndef TEST_OWN_BOOT_HOST_H
#define TEST_OWN_BOOT_HOST_H

#include "keeper_host.h"

#include "proto/ha.h"

/* A VM in that state, as it is wanted; policy and order may be NULL. */
static inline void
wanted_vm(const char *vm, enum vmrunstate runstate, enum want want, const char *policy,
    const char *order, const char *name)
{
	struct inventory *inventory = here.ctx.inventory;
	struct vm_report report;

	ops_report(vm, runstate, &report);
	str_set(&report.def.name, name);
	report.want = want;
	report.recorded = true;
	if (policy)
		ha_set(&report.def, HA_POLICY, policy);
	if (order)
		ha_set(&report.def, HA_ORDER, order);
	inventory_report_vm(inventory, inventory_mark(inventory), true, &report);
	model_clear(&vm_report_model, &report);
}

static inline const char *
booting(void)
{
	struct ops_job *job = ops_find_job(WORK_VM_BOOT);

	return job ? job->vm : "";
}

static inline bool
is_booting(const char *vm)
{
	return str_equal(booting(), vm);
}

/* It runs now. */
static inline void
end_boot(const char *vm)
{
	struct vm_result res = ops_result(vm, VMRUNSTATE_RUNNING);

	assert_true(is_booting(vm));
	res.vm.want = WANT_ON;
	res.vm.recorded = true;
	ha_set(&res.vm.def, HA_POLICY, "restart");
	ops_end_job(WORK_VM_BOOT, &res);
	model_clear(&vm_result_model, &res);
}

/* What is told of the VM as a problem of this host; NULL for nothing. */
static inline const char *
problem_of(const char *vm)
{
	const struct host *host = inventory_find_host(here.ctx.inventory, SELF);

	for (size_t i = 0; i < host->n_problems; i++) {
		if (str_equal(host->problems[i].kind, "not-started") &&
		    str_equal(host->problems[i].vm, vm))
			return host->problems[i].detail;
	}
	return NULL;
}

#endif
