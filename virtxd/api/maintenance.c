/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "api/handlers.h"
#include "api/limits.h"
#include "api/request_owner.h"
#include "ops/context.h"
#include "ops/evacuation.h"
#include "ops/host_maintenance.h"
#include "ops/loss_plan.h"
#include "ops/task.h"

/* Those of the VMs that who asks may know of, in the place of all; the caller frees them. */
static void
keep_vms(const struct context *ctx, const struct request *req, struct maintenance *shown)
{
	struct maintenance_vm *vms = xcalloc(shown->n_vms + 1, sizeof(*vms));
	size_t n = 0;

	for (size_t i = 0; i < shown->n_vms; i++) {
		if (limits_sees_vm(ctx, req, shown->vms[i].vm))
			vms[n++] = shown->vms[i];
	}
	shown->vms = vms;
	shown->n_vms = n;
}

void
api_maintenance_get(struct context *ctx, struct request *req)
{
	struct error err = { 0 };

	if (request_owner_check_self(ctx, req->param, &err) < 0) {
		request_reply_error(req, &err);
	} else if (!str_empty(host_maintenance_why(ctx->host_maintenance))) {
		error_set(&err, 503, "whether this host is in maintenance is not known: %s",
		    host_maintenance_why(ctx->host_maintenance));
		request_reply_error(req, &err);
	} else {
		struct maintenance shown = *host_maintenance_get(ctx->host_maintenance);

		keep_vms(ctx, req, &shown);
		request_reply_model(req, 200, &maintenance_model, &shown);
		free(shown.vms);
	}
}

static void
on_looked(struct context *ctx, struct request *req, const void *result, const struct error *err)
{
	struct maintenance_plan plan = { 0 };

	if (err) {
		request_reply_error(req, err);
		return;
	}
	evacuation_plan(ctx, result, &plan);
	request_reply_model(req, 200, &maintenance_plan_model, &plan);
	model_clear(&maintenance_plan_model, &plan);
}

/* What keeps VMs here is to be seen on this host alone. */
static void
plan(struct context *ctx, struct request *req)
{
	struct vm_stays_request stays = { .as_it_is = true };
	size_t n;
	_free_ char(*vms)[UUID_TEXT_SIZE] = NULL;

	if (task_check_ready(ctx, req, TASK_NEEDS_LIBVIRT) < 0)
		return;
	vms = evacuation_vms(ctx, &n);
	for (size_t i = 0; i < n; i++)
		model_append(&stays.vms, &stays.n_vms)->uuid = vms[i];
	task_look(ctx, req, WORK_VM_STAYS, &stays, on_looked);
	free(stays.vms);
}

static void
begin(struct context *ctx, struct request *req)
{
	if (task_check_ready(ctx, req, TASK_NEEDS_LOCKSPACE) == 0)
		host_maintenance_begin(ctx->host_maintenance, req);
}

void
api_maintenance_begin(struct context *ctx, struct request *req)
{
	struct maintenance_options options = { 0 };
	struct error err = { 0 };
	bool dry_run;

	if (task_read_exact(req, &options) < 0)
		return;
	if (request_flag(req, "dry_run", &dry_run, &err) < 0 ||
	    request_owner_check_self(ctx, req->param, &err) < 0)
		request_reply_error(req, &err);
	else
		loss_planner_ask(ctx, req, inventory_self(ctx->inventory),
		    dry_run || options.dry_run ? plan : begin);
}

void
api_maintenance_end(struct context *ctx, struct request *req)
{
	struct maintenance_end_options options = { 0 };
	struct error err = { 0 };

	if (task_read_exact(req, &options) < 0)
		return;
	if (request_owner_check_self(ctx, req->param, &err) < 0)
		request_reply_error(req, &err);
	else
		host_maintenance_end(ctx->host_maintenance, req, options.back);
}
