/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/autostart.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "loop/timer.h"
#include "ops/own_boot.h"
#include "ops/recovery.h"
#include "proto/ha.h"
#include "proto/log.h"
#include "work/requests.h"

#define LOOK_MS	  1000
#define AGAIN_MS  5000 /* until what the host could not do is tried again */
#define TRIES_MAX 10
#define LOCKED_MS 120000 /* for how long one that is locked is tried again */

enum state {
	STATE_WAITING,
	STATE_ASKING,
	STATE_KEEPING,
	STATE_NEXT,
	STATE_BOOTING,
	STATE_OVER,
	STATE_N,
};

static const char *const state_names[STATE_N] = { "waiting", "asking", "keeping", "next", "booting",
	"over" };

/* As in the header. */
static const unsigned int transitions[STATE_N] = {
	[STATE_WAITING] = 1 << STATE_ASKING,
	[STATE_ASKING] = 1 << STATE_KEEPING | 1 << STATE_NEXT | 1 << STATE_WAITING,
	[STATE_KEEPING] = 1 << STATE_NEXT,
	[STATE_NEXT] = 1 << STATE_BOOTING | 1 << STATE_KEEPING | 1 << STATE_OVER,
	[STATE_BOOTING] = 1 << STATE_KEEPING | 1 << STATE_NEXT,
};

struct autostart {
	struct context *ctx;
	struct timer *timer;
	enum state state;
	struct vm_stay *vms; /* in order; why is "" of those that are still to be booted */
	size_t n_vms;
	struct vm_stay *booting; /* one of them, in STATE_BOOTING */
	bool busy;		 /* its job is under way */
	int64_t next;		 /* monotonic ms, nothing is done before */
	unsigned int tries;	 /* of the first that is to be booted */
	int64_t give_up;	 /* monotonic ms, one that is locked is not tried again after */
};

static void
set_state(struct autostart *autostart, enum state state)
{
	assert(transitions[autostart->state] & 1U << state);
	log_debug("autostart", "%s, then %s", state_names[autostart->state], state_names[state]);
	autostart->state = state;
}

static void
clear_vms(struct autostart *autostart)
{
	for (size_t i = 0; i < autostart->n_vms; i++)
		model_clear(&vm_stay_model, &autostart->vms[i]);
	free(autostart->vms);
	autostart->vms = NULL;
	autostart->n_vms = 0;
}

struct candidates {
	const struct autostart *autostart;
	const struct inventory_vm **views;
	size_t n;
	bool unknown; /* of some that are off the definition was not read yet */
};

static void
add(void *arg, const struct inventory_vm *view, bool def_known, bool disks_known)
{
	struct candidates *candidates = arg;
	enum vmrunstate runstate = view->vm.runinfo.runstate;

	/* One that is on may be unable to tell, as where its QEMU hangs. */
	candidates->unknown |=
	    !def_known && (recovery_is_off(runstate) || runstate == VMRUNSTATE_NONE);
	if (own_boot_is_due(candidates->autostart->ctx, view))
		*model_append(&candidates->views, &candidates->n) = view;
}

static int
compare(const void *a, const void *b)
{
	const struct vm *x = &(*(const struct inventory_vm *const *)a)->vm;
	const struct vm *y = &(*(const struct inventory_vm *const *)b)->vm;
	int order = ha_order(&x->def) - ha_order(&y->def);

	if (order == 0)
		order = strcmp(str_or_empty(x->def.name), str_or_empty(y->def.name));
	return order ? order : strcmp(x->uuid, y->uuid);
}

static void
add_left(void *arg, const char *uuid)
{
	struct autostart *autostart = arg;
	struct vm_stay *vm = model_append(&autostart->vms, &autostart->n_vms);

	vm->uuid = xstrdup(uuid);
	vm->why = xstrdup("");
}

/* This host's, in order; false where not all of them are known. */
static bool
gather(struct autostart *autostart)
{
	struct candidates found = { .autostart = autostart };

	inventory_each_local(autostart->ctx->inventory, add, &found);
	if (found.n > 0)
		qsort(found.views, found.n, sizeof(*found.views), compare);
	for (size_t i = 0; !found.unknown && i < found.n; i++)
		add_left(autostart, found.views[i]->vm.uuid);
	free(found.views);
	return !found.unknown;
}

