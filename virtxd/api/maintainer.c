/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/maintainer.h"

#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include "api/action.h"
#include "api/evacuation.h"
#include "api/homecoming.h"
#include "api/maintenance_record.h"
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

struct maintainer {
	struct api *api;
	struct event *timer;
	struct maintenance_record record;
	bool wants_move; /* VMs are here that have to leave */
	struct transition change;
	enum phase phase;
	struct moves *moves; /* NULL in PHASE_IDLE */
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
arm(struct maintainer *maintainer)
{
	struct timeval tv = { 0, TICK_MS * 1000 };

	if (!evtimer_pending(maintainer->timer, NULL))
		evtimer_add(maintainer->timer, &tv);
}

static const char *
self_of(const struct maintainer *maintainer)
{
	return inventory_self(maintainer->api->inventory);
}

static bool
is_on(const struct maintainer *maintainer)
{
	return maintainer->record.now.since && !maintainer->record.now.leaving;
}

const char *
maintainer_why(const struct maintainer *maintainer)
{
	const char *storage = keeper_storage_why(maintainer->api->keeper);

	return str_empty(maintainer->record.why) || str_empty(storage) ? maintainer->record.why
								       : storage;
}

const struct maintenance *
maintainer_get(const struct maintainer *maintainer)
{
	return &maintainer->record.now;
}

int
maintainer_check_open(const struct api *api, struct error *err)
{
	const struct maintainer *maintainer = api->maintainer;
	const struct host *self =
	    inventory_find_host(api->inventory, inventory_self(api->inventory));

	if (!str_empty(maintainer->record.why))
		return error_set(err, 503, "whether this host is in maintenance is not known: %s",
		    maintainer_why(maintainer));
	if (self && self->maintenance)
		return error_set(err, 503, "host '%s' (%s) is in maintenance: it takes no VMs",
		    str_or_empty(self->def.name), self->uuid);
	return 0;
}

/* The others shall know, and this host. */
static void
announce(struct maintainer *maintainer)
{
	struct api *api = maintainer->api;
	bool on = is_on(maintainer);

	if (!on)
		maintainer->open_since = monotonic_ms();
	inventory_set_maintenance(api->inventory, self_of(maintainer), on);
	api->announce(api->announce_arg, on ? maintainer->record.now.since : 0);
}

/* The VMs that are here have to leave. */
static void
add_vms(struct maintainer *maintainer)
{
	size_t n;
	_free_ char(*vms)[UUID_TEXT_SIZE] = evacuation_vms(maintainer->api, &n);

	for (size_t i = 0; i < n; i++) {
		if (maintainer->moves)
			moves_add(maintainer->moves, vms[i]);
		if (!maintainer->moves || !maintenance_record_find(&maintainer->record, vms[i]))
			maintenance_record_set(&maintainer->record, vms[i], "", "");
	}
}

/* The moves */

static void
start_move(void *arg, struct move *move)
{
	struct maintainer *maintainer = arg;
	const char *user = maintainer->record.now.user;

	if (maintainer->phase == PHASE_LEAVING)
		evacuation_start(maintainer->api, str_or_empty(user), move);
	else
		homecoming_start(maintainer->api, str_or_empty(user), maintainer->open_since, move);
}

static void
follow_move(void *arg, struct move *move)
{
	struct maintainer *maintainer = arg;
	const struct operation *operation;

	if (maintainer->phase == PHASE_RETURNING) {
		homecoming_follow(maintainer->api, str_or_empty(maintainer->record.now.user), move);
		return;
	}
	operation = operations_find(maintainer->api->operations, move->operation);
	if (operation)
		move->percent = operation->progress;
}

static void
move_ended(void *arg, struct move *move)
{
	struct maintainer *maintainer = arg;

	if (move->state == MOVE_STAYS)
		log_info("api", "maintenance: VM '%s' stays: %s", move->vm, move->reason);
	/* A return that was stopped is of another time. */
	if (maintenance_record_find(&maintainer->record, move->vm))
		maintenance_record_set(&maintainer->record, move->vm,
		    move->state == MOVE_DONE && maintainer->phase == PHASE_LEAVING ? move->host
										   : "",
		    move->reason);
	arm(maintainer);
}

static const struct moves_ops moves_ops = { start_move, follow_move, move_ended };

/* The operation that was begun for these moves, or one for those that nobody asked for now. */
static void
begin_operation(struct maintainer *maintainer, enum route_id route)
{
	struct api *api = maintainer->api;
	const struct operation *operation =
	    operations_find(api->operations, str_or_empty(maintainer->record.now.operation));

	if (!operation || !str_equal(operation->state, "started")) {
		str_set(&maintainer->record.now.operation,
		    operations_start(api->operations, routes[route].op, "", self_of(maintainer),
			maintainer->resumed ? maintainer->record.now.user : OWN_USER));
		maintainer->record.dirty = true;
	}
	snprintf(maintainer->operation, sizeof(maintainer->operation), "%s",
	    maintainer->record.now.operation);
	operations_progress(api->operations, maintainer->operation, 0);
}

static void
begin_moves(struct maintainer *maintainer, enum phase phase)
{
	maintainer->phase = phase;
	maintainer->stopped = false;
	maintainer->began = monotonic_ms();
	maintainer->settled = !maintainer->resumed;
	maintainer->moves = moves_new(maintainer->api->config->evacuations, &moves_ops, maintainer);
	begin_operation(
	    maintainer, phase == PHASE_LEAVING ? ROUTE_MAINTENANCE_BEGIN : ROUTE_MAINTENANCE_END);
	if (phase == PHASE_LEAVING) {
		maintainer->wants_move = false;
		add_vms(maintainer);
	}
	for (size_t i = 0; i < maintainer->record.now.n_vms && phase == PHASE_RETURNING; i++)
		moves_add(maintainer->moves, maintainer->record.now.vms[i].vm);
	log_info("api", "%s",
	    phase == PHASE_LEAVING ? "maintenance: the VMs of this host move away"
				   : "maintenance: the VMs of this host come back");
}

/* err is set where VMs are left. */
static void
sum_up(const struct maintainer *maintainer, struct error *err)
{
	_free_ char *reasons = NULL;
	size_t left, n = moves_count(maintainer->moves, &left);

	*err = (struct error){ 0 };
	if (left == 0)
		return;
	reasons = moves_explain(maintainer->moves, MSG_MAX);
	error_set(err, 424, "%s%zu of %zu VMs %s: %s",
	    maintainer->stopped ? "it was ended before it was done: " : "", left, n,
	    maintainer->phase == PHASE_LEAVING ? "stay" : "did not come back", reasons);
}

static void
end_moves(struct maintainer *maintainer)
{
	struct api *api = maintainer->api;
	struct error err;

	sum_up(maintainer, &err);
	log_info("api", "maintenance: %s", err.status ? err.detail : "all VMs have moved");
	moves_free(steal_ptr(maintainer->moves));
	if (maintainer->phase == PHASE_RETURNING && !maintainer->stopped) {
		model_clear(&maintenance_model, &maintainer->record.now);
		maintainer->closing = maintainer->record.dirty = true;
		maintainer->outcome = err;
	} else {
		operations_finish(
		    api->operations, maintainer->operation, NULL, err.status ? &err : NULL);
	}
	maintainer->phase = PHASE_IDLE;
	maintainer->resumed = false;
}

static void
stop_moves(struct maintainer *maintainer)
{
	if (!maintainer->moves)
		return;
	moves_stop(maintainer->moves);
	maintainer->stopped = true;
}

/* What has to be known before VMs are placed, after a start of virtxd. */
static bool
is_settled(struct maintainer *maintainer)
{
	if (!maintainer->settled)
		maintainer->settled =
		    homecoming_is_settled(maintainer->api, maintainer->phase == PHASE_RETURNING) ||
		    monotonic_ms() - maintainer->began > SETTLE_MS;
	return maintainer->settled;
}

static bool
is_over(const struct maintainer *maintainer)
{
	if (!moves_over(maintainer->moves))
		return false;
	/* What is being created here will have to leave, too. */
	return maintainer->stopped || maintainer->phase == PHASE_RETURNING ||
	       !action_is_under_way(maintainer->api, ROUTE_VM_CREATE) ||
	       monotonic_ms() - maintainer->began > CREATE_MS;
}

static void
run_moves(struct maintainer *maintainer)
{
	int percent;

	/* Whether they go on is not known. */
	if (maintainer->change.pending)
		return;
	if (!maintainer->stopped) {
		if (!is_settled(maintainer))
			return;
		if (maintainer->phase == PHASE_LEAVING)
			add_vms(maintainer);
	}
	/* That a VM was here must be known before it leaves. */
	if (!maintainer->record.dirty_vms || maintainer->stopped)
		moves_run(maintainer->moves, monotonic_ms());
	percent = moves_percent(maintainer->moves);
	operations_progress(
	    maintainer->api->operations, maintainer->operation, percent < 100 ? percent : 99);
	if ((!maintainer->record.dirty_vms || maintainer->stopped) && is_over(maintainer))
		end_moves(maintainer);
}

/* Begins what is to be done, when nothing is under way. */
static void
next(struct maintainer *maintainer)
{
	if (maintainer->phase != PHASE_IDLE || maintainer->change.pending || maintainer->closing)
		return;
	if (is_on(maintainer) && maintainer->wants_move)
		begin_moves(maintainer, PHASE_LEAVING);
	else if (maintainer->record.now.leaving)
		begin_moves(maintainer, PHASE_RETURNING);
}

/* The record is kept */

/* An earlier change that was accepted, and had still to wait for the one before it. */
static void
end_overtaken(struct maintainer *maintainer, const char *operation)
{
	struct error err = { 0 };

	if (str_empty(operation) || str_equal(operation, maintainer->record.now.operation) ||
	    (maintainer->phase != PHASE_IDLE && str_equal(operation, maintainer->operation)))
		return;
	error_set(&err, 424, "it was overtaken before it began");
	operations_finish(maintainer->api->operations, operation, NULL, &err);
}

static void
transition_done(struct maintainer *maintainer, const struct error *err)
{
	struct transition change = maintainer->change;
	struct operations *operations = maintainer->api->operations;

	_free_ char *damage = change.damage;

	maintainer->change = (struct transition){ 0 };
	if (err) {
		model_clear(&maintenance_model, &maintainer->record.now);
		maintainer->record.now = change.before;
		/* It may have got there all the same. */
		if (damage)
			maintenance_record_reread(&maintainer->record, damage);
		else
			maintenance_record_retry(&maintainer->record);
		operations_finish(operations, change.operation, NULL, err);
		if (change.req)
			request_reply_error(change.req, err);
		return;
	}
	end_overtaken(maintainer, change.before.operation);
	model_clear(&maintenance_model, &change.before);
	log_info("api", "this host is %s maintenance", is_on(maintainer) ? "in" : "out of");
	announce(maintainer);
	stop_moves(maintainer);
	maintainer->wants_move = is_on(maintainer);
	next(maintainer);
	if (change.at_once)
		operations_finish(operations, change.operation, NULL, NULL);
	if (!change.req)
		return;
	if (change.at_once)
		request_reply(change.req, 204);
	else
		action_reply_accepted(maintainer->api, change.req, change.operation);
}

static void
closed(struct maintainer *maintainer)
{
	const struct error *err = maintainer->outcome.status ? &maintainer->outcome : NULL;

	maintainer->closing = false;
	operations_finish(maintainer->api->operations, maintainer->operation, NULL, err);
}

static void
on_saved(void *arg, bool latest, const struct error *err)
{
	struct maintainer *maintainer = arg;

	arm(maintainer);
	/* What has changed meanwhile is saved first. */
	if (!latest)
		return;
	if (maintainer->change.pending)
		transition_done(maintainer, err);
	else if (maintainer->closing && !err)
		closed(maintainer);
}

static void
on_loaded(void *arg)
{
	struct maintainer *maintainer = arg;
	const struct maintenance *now = &maintainer->record.now;

	maintainer->resumed = maintainer->wants_move = now->since != 0;
	if (now->since)
		log_info("api", "this host %s",
		    is_on(maintainer) ? "is in maintenance"
				      : "was in maintenance, and its VMs come back");
	announce(maintainer);
}

static const struct maintenance_record_ops record_ops = { on_loaded, on_saved };

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct maintainer *maintainer = arg;

