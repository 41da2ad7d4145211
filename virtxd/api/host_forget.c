/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A host is forgotten. */
#include "api/handlers.h"
#include "ops/forget.h"
#include "ops/known.h"

static void
reply(struct request *req, const struct forget_outcome *outcome)
{
	struct request_header header = { "Warning", NULL };
	_free_ char *value = NULL;

	if (outcome->err && outcome->later) {
		known_refuse(req, outcome->err);
	} else if (outcome->err) {
		request_reply_error(req, outcome->err);
	} else if (!outcome->left) {
		request_reply(req, 204);
	} else {
		header.value = value = request_warning(outcome->left);
		request_reply_json(req, 200, NULL, 0, &header, 1);
	}
}

void
api_host_forget(struct context *ctx, struct request *req)
{
	struct error err = { 0 };
	bool put_out;

	if (request_flag(req, "put_out", &put_out, &err) < 0)
		request_reply_error(req, &err);
	else
		forget_start(ctx, req, put_out, reply);
}
