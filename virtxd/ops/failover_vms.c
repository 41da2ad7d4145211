/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/failover_vms.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "loop/timer.h"
#include "ops/own_boot.h"
#include "ops/recovery.h"
#include "proto/log.h"
#include "state/placement.h"
#include "state/reservation.h"

#define LOOK_MS	 5000  /* until a VM whose turn has not come is looked at again */
#define AGAIN_MS 10000 /* until what is held or not settled is asked again */
#define RETRY_MS 5000  /* until a boot is tried again */

enum state {
	STATE_WAITING,
	STATE_CLAIMING,
	STATE_CLAIMED,
	STATE_BOOTING,
	STATE_OVER,
	STATE_N,
};

static const char *const state_names[STATE_N] = { "waiting", "claiming", "claimed", "booting",
	"over" };

/* As in the header. */
static const unsigned int transitions[STATE_N] = {
	[STATE_WAITING] = 1 << STATE_CLAIMING | 1 << STATE_OVER,
	[STATE_CLAIMING] = 1 << STATE_WAITING | 1 << STATE_CLAIMED | 1 << STATE_OVER,
	[STATE_CLAIMED] = 1 << STATE_BOOTING | 1 << STATE_OVER,
	[STATE_BOOTING] = 1 << STATE_CLAIMED | 1 << STATE_OVER,
	[STATE_OVER] = 1 << STATE_WAITING,
};

static const char *const result_words[FAILOVER_RESULT_N] = {
	[FAILOVER_WAITS] = "waits",
	[FAILOVER_BOOTED] = "booted",
	[FAILOVER_UNWANTED] = "unwanted",
	[FAILOVER_UNBOOTED] = "unbooted",
	[FAILOVER_LOST] = "lost",
	[FAILOVER_HELD] = "held",
	[FAILOVER_UNSETTLED] = "unsettled",
	[FAILOVER_REFUSED] = "refused",
	[FAILOVER_NO_ROOM] = "no room",
};
const struct enumdef failover_result_enum = { "FailoverResult", result_words, FAILOVER_RESULT_N };

struct failover_vm {
	struct failover_vms *list;
	char uuid[UUID_TEXT_SIZE];
	struct vmdef def; /* name, cpudef, memory and custom alone; of one that is restored nothing
			   */
	enum state state;
	enum failover_result result;  /* while it waits: why, or how it went the last time */
	enum failover_result counted; /* how it went when it was over last */
	char *why;
	bool ended;	 /* since the last step */
	int64_t due;	 /* monotonic ms, nothing is done before */
	int64_t give_up; /* monotonic ms, it is not tried again after; 0: it was not tried yet */
	uint64_t mark;	 /* of the inventory, when the claim began */
	uint64_t reservation; /* of a claim that is under way, or of which the end is not known */
};

struct failover_vms {
	struct context *ctx;
	struct failover_count *count;
	char host[UUID_TEXT_SIZE]; /* "" of those that are restored */
	int64_t since;		   /* monotonic ms */
	int64_t began;		   /* when it was first proved, monotonic ms; 0: not yet */
	struct failover_vm *vms;   /* in their order */
	size_t n_vms;
	size_t next;		 /* the first that the last step has not come to */
	struct planner *planner; /* of this step, until one is claimed */
};

static bool
is_under_way(const struct failover_vm *vm)
{
	return vm->state == STATE_CLAIMING || vm->state == STATE_CLAIMED ||
	       vm->state == STATE_BOOTING;
}

/* A virtxd before this one may have claimed it. */
static bool
is_restored(const struct failover_vm *vm)
{
	return str_empty(vm->list->host);
}

static void
set_state(struct failover_vm *vm, enum state state)
{
	bool before = is_under_way(vm);

	assert(transitions[vm->state] & 1U << state);
	log_debug("failover", "VM '%s': %s, then %s", vm->uuid, state_names[vm->state],
	    state_names[state]);
	vm->state = state;
	/* Of those that are restored only few may be this host's. */
	if (before != is_under_way(vm) && !is_restored(vm))
		vm->list->count->at_once += before ? -1U : 1U;
}

