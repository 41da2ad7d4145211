/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Compares the registry, the leases and the images on the storage with what libvirt has: what does
 * not fit becomes the host's problems, what an operation has left is healed. */
#ifndef OPS_RECONCILER_H
#define OPS_RECONCILER_H

#include "ops/lockspace_monitor.h"
#include "ops/recovery.h"

struct reconciler;

/* All are borrowed and outlive it. able says whether libvirt and the storage are there. */
struct reconciler *reconciler_new(const struct config *config, struct jobs *jobs,
    struct inventory *inventory, const struct lockspace_monitor *monitor, struct recovery *recovery,
    bool (*able)(void *arg), void *arg);
/* Jobs under way end by themselves, and nobody is told. */
void reconciler_free(struct reconciler *reconciler);

/* Compares now, or once more after the run that is under way. */
void reconciler_run(struct reconciler *reconciler);
/* Whether a run is under way. */
bool reconciler_is_running(const struct reconciler *reconciler);

#endif
