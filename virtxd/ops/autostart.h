/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * After the host was booted, its VMs are: those that are off and wanted on, and whose policy is to
 * be brought back, in their order, one at a time. What is still to be done is kept for this boot of
 * the host: a restart of virtxd goes on with that, and begins nothing else.
 *
 *   waiting -> asking    the host is ready, and open for VMs: what was kept?
 *   asking  -> keeping   nothing: this is the first time since the host was booted
 *   asking  -> next      what was left
 *   asking  -> waiting   that cannot be told, or not yet which VMs are to be booted
 *   keeping -> next      it is kept what is left
 *   next    -> booting   a VM, when the one before is long enough ago and the host is ready
 *   next    -> keeping   a VM need not be booted any more
 *   next    -> over      none is left; one of which it is open whose it is is waited for
 *   booting -> keeping   it runs, or does not, which is told, and not tried again
 *   booting -> next      the host could not, or it is locked for now: it is tried again
 */
#ifndef OPS_AUTOSTART_H
#define OPS_AUTOSTART_H

#include "ops/context.h"

struct autostart;

/* ctx is borrowed; so is what it points to, by now. */
struct autostart *autostart_new(struct context *ctx);
/* virtxd stops. After jobs_free, and tasks_free. */
void autostart_free(struct autostart *autostart);
/* Whether nothing is left to be booted. */
bool autostart_is_over(const struct autostart *autostart);

#endif
