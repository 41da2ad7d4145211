/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/task.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "loop/timer.h"
#include "ops/context.h"
#include "ops/finding.h"
#include "ops/known.h"
#include "proto/json.h"
#include "proto/log.h"
#include "proto/uuid.h"
#include "state/reservation.h"

/* After a VM has left: how long its new host may take to tell of it, and between two looks. */
#define TOLD_MS	     30000
#define TOLD_LOOK_MS 50

/* Jobs at once that only look, for those who ask for the same: they wait for nobody, and each is a
 * process. Clients keep no host from asking for room. */
#define LOOKS_MAX 32

enum state {
	STATE_BEGUN,	 /* its job is about to be started */
	STATE_OPEN,	 /* its owner looks for a host before that */
	STATE_RUNNING,	 /* its job is under way */
	STATE_INQUIRING, /* that has died, or left something half done: how it ended is found out */
	STATE_MOVED,	 /* the VM has left, and its new host is to tell of it */
	STATE_N,
};

static const char *const state_names[STATE_N] = { "begun", "open", "running", "inquiring",
	"moved" };

/* As in the header. */
static const unsigned int transitions[STATE_N] = {
	[STATE_BEGUN] = 1 << STATE_OPEN | 1 << STATE_RUNNING,
	[STATE_OPEN] = 1 << STATE_RUNNING,
	[STATE_RUNNING] = 1 << STATE_OPEN | 1 << STATE_INQUIRING | 1 << STATE_MOVED,
	[STATE_INQUIRING] = 1 << STATE_MOVED,
};

