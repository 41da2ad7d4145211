/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A host of ops_host.h whose libvirt has told of itself, and what it tells of a VM. */
#ifndef TEST_KEEPER_HOST_H
#define TEST_KEEPER_HOST_H

#include "ops_host.h"

static inline int
setup_up(void **state)
{
	ops_setup(state);
	ops_up();
	return 0;
}

#define KEEPER(function) cmocka_unit_test_setup_teardown(function, setup_up, ops_teardown)

static inline void
event(const char *vm, enum vmrunstate runstate)
{
	keeper_vm_changed(here.ctx.keeper, vm, runstate, false);
}

static inline const struct inventory_vm *
find(const char *vm)
{
	return inventory_find_vm(here.ctx.inventory, vm);
}

/* What libvirt has: this VM in this state. */
static inline void
collect(const char *vm, enum vmrunstate runstate)
{
	struct collect_result res = { .host = { .uuid = xstrdup(SELF) } };

	ops_report(vm, runstate, model_append(&res.vms, &res.n_vms));
	ops_end_job(WORK_COLLECT, &res);
	model_clear(&collect_result_model, &res);
}

static inline void
refresh(const char *vm, enum vmrunstate runstate)
{
	struct refresh_result res = { 0 };

	ops_report(vm, runstate, model_append(&res.vms, &res.n_vms));
	ops_end_job(WORK_REFRESH, &res);
	model_clear(&refresh_result_model, &res);
}

#endif
