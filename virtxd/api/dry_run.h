/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The dry run of a create: each host that could have the VM is asked for what only it can see. */
#ifndef API_DRY_RUN_H
#define API_DRY_RUN_H

#include "api/request.h"
#include "proto/model.h"

struct api;

/* Answers with the placement. options (checked) are copied; lack is why this host cannot have the
 * VM, NULL where it can. */
void dry_run_start(struct api *api, struct request *req, const struct vm_create_options *options,
    const struct error *lack);
/* virtxd stops. After peers_free. */
void dry_runs_free(struct api *api);

#endif
