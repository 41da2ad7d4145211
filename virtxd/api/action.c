/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/action.h"

#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include "api/context.h"
#include "api/departure.h"
#include "api/dry_run.h"
#include "api/finding.h"
#include "api/handlers.h"
#include "api/room.h"
#include "proto/json.h"
#include "proto/log.h"
#include "proto/uuid.h"
#include "state/reservation.h"

/* After a VM has left: how long its new host may take to tell of it, and how often that is looked
 * for. */
#define TOLD_MS	     30000
#define TOLD_LOOK_MS 50

/* Jobs at once that only look, for those who ask for the same: they wait for nobody, and each is a
 * process. Clients keep no host from asking for room. */
#define LOOKS_MAX 32

struct action {
	struct action *next; /* of api->actions */
	struct api *api;
	struct request *req;		  /* NULL once it is answered */
	const struct action_owner *owner; /* NULL for none */
	void *owner_arg;
	action_looked looked; /* NULL: the job's result is the answer */
	bool looks;	      /* its job does nothing else, and does not queue */
	struct event *deadline;
	const char *op;
	const struct route *route;
	uint64_t mark;
	int success;
	bool waits_for_guest; /* the operation ends when the VM is seen off */
	bool in_background;   /* answered when the work begins */
	int64_t told_due;     /* monotonic ms */
	char *warning;	      /* of a VM that has moved */
	bool waits;	      /* its job is still to be started */
	bool acted;	      /* its job does something by now */
	enum work_stage stage;
	struct error *cause; /* its job has failed, and how that ended is being found out */
	char target[UUID_TEXT_SIZE];
	char *why;	      /* this host, or the one that the VM moves to */
	uint64_t reservation; /* of room on it, 0 for none */
	char id[UUID_TEXT_SIZE];
	char vm[UUID_TEXT_SIZE];
};

static void
fill_error(const struct action *action, struct error *err)
{
	snprintf(err->vm, sizeof(err->vm), "%s", action->vm);
	snprintf(err->host, sizeof(err->host), "%s", inventory_self(action->api->inventory));
	if (!err->operation[0])
		snprintf(err->operation, sizeof(err->operation), "%s", action->id);
}

static void
reply_error(struct action *action, const struct error *cause)
{
	struct error err = *cause;

	if (!action->req)
		return;
	fill_error(action, &err);
	request_reply_error(steal_ptr(action->req), &err);
}

static void
reply_success(struct action *action, const struct vm_result *res)
{
	const char *warning = res->warning;
	_free_ char *header = NULL;
	struct request_header headers[] = { { "Warning", NULL } };
	size_t n = 0;
	char *body = NULL;
	int status = action->success;

	if (!action->req)
		return;
	if (res->nothing)
		status = 204;
	if (!str_empty(warning)) {
		headers[0].value = header = request_warning(warning);
		n = 1;
		if (status == 204)
			status = 200;
	}
	if (status == 201)
		body = json_quote(action->vm);
	else if (status == 200 && res->defined)
		status = 201;
	request_reply_json(
	    steal_ptr(action->req), status, body, body ? strlen(body) : 0, headers, n);
}

static void
action_free(struct action *action)
{
	struct action **link = &action->api->actions;

	while (*link != action)
		link = &(*link)->next;
	*link = action->next;
	if (action->deadline)
		event_free(action->deadline);
	free(action->cause);
	free(action->warning);
	free(action->why);
	free(action);
}

void
action_reply_accepted(struct api *api, struct request *req, const char *operation)
{
	_free_ char *location = xasprintf("/operations/%s", operation);
	struct request_header headers[] = { { "Location", location } };
	char *body;
	size_t len;

	body = json_encode(&operation_model, operations_find(api->operations, operation), &len);
	request_reply_json(req, 202, body, len, headers, 1);
}

static void
reply_accepted(struct action *action)
{
	action_reply_accepted(action->api, steal_ptr(action->req), action->id);
}

/* Its operation has ended; err is NULL where that was well. */
static void
action_end(struct action *action, const struct error *err)
{
	const struct action_owner *owner = action->owner;
	void *arg = action->owner_arg;

	action_free(action);
	if (owner)
		owner->ended(arg, err);
}

