/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The steps that several works share. */
#include "steps.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "history.h"
#include "host.h"
#include "net.h"

#define COMING_MS 10000 /* as vm_owner.c has it */

enum step
step_fail(struct child *child, int status, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	error_set(&child->err, status, "%s", text);
	free(text);
	return STEP_FAIL;
}

enum step
step_fail_storage(struct child *child)
{
	return step_fail(child, 507, "the storage fails: Input/output error");
}

/* Each request of a VM's job begins with the environment and its uuid. */
static const char *
uuid_of(const struct child *child)
{
	const struct vm_request *req = child->request;

	return req->uuid;
}

enum step
step_lock(struct child *child)
{
	const struct child *other;

	child->vm = world_find(uuid_of(child));
	if (!child->vm)
		return STEP_NEXT;
	other = child->vm->lock[child->host];
	if (!other) {
		child->vm->lock[child->host] = child;
		return STEP_NEXT;
	}
	if (other->start == child->start)
		history_violation("two jobs of one virtxd work on VM %.8s at once: %s and %s",
		    child->vm->uuid, other->work->name, child->work->name);
	return step_fail(child, 409,
	    "another operation on VM '%s' is under way: a job of an earlier virtxd still runs",
	    uuid_of(child));
}

enum step
step_open_libvirt(struct child *child)
{
	child->libvirt = libvirt_number(child->host);
	return libvirt_is_up(child->host) ? STEP_NEXT
					  : step_fail(child, 503, "cannot connect to libvirt");
}

bool
step_has_libvirt(const struct child *child)
{
	return libvirt_is_up(child->host) && libvirt_number(child->host) == child->libvirt;
}

enum step
step_find(struct child *child)
{
	if (!step_has_libvirt(child))
		return step_fail(child, 424, "cannot look up VM '%s'", uuid_of(child));
	if (child->vm &&
	    (child->vm->domain[child->host].defined || child->vm->domain[child->host].on))
		return STEP_NEXT;
	error_set_type(&child->err, ERROR_NOT_FOUND, "no VM '%s' on this host", uuid_of(child));
	return STEP_FAIL;
}

enum step_place
step_place(const struct world_vm *vm, int host, int *other)
{
	const struct world_journal *journal;

	*other = WORLD_NOBODY;
	if (!vm)
		return PLACE_NOWHERE;
	*other = world_registered(vm, host);
	if (vm->registry[host])
		return PLACE_HERE;
	if (*other == WORLD_NOBODY)
		return PLACE_NOWHERE;
	journal = &vm->journal[*other];
	return journal->there && journal->op == WORLD_OP_MIGRATE && journal->target == host
		   ? PLACE_COMING
		   : PLACE_ELSEWHERE;
}

static bool
came_just_now(const struct world_vm *vm, int host)
{
	const struct world_log *log = &vm->domain[host].log[WORLD_OP_MIGRATE];
	int64_t age = clock_wall(host) - log->ts;

	return log->status && str_equal(log->msg, world.hosts[host]) && age < COMING_MS &&
	       age > -COMING_MS;
}

bool
step_is_leftover(const struct world_vm *vm, int host)
{
	int other;

	return step_place(vm, host, &other) == PLACE_ELSEWHERE && vm->domain[host].defined &&
	       !vm->domain[host].on && !came_just_now(vm, host);
}

/* As vm_owner_take. */
static void
take(struct world_vm *vm, int host)
{
	const struct world_domain *domain = &vm->domain[host];
	int other;
	enum step_place place = step_place(vm, host, &other);
	enum vmrunstate runstate = world_runstate(domain);

	if ((place != PLACE_COMING && place != PLACE_ELSEWHERE) || !domain->on ||
	    !domain->defined || (runstate != VMRUNSTATE_RUNNING && runstate != VMRUNSTATE_PAUSED) ||
	    (place != PLACE_COMING && vm->holder != host))
		return;
	vm->registry[other] = false;
	vm->registry[host] = true;
	world_changed(vm);
}

enum step
step_check_owner(struct child *child)
{
	int other;

	take(child->vm, child->host);
	switch (step_place(child->vm, child->host, &other)) {
	case PLACE_HERE:
		if (other != WORLD_NOBODY)
			return step_fail(
			    child, 409, "VM '%s' is registered under two hosts", child->vm->uuid);
		break;
	case PLACE_NOWHERE:
		return step_fail(
		    child, 422, "VM '%s' is registered under no host", child->vm->uuid);
	case PLACE_COMING:
		return step_fail(child, 409, "VM '%s' is on its way here", child->vm->uuid);
	case PLACE_ELSEWHERE:
		return step_fail(child, 422, "VM '%s' is registered under host '%s'",
		    child->vm->uuid, world.hosts[other]);
	}
	if (child->vm->lease || child->id == WORK_VM_DELETE)
		return STEP_NEXT;
	return step_fail(child, 507, "the disk of VM '%s' has no lease", child->vm->uuid);
}

