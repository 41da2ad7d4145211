/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/host_maintenance.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "loop/timer.h"
#include "ops/evacuation.h"
#include "ops/failback.h"
#include "ops/maintenance_record.h"
#include "ops/task.h"
#include "proto/log.h"

#define TICK_MS	  100
#define SETTLE_MS 60000 /* that hosts have to tell of themselves after a start of virtxd */
#define CREATE_MS 60000 /* that an evacuation waits for VMs that are being created */
#define MSG_MAX	  1500	/* bytes of an operation's message */
#define OWN_USER  "virtxd"

enum phase {
	PHASE_IDLE,
	PHASE_LEAVING,	 /* VMs leave this host */
	PHASE_RETURNING, /* they come back */
	PHASE_CLOSING,	 /* that is over, and told when it is kept */
	PHASE_N,
};

static const char *const phase_names[PHASE_N] = { "idle", "leaving", "returning", "closing" };

/* From each phase to which others. */
static const unsigned int transitions[PHASE_N] = {
	[PHASE_IDLE] = 1 << PHASE_LEAVING | 1 << PHASE_RETURNING,
	[PHASE_LEAVING] = 1 << PHASE_IDLE,
	[PHASE_RETURNING] = 1 << PHASE_IDLE | 1 << PHASE_CLOSING,
	[PHASE_CLOSING] = 1 << PHASE_IDLE,
};

/* A change that a client wants, until it is kept. */
struct transition {
	bool pending;
	struct request *req;	   /* NULL when it is answered already */
	struct maintenance before; /* how it was, if that fails */
	char operation[UUID_TEXT_SIZE];
	bool at_once; /* the operation ends with it */
	char *damage; /* what was wrong with the record that it replaces, NULL for nothing */
};

struct host_maintenance {
	struct context *ctx;
	struct timer *timer;
	struct maintenance_record record;
	bool wants_move; /* VMs are here that have to leave */
	struct transition change;
	enum phase phase;
	struct move_queue *moves; /* while VMs leave or come back */
	bool stopped;
	int64_t began;	       /* monotonic ms */
	int64_t open_since;    /* monotonic ms */
	bool resumed, settled; /* virtxd was started meanwhile; what has to be known then is */
	char operation[UUID_TEXT_SIZE]; /* of the moves */
	struct error outcome;		/* of the return that is over */
};

