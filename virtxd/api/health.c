/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/health.h"

#include <string.h>

#include "api/handlers.h"
#include "ops/context.h"
#include "ops/failover.h"
#include "ops/known.h"
#include "ops/token_keeper.h"
#include "schemas/openapi.h"

/* That this is answered at all is the news. */
void
api_healthz(struct context *ctx, struct request *req)
{
	request_reply_text(req, 200, "text/plain", xstrdup("ok\n"), 3);
}

/* What is wrong with high availability here, "" for nothing; the caller's. */
static char *
describe_ha(const struct context *ctx)
{
	const char *unsafe = arming_unsafe(keeper_arming(ctx->keeper));
	const char *record = failover_record_why(ctx->failover);

	return xasprintf("%s%s%s", unsafe, *unsafe && *record ? "; " : "", record);
}

void
health_find(struct context *ctx, struct ready *ret)
{
	_free_ char *missing = NULL, *ha = describe_ha(ctx);
	struct error err = { 0 };

	*ret = (struct ready){ .version = xstrdup(VIRTX_VERSION) };
	ctx->host_ops->ready(ctx->host_arg, ret);
	if (str_empty(ret->serf) && known_check(ctx, &missing, &err) < 0)
		str_set(&ret->serf, err.detail);
	if (str_empty(ret->vms))
		str_set(&ret->vms, str_or_empty(missing));
	str_set(&ret->lockspace, keeper_lockspace_why(ctx->keeper));
	str_set(&ret->watchdog, keeper_watchdog_why(ctx->keeper));
	str_set(&ret->ha, ha);
	if (!str_empty(keeper_storage_why(ctx->keeper)))
		str_set(&ret->storage, keeper_storage_why(ctx->keeper));
	if (ctx->tokens)
		str_set(&ret->tokens, token_keeper_wrong(ctx->tokens));
	if (ctx->tokens && str_empty(ret->tokens))
		str_set(&ret->tokens, token_keeper_taken(ctx->tokens));
	ret->ready = str_empty(ret->libvirt) && str_empty(ret->serf) && str_empty(ret->lockspace) &&
		     str_empty(ret->storage) && str_empty(ret->listen);
}

void
api_readyz(struct context *ctx, struct request *req)
{
	struct ready ready;

	health_find(ctx, &ready);
	request_reply_model(req, ready.ready ? 200 : 503, &ready_model, &ready);
	model_clear(&ready_model, &ready);
}

void
api_openapi(struct context *ctx, struct request *req)
{
	request_reply_text(req, 200, "application/json", xmemdup(openapi_json, openapi_json_len),
	    openapi_json_len);
}