static void
set_result(struct failover_vm *vm, enum failover_result result, const char *why)
{
	if (vm->result != result || !str_equal(vm->why, why))
		log_info("failover", "VM '%s' of host '%s': %s%s%s", vm->uuid, vm->list->host,
		    result_words[result], str_empty(why) ? "" : ": ", str_or_empty(why));
	vm->result = result;
	str_set(&vm->why, why);
}

/* It is over with this result. */
static void
settle(struct failover_vm *vm, enum failover_result result, const char *why)
{
	struct failover_count *count = vm->list->count;

	set_result(vm, result, why);
	/* What goes the same way each time is one. */
	if (vm->counted != result && (!is_restored(vm) || result != FAILOVER_LOST))
		count->results[result]++;
	vm->counted = result;
	reservation_cancel(vm->list->ctx->inventory, vm->reservation);
	if (result == FAILOVER_BOOTED && !is_restored(vm))
		count->booted_ms += monotonic_ms() - vm->list->since;
	vm->ended = true;
	set_state(vm, STATE_OVER);
}

/* Choosing */

/* What all hosts have in common: no clock, and no order of names. */
static uint64_t
weight(const char *vm, const char *host)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	for (const char *p = vm; *p; p++)
		hash = (hash ^ (unsigned char)*p) * UINT64_C(1099511628211);
	for (const char *p = host; *p; p++)
		hash = (hash ^ (unsigned char)*p) * UINT64_C(1099511628211);
	/* The last letters of two names count as much as the first. */
	hash ^= hash >> 33;
	hash *= UINT64_C(0xff51afd7ed558ccd);
	return hash ^ hash >> 33;
}

bool
failover_is_before(const char *vm, const char *a, const char *b)
{
	uint64_t x = weight(vm, a), y = weight(vm, b);

	return x != y ? x > y : strcmp(a, b) < 0;
}

/* The hosts with room for it that are armed and take VMs over: how many come before this one, -1
 * where this one is not among them. *any: there are some at all; else *ret_why says what keeps
 * each. */
static int
find_rank(const struct failover_vm *vm, bool *any, char **ret_why)
{
	struct context *ctx = vm->list->ctx;
	const char *self = inventory_self(ctx->inventory);
	const struct placement_need need = {
		.vm = vm->uuid,
		.from = vm->list->host,
		.target = "",
		.def = &vm->def,
		.look = true,
	};
	struct placement placement = { 0 };
	struct error ignored = { 0 };
	struct host_ha ha;
	bool here = false;
	int rank = 0;

	*any = false;
	if (!vm->list->planner)
		vm->list->planner = planner_new(ctx->inventory);
	planner_place(vm->list->planner, &need, &placement, &ignored);
	for (size_t i = 0; i < placement.n_candidates; i++) {
		const struct placement_candidate *candidate = &placement.candidates[i];
		bool own = str_equal(candidate->host, self);

		inventory_get_ha(ctx->inventory, candidate->host, &ha);
		/* Another one that is off would not come for its turn. */
		if (!candidate->feasible || !ha.armed ||
		    (!own && inventory_is_ha_off(ctx->inventory, candidate->host)))
			continue;
		*any = true;
		if (own)
			here = true;
		else if (failover_is_before(vm->uuid, candidate->host, self))
			rank++;
	}
	*ret_why = *any ? NULL
		   : str_empty(placement.host)
		       ? xstrdup(placement.reason)
		       : xstrdup("no host that has room for it is armed and takes VMs over");
	model_clear(&placement_model, &placement);
	return here ? rank : -1;
}

/* What was looked at is old. */
static void
forget_planner(struct failover_vms *list)
{
	planner_free(list->planner);
	list->planner = NULL;
}

/* Claiming */

/* What was not to be had is asked for again, for a while. */
static void
try_again(struct failover_vm *vm, enum failover_result result, const char *why)
{
	int64_t now = monotonic_ms();

	if (now >= vm->give_up) {
		settle(vm, result, why);
		return;
	}
	set_result(vm, result, why);
	vm->due = now + AGAIN_MS;
	set_state(vm, STATE_WAITING);
}

