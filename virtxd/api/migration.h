/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Migrations that virtxd itself wants. */
#ifndef API_MIGRATION_H
#define API_MIGRATION_H

#include "api/action.h"
#include "proto/model.h"

/*
 * Moves a VM of this host, as POST /vms/{uuid}/runstate/migrate does, as an operation of its own;
 * why says why it goes there. Needs options->host.
 * Returns its id (borrowed), of whose end ended is told; or NULL with err where it cannot begin.
 */
const char *migration_begin(struct api *api, const char *vm,
    const struct vm_migrate_options *options, const char *why, const char *user, action_ended ended,
    void *arg, struct error *err);

#endif
