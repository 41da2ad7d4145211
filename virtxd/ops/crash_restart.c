/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/crash_restart.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "loop/timer.h"
#include "ops/own_boot.h"
#include "proto/log.h"

#define LOOK_MS	  2000
#define AGAIN_MS  15000 /* until what the host could not do is tried again */
#define WITHIN_MS INT64_C(3600000)

/* How long a VM is off before each of its restarts. */
static const int64_t pauses_ms[CRASH_RESTARTS] = { 5000, 30000, 120000 };

enum state {
	STATE_RUNS,
	STATE_CRASHED,
	STATE_BOOTING,
	STATE_GIVEN_UP,
	STATE_N,
};

static const char *const state_names[STATE_N] = { "runs", "crashed", "booting", "given up" };

static const unsigned int transitions[STATE_N] = {
	[STATE_RUNS] = 1 << STATE_CRASHED | 1 << STATE_GIVEN_UP,
	[STATE_CRASHED] = 1 << STATE_BOOTING | 1 << STATE_RUNS,
	[STATE_BOOTING] = 1 << STATE_CRASHED | 1 << STATE_RUNS,
	[STATE_GIVEN_UP] = 1 << STATE_RUNS,
};

/* A VM that crashed within the last hour. */
struct crash {
	LIST_ENTRY(crash) link;
	struct crash_restart *owner;
	char vm[37];
	enum state state;
	int64_t due;			/* monotonic ms, of STATE_CRASHED */
	int64_t starts[CRASH_RESTARTS]; /* monotonic ms, the oldest first */
	unsigned int n_starts;
	char *why; /* what the last one failed with, NULL or "" */
};

struct crash_restart {
	struct context *ctx;
	struct timer *timer;
	LIST_HEAD(, crash) crashes;
};

static void
set_state(struct crash *crash, enum state state)
{
	assert(transitions[crash->state] & 1U << state);
	log_debug("crash-restart", "VM '%s': %s, then %s", crash->vm, state_names[crash->state],
	    state_names[state]);
	crash->state = state;
}

static void
free_crash(struct crash *crash)
{
	LIST_REMOVE(crash, link);
	free(crash->why);
	free(crash);
}

/* One that stopped in another way was ended by somebody, or went off with the host. */
static bool
is_due(const struct crash_restart *owner, const struct inventory_vm *view)
{
	return own_boot_is_due(owner->ctx, view) && view->vm.runinfo.runstate == VMRUNSTATE_CRASHED;
}

static bool
is_crashed(const struct crash *crash)
{
	return is_due(crash->owner, inventory_find_vm(crash->owner->ctx->inventory, crash->vm));
}

static void
forget_old_starts(struct crash *crash, int64_t now)
{
	while (crash->n_starts > 0 && now - crash->starts[0] >= WITHIN_MS)
		memmove(
		    crash->starts, crash->starts + 1, --crash->n_starts * sizeof(*crash->starts));
}

static void
give_up(struct crash *crash)
{
	_free_ char *why = xasprintf(
	    "crashed after it was booted again %u times within an hour%s%s", crash->n_starts,
	    str_empty(crash->why) ? "" : ", the last time in vain: ", str_or_empty(crash->why));

	log_error(
	    "crash-restart", "VM '%s' stays off until somebody boots it: it %s", crash->vm, why);
	inventory_set_unstarted(crash->owner->ctx->inventory, crash->vm, why);
	set_state(crash, STATE_GIVEN_UP);
}

static void
on_booted(void *arg, const struct error *err)
{
	struct crash *crash = arg;
	int64_t now = monotonic_ms();

	if (own_boot_was_unable(err)) {
		crash->due = now + AGAIN_MS;
		set_state(crash, STATE_CRASHED);
		return;
	}
	crash->starts[crash->n_starts++] = now;
	str_set(&crash->why, own_boot_is_done(err) ? "" : err->detail);
	set_state(crash, STATE_RUNS);
}

static const struct task_owner task_owner = { .ended = on_booted };

static void
look_at(struct crash *crash, int64_t now)
{
	struct context *ctx = crash->owner->ctx;
	bool crashed = is_crashed(crash);

	switch (crash->state) {
	case STATE_RUNS:
		forget_old_starts(crash, now);
		if (crashed && crash->n_starts == CRASH_RESTARTS) {
			give_up(crash);
		} else if (crashed) {
			crash->due = now + pauses_ms[crash->n_starts];
			set_state(crash, STATE_CRASHED);
			log_warning("crash-restart",
			    "VM '%s' crashed, and is booted again in %d s (%u of %d within an "
			    "hour)",
			    crash->vm, (int)(pauses_ms[crash->n_starts] / 1000),
			    crash->n_starts + 1, CRASH_RESTARTS);
		} else if (crash->n_starts == 0) {
			free_crash(crash);
		}
		break;
	case STATE_CRASHED:
		if (!crashed) {
			set_state(crash, STATE_RUNS);
		} else if (now >= crash->due && own_boot_is_ready(ctx) &&
			   !jobs_busy(ctx->jobs, crash->vm)) {
			set_state(crash, STATE_BOOTING);
			own_boot_start(ctx, crash->vm, &task_owner, crash);
		}
		break;
	case STATE_GIVEN_UP:
		if (!crashed) {
			crash->n_starts = 0;
			set_state(crash, STATE_RUNS);
		}
		break;
	default:
		break;
	}
}

static struct crash *
find(const struct crash_restart *owner, const char *vm)
{
	struct crash *crash;

	LIST_FOREACH (crash, &owner->crashes, link) {
		if (str_equal(crash->vm, vm))
			return crash;
	}
	return NULL;
}

static void
add(void *arg, const struct inventory_vm *view, bool def_known, bool disks_known)
{
	struct crash_restart *owner = arg;
	struct crash *crash;

	if (!def_known || !is_due(owner, view) || find(owner, view->vm.uuid))
		return;
	crash = xcalloc(1, sizeof(*crash));
	crash->owner = owner;
	snprintf(crash->vm, sizeof(crash->vm), "%s", view->vm.uuid);
	LIST_INSERT_HEAD(&owner->crashes, crash, link);
}

static void
on_look(void *arg)
{
	struct crash_restart *owner = arg;
	struct crash *crash, *next;

	inventory_each_local(owner->ctx->inventory, add, owner);
	for (crash = LIST_FIRST(&owner->crashes); crash; crash = next) {
		next = LIST_NEXT(crash, link);
		look_at(crash, monotonic_ms());
	}
}

struct crash_restart *
crash_restart_new(struct context *ctx)
{
	struct crash_restart *owner = xcalloc(1, sizeof(*owner));

	owner->ctx = ctx;
	owner->timer = timer_new(ctx->base, on_look, owner);
	timer_every(owner->timer, LOOK_MS);
	return owner;
}

void
crash_restart_free(struct crash_restart *owner)
{
	if (!owner)
		return;
	timer_free(owner->timer);
	while (!LIST_EMPTY(&owner->crashes))
		free_crash(LIST_FIRST(&owner->crashes));
	free(owner);
}
