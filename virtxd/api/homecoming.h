/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How VMs come back to this host, one by one: the host that has it is asked to send it. */
#ifndef API_HOMECOMING_H
#define API_HOMECOMING_H

#include "api/moves.h"

/* For moves_ops.start; since (monotonic ms) this host takes VMs again. */
void homecoming_start(struct api *api, const char *user, int64_t since, struct move *move);
/* For moves_ops.follow. */
void homecoming_follow(struct api *api, const char *user, struct move *move);
/* Whether all is joined and each active host has told of itself; with vms, whether it is known
 * where the VMs of all hosts are, too. */
bool homecoming_is_settled(struct api *api, bool vms);

#endif
