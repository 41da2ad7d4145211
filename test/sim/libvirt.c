/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "libvirt.h"

#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "clock.h"
#include "dice.h"
#include "history.h"
#include "host.h"
#include "net.h"
#include "proto/util.h"

#define BROKEN_MS 5000 /* until libvirt notices that it hears nothing of the other one */

enum phase { PHASE_COPY, PHASE_HANDED, PHASE_CONFIRM, PHASE_OVER };

struct libvirt_migration {
	LIST_ENTRY(libvirt_migration) link;
	struct world_vm *vm;
	int from, to;
	enum phase phase;
	bool ok;
	bool left; /* nobody waits for it */
	struct timer *timer;
	int64_t unheard; /* since when, ms; 0: not */
};

static LIST_HEAD(, libvirt_migration) migrations;
static bool up[WORLD_HOSTS];
static unsigned int starts[WORLD_HOSTS];

static void
migration_free(struct libvirt_migration *migration)
{
	LIST_REMOVE(migration, link);
	timer_free(migration->timer);
	free(migration);
}

void
libvirt_reset(void)
{
	while (!LIST_EMPTY(&migrations))
		migration_free(LIST_FIRST(&migrations));
	for (int i = 0; i < WORLD_HOSTS; i++)
		up[i] = true;
}

bool
libvirt_is_up(int host)
{
	return up[host];
}

unsigned int
libvirt_number(int host)
{
	return starts[host];
}

/* Events */

struct event {
	int host;
	unsigned int start;
	char uuid[UUID_TEXT_SIZE];
	enum vmrunstate runstate;
	bool migrated;
};

static void
on_event(void *arg)
{
	struct event *event = arg;

	if (up[event->host] && starts[event->host] == event->start)
		host_on_libvirt_event(event->host, event->uuid, event->runstate, event->migrated);
	free(event);
}

/* They arrive in their order. */
static void
tell(const struct world_vm *vm, int host, enum vmrunstate runstate, bool migrated)
{
	struct event *event = xcalloc(1, sizeof(*event));

	*event = (struct event){
		.host = host, .start = starts[host], .runstate = runstate, .migrated = migrated
	};
	memcpy(event->uuid, vm->uuid, sizeof(event->uuid));
	clock_after(5, on_event, event);
}

/* Calls */

void
libvirt_define(struct world_vm *vm, int host)
{
	vm->domain[host].defined = true;
	vm->domain[host].went_away = false;
	world_changed(vm);
	tell(vm, host, VMRUNSTATE_NONE, false);
}

/* One that is on runs on without. */
void
libvirt_undefine(struct world_vm *vm, int host)
{
	struct world_domain *domain = &vm->domain[host];

	if (domain->on) {
		domain->defined = false;
		domain->coming = true;
		tell(vm, host, VMRUNSTATE_NONE, false);
	} else {
		*domain = (struct world_domain){ 0 };
		tell(vm, host, VMRUNSTATE_DELETED, false);
	}
	world_changed(vm);
}

bool
libvirt_start(struct world_vm *vm, int host)
{
	struct world_domain *domain = &vm->domain[host];

	if (!vm->image || !world_take_lease(vm, host))
		return false;
	domain->on = true;
	domain->stands = domain->went_away = false;
	domain->off_at = 0;
	world_changed(vm);
	tell(vm, host, VMRUNSTATE_RUNNING, false);
	return true;
}

void
libvirt_destroy(struct world_vm *vm, int host)
{
	struct world_domain *domain = &vm->domain[host];

	if (!domain->on)
		return;
	domain->on = domain->stands = domain->is_leaving = false;
	domain->off_at = 0;
	world_free_lease(vm, host);
	tell(vm, host, VMRUNSTATE_POWEROFF, false);
	if (!domain->defined)
		*domain = (struct world_domain){ 0 };
	libvirt_abort(vm, host);
	world_changed(vm);
}

static void
guest_is_due(void *arg)
{
	struct world_vm *vm = arg;

	for (int i = 0; i < world.n_hosts; i++) {
		struct world_domain *domain = &vm->domain[i];

		if (!domain->off_at || clock_now() < domain->off_at || !domain->on ||
		    clock_is_ending())
			continue;
		/* One that stands obeys when it runs again. */
		if (domain->stands)
			clock_after(1000, guest_is_due, vm);
		else
			libvirt_destroy(vm, i);
	}
}

