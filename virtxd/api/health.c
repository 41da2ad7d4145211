/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "api/handlers.h"
#include "ops/context.h"
#include "ops/known.h"
#include "ops/token_keeper.h"
#include "schemas/openapi.h"

/* That this is answered at all is the news. */
void
api_healthz(struct context *ctx, struct request *req)
{
	request_reply_text(req, 200, "text/plain", xstrdup("ok\n"), 3);
}

void
api_readyz(struct context *ctx, struct request *req)
{
	_free_ char *missing = NULL;
	struct ready ready = { 0 };
	struct error err = { 0 };

	ctx->host_ops->ready(ctx->host_arg, &ready);
	if (str_empty(ready.serf) && known_check(ctx, &missing, &err) < 0)
		str_set(&ready.serf, err.detail);
	if (str_empty(ready.vms))
		str_set(&ready.vms, str_or_empty(missing));
	str_set(&ready.lockspace, keeper_lockspace_why(ctx->keeper));
	str_set(&ready.watchdog, keeper_watchdog_why(ctx->keeper));
	if (!str_empty(keeper_storage_why(ctx->keeper)))
		str_set(&ready.storage, keeper_storage_why(ctx->keeper));
	if (ctx->tokens)
		str_set(&ready.tokens, token_keeper_wrong(ctx->tokens));
	ready.ready = str_empty(ready.libvirt) && str_empty(ready.serf) &&
		      str_empty(ready.lockspace) && str_empty(ready.storage) &&
		      str_empty(ready.listen);
	request_reply_model(req, ready.ready ? 200 : 503, &ready_model, &ready);
	model_clear(&ready_model, &ready);
}

void
api_openapi(struct context *ctx, struct request *req)
{
	request_reply_text(req, 200, "application/json", xmemdup(openapi_json, openapi_json_len),
	    openapi_json_len);
}
