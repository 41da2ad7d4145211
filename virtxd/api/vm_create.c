/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/action.h"
#include "api/context.h"
#include "api/handlers.h"
#include "api/maintainer.h"
#include "proto/uuid.h"
#include "proto/vmdef.h"

/* Empty or this one: with another one that is known the request would not be here. */
static int
check_host(struct api *api, const char *wanted, struct error *err)
{
	char host[UUID_TEXT_SIZE];

	if (str_empty(wanted))
		return 0;
	if (uuid_normalize(wanted, host) < 0)
		return error_set(err, 400, "host: '%s' is no UUID", wanted);
	if (str_equal(host, inventory_self(api->inventory)))
		return 0;
	return error_set(err, 404, "no host '%s' is known", host);
}

void
api_vm_create(struct api *api, struct request *req)
{
	struct vm_create_options options = { 0 };
	struct vm_create_request create = { 0 };
	char uuid[UUID_TEXT_SIZE];
	struct error err = { 0 };

	if (action_read(req, &options) < 0)
		return;
	if (vmdef_check(&options.vmdef, api->config->storage_root, "vmdef", &err) < 0 ||
	    check_host(api, options.host, &err) < 0 || maintainer_check_open(api, &err) < 0) {
		request_reply_error(req, &err);
	} else if (action_check_ready(api, req, vmdef_leases(&options.vmdef) > 0) == 0) {
		uuid_make(uuid);
		create.env = *keeper_env(api->keeper);
		create.uuid = uuid;
		create.def = options.vmdef;
		action_start(api, req, WORK_VM_CREATE, &create, uuid, 201);
	}
	model_clear(&vm_create_options_model, &options);
}