static void
on_taken(struct failover_vm *vm, const struct vm_claim_result *res)
{
	struct inventory *inventory = vm->list->ctx->inventory;

	inventory_report_vm(inventory, vm->mark, true, &res->result.vm);
	reservation_settle(inventory, vm->reservation, vm->uuid);
	if (!str_empty(res->result.warning))
		log_warning("failover", "VM '%s': %s", vm->uuid, res->result.warning);
	if (!res->want_on) {
		settle(vm, FAILOVER_UNWANTED, "it is this host's now, and off");
		return;
	}
	log_notice("failover", "VM '%s' of host '%s' is this host's now, and is booted", vm->uuid,
	    vm->list->host);
	set_result(vm, FAILOVER_WAITS, "it is booted");
	vm->due = 0;
	vm->give_up = monotonic_ms() + FAILOVER_TRIES_MS;
	set_state(vm, STATE_CLAIMED);
}

static void
on_claimed(void *arg, void *result, const struct error *err)
{
	struct failover_vm *vm = arg;
	struct context *ctx = vm->list->ctx;
	const struct vm_claim_result *res = result;

	if (res && res->outcome == CLAIM_CLAIMED) {
		on_taken(vm, res);
		return;
	}
	/* One that died may have done all of it but to tell, or half of it: its room is kept. */
	if (!res) {
		keeper_heal(ctx->keeper, vm->uuid);
		try_again(vm, FAILOVER_UNSETTLED, err->detail);
		return;
	}
	reservation_cancel(ctx->inventory, vm->reservation);
	switch (res->outcome) {
	case CLAIM_LOST:
		settle(vm, FAILOVER_LOST, res->why);
		break;
	case CLAIM_HELD:
		try_again(vm, FAILOVER_HELD, res->why);
		break;
	case CLAIM_UNSETTLED:
		try_again(vm, FAILOVER_UNSETTLED, res->why);
		break;
	default:
		settle(vm, FAILOVER_REFUSED, res->why);
		break;
	}
}

static void
claim(struct failover_vm *vm)
{
	struct context *ctx = vm->list->ctx;
	struct vm_claim_request req = { .uuid = vm->uuid, .from = vm->list->host };
	struct error err = { 0 };

	if (!vm->give_up)
		vm->give_up = monotonic_ms() + FAILOVER_TRIES_MS;
	vm->mark = inventory_mark(ctx->inventory);
	vm->reservation =
	    reservation_add(ctx->inventory, inventory_self(ctx->inventory), vm->uuid, &vm->def);
	forget_planner(vm->list);
	set_state(vm, STATE_CLAIMING);
	if (!job_start(ctx->jobs, WORK_VM_CLAIM, &req, vm->uuid, "", NULL, on_claimed, vm, &err))
		on_claimed(vm, NULL, &err);
}

/* The host that has it by now, where that is neither this one nor the dead one. */
static const char *
find_owner(const struct failover_vm *vm)
{
	const struct inventory_vm *view = inventory_find_vm(vm->list->ctx->inventory, vm->uuid);
	const char *host = view ? str_or_empty(view->vm.runinfo.host) : "";

	return !*host || str_equal(host, vm->list->host) ? NULL : host;
}

static bool
is_claimed_already(const struct failover_vm *vm)
{
	const struct inventory_vm *view = inventory_find_vm(vm->list->ctx->inventory, vm->uuid);

	return view && view->local;
}

static void
look_waiting(struct failover_vm *vm, int64_t now)
{
	struct context *ctx = vm->list->ctx;
	const char *owner = find_owner(vm);
	_free_ char *why = NULL;
	bool any;
	int rank;

	if (is_claimed_already(vm)) {
		reservation_settle(ctx->inventory, vm->reservation, vm->uuid);
		vm->give_up = now + FAILOVER_TRIES_MS;
		set_state(vm, STATE_CLAIMING);
		set_state(vm, STATE_CLAIMED);
		return;
	}
	if (owner) {
		why = xasprintf("host '%s' has it", owner);
		settle(vm, FAILOVER_LOST, why);
		return;
	}
	/* How the last claim ended is being found out. */
	if (jobs_busy(ctx->jobs, vm->uuid)) {
		vm->due = now + LOOK_MS;
		return;
	}
	reservation_cancel(ctx->inventory, vm->reservation);
	rank = find_rank(vm, &any, &why);
	if (!any && vm->result != FAILOVER_NO_ROOM)
		vm->list->count->results[FAILOVER_NO_ROOM]++;
	if (!any)
		set_result(vm, FAILOVER_NO_ROOM, why);
	else if (vm->result == FAILOVER_NO_ROOM)
		set_result(vm, FAILOVER_WAITS, "");
	if (rank < 0 || now < vm->list->began + rank * (int64_t)FAILOVER_RANK_MS) {
		vm->due = now + LOOK_MS;
		return;
	}
	claim(vm);
}