struct task {
	struct task *next; /* of ctx->tasks */
	struct context *ctx;
	struct request *req;		/* NULL once it is answered */
	const struct task_owner *owner; /* NULL for none */
	void *owner_arg;
	task_looked looked; /* NULL: the job's result is the answer */
	bool was_here;	    /* the VM, as far as was known then */
	bool looks;	    /* its job does nothing else, and does not queue */
	struct timer *deadline;
	enum state state;
	const char *op;
	const struct route *route;
	uint64_t mark;
	int success;
	bool waits_for_guest; /* the operation ends when the VM is seen off */
	bool in_background;   /* answered when the work begins */
	int64_t told_due;     /* monotonic ms */
	char *warning;	      /* of a VM that has moved */
	char *caution;	      /* see task_set_caution(); NULL for none */
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
set_state(struct task *task, enum state state)
{
	assert(transitions[task->state] & 1U << state);
	log_debug("ops", "%s of VM '%s': %s, then %s", task->op, task->vm, state_names[task->state],
	    state_names[state]);
	task->state = state;
}

static void
fill_error(const struct task *task, struct error *err)
{
	snprintf(err->vm, sizeof(err->vm), "%s", task->vm);
	snprintf(err->host, sizeof(err->host), "%s", inventory_self(task->ctx->inventory));
	if (!err->operation[0])
		snprintf(err->operation, sizeof(err->operation), "%s", task->id);
}

static void
reply_error(struct task *task, const struct error *cause)
{
	struct error err = *cause;
	bool lost;

	if (!task->req)
		return;
	lost = task->was_here && error_is(&err, ERROR_NOT_FOUND);
	if (lost)
		known_judge_lost(task->ctx, task->req, task->vm, &err);
	fill_error(task, &err);
	if (lost && error_is(&err, ERROR_UNAVAILABLE))
		known_refuse(steal_ptr(task->req), &err);
	else
		request_reply_error(steal_ptr(task->req), &err);
}

static void
reply_success(struct task *task, const struct vm_result *res)
{
	const char *warning = res->warning;
	_free_ char *header = NULL;
	struct request_header headers[] = { { "Warning", NULL } };
	size_t n = 0;
	char *body = NULL;
	int status = task->success;

	if (!task->req)
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
		body = json_quote(task->vm);
	else if (status == 200 && res->defined)
		status = 201;
	request_reply_json(steal_ptr(task->req), status, body, body ? strlen(body) : 0, headers, n);
}

static void
task_free(struct task *task)
{
	struct task **link = &task->ctx->tasks;

	while (*link != task)
		link = &(*link)->next;
	*link = task->next;
	timer_free(task->deadline);
	free(task->cause);
	free(task->warning);
	free(task->caution);
	free(task->why);
	free(task);
}

void
task_reply_accepted(struct context *ctx, struct request *req, const char *operation)
{
	_free_ char *location = xasprintf("/operations/%s", operation);
	struct request_header headers[] = { { "Location", location } };
	char *body;
	size_t len;

	body = json_encode(&operation_model, operations_find(ctx->operations, operation), &len);
	request_reply_json(req, 202, body, len, headers, 1);
}

static void
reply_accepted(struct task *task)
{
	task_reply_accepted(task->ctx, steal_ptr(task->req), task->id);
}

/* Its operation has ended; err is NULL where that was well. */
static void
task_end(struct task *task, const struct error *err)
{
	const struct task_owner *owner = task->owner;
	void *arg = task->owner_arg;

	task_free(task);
	if (owner)
		owner->ended(arg, err);
}

static void
progress(void *arg, int percent, enum work_stage stage)
{
	struct task *task = arg;

	task->stage = stage;
	if (percent < 0)
		return;
	task->acted = true;
	operations_progress(task->ctx->operations, task->id, percent);
	if (task->in_background && task->req)
		reply_accepted(task);
}

/* The operation has come to its end; so has what was reserved for it. */
static void
complete(struct task *task, const char *warning)
{
	bool both = !str_empty(warning) && !str_empty(task->why);
	_free_ char *msg =
	    xasprintf("%s%s%s", str_or_empty(warning), both ? "; " : "", str_or_empty(task->why));

	operations_finish(task->ctx->operations, task->id, msg, NULL);
}

static void
look_told(void *arg)
{
	struct task *task = arg;
	struct inventory *inventory = task->ctx->inventory;
	const struct inventory_vm *view = inventory_find_vm(inventory, task->vm);
	const char *host = view ? str_or_empty(view->vm.runinfo.host) : "";
	/* Between two hosts it is nobody's. */
	bool told = !view || view->local || (*host && !str_equal(host, inventory_self(inventory)));

	if (!told && monotonic_ms() < task->told_due)
		return;
	if (!told && str_empty(task->warning))
		str_set(&task->warning, "its new host has not told of it yet");
	complete(task, task->warning);
	task_end(task, NULL);
}

/* The VM has left: the operation ends when its new host tells of it, so that who asks next finds
 * it there. */
static void
wait_told(struct task *task, const char *warning)
{
	set_state(task, STATE_MOVED);
	task->warning = xstrdup(str_or_empty(warning));
	task->told_due = monotonic_ms() + TOLD_MS;
	timer_free(task->deadline);
	task->deadline = timer_new(task->ctx->base, look_told, task);
	timer_every(task->deadline, TOLD_LOOK_MS);
}

void
task_fail(struct task *task, const struct error *err)
{
	log_info("ops", "%s of VM '%s' failed: %s", task->op, task->vm, err->detail);
	if (str_equal(task->op, "VmBoot")) {
		inventory_end_startup(task->ctx->inventory, task->vm);
		keeper_vm_changed(task->ctx->keeper, task->vm, VMRUNSTATE_NONE, false);
	}
	operations_finish(task->ctx->operations, task->id, NULL, err);
	reply_error(task, err);
	task_end(task, err);
}

static void
succeed(struct task *task, const struct vm_result *res)
{
	struct context *ctx = task->ctx;

	/* Where it goes to the reservation tells, until it is settled. */
	if (res->gone)
		inventory_end_vm(ctx->inventory, task->vm);
	else if (res->moved)
		inventory_release_vm(ctx->inventory, task->vm);
	else
		inventory_report_vm(ctx->inventory, task->mark, true, &res->vm);
	reservation_settle(ctx->inventory, task->reservation, task->vm);
	if (!str_empty(res->warning))
		log_warning("ops", "%s of VM '%s': %s", task->op, task->vm, res->warning);
	else
		log_info("ops", "%s of VM '%s' completed", task->op, task->vm);
	if (task->in_background && task->req)
		reply_accepted(task);
	if (res->moved) {
		wait_told(task, res->warning);
		return;
	}
	if (task->waits_for_guest && !res->nothing)
		keeper_end_when_off(ctx->keeper, task->vm, task->id);
	else
		complete(task, res->nothing ? "it was so already" : res->warning);
	reply_success(task, res);
	task_end(task, NULL);
}

void
task_set_caution(struct task *task, const char *text)
{
	str_set(&task->caution, text);
}

/* vm-heal knows nothing of it. */
static void
add_caution(const struct task *task, struct vm_result *res)
{
	_free_ char *told = steal_ptr(res->warning);
	bool both = !str_empty(told) && !str_empty(task->caution);

	res->warning =
	    xasprintf("%s%s%s", str_or_empty(told), both ? "; " : "", str_or_empty(task->caution));
}

static void
found(void *arg, struct vm_result *res, const struct error *why)
{
	struct task *task = arg;
	struct error err = *task->cause;

	if (finding_judge(task->stage, res, why, &err)) {
		add_caution(task, res);
		succeed(task, res);
		return;
	}
	reservation_cancel(task->ctx->inventory, task->reservation);
	if (!res)
		keeper_heal(task->ctx->keeper, task->vm);
	task_fail(task, &err);
}

/* Nobody begins anything else on the VM until it is known how this ended. */
static void
find_out(struct task *task, const struct error *cause)
{
	struct context *ctx = task->ctx;
	_free_ char *msg = finding_begun(cause);

	log_warning("ops", "%s of VM '%s': %s", task->op, task->vm, msg);
	task->cause = xcalloc(1, sizeof(*cause));
	*task->cause = *cause;
	set_state(task, STATE_INQUIRING);
	operations_say(ctx->operations, task->id, msg);
	if (task->in_background && task->req)
		reply_accepted(task);
	keeper_find_out(ctx->keeper, task->vm, task->op, task->target, found, task);
}

static void
job_failed(struct task *task, const struct error *err)
{
	struct context *ctx = task->ctx;

	if (task->stage != WORK_STAGE_NONE) {
		find_out(task, err);
		return;
	}
	reservation_cancel(ctx->inventory, task->reservation);
	if (!task->acted && task->owner && task->owner->refused) {
		set_state(task, STATE_OPEN);
		if (task->owner->refused(task->owner_arg, err))
			return;
	}
	/* A job that ended without a word may have been killed at any instruction. */
	if (error_is(err, ERROR_INTERNAL) || error_is(err, ERROR_UNAVAILABLE) ||
	    error_is(err, ERROR_NOT_OVER))
		keeper_heal(ctx->keeper, task->vm);
	task_fail(task, err);
}

static void
done(void *arg, void *result, const struct error *err)
{
	struct task *task = arg;

	if (result)
		succeed(task, result);
	else
		job_failed(task, err);
}

/* The work was on the host, and its result is the answer itself. */
static void
done_host(void *arg, void *result, const struct error *err)
{
	struct task *task = arg;

	if (!result) {
		log_info("ops", "%s failed: %s", task->op, err->detail);
		operations_finish(task->ctx->operations, task->id, NULL, err);
		reply_error(task, err);
	} else {
		log_info("ops", "%s completed", task->op);
		operations_finish(task->ctx->operations, task->id, NULL, NULL);
		if (task->req)
			request_reply_model(
			    steal_ptr(task->req), task->success, task->route->reply, result);
	}
	keeper_reconcile(task->ctx->keeper);
	task_free(task);
}

/* The work goes on; the client learns where to look for its end. */
static void
out_of_time(void *arg)
{
	struct task *task = arg;
	struct error err = { 0 };

	error_set(&err, 504, "%s%s%s%s is still under way after %d s: see /operations/%s", task->op,
	    *task->vm ? " of VM '" : "", task->vm, *task->vm ? "'" : "",
	    task->ctx->config->reply_timeout, task->id);
	reply_error(task, &err);
}

static struct task *
task_new(struct context *ctx, const struct route *route, struct request *req, const char *vm,
    int success)
{
	struct task *task = xcalloc(1, sizeof(*task));
	const struct inventory_vm *view;

	task->ctx = ctx;
	task->next = ctx->tasks;
	ctx->tasks = task;
	task->req = req;
	task->op = route->op;
	task->route = route;
	task->success = success;
	snprintf(task->vm, sizeof(task->vm), "%.36s", vm);
	view = inventory_find_vm(ctx->inventory, task->vm);
	task->was_here = view && view->local;
	if (req)
		snprintf(req->vm, sizeof(req->vm), "%.36s", vm);
	return task;
}

/* The task on this VM whose job is still to be started, or left something half done; NULL for none.
 */
static const struct task *
find_waiting(const struct context *ctx, const char *vm)
{
	for (const struct task *task = ctx->tasks; task; task = task->next) {
		if ((task->state == STATE_OPEN || task->cause) && str_equal(task->vm, vm))
			return task;
	}
	return NULL;
}

static int
check_waiting(const struct context *ctx, const char *vm, struct error *err)
{
	const struct task *other = find_waiting(ctx, vm);

	if (!other)
		return 0;
	error_set(err, 409, "another operation on this VM is under way: %s",
	    other->cause ? "how it ended is being found out" : "it waits for a host");
	snprintf(err->vm, sizeof(err->vm), "%s", vm);
	snprintf(err->operation, sizeof(err->operation), "%s", other->id);
	return -1;
}

static void
begin(struct task *task, const char *user)
{
	struct context *ctx = task->ctx;

	snprintf(task->id, sizeof(task->id), "%s",
	    operations_start(
		ctx->operations, task->op, task->vm, inventory_self(ctx->inventory), user));
	if (task->req)
		memcpy(task->req->operation, task->id, sizeof(task->id));
}

/* It has not come to a job: nobody but the client is told. */
static void
abandon(struct task *task, const struct error *err)
{
	operations_finish(task->ctx->operations, task->id, NULL, err);
	reply_error(task, err);
	task_free(task);
}

int
task_work(struct task *task, enum work_id work, const void *request, const struct task_place *place,
    struct error *err)
{
	struct context *ctx = task->ctx;
	const char *vm = task->vm;

