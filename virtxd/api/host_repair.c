/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/handlers.h"
#include "api/request_owner.h"
#include "ops/context.h"
#include "ops/known.h"
#include "ops/task.h"

/* The VMs of the other hosts, so that what is theirs is not taken for left behind. */
static void
add_elsewhere(struct context *ctx, struct repair_request *repair)
{
	const struct vm_list_fields all = { 0 };
	const char *self = inventory_self(ctx->inventory);
	struct vm_list list = { 0 };

	inventory_list_vms(ctx->inventory, &all, NULL, &list);
	for (size_t i = 0; i < list.n_items; i++) {
		const struct vm_list_item *item = &list.items[i];
		const struct host *host;
		struct repair_vm *vm;

		if (str_equal(item->fields.host, self))
			continue;
		host = inventory_find_host(ctx->inventory, str_or_empty(item->fields.host));
		vm = model_append(&repair->elsewhere, &repair->n_elsewhere);
		vm->uuid = xstrdup(item->uuid);
		vm->host = xstrdup(item->fields.host);
		vm->active = host && host->cstate == CSTATE_ACTIVE;
	}
	model_clear(&vm_list_model, &list);
}

void
api_host_repair(struct context *ctx, struct request *req)
{
	struct repair_request repair = { 0 };
	struct error err = { 0 };

	if (task_read_exact(req, &repair.options) < 0)
		return;
	/* With two hosts in one name, what is whose is not known. */
	if (request_owner_check_self(ctx, req->param, &err) < 0 ||
	    (repair.options.apply && (repair.options.deletestorage || repair.options.define) &&
		inventory_check_twins(ctx->inventory, &err) < 0)) {
		request_reply_error(req, &err);
	} else if (known_check(ctx, &repair.missing, &err) < 0) {
		known_refuse(req, &err);
	} else if (task_check_ready(ctx, req,
		       repair.options.apply ? TASK_NEEDS_LOCKSPACE : TASK_NEEDS_STORAGE) == 0) {
		add_elsewhere(ctx, &repair);
		repair.sanlock = keeper_sanlock_answers(ctx->keeper);
		task_start(ctx, req, WORK_REPAIR, &repair, "", 200);
	}
	model_clear(&repair_request_model, &repair);
}
