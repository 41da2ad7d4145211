/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/collector.h"

#include "loop/timer.h"
#include "ops/background.h"
#include "ops/newcomers.h"
#include "ops/uuid_set.h"
#include "proto/log.h"

#define COALESCE_MS   50 /* events of one moment become one refresh */
#define INSPECT_BATCH 50 /* VMs */

struct collector {
	const struct config *config;
	struct jobs *jobs;
	struct inventory *inventory;
	const struct collector_ops *ops;
	void *arg;
	struct timer *period, *coalesce;
	struct newcomers *newcomers;
	struct background probe, collect, refresh, inspect;
	struct uuid_set changed;
	bool connected;
	bool heard;	 /* of a VM, since the collection that runs began to look */
	bool again;	 /* the collection that runs may have looked before libvirt came back */
	bool host_known; /* what never changes of the host was collected */
	bool vms_known;
};

static void
arm(struct collector *collector)
{
	if (!timer_is_started(collector->coalesce))
		timer_start(collector->coalesce, COALESCE_MS);
}

static bool
start(struct collector *collector, struct background *background, enum work_id id,
    const void *request, job_done done)
{
	return background_start(
	    background, collector->jobs, collector->inventory, id, request, done, collector);
}

static void
probe_done(void *arg, void *result, const struct error *err)
{
	struct collector *collector = arg;
	struct probe_result *res = result;

	collector->probe.running = false;
	collector->ops->probed(collector->arg, res ? res->uuid : NULL, err);
}

void
collector_probe(struct collector *collector)
{
	struct probe_request req = { .uri = collector->config->libvirt_uri };

	if (collector->probe.running)
		return;
	if (!start(collector, &collector->probe, WORK_PROBE, &req, probe_done)) {
		struct error err = { 0 };

		error_set(&err, 503, "no probe could be started");
		collector->ops->probed(collector->arg, NULL, &err);
	}
}

static bool
is_local(const struct collector *collector, const char *uuid)
{
	const struct inventory_vm *view = inventory_find_vm(collector->inventory, uuid);

	return view && view->local;
}

static void inspect(void *arg);

static void
inspect_done(void *arg, void *result, const struct error *err)
{
	struct collector *collector = arg;
	struct inspect_result *res = result;

	collector->inspect.running = false;
	if (!res) {
		background_failed(WORK_INSPECT, err);
		inventory_sizes_unreadable(collector->inventory);
		return;
	}
	for (size_t i = 0; i < res->n_vms; i++) {
		if (is_local(collector, res->vms[i].uuid))
			inventory_report_vm(
			    collector->inventory, collector->inspect.mark, false, &res->vms[i]);
	}
	if (res->n_vms == INSPECT_BATCH)
		inspect(collector);
}

static void
add_uninspected(void *arg, const struct inventory_vm *view, bool def_known, bool disks_known)
{
	struct inspect_request *req = arg;
	const struct vmdef *def = &view->vm.def;
	struct inspect_vm *vm;

	if (!def_known || disks_known || view->foreign || req->n_vms >= INSPECT_BATCH)
		return;
	vm = model_append(&req->vms, &req->n_vms);
	vm->uuid = xstrdup(view->vm.uuid);
	model_copy(&disk_model, model_append(&vm->disks, &vm->n_disks), &def->osdisk);
	for (size_t i = 0; i < def->n_disks; i++)
		model_copy(&disk_model, model_append(&vm->disks, &vm->n_disks), &def->disks[i]);
}

static void
inspect(void *arg)
{
	struct collector *collector = arg;
	struct inspect_request req = { 0 };

	inventory_each_local(collector->inventory, add_uninspected, &req);
	if (!collector->ops->has_storage(collector->arg))
		inventory_sizes_unreadable(collector->inventory);
	else if (req.n_vms > 0)
		start(collector, &collector->inspect, WORK_INSPECT, &req, inspect_done);
	model_clear(&inspect_request_model, &req);
}

/* What the job does not tell of it could not look at, and an event since may be of what it has not
 * seen. */
static void
note_looked(struct collector *collector, const char *uuid)
{
	if (!uuid_set_has(&collector->changed, uuid))
		newcomers_look(collector->newcomers, uuid);
}

static void
refresh_done(void *arg, void *result, const struct error *err)
{
	struct collector *collector = arg;
	struct refresh_result *res = result;

	collector->refresh.running = false;
	if (!uuid_set_is_empty(&collector->changed))
		arm(collector);
	if (!res) {
		background_failed(WORK_REFRESH, err);
		return;
	}
	for (size_t i = 0; i < res->n_vms; i++)
		note_looked(collector, res->vms[i].uuid);
	for (size_t i = 0; i < res->n_gone; i++)
		note_looked(collector, res->gone[i].uuid);
	newcomers_sift(collector->newcomers, collector->refresh.mark, false, res->vms, &res->n_vms);
	for (size_t i = 0; i < res->n_vms; i++)
		inventory_report_vm(
		    collector->inventory, collector->refresh.mark, false, &res->vms[i]);
	inspect(collector);
}

