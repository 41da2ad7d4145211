/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/background.h"

#include "proto/log.h"

bool
background_start(struct background *background, struct jobs *jobs, struct inventory *inventory,
    enum work_id id, const void *request, job_done done, void *arg)
{
	struct error err = { 0 };

	if (background->running)
		return false;
	background->mark = inventory_mark(inventory);
	background->running = job_start(jobs, id, request, NULL, "", NULL, done, arg, &err) != NULL;
	if (!background->running)
		log_warning("job", "cannot start %s: %s", works[id].name, err.detail);
	return background->running;
}

void
background_failed(enum work_id id, const struct error *err)
{
	static struct log_limit limit;

	log_limited(&limit, 10, "job", "%s failed: %s", works[id].name, err->detail);
}
