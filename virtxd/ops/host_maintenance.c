/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/host_maintenance.h"

#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include "ops/task.h"
#include "ops/evacuation.h"
#include "ops/failback.h"
#include "ops/maintenance_record.h"
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
	struct event *timer;
	struct maintenance_record record;
	bool wants_move; /* VMs are here that have to leave */
	struct transition change;
	enum phase phase;
	struct move_queue *moves; /* NULL in PHASE_IDLE */
	bool stopped;
	int64_t began;	       /* monotonic ms */
	int64_t open_since;    /* monotonic ms */
	bool resumed, settled; /* virtxd was started meanwhile; what has to be known then is */
	char operation[UUID_TEXT_SIZE]; /* of the moves */
	/* What the return came to, told when it is kept that it is over. */
	bool closing;
	struct error outcome;
};

static void
arm(struct host_maintenance *host_maintenance)
{
	struct timeval tv = { 0, TICK_MS * 1000 };

	if (!evtimer_pending(host_maintenance->timer, NULL))
		evtimer_add(host_maintenance->timer, &tv);
}

static const char *
self_of(const struct host_maintenance *host_maintenance)
{
	return inventory_self(host_maintenance->ctx->inventory);
}

static bool
is_on(const struct host_maintenance *host_maintenance)
{
	return host_maintenance->record.now.since && !host_maintenance->record.now.leaving;
}

const char *
host_maintenance_why(const struct host_maintenance *host_maintenance)
{
	const char *storage = keeper_storage_why(host_maintenance->ctx->keeper);

	return str_empty(host_maintenance->record.why) || str_empty(storage)
		   ? host_maintenance->record.why
		   : storage;
}

const struct maintenance *
host_maintenance_get(const struct host_maintenance *host_maintenance)
{
	return &host_maintenance->record.now;
}

int
host_maintenance_check_open(const struct context *ctx, struct error *err)
{
	const struct host_maintenance *host_maintenance = ctx->host_maintenance;
	const struct host *self =
	    inventory_find_host(ctx->inventory, inventory_self(ctx->inventory));

	if (!str_empty(host_maintenance->record.why))
		return error_set(err, 503, "whether this host is in maintenance is not known: %s",
		    host_maintenance_why(host_maintenance));
	if (self && self->maintenance)
		return error_set(err, 503, "host '%s' (%s) is in maintenance: it takes no VMs",
		    str_or_empty(self->def.name), self->uuid);
	return 0;
}

/* The others shall know, and this host. */
static void
announce(struct host_maintenance *host_maintenance)
{
	struct context *ctx = host_maintenance->ctx;
	bool on = is_on(host_maintenance);

	if (!on)
		host_maintenance->open_since = monotonic_ms();
	inventory_set_maintenance(ctx->inventory, self_of(host_maintenance), on);
	ctx->host_ops->announce(ctx->host, on ? host_maintenance->record.now.since : 0);
}

/* The VMs that are here have to leave. */
static void
add_vms(struct host_maintenance *host_maintenance)
{
	size_t n;
	_free_ char(*vms)[UUID_TEXT_SIZE] = evacuation_vms(host_maintenance->ctx, &n);

	for (size_t i = 0; i < n; i++) {
		if (host_maintenance->moves)
			move_queue_add(host_maintenance->moves, vms[i]);
		if (!host_maintenance->moves ||
		    !maintenance_record_find(&host_maintenance->record, vms[i]))
			maintenance_record_set(&host_maintenance->record, vms[i], "", "");
	}
}

/* The moves */

static void
start_move(void *arg, struct move *move)
{
	struct host_maintenance *host_maintenance = arg;
	const char *user = host_maintenance->record.now.user;

	if (host_maintenance->phase == PHASE_LEAVING)
		evacuation_start(host_maintenance->ctx, str_or_empty(user), move);
	else
		failback_start(
		    host_maintenance->ctx, str_or_empty(user), host_maintenance->open_since, move);
}

