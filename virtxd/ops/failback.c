/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/failback.h"

#include <stdio.h>
#include <string.h>

#include "ops/known.h"
#include "proto/json.h"
#include "proto/problem.h"

#define FOLLOW_MS 1000
#define TOLD_MS	  10000 /* until the other hosts must know that this one takes VMs again */

static const struct host *
find_active(struct context *ctx, const char *uuid)
{
	const struct host *host = inventory_find_host(ctx->inventory, uuid);

	return host && host->cstate == CSTATE_ACTIVE ? host : NULL;
}

bool
failback_is_settled(struct context *ctx, bool vms)
{
	const struct host_list_fields active = { .cstate = CSTATE_ACTIVE };
	const char *self = inventory_self(ctx->inventory);
	struct host_list list = { 0 };
	struct ready ready = { 0 };
	bool settled;

	ctx->host_ops->ready(ctx->host_arg, &ready);
	settled = str_empty(ready.libvirt) && str_empty(ready.serf) && !str_empty(self) &&
		  str_empty(keeper_lockspace_why(ctx->keeper));
	model_clear(&ready_model, &ready);
	inventory_list_hosts(ctx->inventory, &active, NULL, &list);
	for (size_t i = 0; i < list.n_items && settled; i++) {
		const struct host_list_item *item = &list.items[i];

		settled = item->fields.cpudef.nodes > 0;
		if (vms && settled && !str_equal(item->uuid, self))
			settled = inventory_match(ctx->inventory, item->uuid, NULL) !=
				  INVENTORY_MATCH_DIFFERS;
	}
	model_clear(&host_list_model, &list);
	return settled;
}

static struct context *
api_of(const struct move *move)
{
	return move->ask.arg;
}

static void
on_followed(
    struct peer_ask *ask, int status, const char *body, size_t len, const struct error *cause)
{
	struct move *move = (struct move *)((char *)ask - offsetof(struct move, ask));
	const struct inventory_vm *view = inventory_find_vm(api_of(move)->inventory, move->vm);
	struct operation operation = { 0 };
	struct error err = { 0 };
	/* Who sent it may not know any more when it is here, and need not. */
	bool arrived = view && view->local && status != 200;

	move->asking = false;
	if (status == 200)
		json_decode(&operation_model, body, len, &operation, &err);
	else if (cause)
		err = *cause;
	else
		problem_decode(&err, status, body, len);
	if (arrived || str_equal(operation.state, "completed"))
		move_done(move, move->host);
	else if (error_is(&err,
		     ERROR_NOT_FOUND)) /* Its virtxd was started anew: the migration may go on. */
		move_wait(move, "the host that sends it was restarted");
	else if (str_equal(operation.state, "failed"))
		move_stay(move, operation.msg);
	else if (!err.status)
		move->percent = operation.progress;
	else if (status == 200 || !find_active(api_of(move), move->host))
		move_stay(move, err.detail);
	model_clear(&operation_model, &operation);
}

/* Where it cannot be asked, that is the answer. */
static void
ask(struct context *ctx, struct move *move, enum method method, const char *path, const char *user,
    const char *body)
{
	struct error err = { 0 };

	move->asking = true;
	move->ask.arg = ctx;
	if (ctx->host_ops->ask(
		ctx->host_arg, &move->ask, move->host, method, path, user, body, &err) < 0)
		move->ask.answered(&move->ask, 0, "", 0, &err);
}

void
failback_follow(struct context *ctx, const char *user, struct move *move)
{
	_free_ char *path = NULL;

	if (move->asking || str_empty(move->operation) || monotonic_ms() < move->next)
		return;
	path = route_path(ROUTE_OPERATION_GET, move->operation);
	move->next = monotonic_ms() + FOLLOW_MS;
	move->ask.answered = on_followed;
	ask(ctx, move, METHOD_GET, path, user, NULL);
}

