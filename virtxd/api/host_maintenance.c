/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "api/action.h"
#include "api/context.h"
#include "api/evacuation.h"
#include "api/handlers.h"
#include "api/maintainer.h"
#include "api/target.h"

void
api_maintenance_get(struct api *api, struct request *req)
{
	struct error err = { 0 };

	if (target_check_self(api, req->param, &err) < 0) {
		request_reply_error(req, &err);
	} else if (!str_empty(maintainer_why(api->maintainer))) {
		error_set(&err, 503, "whether this host is in maintenance is not known: %s",
		    maintainer_why(api->maintainer));
		request_reply_error(req, &err);
	} else {
		request_reply_model(req, 200, &maintenance_model, maintainer_get(api->maintainer));
	}
}

static void
on_looked(struct api *api, struct request *req, const void *result, const struct error *err)
{
	struct maintenance_plan plan = { 0 };

	if (err) {
		request_reply_error(req, err);
		return;
	}
	evacuation_plan(api, result, &plan);
	request_reply_model(req, 200, &maintenance_plan_model, &plan);
	model_clear(&maintenance_plan_model, &plan);
}

/* What keeps VMs here is to be seen on this host alone. */
static void
plan(struct api *api, struct request *req)
{
	struct vm_stays_request stays = { .env = *keeper_env(api->keeper), .as_it_is = true };
	size_t n;
	_free_ char(*vms)[UUID_TEXT_SIZE] = NULL;

	if (action_check_ready(api, req, ACTION_NEEDS_LIBVIRT) < 0)
		return;
	vms = evacuation_vms(api, &n);
	for (size_t i = 0; i < n; i++)
		model_append(&stays.vms, &stays.n_vms)->uuid = vms[i];
	action_look(api, req, WORK_VM_STAYS, &stays, on_looked);
	free(stays.vms);
}

void
api_maintenance_begin(struct api *api, struct request *req)
{
	struct maintenance_options options = { 0 };
	struct error err = { 0 };
	bool dry_run;

	if (action_read_exact(req, &options) < 0)
		return;
	if (request_flag(req, "dry_run", &dry_run, &err) < 0 ||
	    target_check_self(api, req->param, &err) < 0)
		request_reply_error(req, &err);
	else if (dry_run || options.dry_run)
		plan(api, req);
	else if (action_check_ready(api, req, ACTION_NEEDS_LOCKSPACE) == 0)
		maintainer_begin(api->maintainer, req);
}

void
api_maintenance_end(struct api *api, struct request *req)
{
	struct maintenance_end_options options = { 0 };
	struct error err = { 0 };

	if (action_read_exact(req, &options) < 0)
		return;
	if (target_check_self(api, req->param, &err) < 0)
		request_reply_error(req, &err);
	else
		maintainer_end(api->maintainer, req, options.back);
}
