/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/maintenance_change.h"

#include <stdio.h>

#include "ops/task.h"

static void
change_free(struct maintenance_change *change)
{
	model_clear(&maintenance_model, &change->before);
	free(change->damage);
	free(change);
}

struct maintenance_change *
maintenance_change_begin(
    struct context *ctx, struct maintenance_record *record, struct request *req, bool at_once)
{
	struct maintenance_change *change = xcalloc(1, sizeof(*change));

	change->ctx = ctx;
	change->record = record;
	change->req = req;
	change->at_once = at_once;
	if (record->damaged)
		change->damage = xstrdup(record->why);
	maintenance_record_replace(record);
	model_copy(&maintenance_model, &change->before, &record->now);
	snprintf(change->operation, sizeof(change->operation), "%s",
	    operations_start(
		ctx->operations, req->route->op, "", inventory_self(ctx->inventory), req->user));
	snprintf(req->operation, sizeof(req->operation), "%s", change->operation);
	if (req->respond_async)
		task_reply_accepted(ctx, steal_ptr(change->req), change->operation);
	return change;
}

void
maintenance_change_done(struct maintenance_change *change)
{
	struct context *ctx = change->ctx;

	if (change->at_once)
		operations_finish(ctx->operations, change->operation, NULL, NULL);
	if (change->req && change->at_once)
		request_reply(change->req, 204);
	else if (change->req)
		task_reply_accepted(ctx, change->req, change->operation);
	change_free(change);
}

void
maintenance_change_fail(struct maintenance_change *change, const struct error *err)
{
	struct maintenance_record *record = change->record;

	model_clear(&maintenance_model, &record->now);
	record->now = change->before;
	change->before = (struct maintenance){ 0 };
	/* It may have got there all the same: what holds is saved anew, or read. */
	if (change->damage)
		maintenance_record_reread(record, change->damage);
	operations_finish(change->ctx->operations, change->operation, NULL, err);
	if (change->req)
		request_reply_error(change->req, err);
	change_free(change);
}

void
maintenance_change_forget(struct maintenance_change *change)
{
	struct error err = { 0 };

	if (!change)
		return;
	error_set(&err, 503, "virtxd stops");
	if (change->req)
		request_reply_error(change->req, &err);
	change_free(change);
}
