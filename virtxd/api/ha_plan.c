/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/handlers.h"
#include "api/limits.h"
#include "ops/context.h"
#include "ops/known.h"
#include "ops/loss_plan.h"
#include "proto/uuid.h"

static void
reply_host(struct context *ctx, struct request *req, const char *host)
{
	const struct custom_field only = limits_field(req);
	struct ha_plan plan = { .enabled = ctx->config->ha_enabled };
	struct ha_plan_host *item = model_append(&plan.items, &plan.n_items);

	loss_plan_host(ctx->inventory, host, ctx->config->ha_restart, &only, item);
	plan.possible = item->stranded == 0;
	request_reply_model(req, 200, &ha_plan_model, &plan);
	model_clear(&ha_plan_model, &plan);
}

void
api_ha_plan(struct context *ctx, struct request *req)
{
	_free_ char *text = NULL;
	const struct custom_field only = limits_field(req);
	struct error err = { 0 };
	char host[UUID_TEXT_SIZE];

	if (request_query(req, "host", &text, &err) < 0) {
		request_reply_error(req, &err);
	} else if (!text) {
		loss_planner_reply(ctx->loss_planner, req, &only);
	} else if (uuid_normalize(text, host) < 0) {
		error_set(&err, 400, "host: '%s' is no UUID", text);
		request_reply_error(req, &err);
	} else if (!inventory_find_host(ctx->inventory, host)) {
		known_no_host(ctx, host, &err);
		request_reply_error(req, &err);
	} else {
		reply_host(ctx, req, host);
	}
}
