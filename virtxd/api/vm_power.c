/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Boot, shutdown, pause, resume, reset and reboot. */
#include "api/handlers.h"
#include "ops/admission.h"
#include "ops/context.h"
#include "ops/scheduler.h"
#include "ops/task.h"
#include "proto/vmdef.h"

/* To go on, a VM has to hold its leases. */
static enum task_need
need_of_resume(const struct context *ctx, const struct request *req)
{
	const struct inventory_vm *view = inventory_find_vm(ctx->inventory, req->param);

	return task_need_of(vmdef_leases(&view->vm.def) + view->leased);
}

/* To run, it has one of its own at least, or gets it; but for one that VirtX did not make. */
static enum task_need
need_of_boot(const struct context *ctx, const struct request *req)
{
	const struct inventory_vm *view = inventory_find_vm(ctx->inventory, req->param);

	return view->foreign ? need_of_resume(ctx, req) : TASK_NEEDS_LOCKSPACE;
}

/* Of one that is on already the job tells that. */
static int
check_memory(struct context *ctx, const struct request *req, struct error *err)
{
	const struct vm *vm = &inventory_find_vm(ctx->inventory, req->param)->vm;

	if (vm->runinfo.runstate != VMRUNSTATE_POWEROFF &&
	    vm->runinfo.runstate != VMRUNSTATE_CRASHED)
		return 0;
	return admission_check_total(ctx, vm->uuid, &vm->def.memory, err);
}

static void
boot(
    struct context *ctx, struct request *req, const struct vm_boot_options *options, bool if_needed)
{
	struct vm_boot_request boot = { .if_needed = if_needed };
	struct error err = { 0 };

	if (task_find_vm(ctx, req) < 0)
		return;
	if (check_memory(ctx, req, &err) < 0) {
		request_reply_error(req, &err);
		return;
	}
	if (task_check_ready(ctx, req, need_of_boot(ctx, req)) < 0)
		return;
	boot.uuid = req->param;
	boot.cloud_init = options->cloud_init;
	boot.n_cloud_init = options->n_cloud_init;
	task_start(ctx, req, WORK_VM_BOOT, &boot, req->param, 204);
}

void
api_vm_boot(struct context *ctx, struct request *req)
{
	struct vm_boot_options options = { 0 };
	struct error err = { 0 };
	bool if_needed;

	if (task_read(req, &options) < 0)
		return;
	if (vm_boot_options_check(&options, &err) < 0 ||
	    request_flag(req, "if_needed", &if_needed, &err) < 0)
		request_reply_error(req, &err);
	else
		boot(ctx, req, &options, if_needed);
	model_clear(&vm_boot_options_model, &options);
}

void
api_vm_shutdown(struct context *ctx, struct request *req)
{
	struct vm_shutdown_options options = { 0 };
	struct vm_shutdown_request shutdown = { 0 };
	struct error err = { 0 };

	if (task_read(req, &options) < 0)
		return;
	if (vm_shutdown_options_check(&options, &err) < 0 ||
	    request_flag(req, "if_needed", &shutdown.if_needed, &err) < 0) {
		request_reply_error(req, &err);
	} else if (task_find_vm(ctx, req) == 0 &&
		   task_check_ready(ctx, req, TASK_NEEDS_LIBVIRT) == 0) {
		shutdown.uuid = req->param;
		shutdown.force = options.force;
		shutdown.storage = str_empty(keeper_storage_why(ctx->keeper));
		task_start(ctx, req, WORK_VM_SHUTDOWN, &shutdown, req->param,
		    options.force == 0 ? 202 : 204);
	}
}

static void
power(struct context *ctx, struct request *req, enum work_id work)
{
	struct vm_request request = { 0 };
	struct error err = { 0 };

	if (request_flag(req, "if_needed", &request.if_needed, &err) < 0) {
		request_reply_error(req, &err);
		return;
	}
	if (task_find_vm(ctx, req) < 0 ||
	    task_check_ready(ctx, req,
		work == WORK_VM_RESUME ? need_of_resume(ctx, req) : TASK_NEEDS_LIBVIRT) < 0)
		return;
	request.uuid = req->param;
	task_start(ctx, req, work, &request, req->param, 204);
}

void
api_vm_pause(struct context *ctx, struct request *req)
{
	power(ctx, req, WORK_VM_PAUSE);
}

void
api_vm_resume(struct context *ctx, struct request *req)
{
	power(ctx, req, WORK_VM_RESUME);
}

/* Neither has a state that could be there already. */
static void
restart(struct context *ctx, struct request *req, enum work_id work, enum task_need need)
{
	struct vm_request request = { 0 };

	if (task_find_vm(ctx, req) < 0 || task_check_ready(ctx, req, need) < 0)
		return;
	request.uuid = req->param;
	task_start(ctx, req, work, &request, req->param, 204);
}

void
api_vm_reset(struct context *ctx, struct request *req)
{
	restart(ctx, req, WORK_VM_RESET, TASK_NEEDS_LIBVIRT);
}

/* It is to be booted again. */
void
api_vm_reboot(struct context *ctx, struct request *req)
{
	restart(ctx, req, WORK_VM_REBOOT, TASK_NEEDS_LOCKSPACE);
}
