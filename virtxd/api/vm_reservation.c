/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Room on this host for VMs that other hosts send to it, see ops/reservation_client.h for their
 * side. */
#include "api/handlers.h"
#include "ops/admission.h"
#include "ops/context.h"
#include "ops/host_maintenance.h"
#include "ops/scheduler.h"
#include "ops/task.h"
#include "proto/uuid.h"
#include "proto/vmdef.h"
#include "state/reservation.h"

/* What is asked for is of this host alone. Not a 404: that says that this is not known here. */
static int
check_self(struct context *ctx, const char *wanted, struct error *err)
{
	const char *self = inventory_self(ctx->inventory);
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
check_placement(struct context *ctx, const char *vm, const struct vmdef *def, struct error *err)
{
	struct placement_need need = {
		.vm = vm,
		.from = "",
		.target = inventory_self(ctx->inventory),
		.def = def,
		.brief = true,
	};
	struct placement placement = { 0 };
	int r = scheduler_choose(ctx, &need, &placement, err);

	model_clear(&placement_model, &placement);
	return r;
}

static int
wrap_with_self(struct context *ctx, struct error *err)
{
	const char *uuid = inventory_self(ctx->inventory);
	const struct host *self = inventory_find_host(ctx->inventory, uuid);

	return error_wrap(err, "host '%s' (%s)", str_or_empty(self->def.name), uuid);
}

static int
check(struct context *ctx, const char *vm, const struct vm_reservation *options,
    const struct vmdef *def, struct error *err)
{
	const char *uuid = inventory_self(ctx->inventory);
	const struct host *self = inventory_find_host(ctx->inventory, uuid);

	if (self->maintenance)
		return error_set(err, 422, "host '%s' (%s) is in maintenance: it takes no VMs",
		    str_or_empty(self->def.name), uuid);
	if (host_maintenance_check_open(ctx, err) < 0 ||
	    task_ready(ctx, task_need_of(options->leases), err) < 0)
		return wrap_with_self(ctx, err);
	if (reservation_is_held(ctx->inventory, vm, &def->memory))
		return 0;
	if (admission_check_memory(ctx, uuid, vm, def, err) < 0)
		return -1;
	return options->chosen ? check_placement(ctx, vm, def, err) : 0;
}

/* What is known may be a moment old: a VM that came without the lockspace would run with nobody to
 * keep its leases, and one that came without the storage on another disk. */
static void
looked(struct context *ctx, struct request *req, const void *result, const struct error *cause)
{
	struct vm_reservation options = { 0 };
	struct error err = { 0 };

	if (!cause) {
		request_reply(req, 204);
		return;
	}
	if (task_read(req, &options) < 0)
		return;
	reservation_release(ctx->inventory, req->param, options.operation);
	model_clear(&vm_reservation_model, &options);
	err = *cause;
	wrap_with_self(ctx, &err);
	admission_refuse(ctx, req, &err);
}

static void
reserve(struct context *ctx, struct request *req, const struct vm_reservation *options)
{
	struct storage_look_request look = {
		.lockspace = options->leases > 0,
		.vm = req->param,
	};
	const struct inventory_vm *view = inventory_find_vm(ctx->inventory, req->param);
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
		r = check(ctx, req->param, options, &def, &err);
	if (!here && r == 0)
		r = reservation_hold(
		    ctx->inventory, req->client, req->param, options->operation, &def, &err);
	if (r < 0)
		admission_refuse(ctx, req, &err);
	else if (!here && !options->renew)
		task_look(ctx, req, WORK_STORAGE_LOOK, &look, looked);
	else
		request_reply(req, 204);
}

void
api_vm_reserve(struct context *ctx, struct request *req)
{
	struct vm_reservation options = { 0 };
	struct error err = { 0 };

	if (task_read(req, &options) < 0)
		return;
	if (vm_reservation_check(&options, &err) < 0 || check_self(ctx, options.host, &err) < 0)
		request_reply_error(req, &err);
	else
		reserve(ctx, req, &options);
	model_clear(&vm_reservation_model, &options);
}

void
api_vm_reserve_end(struct context *ctx, struct request *req)
{
	struct vm_reservation_end end = { 0 };
	struct error err = { 0 };

	if (task_read(req, &end) < 0)
		return;
	if (vm_reservation_end_check(&end, &err) < 0 || check_self(ctx, end.host, &err) < 0) {
		request_reply_error(req, &err);
	} else {
		reservation_release(ctx->inventory, req->param, end.operation);
		request_reply(req, 204);
	}
	model_clear(&vm_reservation_end_model, &end);
}
