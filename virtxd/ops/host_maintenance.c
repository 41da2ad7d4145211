/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/host_maintenance.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "loop/timer.h"
#include "ops/maintenance_change.h"
#include "ops/maintenance_moves.h"
#include "ops/task.h"
#include "proto/log.h"
#include "work/host_down.h"

#define TICK_MS	 100
#define OWN_USER "virtxd"

enum state {
	STATE_IDLE,	/* nothing has to move, or whether that is so is not known */
	STATE_DUE,	/* VMs have to leave this host or to come back */
	STATE_RESUMED,	/* the same, since a virtxd before this one */
	STATE_SETTLING, /* moves have begun, and wait until other hosts have told of themselves */
	STATE_MOVING,	/* VMs are on their way */
	STATE_STOPPING, /* it was changed meanwhile: what is on its way comes to its end */
	STATE_CLOSING,	/* all came back, which is told when it is kept */
	STATE_N,
};

static const char *const state_names[STATE_N] = { "idle", "due", "resumed", "settling", "moving",
	"stopping", "closing" };

/* As in the header. */
static const unsigned int transitions[STATE_N] = {
	[STATE_IDLE] = 1 << STATE_DUE | 1 << STATE_RESUMED,
	[STATE_DUE] = 1 << STATE_IDLE | 1 << STATE_MOVING,
	[STATE_RESUMED] = 1 << STATE_IDLE | 1 << STATE_SETTLING,
	[STATE_SETTLING] = 1 << STATE_MOVING | 1 << STATE_STOPPING,
	[STATE_MOVING] = 1 << STATE_IDLE | 1 << STATE_STOPPING | 1 << STATE_CLOSING,
	[STATE_STOPPING] = 1 << STATE_IDLE | 1 << STATE_DUE,
	[STATE_CLOSING] = 1 << STATE_IDLE,
};

struct host_maintenance {
	struct context *ctx;
	struct timer *timer;
	struct maintenance_record record;
	struct maintenance_change *change; /* until it is kept; NULL for none */
	enum state state;
	struct maintenance_moves *moves; /* from SETTLING or MOVING on until IDLE or DUE */
	int64_t open_since;		 /* monotonic ms */
};

static void
set_state(struct host_maintenance *hm, enum state state)
{
	assert(transitions[hm->state] & 1U << state);
	log_debug("ops", "maintenance: %s, then %s", state_names[hm->state], state_names[state]);
	hm->state = state;
}

static void
arm(struct host_maintenance *hm)
{
	if (!timer_is_started(hm->timer))
		timer_start(hm->timer, TICK_MS);
}

static const char *
self_of(const struct host_maintenance *hm)
{
	return inventory_self(hm->ctx->inventory);
}

static bool
is_on(const struct host_maintenance *hm)
{
	return hm->record.now.since && !hm->record.now.restoring;
}

const char *
host_maintenance_why(const struct host_maintenance *hm)
{
	const char *storage = keeper_storage_why(hm->ctx->keeper);

	return str_empty(hm->record.why) || str_empty(storage) ? hm->record.why : storage;
}

const struct maintenance *
host_maintenance_get(const struct host_maintenance *hm)
{
	return &hm->record.now;
}

bool
host_maintenance_hands_over(const struct host_maintenance *hm)
{
	const struct config *config = hm->ctx->config;

	return config->ha_hands_over && str_empty(host_maintenance_why(hm)) &&
	       hm->record.now.since == 0 && host_down_takes_guests(config->run_dir);
}

int
host_maintenance_check_open(const struct context *ctx, struct error *err)
{
	const struct host_maintenance *hm = ctx->host_maintenance;
	const struct host *self =
	    inventory_find_host(ctx->inventory, inventory_self(ctx->inventory));

	if (!str_empty(hm->record.why))
		return error_set(err, 503, "whether this host is in maintenance is not known: %s",
		    host_maintenance_why(hm));
	if (self && self->maintenance)
		return error_set(err, 503, "host '%s' (%s) is in maintenance: it takes no VMs",
		    str_or_empty(self->def.name), self->uuid);
	return 0;
}

/* The others shall know, and this host. */
static void
announce(struct host_maintenance *hm)
{
	struct context *ctx = hm->ctx;
	bool on = is_on(hm);

	if (!on)
		hm->open_since = monotonic_ms();
	inventory_set_maintenance(ctx->inventory, self_of(hm), on);
	ctx->host_ops->announce(ctx->host_arg, on ? hm->record.now.since : 0);
}

/* The moves */

/* What the record asks for: that VMs leave, or that they come back. */
static bool
has_to_move(const struct host_maintenance *hm)
{
	return is_on(hm) || hm->record.now.restoring;
}

static bool
is_due(const struct host_maintenance *hm)
{
	return hm->state == STATE_DUE || hm->state == STATE_RESUMED;
}

