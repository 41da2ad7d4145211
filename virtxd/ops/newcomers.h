/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMs that libvirt has here, that are off, and that were not this host's until now: a definition
 * proves nothing (the host may have been away, or somebody has defined another host's VM here), so
 * that the registry is asked before any of them is told to anybody.
 */
#ifndef OPS_NEWCOMERS_H
#define OPS_NEWCOMERS_H

#include "job/job.h"
#include "state/inventory.h"
#include "work/requests.h"

struct newcomers;

/* VMs were taken into the inventory. */
typedef void (*newcomers_taken)(void *arg);

/* All are borrowed and outlive it. Where the registry does not answer within patience (ms), or
 * fails, VMs that no other host has are taken as they are. */
struct newcomers *newcomers_new(struct jobs *jobs, struct inventory *inventory, int64_t patience,
    newcomers_taken taken, void *arg);
void newcomers_free(struct newcomers *newcomers);

/* Whether any of them are still to be asked about. */
bool newcomers_are_waiting(const struct newcomers *newcomers);
/* Takes those VMs out of the reports of a job, and asks whose they are. */
void newcomers_sift(struct newcomers *newcomers, struct vm_report *reports, size_t *n);

#endif
