/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Room on this host for VMs that other hosts send to it, see api/room.h for their side. */
#include "api/action.h"
#include "api/context.h"
#include "api/handlers.h"
#include "api/maintainer.h"
#include "api/placing.h"
#include "proto/uuid.h"
#include "proto/vmdef.h"

/* What is asked for is of this host alone. Not a 404: that says that this is not known here. */
static int
check_self(struct api *api, const char *wanted, struct error *err)
{
	const char *self = inventory_self(api->inventory);
	char host[UUID_TEXT_SIZE];

	if (str_empty(self))
		return error_set(err, 503, "libvirt has not told this host's uuid yet");
	uuid_normalize(wanted, host);
	if (str_equal(host, self))
		return 0;
	return error_set(err, 422, "host: this is '%s', not '%s'", self, host);
}

/* Where placement has chosen this host, it has to be right by what is known here, too. */
static int
check_placement(struct api *api, const char *vm, const struct vmdef *def, struct error *err)
{
	struct placement_need need = {
		.vm = vm,
		.from = "",
		.target = inventory_self(api->inventory),
		.def = def,
		.brief = true,
	};
	struct placement placement = { 0 };
	int r = placing_choose(api, &need, &placement, err);

	model_clear(&placement_model, &placement);
	return r;
}

static int
wrap_with_self(struct api *api, struct error *err)
{
	const char *uuid = inventory_self(api->inventory);
	const struct host *self = inventory_find_host(api->inventory, uuid);

	return error_wrap(err, "host '%s' (%s)", str_or_empty(self->def.name), uuid);
}

static int
check(struct api *api, const char *vm, const struct vm_reservation *options,
    const struct vmdef *def, struct error *err)
{
	const char *uuid = inventory_self(api->inventory);
	const struct host *self = inventory_find_host(api->inventory, uuid);

	if (self->maintenance)
		return error_set(err, 422, "host '%s' (%s) is in maintenance: it takes no VMs",
		    str_or_empty(self->def.name), uuid);
	if (maintainer_check_open(api, err) < 0 ||
	    action_ready(api, action_need_of(options->leases), err) < 0)
		return wrap_with_self(api, err);
	if (reservation_is_held(api->inventory, vm, &def->memory))
		return 0;
	if (placing_check_memory(api, uuid, vm, def, err) < 0)
		return -1;
	return options->chosen ? check_placement(api, vm, def, err) : 0;
}

/* What is known may be a moment old: a VM that came without the lockspace would run with nobody to
 * keep its leases, and one that came without the storage on another disk. */
static void
looked(struct api *api, struct request *req, const void *result, const struct error *cause)
{
	struct vm_reservation options = { 0 };
	struct error err = { 0 };

	if (!cause) {
		request_reply(req, 204);
		return;
	}
	if (action_read(req, &options) < 0)
		return;
	reservation_release(api->inventory, req->param, options.operation);
	model_clear(&vm_reservation_model, &options);
	err = *cause;
	wrap_with_self(api, &err);
	placing_refuse(api, req, &err);
}

static void
reserve(struct api *api, struct request *req, const struct vm_reservation *options)
{
	struct storage_look_request look = {
		.env = *keeper_env(api->keeper),
		.lockspace = options->leases > 0,
		.vm = req->param,
	};
	const struct inventory_vm *view = inventory_find_vm(api->inventory, req->param);
	struct vmdef def = {
		.name = options->name,
		.cpudef = options->cpudef,
		.memory = options->memory,
		.custom = options->custom,
		.n_custom = options->n_custom,
	};
	struct error err = { 0 };
	bool here = view && view->local && view->vm.def.memory.total;
	int r = 0;

	/* One that is here counts by itself. */
	if (!here && !options->renew)
		r = check(api, req->param, options, &def, &err);
	if (!here && r == 0)
		r = reservation_hold(
		    api->inventory, req->client, req->param, options->operation, &def, &err);
	if (r < 0)
		placing_refuse(api, req, &err);
	else if (!here && !options->renew)
		action_look(api, req, WORK_STORAGE_LOOK, &look, looked);
	else
		request_reply(req, 204);
}

void
api_vm_reserve(struct api *api, struct request *req)
{
	struct vm_reservation options = { 0 };
	struct error err = { 0 };

	if (action_read(req, &options) < 0)
		return;
	if (vm_reservation_check(&options, &err) < 0 || check_self(api, options.host, &err) < 0)
		request_reply_error(req, &err);
	else
		reserve(api, req, &options);
	model_clear(&vm_reservation_model, &options);
}

void
api_vm_reserve_end(struct api *api, struct request *req)
{
	struct vm_reservation_end end = { 0 };
	struct error err = { 0 };

	if (action_read(req, &end) < 0)
		return;
	if (vm_reservation_end_check(&end, &err) < 0 || check_self(api, end.host, &err) < 0) {
		request_reply_error(req, &err);
	} else {
		reservation_release(api->inventory, req->param, end.operation);
		request_reply(req, 204);
	}
	model_clear(&vm_reservation_end_model, &end);
}