static bool
is_under_way(const struct host_maintenance *hm)
{
	return hm->state == STATE_SETTLING || hm->state == STATE_MOVING;
}

static void
on_moved(void *arg)
{
	arm(arg);
}

/* Begins what is to be done, when nothing is under way. */
static void
next(struct host_maintenance *hm)
{
	const struct maintenance_moves_owner owner = { hm->ctx, &hm->record, on_moved, hm };
	enum maintenance_direction direction = is_on(hm) ? MAINTENANCE_LEAVE : MAINTENANCE_RETURN;
	bool resumes = hm->state == STATE_RESUMED;

	if (!is_due(hm) || hm->change)
		return;
	hm->moves = maintenance_moves_new(
	    &owner, direction, resumes ? hm->record.now.user : OWN_USER, hm->open_since);
	set_state(hm, resumes ? STATE_SETTLING : STATE_MOVING);
}

/* Their operation ends with what was summed up. */
static void
end_moves(struct host_maintenance *hm, enum state state)
{
	maintenance_moves_finish(hm->moves);
	maintenance_moves_free(steal_ptr(hm->moves));
	set_state(hm, state);
}

static void
moves_are_over(struct host_maintenance *hm)
{
	maintenance_moves_sum_up(hm->moves);
	if (hm->state == STATE_STOPPING) {
		end_moves(hm, has_to_move(hm) ? STATE_DUE : STATE_IDLE);
	} else if (maintenance_moves_direction(hm->moves) == MAINTENANCE_RETURN) {
		model_clear(&maintenance_model, &hm->record.now);
		hm->record.dirty = true;
		set_state(hm, STATE_CLOSING);
	} else {
		end_moves(hm, STATE_IDLE);
	}
}

static void
run_moves(struct host_maintenance *hm)
{
	/* While a change is not kept, whether they go on is not known. */
	if (hm->change || !hm->moves || hm->state == STATE_CLOSING)
		return;
	if (hm->state == STATE_SETTLING) {
		if (!maintenance_moves_are_settled(hm->moves))
			return;
		set_state(hm, STATE_MOVING);
	}
	maintenance_moves_run(hm->moves);
	if (maintenance_moves_are_over(hm->moves))
		moves_are_over(hm);
}

/* The record is kept */

/* Ends the operation of an earlier change that was accepted, and whose moves have not begun. */
static void
end_overtaken(struct host_maintenance *hm, const char *operation)
{
	struct error err = { 0 };

	if (str_empty(operation) || str_equal(operation, hm->record.now.operation) ||
	    (hm->moves && str_equal(operation, maintenance_moves_operation(hm->moves))))
		return;
	error_set(&err, 424, "a later change of the maintenance came before it began");
	operations_finish(hm->ctx->operations, operation, NULL, &err);
}

static void
change_failed(struct host_maintenance *hm, const struct error *err)
{
	maintenance_change_fail(steal_ptr(hm->change), err);
	/* A VM that turned up meanwhile stays where this host is in no maintenance. */
	if (is_due(hm) && !has_to_move(hm))
		set_state(hm, STATE_IDLE);
}

/* What moves now is of the time before. */
static void
change_course(struct host_maintenance *hm)
{
	if (is_under_way(hm)) {
		maintenance_moves_stop(hm->moves);
		set_state(hm, STATE_STOPPING);
	} else if (hm->state == STATE_IDLE && has_to_move(hm)) {
		set_state(hm, STATE_DUE);
	} else if (is_due(hm) && !has_to_move(hm)) {
		set_state(hm, STATE_IDLE);
	}
}

static void
change_kept(struct host_maintenance *hm)
{
	struct maintenance_change *change = steal_ptr(hm->change);

	end_overtaken(hm, change->before.operation);
	log_info("ops", "this host is %s maintenance", is_on(hm) ? "in" : "out of");
	announce(hm);
	change_course(hm);
	next(hm);
	maintenance_change_done(change);
}

static void
on_saved(void *arg, bool latest, const struct error *err)
{
	struct host_maintenance *hm = arg;

	arm(hm);
	/* What has changed meanwhile is saved first. */
	if (!latest)
		return;
	if (hm->change && err)
		change_failed(hm, err);
	else if (hm->change)
		change_kept(hm);
	else if (hm->state == STATE_CLOSING && !err)
		end_moves(hm, STATE_IDLE);
}

static void
on_loaded(void *arg)
{
	struct host_maintenance *hm = arg;

	if (has_to_move(hm)) {
		set_state(hm, STATE_RESUMED);
		log_info("ops", "this host %s",
		    is_on(hm) ? "is in maintenance" : "was in maintenance, and its VMs come back");
	}
	announce(hm);
}