void
step_report_vm(const struct world_vm *vm, int host, struct vm_report *ret)
{
	const struct world_domain *domain = &vm->domain[host];

	ret->uuid = xstrdup(vm->uuid);
	ret->runstate = world_runstate(domain);
	ret->reason = xstrdup("");
	ret->has_def = true;
	model_copy(&vmdef_model, &ret->def, &vm->def);
	if (world.ha) {
		ret->recorded = domain->defined;
		ret->want = vm->wanted ? WANT_ON : WANT_OFF;
	}
	for (int op = 0; op < WORLD_OPS_LOGGED; op++) {
		const struct world_log *log = &domain->log[op];
		struct oplog_item *item;

		if (!log->status)
			continue;
		item = model_append(&ret->oplog.items, &ret->oplog.n_items);
		item->op = xstrdup(world_op_names[op]);
		item->ts = log->ts;
		item->te = log->te;
		item->status = xstrdup(log->status);
		item->msg = xstrdup(log->msg);
	}
}

enum step
step_report(struct child *child)
{
	struct vm_result *res = child->result;

	if (step_find(child) == STEP_FAIL)
		return STEP_FAIL;
	step_report_vm(child->vm, child->host, &res->vm);
	return STEP_NEXT;
}

enum step
step_has_looked(struct child *child)
{
	return STEP_NEXT;
}

enum step
step_roll_forward(struct child *child)
{
	struct world_vm *vm = child->vm;
	struct world_journal *journal = &vm->journal[child->host];
	struct world_domain *domain = &vm->domain[child->host];

	if (journal->op == WORLD_OP_DELETE) {
		if (domain->on)
			return step_fail(child, 422, "VM '%s' is on", vm->uuid);
		if (domain->defined && !step_has_libvirt(child))
			return step_fail(child, 424, "cannot undefine VM '%s'", vm->uuid);
		if (domain->defined) {
			libvirt_undefine(vm, child->host);
			return STEP_AGAIN;
		}
		if (vm->lease || vm->image) {
			vm->image = vm->image && !journal->deletestorage;
			vm->lease = false;
			return STEP_AGAIN;
		}
		if (vm->registry[child->host]) {
			vm->registry[child->host] = false;
			world_changed(vm);
			return STEP_AGAIN;
		}
	}
	journal->there = false;
	world_changed(vm);
	return STEP_NEXT;
}

static enum step
roll_back(struct child *child)
{
	struct world_vm *vm = child->vm;

	if (vm->domain[child->host].defined || vm->domain[child->host].on) {
		if (vm->domain[child->host].on || !step_has_libvirt(child))
			return step_fail(child, 424, "cannot undefine VM '%s'", vm->uuid);
		libvirt_undefine(vm, child->host);
	} else if (vm->registry[child->host]) {
		vm->registry[child->host] = false;
		world_changed(vm);
	} else if (vm->lease || vm->image) {
		vm->lease = vm->image = false;
	} else {
		vm->journal[child->host].there = false;
		world_changed(vm);
		return STEP_NEXT;
	}
	return STEP_AGAIN;
}

/* What was decided of an earlier migration says nothing of the job's own. */
static enum step
settle_earlier(struct child *child)
{
	enum step step = step_settle(child);

	if (step == STEP_NEXT)
		child->decided = DECIDED_NOTHING;
	return step;
}

enum step
step_recover(struct child *child)
{
	struct world_vm *vm = child->vm;
	struct world_journal *journal;
	struct world_domain *domain;
	int other;
	enum step_place place;

	if (!vm || !vm->journal[child->host].there)
		return STEP_NEXT;
	if (!step_has_libvirt(child))
		return step_fail(child, 424, "cannot look up VM '%s'", vm->uuid);
	journal = &vm->journal[child->host];
	domain = &vm->domain[child->host];
	if (journal->op == WORLD_OP_MIGRATE)
		return settle_earlier(child);
	place = step_place(vm, child->host, &other);
	if (place == PLACE_ELSEWHERE || place == PLACE_COMING) {
		journal->there = false;
		world_changed(vm);
		return STEP_NEXT;
	}
	if (journal->op == WORLD_OP_FAILOVER && place == PLACE_HERE && !domain->defined) {
		libvirt_define(vm, child->host);
		return STEP_AGAIN;
	}
	if (journal->op == WORLD_OP_CREATE &&
	    !(domain->on || (domain->defined && vm->registry[child->host])))
		return roll_back(child);
	if (journal->op == WORLD_OP_CREATE && !vm->registry[child->host]) {
		vm->registry[child->host] = true;
		world_changed(vm);
		return STEP_AGAIN;
	}
	return step_roll_forward(child);
}

/* A migration */

static bool
is_registered_elsewhere(const struct child *child)
{
	int other;
	enum step_place place = step_place(child->vm, child->host, &other);

	return place == PLACE_ELSEWHERE || place == PLACE_COMING;
}

