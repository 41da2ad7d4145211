/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/context.h"
#include "api/handlers.h"
#include "api/query.h"
#include "proto/uuid.h"

/* What none can have is a mistake; UUIDs are taken in any spelling. */
static int
check_filter(struct operation_list_fields *filter, struct error *err)
{
	static const char *const states[] = { "started", "completed", "failed" };
	const struct {
		const char *name;
		char **text;
	} uuids[] = { { "vm", &filter->vm }, { "host", &filter->host } };
	char uuid[UUID_TEXT_SIZE];
	bool known = str_empty(filter->state);

	for (size_t i = 0; i < ARRAY_SIZE(uuids); i++) {
		if (str_empty(*uuids[i].text))
			continue;
		if (uuid_normalize(*uuids[i].text, uuid) < 0)
			return error_set(
			    err, 400, "%s: '%s' is no UUID", uuids[i].name, *uuids[i].text);
		str_set(uuids[i].text, uuid);
	}
	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		known |= str_equal(filter->state, states[i]);
	return known ? 0
		     : error_set(err, 400, "state: '%s' is none of started, completed and failed",
			   filter->state);
}

void
api_operation_list(struct api *api, struct request *req)
{
	struct operation_list_options options = { 0 };
	struct operation_list list = { 0 };
	struct list_page page = { 0 };
	struct error err = { 0 };

	if (query_read(req, &operation_list_options_model, &options, &page, &err) < 0 ||
	    check_filter(&options.filter, &err) < 0) {
		request_reply_error(req, &err);
	} else {
		operations_list(api->operations, &options.filter, &page, &list);
		request_reply_model(req, 200, &operation_list_model, &list);
	}
	free(list.items);
	model_clear(&operation_list_options_model, &options);
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
