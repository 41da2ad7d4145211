/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checker.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "history.h"
#include "host.h"
#include "libvirt.h"
#include "ops/context.h"
#include "server.h"
#include "state/reservation.h"
#include "steps.h"

#define NOTES_MAX 512

static char started[] = "started";

/* What was so when an operation began. */
struct note {
	int host;
	char id[UUID_TEXT_SIZE];
	int64_t since;
	bool ended;
	bool was_on, was_registered;
	bool was_locked; /* by a job of an earlier virtxd */
	bool was_begun;	 /* an earlier operation, which is not over */
};

static struct note notes[NOTES_MAX];
static size_t n_notes;

/* What libvirt has told a virtxd last of the state of a VM that it has. */
struct told {
	bool counts;
	unsigned int start, libvirt; /* of virtxd, and which libvirtd */
	enum vmrunstate runstate;
	int64_t since; /* it is so, ms */
};

static struct told told[WORLD_VMS][WORLD_HOSTS];

static int died; /* the host that did last; WORLD_NOBODY for none that was armed */
static bool ran_there[WORLD_VMS];

void
checker_reset(void)
{
	n_notes = 0;
	memset(told, 0, sizeof(told));
}

static bool
is_on(const struct world_vm *vm)
{
	for (int i = 0; i < world.n_hosts; i++) {
		if (vm->domain[i].on)
			return true;
	}
	return false;
}

static struct note *
find(int host, const char *id)
{
	for (size_t i = 0; i < n_notes; i++) {
		if (notes[i].host == host && str_equal(notes[i].id, id))
			return &notes[i];
	}
	return NULL;
}

static struct note *
add(int host, const struct operation *operation)
{
	const struct world_vm *vm = world_find(str_or_empty(operation->vm));
	struct note *note;

	for (size_t i = 0; i < n_notes; i++) {
		if (!notes[i].ended)
			continue;
		notes[i] = notes[--n_notes];
		break;
	}
	if (n_notes == NOTES_MAX)
		abort();
	note = &notes[n_notes++];
	*note = (struct note){ .host = host, .since = clock_now() };
	snprintf(note->id, sizeof(note->id), "%s", operation->id);
	note->was_on = vm && is_on(vm);
	note->was_registered = vm && vm->registry[host];
	note->was_begun = vm && vm->journal[host].there;
	note->was_locked = vm && vm->lock[host] && vm->lock[host]->start != host_start(host);
	return note;
}

/* Whether it was so at some time since then, by what the world has noted of its hosts (but: all but
 * one). */
static bool
was_since(const int64_t times[WORLD_HOSTS], int64_t since, int but)
{
	for (int i = 0; i < world.n_hosts; i++) {
		if (i != but && times[i] >= since && times[i] > 0)
			return true;
	}
	return false;
}

/* A cold migration is done by that; what it leaves behind goes later. */
static bool
is_defined_elsewhere(const struct world_vm *vm, int host)
{
	for (int i = 0; i < world.n_hosts; i++) {
		if (i != host && vm->domain[i].defined)
			return true;
	}
	return false;
}

/* Whether what an operation wanted is so, or was so meanwhile. */
static bool
is_true(const struct note *note, const struct operation *operation)
{
	const struct world_vm *vm = world_find(operation->vm);

	if (str_equal(operation->op, "VmCreate"))
		return vm && was_since(vm->was_here, note->since, WORLD_NOBODY);
	if (!vm)
		return false;
	if (str_equal(operation->op, "VmDelete"))
		return vm->was_gone >= note->since;
	if (str_equal(operation->op, "VmBoot"))
		return is_on(vm) || was_since(vm->was_on, note->since, WORLD_NOBODY);
	if (str_equal(operation->op, "VmShutdown"))
		return !is_on(vm) || was_since(vm->was_off, note->since, WORLD_NOBODY);
	if (str_equal(operation->op, "VmMigrate"))
		return world_registered(vm, note->host) != WORLD_NOBODY ||
		       is_defined_elsewhere(vm, note->host) ||
		       was_since(vm->was_here, note->since, note->host) ||
		       was_since(vm->was_on, note->since, note->host);
	return true;
}

static bool
says(const struct operation *operation, const char *text)
{
	return strstr(str_or_empty(operation->msg), text) != NULL;
}

