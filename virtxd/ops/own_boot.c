/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/own_boot.h"

#include <string.h>

#include "ops/admission.h"
#include "ops/host_maintenance.h"
#include "ops/recovery.h"
#include "proto/ha.h"
#include "work/host_down.h"
#include "work/requests.h"

#define USER "virtxd" /* who begins these operations where nobody asks */

bool
own_boot_is_due(const struct context *ctx, const struct inventory_vm *view)
{
	return view && view->local && view->recorded && view->vm.want == WANT_ON &&
	       recovery_is_off(view->vm.runinfo.runstate) &&
	       ha_restarts(&view->vm.def, ctx->config->ha_restart);
}

bool
own_boot_is_ready(struct context *ctx)
{
	struct error ignored = { 0 };

	return task_ready(ctx, TASK_NEEDS_LOCKSPACE, &ignored) == 0 &&
	       keeper_knows_vms(ctx->keeper) && host_maintenance_check_open(ctx, &ignored) == 0 &&
	       !host_down_takes_guests(ctx->config->run_dir);
}

void
own_boot_start(struct context *ctx, const char *vm, const struct task_owner *owner, void *arg)
{
	own_boot_start_for(ctx, vm, USER, owner, arg);
}

void
own_boot_start_for(struct context *ctx, const char *vm, const char *user,
    const struct task_owner *owner, void *arg)
{
	static const struct task_place here = { .why = "" };
	const struct inventory_vm *view = inventory_find_vm(ctx->inventory, vm);
	struct vm_boot_request request = { 0 };
	struct error err = { 0 };
	struct task *task;

	task = task_open(ctx, ROUTE_VM_BOOT, NULL, user, vm, owner, arg, &err);
	if (!task) {
		owner->ended(arg, &err);
		return;
	}
	request.uuid = view->vm.uuid;
	if (admission_check_total(ctx, vm, &view->vm.def.memory, &err) < 0 ||
	    task_work(task, WORK_VM_BOOT, &request, &here, &err) < 0)
		task_fail(task, &err);
}

bool
own_boot_is_done(const struct error *err)
{
	return !err || error_is(err, ERROR_ALREADY_RUNNING) || error_is(err, ERROR_ALREADY_ON);
}

bool
own_boot_was_unable(const struct error *err)
{
	return err && (error_is(err, ERROR_UNAVAILABLE) || error_is(err, ERROR_BUSY));
}

/* QEMU locks its images, and so does libvirt by sanlock. */
bool
own_boot_may_succeed(const struct error *err)
{
	return own_boot_was_unable(err) || (err && strstr(err->detail, "lock"));
}