static void
tell_failed(const struct autostart *autostart, const struct vm_stay *vm)
{
	_free_ char *why = xasprintf(
	    "did not start after the boot of this host, which is not tried again: %s", vm->why);

	inventory_set_unstarted(autostart->ctx->inventory, vm->uuid, why);
}

/* What an earlier virtxd has left. */
static void
go_on(struct autostart *autostart, struct autostart_result *res)
{
	autostart->vms = steal_ptr(res->vms);
	autostart->n_vms = res->n_vms;
	res->n_vms = 0;
	for (size_t i = 0; i < autostart->n_vms; i++) {
		const struct vm_stay *vm = &autostart->vms[i];

		if (!str_empty(vm->why) &&
		    own_boot_is_due(
			autostart->ctx, inventory_find_vm(autostart->ctx->inventory, vm->uuid)))
			tell_failed(autostart, vm);
	}
	set_state(autostart, STATE_NEXT);
}

static void
begin(struct autostart *autostart)
{
	if (!gather(autostart)) {
		set_state(autostart, STATE_WAITING);
		return;
	}
	if (autostart->n_vms > 0)
		log_info("autostart",
		    "this host was booted: %zu VM%s that %s wanted on and off are booted",
		    autostart->n_vms, autostart->n_vms == 1 ? "" : "s",
		    autostart->n_vms == 1 ? "is" : "are");
	/* What they are wanted to be is seen once it is known that they are this host's. */
	keeper_each_undecided(autostart->ctx->keeper, add_left, autostart);
	set_state(autostart, STATE_KEEPING);
}

static void
on_asked(void *arg, void *result, const struct error *err)
{
	static struct log_limit limit;
	struct autostart *autostart = arg;
	struct autostart_result *res = result;

	autostart->busy = false;
	autostart->give_up = monotonic_ms() + LOCKED_MS;
	if (res && res->kept) {
		go_on(autostart, res);
	} else if (res) {
		begin(autostart);
	} else {
		log_limited(
		    &limit, 5, "autostart", "what is to be booted is not known: %s", err->detail);
		autostart->next = monotonic_ms() + AGAIN_MS;
		set_state(autostart, STATE_WAITING);
	}
}

static void
on_kept(void *arg, void *result, const struct error *err)
{
	static struct log_limit limit;
	struct autostart *autostart = arg;

	autostart->busy = false;
	if (result) {
		set_state(autostart, STATE_NEXT);
		return;
	}
	log_limited(&limit, 5, "autostart", "what is to be booted cannot be kept: %s", err->detail);
	autostart->next = monotonic_ms() + AGAIN_MS;
}

static void
start_job(struct autostart *autostart, bool keep, job_done done)
{
	struct autostart_request req = { .keep = keep };
	struct error err = { 0 };

	if (keep) {
		req.vms = autostart->vms;
		req.n_vms = autostart->n_vms;
	}
	autostart->busy = true;
	if (!job_start(
		autostart->ctx->jobs, WORK_AUTOSTART, &req, NULL, "", NULL, done, autostart, &err))
		done(autostart, NULL, &err);
}

/* The first that is to be booted; NULL for none by now. *left: of some it is open whose they are.
 */
static struct vm_stay *
find_next(struct autostart *autostart, bool *left)
{
	*left = false;
	for (size_t i = 0; i < autostart->n_vms; i++) {
		struct vm_stay *vm = &autostart->vms[i];

		if (!str_empty(vm->why))
			continue;
		if (!keeper_is_undecided(autostart->ctx->keeper, vm->uuid))
			return vm;
		*left = true;
	}
	return NULL;
}

/* It needs nothing more. */
static void
drop(struct autostart *autostart, struct vm_stay *vm)
{
	size_t at = (size_t)(vm - autostart->vms);

	model_clear(&vm_stay_model, vm);
	memmove(vm, vm + 1, (autostart->n_vms - at - 1) * sizeof(*vm));
	autostart->n_vms--;
	autostart->tries = 0;
}