static void
refresh_due(void *arg)
{
	struct collector *collector = arg;
	struct refresh_request req = { 0 };
	char uuid[37];

	if (collector->refresh.running || !collector->connected)
		return;
	while (uuid_set_take(&collector->changed, uuid)) {
		model_append(&req.vms, &req.n_vms)->uuid = xstrdup(uuid);
		/* Where the job does not tell, the next collection does. */
		inventory_forget_def(collector->inventory, uuid);
	}
	start(collector, &collector->refresh, WORK_REFRESH, &req, refresh_done);
	model_clear(&refresh_request_model, &req);
}

static void
take(struct collector *collector, struct collect_result *res)
{
	if (str_empty(inventory_self(collector->inventory)))
		log_info("libvirt", "this is host '%s'", res->host.uuid);
	inventory_report_host(collector->inventory, &res->host);
	/* Newcomers are asked about by this host's name. */
	jobs_set_host(collector->jobs, inventory_self(collector->inventory));
	if (!collector->heard)
		newcomers_look(collector->newcomers, NULL);
	newcomers_settle(collector->newcomers, res->vms, res->n_vms);
	newcomers_sift(collector->newcomers, collector->collect.mark, true, res->vms, &res->n_vms);
	inventory_report_vms(collector->inventory, collector->collect.mark, res->vms, res->n_vms);
	collector->host_known = true;

	collector->ops->collected(collector->arg);
	inspect(collector);
}

static void collect_all(struct collector *collector);

static void
collect_done(void *arg, void *result, const struct error *err)
{
	struct collector *collector = arg;

	collector->collect.running = false;
	if (result)
		take(collector, result);
	else
		background_failed(WORK_COLLECT, err);
	if (collector->again) {
		collector->again = false;
		collect_all(collector);
	}
}

static void
add_known(void *arg, const struct inventory_vm *view, bool def_known, bool disks_known)
{
	struct collect_request *req = arg;

	if (def_known)
		model_append(&req->known, &req->n_known)->uuid = xstrdup(view->vm.uuid);
}

static void
collect(struct collector *collector)
{
	struct collect_request req = { .host = !collector->host_known };

	if (!collector->connected)
		return;
	inventory_each_local(collector->inventory, add_known, &req);
	if (start(collector, &collector->collect, WORK_COLLECT, &req, collect_done))
		collector->heard = false;
	model_clear(&collect_request_model, &req);
}

/* What changed while nobody told is found by reading everything again. */
static void
collect_all(struct collector *collector)
{
	collector->host_known = false;
	inventory_forget_def(collector->inventory, NULL);
	collect(collector);
}

static void
period_due(void *arg)
{
	collect(arg);
}

bool
collector_knows_vms(struct collector *collector)
{
	collector->vms_known |=
	    collector->host_known && !newcomers_are_waiting(collector->newcomers);
	return collector->vms_known;
}

bool
collector_is_undecided(const struct collector *collector, const char *uuid)
{
	return newcomers_is_undecided(collector->newcomers, uuid);
}

void
collector_each_undecided(
    const struct collector *collector, void (*each)(void *arg, const char *uuid), void *arg)
{
	newcomers_each_undecided(collector->newcomers, each, arg);
}

void
collector_forget(struct collector *collector, const char *uuid)
{
	newcomers_forget(collector->newcomers, uuid);
}

void
collector_refresh(struct collector *collector, const char *uuid)
{
	uuid_set_add(&collector->changed, uuid);
	collector->heard = true;
	newcomers_hear(collector->newcomers, uuid);
	arm(collector);
}

void
collector_set_libvirt(struct collector *collector, bool connected)
{
	collector->connected = connected;
	if (!connected)
		return;
	collector->again = collector->collect.running;
	if (!collector->again)
		collect_all(collector);
}

void
collector_reload(struct collector *collector)
{
	timer_every(collector->period, collector->config->collect_period * INT64_C(1000));
}

struct collector *
collector_new(struct event_base *base, const struct config *config, struct jobs *jobs,
    struct inventory *inventory, const struct collector_ops *ops, void *arg)
{
	struct collector *collector = xcalloc(1, sizeof(*collector));

	*collector = (struct collector){
		.config = config,
		.jobs = jobs,
		.inventory = inventory,
		.ops = ops,
		.arg = arg,
	};
	collector->newcomers = newcomers_new(
	    jobs, inventory, (int64_t)config->answer_timeout * 1000, inspect, collector);
	collector->period = timer_new(base, period_due, collector);
	collector->coalesce = timer_new(base, refresh_due, collector);
	collector_reload(collector);
	return collector;
}

void
collector_free(struct collector *collector)
{
	timer_free(collector->period);
	timer_free(collector->coalesce);
	newcomers_free(collector->newcomers);
	uuid_set_clear(&collector->changed);
	free(collector);
}
