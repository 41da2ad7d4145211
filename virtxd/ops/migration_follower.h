/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Follows migrations that are under way: their progress, and their timeouts. */
#ifndef OPS_MIGRATION_FOLLOWER_H
#define OPS_MIGRATION_FOLLOWER_H

#include "proto/model.h"

struct context;

/* Has the live migration of this operation tell its progress, and keep its timeout; once for each
 * operation. */
void migration_follow(struct context *ctx, const char *vm, const char *operation,
    const struct vm_migrate_options *options);
/* virtxd stops: none is followed any more; each goes on. */
void migration_followers_free(struct context *ctx);

#endif
