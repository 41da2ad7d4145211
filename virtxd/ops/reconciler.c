/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/reconciler.h"

#include "ops/background.h"
#include "work/orphans.h"

#define RESOURCES 64	 /* looked at in one reconciliation */
#define DEEP_MS	  600000 /* between two looks through all images */

struct reconciler {
	const struct config *config;
	struct jobs *jobs;
	struct inventory *inventory;
	const struct lockspace_monitor *monitor;
	struct recovery *recovery;
	bool (*able)(void *arg);
	void *arg;
	struct background job;
	int64_t deep_due; /* monotonic ms */
	char *cursor;	  /* where it goes on among the resources */
	bool again;
};

/* The job sees this host's libvirt only; a VM that another host has is no orphan. */
static void
drop_foreign(struct reconciler *reconciler, struct reconcile_result *res)
{
	size_t n = 0;

	for (size_t i = 0; i < res->n_problems; i++) {
		struct host_problem *problem = &res->problems[i];
		const struct inventory_vm *view =
		    inventory_find_vm(reconciler->inventory, str_or_empty(problem->vm));

		if (view && !view->local && problem_is_orphan(problem))
			model_clear(&host_problem_model, problem);
		else
			res->problems[n++] = *problem;
	}
	res->n_problems = n;
}

static void
reconcile_done(void *arg, void *result, const struct error *err)
{
	struct reconciler *reconciler = arg;
	struct reconcile_result *res = result;

	reconciler->job.running = false;
	if (!res) {
		background_failed(WORK_RECONCILE, err);
	} else {
		str_set(&reconciler->cursor, res->cursor);
		drop_foreign(reconciler, res);
		inventory_set_problems(reconciler->inventory, res->problems, res->n_problems);
		for (size_t i = 0; i < res->n_unfinished; i++)
			recovery_heal(reconciler->recovery, res->unfinished[i].uuid);
		for (size_t i = 0; i < res->n_leftovers; i++) {
			inventory_remove_vm(reconciler->inventory, res->leftovers[i].uuid);
			recovery_heal(reconciler->recovery, res->leftovers[i].uuid);
		}
	}
	if (reconciler->again)
		reconciler_run(reconciler);
}

void
reconciler_run(struct reconciler *reconciler)
{
	const struct host *self =
	    inventory_find_host(reconciler->inventory, inventory_self(reconciler->inventory));
	struct reconcile_request req = {
		.known = self ? self->problems : NULL,
		.n_known = self ? self->n_problems : 0,
		.deep = monotonic_ms() >= reconciler->deep_due,
		.limit = RESOURCES,
		.cursor = reconciler->cursor,
		.sanlock = lockspace_monitor_sanlock_answers(reconciler->monitor),
		.kill = reconciler->config->kill_unprotected,
	};

	reconciler->again = reconciler->job.running;
	if (reconciler->job.running || str_empty(inventory_self(reconciler->inventory)) ||
	    !reconciler->able(reconciler->arg))
		return;
	if (background_start(&reconciler->job, reconciler->jobs, reconciler->inventory,
		WORK_RECONCILE, &req, reconcile_done, reconciler) &&
	    req.deep)
		reconciler->deep_due = monotonic_ms() + DEEP_MS;
}

bool
reconciler_is_running(const struct reconciler *reconciler)
{
	return reconciler->job.running;
}

struct reconciler *
reconciler_new(const struct config *config, struct jobs *jobs, struct inventory *inventory,
    const struct lockspace_monitor *monitor, struct recovery *recovery, bool (*able)(void *arg),
    void *arg)
{
	struct reconciler *reconciler = xcalloc(1, sizeof(*reconciler));

	*reconciler = (struct reconciler){
		.config = config,
		.jobs = jobs,
		.inventory = inventory,
		.monitor = monitor,
		.recovery = recovery,
		.able = able,
		.arg = arg,
	};
	return reconciler;
}

void
reconciler_free(struct reconciler *reconciler)
{
	free(reconciler->cursor);
	free(reconciler);
}
