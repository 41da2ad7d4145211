/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/guest_reboot.h"

#include <assert.h>
#include <stdio.h>
#include <sys/queue.h>

#include "loop/timer.h"
#include "ops/own_boot.h"
#include "ops/recovery.h"
#include "proto/log.h"
#include "work/host_down.h"

#define LOOK_MS	 1000
#define AGAIN_MS 15000 /* until what the host could not do is tried again */

enum state {
	STATE_DUE,
	STATE_BOOTING,
	STATE_GIVEN_UP,
	STATE_N,
};

static const char *const state_names[STATE_N] = { "due", "booting", "given up" };

static const unsigned int transitions[STATE_N] = {
	[STATE_DUE] = 1 << STATE_BOOTING,
	[STATE_BOOTING] = 1 << STATE_DUE | 1 << STATE_GIVEN_UP,
};

/* A VM that is off as its guest was asked to reboot. */
struct guest_reboot {
	LIST_ENTRY(guest_reboot) link;
	struct guest_reboots *owner;
	char vm[37];
	enum state state;
	int64_t due; /* monotonic ms, of STATE_DUE */
};

struct guest_reboots {
	struct context *ctx;
	struct timer *timer;
	LIST_HEAD(, guest_reboot) reboots;
};

static void
set_state(struct guest_reboot *reboot, enum state state)
{
	assert(transitions[reboot->state] & 1U << state);
	log_debug("guest-reboot", "VM '%s': %s, then %s", reboot->vm, state_names[reboot->state],
	    state_names[state]);
	reboot->state = state;
}

static void
free_reboot(struct guest_reboot *reboot)
{
	LIST_REMOVE(reboot, link);
	free(reboot);
}

static void
on_booted(void *arg, const struct error *err)
{
	struct guest_reboot *reboot = arg;
	_free_ char *why = NULL;

	if (own_boot_is_done(err) || own_boot_was_unable(err)) {
		reboot->due = monotonic_ms() + AGAIN_MS;
		set_state(reboot, STATE_DUE);
		return;
	}
	why = xasprintf("did not start after its guest was asked to reboot: %s", err->detail);
	log_error(
	    "guest-reboot", "VM '%s' stays off until somebody boots it: it %s", reboot->vm, why);
	inventory_set_unstarted(reboot->owner->ctx->inventory, reboot->vm, why);
	set_state(reboot, STATE_GIVEN_UP);
}

static const struct task_owner task_owner = { .ended = on_booted };

/* Not while the host goes down: it is booted after it then, as all that are wanted on. */
static bool
is_ready(struct context *ctx, const char *vm)
{
	return own_boot_is_ready(ctx) && !jobs_busy(ctx->jobs, vm) &&
	       !host_down_takes_guests(ctx->config->run_dir);
}

static void
look_at(struct guest_reboot *reboot, int64_t now)
{
	struct context *ctx = reboot->owner->ctx;
	const struct inventory_vm *view = inventory_find_vm(ctx->inventory, reboot->vm);

	if (reboot->state == STATE_BOOTING)
		return;
	if (!view || !recovery_is_rebooting(view)) {
		free_reboot(reboot);
	} else if (reboot->state == STATE_DUE && now >= reboot->due && is_ready(ctx, reboot->vm)) {
		set_state(reboot, STATE_BOOTING);
		log_info("guest-reboot", "the guest of VM '%s' has gone off to reboot", reboot->vm);
		own_boot_start(ctx, reboot->vm, &task_owner, reboot);
	}
}

static bool
is_there(const struct guest_reboots *owner, const char *vm)
{
	const struct guest_reboot *reboot;

	LIST_FOREACH (reboot, &owner->reboots, link) {
		if (str_equal(reboot->vm, vm))
			return true;
	}
	return false;
}

static void
add(void *arg, const struct inventory_vm *view, bool def_known, bool disks_known)
{
	struct guest_reboots *owner = arg;
	struct guest_reboot *reboot;

	if (!def_known || !recovery_is_rebooting(view) || is_there(owner, view->vm.uuid))
		return;
	reboot = xcalloc(1, sizeof(*reboot));
	reboot->owner = owner;
	snprintf(reboot->vm, sizeof(reboot->vm), "%s", view->vm.uuid);
	LIST_INSERT_HEAD(&owner->reboots, reboot, link);
}

static void
on_look(void *arg)
{
	struct guest_reboots *owner = arg;
	struct guest_reboot *reboot, *next;

	inventory_each_local(owner->ctx->inventory, add, owner);
	for (reboot = LIST_FIRST(&owner->reboots); reboot; reboot = next) {
		next = LIST_NEXT(reboot, link);
		look_at(reboot, monotonic_ms());
	}
}

struct guest_reboots *
guest_reboots_new(struct context *ctx)
{
	struct guest_reboots *owner = xcalloc(1, sizeof(*owner));

	owner->ctx = ctx;
	owner->timer = timer_new(ctx->base, on_look, owner);
	timer_every(owner->timer, LOOK_MS);
	return owner;
}

void
guest_reboots_free(struct guest_reboots *owner)
{
	if (!owner)
		return;
	timer_free(owner->timer);
	while (!LIST_EMPTY(&owner->reboots))
		free_reboot(LIST_FIRST(&owner->reboots));
	free(owner);
}
