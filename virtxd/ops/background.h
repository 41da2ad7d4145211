/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A job that virtxd runs for itself, again and again: at most one of its kind at a time. */
#ifndef OPS_BACKGROUND_H
#define OPS_BACKGROUND_H

#include "job/job.h"
#include "state/inventory.h"

struct background {
	bool running;  /* to be cleared when it is done */
	uint64_t mark; /* of the inventory, when it began to look */
};

/* Starts it unless it runs already; done is called with arg. False where it was not started, which
 * the log says. */
bool background_start(struct background *background, struct jobs *jobs, struct inventory *inventory,
    enum work_id id, const void *request, job_done done, void *arg);
/* Logs that it has failed, and not too often. */
void background_failed(enum work_id id, const struct error *err);

#endif