/* A failure that is none, and says nothing of it. */
static bool
is_hidden_success(const struct note *note, const struct operation *operation)
{
	const struct world_vm *vm = world_find(operation->vm);

	if (!vm || says(operation, "not known yet") || says(operation, "is tried again") ||
	    says(operation, "found out again") ||
	    /* What that one did is not this one's doing. */
	    note->was_locked || says(operation, "a job of an earlier virtxd still runs"))
		return false;
	if (str_equal(operation->op, "VmCreate"))
		return (world_is_somewhere(vm) && !world_is_stray(vm)) || vm->lease || vm->image ||
		       vm->journal[note->host].there;
	if (str_equal(operation->op, "VmDelete"))
		return note->was_registered && !world_is_somewhere(vm) &&
		       /* An earlier one was carried to its end. */
		       !note->was_begun && !says(operation, "not here");
	if (str_equal(operation->op, "VmBoot"))
		return !note->was_on && world_runs(vm, note->host) && !says(operation, "the VM is");
	if (str_equal(operation->op, "VmMigrate"))
		return note->was_registered && !vm->registry[note->host] &&
		       world_registered(vm, WORLD_NOBODY) != WORLD_NOBODY &&
		       !says(operation, "not here") &&
		       /* Another host took it over. */
		       !says(operation, "is registered under") &&
		       /* An earlier one took it away: that was carried to its end first. */
		       !(note->was_begun &&
			   (says(operation, "no VM '") || says(operation, "was killed by signal")));
	return false;
}

/* Nothing begins on a VM of which the host knows that it is another's. */
static void
check_is_here(int host, const struct operation *operation)
{
	const struct inventory_vm *view =
	    inventory_find_vm(host_context(host)->inventory, str_or_empty(operation->vm));

	if (view && !view->local)
		history_violation("%s begins on h%d, which knows that VM %.8s is not there",
		    operation->op, host + 1, operation->vm);
}

void
checker_on_operation(int host, const struct operation *operation)
{
	struct note *note = find(host, operation->id);

	if (!note) {
		note = add(host, operation);
		check_is_here(host, operation);
	}
	if (note->ended || str_equal(operation->state, "started"))
		return;
	note->ended = true;
	if (operation->te < operation->ts)
		history_violation(
		    "%s %.8s has ended before it began", operation->op, operation->id);
	history_add(host, "%s %.8s of VM %.8s is %s after %" PRId64 " ms: %.300s", operation->op,
	    operation->id, str_or_empty(operation->vm), operation->state, clock_now() - note->since,
	    str_or_empty(operation->msg));
	if (str_empty(operation->vm))
		return;
	if (str_equal(operation->state, "completed")) {
		if (!is_true(note, operation))
			history_violation("%s of VM %.8s is completed, and is not so",
			    operation->op, operation->vm);
	} else if (is_hidden_success(note, operation)) {
		history_violation("%s of VM %.8s has failed, and is so: %s", operation->op,
		    operation->vm, str_or_empty(operation->msg));
	}
}

/* A guest that was asked to shut down may take its time, and who sees a VM leave waits until it is
 * told where it is. */
static bool
lets_others_begin(const struct note *note, const struct operation *operation)
{
	const struct world_vm *vm = world_find(operation->vm);

	return str_equal(operation->op, "VmShutdown") ||
	       (str_equal(operation->op, "VmMigrate") && vm &&
		   was_since(vm->was_here, note->since, note->host));
}

void
checker_on_job(int host, const char *name, const char *uuid)
{
	const struct operation_list_fields filter = { .state = started, .vm = (char *)uuid };
	struct operation_list list = { 0 };
	size_t n = 0;

	operations_list(host_context(host)->operations, &filter, NULL, &list);
	for (size_t i = 0; i < list.n_items; i++) {
		const struct note *note = find(host, list.items[i].id);

		n += note && !lets_others_begin(note, &list.items[i]);
	}
	if (n > 1)
		history_violation(
		    "job %s begins while another operation on VM %.8s is under way", name, uuid);
	free(list.items);
}

void
checker_on_killed(int host)
{
	for (size_t i = 0; i < n_notes; i++)
		notes[i].ended |= notes[i].host == host;
}

/* Events */

static const struct inventory_vm *
view_of(int host, const char *uuid)
{
	const struct inventory_vm *view = inventory_find_vm(host_context(host)->inventory, uuid);

	return view && view->local ? view : NULL;
}

