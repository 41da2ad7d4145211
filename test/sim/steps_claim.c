/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A dead host's VM becomes this host's. */
#include "history.h"
#include "lockspace.h"
#include "steps.h"

static enum step
unclaimed(struct child *child, enum claim_outcome outcome)
{
	struct vm_claim_result *res = child->result;

	res->outcome = outcome;
	res->why = xstrdup(enum_word(&claim_outcome_enum, outcome));
	return STEP_DONE;
}

static int
claim_from(const struct child *child)
{
	const struct vm_claim_request *req = child->request;

	return world_host(req->from);
}

/* Whether it is still where it is claimed from, and nothing of it is open there; else the end. */
static bool
claim_may(struct child *child, enum claim_outcome *outcome)
{
	const struct world_vm *vm = child->vm;
	int from = claim_from(child);

	if (!vm || from == WORLD_NOBODY || !vm->registry[from])
		*outcome = CLAIM_LOST;
	else if (child->vm->domain[child->host].on)
		*outcome = CLAIM_HELD;
	else if (vm->journal[from].there)
		*outcome = CLAIM_UNSETTLED;
	else
		return true;
	return false;
}

static enum step
claim_find(struct child *child)
{
	enum claim_outcome outcome;

	if (child->vm && child->vm->registry[child->host])
		return STEP_NEXT;
	if (!claim_may(child, &outcome))
		return unclaimed(child, outcome);
	if (!world_take_lease(child->vm, child->host))
		return unclaimed(child, CLAIM_HELD);
	child->holds = true;
	return STEP_NEXT;
}

static enum step
claim_confirm(struct child *child)
{
	enum claim_outcome outcome;

	if (!child->holds)
		return STEP_NEXT;
	if (!claim_may(child, &outcome))
		return unclaimed(child, outcome);
	/* sanlock may have given up meanwhile. */
	return world_take_lease(child->vm, child->host) ? STEP_NEXT : unclaimed(child, CLAIM_HELD);
}

static enum step
claim_journal(struct child *child)
{
	if (!child->holds)
		return STEP_NEXT;
	step_set_stage(child, WORK_STAGE_BEGUN);
	child->target = claim_from(child);
	step_save_journal(child, WORLD_OP_FAILOVER);
	world_changed(child->vm);
	return STEP_NEXT;
}

static enum step
claim_take(struct child *child)
{
	struct world_vm *vm = child->vm;

	if (!child->holds)
		return STEP_NEXT;
	if (!vm->registry[child->target]) {
		vm->journal[child->host].there = false;
		step_set_stage(child, WORK_STAGE_NONE);
		return unclaimed(child, CLAIM_LOST);
	}
	if (lockspace_lives(child->target))
		history_violation(
		    "VM %.8s is taken from h%d, which lives", vm->uuid, child->target + 1);
	vm->registry[child->target] = false;
	vm->registry[child->host] = true;
	/* What its old host has of it is nobody's where it is deleted before that is back. */
	vm->by_hand |= vm->domain[child->target].defined;
	world_changed(vm);
	return STEP_NEXT;
}

static enum step
claim_define(struct child *child)
{
	if (child->vm->domain[child->host].defined)
		return STEP_NEXT;
	if (!step_has_libvirt(child))
		return step_fail(child, 424, "cannot define VM '%s'", child->vm->uuid);
	libvirt_define(child->vm, child->host);
	return STEP_NEXT;
}

static enum step
claim_end(struct child *child)
{
	struct vm_claim_result *res = child->result;

	step_set_stage(child, WORK_STAGE_DONE);
	child->vm->journal[child->host].there = false;
	world_changed(child->vm);
	res->outcome = CLAIM_CLAIMED;
	res->want_on = child->vm->wanted;
	return STEP_NEXT;
}

const step_fn steps_claim[] = { step_lock, step_open_libvirt, step_recover, claim_find,
	claim_confirm, claim_journal, claim_take, claim_define, claim_end, step_report, NULL };
