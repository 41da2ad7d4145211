/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Watches what keeps two hosts from using one disk: that the shared storage is there and the one
 * that was joined, and that sanlock's lockspace in it is joined; and whether a watchdog makes sure
 * of it.
 */
#ifndef OPS_LOCKSPACE_MONITOR_H
#define OPS_LOCKSPACE_MONITOR_H

#include "job/job.h"
#include "ops/arming.h"
#include "state/config.h"
#include "state/inventory.h"
#include "work/requests.h"

struct lockspace_monitor;

/* Something is wrong that was not, or is well again. */
typedef void (*lockspace_monitor_changed)(void *arg);

/* All are borrowed and outlive the monitor; arming is told what is found. Nothing is joined before
 * env names the host. */
struct lockspace_monitor *lockspace_monitor_new(struct event_base *base,
    const struct config *config, struct jobs *jobs, struct inventory *inventory,
    struct arming *arming, lockspace_monitor_changed changed, void *arg);
void lockspace_monitor_free(struct lockspace_monitor *monitor);
/* Looks at all of it now. */
void lockspace_monitor_check(struct lockspace_monitor *monitor);
/* Whether a job that asks sanlock something gets an answer, as far as that is known. */
bool lockspace_monitor_sanlock_answers(const struct lockspace_monitor *monitor);
/* "" while the storage is there, else what is wrong with it. */
const char *lockspace_monitor_storage_why(const struct lockspace_monitor *monitor);
/* What the last look at it has found, borrowed; NULL while something is wrong with it. */
const struct storage_check_result *lockspace_monitor_storage(
    const struct lockspace_monitor *monitor);
/* "" once the lockspace is joined, else why it is not. */
const char *lockspace_monitor_lockspace_why(const struct lockspace_monitor *monitor);
/* Since when it is joined without a break, as far as this process has seen, monotonic ms; -1 while
 * it is not. */
int64_t lockspace_monitor_since(const struct lockspace_monitor *monitor);
/* "" while a watchdog protects this host, else what is missing, as far as that was answered. */
const char *lockspace_monitor_watchdog_why(const struct lockspace_monitor *monitor);

#endif
