/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/keeper.h"

#include <stdio.h>
#include <sys/queue.h>

#include "loop/timer.h"
#include "ops/collector.h"
#include "ops/lockspace_monitor.h"
#include "ops/reconciler.h"
#include "ops/recovery.h"
#include "ops/self_fence.h"

/* A VM that no host tells of may be one whose next host has not told of it yet. */
#define GONE_MS 60000

/* A VM that is to be off, and that no host tells of any more. */
struct missing {
	STAILQ_ENTRY(missing) link;
	char vm[UUID_TEXT_SIZE];
	int64_t due; /* when that is taken for true, monotonic ms */
};

struct keeper {
	struct jobs *jobs;
	struct inventory *inventory;
	struct operations *operations;
	keeper_probed probed;
	void *arg;
	bool connected;
	struct arming *arming;
	struct lockspace_monitor *monitor;
	struct collector *collector;
	struct recovery *recovery;
	struct reconciler *reconciler;
	struct self_fence *self_fence;
	STAILQ_HEAD(, missing) missing; /* the one that is due first is the first */
	struct timer *missing_due;
};

const char *
keeper_lockspace_why(const struct keeper *keeper)
{
	return lockspace_monitor_lockspace_why(keeper->monitor);
}

int64_t
keeper_lockspace_since(const struct keeper *keeper)
{
	return lockspace_monitor_since(keeper->monitor);
}

const char *
keeper_watchdog_why(const struct keeper *keeper)
{
	return lockspace_monitor_watchdog_why(keeper->monitor);
}

const struct arming *
keeper_arming(const struct keeper *keeper)
{
	return keeper->arming;
}

const char *
keeper_storage_why(const struct keeper *keeper)
{
	return lockspace_monitor_storage_why(keeper->monitor);
}

const struct storage_check_result *
keeper_storage(const struct keeper *keeper)
{
	return lockspace_monitor_storage(keeper->monitor);
}

bool
keeper_sanlock_answers(const struct keeper *keeper)
{
	return lockspace_monitor_sanlock_answers(keeper->monitor);
}

static bool
has_storage(void *arg)
{
	return str_empty(keeper_storage_why(arg));
}

/* Whether what an operation left can be found out, and ended. */
static bool
is_able(void *arg)
{
	struct keeper *keeper = arg;

	return keeper->connected && has_storage(keeper);
}

static void
on_missing_due(void *arg)
{
	struct keeper *keeper = arg;
	struct missing *missing;

	while ((missing = STAILQ_FIRST(&keeper->missing)) && missing->due <= monotonic_ms()) {
		STAILQ_REMOVE_HEAD(&keeper->missing, link);
		if (!inventory_find_vm(keeper->inventory, missing->vm))
			operations_finish_vm(
			    keeper->operations, missing->vm, "no host has the VM any more");
		free(missing);
	}
	if (missing)
		timer_start(keeper->missing_due, missing->due - monotonic_ms());
}

static void
note_missing(struct keeper *keeper, const char *vm)
{
	struct missing *missing;

	if (!operations_is_under_way(keeper->operations, "VmShutdown", vm))
		return;
	missing = xcalloc(1, sizeof(*missing));
	snprintf(missing->vm, sizeof(missing->vm), "%s", vm);
	missing->due = monotonic_ms() + GONE_MS;
	STAILQ_INSERT_TAIL(&keeper->missing, missing, link);
	if (!timer_is_started(keeper->missing_due))
		timer_start(keeper->missing_due, GONE_MS);
}

static void
vm_observed(void *arg, const struct inventory_vm *vm, bool gone)
{
	struct keeper *keeper = arg;

	/* A shutdown goes on where the VM has moved meanwhile. */
	if (recovery_is_off(vm->vm.runinfo.runstate) || (gone && vm->local))
		operations_finish_vm(keeper->operations, vm->vm.uuid, "the VM is off");
	else if (gone)
		note_missing(keeper, vm->vm.uuid);
	if (vm->local && !gone)
		recovery_look(keeper->recovery, vm);
}

static const struct inventory_observer observer = { .vm = vm_observed };

void
keeper_end_when_off(struct keeper *keeper, const char *uuid, const char *operation)
{
	const struct inventory_vm *view = inventory_find_vm(keeper->inventory, uuid);

	operations_leave(keeper->operations, operation);
	if (!view || recovery_is_off(view->vm.runinfo.runstate))
		operations_finish_vm(keeper->operations, uuid, "the VM is off");
}

/* Whether it runs from now on: where that was no job of ours, vm-heal records its leases. */
static bool
begins(const struct keeper *keeper, const char *uuid, enum vmrunstate runstate)
{
	const struct inventory_vm *view = inventory_find_vm(keeper->inventory, uuid);

	return runstate == VMRUNSTATE_RUNNING && view && view->local &&
	       view->vm.runinfo.runstate != VMRUNSTATE_RUNNING;
}

