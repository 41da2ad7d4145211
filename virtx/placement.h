/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Dry runs: which host would be chosen. */
#ifndef VIRTX_PLACEMENT_H
#define VIRTX_PLACEMENT_H

#include "proto/routes.h"
#include "virtx/command.h"

/* Asks the server what the route would choose, without doing it, and shows the answer; -1 also
 * where no host can have the VM. */
int placement_call(struct command_call *call, enum route_id id, const char *param,
    const void *request, struct error *err);

#endif