/* Booting */

static void
on_booted(void *arg, const struct error *err)
{
	struct failover_vm *vm = arg;
	int64_t now = monotonic_ms();

	if (own_boot_is_done(err)) {
		settle(vm, FAILOVER_BOOTED, "");
	} else if (now < vm->give_up && own_boot_may_succeed(err)) {
		set_result(vm, FAILOVER_WAITS, err->detail);
		vm->due = now + RETRY_MS;
		set_state(vm, STATE_CLAIMED);
	} else {
		_free_ char *why = xasprintf(
		    "did not start after it was taken over from host '%s', which is not tried "
		    "again: %s",
		    vm->list->host, err->detail);

		log_error("failover", "VM '%s' %s", vm->uuid, why);
		inventory_set_unstarted(vm->list->ctx->inventory, vm->uuid, why);
		settle(vm, FAILOVER_UNBOOTED, err->detail);
	}
}

static const struct task_owner task_owner = { .ended = on_booted };

static void
look_claimed(struct failover_vm *vm, int64_t now)
{
	struct context *ctx = vm->list->ctx;
	const struct inventory_vm *view = inventory_find_vm(ctx->inventory, vm->uuid);
	bool here = view && view->local;

	if (here && !recovery_is_off(view->vm.runinfo.runstate)) {
		settle(vm, FAILOVER_BOOTED, "");
	} else if (here && view->recorded && view->vm.want == WANT_OFF) {
		settle(vm, FAILOVER_UNWANTED, "it is this host's now, and off");
	} else if (!own_boot_is_ready(ctx)) {
		vm->give_up = now + FAILOVER_TRIES_MS;
		vm->due = now + RETRY_MS;
	} else if (own_boot_is_due(ctx, view) && !keeper_is_undecided(ctx->keeper, vm->uuid) &&
		   !jobs_busy(ctx->jobs, vm->uuid)) {
		set_state(vm, STATE_BOOTING);
		own_boot_start(ctx, vm->uuid, &task_owner, vm);
	} else if (now >= vm->give_up && !here) {
		settle(vm, FAILOVER_LOST, "it is not this host's");
	} else if (now >= vm->give_up) {
		settle(vm, FAILOVER_UNBOOTED, "it could not be booted in time");
	} else {
		keeper_vm_changed(ctx->keeper, vm->uuid, VMRUNSTATE_NONE, false);
		vm->due = now + RETRY_MS;
	}
}

/* All of them */

static struct failover_vms *
list_new(struct context *ctx, struct failover_count *count, const char *host, size_t n)
{
	struct failover_vms *list = xcalloc(1, sizeof(*list));

	list->ctx = ctx;
	list->count = count;
	snprintf(list->host, sizeof(list->host), "%s", host);
	list->vms = xcalloc(n + 1, sizeof(*list->vms));
	list->n_vms = n;
	for (size_t i = 0; i < n; i++) {
		list->vms[i].list = list;
		list->vms[i].why = xstrdup("");
	}
	return list;
}

/* Its definition is taken out of found. */
static void
take_found(struct failover_vm *vm, struct host_vm *found)
{
	snprintf(vm->uuid, sizeof(vm->uuid), "%s", str_or_empty(found->uuid));
	model_clear(&vmdef_model, &vm->def);
	vm->def = found->def;
	found->def = (struct vmdef){ 0 };
}

struct failover_vms *
failover_vms_new(struct context *ctx, struct failover_count *count, const char *host,
    struct host_vms_result *found, int64_t since)
{
	struct failover_vms *list = list_new(ctx, count, host, found->n_vms);

	list->since = since;
	for (size_t i = 0; i < found->n_vms; i++)
		take_found(&list->vms[i], &found->vms[i]);
	return list;
}