static void
progress(void *arg, int percent, enum work_stage stage)
{
	struct action *action = arg;

	action->stage = stage;
	if (percent < 0)
		return;
	action->acted = true;
	operations_progress(action->api->operations, action->id, percent);
	if (action->in_background && action->req)
		reply_accepted(action);
}

/* The operation has come to its end; so has what was reserved for it. */
static void
complete(struct action *action, const char *warning)
{
	bool both = !str_empty(warning) && !str_empty(action->why);
	_free_ char *msg =
	    xasprintf("%s%s%s", str_or_empty(warning), both ? "; " : "", str_or_empty(action->why));

	operations_finish(action->api->operations, action->id, msg, NULL);
}

static void
look_told(evutil_socket_t fd, short what, void *arg)
{
	struct action *action = arg;
	struct inventory *inventory = action->api->inventory;
	const struct inventory_vm *view = inventory_find_vm(inventory, action->vm);
	bool told =
	    !view || view->local || !str_equal(view->vm.runinfo.host, inventory_self(inventory));

	if (!told && monotonic_ms() < action->told_due)
		return;
	if (!told && str_empty(action->warning))
		str_set(&action->warning, "its new host has not told of it yet");
	complete(action, action->warning);
	action_end(action, NULL);
}

/* The VM has left: the operation ends when its new host tells of it, so that who asks next finds
 * it there. */
static void
wait_told(struct action *action, const char *warning)
{
	struct timeval tv = { .tv_usec = TOLD_LOOK_MS * 1000 };

	inventory_release_vm(action->api->inventory, action->vm);
	action->warning = xstrdup(str_or_empty(warning));
	action->told_due = monotonic_ms() + TOLD_MS;
	if (action->deadline)
		event_free(action->deadline);
	action->deadline = event_new(action->api->base, -1, EV_PERSIST, look_told, action);
	evtimer_add(action->deadline, &tv);
}

void
action_fail(struct action *action, const struct error *err)
{
	log_info("api", "%s of VM '%s' failed: %s", action->op, action->vm, err->detail);
	if (str_equal(action->op, "VmBoot")) {
		inventory_end_startup(action->api->inventory, action->vm);
		keeper_vm_changed(action->api->keeper, action->vm, VMRUNSTATE_NONE, false);
	}
	operations_finish(action->api->operations, action->id, NULL, err);
	reply_error(action, err);
	action_end(action, err);
}

static void
succeed(struct action *action, const struct vm_result *res)
{
	struct api *api = action->api;

	if (res->gone)
		inventory_end_vm(api->inventory, action->vm);
	else if (!res->moved)
		inventory_report_vm(api->inventory, action->mark, true, &res->vm);
	reservation_settle(api->inventory, action->reservation, action->vm);
	if (!str_empty(res->warning))
		log_warning("api", "%s of VM '%s': %s", action->op, action->vm, res->warning);
	else
		log_info("api", "%s of VM '%s' completed", action->op, action->vm);
	if (action->in_background && action->req)
		reply_accepted(action);
	if (res->moved) {
		wait_told(action, res->warning);
		return;
	}
	if (action->waits_for_guest && !res->nothing)
		keeper_end_when_off(api->keeper, action->vm, action->id);
	else
		complete(action, res->nothing ? "it was so already" : res->warning);
	reply_success(action, res);
	action_end(action, NULL);
}

static void
found(void *arg, struct vm_result *res, const struct error *why)
{
	struct action *action = arg;
	struct error err = *action->cause;

	if (finding_judge(action->stage, res, why, &err)) {
		succeed(action, res);
		return;
	}
	reservation_cancel(action->api->inventory, action->reservation);
	if (!res)
		keeper_heal(action->api->keeper, action->vm);
	action_fail(action, &err);
}

/* Nobody begins anything else on the VM until it is known how this ended. */
static void
find_out(struct action *action, const struct error *cause)
{
	struct api *api = action->api;
	_free_ char *msg = finding_begun(cause);

	log_warning("api", "%s of VM '%s': %s", action->op, action->vm, msg);
	action->cause = xcalloc(1, sizeof(*cause));
	*action->cause = *cause;
	action->waits = true;
	operations_say(api->operations, action->id, msg);
	if (action->in_background && action->req)
		reply_accepted(action);
	keeper_find_out(api->keeper, action->vm, action->op, action->target, found, action);
}

