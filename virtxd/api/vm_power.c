/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Boot, shutdown, pause and resume. */
#include "api/action.h"
#include "api/context.h"
#include "api/handlers.h"
#include "api/placing.h"
#include "proto/vmdef.h"

/* To run, a VM has to hold the leases of its disks. */
static enum action_need
need_of_start(const struct api *api, const struct request *req, bool cloud_init)
{
	const struct inventory_vm *view = inventory_find_vm(api->inventory, req->param);

	return action_need_of(vmdef_leases(&view->vm.def) + cloud_init);
}

/* Of one that is on already the job tells that. */
static int
check_memory(struct api *api, const struct request *req, struct error *err)
{
	const struct vm *vm = &inventory_find_vm(api->inventory, req->param)->vm;

	if (vm->runinfo.runstate != VMRUNSTATE_POWEROFF &&
	    vm->runinfo.runstate != VMRUNSTATE_CRASHED)
		return 0;
	return placing_check_total(api, vm->uuid, &vm->def.memory, err);
}

static void
boot(struct api *api, struct request *req, const struct vm_boot_options *options, bool if_needed)
{
	struct vm_boot_request boot = { .if_needed = if_needed };
	struct error err = { 0 };

	if (action_find_vm(api, req) < 0)
		return;
	if (check_memory(api, req, &err) < 0) {
		request_reply_error(req, &err);
		return;
	}
	if (action_check_ready(api, req, need_of_start(api, req, options->n_cloud_init > 0)) < 0)
		return;
	boot.env = *keeper_env(api->keeper);
	boot.uuid = req->param;
	boot.cloud_init = options->cloud_init;
	boot.n_cloud_init = options->n_cloud_init;
	action_start(api, req, WORK_VM_BOOT, &boot, req->param, 204);
}

void
api_vm_boot(struct api *api, struct request *req)
{
	struct vm_boot_options options = { 0 };
	struct error err = { 0 };
	bool if_needed;

	if (action_read(req, &options) < 0)
		return;
	if (vm_boot_options_check(&options, &err) < 0 ||
	    request_flag(req, "if_needed", &if_needed, &err) < 0)
		request_reply_error(req, &err);
	else
		boot(api, req, &options, if_needed);
	model_clear(&vm_boot_options_model, &options);
}

void
api_vm_shutdown(struct api *api, struct request *req)
{
	struct vm_shutdown_options options = { 0 };
	struct vm_shutdown_request shutdown = { 0 };
	struct error err = { 0 };

	if (action_read(req, &options) < 0)
		return;
	if (vm_shutdown_options_check(&options, &err) < 0 ||
	    request_flag(req, "if_needed", &shutdown.if_needed, &err) < 0) {
		request_reply_error(req, &err);
	} else if (action_find_vm(api, req) == 0 &&
		   action_check_ready(api, req, ACTION_NEEDS_LIBVIRT) == 0) {
		shutdown.env = *keeper_env(api->keeper);
		shutdown.uuid = req->param;
		shutdown.force = options.force;
		action_start(api, req, WORK_VM_SHUTDOWN, &shutdown, req->param,
		    options.force == 0 ? 202 : 204);
	}
}

static void
power(struct api *api, struct request *req, enum work_id work)
{
	struct vm_request request = { 0 };
	struct error err = { 0 };

	if (request_flag(req, "if_needed", &request.if_needed, &err) < 0) {
		request_reply_error(req, &err);
		return;
	}
	if (action_find_vm(api, req) < 0 ||
	    action_check_ready(api, req,
		work == WORK_VM_RESUME ? need_of_start(api, req, false) : ACTION_NEEDS_LIBVIRT) < 0)
		return;
	request.env = *keeper_env(api->keeper);
	request.uuid = req->param;
	action_start(api, req, work, &request, req->param, 204);
}

void
api_vm_pause(struct api *api, struct request *req)
{
	power(api, req, WORK_VM_PAUSE);
}

void
api_vm_resume(struct api *api, struct request *req)
{
	power(api, req, WORK_VM_RESUME);
}
