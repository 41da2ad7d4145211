/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What hosts have for VMs, counted while VMs are placed on them. */
#ifndef STATE_PLANNER_H
#define STATE_PLANNER_H

#include <stdbool.h>

#include "state/figures.h"

struct inventory;
struct planner;

/* The names of the custom fields that keep VMs of one value apart or together. */
#define PLACEMENT_APART "apart"
#define PLACEMENT_GROUP "group"

/*
 * The hosts and VMs of the inventory as they are now, with what was reserved lately. Plans many
 * moves one after the other: what was placed counts for the next. The inventory may change
 * meanwhile; the planner does not follow.
 */
struct planner *planner_new(const struct inventory *inventory);
void planner_free(struct planner *planner);
/* What a host has, as the planner counts it; false for one that is not known or has told nothing.
 */
bool planner_figures(const struct planner *planner, const char *host, struct host_figures *ret);

#endif
