/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/handlers.h"
#include "ops/context.h"
#include "ops/task.h"
#include "proto/vmdef.h"

void
api_vm_delete(struct context *ctx, struct request *req)
{
	struct vm_delete_options options = { 0 };
	struct vm_delete_request delete = { 0 };
	const struct inventory_vm *view;

	if (task_read(req, &options) < 0 || task_find_vm(ctx, req) < 0)
		return;
	view = inventory_find_vm(ctx->inventory, req->param);
	if (task_check_ready(ctx, req, task_need_of(vmdef_leases(&view->vm.def) + view->leased)) <
	    0)
		return;
	delete.uuid = req->param;
	delete.deletestorage = options.deletestorage;
	task_start(ctx, req, WORK_VM_DELETE, &delete, req->param, 204);
}