static void
set_phase(struct host_maintenance *hm, enum phase phase)
{
	assert(transitions[hm->phase] & 1U << phase);
	log_debug("ops", "maintenance: %s, then %s", phase_names[hm->phase], phase_names[phase]);
	hm->phase = phase;
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
	return hm->record.now.since && !hm->record.now.leaving;
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

/* The VMs that are here have to leave. */
static void
add_vms(struct host_maintenance *hm)
{
	size_t n;
	_free_ char(*vms)[UUID_TEXT_SIZE] = evacuation_vms(hm->ctx, &n);

	for (size_t i = 0; i < n; i++) {
		if (hm->moves)
			move_queue_add(hm->moves, vms[i]);
		if (!hm->moves || !maintenance_record_find(&hm->record, vms[i]))
			maintenance_record_set(&hm->record, vms[i], "", "");
	}
}

/* The moves */

static void
start_move(void *arg, struct move *move)
{
	struct host_maintenance *hm = arg;
	const char *user = hm->record.now.user;

	if (hm->phase == PHASE_LEAVING)
		evacuation_start(hm->ctx, str_or_empty(user), move);
	else
		failback_start(hm->ctx, str_or_empty(user), hm->open_since, move);
}

static void
follow_move(void *arg, struct move *move)
{
	struct host_maintenance *hm = arg;
	const struct operation *operation;

	if (hm->phase == PHASE_RETURNING) {
		failback_follow(hm->ctx, str_or_empty(hm->record.now.user), move);
		return;
	}
	operation = operations_find(hm->ctx->operations, move->operation);
	if (operation)
		move->percent = operation->progress;
}

static void
move_ended(void *arg, struct move *move)
{
	struct host_maintenance *hm = arg;

	if (move->state == MOVE_STAYS)
		log_info("ops", "maintenance: VM '%s' stays: %s", move->vm, move->reason);
	/* A return that was stopped is of another time. */
	if (maintenance_record_find(&hm->record, move->vm))
		maintenance_record_set(&hm->record, move->vm,
		    move->state == MOVE_DONE && hm->phase == PHASE_LEAVING ? move->host : "",
		    move->reason);
	arm(hm);
}

static const struct move_queue_ops move_queue_ops = { start_move, follow_move, move_ended };

/* The operation that was begun for these moves, or one for those that nobody asked for now. */
static void
begin_operation(struct host_maintenance *hm, enum route_id route)
{
	struct context *ctx = hm->ctx;
	const struct operation *operation =
	    operations_find(ctx->operations, str_or_empty(hm->record.now.operation));

	if (!operation || !str_equal(operation->state, "started")) {
		str_set(&hm->record.now.operation,
		    operations_start(ctx->operations, routes[route].op, "", self_of(hm),
			hm->resumed ? hm->record.now.user : OWN_USER));
		hm->record.dirty = true;
	}
	snprintf(hm->operation, sizeof(hm->operation), "%s", hm->record.now.operation);
	operations_progress(ctx->operations, hm->operation, 0);
}

static void
begin_moves(struct host_maintenance *hm, enum phase phase)
{
	set_phase(hm, phase);
	hm->stopped = false;
	hm->began = monotonic_ms();
	hm->settled = !hm->resumed;
	hm->moves = move_queue_new(hm->ctx->config->evacuations, &move_queue_ops, hm);
	begin_operation(
	    hm, phase == PHASE_LEAVING ? ROUTE_MAINTENANCE_BEGIN : ROUTE_MAINTENANCE_END);
	if (phase == PHASE_LEAVING) {
		hm->wants_move = false;
		add_vms(hm);
	}
	for (size_t i = 0; i < hm->record.now.n_vms && phase == PHASE_RETURNING; i++)
		move_queue_add(hm->moves, hm->record.now.vms[i].vm);
	log_info("ops", "%s",
	    phase == PHASE_LEAVING ? "maintenance: the VMs of this host move away"
				   : "maintenance: the VMs of this host come back");
}

/* err is set where VMs are left. */
static void
sum_up(const struct host_maintenance *hm, struct error *err)
{
	_free_ char *reasons = NULL;
	size_t left, n = move_queue_count(hm->moves, &left);

	*err = (struct error){ 0 };
	if (left == 0)
		return;
	reasons = move_queue_explain(hm->moves, MSG_MAX);
	error_set(err, 424, "%s%zu of %zu VMs %s: %s",
	    hm->stopped ? "it was ended before it was done: " : "", left, n,
	    hm->phase == PHASE_LEAVING ? "stay" : "did not come back", reasons);
}

static void
end_moves(struct host_maintenance *hm)
{
	struct context *ctx = hm->ctx;
	struct error err;

	sum_up(hm, &err);
	log_info("ops", "maintenance: %s", err.status ? err.detail : "all VMs have moved");
	move_queue_free(steal_ptr(hm->moves));
	if (hm->phase == PHASE_RETURNING && !hm->stopped) {
		model_clear(&maintenance_model, &hm->record.now);
		hm->record.dirty = true;
		hm->outcome = err;
		set_phase(hm, PHASE_CLOSING);
	} else {
		operations_finish(ctx->operations, hm->operation, NULL, err.status ? &err : NULL);
		set_phase(hm, PHASE_IDLE);
	}
	hm->resumed = false;
}

static void
stop_moves(struct host_maintenance *hm)
{
	if (!hm->moves)
		return;
	move_queue_stop(hm->moves);
	hm->stopped = true;
}

/* What has to be known before VMs are placed, after a start of virtxd. */
static bool
is_settled(struct host_maintenance *hm)
{
	if (!hm->settled)
		hm->settled = failback_is_settled(hm->ctx, hm->phase == PHASE_RETURNING) ||
			      monotonic_ms() - hm->began > SETTLE_MS;
	return hm->settled;
}

static bool
is_over(const struct host_maintenance *hm)
{
	if (!move_queue_over(hm->moves))
		return false;
	/* What is being created here will have to leave, too. */
	return hm->stopped || hm->phase == PHASE_RETURNING ||
	       !task_is_under_way(hm->ctx, ROUTE_VM_CREATE) ||
	       monotonic_ms() - hm->began > CREATE_MS;
}

static void
run_moves(struct host_maintenance *hm)
{
	int percent;

	/* Whether they go on is not known. */
	if (hm->change.pending)
		return;
	if (!hm->stopped) {
		if (!is_settled(hm))
			return;
		if (hm->phase == PHASE_LEAVING)
			add_vms(hm);
	}
	/* That a VM was here must be known before it leaves. */
	if (!hm->record.dirty_vms || hm->stopped)
		move_queue_run(hm->moves, monotonic_ms());
	percent = move_queue_percent(hm->moves);
	operations_progress(hm->ctx->operations, hm->operation, percent < 100 ? percent : 99);
	if ((!hm->record.dirty_vms || hm->stopped) && is_over(hm))
		end_moves(hm);
}

/* Begins what is to be done, when nothing is under way. */
static void
next(struct host_maintenance *hm)
{
	if (hm->phase != PHASE_IDLE || hm->change.pending)
		return;
	if (is_on(hm) && hm->wants_move)
		begin_moves(hm, PHASE_LEAVING);
	else if (hm->record.now.leaving)
		begin_moves(hm, PHASE_RETURNING);
}

/* The record is kept */

/* An earlier change that was accepted, and had still to wait for the one before it. */
static void
end_overtaken(struct host_maintenance *hm, const char *operation)
{
	struct error err = { 0 };

	if (str_empty(operation) || str_equal(operation, hm->record.now.operation) ||
	    (hm->phase != PHASE_IDLE && str_equal(operation, hm->operation)))
		return;
	error_set(&err, 424, "it was overtaken before it began");
	operations_finish(hm->ctx->operations, operation, NULL, &err);
}

static void
transition_done(struct host_maintenance *hm, const struct error *err)
{
	struct transition change = hm->change;
	struct operations *operations = hm->ctx->operations;
	_free_ char *damage = change.damage;

	hm->change = (struct transition){ 0 };
	if (err) {
		model_clear(&maintenance_model, &hm->record.now);
		hm->record.now = change.before;
		/* It may have got there all the same: what holds is saved anew, or read. */
		if (damage)
			maintenance_record_reread(&hm->record, damage);
		operations_finish(operations, change.operation, NULL, err);
		if (change.req)
			request_reply_error(change.req, err);
		return;
	}
	end_overtaken(hm, change.before.operation);
	model_clear(&maintenance_model, &change.before);
	log_info("ops", "this host is %s maintenance", is_on(hm) ? "in" : "out of");
	announce(hm);
	stop_moves(hm);
	hm->wants_move = is_on(hm);
	next(hm);
	if (change.at_once)
		operations_finish(operations, change.operation, NULL, NULL);
	if (!change.req)
		return;
	if (change.at_once)
		request_reply(change.req, 204);
	else
		task_reply_accepted(hm->ctx, change.req, change.operation);
}

static void
closed(struct host_maintenance *hm)
{
	const struct error *err = hm->outcome.status ? &hm->outcome : NULL;

	set_phase(hm, PHASE_IDLE);
	operations_finish(hm->ctx->operations, hm->operation, NULL, err);
}

static void
on_saved(void *arg, bool latest, const struct error *err)
{
	struct host_maintenance *hm = arg;

	arm(hm);
	/* What has changed meanwhile is saved first. */
	if (!latest)
		return;
	if (hm->change.pending)
		transition_done(hm, err);
	else if (hm->phase == PHASE_CLOSING && !err)
		closed(hm);
}

static void
on_loaded(void *arg)
{
	struct host_maintenance *hm = arg;
	const struct maintenance *now = &hm->record.now;

	hm->resumed = hm->wants_move = now->since != 0;
	if (now->since)
		log_info("ops", "this host %s",
		    is_on(hm) ? "is in maintenance" : "was in maintenance, and its VMs come back");
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
	if (hm->moves)
		run_moves(hm);
	maintenance_record_run(&hm->record);
	if (hm->moves || hm->record.dirty || hm->record.now.leaving)
		arm(hm);
}

/* A VM that turns up here has to leave: one that was on its way when the maintenance began. */
static void
on_vm(void *arg, const struct inventory_vm *view, bool gone)
{
	struct host_maintenance *hm = arg;
	const struct maintenance_vm *known;

	if (gone || !view->local || !is_on(hm) || hm->phase != PHASE_IDLE)
		return;
	known = maintenance_record_find(&hm->record, view->vm.uuid);
	if (known && !str_empty(known->reason))
		return;
	hm->wants_move = true;
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
	if (!hm->change.pending && hm->phase != PHASE_CLOSING)
		return 0;
	error_set(err, 409, "the maintenance of this host is just being changed");
	snprintf(err->operation, sizeof(err->operation), "%s",
	    hm->phase == PHASE_CLOSING ? hm->operation : hm->change.operation);
	return -1;
}

/* Begins to change the record: the caller does it, and it is kept then. */
static void
begin_change(struct host_maintenance *hm, struct request *req, bool at_once)
{
	struct context *ctx = hm->ctx;
	struct transition *change = &hm->change;

	change->pending = true;
	change->req = req;
	change->at_once = at_once;
	if (hm->record.damaged)
		change->damage = xstrdup(hm->record.why);
	maintenance_record_replace(&hm->record);
	model_copy(&maintenance_model, &change->before, &hm->record.now);
	snprintf(change->operation, sizeof(change->operation), "%s",
	    operations_start(ctx->operations, req->route->op, "", self_of(hm), req->user));
	if (req->respond_async)
		task_reply_accepted(ctx, steal_ptr(change->req), change->operation);
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
	if (was_on && hm->phase == PHASE_LEAVING && !hm->stopped) {
		task_reply_accepted(hm->ctx, req, hm->operation);
		return;
	}
	begin_change(hm, req, false);
	if (!was_on)
		record->since = now_ms();
	record->leaving = false;
	str_set(&record->user, user);
	str_set(&record->operation, hm->change.operation);
	if (!hm->moves)
		add_vms(hm);
	keep_change(hm);
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
	if (record->leaving && back && hm->phase == PHASE_RETURNING) {
		task_reply_accepted(hm->ctx, req, hm->operation);
		return;
	}
	begin_change(hm, req, !back);
	if (back) {
		record->leaving = true;
		str_set(&record->user, user);
		str_set(&record->operation, hm->change.operation);
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
	struct error err = { 0 };

	if (!hm)
		return;
	error_set(&err, 503, "virtxd stops");
	if (hm->change.req)
		request_reply_error(hm->change.req, &err);
	inventory_unobserve(hm->ctx->inventory, &observer, hm);
	timer_free(hm->timer);
	move_queue_free(hm->moves);
	model_clear(&maintenance_model, &hm->change.before);
	free(hm->change.damage);
	maintenance_record_clear(&hm->record);
	free(hm);
}
