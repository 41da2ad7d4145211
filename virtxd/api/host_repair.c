/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/action.h"
#include "api/context.h"
#include "api/handlers.h"
#include "api/known.h"
#include "api/target.h"

/* The VMs of the other hosts, so that what is theirs is not taken for left behind. */
static void
add_elsewhere(struct api *api, struct repair_request *repair)
{
	const struct vm_list_fields all = { 0 };
	const char *self = inventory_self(api->inventory);
	struct vm_list list = { 0 };

	inventory_list_vms(api->inventory, &all, NULL, &list);
	for (size_t i = 0; i < list.n_items; i++) {
		const struct vm_list_item *item = &list.items[i];
		const struct host *host;
		struct repair_vm *vm;

		if (str_equal(item->fields.host, self))
			continue;
		host = inventory_find_host(api->inventory, str_or_empty(item->fields.host));
		vm = model_append(&repair->elsewhere, &repair->n_elsewhere);
		vm->uuid = xstrdup(item->uuid);
		vm->host = xstrdup(item->fields.host);
		vm->active = host && host->cstate == CSTATE_ACTIVE;
	}
	model_clear(&vm_list_model, &list);
}

void
api_host_repair(struct api *api, struct request *req)
{
	struct repair_request repair = { 0 };
	struct error err = { 0 };

	if (action_read_exact(req, &repair.options) < 0)
		return;
	/* With two hosts in one name, what is whose is not known. */
	if (target_check_self(api, req->param, &err) < 0 ||
	    (repair.options.apply && (repair.options.deletestorage || repair.options.define) &&
		inventory_check_twins(api->inventory, &err) < 0)) {
		request_reply_error(req, &err);
	} else if (known_check(api, &repair.missing, &err) < 0) {
		known_refuse(req, &err);
	} else if (action_check_ready(api, req,
		       repair.options.apply ? ACTION_NEEDS_LOCKSPACE : ACTION_NEEDS_STORAGE) == 0) {
		add_elsewhere(api, &repair);
		repair.env = *keeper_env(api->keeper);
		repair.sanlock = keeper_sanlock_answers(api->keeper);
		action_start(api, req, WORK_REPAIR, &repair, "", 200);
	}
	repair.env = (struct work_env){ 0 };
	model_clear(&repair_request_model, &repair);
}