	if (!str_empty(maintainer->record.why)) {
		maintenance_record_run(&maintainer->record);
		arm(maintainer);
		return;
	}
	next(maintainer);
	if (maintainer->phase != PHASE_IDLE)
		run_moves(maintainer);
	maintenance_record_run(&maintainer->record);
	if (maintainer->phase != PHASE_IDLE || maintainer->record.dirty ||
	    maintainer->record.now.leaving)
		arm(maintainer);
}

/* A VM that turns up here has to leave: one that was on its way when the maintenance began. */
static void
on_vm(void *arg, const struct inventory_vm *view, bool gone)
{
	struct maintainer *maintainer = arg;
	const struct maintenance_vm *known;

	if (gone || !view->local || !is_on(maintainer) || maintainer->phase != PHASE_IDLE)
		return;
	known = maintenance_record_find(&maintainer->record, view->vm.uuid);
	if (known && !str_empty(known->reason))
		return;
	maintainer->wants_move = true;
	arm(maintainer);
}

static const struct inventory_observer observer = { .vm = on_vm };

/* The requests */

static int
check_change(struct maintainer *maintainer, struct error *err)
{
	if (!str_empty(maintainer->record.why) && !maintainer->record.damaged)
		return error_set(err, 503, "whether this host is in maintenance is not known: %s",
		    maintainer_why(maintainer));
	if (!maintainer->change.pending && !maintainer->closing)
		return 0;
	error_set(err, 409, "the maintenance of this host is just being changed");
	snprintf(err->operation, sizeof(err->operation), "%s",
	    maintainer->closing ? maintainer->operation : maintainer->change.operation);
	return -1;
}

