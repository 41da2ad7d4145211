/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/migration.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "ops/admission.h"
#include "ops/context.h"
#include "ops/known.h"
#include "ops/migration_follower.h"
#include "ops/reservation_client.h"
#include "ops/scheduler.h"
#include "ops/task.h"
#include "proto/log.h"
#include "proto/uuid.h"
#include "state/reservation.h"

#define HOSTS_MAX 8 /* that may refuse until it is given up */

enum state {
	STATE_CHOOSING, /* a host is looked for */
	STATE_ASKING,	/* it is asked for room */
	STATE_MOVING,	/* it has room, and the job is under way */
	STATE_STAYS,	/* there was no job, or it did nothing: the operation ends */
	STATE_N,
};

static const char *const state_names[STATE_N] = { "choosing", "asking", "moving", "stays" };

/* As in the header. */
static const unsigned int transitions[STATE_N] = {
	[STATE_CHOOSING] = 1 << STATE_ASKING,
	[STATE_ASKING] = 1 << STATE_CHOOSING | 1 << STATE_MOVING | 1 << STATE_STAYS,
	[STATE_MOVING] = 1 << STATE_CHOOSING | 1 << STATE_STAYS,
};

struct migration {
	LIST_ENTRY(migration) link;
	struct context *ctx;
	struct task *task;
	enum state state;
	struct reservation_client *reservation_client; /* NULL while choosing */
	uint64_t reservation; /* of this host's own, until the task has it */
	struct vm_migrate_options options;
	bool chosen; /* the host was: another one does as well */
	bool later;  /* one that has refused the VM may take it later */
	char vm[UUID_TEXT_SIZE], target[UUID_TEXT_SIZE];
	char *why;		     /* the target */
	char *target_uri, *data_uri; /* of it */
	char *user;
	struct placement_excluded excluded[HOSTS_MAX];
	size_t n_excluded;
	migration_ended ended; /* NULL for none */
	void *arg;
};

static void
set_state(struct migration *migration, enum state state)
{
	assert(transitions[migration->state] & 1U << state);
	log_debug("ops", "migration of VM '%s' to '%s': %s, then %s", migration->vm,
	    migration->target, state_names[migration->state], state_names[state]);
	migration->state = state;
}

static void
migration_free(struct migration *migration)
{
	LIST_REMOVE(migration, link);
	for (size_t i = 0; i < migration->n_excluded; i++) {
		free((char *)migration->excluded[i].host);
		free((char *)migration->excluded[i].why);
	}
	model_clear(&vm_migrate_options_model, &migration->options);
	free(migration->why);
	free(migration->target_uri);
	free(migration->data_uri);
	free(migration->user);
	free(migration);
}

void
migrations_free(struct context *ctx)
{
	struct migration *migration;

	while ((migration = LIST_FIRST(&ctx->migrations)))
		migration_free(migration);
}

/* What can be said without asking. What the host has free it says itself when it is asked for room;
 * one that will not be asked is judged by what it has told. */
static int
check_target(
    struct context *ctx, const struct inventory_vm *view, const char *uuid, struct error *err)
{
	const struct host *host = inventory_find_host(ctx->inventory, uuid);

	if (!host)
		return known_no_host(ctx, uuid, err);
	if (str_equal(uuid, inventory_self(ctx->inventory)))
		return error_set_type(err, ERROR_ALREADY_THERE,
		    "VM '%s' is on host '%s' (%s) already", view->vm.uuid,
		    str_or_empty(host->def.name), uuid);
	if (host->cstate != CSTATE_ACTIVE)
		return error_set(err, 503, "host '%s' (%s) is not active: serf says it is %s",
		    str_or_empty(host->def.name), uuid, enum_word(&cstate_enum, host->cstate));
	if (host->maintenance)
		return error_set(err, 422, "host '%s' (%s) is in maintenance: it takes no VMs",
		    str_or_empty(host->def.name), uuid);
	if (inventory_tells_digest(ctx->inventory, uuid))
		return 0;
	return admission_check_memory(ctx, uuid, view->vm.uuid, &view->vm.def, err);
}

/* An IPv6 address has brackets in a URI; %s in the format is the address. */
static char *
make_uri(const char *format, const char *addr)
{
	const char *at = strstr(format, "%s");
	bool v6 = strchr(addr, ':') != NULL;

	return xasprintf(
	    "%.*s%s%s%s%s", (int)(at - format), format, v6 ? "[" : "", addr, v6 ? "]" : "", at + 2);
}

static void
exclude(struct migration *migration, const char *why)
{
	migration->excluded[migration->n_excluded++] =
	    (struct placement_excluded){ xstrdup(migration->target), xstrdup(why) };
}

