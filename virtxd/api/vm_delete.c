/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/action.h"
#include "api/context.h"
#include "api/handlers.h"
#include "proto/vmdef.h"

void
api_vm_delete(struct api *api, struct request *req)
{
	struct vm_delete_options options = { 0 };
	struct vm_delete_request delete = { 0 };
	const struct inventory_vm *view;

	if (action_read(req, &options) < 0 || action_find_vm(api, req) < 0)
		return;
	view = inventory_find_vm(api->inventory, req->param);
	if (action_check_ready(api, req, action_need_of(vmdef_leases(&view->vm.def))) < 0)
		return;
	delete.env = *keeper_env(api->keeper);
	delete.uuid = req->param;
	delete.deletestorage = options.deletestorage;
	action_start(api, req, WORK_VM_DELETE, &delete, req->param, 204);
}
