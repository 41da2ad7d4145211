/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A migration that is under way. */
#ifndef API_MIGRATION_H
#define API_MIGRATION_H

#include "proto/model.h"

struct api;

/* Has the live migration of this operation tell its progress, and keep its timeout; once for each
 * operation. */
void migration_follow(struct api *api, const char *vm, const char *operation,
    const struct vm_migrate_options *options);

#endif
