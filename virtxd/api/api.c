/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/api.h"

#include "api/answer_news.h"
#include "api/handlers.h"
#include "api/limits.h"
#include "api/parameters.h"
#include "api/request_owner.h"
#include "ops/claim.h"
#include "ops/context.h"
#include "ops/dry_run.h"
#include "ops/forget.h"
#include "ops/migration.h"
#include "ops/migration_follower.h"
#include "ops/renewal.h"
#include "ops/reservation_client.h"
#include "ops/signing.h"
#include "ops/task.h"

#define HANDLER_ROW(id, handler) [id] = handler,
const api_handler api_handlers[ROUTE_N] = { ROUTES(HANDLER_ROW) };

void
api_handle(struct context *ctx, struct request *req)
{
	char host[UUID_TEXT_SIZE];
	struct error err;

	if (!str_empty(req->shown))
		inventory_note_certificate(ctx->inventory, req->shown, req->shown_begin);
	answer_news_attach(ctx, req);
	if (limits_check_vm(ctx, req) < 0)
		return;
	if (parameters_check(req, &err) < 0 || request_owner_find(ctx, req, host, &err) < 0)
		request_reply_error(req, &err);
	else if (!str_empty(host))
		ctx->host_ops->forward(ctx->host_arg, req, host);
	else
		api_handlers[req->route->id](ctx, req);
}

void
api_stop(struct context *ctx)
{
	migration_followers_free(ctx);
	migrations_free(ctx);
	reservation_clients_free(ctx);
	forgettings_free(ctx);
	renewings_free(ctx);
	signings_free(ctx);
	dry_runs_free(ctx);
	tasks_free(ctx);
	claims_free(ctx);
}
