/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "api/handlers.h"
#include "ops/context.h"

/* What the type of a problem leads to. */
void
api_problem_get(struct context *ctx, struct request *req)
{
	enum error_type type = error_type_find(req->param);
	const struct error_type_info *info = &error_types[type];
	struct error err = { 0 };
	char *text;

	if (type == ERROR_BY_STATUS) {
		error_set(&err, 404, "no problem '%s' is known", req->param);
		request_reply_error(req, &err);
		return;
	}
	text = xasprintf("%s: %s (%d)\n\n%s\n", info->name, info->title, info->status, info->text);
	request_reply_text(req, 200, "text/plain", text, strlen(text));
}