static void
job_failed(struct action *action, const struct error *err)
{
	struct api *api = action->api;

	if (action->stage != WORK_STAGE_NONE) {
		find_out(action, err);
		return;
	}
	reservation_cancel(api->inventory, action->reservation);
	action->waits = true;
	if (!action->acted && action->owner && action->owner->refused(action->owner_arg, err))
		return;
	/* A job that ended without a word may have been killed at any instruction. */
	if (err->status == 500 || err->status == 503 || err->status == 504)
		keeper_heal(api->keeper, action->vm);
	action_fail(action, err);
}

static void
done(void *arg, void *result, const struct error *err)
{
	struct action *action = arg;

	if (result)
		succeed(action, result);
	else
		job_failed(action, err);
}

/* The work was on the host, and its result is the answer itself. */
static void
done_host(void *arg, void *result, const struct error *err)
{
	struct action *action = arg;

	if (!result) {
		log_info("api", "%s failed: %s", action->op, err->detail);
		operations_finish(action->api->operations, action->id, NULL, err);
		reply_error(action, err);
	} else {
		log_info("api", "%s completed", action->op);
		operations_finish(action->api->operations, action->id, NULL, NULL);
		if (action->req)
			request_reply_model(
			    steal_ptr(action->req), action->success, action->route->reply, result);
	}
	keeper_reconcile(action->api->keeper);
	action_free(action);
}

/* The work goes on; the client learns where to look for its end. */
static void
out_of_time(evutil_socket_t fd, short what, void *arg)
{
	struct action *action = arg;
	struct error err = { 0 };

	error_set(&err, 504, "%s%s%s%s is still under way after %d s: see /operations/%s",
	    action->op, *action->vm ? " of VM '" : "", action->vm, *action->vm ? "'" : "",
	    action->api->config->reply_timeout, action->id);
	reply_error(action, &err);
}

static struct action *
action_new(
    struct api *api, const struct route *route, struct request *req, const char *vm, int success)
{
	struct action *action = xcalloc(1, sizeof(*action));

	action->api = api;
	action->next = api->actions;
	api->actions = action;
	action->req = req;
	action->op = route->op;
	action->route = route;
	action->success = success;
	snprintf(action->vm, sizeof(action->vm), "%.36s", vm);
	if (req)
		snprintf(req->vm, sizeof(req->vm), "%.36s", vm);
	return action;
}

/* The action on this VM whose job is still to be started, or died; NULL for none. */
static const struct action *
find_waiting(const struct api *api, const char *vm)
{
	for (const struct action *action = api->actions; action; action = action->next) {
		if (action->waits && str_equal(action->vm, vm))
			return action;
	}
	return NULL;
}

static int
check_waiting(const struct api *api, const char *vm, struct error *err)
{
	const struct action *other = find_waiting(api, vm);

	if (!other)
		return 0;
	error_set(err, 409, "another operation on this VM is under way: %s",
	    other->cause ? "how it ended is being found out" : "it waits for a host");
	snprintf(err->vm, sizeof(err->vm), "%s", vm);
	snprintf(err->operation, sizeof(err->operation), "%s", other->id);
	return -1;
}

static void
begin(struct action *action, const char *user)
{
	struct api *api = action->api;

	snprintf(action->id, sizeof(action->id), "%s",
	    operations_start(
		api->operations, action->op, action->vm, inventory_self(api->inventory), user));
}

/* It has not come to a job: nobody but the client is told. */
static void
abandon(struct action *action, const struct error *err)
{
	operations_finish(action->api->operations, action->id, NULL, err);
	reply_error(action, err);
	action_free(action);
}

int
action_work(struct action *action, enum work_id work, const void *request,
    const struct action_place *place, struct error *err)
{
	struct api *api = action->api;
	const char *vm = action->vm;

	action->waits_for_guest = work == WORK_VM_SHUTDOWN && action->success == 202;
	action->in_background = work == WORK_VM_MIGRATE;
	action->stage = WORK_STAGE_NONE;
	if (work == WORK_VM_MIGRATE)
		snprintf(action->target, sizeof(action->target), "%.36s",
		    ((const struct vm_migrate_request *)request)->target);
	action->mark = inventory_mark(api->inventory);
	action->reservation = place->reservation;
	str_set(&action->why, place->why);
	/* What never queues may run beside what is under way on its VM. */
	if (job_start(api->jobs, work, request, *vm && !works[work].own_lane ? vm : NULL,
		action->id, progress, action->route->reply ? done_host : done, action, err)) {
		action->waits = false;
		return 0;
	}
	reservation_cancel(api->inventory, action->reservation);
	return -1;
}

