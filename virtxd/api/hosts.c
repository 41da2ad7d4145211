/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "api/handlers.h"
#include "api/health.h"
#include "api/limits.h"
#include "api/query.h"
#include "ops/context.h"
#include "ops/failover.h"
#include "ops/known.h"

/* Who looks at the hosts is told what the one that answers lets everybody do. */
static void
reply_list(struct context *ctx, struct request *req, char *text, size_t len)
{
	_free_ char *exposed = config_exposed(ctx->config);
	_free_ char *warning = xasprintf("on the host that answers %s", exposed);
	_free_ char *value = *exposed ? request_warning(warning) : NULL;
	const struct request_header header = { "Warning", value };

	request_reply_json(req, 200, text, len, &header, value ? 1 : 0);
}

void
api_host_list(struct context *ctx, struct request *req)
{
	struct host_list_options options = { 0 };
	_free_ char *missing = NULL;
	struct list_page page = { 0 };
	struct error err = { 0 };
	char *text;
	size_t len;

	if (query_read(req, &host_list_options_model, &options, &page, &err) < 0) {
		request_reply_error(req, &err);
	} else if (known_check(ctx, &missing, &err) < 0) {
		known_refuse(req, &err);
	} else {
		text = inventory_hosts_json(ctx->inventory, &options.filter, &page, &len);
		reply_list(ctx, req, text, len);
	}
	model_clear(&host_list_options_model, &options);
}

/* Those of the VMs that who asks may know of, in the place of all; the caller frees them. */
static void
keep_problems(const struct context *ctx, const struct request *req, struct host *shown)
{
	struct host_problem *problems = xcalloc(shown->n_problems + 1, sizeof(*problems));
	size_t n = 0;

	for (size_t i = 0; i < shown->n_problems; i++) {
		if (limits_sees_vm(ctx, req, shown->problems[i].vm))
			problems[n++] = shown->problems[i];
	}
	shown->problems = problems;
	shown->n_problems = n;
}

/* The caller clears it. */
static void
find_ha(struct context *ctx, const char *uuid, struct ha_status *ret)
{
	_free_ char *text = NULL;
	struct host_ha ha;

	inventory_get_ha(ctx->inventory, uuid, &ha);
	*ret = (struct ha_status){
		.armed = ha.armed,
		.host_id = (int16_t)ha.host_id,
		.generation = ha.generation > INT64_MAX ? INT64_MAX : (int64_t)ha.generation,
		.io_timeout = ha.io_timeout,
		.fire_timeout = ha.fire_timeout,
	};
	if (strcmp(uuid, inventory_self(ctx->inventory)) == 0) {
		arming_add_reasons(keeper_arming(ctx->keeper), ret);
		return;
	}
	text = failover_text(ctx->failover, uuid);
	if (*text)
		model_append(&ret->reasons, &ret->n_reasons)->detail = steal_ptr(text);
}

void
api_host_get(struct context *ctx, struct request *req)
{
	const struct host *host = inventory_find_host(ctx->inventory, req->param);
	struct error err = { 0 };

	if (host) {
		struct host shown = *host;

		keep_problems(ctx, req, &shown);
		if (strcmp(req->param, inventory_self(ctx->inventory)) == 0)
			health_find(ctx, &shown.health);
		find_ha(ctx, req->param, &shown.ha);
		request_reply_model(req, 200, &host_model, &shown);
		model_clear(&ready_model, &shown.health);
		model_clear(&ha_status_model, &shown.ha);
		free(shown.problems);
		return;
	}
	known_no_host(ctx, req->param, &err);
	request_reply_error(req, &err);
}