/* Begins to change the record: the caller does it, and it is kept then. */
static void
begin_change(struct maintainer *maintainer, struct request *req, bool at_once)
{
	struct api *api = maintainer->api;
	struct transition *change = &maintainer->change;

	change->pending = true;
	change->req = req;
	change->at_once = at_once;
	if (maintainer->record.damaged)
		change->damage = xstrdup(maintainer->record.why);
	maintenance_record_replace(&maintainer->record);
	model_copy(&maintenance_model, &change->before, &maintainer->record.now);
	snprintf(change->operation, sizeof(change->operation), "%s",
	    operations_start(api->operations, req->route->op, "", self_of(maintainer), req->user));
	if (req->respond_async)
		action_reply_accepted(api, steal_ptr(change->req), change->operation);
}

static void
keep_change(struct maintainer *maintainer)
{
	maintainer->record.dirty = true;
	maintainer->record.again = 0;
	maintenance_record_run(&maintainer->record);
	arm(maintainer);
}

void
maintainer_begin(struct maintainer *maintainer, struct request *req)
{
	struct maintenance *record = &maintainer->record.now;
	_free_ char *user = xstrdup(req->user);
	struct error err = { 0 };
	bool was_on = is_on(maintainer);

	if (check_change(maintainer, &err) < 0) {
		request_reply_error(req, &err);
		return;
	}
	if (was_on && maintainer->phase == PHASE_LEAVING && !maintainer->stopped) {
		action_reply_accepted(maintainer->api, req, maintainer->operation);
		return;
	}
	begin_change(maintainer, req, false);
	if (!was_on)
		record->since = now_ms();
	record->leaving = false;
	str_set(&record->user, user);
	str_set(&record->operation, maintainer->change.operation);
	if (!maintainer->moves)
		add_vms(maintainer);
	keep_change(maintainer);
}