/* Whether the answer may be another one in a moment. */
static bool
may_pass(const struct move *move, const struct error *err)
{
	return error_is(err, ERROR_BUSY) || error_is(err, ERROR_NOT_FOUND) || err->status >= 500 ||
	       (error_is(err, ERROR_REFUSED) && monotonic_ms() < move->told_due);
}

static void
on_asked(struct peer_ask *ask, int status, const char *body, size_t len, const struct error *cause)
{
	struct move *move = (struct move *)((char *)ask - offsetof(struct move, ask));
	struct operation operation = { 0 };
	struct error err = { 0 };

	move->asking = false;
	move->operation[0] = '\0';
	if (cause)
		err = *cause;
	else if (status != 202)
		problem_decode(&err, status, body, len);
	else if (json_decode(&operation_model, body, len, &operation, &err) == 0 &&
		 str_empty(operation.id))
		error_set(
		    &err, 400, "host '%s' did not say which operation moves the VM", move->host);
	if (!err.status)
		snprintf(
		    move->operation, sizeof(move->operation), "%.36s", str_or_empty(operation.id));
	else if (error_is(&err, ERROR_NOT_OVER) && !str_empty(err.operation))
		snprintf(move->operation, sizeof(move->operation), "%s", err.operation);
	else if (may_pass(move, &err))
		move_wait(move, err.detail);
	else
		move_stay(move, err.detail);
	model_clear(&operation_model, &operation);
}

static void
ask_for(struct context *ctx, const char *user, struct move *move, bool off)
{
	char self[UUID_TEXT_SIZE];
	struct vm_migrate_options options = {
		.host = self,
		.migration_type = off ? MIGRATION_TYPE_COLD : MIGRATION_TYPE_LIVE,
	};
	_free_ char *path = route_path(ROUTE_VM_MIGRATE, move->vm);
	_free_ char *body = NULL;

	snprintf(self, sizeof(self), "%s", inventory_self(ctx->inventory));
	body = json_encode(&vm_migrate_options_model, &options, NULL);
	move->ask.answered = on_asked;
	ask(ctx, move, METHOD_POST, path, user, body);
}

/* It is no more, unless a host has it whose VMs are not known. */
static void
not_found(struct context *ctx, struct move *move)
{
	_free_ char *missing = NULL;
	struct error err = { 0 };

	if (known_check(ctx, &missing, &err) < 0)
		move_wait(move, err.detail);
	else if (str_empty(missing))
		move_done(move, "");
	else
		move_stay(move, missing);
}

void
failback_start(struct context *ctx, const char *user, int64_t since, struct move *move)
{
	const struct inventory_vm *view = inventory_find_vm(ctx->inventory, move->vm);
	_free_ char *reason = NULL;
	enum vmrunstate runstate;
	const struct host *host;

	if (!view) {
		not_found(ctx, move);
		return;
	}
	if (view->local) {
		move_done(move, inventory_self(ctx->inventory));
		return;
	}
	runstate = view->vm.runinfo.runstate;
	host = inventory_find_host(ctx->inventory, view->vm.runinfo.host);
	if (!host || host->cstate != CSTATE_ACTIVE) {
		reason = xasprintf("its host '%s' (%s) is not active",
		    host ? str_or_empty(host->def.name) : "", str_or_empty(view->vm.runinfo.host));
		move_stay(move, reason);
		return;
	}
	if (runstate == VMRUNSTATE_STARTUP || runstate == VMRUNSTATE_MIGRATING ||
	    runstate == VMRUNSTATE_TERMINATING || runstate == VMRUNSTATE_NONE) {
		reason = xasprintf("it is %s", enum_word(&vmrunstate_enum, runstate));
		move_wait(move, reason);
		return;
	}
	move_begin(move, host->uuid);
	move->told_due = since + TOLD_MS;
	move->operation[0] = '\0';
	ask_for(ctx, user, move, runstate == VMRUNSTATE_POWEROFF || runstate == VMRUNSTATE_CRASHED);
}
