/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which host is best for a VM: what has to hold, and what is better, by the inventory alone. A host
 * is feasible that is active, not in maintenance, has told of itself, has CPUs of the architecture
 * of this one, has enough memory (or hugepages) by its own accounting, and has no other VM of the
 * same "apart". Of those, where one has a VM of the same "group", only such are considered. Then:
 * most memory left (what is within 5 % of the best is the same), fewest vCPUs by CPUs, fewest VMs,
 * the name.
 */
#ifndef STATE_PLACEMENT_H
#define STATE_PLACEMENT_H

#include "proto/error.h"
#include "proto/model.h"
#include "state/planner.h"

/* A host that is not considered, and why, as a clause: "it is not ready". */
struct placement_excluded {
	const char *host;
	const char *why;
};

/* What a VM needs; all is borrowed. */
struct placement_need {
	const char *vm;	    /* uuid, "" for one that is to be created */
	const char *from;   /* the host that it has to leave, "" for none */
	const char *target; /* the only host that is considered, "" for any */
	const struct vmdef *def;
	const struct placement_excluded *excluded;
	size_t n_excluded;
	bool brief; /* no candidates are wanted: saves the time to explain them */
	bool look;  /* nothing is reserved: another VM is placed as if this one were not */
};

/* Chooses, and reserves on the host that it chose (and frees on the one that the VM leaves). ret
 * must be zero; the caller clears it. 0, or -1 with 422 where no host is feasible (ret then says
 * why of each). */
int planner_place(struct planner *planner, const struct placement_need *need, struct placement *ret,
    struct error *err);

/* The hosts that can take the VM, by name; uuids are borrowed from the planner. */
void planner_each_feasible(const struct planner *planner, const struct placement_need *need,
    void (*each)(void *arg, const char *host), void *arg);

#endif