static void
follow_move(void *arg, struct move *move)
{
	struct host_maintenance *host_maintenance = arg;
	const struct operation *operation;

	if (host_maintenance->phase == PHASE_RETURNING) {
		failback_follow(
		    host_maintenance->ctx, str_or_empty(host_maintenance->record.now.user), move);
		return;
	}
	operation = operations_find(host_maintenance->ctx->operations, move->operation);
	if (operation)
		move->percent = operation->progress;
}

static void
move_ended(void *arg, struct move *move)
{
	struct host_maintenance *host_maintenance = arg;

	if (move->state == MOVE_STAYS)
		log_info("api", "maintenance: VM '%s' stays: %s", move->vm, move->reason);
	/* A return that was stopped is of another time. */
	if (maintenance_record_find(&host_maintenance->record, move->vm))
		maintenance_record_set(&host_maintenance->record, move->vm,
		    move->state == MOVE_DONE && host_maintenance->phase == PHASE_LEAVING
			? move->host
			: "",
		    move->reason);
	arm(host_maintenance);
}

static const struct move_queue_ops move_queue_ops = { start_move, follow_move, move_ended };

/* The operation that was begun for these moves, or one for those that nobody asked for now. */
static void
begin_operation(struct host_maintenance *host_maintenance, enum route_id route)
{
	struct context *ctx = host_maintenance->ctx;
	const struct operation *operation =
	    operations_find(ctx->operations, str_or_empty(host_maintenance->record.now.operation));

	if (!operation || !str_equal(operation->state, "started")) {
		str_set(&host_maintenance->record.now.operation,
		    operations_start(ctx->operations, routes[route].op, "",
			self_of(host_maintenance),
			host_maintenance->resumed ? host_maintenance->record.now.user : OWN_USER));
		host_maintenance->record.dirty = true;
	}
	snprintf(host_maintenance->operation, sizeof(host_maintenance->operation), "%s",
	    host_maintenance->record.now.operation);
	operations_progress(ctx->operations, host_maintenance->operation, 0);
}

static void
begin_moves(struct host_maintenance *host_maintenance, enum phase phase)
{
	host_maintenance->phase = phase;
	host_maintenance->stopped = false;
	host_maintenance->began = monotonic_ms();
	host_maintenance->settled = !host_maintenance->resumed;
	host_maintenance->moves = move_queue_new(
	    host_maintenance->ctx->config->evacuations, &move_queue_ops, host_maintenance);
	begin_operation(host_maintenance,
	    phase == PHASE_LEAVING ? ROUTE_MAINTENANCE_BEGIN : ROUTE_MAINTENANCE_END);
	if (phase == PHASE_LEAVING) {
		host_maintenance->wants_move = false;
		add_vms(host_maintenance);
	}
	for (size_t i = 0; i < host_maintenance->record.now.n_vms && phase == PHASE_RETURNING; i++)
		move_queue_add(host_maintenance->moves, host_maintenance->record.now.vms[i].vm);
	log_info("api", "%s",
	    phase == PHASE_LEAVING ? "maintenance: the VMs of this host move away"
				   : "maintenance: the VMs of this host come back");
}

/* err is set where VMs are left. */
static void
sum_up(const struct host_maintenance *host_maintenance, struct error *err)
{
	_free_ char *reasons = NULL;
	size_t left, n = move_queue_count(host_maintenance->moves, &left);

	*err = (struct error){ 0 };
	if (left == 0)
		return;
	reasons = move_queue_explain(host_maintenance->moves, MSG_MAX);
	error_set(err, 424, "%s%zu of %zu VMs %s: %s",
	    host_maintenance->stopped ? "it was ended before it was done: " : "", left, n,
	    host_maintenance->phase == PHASE_LEAVING ? "stay" : "did not come back", reasons);
}

static void
end_moves(struct host_maintenance *host_maintenance)
{
	struct context *ctx = host_maintenance->ctx;
	struct error err;

	sum_up(host_maintenance, &err);
	log_info("api", "maintenance: %s", err.status ? err.detail : "all VMs have moved");
	move_queue_free(steal_ptr(host_maintenance->moves));
	if (host_maintenance->phase == PHASE_RETURNING && !host_maintenance->stopped) {
		model_clear(&maintenance_model, &host_maintenance->record.now);
		host_maintenance->closing = host_maintenance->record.dirty = true;
		host_maintenance->outcome = err;
	} else {
		operations_finish(
		    ctx->operations, host_maintenance->operation, NULL, err.status ? &err : NULL);
	}
	host_maintenance->phase = PHASE_IDLE;
	host_maintenance->resumed = false;
}

