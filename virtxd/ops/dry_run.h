/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The dry run of a create: each host that could have the VM is asked for what only it can see. */
#ifndef OPS_DRY_RUN_H
#define OPS_DRY_RUN_H

#include "ops/request.h"
#include "proto/model.h"

struct context;

/* Answers with the placement. options (checked) are copied; lack is why this host cannot have the
 * VM, NULL where it can. */
void dry_run_start(struct context *ctx, struct request *req,
    const struct vm_create_options *options, const struct error *lack);
/* virtxd stops. After peers_free. */
void dry_runs_free(struct context *ctx);

#endif