static const struct maintenance_record_ops record_ops = { on_loaded, on_saved };

static void
on_tick(void *arg)
{
	struct host_maintenance *hm = arg;

	if (!str_empty(hm->record.why)) {
		maintenance_record_run(&hm->record);
		arm(hm);
		return;
	}
	next(hm);
	run_moves(hm);
	maintenance_record_run(&hm->record);
	if (hm->state != STATE_IDLE || hm->record.dirty)
		arm(hm);
}

/* A VM that turns up here has to leave: one that was on its way when the maintenance began. */
static void
on_vm(void *arg, const struct inventory_vm *view, bool gone)
{
	struct host_maintenance *hm = arg;
	const struct maintenance_vm *known;

	if (gone || !view->local || !is_on(hm) || hm->state != STATE_IDLE)
		return;
	known = maintenance_record_find(&hm->record, view->vm.uuid);
	if (known && !str_empty(known->reason))
		return;
	set_state(hm, STATE_DUE);
	arm(hm);
}

static const struct inventory_observer observer = { .vm = on_vm };

/* The requests */

static int
check_change(struct host_maintenance *hm, struct error *err)
{
	if (!str_empty(hm->record.why) && !hm->record.damaged)
		return error_set(err, 503, "whether this host is in maintenance is not known: %s",
		    host_maintenance_why(hm));
	if (!hm->change && hm->state != STATE_CLOSING)
		return 0;
	error_set(err, 409, "the maintenance of this host is just being changed");
	snprintf(err->operation, sizeof(err->operation), "%s",
	    hm->change ? hm->change->operation : maintenance_moves_operation(hm->moves));
	return -1;
}

static void
keep_change(struct host_maintenance *hm)
{
	hm->record.dirty = true;
	hm->record.again = 0;
	maintenance_record_run(&hm->record);
	arm(hm);
}

void
host_maintenance_begin(struct host_maintenance *hm, struct request *req)
{
	struct maintenance *record = &hm->record.now;
	_free_ char *user = xstrdup(req->user);
	struct error err = { 0 };
	bool was_on = is_on(hm);

	if (check_change(hm, &err) < 0) {
		request_reply_error(req, &err);
		return;
	}
	if (was_on && is_under_way(hm)) {
		task_reply_accepted(hm->ctx, req, maintenance_moves_operation(hm->moves));
		return;
	}
	hm->change = maintenance_change_begin(hm->ctx, &hm->record, req, false);
	if (!was_on)
		record->since = now_ms();
	record->restoring = false;
	str_set(&record->user, user);
	str_set(&record->operation, hm->change->operation);
	if (!hm->moves)
		maintenance_moves_add_vms(hm->ctx, &hm->record, NULL);
	keep_change(hm);
}

/* VMs come back already. */
static bool
returns(const struct host_maintenance *hm)
{
	return hm->record.now.restoring && hm->moves &&
	       maintenance_moves_direction(hm->moves) == MAINTENANCE_RETURN;
}

void
host_maintenance_end(struct host_maintenance *hm, struct request *req, bool back)
{
	struct maintenance *record = &hm->record.now;
	_free_ char *user = xstrdup(req->user);
	struct error err = { 0 };

	if (check_change(hm, &err) < 0) {
		request_reply_error(req, &err);
		return;
	}
	if (hm->record.damaged && back) {
		error_set(&err, 422, "what VMs are to come back is not known: %s", hm->record.why);
		request_reply_error(req, &err);
		return;
	}
	if (!record->since && !hm->record.damaged) {
		request_reply(req, 204);
		return;
	}
	if (back && returns(hm)) {
		task_reply_accepted(hm->ctx, req, maintenance_moves_operation(hm->moves));
		return;
	}
	hm->change = maintenance_change_begin(hm->ctx, &hm->record, req, !back);
	if (back) {
		record->restoring = true;
		str_set(&record->user, user);
		str_set(&record->operation, hm->change->operation);
	} else {
		model_clear(&maintenance_model, record);
	}
	keep_change(hm);
}

struct host_maintenance *
host_maintenance_new(struct context *ctx)
{
	struct host_maintenance *hm = xcalloc(1, sizeof(*hm));

	hm->ctx = ctx;
	maintenance_record_init(&hm->record, ctx, &record_ops, hm);
	hm->timer = timer_new(ctx->base, on_tick, hm);
	inventory_observe(ctx->inventory, &observer, hm);
	arm(hm);
	return hm;
}

void
host_maintenance_free(struct host_maintenance *hm)
{
	if (!hm)
		return;
	maintenance_change_forget(hm->change);
	inventory_unobserve(hm->ctx->inventory, &observer, hm);
	timer_free(hm->timer);
	maintenance_moves_free(hm->moves);
	maintenance_record_clear(&hm->record);
	free(hm);
}
