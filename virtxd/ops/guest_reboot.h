/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VM whose guest was asked to reboot and has gone off is booted again on its host, whatever its
 * policy is. That its guest was asked is in the VM's log, so that a virtxd that is started
 * meanwhile goes on with it. Where it does not start it stays off, as a problem of the host, until
 * somebody boots it.
 *
 *   due     -> booting    the host is ready
 *   booting -> due        the host could not: it is tried again; where it could, it is over
 *   booting -> given up   it did not start
 */
#ifndef OPS_GUEST_REBOOT_H
#define OPS_GUEST_REBOOT_H

#include "ops/context.h"

struct guest_reboots;

/* ctx is borrowed; so is what it points to, by now. */
struct guest_reboots *guest_reboots_new(struct context *ctx);
/* virtxd stops. After jobs_free, and tasks_free. */
void guest_reboots_free(struct guest_reboots *owner);

#endif