void
checker_on_event(int host, const char *uuid, enum vmrunstate runstate)
{
	const struct world_vm *vm = world_find(uuid);
	struct told *one = vm ? &told[vm - world.vms][host] : NULL;

	if (!vm || runstate == VMRUNSTATE_NONE)
		return;
	*one = (struct told){
		.counts = view_of(host, uuid) && vm->runstate[host] == runstate &&
			  (runstate == VMRUNSTATE_RUNNING || runstate == VMRUNSTATE_PAUSED ||
			      runstate == VMRUNSTATE_POWEROFF),
		.start = host_start(host),
		.libvirt = libvirt_number(host),
		.runstate = runstate,
		.since = vm->since[host],
	};
}

void
checker_on_result(int host)
{
	for (size_t i = 0; i < world.n_vms; i++) {
		const struct world_vm *vm = &world.vms[i];
		const struct inventory_vm *view = view_of(host, vm->uuid);
		struct told *one = &told[i][host];

		one->counts &= view && one->start == host_start(host) &&
			       one->libvirt == libvirt_number(host) &&
			       one->since == vm->since[host];
		if (one->counts && view->vm.runinfo.runstate != one->runstate)
			history_violation("h%d was told that VM %.8s is %s, and a job that has "
					  "looked before makes it %s",
			    host + 1, vm->uuid, enum_word(&vmrunstate_enum, one->runstate),
			    enum_word(&vmrunstate_enum, view->vm.runinfo.runstate));
	}
}

/* At rest */

static bool
no(char *why, size_t len, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, len, fmt, ap);
	va_end(ap);
	return false;
}

static bool
is_left_alone(const struct world_vm *vm, char *why, size_t len)
{
	int n_registered = 0, n_defined = 0, at = WORLD_NOBODY, defined = WORLD_NOBODY;

	for (int i = 0; i < world.n_hosts; i++) {
		const struct world_domain *domain = &vm->domain[i];

		if (vm->journal[i].there)
			return no(why, len, "VM %.8s has a journal of %s on h%d", vm->uuid,
			    world_op_names[vm->journal[i].op], i + 1);
		if (domain->coming || domain->is_leaving)
			return no(why, len, "VM %.8s is in a migration on h%d", vm->uuid, i + 1);
		for (int op = 0; op < WORLD_OPS_LOGGED; op++) {
			/* A guest that was asked to shut down may never obey. */
			if (domain->defined && str_equal(domain->log[op].status, "started") &&
			    !(op == WORLD_OP_SHUTDOWN && domain->on && !*domain->log[op].msg))
				return no(why, len, "%s of VM %.8s is started in its log on h%d",
				    world_op_names[op], vm->uuid, i + 1);
		}
		if (vm->registry[i])
			at = i;
		if (domain->defined)
			defined = i;
		n_registered += vm->registry[i];
		n_defined += domain->defined;
	}
	if (n_registered == 0 && (n_defined == 0 || world_is_stray(vm)))
		return !(vm->lease || vm->image) ||
		       no(why, len, "VM %.8s is gone, and its disk is left", vm->uuid);
	if (n_registered != 1 || n_defined != 1 || at != defined)
		return no(why, len, "VM %.8s is registered %d times (h%d), defined %d times (h%d)",
		    vm->uuid, n_registered, at + 1, n_defined, defined + 1);
	return (vm->lease && vm->image) || no(why, len, "VM %.8s has no disk", vm->uuid);
}

static bool
is_seen_by(const struct world_vm *vm, int host, char *why, size_t len)
{
	const struct context *ctx = host_context(host);
	const struct inventory_vm *view = inventory_find_vm(ctx->inventory, vm->uuid);
	int at = world_registered(vm, WORLD_NOBODY);
	enum vmrunstate runstate;

	if (world_is_stray(vm))
		return true;
	if (at == WORLD_NOBODY)
		return !view ||
		       no(why, len, "h%d still has VM %.8s, which is gone", host + 1, vm->uuid);
	if (!view)
		return no(why, len, "h%d does not know VM %.8s", host + 1, vm->uuid);
	runstate = world_runstate(&vm->domain[at]);
	if (!str_equal(view->vm.runinfo.host, world.hosts[at]) || view->local != (host == at))
		return no(why, len, "h%d has VM %.8s on host %.8s, and it is on h%d", host + 1,
		    vm->uuid, str_or_empty(view->vm.runinfo.host), at + 1);
	return view->vm.runinfo.runstate == runstate ||
	       no(why, len, "h%d says VM %.8s is %s, and it is %s", host + 1, vm->uuid,
		   enum_word(&vmrunstate_enum, view->vm.runinfo.runstate),
		   enum_word(&vmrunstate_enum, runstate));
}