void
libvirt_ask_guest(struct world_vm *vm, int host)
{
	int64_t ms = dice_between(100, 8000);

	vm->domain[host].off_at = clock_now() + ms;
	clock_after(ms, guest_is_due, vm);
}

/* It holds its lease on, as virtxd has it do. */
void
libvirt_pause(struct world_vm *vm, int host)
{
	vm->domain[host].stands = true;
	vm->domain[host].why = WORLD_PAUSED_BY_USER;
	world_changed(vm);
	tell(vm, host, VMRUNSTATE_PAUSED, false);
}

bool
libvirt_resume(struct world_vm *vm, int host)
{
	if (!vm->domain[host].on || !world_take_lease(vm, host))
		return false;
	vm->domain[host].stands = false;
	world_changed(vm);
	tell(vm, host, VMRUNSTATE_RUNNING, false);
	return true;
}

void
libvirt_log(struct world_vm *vm, int host, enum world_op op, const char *status, int64_t ts,
    const char *msg)
{
	struct world_log *log = &vm->domain[host].log[op];

	log->status = status;
	log->ts = ts;
	log->te = strcmp(status, "started") == 0 ? 0 : clock_wall(host);
	snprintf(log->msg, sizeof(log->msg), "%.36s", msg);
	tell(vm, host, VMRUNSTATE_NONE, false);
}

/* Migrations */

static void
end(struct libvirt_migration *migration, bool ok)
{
	migration->phase = PHASE_OVER;
	migration->ok = ok;
	migration->vm->domain[migration->from].is_leaving = false;
	timer_stop(migration->timer);
	world_changed(migration->vm);
	if (migration->left)
		migration_free(migration);
}

/* What the target has of it goes. */
static void
drop_target(struct libvirt_migration *migration)
{
	struct world_vm *vm = migration->vm;
	struct world_domain *there = &vm->domain[migration->to];

	if (!there->coming)
		return;
	there->coming = there->on = there->stands = false;
	if (!there->defined)
		*there = (struct world_domain){ 0 };
	world_free_lease(vm, migration->to);
	tell(vm, migration->to, VMRUNSTATE_NONE, false);
}

/* It is cut: before the VM was handed over it runs on where it is, unless libvirt there does not
 * know that; then it is for virtxd to find out. */
static void
cut(struct libvirt_migration *migration, bool source_is_back)
{
	struct world_vm *vm = migration->vm;
	struct world_domain *here = &vm->domain[migration->from];

	history_add(CLOCK_NOBODY, "the migration of VM %.8s is cut in phase %d", vm->uuid,
	    (int)migration->phase);
	if (migration->phase == PHASE_COPY || migration->phase == PHASE_HANDED)
		drop_target(migration);
	if (migration->phase == PHASE_HANDED && source_is_back && here->on && dice_permille(500) &&
	    world_take_lease(vm, migration->from)) {
		here->stands = false;
		tell(vm, migration->from, VMRUNSTATE_RUNNING, false);
	}
	end(migration, false);
}

static void
hand_over(struct libvirt_migration *migration)
{
	struct world_vm *vm = migration->vm;
	struct world_domain *here = &vm->domain[migration->from];

	/* Its guest has obeyed meanwhile, or somebody has ended or paused it. */
	if (!here->on) {
		drop_target(migration);
		end(migration, false);
		return;
	}
	if (!here->stands) {
		here->stands = true;
		here->why = WORLD_PAUSED_BY_MIGRATION;
		tell(vm, migration->from, VMRUNSTATE_MIGRATING, false);
	}
	world_free_lease(vm, migration->from);
	migration->phase = PHASE_HANDED;
	world_changed(vm);
	timer_start(migration->timer, dice_between(5, 60));
}

static void
run_there(struct libvirt_migration *migration)
{
	struct world_vm *vm = migration->vm;
	struct world_domain *here = &vm->domain[migration->from];
	struct world_domain *there = &vm->domain[migration->to];

	if (!world_take_lease(vm, migration->to)) {
		cut(migration, true);
		return;
	}
	there->coming = false;
	there->defined = there->on = true;
	there->went_away = false;
	there->off_at = here->off_at;
	there->stands = here->why == WORLD_PAUSED_BY_USER;
	there->why = WORLD_PAUSED_BY_USER;
	memcpy(there->log, here->log, sizeof(there->log));
	if (there->off_at)
		clock_after(there->off_at > clock_now() ? there->off_at - clock_now() : 0,
		    guest_is_due, vm);
	migration->phase = PHASE_CONFIRM;
	world_changed(vm);
	tell(vm, migration->to, VMRUNSTATE_RUNNING, false);
	tell(vm, migration->to, VMRUNSTATE_NONE, false);
	timer_start(migration->timer, dice_between(5, 60));
}

