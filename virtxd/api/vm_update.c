/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

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

/* Who has read a definition that is another one by now would take back what has changed it. */
static int
check_tag(const struct request *req, const struct vmdef *def, struct error *err)
{
	char tag[VMDEF_TAG_SIZE];

	if (!req->if_match)
		return 0;
	vmdef_tag(def, tag);
	if (vmdef_tag_matches(tag, req->if_match))
		return 0;
	error_set_type(err, ERROR_CHANGED,
	    "the definition of VM '%s' has changed since it was read: its ETag is %s now, and not "
	    "%.100s",
	    req->param, tag, req->if_match);
	snprintf(err->vm, sizeof(err->vm), "%.36s", req->param);
	return -1;
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
		if (check_tag(req, &view->vm.def, &err) < 0 ||
		    vmdef_check_update(&options.vmdef, &view->vm.def, ctx->config->storage_root,
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
