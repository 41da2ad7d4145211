/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/context.h"
#include "api/handlers.h"

void
api_operation_list(struct api *api, struct request *req)
{
	struct operation_list list = { 0 };

	operations_list(api->operations, &list);
	request_reply_model(req, 200, &operation_list_model, &list);
	free(list.items);
}

void
api_operation_get(struct api *api, struct request *req)
{
	const struct operation *operation = operations_find(api->operations, req->param);
	struct error err = { 0 };

	if (operation) {
		request_reply_model(req, 200, &operation_model, operation);
		return;
	}
	error_set(&err, 404, "no operation '%s' is kept on this host", req->param);
	request_reply_error(req, &err);
}