/* The others do not wait for it. */
static void
put_last(struct autostart *autostart, struct vm_stay *vm)
{
	size_t at = (size_t)(vm - autostart->vms);
	struct vm_stay moved = *vm;

	memmove(vm, vm + 1, (autostart->n_vms - at - 1) * sizeof(*vm));
	autostart->vms[autostart->n_vms - 1] = moved;
	autostart->tries = 0;
}

static void
fail(struct autostart *autostart, struct vm_stay *vm, const char *why)
{
	str_set(&vm->why, why);
	autostart->tries = 0;
	log_error("autostart",
	    "VM '%s', which is wanted on, did not start after the boot of this host, and is not "
	    "tried again: %s",
	    vm->uuid, why);
	tell_failed(autostart, vm);
}

static void
on_booted(void *arg, const struct error *err)
{
	struct autostart *autostart = arg;
	struct vm_stay *vm = autostart->booting;

	autostart->next = monotonic_ms() + autostart->ctx->config->ha_boot_delay * INT64_C(1000);
	if (own_boot_was_unable(err) && ++autostart->tries < TRIES_MAX) {
		autostart->next = monotonic_ms() + AGAIN_MS;
		set_state(autostart, STATE_NEXT);
		return;
	}
	/* A host that was about to take it over holds its leases for a moment. */
	if (!own_boot_is_done(err) && !own_boot_was_unable(err) && own_boot_may_succeed(err) &&
	    monotonic_ms() < autostart->give_up) {
		log_info("autostart", "VM '%s' is tried again: %s", vm->uuid, err->detail);
		put_last(autostart, vm);
		autostart->next = monotonic_ms() + AGAIN_MS;
		set_state(autostart, STATE_NEXT);
		return;
	}
	if (own_boot_is_done(err))
		drop(autostart, vm);
	else
		fail(autostart, vm, err->detail);
	set_state(autostart, STATE_KEEPING);
}

static const struct task_owner task_owner = { .ended = on_booted };

static void
look_next(struct autostart *autostart)
{
	bool left;
	struct vm_stay *vm = find_next(autostart, &left);

	if (!vm && left)
		return;
	if (!vm) {
		set_state(autostart, STATE_OVER);
		timer_stop(autostart->timer);
		return;
	}
	if (!own_boot_is_ready(autostart->ctx) || jobs_busy(autostart->ctx->jobs, vm->uuid))
		return;
	if (own_boot_is_due(
		autostart->ctx, inventory_find_vm(autostart->ctx->inventory, vm->uuid))) {
		set_state(autostart, STATE_BOOTING);
		autostart->booting = vm;
		own_boot_start(autostart->ctx, vm->uuid, &task_owner, autostart);
	} else {
		drop(autostart, vm);
		set_state(autostart, STATE_KEEPING);
	}
}

static void
on_look(void *arg)
{
	struct autostart *autostart = arg;

	if (autostart->busy || monotonic_ms() < autostart->next)
		return;
	switch (autostart->state) {
	case STATE_WAITING:
		if (!own_boot_is_ready(autostart->ctx))
			break;
		set_state(autostart, STATE_ASKING);
		start_job(autostart, false, on_asked);
		break;
	case STATE_KEEPING:
		start_job(autostart, true, on_kept);
		break;
	case STATE_NEXT:
		look_next(autostart);
		break;
	default:
		break;
	}
}

struct autostart *
autostart_new(struct context *ctx)
{
	struct autostart *autostart = xcalloc(1, sizeof(*autostart));

	autostart->ctx = ctx;
	autostart->timer = timer_new(ctx->base, on_look, autostart);
	timer_every(autostart->timer, LOOK_MS);
	return autostart;
}

void
autostart_free(struct autostart *autostart)
{
	if (!autostart)
		return;
	timer_free(autostart->timer);
	clear_vms(autostart);
	free(autostart);
}

bool
autostart_is_over(const struct autostart *autostart)
{
	return autostart->state == STATE_OVER;
}
