/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Watches what keeps two hosts from using one disk: that the shared storage is there and the one
 * that was joined, and that sanlock's lockspace in it is joined; and whether a watchdog makes sure
 * of it.
 */
#ifndef JOB_GUARD_H
#define JOB_GUARD_H

#include "job/job.h"
#include "state/config.h"
#include "state/inventory.h"
#include "work/requests.h"

struct guard;

/* Something is wrong that was not, or is well again. */
typedef void (*guard_changed)(void *arg);

/* All are borrowed and outlive the guard; nothing is joined before env names the host. */
struct guard *guard_new(struct event_base *base, const struct config *config, struct jobs *jobs,
    struct inventory *inventory, const struct work_env *env, guard_changed changed, void *arg);
void guard_free(struct guard *guard);
/* Looks at all of it now. */
void guard_check(struct guard *guard);
/* Whether a job that asks sanlock something gets an answer, as far as that is known. */
bool guard_sanlock_answers(const struct guard *guard);
/* "" while the storage is there, else what is wrong with it. */
const char *guard_storage_why(const struct guard *guard);
/* "" once the lockspace is joined, else why it is not. */
const char *guard_lockspace_why(const struct guard *guard);
/* "" while a watchdog protects this host, else what is missing, as far as that was answered. */
const char *guard_watchdog_why(const struct guard *guard);

#endif
