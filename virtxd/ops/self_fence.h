/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMs that run on this host without their leases, which another host may take at any time: sanlock
 * was started anew below them, say. On a host that is armed they are ended, by SIGKILL to their
 * QEMU, since others count on it; else they are problems of the host (work/protection.h).
 *
 * It looks each ten seconds, or each minute where no VM is known to run, and each two seconds while
 * something is not as it is to be, or after sanlock or the lockspace have changed. What is ended
 * was so in two looks and is so in a third one that ends it: the same process ran all the while,
 * and no job worked on the VM.
 */
#ifndef OPS_SELF_FENCE_H
#define OPS_SELF_FENCE_H

#include "job/job.h"
#include "ops/arming.h"
#include "state/inventory.h"

struct event_base;
struct self_fence;

/* A VM was found to run without its leases, and is not ended. */
typedef void (*self_fence_found)(void *arg);

/* All are borrowed and outlive it. able says whether libvirt is there. */
struct self_fence *self_fence_new(struct event_base *base, struct jobs *jobs,
    struct inventory *inventory, const struct arming *arming, bool (*able)(void *arg),
    self_fence_found found, void *arg);
/* A job under way ends by itself. */
void self_fence_free(struct self_fence *fence);
/* sanlock, the lockspace or what runs here is not what it was: it looks soon. */
void self_fence_hurry(struct self_fence *fence);

#endif
