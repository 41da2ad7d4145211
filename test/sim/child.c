/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Takes the place of job/child.c: a process is a list of steps, which nobody waits for. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "checker.h"
#include "clock.h"
#include "dice.h"
#include "fault.h"
#include "history.h"
#include "host.h"
#include "proto/json.h"
#include "proto/problem.h"
#include "steps.h"
#include "storage.h"

#define HELD_MS 100   /* between looks whether the storage is back */
#define OFF_MS	10000 /* until one that cannot be killed is written off */

static struct child *children; /* that run */

const step_fn *const steps_of[WORK_N] = {
	[WORK_PROBE] = steps_probe,
	[WORK_COLLECT] = steps_collect,
	[WORK_REFRESH] = steps_refresh,
	[WORK_WHOSE] = steps_whose,
	[WORK_INSPECT] = steps_inspect,
	[WORK_RECONCILE] = steps_reconcile,
	[WORK_STORAGE_CHECK] = steps_storage_check,
	[WORK_STORAGE_LOOK] = steps_storage_look,
	[WORK_LOCKSPACE] = steps_lockspace,
	[WORK_LOCKSPACE_WATCH] = steps_lockspace_watch,
	[WORK_WATCHDOG] = steps_watchdog,
	[WORK_SELF_FENCE] = steps_self_fence,
	[WORK_VM_CREATE] = steps_create,
	[WORK_VM_DELETE] = steps_delete,
	[WORK_VM_BOOT] = steps_boot,
	[WORK_VM_SHUTDOWN] = steps_shutdown,
	[WORK_VM_PAUSE] = steps_pause,
	[WORK_VM_RESUME] = steps_resume,
	[WORK_VM_MIGRATE] = steps_migrate,
	[WORK_VM_STAYS] = steps_stays,
	[WORK_MIGRATION_INFO] = steps_migration_info,
	[WORK_MIGRATION_CONTROL] = steps_abort,
	[WORK_VM_HEAL] = steps_heal,
	[WORK_MAINTENANCE_LOAD] = steps_maintenance_load,
	[WORK_MAINTENANCE_SAVE] = steps_maintenance_save,
	[WORK_AUTOSTART] = steps_autostart,
	[WORK_LOCKSPACE_HOSTS] = steps_lockspace_hosts,
	[WORK_HOST_VMS] = steps_host_vms,
	[WORK_VM_CLAIM] = steps_claim,
};

static bool
is_of_vm(const struct child *child)
{
	return (child->id >= WORK_VM_CREATE && child->id <= WORK_VM_HEAL &&
		   child->id != WORK_VM_STAYS) ||
	       child->id == WORK_VM_CLAIM;
}

static void
dispose(struct child *child)
{
	timer_free(child->timer);
	if (child->request)
		model_clear(child->work->request, child->request);
	if (child->result)
		model_clear(child->work->result, child->result);
	free(child->request);
	free(child->result);
	free(child->text);
	free(child);
}

/* The process is no more. */
static void
leave_world(struct child *child)
{
	struct child **link = &children;

	while (*link != child)
		link = &(*link)->next;
	*link = child->next;
	if (child->vm && child->vm->lock[child->host] == child)
		child->vm->lock[child->host] = NULL;
	if (child->holds)
		world_free_lease(child->vm, child->host);
	child->holds = false;
	if (child->migration)
		libvirt_leave(child->migration);
	child->migration = NULL;
	child->ended = true;
	timer_stop(child->timer);
}

/* virtxd reaps it a moment later, as on any end. */
static void
on_reaped(void *arg)
{
	struct child *child = arg;
	int host = child->host, before = clock_enter(host);

	child->ops->ended(child->arg);
	if (host_serves(host))
		checker_on_result(host);
	clock_enter(before);
}

static void
end(struct child *child)
{
	leave_world(child);
	if (!child->ops) {
		dispose(child);
		return;
	}
	timer_free(child->timer);
	child->timer = timer_new(NULL, on_reaped, child);
	timer_start(child->timer, 1);
}

static void
give_result(struct child *child)
{
	if (child->failed)
		return;
	child->text = child->work->result
			  ? json_encode(child->work->result, child->result, &child->len)
			  : xstrdup("{}");
}

static int64_t
wait_of(const struct child *child)
{
	if (child->wait)
		return child->wait;
	return dice_permille(host_slow_permille()) ? dice_between(500, 9000) : dice_between(1, 40);
}

static bool
is_among(const step_fn *steps, step_fn step)
{
	while (*steps && *steps != step)
		steps++;
	return *steps;
}

/* What the step of a job finds, which is there where it does not touch the storage. */
static enum storage_state
storage_of(const struct child *child)
{
	step_fn step = *child->at;

	return is_among(steps_on_storage, step) || is_among(vm_steps_on_storage, step) ||
		       is_among(host_steps_on_storage, step) ||
		       is_among(vm_steps_asking_storage, step)
		   ? storage_state(child->host)
		   : STORAGE_THERE;
}

/* It waits for the storage, and whoever waits for it does not for ever. */
static void
hold(struct child *child)
{
	timer_start(child->timer, HELD_MS);
	if (!child->ops || child->written_off || clock_now() < child->late_at + OFF_MS)
		return;
	history_add(child->host, "job %s is written off", child->work->name);
	child->written_off = true;
	child->ops->stuck(child->arg);
}

static enum step
take_step(struct child *child)
{
	if (storage_of(child) == STORAGE_FAILS && !is_among(vm_steps_asking_storage, *child->at))
		return step_fail_storage(child);
	return (*child->at)(child);
}

