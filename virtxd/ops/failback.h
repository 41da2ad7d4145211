/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How VMs come back to this host, one by one: the host that has it is asked to send it. */
#ifndef OPS_FAILBACK_H
#define OPS_FAILBACK_H

#include "ops/move_queue.h"

/* For move_queue_ops.start; since (monotonic ms) this host takes VMs again. */
void failback_start(struct context *ctx, const char *user, int64_t since, struct move *move);
/* For move_queue_ops.follow. */
void failback_follow(struct context *ctx, const char *user, struct move *move);
/* Whether all is joined and each active host has told of itself; with vms, whether it is known
 * where the VMs of all hosts are, too. */
bool failback_is_settled(struct context *ctx, bool vms);

#endif