static void
confirm(struct libvirt_migration *migration)
{
	struct world_vm *vm = migration->vm;

	vm->domain[migration->from] = (struct world_domain){ .went_away = true };
	tell(vm, migration->from, VMRUNSTATE_NONE, true);
	tell(vm, migration->from, VMRUNSTATE_DELETED, true);
	end(migration, true);
}

static void
on_migration(void *arg)
{
	struct libvirt_migration *migration = arg;

	if (!net_is_open(migration->from, migration->to)) {
		if (!migration->unheard)
			migration->unheard = clock_now();
		if (clock_now() - migration->unheard >= BROKEN_MS)
			cut(migration, true);
		else
			timer_start(migration->timer, 500);
		return;
	}
	migration->unheard = 0;
	if (migration->phase == PHASE_COPY)
		hand_over(migration);
	else if (migration->phase == PHASE_HANDED)
		run_there(migration);
	else
		confirm(migration);
}

struct libvirt_migration *
libvirt_migrate(struct world_vm *vm, int from, int to)
{
	struct world_domain *there = &vm->domain[to];
	struct libvirt_migration *migration;

	if (!up[to] || !net_is_open(from, to) || there->on || there->coming || !vm->domain[from].on)
		return NULL;
	migration = xcalloc(1, sizeof(*migration));
	migration->vm = vm;
	migration->from = from;
	migration->to = to;
	migration->timer = timer_new(NULL, on_migration, migration);
	timer_start(migration->timer, dice_between(50, 4000));
	LIST_INSERT_HEAD(&migrations, migration, link);
	there->coming = there->stands = true;
	there->why = WORLD_PAUSED_BY_MIGRATION;
	vm->domain[from].is_leaving = true;
	tell(vm, to, VMRUNSTATE_NONE, false);
	return migration;
}

bool
libvirt_migrated(struct libvirt_migration *migration, bool *ok)
{
	if (migration->phase != PHASE_OVER)
		return false;
	*ok = migration->ok;
	migration_free(migration);
	return true;
}

void
libvirt_leave(struct libvirt_migration *migration)
{
	if (migration->phase == PHASE_OVER)
		migration_free(migration);
	else
		migration->left = true;
}

void
libvirt_abort(const struct world_vm *vm, int from)
{
	struct libvirt_migration *migration, *next;

	for (migration = LIST_FIRST(&migrations); migration; migration = next) {
		next = LIST_NEXT(migration, link);
		if (migration->vm == vm && migration->from == from &&
		    migration->phase == PHASE_COPY)
			cut(migration, true);
	}
}

/* Their ends */

static void
cut_all(int host)
{
	struct libvirt_migration *migration, *next;

	for (migration = LIST_FIRST(&migrations); migration; migration = next) {
		next = LIST_NEXT(migration, link);
		if (migration->phase != PHASE_OVER &&
		    (migration->from == host || migration->to == host))
			cut(migration, true);
	}
}

static void
on_back(void *arg)
{
	int host = (int)(intptr_t)arg;

	if (host_is_powered(host))
		up[host] = true;
}

void
libvirt_restart(int host, int64_t ms)
{
	cut_all(host);
	up[host] = false;
	starts[host]++;
	host_on_libvirt_lost(host);
	clock_after(ms, on_back, (void *)(intptr_t)host);
}

void
libvirt_power_off(int host)
{
	cut_all(host);
	up[host] = false;
	starts[host]++;
	for (size_t i = 0; i < world.n_vms; i++) {
		struct world_vm *vm = &world.vms[i];
		struct world_domain *domain = &vm->domain[host];

		if (!world.ha && vm->holder == host && !vm->free_at)
			vm->free_at = clock_now() + WORLD_LEASE_MS;
		domain->on = domain->stands = domain->is_leaving = domain->coming = false;
		domain->off_at = 0;
		if (!domain->defined)
			*domain = (struct world_domain){ 0 };
		vm->lock[host] = NULL;
		world_changed(vm);
	}
}

void
libvirt_power_on(int host)
{
	up[host] = true;
}
