/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/newcomers.h"

#include "ops/uuid_set.h"
#include "proto/log.h"

struct newcomers {
	struct jobs *jobs;
	struct inventory *inventory;
	int64_t patience;
	newcomers_taken taken;
	void *arg;
	struct uuid_set waiting;
	struct uuid_set asked;	   /* about, by the job that runs */
	struct uuid_set heard;	   /* of by libvirt's events, and not looked at since */
	struct uuid_set undecided; /* whose they are; some of both may be here by now */
	bool running, failed;
	bool left_out; /* of a report, and nobody can say any more whose they are */
	int64_t since; /* monotonic ms, of the job that runs */
	uint64_t mark; /* of the inventory, when it began to look */
};

static void ask(struct newcomers *newcomers);

static bool
is_known_elsewhere(const struct newcomers *newcomers, const char *uuid)
{
	const struct inventory_vm *view = inventory_find_vm(newcomers->inventory, uuid);

	return view && !view->local;
}

static bool
is_here(const struct newcomers *newcomers, const char *uuid)
{
	const struct inventory_vm *view = inventory_find_vm(newcomers->inventory, uuid);

	return view && view->local;
}

static void
take(struct newcomers *newcomers, const struct vm_report *report)
{
	inventory_report_vm(newcomers->inventory, newcomers->mark, false, report);
}

struct undecided_list {
	struct undecided_vm *vms;
	size_t n_vms;
};

static void
add_undecided(void *arg, const char *uuid)
{
	struct undecided_list *list = arg;

	model_append(&list->vms, &list->n_vms)->uuid = (char *)uuid;
}

/* Other hosts are told which they are: to be called after each change. */
static void
tell_undecided(const struct newcomers *newcomers)
{
	struct undecided_list list = { 0 };

	newcomers_each_undecided(newcomers, add_undecided, &list);
	inventory_set_undecided(newcomers->inventory, list.vms, list.n_vms);
	free(list.vms);
}

/* As somebody has seen it who began to look at the mark. */
static void
note_undecided(struct newcomers *newcomers, uint64_t mark, const char *uuid)
{
	if (!inventory_deleted_after(newcomers->inventory, uuid, mark))
		uuid_set_add(&newcomers->undecided, uuid);
}

/* In vain (NULL), or which of them are not this host's to tell of yet. */
static void
note_answer(struct newcomers *newcomers, const struct whose_result *res)
{
	char uuid[UUID_TEXT_SIZE];

	while (uuid_set_take(&newcomers->asked, uuid)) {
		if (res)
			uuid_set_remove(&newcomers->undecided, uuid);
	}
	for (size_t i = 0; res && i < res->n_leaving; i++)
		note_undecided(newcomers, newcomers->mark, res->leaving[i].uuid);
	tell_undecided(newcomers);
}

static void
asked(void *arg, void *result, const struct error *err)
{
	struct newcomers *newcomers = arg;
	struct whose_result *res = result;
	static struct log_limit limit;

	newcomers->running = false;
	newcomers->failed = !res;
	note_answer(newcomers, res);
	if (!res) {
		newcomers->left_out = true;
		log_limited(&limit, 10, "job", "cannot tell whose VMs are: %s", err->detail);
		return;
	}
	for (size_t i = 0; i < res->n_vms; i++)
		take(newcomers, &res->vms[i]);
	for (size_t i = 0; i < res->n_unregistered; i++) {
		if (!is_known_elsewhere(newcomers, res->unregistered[i].uuid))
			take(newcomers, &res->unregistered[i]);
	}
	newcomers->taken(newcomers->arg);
	ask(newcomers);
}

static void
ask(struct newcomers *newcomers)
{
	struct whose_request req = { 0 };
	struct error err = { 0 };
	char uuid[37];

	if (newcomers->running || uuid_set_is_empty(&newcomers->waiting))
		return;
	while (uuid_set_take(&newcomers->waiting, uuid)) {
		model_append(&req.vms, &req.n_vms)->uuid = xstrdup(uuid);
		uuid_set_add(&newcomers->asked, uuid);
	}
	newcomers->mark = inventory_mark(newcomers->inventory);
	newcomers->since = monotonic_ms();
	newcomers->running = job_start(newcomers->jobs, WORK_WHOSE, &req, NULL, "", NULL, asked,
				 newcomers, &err) != NULL;
	if (!newcomers->running) {
		newcomers->left_out = true;
		log_warning("job", "cannot start %s: %s", works[WORK_WHOSE].name, err.detail);
		note_answer(newcomers, NULL);
	}
	model_clear(&whose_request_model, &req);
}

