/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/action.h"
#include "api/context.h"
#include "api/handlers.h"
#include "proto/vmdef.h"

static enum action_need
need_of(const struct vmdef *def, const struct inventory_vm *view)
{
	return action_need_of(vmdef_leases(def) + vmdef_leases(&view->vm.def));
}

void
api_vm_update(struct api *api, struct request *req)
{
	struct vm_update_options options = { 0 };
	struct vm_update_request update = { 0 };
	const struct inventory_vm *view;
	struct error err = { 0 };

	if (action_read(req, &options) < 0)
		return;
	if (action_find_vm(api, req) == 0) {
		view = inventory_find_vm(api->inventory, req->param);
		if (vmdef_check_update(&options.vmdef, &view->vm.def, api->config->storage_root,
			"vmdef", &err) < 0) {
			request_reply_error(req, &err);
		} else if (action_check_ready(api, req, need_of(&options.vmdef, view)) == 0) {
			update.env = *keeper_env(api->keeper);
			update.uuid = req->param;
			update.def = options.vmdef;
			update.deletestorage = options.deletestorage;
			update.force = options.force;
			action_start(api, req, WORK_VM_UPDATE, &update, req->param, 204);
		}
	}
	model_clear(&vm_update_options_model, &options);
}