void
keeper_vm_changed(struct keeper *keeper, const char *uuid, enum vmrunstate runstate, bool migrated)
{
	const struct inventory_vm *view = inventory_find_vm(keeper->inventory, uuid);

	/* Its definition goes before the job tells that it has moved. */
	if (migrated || (runstate == VMRUNSTATE_DELETED &&
			    operations_is_under_way(keeper->operations, "VmMigrate", uuid))) {
		inventory_release_vm(keeper->inventory, uuid);
		return;
	}
	if (runstate == VMRUNSTATE_DELETED) {
		/* What is deleted is nobody's, whoever claims it. */
		if (operations_is_under_way(keeper->operations, "VmDelete", uuid)) {
			inventory_end_vm(keeper->inventory, uuid);
			collector_forget(keeper->collector, uuid);
		} else {
			inventory_remove_vm(keeper->inventory, uuid);
		}
		return;
	}
	if (begins(keeper, uuid, runstate) && !jobs_busy(keeper->jobs, uuid))
		recovery_heal(keeper->recovery, uuid);
	if (runstate != VMRUNSTATE_NONE && view && view->local) {
		inventory_set_runstate(keeper->inventory, uuid, runstate);
		/* Why it is so, a job finds out. */
		if (runstate != VMRUNSTATE_PAUSED && !recovery_is_off(runstate))
			return;
	}
	collector_refresh(keeper->collector, uuid);
}

/* What rested while the storage was not there, and whether the VMs are protected. */
static void
monitor_has_changed(void *arg)
{
	struct keeper *keeper = arg;

	if (keeper->self_fence)
		self_fence_hurry(keeper->self_fence);
	keeper_reconcile(keeper);
}

/* A problem of the host, which the reconciliation tells. */
static void
loose_was_found(void *arg)
{
	keeper_reconcile(arg);
}

static bool
is_connected(void *arg)
{
	const struct keeper *keeper = arg;

	return keeper->connected;
}

static void
on_probed(void *arg, const char *host, const struct error *err)
{
	struct keeper *keeper = arg;

	keeper->probed(keeper->arg, host, err);
}

/* What could not be healed before is tried again. */
static void
look_again(void *arg, const struct inventory_vm *view, bool def_known, bool disks_known)
{
	recovery_look(arg, view);
}

static void
on_collected(void *arg)
{
	struct keeper *keeper = arg;

	if (!reconciler_is_running(keeper->reconciler))
		reconciler_run(keeper->reconciler);
	lockspace_monitor_check(keeper->monitor);
	inventory_each_local(keeper->inventory, look_again, keeper->recovery);
}

static const struct collector_ops collector_ops = {
	.has_storage = has_storage,
	.probed = on_probed,
	.collected = on_collected,
};

void
keeper_probe(struct keeper *keeper)
{
	collector_probe(keeper->collector);
}

bool
keeper_knows_vms(struct keeper *keeper)
{
	return collector_knows_vms(keeper->collector);
}

bool
keeper_is_undecided(const struct keeper *keeper, const char *uuid)
{
	return collector_is_undecided(keeper->collector, uuid);
}

void
keeper_each_undecided(
    const struct keeper *keeper, void (*each)(void *arg, const char *uuid), void *arg)
{
	collector_each_undecided(keeper->collector, each, arg);
}

void
keeper_find_out(struct keeper *keeper, const char *vm, const char *op, const char *target,
    inquiry_found found, void *arg)
{
	recovery_find_out(keeper->recovery, vm, op, target, found, arg);
}

void
keeper_heal(struct keeper *keeper, const char *uuid)
{
	recovery_heal(keeper->recovery, uuid);
}

void
keeper_reconcile(struct keeper *keeper)
{
	reconciler_run(keeper->reconciler);
}

void
keeper_set_libvirt(struct keeper *keeper, bool connected)
{
	keeper->connected = connected;
	if (!connected)
		inventory_forget_states(keeper->inventory);
	collector_set_libvirt(keeper->collector, connected);
}

void
keeper_reload(struct keeper *keeper)
{
	collector_reload(keeper->collector);
}

struct keeper *
keeper_new(struct event_base *base, const struct config *config, struct jobs *jobs,
    struct inventory *inventory, struct operations *operations, keeper_probed probed, void *arg)
{
	struct keeper *keeper = xcalloc(1, sizeof(*keeper));

	*keeper = (struct keeper){
		.jobs = jobs,
		.inventory = inventory,
		.operations = operations,
		.probed = probed,
		.arg = arg,
	};
	STAILQ_INIT(&keeper->missing);
	keeper->missing_due = timer_new(base, on_missing_due, keeper);
	keeper->arming = arming_new(config, inventory);
	keeper->monitor = lockspace_monitor_new(
	    base, config, jobs, inventory, keeper->arming, monitor_has_changed, keeper);
	keeper->recovery = recovery_new(base, jobs, inventory, is_able, keeper);
	keeper->reconciler = reconciler_new(
	    config, jobs, inventory, keeper->monitor, keeper->recovery, is_able, keeper);
	keeper->collector = collector_new(base, config, jobs, inventory, &collector_ops, keeper);
	keeper->self_fence = self_fence_new(
	    base, jobs, inventory, keeper->arming, is_connected, loose_was_found, keeper);
	inventory_observe(inventory, &observer, keeper);
	return keeper;
}

void
keeper_free(struct keeper *keeper)
{
	struct missing *missing;

	if (!keeper)
		return;
	inventory_unobserve(keeper->inventory, &observer, keeper);
	while ((missing = STAILQ_FIRST(&keeper->missing))) {
		STAILQ_REMOVE_HEAD(&keeper->missing, link);
		free(missing);
	}
	timer_free(keeper->missing_due);
	self_fence_free(keeper->self_fence);
	collector_free(keeper->collector);
	reconciler_free(keeper->reconciler);
	recovery_free(keeper->recovery);
	lockspace_monitor_free(keeper->monitor);
	arming_free(keeper->arming);
	free(keeper);
}