/* The best host that has not refused. */
static int
choose(struct migration *migration, const struct inventory_vm *view, struct error *err)
{
	struct placement_need need = {
		.vm = migration->vm,
		.from = inventory_self(migration->ctx->inventory),
		.target = "",
		.def = &view->vm.def,
		.excluded = migration->excluded,
		.n_excluded = migration->n_excluded,
	};
	struct placement placement = { 0 };
	int r;

	if (migration->n_excluded == HOSTS_MAX)
		return error_set_type(err, ERROR_NO_HOST,
		    "%d hosts do not take VM '%s'; the last: %s", HOSTS_MAX, migration->vm,
		    migration->excluded[HOSTS_MAX - 1].why);
	r = scheduler_choose(migration->ctx, &need, &placement, err);
	if (r == 0) {
		snprintf(migration->target, sizeof(migration->target), "%.36s", placement.host);
		free(migration->why);
		migration->why = xasprintf("placed on %s", placement.reason);
	}
	model_clear(&placement_model, &placement);
	return r;
}

/* The host that is named, or the best one that has an address. */
static int
find_host(
    struct migration *migration, const struct inventory_vm *view, char addr[46], struct error *err)
{
	const char *named = migration->n_excluded ? "" : migration->options.host;
	struct context *ctx = migration->ctx;

	if (!str_empty(named)) {
		uuid_normalize(named, migration->target);
		if (check_target(ctx, view, migration->target, err) < 0)
			return -1;
		if (ctx->host_ops->address(ctx->host_arg, migration->target, addr, err) == 0)
			return 0;
		if (!migration->chosen)
			return -1;
		exclude(migration, err->detail);
	}
	while (choose(migration, view, err) == 0) {
		if (ctx->host_ops->address(ctx->host_arg, migration->target, addr, err) == 0)
			return 0;
		exclude(migration, err->detail);
	}
	return -1;
}

/* Where the VM goes, and how that host is reached. Room there is reserved in what this host knows.
 */
static int
find_target(struct migration *migration, struct error *err)
{
	struct context *ctx = migration->ctx;
	const struct inventory_vm *view = inventory_find_vm(ctx->inventory, migration->vm);
	char addr[46];

	if (!view || (migration->task && !view->local))
		return error_set(err, 404, "VM '%s' is not here any more", migration->vm);
	if (find_host(migration, view, addr, err) < 0)
		return -1;
	free(migration->target_uri);
	free(migration->data_uri);
	migration->target_uri = make_uri(ctx->config->migrate_uri, addr);
	migration->data_uri = make_uri("tcp://%s", addr);
	migration->reservation =
	    reservation_add(ctx->inventory, migration->target, migration->vm, &view->vm.def);
	return 0;
}

static int
start_job(struct migration *migration, struct error *err)
{
	const struct vm_migrate_options *options = &migration->options;
	struct task_place place = { migration->reservation, migration->why };
	struct vm_migrate_request request = {
		.uuid = migration->vm,
		.live = options->migration_type == MIGRATION_TYPE_LIVE,
		.target = migration->target,
		.target_uri = migration->target_uri,
		.data_uri = migration->data_uri,
		.foreign = !inventory_tells_digest(migration->ctx->inventory, migration->target),
		.bandwidth = options->bandwidth,
		.downtime = options->downtime,
		.post_copy = options->post_copy,
		.tls = migration->ctx->config->migrate_tls,
	};

	migration->reservation = 0;
	if (task_work(migration->task, WORK_VM_MIGRATE, &request, &place, err) < 0)
		return -1;
	set_state(migration, STATE_MOVING);
	if (request.live)
		migration_follow(
		    migration->ctx, migration->vm, task_operation(migration->task), options);
	return 0;
}

static void on_reserved(void *arg, const struct error *cause);

static void
ask_reservation(struct migration *migration)
{
	const struct inventory_vm *view =
	    inventory_find_vm(migration->ctx->inventory, migration->vm);
	struct reservation_client_need need = {
		.host = migration->target,
		.vm = migration->vm,
		.operation = task_operation(migration->task),
		.user = migration->user,
		.def = &view->vm.def,
		.chosen = migration->chosen,
	};

	set_state(migration, STATE_ASKING);
	migration->reservation_client =
	    reservation_client_ask(migration->ctx, &need, on_reserved, migration);
}