/* The registry's file goes after the VM, and the journal last. */
static enum step
hand_over(struct child *child)
{
	struct world_vm *vm = child->vm;
	struct world_journal *journal = &vm->journal[child->host];

	if (child->decided != DECIDED_HANDED) {
		if (vm->registry[child->host]) {
			vm->registry[child->host] = false;
			vm->registry[journal->target] = true;
			world_changed(vm);
		}
		child->decided = DECIDED_HANDED;
		return STEP_AGAIN;
	}
	journal->there = false;
	world_changed(vm);
	child->moved = true;
	return STEP_NEXT;
}

static enum step
leave(struct child *child)
{
	struct world_domain *domain = &child->vm->domain[child->host];

	if ((domain->on || domain->defined) && !step_has_libvirt(child))
		return step_fail(child, 424, "cannot end VM '%s' here", child->vm->uuid);
	if (domain->on) {
		libvirt_destroy(child->vm, child->host);
		return STEP_AGAIN;
	}
	child->decided = DECIDED_HAND;
	if (!domain->defined)
		return hand_over(child);
	libvirt_undefine(child->vm, child->host);
	return STEP_AGAIN;
}

static enum step
stay(struct child *child)
{
	struct world_vm *vm = child->vm;
	struct world_domain *domain = &vm->domain[child->host];

	if (domain->on && domain->stands && domain->why == WORLD_PAUSED_BY_MIGRATION) {
		if (!step_has_libvirt(child))
			return step_fail(child, 424, "VM '%s' cannot be resumed", vm->uuid);
		/* Another had its lease meanwhile: whoever resumes it is told. */
		if (!libvirt_resume(vm, child->host))
			domain->why = WORLD_PAUSED_BY_USER;
		return STEP_AGAIN;
	}
	vm->journal[child->host].there = false;
	world_changed(vm);
	child->moved = false;
	return STEP_NEXT;
}

/* Whether the definition at the target is what this migration has brought. */
static bool
is_brought(const struct world_vm *vm, const struct world_journal *journal)
{
	const struct world_log *log = &vm->domain[journal->target].log[WORLD_OP_MIGRATE];

	return log->status && str_equal(log->msg, world.hosts[journal->target]) &&
	       log->ts == journal->ts;
}

static enum step
cannot_see(struct child *child)
{
	return step_fail(child, 503, "cannot see whether VM '%s' is on host '%s'", child->vm->uuid,
	    world.hosts[child->vm->journal[child->host].target]);
}

static enum step
settle_absent(struct child *child)
{
	struct world_vm *vm = child->vm;
	const struct world_journal *journal = &vm->journal[child->host];
	const struct world_domain *there = &vm->domain[journal->target];

	if (!is_registered_elsewhere(child)) {
		if (!libvirt_is_up(journal->target) || !net_is_open(child->host, journal->target))
			return cannot_see(child);
		if (there->coming)
			return step_fail(child, 409, "VM '%s' is still taken in", vm->uuid);
		if (!(there->defined && (is_brought(vm, journal) || there->on))) {
			child->decided = DECIDED_STAY;
			return stay(child);
		}
	}
	child->decided = DECIDED_HAND;
	return hand_over(child);
}

enum step
step_settle(struct child *child)
{
	struct world_vm *vm = child->vm;
	const struct world_journal *journal = &vm->journal[child->host];
	const struct world_domain *here = &vm->domain[child->host];
	const struct world_domain *there = &vm->domain[journal->target];
	bool moved;

	if (child->decided >= DECIDED_HAND)
		return hand_over(child);
	if (child->decided == DECIDED_LEAVE)
		return leave(child);
	if (child->decided == DECIDED_STAY)
		return stay(child);
	if (!step_has_libvirt(child))
		return step_fail(child, 424, "cannot look up VM '%s'", vm->uuid);
	if (!here->defined && !here->on)
		return settle_absent(child);
	if (here->on && here->is_leaving)
		return step_fail(child, 409, "the migration of VM '%s' goes on", vm->uuid);
	if (here->on && !here->stands) {
		child->decided = DECIDED_STAY;
		return stay(child);
	}
	moved = is_registered_elsewhere(child) && !vm->registry[child->host];
	if (!moved &&
	    (!libvirt_is_up(journal->target) || !net_is_open(child->host, journal->target)))
		return cannot_see(child);
	if (!moved && (there->coming || (here->on && there->defined && there->on &&
					    world_runstate(there) == VMRUNSTATE_MIGRATING)))
		return step_fail(child, 409, "VM '%s' is still taken in", vm->uuid);
	if (!moved)
		moved = there->defined && (there->on || (!here->on && is_brought(vm, journal)));
	child->decided = moved ? DECIDED_LEAVE : DECIDED_STAY;
	return moved ? leave(child) : stay(child);
}

const step_fn steps_on_storage[] = { step_check_owner, step_recover, step_roll_forward, NULL };
