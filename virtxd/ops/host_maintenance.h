/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * This host's maintenance: kept on the storage, told to the others, and the moves that it is for.
 * It is begun or ended when that is kept; a restart of virtxd goes on with what it finds there.
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
/* Borrowed. */
const struct maintenance *host_maintenance_get(const struct host_maintenance *hm);

/* Both answer the request. */
void host_maintenance_begin(struct host_maintenance *hm, struct request *req);
void host_maintenance_end(struct host_maintenance *hm, struct request *req, bool back);

#endif