void
maintainer_end(struct maintainer *maintainer, struct request *req, bool back)
{
	struct maintenance *record = &maintainer->record.now;
	_free_ char *user = xstrdup(req->user);
	struct error err = { 0 };

	if (check_change(maintainer, &err) < 0) {
		request_reply_error(req, &err);
		return;
	}
	if (maintainer->record.damaged && back) {
		error_set(&err, 422, "what VMs are to come back is not known: %s",
		    maintainer->record.why);
		request_reply_error(req, &err);
		return;
	}
	if (!record->since && !maintainer->record.damaged) {
		request_reply(req, 204);
		return;
	}
	if (record->leaving && back && maintainer->phase == PHASE_RETURNING) {
		action_reply_accepted(maintainer->api, req, maintainer->operation);
		return;
	}
	begin_change(maintainer, req, !back);
	if (back) {
		record->leaving = true;
		str_set(&record->user, user);
		str_set(&record->operation, maintainer->change.operation);
	} else {
		model_clear(&maintenance_model, record);
	}
	keep_change(maintainer);
}

struct maintainer *
maintainer_new(struct api *api)
{
	struct maintainer *maintainer = xcalloc(1, sizeof(*maintainer));

	maintainer->api = api;
	maintenance_record_init(&maintainer->record, api, &record_ops, maintainer);
	maintainer->timer = evtimer_new(api->base, on_tick, maintainer);
	inventory_observe(api->inventory, &observer, maintainer);
	arm(maintainer);
	return maintainer;
}

void
maintainer_free(struct maintainer *maintainer)
{
	struct error err = { 0 };

	if (!maintainer)
		return;
	error_set(&err, 503, "virtxd stops");
	if (maintainer->change.req)
		request_reply_error(maintainer->change.req, &err);
	inventory_unobserve(maintainer->api->inventory, &observer, maintainer);
	event_free(maintainer->timer);
	moves_free(maintainer->moves);
	model_clear(&maintenance_model, &maintainer->change.before);
	free(maintainer->change.damage);
	maintenance_record_clear(&maintainer->record);
	free(maintainer);
}
