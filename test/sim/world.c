/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "world.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "history.h"
#include "lockspace.h"
#include "proto/util.h"
#include "storage.h"

struct world world;

const char *const world_op_names[WORLD_OP_N] = {
	[WORLD_OP_BOOT] = "VmBoot",
	[WORLD_OP_SHUTDOWN] = "VmShutdown",
	[WORLD_OP_PAUSE] = "VmPause",
	[WORLD_OP_RESUME] = "VmResume",
	[WORLD_OP_MIGRATE] = "VmMigrate",
	[WORLD_OP_CREATE] = "VmCreate",
	[WORLD_OP_DELETE] = "VmDelete",
	[WORLD_OP_FAILOVER] = "VmFailover",
};

void
world_reset(int n_hosts, bool ha)
{
	for (size_t i = 0; i < world.n_vms; i++)
		model_clear(&vmdef_model, &world.vms[i].def);
	for (int i = 0; i < WORLD_HOSTS; i++)
		free(world.maintenance[i].json);
	for (int i = 0; i < 2 * WORLD_HOSTS; i++)
		free(world.kept[i / 2][i % 2].json);
	memset(&world, 0, sizeof(world));
	world.n_hosts = n_hosts;
	world.ha = ha;
	for (int i = 0; i < n_hosts; i++)
		snprintf(world.hosts[i], sizeof(world.hosts[i]),
		    "a000000%d-0000-4000-8000-000000000000", (i + 1) % 10);
}

struct world_vm *
world_find(const char *uuid)
{
	for (size_t i = 0; i < world.n_vms; i++) {
		if (strcmp(world.vms[i].uuid, uuid) == 0)
			return &world.vms[i];
	}
	return NULL;
}

struct world_vm *
world_add(const char *uuid, const struct vmdef *def)
{
	struct world_vm *vm;

	if (world.n_vms == WORLD_VMS)
		return NULL;
	vm = &world.vms[world.n_vms++];
	snprintf(vm->uuid, sizeof(vm->uuid), "%s", uuid);
	model_copy(&vmdef_model, &vm->def, def);
	vm->holder = WORLD_NOBODY;
	return vm;
}

int
world_host(const char *uuid)
{
	for (int i = 0; i < world.n_hosts; i++) {
		if (str_equal(world.hosts[i], uuid))
			return i;
	}
	return WORLD_NOBODY;
}

int
world_registered(const struct world_vm *vm, int but)
{
	for (int i = 0; i < world.n_hosts; i++) {
		if (i != but && vm->registry[i])
			return i;
	}
	return WORLD_NOBODY;
}

bool
world_runs(const struct world_vm *vm, int host)
{
	return vm->domain[host].on && !vm->domain[host].stands;
}

bool
world_is_somewhere(const struct world_vm *vm)
{
	for (int i = 0; i < world.n_hosts; i++) {
		if (vm->registry[i] || vm->domain[i].defined || vm->domain[i].on)
			return true;
	}
	return false;
}

/* What is defined of it is nobody's. */
static bool
is_nobodys(const struct world_vm *vm)
{
	if (!vm->by_hand || world_registered(vm, WORLD_NOBODY) != WORLD_NOBODY)
		return false;
	for (int i = 0; i < world.n_hosts; i++) {
		if (vm->domain[i].on)
			return false;
	}
	return true;
}

bool
world_is_stray(const struct world_vm *vm)
{
	for (int i = 0; i < world.n_hosts; i++) {
		if (vm->journal[i].there)
			return false;
	}
	return is_nobodys(vm);
}

static bool
take_by_lockspace(struct world_vm *vm, int host)
{
	int64_t generation = lockspace_generation(host);

	if (!lockspace_is_joined(host) || !lockspace_writes(host))
		return false;
	if (vm->holder != WORLD_NOBODY &&
	    !(vm->holder == host && vm->holder_generation == generation) &&
	    !lockspace_is_free(host, vm->holder, vm->holder_generation))
		return false;
	vm->holder = host;
	vm->holder_generation = generation;
	return true;
}

bool
world_take_lease(struct world_vm *vm, int host)
{
	if (!vm->lease || storage_state(host) != STORAGE_THERE || !storage_is_joined(host))
		return false;
	if (world.ha)
		return take_by_lockspace(vm, host);
	if (vm->holder != WORLD_NOBODY && vm->free_at && clock_now() >= vm->free_at)
		vm->holder = WORLD_NOBODY;
	if (vm->holder != WORLD_NOBODY && (vm->holder != host || vm->free_at))
		return false;
	vm->holder = host;
	vm->free_at = 0;
	return true;
}

void
world_free_lease(struct world_vm *vm, int host)
{
	if (vm->holder != host || vm->free_at || (world.ha && !lockspace_writes(host)))
		return;
	/* What cannot be written there counts on. */
	if (storage_state(host) != STORAGE_THERE)
		vm->free_at = clock_now() + WORLD_LEASE_MS;
	else
		vm->holder = WORLD_NOBODY;
}

enum vmrunstate
world_runstate(const struct world_domain *domain)
{
	if (!domain->on)
		return VMRUNSTATE_POWEROFF;
	if (!domain->stands)
		return VMRUNSTATE_RUNNING;
	/* What stands for a migration that is over was restored, as far as anybody knows. */
	return domain->why == WORLD_PAUSED_BY_MIGRATION && (domain->is_leaving || domain->coming)
		   ? VMRUNSTATE_MIGRATING
		   : VMRUNSTATE_PAUSED;
}

static void
check_runners(const struct world_vm *vm)
{
	int n = 0;

	for (int i = 0; i < world.n_hosts; i++)
		n += world_runs(vm, i);
	if (n > 1)
		history_violation("VM %.8s runs on %d hosts", vm->uuid, n);
}

/* A letter for each host: what it has of the VM, in capitals where it is registered; and a j for
 * each that has a journal of it. */
static void
note(struct world_vm *vm)
{
	char text[WORLD_NOTE_SIZE] = "";

	for (int i = 0; i < world.n_hosts; i++) {
		const struct world_domain *domain = &vm->domain[i];
		char c = domain->on	   ? (domain->stands ? 's' : 'r')
			 : domain->coming  ? 'c'
			 : domain->defined ? 'd'
					   : '-';

		text[i] = vm->registry[i] ? (char)(c == '-' ? '+' : c - 'a' + 'A') : c;
		text[world.n_hosts] = ' ';
		text[world.n_hosts + 1 + i] = vm->journal[i].there ? 'j' : '.';
	}
	if (strcmp(text, vm->noted) == 0)
		return;
	memcpy(vm->noted, text, sizeof(text));
	history_add(CLOCK_NOBODY, "VM %.8s: %s", vm->uuid, text);
}

void
world_changed(struct world_vm *vm)
{
	int64_t now = clock_now();

	note(vm);
	check_runners(vm);
	for (int i = 0; i < world.n_hosts; i++) {
		const struct world_domain *domain = &vm->domain[i];

		if (world_runstate(domain) != vm->runstate[i])
			vm->since[i] = now;
		vm->runstate[i] = world_runstate(domain);
		if (domain->on)
			vm->was_on[i] = now;
		else if (domain->defined)
			vm->was_off[i] = now;
		if (!vm->registry[i] || !domain->defined || vm->journal[i].there)
			vm->rests_since[i] = 0;
		else if (vm->rests_since[i] == 0)
			vm->rests_since[i] = now;
		if (vm->registry[i])
			vm->was_here[i] = now;
	}
	/* The journal of a host that it has left may be there for longer. */
	if (!world_is_somewhere(vm) || is_nobodys(vm))
		vm->was_gone = now;
}
