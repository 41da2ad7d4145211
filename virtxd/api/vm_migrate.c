/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Migrating a VM, how far it is, and aborting it. */
#include "api/handlers.h"
#include "ops/context.h"
#include "ops/known.h"
#include "ops/migration.h"
#include "ops/migration_follower.h"
#include "ops/scheduler.h"
#include "ops/task.h"
#include "proto/log.h"
#include "proto/uuid.h"
#include "proto/vmdef.h"

/* Explains the host that is named, or all; why: the VM cannot leave, NULL where nothing keeps it.
 */
static void
explain(struct context *ctx, struct request *req, const struct inventory_vm *view,
    const struct vm_migrate_options *options, const char *why)
{
	char target[UUID_TEXT_SIZE] = "";
	struct placement_need need = {
		.vm = view->vm.uuid,
		.from = inventory_self(ctx->inventory),
		.target = target,
		.def = &view->vm.def,
	};
	struct error err = { 0 };

	if (!str_empty(options->host) && uuid_normalize(options->host, target) == 0 &&
	    !inventory_find_host(ctx->inventory, target)) {
		known_no_host(ctx, target, &err);
		request_reply_error(req, &err);
		return;
	}
	scheduler_explain_stay(ctx, req, &need, why);
}

static void
on_looked(struct context *ctx, struct request *req, const void *result, const struct error *err)
{
	const struct vm_stays_result *stays = result;
	struct vm_migrate_options options = { 0 };

	if (err) {
		request_reply_error(req, err);
		return;
	}
	if (task_read(req, &options) < 0)
		return;
	if (task_find_vm(ctx, req) == 0)
		explain(ctx, req, inventory_find_vm(ctx->inventory, req->param), &options,
		    stays->n_vms > 0 ? stays->vms[0].why : NULL);
	model_clear(&vm_migrate_options_model, &options);
}

/* What keeps the VM here is known where it is. */
static void
look(struct context *ctx, struct request *req, const struct vm_migrate_options *options)
{
	struct work_uuid vm = { .uuid = req->param };
	const struct vm_stays_request stays = {
		.vms = &vm,
		.n_vms = 1,
		.live = options->migration_type == MIGRATION_TYPE_LIVE,
	};

	if (task_check_ready(ctx, req, TASK_NEEDS_LIBVIRT) == 0)
		task_look(ctx, req, WORK_VM_STAYS, &stays, on_looked);
}

static void
migrate(struct context *ctx, struct request *req, const struct vm_migrate_options *options,
    bool dry_run)
{
	if (dry_run)
		look(ctx, req, options);
	else if (task_check_ready(ctx, req, TASK_NEEDS_LOCKSPACE) == 0)
		migration_start(ctx, req, options);
}

void
api_vm_migrate(struct context *ctx, struct request *req)
{
	struct vm_migrate_options options = { 0 };
	struct error err = { 0 };
	bool dry_run;

	if (task_read(req, &options) < 0)
		return;
	if (request_flag(req, "dry_run", &dry_run, &err) < 0 ||
	    vm_migrate_options_check(&options, &err) < 0)
		request_reply_error(req, &err);
	else if (task_find_vm(ctx, req) == 0)
		migrate(ctx, req, &options, dry_run);
	model_clear(&vm_migrate_options_model, &options);
}

void
api_migration_get(struct context *ctx, struct request *req)
{
	struct vm_request request = { 0 };

	if (task_find_vm(ctx, req) < 0 || task_check_ready(ctx, req, TASK_NEEDS_LIBVIRT) < 0)
		return;
	request.uuid = req->param;
	task_ask(ctx, req, WORK_MIGRATION_INFO, &request);
}

void
api_migration_abort(struct context *ctx, struct request *req)
{
	struct migration_control_request request = { .action = MIGRATION_TIMEOUT_ABORT };

	if (task_find_vm(ctx, req) < 0 || task_check_ready(ctx, req, TASK_NEEDS_LIBVIRT) < 0)
		return;
	request.uuid = req->param;
	task_start(ctx, req, WORK_MIGRATION_CONTROL, &request, req->param, 204);
}