static struct failover_vm *
need(struct failover_vms *list, const char *uuid)
{
	struct failover_vm *vm;

	for (size_t i = 0; i < list->n_vms; i++) {
		if (str_equal(list->vms[i].uuid, uuid))
			return &list->vms[i];
	}
	vm = model_append(&list->vms, &list->n_vms);
	vm->list = list;
	vm->why = xstrdup("");
	return vm;
}

void
failover_vms_add(struct failover_vms *list, struct host_vms_result *found)
{
	list->began = 0;
	for (size_t i = 0; i < found->n_vms; i++) {
		struct failover_vm *vm = need(list, str_or_empty(found->vms[i].uuid));

		take_found(vm, &found->vms[i]);
		vm->due = vm->give_up = 0;
		if (vm->state == STATE_OVER)
			set_state(vm, STATE_WAITING);
		set_result(vm, FAILOVER_WAITS, "");
	}
}

struct failover_vms *
failover_vms_restored(
    struct context *ctx, struct failover_count *count, const struct vm_stay *vms, size_t n)
{
	struct failover_vms *list = list_new(ctx, count, "", n);

	for (size_t i = 0; i < n; i++) {
		struct failover_vm *vm = &list->vms[i];

		snprintf(vm->uuid, sizeof(vm->uuid), "%s", str_or_empty(vms[i].uuid));
		vm->give_up = monotonic_ms() + FAILOVER_TRIES_MS;
		set_state(vm, STATE_CLAIMING);
		set_state(vm, STATE_CLAIMED);
	}
	return list;
}

void
failover_vms_free(struct failover_vms *list)
{
	if (!list)
		return;
	for (size_t i = 0; i < list->n_vms; i++) {
		model_clear(&vmdef_model, &list->vms[i].def);
		free(list->vms[i].why);
	}
	free(list->vms);
	free(list);
}

/* Those that may be claimed, from where the step before has ended. */
static void
step_waiting(struct failover_vms *list, int64_t now)
{
	size_t from = list->next, looks = 0;

	list->next = 0;
	for (size_t k = 0; k < list->n_vms && list->count->at_once < FAILOVER_AT_ONCE; k++) {
		size_t i = (from + k) % list->n_vms;

		if (now < list->vms[i].due || list->vms[i].state != STATE_WAITING)
			continue;
		if (looks == FAILOVER_LOOKS) {
			list->next = i;
			break;
		}
		looks++;
		look_waiting(&list->vms[i], now);
	}
	forget_planner(list);
}

bool
failover_vms_step(struct failover_vms *list, bool proved)
{
	int64_t now = monotonic_ms();
	bool ended = false;

	if (proved && !list->began)
		list->began = now;
	for (size_t i = 0; i < list->n_vms; i++) {
		if (now >= list->vms[i].due && list->vms[i].state == STATE_CLAIMED)
			look_claimed(&list->vms[i], now);
	}
	if (proved && own_boot_is_ready(list->ctx))
		step_waiting(list, now);
	for (size_t i = 0; i < list->n_vms; i++) {
		ended |= list->vms[i].ended;
		list->vms[i].ended = false;
	}
	return ended;
}

void
failover_vms_give_up(struct failover_vms *list, const char *why)
{
	for (size_t i = 0; i < list->n_vms; i++) {
		if (list->vms[i].state == STATE_WAITING)
			settle(&list->vms[i], FAILOVER_LOST, why);
	}
}

bool
failover_vms_are_busy(const struct failover_vms *list)
{
	for (size_t i = 0; i < list->n_vms; i++) {
		if (is_under_way(&list->vms[i]))
			return true;
	}
	return false;
}

bool
failover_vms_are_left(const struct failover_vms *list)
{
	for (size_t i = 0; i < list->n_vms; i++) {
		if (list->vms[i].state != STATE_OVER)
			return true;
	}
	return false;
}

void
failover_vms_each(const struct failover_vms *list,
    void (*each)(void *arg, const struct failover_vm_view *vm), void *arg)
{
	for (size_t i = 0; i < list->n_vms; i++) {
		const struct failover_vm *vm = &list->vms[i];
		const struct failover_vm_view view = { vm->uuid, str_or_empty(vm->def.name),
			vm->result, vm->why, vm->state == STATE_OVER };

		each(arg, &view);
	}
}