/* The client learns of the operation at once, or when it has waited for too long. */
static void
answer_later(struct action *action)
{
	struct timeval tv = { action->api->config->reply_timeout, 0 };

	if (action->req->respond_async) {
		reply_accepted(action);
	} else {
		action->deadline = evtimer_new(action->api->base, out_of_time, action);
		evtimer_add(action->deadline, &tv);
	}
}

const char *
action_start(struct api *api, struct request *req, enum work_id work, const void *request,
    const char *vm, int success)
{
	static const struct action_place none;

	return action_start_placed(api, req, work, request, vm, success, &none);
}

const char *
action_start_placed(struct api *api, struct request *req, enum work_id work, const void *request,
    const char *vm, int success, const struct action_place *place)
{
	struct action *action = action_new(api, req->route, req, vm, success);
	struct error err = { 0 };

	begin(action, req->user);
	if (!works[work].own_lane && check_waiting(api, vm, &err) < 0) {
		reservation_cancel(api->inventory, place->reservation);
		abandon(action, &err);
		return NULL;
	}
	if (action_work(action, work, request, place, &err) < 0) {
		abandon(action, &err);
		return NULL;
	}
	answer_later(action);
	return action->id;
}

struct action *
action_open(struct api *api, enum route_id route, struct request *req, const char *user,
    const char *vm, const struct action_owner *owner, void *arg, struct error *err)
{
	struct action *action = action_new(api, &routes[route], req, vm, routes[route].success);

	begin(action, user);
	if (check_waiting(api, vm, err) < 0 || jobs_check_vm(api->jobs, vm, err) < 0) {
		abandon(action, err);
		return NULL;
	}
	action->waits = true;
	action->owner = owner;
	action->owner_arg = arg;
	if (req)
		answer_later(action);
	return action;
}

const char *
action_operation(const struct action *action)
{
	return action->id;
}

bool
action_is_under_way(const struct api *api, enum route_id route)
{
	for (const struct action *action = api->actions; action; action = action->next) {
		if (action->route == &routes[route])
			return true;
	}
	return false;
}

static void
answered(void *arg, void *result, const struct error *err)
{
	struct action *action = arg;

	if (action->looked && action->req)
		action->looked(action->api, steal_ptr(action->req), result, result ? NULL : err);
	else if (!result)
		reply_error(action, err);
	else if (action->req)
		request_reply_model(
		    steal_ptr(action->req), action->success, action->route->reply, result);
	action_free(action);
}

static int
check_looks(const struct api *api, const struct route *route, struct error *err)
{
	int n = 0;

	for (const struct action *action = api->actions; action; action = action->next)
		n += action->looks && action->route == route;
	if (n < LOOKS_MAX)
		return 0;
	return error_set(
	    err, 503, "%d others have this host look at something already: ask again", LOOKS_MAX);
}

void
action_look(struct api *api, struct request *req, enum work_id work, const void *request,
    action_looked looked)
{
	struct action *action;
	struct error err = { 0 };
	bool full = works[work].own_lane && check_looks(api, req->route, &err) < 0;

	action = action_new(api, req->route, req, req->param, 200);
	action->looked = looked;
	action->looks = works[work].own_lane && !full;
	if (full || !job_start(api->jobs, work, request, NULL, "", NULL, answered, action, &err))
		answered(action, NULL, &err);
}

void
action_ask(struct api *api, struct request *req, enum work_id work, const void *request)
{
	action_look(api, req, work, request, NULL);
}

void
actions_free(struct api *api)
{
	struct error err = { 0 };

	error_set(&err, 503, "virtxd stops");
	migrations_free(api);
	departures_free(api);
	rooms_free(api);
	forgettings_free(api);
	dry_runs_free(api);
	while (api->actions) {
		reply_error(api->actions, &err);
		action_free(api->actions);
	}
}