static void
stop_moves(struct host_maintenance *host_maintenance)
{
	if (!host_maintenance->moves)
		return;
	move_queue_stop(host_maintenance->moves);
	host_maintenance->stopped = true;
}

/* What has to be known before VMs are placed, after a start of virtxd. */
static bool
is_settled(struct host_maintenance *host_maintenance)
{
	if (!host_maintenance->settled)
		host_maintenance->settled = failback_is_settled(host_maintenance->ctx,
						host_maintenance->phase == PHASE_RETURNING) ||
					    monotonic_ms() - host_maintenance->began > SETTLE_MS;
	return host_maintenance->settled;
}

static bool
is_over(const struct host_maintenance *host_maintenance)
{
	if (!move_queue_over(host_maintenance->moves))
		return false;
	/* What is being created here will have to leave, too. */
	return host_maintenance->stopped || host_maintenance->phase == PHASE_RETURNING ||
	       !task_is_under_way(host_maintenance->ctx, ROUTE_VM_CREATE) ||
	       monotonic_ms() - host_maintenance->began > CREATE_MS;
}

static void
run_moves(struct host_maintenance *host_maintenance)
{
	int percent;

	/* Whether they go on is not known. */
	if (host_maintenance->change.pending)
		return;
	if (!host_maintenance->stopped) {
		if (!is_settled(host_maintenance))
			return;
		if (host_maintenance->phase == PHASE_LEAVING)
			add_vms(host_maintenance);
	}
	/* That a VM was here must be known before it leaves. */
	if (!host_maintenance->record.dirty_vms || host_maintenance->stopped)
		move_queue_run(host_maintenance->moves, monotonic_ms());
	percent = move_queue_percent(host_maintenance->moves);
	operations_progress(host_maintenance->ctx->operations, host_maintenance->operation,
	    percent < 100 ? percent : 99);
	if ((!host_maintenance->record.dirty_vms || host_maintenance->stopped) &&
	    is_over(host_maintenance))
		end_moves(host_maintenance);
}

/* Begins what is to be done, when nothing is under way. */
static void
next(struct host_maintenance *host_maintenance)
{
	if (host_maintenance->phase != PHASE_IDLE || host_maintenance->change.pending ||
	    host_maintenance->closing)
		return;
	if (is_on(host_maintenance) && host_maintenance->wants_move)
		begin_moves(host_maintenance, PHASE_LEAVING);
	else if (host_maintenance->record.now.leaving)
		begin_moves(host_maintenance, PHASE_RETURNING);
}

/* The record is kept */

/* An earlier change that was accepted, and had still to wait for the one before it. */
static void
end_overtaken(struct host_maintenance *host_maintenance, const char *operation)
{
	struct error err = { 0 };

	if (str_empty(operation) || str_equal(operation, host_maintenance->record.now.operation) ||
	    (host_maintenance->phase != PHASE_IDLE &&
		str_equal(operation, host_maintenance->operation)))
		return;
	error_set(&err, 424, "it was overtaken before it began");
	operations_finish(host_maintenance->ctx->operations, operation, NULL, &err);
}

