/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/handlers.h"
#include "api/limits.h"
#include "api/query.h"
#include "ops/context.h"

/* What none can have is a mistake. */
static int
check_state(const char *state, struct error *err)
{
	static const char *const states[] = { "started", "completed", "failed" };
	bool known = str_empty(state);

	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		known |= str_equal(state, states[i]);
	return known ? 0
		     : error_set(
			   err, 400, "state: '%s' is none of started, completed and failed", state);
}

struct asker {
	const struct context *ctx;
	const struct request *req;
};

static bool
is_there(void *arg, const struct operation *operation)
{
	const struct asker *asker = arg;

	return limits_sees_operation(asker->ctx, asker->req, operation);
}

void
api_operation_list(struct context *ctx, struct request *req)
{
	struct operation_list_options options = { 0 };
	struct operation_list list = { 0 };
	struct asker asker = { ctx, req };
	struct list_page page = { 0 };
	struct error err = { 0 };

	if (query_read(req, &operation_list_options_model, &options, &page, &err) < 0 ||
	    check_state(options.filter.state, &err) < 0) {
		request_reply_error(req, &err);
	} else {
		operations_list_some(
		    ctx->operations, &options.filter, &page, is_there, &asker, &list);
		request_reply_model(req, 200, &operation_list_model, &list);
	}
	free(list.items);
	model_clear(&operation_list_options_model, &options);
}

void
api_operation_get(struct context *ctx, struct request *req)
{
	const struct operation *operation = operations_find(ctx->operations, req->param);
	struct error err = { 0 };

	if (operation && limits_sees_operation(ctx, req, operation)) {
		request_reply_model(req, 200, &operation_model, operation);
		return;
	}
	error_set(&err, 404, "no operation '%s' is kept on this host", req->param);
	request_reply_error(req, &err);
}
