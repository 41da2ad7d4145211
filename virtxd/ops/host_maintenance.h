/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * This host's maintenance: kept on the storage, told to the others, and the moves that it is for.
 * It is begun or ended when that is kept; a restart of virtxd goes on with what it finds there.
 *
 *   idle     -> due        VMs have to leave this host, or to come back
 *   idle     -> resumed    the same, as a virtxd before this one has left it
 *   due      -> idle       none has to any more
 *   due      -> moving     their moves begin
 *   resumed  -> idle       none has to any more
 *   resumed  -> settling   their moves begin, once other hosts have told of themselves
 *   settling -> moving     they have
 *   settling -> stopping   the maintenance was changed
 *   moving   -> idle       all have left that can
 *   moving   -> stopping   the maintenance was changed: what is on its way comes to its end
 *   moving   -> closing    all came back, which is told when it is kept
 *   stopping -> idle       nothing is on its way any more, and nothing has to move
 *   stopping -> due        the same, and VMs have to move the other way
 *   closing  -> idle       it is kept
 */
#ifndef OPS_HOST_MAINTENANCE_H
#define OPS_HOST_MAINTENANCE_H

#include "ops/context.h"
#include "ops/request.h"

/* ctx is borrowed; so is what it points to, by now. */
struct host_maintenance *host_maintenance_new(struct context *ctx);
/* virtxd stops: what moves goes on by itself, and all else after the next start. After jobs_free
 * and peers_free. */
void host_maintenance_free(struct host_maintenance *hm);

/* "" once it is known whether this host is in maintenance, else why not. */
const char *host_maintenance_why(const struct host_maintenance *hm);
/* 0 when this host takes VMs, or -1 with a 503. */
int host_maintenance_check_open(const struct context *ctx, struct error *err);
/* Whether this host is shut down, and the others are to bring its VMs back then; what is still on a
 * host in maintenance, or on one of which that is not known, is to wait for it. */
bool host_maintenance_hands_over(const struct host_maintenance *hm);
/* Borrowed. */
const struct maintenance *host_maintenance_get(const struct host_maintenance *hm);

/* Both answer the request. */
void host_maintenance_begin(struct host_maintenance *hm, struct request *req);
void host_maintenance_end(struct host_maintenance *hm, struct request *req, bool back);

#endif