static void
transition_done(struct host_maintenance *host_maintenance, const struct error *err)
{
	struct transition change = host_maintenance->change;
	struct operations *operations = host_maintenance->ctx->operations;

	_free_ char *damage = change.damage;

	host_maintenance->change = (struct transition){ 0 };
	if (err) {
		model_clear(&maintenance_model, &host_maintenance->record.now);
		host_maintenance->record.now = change.before;
		/* It may have got there all the same. */
		if (damage)
			maintenance_record_reread(&host_maintenance->record, damage);
		else
			maintenance_record_retry(&host_maintenance->record);
		operations_finish(operations, change.operation, NULL, err);
		if (change.req)
			request_reply_error(change.req, err);
		return;
	}
	end_overtaken(host_maintenance, change.before.operation);
	model_clear(&maintenance_model, &change.before);
	log_info("api", "this host is %s maintenance", is_on(host_maintenance) ? "in" : "out of");
	announce(host_maintenance);
	stop_moves(host_maintenance);
	host_maintenance->wants_move = is_on(host_maintenance);
	next(host_maintenance);
	if (change.at_once)
		operations_finish(operations, change.operation, NULL, NULL);
	if (!change.req)
		return;
	if (change.at_once)
		request_reply(change.req, 204);
	else
		task_reply_accepted(host_maintenance->ctx, change.req, change.operation);
}

static void
closed(struct host_maintenance *host_maintenance)
{
	const struct error *err =
	    host_maintenance->outcome.status ? &host_maintenance->outcome : NULL;

	host_maintenance->closing = false;
	operations_finish(
	    host_maintenance->ctx->operations, host_maintenance->operation, NULL, err);
}

static void
on_saved(void *arg, bool latest, const struct error *err)
{
	struct host_maintenance *host_maintenance = arg;

	arm(host_maintenance);
	/* What has changed meanwhile is saved first. */
	if (!latest)
		return;
	if (host_maintenance->change.pending)
		transition_done(host_maintenance, err);
	else if (host_maintenance->closing && !err)
		closed(host_maintenance);
}

static void
on_loaded(void *arg)
{
	struct host_maintenance *host_maintenance = arg;
	const struct maintenance *now = &host_maintenance->record.now;

	host_maintenance->resumed = host_maintenance->wants_move = now->since != 0;
	if (now->since)
		log_info("api", "this host %s",
		    is_on(host_maintenance) ? "is in maintenance"
					    : "was in maintenance, and its VMs come back");
	announce(host_maintenance);
}

static const struct maintenance_record_ops record_ops = { on_loaded, on_saved };

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct host_maintenance *host_maintenance = arg;

	if (!str_empty(host_maintenance->record.why)) {
		maintenance_record_run(&host_maintenance->record);
		arm(host_maintenance);
		return;
	}
	next(host_maintenance);
	if (host_maintenance->phase != PHASE_IDLE)
		run_moves(host_maintenance);
	maintenance_record_run(&host_maintenance->record);
	if (host_maintenance->phase != PHASE_IDLE || host_maintenance->record.dirty ||
	    host_maintenance->record.now.leaving)
		arm(host_maintenance);
}

/* A VM that turns up here has to leave: one that was on its way when the maintenance began. */
static void
on_vm(void *arg, const struct inventory_vm *view, bool gone)
{
	struct host_maintenance *host_maintenance = arg;
	const struct maintenance_vm *known;

	if (gone || !view->local || !is_on(host_maintenance) ||
	    host_maintenance->phase != PHASE_IDLE)
		return;
	known = maintenance_record_find(&host_maintenance->record, view->vm.uuid);
	if (known && !str_empty(known->reason))
		return;
	host_maintenance->wants_move = true;
	arm(host_maintenance);
}

static const struct inventory_observer observer = { .vm = on_vm };

/* The requests */

static int
check_change(struct host_maintenance *host_maintenance, struct error *err)
{
	if (!str_empty(host_maintenance->record.why) && !host_maintenance->record.damaged)
		return error_set(err, 503, "whether this host is in maintenance is not known: %s",
		    host_maintenance_why(host_maintenance));
	if (!host_maintenance->change.pending && !host_maintenance->closing)
		return 0;
	error_set(err, 409, "the maintenance of this host is just being changed");
	snprintf(err->operation, sizeof(err->operation), "%s",
	    host_maintenance->closing ? host_maintenance->operation
				      : host_maintenance->change.operation);
	return -1;
}