static bool
is_newcomer(const struct newcomers *newcomers, const struct vm_report *report)
{
	return !is_here(newcomers, report->uuid) &&
	       (report->runstate == VMRUNSTATE_POWEROFF || report->runstate == VMRUNSTATE_CRASHED);
}

static bool
must_wait(const struct newcomers *newcomers, const char *uuid)
{
	bool stalled =
	    newcomers->failed ||
	    (newcomers->running && monotonic_ms() - newcomers->since > newcomers->patience);

	return !stalled || is_known_elsewhere(newcomers, uuid);
}

bool
newcomers_are_waiting(const struct newcomers *newcomers)
{
	return newcomers->running || newcomers->left_out || !uuid_set_is_empty(&newcomers->waiting);
}

bool
newcomers_is_undecided(const struct newcomers *newcomers, const char *uuid)
{
	return (uuid_set_has(&newcomers->undecided, uuid) ||
		   uuid_set_has(&newcomers->heard, uuid)) &&
	       !is_here(newcomers, uuid);
}

struct walk {
	const struct newcomers *newcomers;
	void (*each)(void *arg, const char *uuid);
	void *arg;
};

static void
pass_on(void *arg, const char *uuid)
{
	const struct walk *walk = arg;

	if (!is_here(walk->newcomers, uuid))
		walk->each(walk->arg, uuid);
}

static void
pass_on_heard(void *arg, const char *uuid)
{
	const struct walk *walk = arg;

	if (!uuid_set_has(&walk->newcomers->undecided, uuid))
		pass_on(arg, uuid);
}

void
newcomers_each_undecided(
    const struct newcomers *newcomers, void (*each)(void *arg, const char *uuid), void *arg)
{
	struct walk walk = { newcomers, each, arg };

	uuid_set_each(&newcomers->undecided, pass_on, &walk);
	uuid_set_each(&newcomers->heard, pass_on_heard, &walk);
}

void
newcomers_hear(struct newcomers *newcomers, const char *uuid)
{
	if (is_here(newcomers, uuid) || uuid_set_has(&newcomers->heard, uuid))
		return;
	uuid_set_add(&newcomers->heard, uuid);
	tell_undecided(newcomers);
}

void
newcomers_look(struct newcomers *newcomers, const char *uuid)
{
	if (uuid)
		uuid_set_remove(&newcomers->heard, uuid);
	else
		uuid_set_clear(&newcomers->heard);
}

void
newcomers_settle(struct newcomers *newcomers, const struct vm_report *reports, size_t n)
{
	struct uuid_set rest = { 0 };

	for (size_t i = 0; i < n; i++) {
		if (uuid_set_has(&newcomers->undecided, reports[i].uuid) &&
		    !is_here(newcomers, reports[i].uuid))
			uuid_set_add(&rest, reports[i].uuid);
	}
	uuid_set_clear(&newcomers->undecided);
	newcomers->undecided = rest;
	tell_undecided(newcomers);
}

void
newcomers_forget(struct newcomers *newcomers, const char *uuid)
{
	uuid_set_remove(&newcomers->waiting, uuid);
	uuid_set_remove(&newcomers->heard, uuid);
	uuid_set_remove(&newcomers->undecided, uuid);
	tell_undecided(newcomers);
}

void
newcomers_sift(
    struct newcomers *newcomers, uint64_t mark, bool all, struct vm_report *reports, size_t *n)
{
	size_t kept = 0;

	if (all)
		newcomers->left_out = false;
	for (size_t i = 0; i < *n; i++) {
		bool is_new = is_newcomer(newcomers, &reports[i]);

		if (is_new) {
			uuid_set_add(&newcomers->waiting, reports[i].uuid);
			note_undecided(newcomers, mark, reports[i].uuid);
		}
		if (is_new && must_wait(newcomers, reports[i].uuid))
			model_clear(&vm_report_model, &reports[i]);
		else
			reports[kept++] = reports[i];
	}
	*n = kept;
	tell_undecided(newcomers);
	ask(newcomers);
}

struct newcomers *
newcomers_new(struct jobs *jobs, struct inventory *inventory, int64_t patience,
    newcomers_taken taken, void *arg)
{
	struct newcomers *newcomers = xcalloc(1, sizeof(*newcomers));

	*newcomers = (struct newcomers){
		.jobs = jobs,
		.inventory = inventory,
		.patience = patience,
		.taken = taken,
		.arg = arg,
	};
	return newcomers;
}

void
newcomers_free(struct newcomers *newcomers)
{
	if (!newcomers)
		return;
	uuid_set_clear(&newcomers->waiting);
	uuid_set_clear(&newcomers->asked);
	uuid_set_clear(&newcomers->heard);
	uuid_set_clear(&newcomers->undecided);
	free(newcomers);
}
