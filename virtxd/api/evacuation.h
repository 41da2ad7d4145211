/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How the VMs of this host leave it, one by one: each where placement says at its turn. */
#ifndef API_EVACUATION_H
#define API_EVACUATION_H

#include "api/moves.h"
#include "work/requests.h"

/* The VMs of this host in the order in which they leave: those that are hard to place first. An
 * array of n texts, the caller's to free(). */
char (*evacuation_vms(struct api *api, size_t *n))[UUID_TEXT_SIZE];
/* Where each of them would go, but those that stay; ret is zero before, and the caller clears it.
 */
void evacuation_plan(
    struct api *api, const struct vm_stays_result *stays, struct maintenance_plan *ret);

/* For moves_ops.start. */
void evacuation_start(struct api *api, const char *user, struct move *move);

#endif