/* The target refuses, and nothing was done: asks the next one, or ends. */
static void
pass_over(struct migration *migration, const struct error *cause)
{
	_free_ char *why = xasprintf("it refused: %.300s", cause->detail);
	struct error err = *cause;

	set_state(migration, STATE_CHOOSING);
	migration->reservation_client = NULL;
	log_debug("ops", "host '%s' refuses VM '%s': %s", migration->target, migration->vm,
	    cause->detail);
	migration->later = migration->later || error_is(cause, ERROR_UNAVAILABLE);
	if (migration->chosen) {
		exclude(migration, why);
		if (find_target(migration, &err) == 0) {
			ask_reservation(migration);
			return;
		}
		migration->target[0] = '\0';
		if (error_is(&err, ERROR_REFUSED) && migration->later)
			err.status = 503;
	}
	task_fail(migration->task, &err);
}

static void
on_reserved(void *arg, const struct error *cause)
{
	struct migration *migration = arg;
	struct error err = { 0 };

	if (cause) {
		reservation_cancel(migration->ctx->inventory, migration->reservation);
		migration->reservation = 0;
		pass_over(migration, cause);
	} else if (start_job(migration, &err) < 0) {
		set_state(migration, STATE_STAYS);
		/* It is this host's fault, not the target's. */
		migration->target[0] = '\0';
		task_fail(migration->task, &err);
	}
}

static bool
on_refused(void *arg, const struct error *err)
{
	struct migration *migration = arg;

	/* The job says whose fault it is. */
	if (!migration->chosen || !str_equal(err->host, migration->target) ||
	    (!error_is(err, ERROR_REFUSED) && !error_is(err, ERROR_UNAVAILABLE))) {
		set_state(migration, STATE_STAYS);
		if (error_is(err, ERROR_UNAVAILABLE) && str_empty(err->host))
			migration->target[0] = '\0';
		return false;
	}
	reservation_client_end(migration->reservation_client, true);
	pass_over(migration, err);
	return true;
}

/* Whether the VM is at its target, or may yet come there: a job that ended without a word tells
 * nothing. */
static bool
may_come(const struct migration *migration, const struct error *err)
{
	return migration->state == STATE_MOVING &&
	       (!err || error_is(err, ERROR_INTERNAL) || error_is(err, ERROR_UNAVAILABLE) ||
		   error_is(err, ERROR_NOT_OVER));
}

static void
on_ended(void *arg, const struct error *err)
{
	struct migration *migration = arg;

	reservation_client_end(migration->reservation_client, !may_come(migration, err));
	if (migration->ended)
		migration->ended(migration->arg, migration->target, err);
	migration_free(migration);
}

static const struct task_owner owner = { on_refused, on_ended };

static struct migration *
migration_new(struct context *ctx, const char *vm, const char *user,
    const struct vm_migrate_options *options, const char *why)
{
	struct migration *migration = xcalloc(1, sizeof(*migration));

	migration->ctx = ctx;
	migration->why = xstrdup(why);
	migration->chosen = str_empty(options->host) || *why;
	migration->user = xstrdup(user);
	snprintf(migration->vm, sizeof(migration->vm), "%.36s", vm);
	model_copy(&vm_migrate_options_model, &migration->options, options);
	LIST_INSERT_HEAD(&ctx->migrations, migration, link);
	return migration;
}

/* Begins the operation; the room is asked for next. */
static const char *
open_task(struct migration *migration, struct request *req, struct error *err)
{
	struct context *ctx = migration->ctx;

	migration->task = task_open(
	    ctx, ROUTE_VM_MIGRATE, req, migration->user, migration->vm, &owner, migration, err);
	if (!migration->task) {
		reservation_cancel(ctx->inventory, migration->reservation);
		migration_free(migration);
		return NULL;
	}
	ask_reservation(migration);
	return task_operation(migration->task);
}

void
migration_start(struct context *ctx, struct request *req, const struct vm_migrate_options *options)
{
	struct migration *migration = migration_new(ctx, req->param, req->user, options, "");
	struct error err = { 0 };

	if (find_target(migration, &err) < 0) {
		request_reply_error(req, &err);
		migration_free(migration);
		return;
	}
	open_task(migration, req, &err);
}

const char *
migration_begin(struct context *ctx, const char *vm, const struct vm_migrate_options *options,
    const char *why, const char *user, migration_ended ended, void *arg, struct error *err)
{
	struct migration *migration = migration_new(ctx, vm, user, options, why);

	migration->ended = ended;
	migration->arg = arg;
	if (task_ready(ctx, TASK_NEEDS_LOCKSPACE, err) < 0 || find_target(migration, err) < 0) {
		migration_free(migration);
		return NULL;
	}
	return open_task(migration, NULL, err);
}
