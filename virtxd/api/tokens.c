/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/handlers.h"
#include "ops/context.h"
#include "ops/task.h"
#include "ops/token_keeper.h"
#include "proto/token_secret.h"

/* False where none are kept here: it was answered then. */
static bool
are_kept(struct context *ctx, struct request *req)
{
	struct error err = { 0 };

	if (ctx->tokens)
		return true;
	error_set(&err, 503, "tokens are kept on the storage: this host has none");
	request_reply_error(req, &err);
	return false;
}

/* False where the storage is away: it was answered then. */
static bool
is_there(struct context *ctx, struct request *req)
{
	struct error err = { 0 };

	if (str_empty(keeper_storage_why(ctx->keeper)))
		return true;
	error_set(&err, 503, "tokens are kept on the storage: %s", keeper_storage_why(ctx->keeper));
	request_reply_error(req, &err);
	return false;
}

void
api_token_list(struct context *ctx, struct request *req)
{
	struct token_list list = { 0 };
	struct error err = { 0 };

	if (ctx->tokens && tokens_list(token_keeper_tokens(ctx->tokens), &list)) {
		request_reply_model(req, 200, &token_list_model, &list);
	} else {
		error_set(&err, 503, "the tokens are not known: %s",
		    ctx->tokens ? token_keeper_why(ctx->tokens) : "this host keeps none");
		request_reply_error(req, &err);
	}
	model_clear(&token_list_model, &list);
}

void
api_token_create(struct context *ctx, struct request *req)
{
	struct token_options options = { 0 };
	struct error err = { 0 };

	if (task_read_exact(req, &options) < 0)
		return;
	if (token_options_check(&options, &err) < 0)
		request_reply_error(req, &err);
	else if (are_kept(ctx, req) && is_there(ctx, req))
		token_keeper_make(ctx->tokens, req, &options);
	model_clear(&token_options_model, &options);
}

void
api_token_revoke(struct context *ctx, struct request *req)
{
	struct error err = { 0 };

	if (!token_name_valid(req->param)) {
		/* Which was given for the name, perhaps. */
		token_secret_hide(req->param);
		error_set_type(&err, ERROR_NOT_FOUND,
		    "there is no token '%.64s': no token can have this name", req->param);
		request_reply_error(req, &err);
		return;
	}
	/* Whatever is wrong with the storage: where the file can be removed, it has to be. */
	if (are_kept(ctx, req))
		token_keeper_revoke(ctx->tokens, req, req->param);
}
