/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/handlers.h"
#include "api/request_owner.h"
#include "ops/context.h"
#include "ops/task.h"
#include "proto/uuid.h"

/* Registering is of this host's records, whoever has the VM: so the host must be this one, and the
 * VM not another's. */
static int
check_host(struct context *ctx, const char *wanted, const char *vm, struct error *err)
{
	const struct inventory_vm *view = inventory_find_vm(ctx->inventory, vm);
	const char *self = inventory_self(ctx->inventory);
	char host[UUID_TEXT_SIZE];

	if (!str_empty(wanted)) {
		if (uuid_normalize(wanted, host) < 0)
			return error_set(err, 400, "host: '%s' is no UUID", wanted);
		if (request_owner_check_self(ctx, host, err) < 0)
			return -1;
	}
	if (view && !view->local && !str_equal(view->vm.runinfo.host, self))
		return error_set(
		    err, 422, "VM '%s' is on host '%s', not '%s'", vm, view->vm.runinfo.host, self);
	return 0;
}

void
api_vm_register(struct context *ctx, struct request *req)
{
	struct vm_register_options options = { 0 };
	struct vm_request request = { 0 };
	struct error err = { 0 };

	if (task_read(req, &options) < 0)
		return;
	if (check_host(ctx, options.host, req->param, &err) < 0) {
		request_reply_error(req, &err);
	} else if (task_check_ready(ctx, req, TASK_NEEDS_STORAGE) == 0) {
		request.uuid = req->param;
		task_start(ctx, req, WORK_VM_REGISTER, &request, req->param, 200);
	}
	model_clear(&vm_register_options_model, &options);
}