/* It is over, or goes on later. */
static bool
is_stopped(struct child *child)
{
	if (child->ops && clock_now() >= child->late_at)
		child->late = child->killed = true;
	if (storage_of(child) == STORAGE_HANGS && !clock_is_ending())
		hold(child);
	else if (child->killed)
		end(child);
	else
		return false;
	return true;
}

static void
on_step(void *arg)
{
	struct child *child = arg;
	int before = clock_enter(child->host);
	enum step step;

	if (is_stopped(child)) {
		clock_enter(before);
		return;
	}
	child->wait = 0;
	if (child->id == WORK_VM_CLAIM && dice_permille(60)) {
		history_add(child->host, "job %s of VM %.8s is killed", child->work->name,
		    child->vm ? child->vm->uuid : "");
		if (dice_permille(150))
			clock_after(0, fault_kill_virtxd, (void *)(intptr_t)child->host);
		end(child);
		clock_enter(before);
		return;
	}
	step = take_step(child);

	if (step == STEP_NEXT && !*++child->at)
		step = STEP_DONE;
	if (step == STEP_NEXT || step == STEP_AGAIN) {
		timer_start(child->timer, wait_of(child));
	} else {
		child->failed = step == STEP_FAIL;
		if (is_of_vm(child) && child->vm)
			history_add(child->host, "job %s of VM %.8s %s%.200s", child->work->name,
			    child->vm->uuid, child->failed ? "fails: " : "is done",
			    child->failed ? child->err.detail : "");
		give_result(child);
		end(child);
	}
	clock_enter(before);
}

struct child *
child_spawn(struct event_base *base, const struct work *work, int grace_ms,
    const struct child_call *call, struct error *err)
{
	struct child *child = xcalloc(1, sizeof(*child));

	child->work = work;
	child->id = (enum work_id)(child->work - works);
	child->host = clock_host();
	child->start = host_start(child->host);
	child->ops = call->ops;
	child->arg = call->arg;
	child->target = WORLD_NOBODY;
	child->late_at = clock_now() + work->deadline * INT64_C(1000);
	child->at = steps_of[child->id];
	child->request = xcalloc(1, child->work->request->size);
	if (child->work->result)
		child->result = xcalloc(1, child->work->result->size);
	if (!child->at ||
	    json_decode(work->request, call->request, call->request_len, child->request, err) < 0) {
		fprintf(stderr, "job '%s' is not simulated, or its request is wrong: %s\n",
		    work->name, err->detail);
		abort();
	}
	free(call->request);
	child->timer = timer_new(NULL, on_step, child);
	timer_start(child->timer, dice_between(2, 30));
	child->next = children;
	children = child;
	if (is_of_vm(child) && !work->own_lane && child->id != WORK_VM_HEAL)
		checker_on_job(
		    child->host, work->name, ((const struct vm_request *)child->request)->uuid);
	return child;
}

void
child_free(struct child *child)
{
	if (!child)
		return;
	if (child->ended)
		dispose(child);
	else
		child->ops = NULL;
}

void
child_reap(struct child *child)
{
}

/* Resident ones end with their answer, too: to who asks that is the same. */
bool
child_rests(const struct child *child)
{
	return false;
}

void
child_ask(struct child *child, const struct child_call *call)
{
	abort();
}

void
child_spoil(struct child *child)
{
}

int
child_answers(const struct child *child)
{
	return 1;
}

void
child_dismiss(struct child *child)
{
	child_free(child);
}

const struct work *
child_work(const struct child *child)
{
	return child->work;
}

const char *
child_result(const struct child *child, size_t *len, struct error *err)
{
	*len = child->len;
	if (child->text)
		return child->text;
	if (child->failed)
		*err = child->err;
	else if (child->written_off)
		error_set(err, 504,
		    "job '%s' does not end: its process was killed and is still there",
		    child->work->name);
	else if (child->late)
		error_set(err, 504, "job '%s' was ended because it took longer than %d seconds",
		    child->work->name, child->work->deadline);
	else
		error_set(err, 500, "job '%s' was killed by signal 9 (Killed)", child->work->name);
	return NULL;
}

pid_t
child_pid(const struct child *child)
{
	return 1;
}

bool
child_is_late(const struct child *child)
{
	return child->late;
}

bool
child_kill_any(void)
{
	int64_t n = 0;
	struct child *child;

	for (child = children; child; child = child->next)
		n += is_of_vm(child);
	if (n == 0)
		return false;
	n = dice_below(n);
	for (child = children; !is_of_vm(child) || n-- > 0;)
		child = child->next;
	history_add(child->host, "job %s of VM %.8s is killed", child->work->name,
	    child->vm ? child->vm->uuid : "");
	child->killed = true;
	if (storage_of(child) != STORAGE_HANGS)
		end(child);
	return true;
}

void
child_drop(int host)
{
	struct child *child, *next;

	for (child = children; child; child = next) {
		next = child->next;
		if (child->host == host) {
			leave_world(child);
			dispose(child);
		}
	}
}

void
children_reset(void)
{
	struct child *child;

	while ((child = children)) {
		leave_world(child);
		dispose(child);
	}
}

size_t
children_count(void)
{
	size_t n = 0;

	for (const struct child *child = children; child; child = child->next)
		n += is_of_vm(child);
	return n;
}

void
step_set_stage(struct child *child, enum work_stage stage)
{
	child->stage = stage;
	if (child->ops)
		child->ops->progress(child->arg, -1, stage);
}
