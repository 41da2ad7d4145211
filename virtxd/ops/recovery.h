/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMs that an operation has left half done: vm-heal finishes or undoes it as soon as the VM is
 * free.
 */
#ifndef OPS_RECOVERY_H
#define OPS_RECOVERY_H

#include "job/job.h"
#include "ops/inquiry.h"
#include "state/inventory.h"
#include "work/requests.h"

struct recovery;

/* All are borrowed and outlive it. able says whether libvirt and the storage are there. */
struct recovery *recovery_new(struct event_base *base, struct jobs *jobs,
    struct inventory *inventory, bool (*able)(void *arg), void *arg);
/* Jobs under way end by themselves, and nobody is told. */
void recovery_free(struct recovery *recovery);

/* This VM was left half done. */
void recovery_heal(struct recovery *recovery, const char *uuid);
/* A VM of this host as it is now: was it? */
void recovery_look(struct recovery *recovery, const struct inventory_vm *view);
/* How the operation op of this VM has ended: see inquiry_start. */
void recovery_find_out(struct recovery *recovery, const char *vm, const char *op,
    const char *target, inquiry_found found, void *arg);
/* Whether a VM in this state is off. */
bool recovery_is_off(enum vmrunstate runstate);
/* Whether a VM of this host is off as its guest was asked to reboot: it is to be booted again. */
bool recovery_is_rebooting(const struct inventory_vm *view);

#endif
