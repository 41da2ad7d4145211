/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/action.h"
#include "api/context.h"
#include "api/handlers.h"
#include "api/maintainer.h"
#include "api/placing.h"
#include "proto/uuid.h"
#include "proto/vmdef.h"

/* Empty or this one: with another one that is known only a dry run is here. */
static int
check_host(struct api *api, const char *wanted, bool dry_run, struct error *err)
{
	char host[UUID_TEXT_SIZE];

	if (str_empty(wanted))
		return 0;
	if (uuid_normalize(wanted, host) < 0)
		return error_set(err, 400, "host: '%s' is no UUID", wanted);
	if (str_equal(host, inventory_self(api->inventory)) ||
	    (dry_run && inventory_find_host(api->inventory, host)))
		return 0;
	return error_set(err, 404, "no host '%s' is known", host);
}

static void
create_here(
    struct api *api, struct request *req, const struct vm_create_options *options, const char *why)
{
	struct vm_create_request create = { 0 };
	struct action_place place = { .why = why };
	char uuid[UUID_TEXT_SIZE];
	struct error err = { 0 };

	if (maintainer_check_open(api, &err) < 0) {
		request_reply_error(req, &err);
		return;
	}
	if (action_check_ready(api, req, action_need_of(vmdef_leases(&options->vmdef))) < 0)
		return;
	uuid_make(uuid);
	create.env = *keeper_env(api->keeper);
	create.uuid = uuid;
	create.def = options->vmdef;
	place.reservation =
	    reservation_add(api->inventory, inventory_self(api->inventory), uuid, &options->vmdef);
	action_start_placed(api, req, WORK_VM_CREATE, &create, uuid, 201, &place);
}

/* Explains the host that is named, or all. */
static void
explain(struct api *api, struct request *req, const struct vm_create_options *options)
{
	char host[UUID_TEXT_SIZE] = "";
	struct placement_need need = { .vm = "", .from = "", .def = &options->vmdef };

	if (!str_empty(options->host))
		uuid_normalize(options->host, host);
	need.target = host;
	placing_explain(api, req, &need);
}

static void
create(struct api *api, struct request *req, const struct vm_create_options *options, bool dry_run)
{
	if (dry_run) {
		explain(api, req, options);
	} else if (!str_empty(options->host)) {
		create_here(api, req, options, "");
	} else if (!req->looped) {
		placing_create(api, req, options, create_here);
	} else if (placing_accept(api, req, &options->vmdef) == 0) {
		create_here(api, req, options, req->placement);
	}
}

void
api_vm_create(struct api *api, struct request *req)
{
	struct vm_create_options options = { 0 };
	struct error err = { 0 };
	bool dry_run;

	if (action_read(req, &options) < 0)
		return;
	if (request_flag(req, "dry_run", &dry_run, &err) < 0 ||
	    vmdef_check(&options.vmdef, api->config->storage_root, "vmdef", &err) < 0 ||
	    check_host(api, options.host, dry_run, &err) < 0)
		request_reply_error(req, &err);
	else
		create(api, req, &options, dry_run);
	model_clear(&vm_create_options_model, &options);
}
