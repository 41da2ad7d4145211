/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VM of a host that is dead, or cannot be asked, becomes this host's because somebody asks, and
 * is booted where it was wanted on. */
#ifndef OPS_CLAIM_H
#define OPS_CLAIM_H

#include "ops/request.h"
#include "work/requests.h"

struct context;

/*
 * Claims the VM in the request's path. The request is answered when the VM is this host's, or when
 * it is known why not: 409, 404 for none, and 422, 424 or 503 where another host may be able to
 * have it. The boot is an operation of its own, of the same user, which has begun by then. With
 * recall the VM is ended where it runs, and serf's word for its host counts for nothing.
 */
void claim_start(struct context *ctx, struct request *req, enum claim_recall recall);
/* virtxd stops: nobody is told any more. After tasks_free. */
void claims_free(struct context *ctx);

#endif