/* One that asked a guest to shut down waits for that. */
static bool
has_no_operation(const struct context *ctx, int host, char *why, size_t len)
{
	const struct operation_list_fields filter = { .state = started };
	struct operation_list list = { 0 };
	bool none = true;

	operations_list(ctx->operations, &filter, NULL, &list);
	for (size_t i = 0; i < list.n_items && none; i++) {
		const struct operation *operation = &list.items[i];
		const struct world_vm *vm = world_find(str_or_empty(operation->vm));

		if (vm && is_on(vm) && str_equal(operation->op, "VmShutdown"))
			continue;
		none = no(why, len, "%s %.8s of VM %.8s is under way on h%d: %s", operation->op,
		    operation->id, str_or_empty(operation->vm), host + 1,
		    str_or_empty(operation->msg));
	}
	free(list.items);
	return none;
}

static bool
is_host_at_rest(int host, char *why, size_t len)
{
	const struct context *ctx = host_context(host);
	const struct host *self;

	if (!has_no_operation(ctx, host, why, len))
		return false;
	if (!str_empty(keeper_storage_why(ctx->keeper)) ||
	    !str_empty(keeper_lockspace_why(ctx->keeper)))
		return no(why, len, "h%d says of the storage '%s', of the lockspace '%s'", host + 1,
		    keeper_storage_why(ctx->keeper), keeper_lockspace_why(ctx->keeper));
	for (int i = 0; i < world.n_hosts; i++) {
		self = inventory_find_host(ctx->inventory, world.hosts[i]);
		if (!self || self->cstate != CSTATE_ACTIVE)
			return no(why, len, "h%d does not see h%d", host + 1, i + 1);
	}
	for (size_t i = 0; i < world.n_vms; i++) {
		if (!is_seen_by(&world.vms[i], host, why, len))
			return false;
	}
	self = inventory_find_host(ctx->inventory, world.hosts[host]);
	for (size_t i = 0; i < self->n_problems; i++) {
		const struct world_vm *vm = world_find(str_or_empty(self->problems[i].vm));

		if (!vm || !world_is_stray(vm))
			return no(why, len, "h%d has a problem: %s of VM %.8s", host + 1,
			    self->problems[i].kind, str_or_empty(self->problems[i].vm));
	}
	return reservation_count(ctx->inventory) == 0 ||
	       no(why, len, "h%d holds a reservation", host + 1);
}

bool
checker_is_at_rest(char *why, size_t len)
{
	for (size_t i = 0; i < world.n_vms; i++) {
		if (!is_left_alone(&world.vms[i], why, len))
			return false;
	}
	if (children_count() > 0)
		return no(why, len, "%zu jobs on VMs run", children_count());
	for (int i = 0; i < world.n_hosts; i++) {
		if (!is_host_at_rest(i, why, len))
			return false;
	}
	return server_count() == 0 || no(why, len, "%zu requests wait", server_count());
}

/* With failovers */

static bool
is_armed(int by, int of)
{
	struct host_ha ha;

	if (!host_serves(by))
		return false;
	inventory_get_ha(host_context(by)->inventory, world.hosts[of], &ha);
	return ha.armed;
}

/* In no maintenance. */
static bool
is_open(int host)
{
	const struct context *ctx = host_context(host);
	const struct host *self =
	    ctx ? inventory_find_host(ctx->inventory, world.hosts[host]) : NULL;

	return self && !self->maintenance;
}

/* Every other host has to know that it was, and one to be able to take its VMs. */
void
checker_on_last_death(int host)
{
	bool armed = true, open = false;

	for (int i = 0; i < world.n_hosts; i++) {
		armed &= is_armed(i, host) && is_armed(i, i);
		open |= i != host && is_open(i);
	}
	died = armed && open ? host : WORLD_NOBODY;
	for (size_t i = 0; i < world.n_vms; i++) {
		const struct world_vm *vm = &world.vms[i];

		ran_there[i] = vm->registry[host] && vm->domain[host].on && vm->wanted &&
			       !vm->journal[host].there && !vm->domain[host].off_at;
	}
	history_add(
	    host, "dies, %s", died == WORLD_NOBODY ? "and is not to be taken over" : "armed");
}

bool
checker_is_brought_back(void)
{
	for (size_t i = 0; i < world.n_vms && died != WORLD_NOBODY; i++) {
		const struct world_vm *vm = &world.vms[i];

		if (ran_there[i] && vm->wanted && !is_on(vm))
			history_violation("VM %.8s was wanted on h%d, which is dead, and does not "
					  "run on another host",
			    vm->uuid, died + 1);
	}
	return !history_first_violation();
}