	task->waits_for_guest = work == WORK_VM_SHUTDOWN && task->success == 202;
	task->in_background = work == WORK_VM_MIGRATE;
	task->stage = WORK_STAGE_NONE;
	if (work == WORK_VM_MIGRATE)
		snprintf(task->target, sizeof(task->target), "%.36s",
		    ((const struct vm_migrate_request *)request)->target);
	task->mark = inventory_mark(ctx->inventory);
	task->reservation = place->reservation;
	str_set(&task->why, place->why);
	/* What never queues may run beside what is under way on its VM. */
	if (job_start(ctx->jobs, work, request, *vm && !works[work].own_lane ? vm : NULL, task->id,
		progress, task->route->reply ? done_host : done, task, err)) {
		set_state(task, STATE_RUNNING);
		return 0;
	}
	reservation_cancel(ctx->inventory, task->reservation);
	return -1;
}

/* The client learns of the operation at once, or when it has waited for too long. */
static void
answer_later(struct task *task)
{
	if (task->req->respond_async) {
		reply_accepted(task);
	} else {
		task->deadline = timer_new(task->ctx->base, out_of_time, task);
		timer_start(task->deadline, task->ctx->config->reply_timeout * INT64_C(1000));
	}
}

const char *
task_start(struct context *ctx, struct request *req, enum work_id work, const void *request,
    const char *vm, int success)
{
	static const struct task_place none;

	return task_start_placed(ctx, req, work, request, vm, success, &none);
}

const char *
task_start_placed(struct context *ctx, struct request *req, enum work_id work, const void *request,
    const char *vm, int success, const struct task_place *place)
{
	struct task *task = task_new(ctx, req->route, req, vm, success);
	struct error err = { 0 };

	begin(task, req->user);
	if (!works[work].own_lane && check_waiting(ctx, vm, &err) < 0) {
		reservation_cancel(ctx->inventory, place->reservation);
		abandon(task, &err);
		return NULL;
	}
	if (task_work(task, work, request, place, &err) < 0) {
		abandon(task, &err);
		return NULL;
	}
	answer_later(task);
	return task->id;
}

struct task *
task_open(struct context *ctx, enum route_id route, struct request *req, const char *user,
    const char *vm, const struct task_owner *owner, void *arg, struct error *err)
{
	struct task *task = task_new(ctx, &routes[route], req, vm, routes[route].success);

	begin(task, user);
	if (check_waiting(ctx, vm, err) < 0 || jobs_check_vm(ctx->jobs, vm, err) < 0) {
		abandon(task, err);
		return NULL;
	}
	set_state(task, STATE_OPEN);
	task->owner = owner;
	task->owner_arg = arg;
	if (req)
		answer_later(task);
	return task;
}

const char *
task_operation(const struct task *task)
{
	return task->id;
}

bool
task_is_under_way(const struct context *ctx, enum route_id route)
{
	for (const struct task *task = ctx->tasks; task; task = task->next) {
		if (task->route == &routes[route])
			return true;
	}
	return false;
}

static void
answered(void *arg, void *result, const struct error *err)
{
	struct task *task = arg;

	if (task->looked && task->req)
		task->looked(task->ctx, steal_ptr(task->req), result, result ? NULL : err);
	else if (!result)
		reply_error(task, err);
	else if (task->req)
		request_reply_model(
		    steal_ptr(task->req), task->success, task->route->reply, result);
	task_free(task);
}

static int
check_looks(const struct context *ctx, const struct route *route, struct error *err)
{
	int n = 0;

	for (const struct task *task = ctx->tasks; task; task = task->next)
		n += task->looks && task->route == route;
	if (n < LOOKS_MAX)
		return 0;
	return error_set(err, 503,
	    "%d requests of this kind have jobs on this host already: ask again", LOOKS_MAX);
}

void
task_look(struct context *ctx, struct request *req, enum work_id work, const void *request,
    task_looked looked)
{
	struct task *task;
	struct error err = { 0 };
	bool full = works[work].own_lane && check_looks(ctx, req->route, &err) < 0;

	task = task_new(ctx, req->route, req, req->param, 200);
	task->looked = looked;
	task->looks = works[work].own_lane && !full;
	if (!full && job_start(ctx->jobs, work, request, NULL, "", NULL, answered, task, &err))
		set_state(task, STATE_RUNNING);
	else
		answered(task, NULL, &err);
}

void
task_ask(struct context *ctx, struct request *req, enum work_id work, const void *request)
{
	task_look(ctx, req, work, request, NULL);
}

void
tasks_free(struct context *ctx)
{
	struct error err = { 0 };

	error_set(&err, 503, "virtxd stops");
	while (ctx->tasks) {
		reply_error(ctx->tasks, &err);
		task_free(ctx->tasks);
	}
}
