/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/handlers.h"
#include "api/limits.h"
#include "ops/admission.h"
#include "ops/context.h"
#include "ops/scheduler.h"
#include "ops/task.h"
#include "proto/vmdef.h"

/* Memory that it has already is no reason not to change the rest. */
static int
check_memory(struct context *ctx, const struct vmdef *def, const struct inventory_vm *view,
    struct error *err)
{
	if (def->memory.total <= view->vm.def.memory.total)
		return 0;
	return admission_check_total(ctx, view->vm.uuid, &def->memory, err);
}

/* Sizes that GET shows go back as they came, whatever became of the images meanwhile. */
static void
forget_shown_sizes(struct vmdef *def, const struct vmdef *shown)
{
	for (size_t i = 0; i < def->n_disks + 1; i++) {
		struct disk *disk = i == 0 ? &def->osdisk : &def->disks[i - 1];
		const struct disk *known = vmdef_find_disk(shown, disk->path);

		if (known && known->size == disk->size)
			disk->size = 0;
	}
}

void
api_vm_update(struct context *ctx, struct request *req)
{
	struct vm_update_options options = { 0 };
	struct vm_update_request update = { 0 };
	const struct inventory_vm *view;
	struct error err = { 0 };

	if (task_read(req, &options) < 0)
		return;
	if (task_find_vm(ctx, req) == 0) {
		view = inventory_find_vm(ctx->inventory, req->param);
		if (vmdef_check_update(&options.vmdef, &view->vm.def, ctx->config->storage_root,
			"vmdef", &err) < 0 ||
		    limits_check_def(req, &options.vmdef, &view->vm.def, &err) < 0 ||
		    check_memory(ctx, &options.vmdef, view, &err) < 0) {
			request_reply_error(req, &err);
		} else if (task_check_ready(ctx, req, TASK_NEEDS_LOCKSPACE) == 0) {
			forget_shown_sizes(&options.vmdef, &view->vm.def);
			update.uuid = req->param;
			update.def = options.vmdef;
			update.admin = req->caller && role_may(req->caller->role, ROLE_ADMIN);
			update.deletestorage = options.deletestorage;
			update.force = options.force;
			task_start(ctx, req, WORK_VM_UPDATE, &update, req->param, 204);
		}
	}
	model_clear(&vm_update_options_model, &options);
}