/* Begins to change the record: the caller does it, and it is kept then. */
static void
begin_change(struct host_maintenance *host_maintenance, struct request *req, bool at_once)
{
	struct context *ctx = host_maintenance->ctx;
	struct transition *change = &host_maintenance->change;

	change->pending = true;
	change->req = req;
	change->at_once = at_once;
	if (host_maintenance->record.damaged)
		change->damage = xstrdup(host_maintenance->record.why);
	maintenance_record_replace(&host_maintenance->record);
	model_copy(&maintenance_model, &change->before, &host_maintenance->record.now);
	snprintf(change->operation, sizeof(change->operation), "%s",
	    operations_start(
		ctx->operations, req->route->op, "", self_of(host_maintenance), req->user));
	if (req->respond_async)
		task_reply_accepted(ctx, steal_ptr(change->req), change->operation);
}

static void
keep_change(struct host_maintenance *host_maintenance)
{
	host_maintenance->record.dirty = true;
	host_maintenance->record.again = 0;
	maintenance_record_run(&host_maintenance->record);
	arm(host_maintenance);
}

void
host_maintenance_begin(struct host_maintenance *host_maintenance, struct request *req)
{
	struct maintenance *record = &host_maintenance->record.now;
	_free_ char *user = xstrdup(req->user);
	struct error err = { 0 };
	bool was_on = is_on(host_maintenance);

	if (check_change(host_maintenance, &err) < 0) {
		request_reply_error(req, &err);
		return;
	}
	if (was_on && host_maintenance->phase == PHASE_LEAVING && !host_maintenance->stopped) {
		task_reply_accepted(host_maintenance->ctx, req, host_maintenance->operation);
		return;
	}
	begin_change(host_maintenance, req, false);
	if (!was_on)
		record->since = now_ms();
	record->leaving = false;
	str_set(&record->user, user);
	str_set(&record->operation, host_maintenance->change.operation);
	if (!host_maintenance->moves)
		add_vms(host_maintenance);
	keep_change(host_maintenance);
}

void
host_maintenance_end(struct host_maintenance *host_maintenance, struct request *req, bool back)
{
	struct maintenance *record = &host_maintenance->record.now;
	_free_ char *user = xstrdup(req->user);
	struct error err = { 0 };

	if (check_change(host_maintenance, &err) < 0) {
		request_reply_error(req, &err);
		return;
	}
	if (host_maintenance->record.damaged && back) {
		error_set(&err, 422, "what VMs are to come back is not known: %s",
		    host_maintenance->record.why);
		request_reply_error(req, &err);
		return;
	}
	if (!record->since && !host_maintenance->record.damaged) {
		request_reply(req, 204);
		return;
	}
	if (record->leaving && back && host_maintenance->phase == PHASE_RETURNING) {
		task_reply_accepted(host_maintenance->ctx, req, host_maintenance->operation);
		return;
	}
	begin_change(host_maintenance, req, !back);
	if (back) {
		record->leaving = true;
		str_set(&record->user, user);
		str_set(&record->operation, host_maintenance->change.operation);
	} else {
		model_clear(&maintenance_model, record);
	}
	keep_change(host_maintenance);
}

struct host_maintenance *
host_maintenance_new(struct context *ctx)
{
	struct host_maintenance *host_maintenance = xcalloc(1, sizeof(*host_maintenance));

	host_maintenance->ctx = ctx;
	maintenance_record_init(&host_maintenance->record, ctx, &record_ops, host_maintenance);
	host_maintenance->timer = evtimer_new(ctx->base, on_tick, host_maintenance);
	inventory_observe(ctx->inventory, &observer, host_maintenance);
	arm(host_maintenance);
	return host_maintenance;
}

void
host_maintenance_free(struct host_maintenance *host_maintenance)
{
	struct error err = { 0 };

	if (!host_maintenance)
		return;
	error_set(&err, 503, "virtxd stops");
	if (host_maintenance->change.req)
		request_reply_error(host_maintenance->change.req, &err);
	inventory_unobserve(host_maintenance->ctx->inventory, &observer, host_maintenance);
	event_free(host_maintenance->timer);
	move_queue_free(host_maintenance->moves);
	model_clear(&maintenance_model, &host_maintenance->change.before);
	free(host_maintenance->change.damage);
	maintenance_record_clear(&host_maintenance->record);
	free(host_maintenance);
}
