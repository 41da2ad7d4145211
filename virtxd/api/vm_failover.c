/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/handlers.h"
#include "api/request_owner.h"
#include "ops/claim.h"
#include "ops/context.h"
#include "ops/task.h"
#include "proto/uuid.h"

/* The VM is for the host that is asked, and so the body may name no other one. */
static int
check_host(struct context *ctx, const char *wanted, struct error *err)
{
	char host[UUID_TEXT_SIZE];

	if (str_empty(wanted))
		return 0;
	if (uuid_normalize(wanted, host) < 0)
		return error_set(err, 400, "host: '%s' is no UUID", wanted);
	return request_owner_check_self(ctx, host, err);
}

void
api_vm_failover(struct context *ctx, struct request *req)
{
	struct vm_failover_options options = { 0 };
	struct error err = { 0 };

	if (task_read(req, &options) < 0)
		return;
	if (check_host(ctx, options.host, &err) < 0)
		request_reply_error(req, &err);
	else
		claim_start(ctx, req, CLAIM_RECALL_NONE);
	model_clear(&vm_failover_options_model, &options);
}

void
api_vm_recall(struct context *ctx, struct request *req)
{
	struct vm_recall_options options = { 0 };
	struct error err = { 0 };

	if (task_read(req, &options) < 0)
		return;
	if (check_host(ctx, options.host, &err) < 0)
		request_reply_error(req, &err);
	else
		claim_start(ctx, req, options.force ? CLAIM_RECALL_KILL : CLAIM_RECALL_TERM);
	model_clear(&vm_recall_options_model, &options);
}
