/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/handlers.h"
#include "api/limits.h"
#include "ops/admission.h"
#include "ops/context.h"
#include "ops/dry_run.h"
#include "ops/host_maintenance.h"
#include "ops/known.h"
#include "ops/scheduler.h"
#include "ops/task.h"
#include "proto/uuid.h"
#include "proto/vmdef.h"
#include "state/reservation.h"

/* Empty or this one: with another one that is known only a dry run is here. */
static int
check_host(struct context *ctx, const char *wanted, bool dry_run, struct error *err)
{
	char host[UUID_TEXT_SIZE];

	if (str_empty(wanted))
		return 0;
	if (uuid_normalize(wanted, host) < 0)
		return error_set(err, 400, "host: '%s' is no UUID", wanted);
	if (str_equal(host, inventory_self(ctx->inventory)) ||
	    (dry_run && inventory_find_host(ctx->inventory, host)))
		return 0;
	return known_no_host(ctx, host, err);
}

static void
create_here(struct context *ctx, struct request *req, const struct vm_create_options *options,
    const char *why)
{
	struct vm_create_request create = { 0 };
	struct task_place place = { .why = why };
	char uuid[UUID_TEXT_SIZE];
	struct error err = { 0 };

	if (host_maintenance_check_open(ctx, &err) < 0 ||
	    admission_check_total(
		ctx, str_or_empty(options->vmdef.name), &options->vmdef.memory, &err) < 0) {
		request_reply_error(req, &err);
		return;
	}
	if (task_check_ready(ctx, req, TASK_NEEDS_LOCKSPACE) < 0)
		return;
	uuid_make(uuid);
	create.uuid = uuid;
	create.def = options->vmdef;
	create.admin = req->caller && role_may(req->caller->role, ROLE_ADMIN);
	place.reservation =
	    reservation_add(ctx->inventory, inventory_self(ctx->inventory), uuid, &options->vmdef);
	task_start_placed(ctx, req, WORK_VM_CREATE, &create, uuid, 201, &place);
}

/* lack is why this host cannot have it, NULL where it can. */
static void
create(struct context *ctx, struct request *req, const struct vm_create_options *options,
    bool dry_run, const struct error *lack)
{
	if (dry_run)
		dry_run_start(ctx, req, options, lack);
	else if (str_empty(options->host) && !req->looped)
		scheduler_create(ctx, req, options, create_here, lack);
	else if (lack && str_empty(options->host))
		admission_refuse(ctx, req, lack);
	else if (lack)
		request_reply_error(req, lack);
	else if (!str_empty(options->host))
		create_here(ctx, req, options, "");
	else if (admission_accept(ctx, req, &options->vmdef) == 0)
		create_here(ctx, req, options, req->placement);
}

/* Whether this host may be the one, and has to be looked at for that. A create sees by itself
 * whether libvirt knows the CPU model. */
static bool
must_look(struct context *ctx, const struct vm_create_options *options, bool dry_run)
{
	char host[UUID_TEXT_SIZE] = "";
	struct error ignored = { 0 };

	if ((options->vmdef.n_nets == 0 && !(dry_run && vmdef_names_model(&options->vmdef))) ||
	    task_ready(ctx, TASK_NEEDS_LIBVIRT, &ignored) < 0)
		return false;
	uuid_normalize(str_or_empty(options->host), host);
	return str_empty(options->host) || str_equal(host, inventory_self(ctx->inventory));
}

/* Reads and checks the request; 0, or -1 after the 400 or 404 was sent. */
static int
read_request(
    struct context *ctx, struct request *req, struct vm_create_options *options, bool *dry_run)
{
	struct error err = { 0 };

	if (task_read(req, options) < 0)
		return -1;
	if (request_flag(req, "dry_run", dry_run, &err) == 0 &&
	    vmdef_check(&options->vmdef, ctx->config->storage_root, "vmdef", &err) == 0 &&
	    limits_check_def(req, &options->vmdef, NULL, &err) == 0 &&
	    check_host(ctx, options->host, *dry_run, &err) == 0)
		return 0;
	request_reply_error(req, &err);
	return -1;
}

static void
on_looked(struct context *ctx, struct request *req, const void *result, const struct error *err)
{
	struct vm_create_options options = { 0 };
	bool dry_run;

	if (read_request(ctx, req, &options, &dry_run) == 0)
		create(ctx, req, &options, dry_run, err);
	model_clear(&vm_create_options_model, &options);
}

void
api_vm_create(struct context *ctx, struct request *req)
{
	struct vm_create_options options = { 0 };
	struct vm_check_request look = { 0 };
	bool dry_run;

	if (read_request(ctx, req, &options, &dry_run) == 0) {
		look.def = options.vmdef;
		if (must_look(ctx, &options, dry_run))
			task_look(ctx, req, WORK_VM_CHECK, &look, on_looked);
		else
			create(ctx, req, &options, dry_run, NULL);
	}
	model_clear(&vm_create_options_model, &options);
}
