/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How the VMs of this host leave it, one by one: each where placement says at its turn. */
#ifndef OPS_EVACUATION_H
#define OPS_EVACUATION_H

#include "ops/move_queue.h"
#include "work/requests.h"

/* The VMs of this host in the order in which they leave: those that are hard to place first. An
 * array of n texts, the caller's to free(). */
char (*evacuation_vms(struct context *ctx, size_t *n))[UUID_TEXT_SIZE];
/* Where each of them would go, but those that stay; ret is zero before, and the caller clears it.
 */
void evacuation_plan(
    struct context *ctx, const struct vm_stays_result *stays, struct maintenance_plan *ret);

/* For move_queue_ops.start. */
void evacuation_start(struct context *ctx, const char *user, struct move *move);

#endif
