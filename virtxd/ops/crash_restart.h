/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VM that crashed is booted again on its host, where it is wanted on and its policy is to be
 * brought back: CRASH_RESTARTS times within an hour at most, each time after a longer while. Then
 * it stays off, as a problem of the host, until somebody boots it. What was done is forgotten when
 * virtxd ends.
 *
 *   runs     -> crashed    it has to be booted again, after a while
 *   runs     -> given up   it crashed too often
 *   crashed  -> booting    the while is over, and the host is ready
 *   crashed  -> runs       somebody else booted it, or it is not wanted any more
 *   booting  -> crashed    the host could not: it is tried again
 *   booting  -> runs       it was booted; where it was not, that is seen as one more crash
 *   given up -> runs       somebody booted it, or it is not wanted any more
 */
#ifndef OPS_CRASH_RESTART_H
#define OPS_CRASH_RESTART_H

#include "ops/context.h"

#define CRASH_RESTARTS 3

struct crash_restart;

/* ctx is borrowed; so is what it points to, by now. */
struct crash_restart *crash_restart_new(struct context *ctx);
/* virtxd stops. After jobs_free, and tasks_free. */
void crash_restart_free(struct crash_restart *owner);

#endif
