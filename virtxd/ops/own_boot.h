/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMs that virtxd boots by itself: after their host was, and after they crashed. */
#ifndef OPS_OWN_BOOT_H
#define OPS_OWN_BOOT_H

#include "ops/context.h"
#include "ops/task.h"

/* Whether the VM (NULL: none) is this host's and off, is wanted on, and is to be brought back by
 * its policy. */
bool own_boot_is_due(const struct context *ctx, const struct inventory_vm *view);
/* Whether the host can boot VMs, and may: it is in no maintenance, and does not go down. */
bool own_boot_is_ready(struct context *ctx);
/* Boots it. The owner (borrowed) is told of the end in any case, which may be before this returns.
 */
void own_boot_start(struct context *ctx, const char *vm, const struct task_owner *owner, void *arg);
/* The same as an operation of this user's. */
void own_boot_start_for(struct context *ctx, const char *vm, const char *user,
    const struct task_owner *owner, void *arg);
/* Whether it runs: it was booted, or somebody else was faster. err is what the owner was told. */
bool own_boot_is_done(const struct error *err);
/* Whether the host could not, for the moment: what it needs was lost, or there are too many jobs.
 */
bool own_boot_was_unable(const struct error *err);
/* The same, or somebody holds a lock or a lease of it for now, as a storage tells of a host that
 * has just died, or an operation on it is under way: of one that was another host's. */
bool own_boot_may_succeed(const struct error *err);

#endif
