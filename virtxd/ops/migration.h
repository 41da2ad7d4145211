/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VM of this host leaves it. The host that it goes to is found and asked for room, and then a job
 * migrates the VM. A host that was chosen, and not named by the user, is one that may refuse: then
 * the next best is asked, in the same operation.
 *
 *   choosing -> asking     a host is named, or was chosen: it is asked for room
 *   asking   -> choosing   it refuses
 *   asking   -> moving     it has room, and the job is started
 *   asking   -> stays      the job cannot be started
 *   moving   -> choosing   the job did nothing, as the host that was chosen refused
 *   moving   -> stays      the job did nothing, and would do as little with another host
 *
 * The end may come in any of these states.
 */
#ifndef OPS_MIGRATION_H
#define OPS_MIGRATION_H

#include "ops/request.h"
#include "proto/model.h"

struct context;

/* POST /vms/{uuid}/runstate/migrate with these options (checked, copied). Answers in every case. */
void migration_start(
    struct context *ctx, struct request *req, const struct vm_migrate_options *options);

/* err is NULL where the VM is on the host. Else that is the one that failed, or "" where none takes
 * it, with a 503 where that may change soon. */
typedef void (*migration_ended)(void *arg, const char *host, const struct error *err);
/*
 * The same for virtxd itself, as an operation of its own. options->host was chosen; why says why it
 * goes there. Returns the operation's id (borrowed), of whose end ended is told, later; or NULL
 * with err where it cannot begin.
 */
const char *migration_begin(struct context *ctx, const char *vm,
    const struct vm_migrate_options *options, const char *why, const char *user,
    migration_ended ended, void *arg, struct error *err);

/* virtxd stops: what has begun goes on by itself. */
void migrations_free(struct context *ctx);

#endif
