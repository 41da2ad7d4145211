/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What keeps the inventory true by jobs of its own: it wires the collector, the reconciler,
 * recovery and the lockspace monitor together, and takes libvirt's events.
 */
#ifndef OPS_KEEPER_H
#define OPS_KEEPER_H

#include "job/job.h"
#include "ops/arming.h"
#include "ops/inquiry.h"
#include "state/config.h"
#include "state/inventory.h"
#include "state/operations.h"
#include "work/requests.h"

struct keeper;

/* A probe's outcome: libvirt answers and told the host's uuid, or it is NULL and err says why. */
typedef void (*keeper_probed)(void *arg, const char *host, const struct error *err);

/* All are borrowed and outlive the keeper. Observes the inventory's VMs. */
struct keeper *keeper_new(struct event_base *base, const struct config *config, struct jobs *jobs,
    struct inventory *inventory, struct operations *operations, keeper_probed probed, void *arg);
void keeper_free(struct keeper *keeper);
/* SIGHUP: the period may have changed. */
void keeper_reload(struct keeper *keeper);

/* Asks in a child whether libvirt answers; probed tells. */
void keeper_probe(struct keeper *keeper);
/* The event connection is up (collect at once), or lost (collections rest). */
void keeper_set_libvirt(struct keeper *keeper, bool connected);
/* libvirt's event: a VM is in this state now (VMRUNSTATE_NONE: look at it). */
void keeper_vm_changed(
    struct keeper *keeper, const char *uuid, enum vmrunstate runstate, bool migrated);
/* The operation's job has asked the VM to shut down, and is over: it ends when the VM is off. */
void keeper_end_when_off(struct keeper *keeper, const char *uuid, const char *operation);
/* Undo or finish what an interrupted job left of this VM, as soon as it is free. */
void keeper_heal(struct keeper *keeper, const char *uuid);
/* The same for the operation op whose end is not known: see inquiry_start. */
void keeper_find_out(struct keeper *keeper, const char *vm, const char *op, const char *target,
    inquiry_found found, void *arg);

/* Something was done to the registry or the storage: compare them with libvirt again. */
void keeper_reconcile(struct keeper *keeper);

/* "" once the lockspace is joined, else why it is not. */
const char *keeper_lockspace_why(const struct keeper *keeper);
/* Since when it is joined without a break, as far as this process has seen, monotonic ms; -1 while
 * it is not. */
int64_t keeper_lockspace_since(const struct keeper *keeper);
/* "" while a watchdog protects this host, else what is missing. */
const char *keeper_watchdog_why(const struct keeper *keeper);
/* Whether others may take over from this host; borrowed. */
const struct arming *keeper_arming(const struct keeper *keeper);
/* Whether all VMs that libvirt has here have been told to the inventory once. */
bool keeper_knows_vms(struct keeper *keeper);
/* VMs that are off, and of which it is open whether they are this host's: see newcomers.h. */
bool keeper_is_undecided(const struct keeper *keeper, const char *uuid);
void keeper_each_undecided(
    const struct keeper *keeper, void (*each)(void *arg, const char *uuid), void *arg);
/* Whether a job that asks sanlock something gets an answer, as far as that is known. */
bool keeper_sanlock_answers(const struct keeper *keeper);
/* "" while the shared storage is there, and the one that was joined; else what is wrong. */
const char *keeper_storage_why(const struct keeper *keeper);
/* What was found when it was looked at last, borrowed; NULL while something is wrong with it. */
const struct storage_check_result *keeper_storage(const struct keeper *keeper);

#endif
