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

/* Whether any of them are still to be asked about, also once more, as nobody has answered. */
bool newcomers_are_waiting(const struct newcomers *newcomers);
/* Whether it is one of those of which it is still open whose they are: also one that libvirt alone
 * has told of, where that was asked in vain, or for vm-heal to find out, as after a migration that
 * was cut off. */
bool newcomers_is_undecided(const struct newcomers *newcomers, const char *uuid);
/* Calls back for each of them. */
void newcomers_each_undecided(
    const struct newcomers *newcomers, void (*each)(void *arg, const char *uuid), void *arg);
/* libvirt has told something of it by an event. Where it is not known here it is undecided from now
 * on, until a job has looked: newcomers_look, before its reports are sifted. */
void newcomers_hear(struct newcomers *newcomers, const char *uuid);
/* A job that began after that has found it, or that it is gone; NULL: has found all that there is.
 */
void newcomers_look(struct newcomers *newcomers, const char *uuid);
/* These are all that libvirt has: others are gone. */
void newcomers_settle(struct newcomers *newcomers, const struct vm_report *reports, size_t n);
/* This one is gone. */
void newcomers_forget(struct newcomers *newcomers, const char *uuid);
/* Takes those VMs out of the reports of a job, which began to look at the mark and may be about all
 * VMs, and asks whose they are. */
void newcomers_sift(
    struct newcomers *newcomers, uint64_t mark, bool all, struct vm_report *reports, size_t *n);

#endif
