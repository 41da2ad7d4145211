/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/context.h"
#include "api/handlers.h"
#include "api/listing.h"
#include "api/query.h"

void
api_vm_list(struct api *api, struct request *req)
{
	struct vm_list_options options = { 0 };
	struct vm_list list = { 0 };
	struct query_page page = { 0 };
	struct error err = { 0 };

	if (query_read(req, &vm_list_options_model, &options, &page, &err) < 0) {
		request_reply_error(req, &err);
	} else {
		inventory_list_vms(api->inventory, &options.filter, page.offset, page.limit, &list);
		listing_reply(api->base, req, &vm_list_model, &list);
	}
	model_clear(&vm_list_model, &list);
	model_clear(&vm_list_options_model, &options);
}

/* NULL after a 404 was sent. */
static const struct inventory_vm *
find(struct api *api, struct request *req)
{
	const struct inventory_vm *view = inventory_find_vm(api->inventory, req->param);
	struct error err = { 0 };

	if (view)
		return view;
	error_set(&err, 404, "no VM '%s' is known", req->param);
	request_reply_error(req, &err);
	return NULL;
}

void
api_vm_get(struct api *api, struct request *req)
{
	const struct inventory_vm *view = find(api, req);

	if (view)
		request_reply_model(req, 200, &vm_model, &view->vm);
}

void
api_vm_runstate_get(struct api *api, struct request *req)
{
	const struct inventory_vm *view = find(api, req);

	if (view)
		request_reply_model(req, 200, &vmruninfo_model, &view->vm.runinfo);
}
