/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/keeper.h"

#include <event2/event.h>
#include <sys/queue.h>

#include "ops/lockspace_monitor.h"
#include "ops/newcomers.h"
#include "ops/uuid_set.h"
#include "proto/log.h"
#include "work/orphans.h"

#define COALESCE_MS   50     /* events of one moment become one refresh */
#define HEAL_MS	      200    /* until a VM that is busy is looked at again */
#define INSPECT_BATCH 50     /* VMs */
#define RESOURCES     256    /* looked at in one reconciliation */
#define DEEP_MS	      600000 /* between two looks through all images */

/* One kind of background job: at most one of it runs at a time. */
struct slot {
	bool running;
	int64_t since; /* monotonic ms */
	uint64_t mark; /* of the inventory, when it began to look */
};

struct keeper {
	struct event_base *base;
	const struct config *config;
	struct jobs *jobs;
	struct inventory *inventory;
	struct operations *operations;
	keeper_probed probed;
	void *arg;
	struct work_env env;
	struct event *period, *coalesce, *heal;
	struct lockspace_monitor *monitor;
	struct newcomers *newcomers;
	struct inquiries *inquiries;
	LIST_HEAD(, heal) heals; /* runs of vm-heal that nobody asked for */
	bool vms_known;
	struct slot probe, collect, refresh, inspect, reconcile;
	struct uuid_set changed, wounded;
	struct uuid_set suspects; /* that looked wounded, maybe by what a job was about to do */
	bool healing;		  /* what is observed now is what a healing could do */
	int64_t deep_due;	  /* monotonic ms */
	char *cursor;		  /* where the reconciliation goes on among the resources */
	bool reconcile_again;
	bool connected;
	bool host_known; /* what never changes of the host was collected */
};

const struct work_env *
keeper_env(const struct keeper *keeper)
{
	return &keeper->env;
}

const char *
keeper_lockspace_why(const struct keeper *keeper)
{
	return lockspace_monitor_lockspace_why(keeper->monitor);
}

const char *
keeper_watchdog_why(const struct keeper *keeper)
{
	return lockspace_monitor_watchdog_why(keeper->monitor);
}

const char *
keeper_storage_why(const struct keeper *keeper)
{
	return lockspace_monitor_storage_why(keeper->monitor);
}

bool
keeper_sanlock_answers(const struct keeper *keeper)
{
	return lockspace_monitor_sanlock_answers(keeper->monitor);
}

static bool
has_storage(const struct keeper *keeper)
{
	return str_empty(keeper_storage_why(keeper));
}

static void
arm(struct event *timer, int ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	if (!evtimer_pending(timer, NULL))
		evtimer_add(timer, &tv);
}

/* Starts the slot's job unless it runs already. */
static bool
start(struct keeper *keeper, struct slot *slot, enum work_id id, const void *request, job_done done)
{
	struct error err = { 0 };

	if (slot->running)
		return false;
	slot->mark = inventory_mark(keeper->inventory);
	slot->since = monotonic_ms();
	slot->running =
	    job_start(keeper->jobs, id, request, NULL, "", NULL, done, keeper, &err) != NULL;
	if (!slot->running)
		log_warning("job", "cannot start %s: %s", works[id].name, err.detail);
	return slot->running;
}

/* What happens in the background is told once, where it changes. */
static void
failed(enum work_id id, const struct error *err)
{
	static struct log_limit limit;

	log_limited(&limit, 10, "job", "%s failed: %s", works[id].name, err->detail);
}

static void
probe_done(void *arg, void *result, const struct error *err)
{
	struct keeper *keeper = arg;

	struct probe_result *res = result;

	keeper->probe.running = false;
	keeper->probed(keeper->arg, res ? res->uuid : NULL, err);
}

void
keeper_probe(struct keeper *keeper)
{
	struct probe_request req = { .uri = keeper->env.uri };

	if (keeper->probe.running)
		return;
	if (!start(keeper, &keeper->probe, WORK_PROBE, &req, probe_done)) {
		struct error err = { 0 };

		error_set(&err, 503, "no probe could be started");
		keeper->probed(keeper->arg, NULL, &err);
	}
}

static bool
is_off(enum vmrunstate runstate)
{
	return runstate == VMRUNSTATE_POWEROFF || runstate == VMRUNSTATE_CRASHED;
}

/* An operation is "started" in the VM's log, and nothing is under way that could end it; or the
 * VM is off, and still has its cloud-init CD. */
static bool
is_wounded(const struct inventory_vm *view)
{
	const struct oplog_list *oplog = &view->vm.stats.oplog;
	bool off = is_off(view->vm.runinfo.runstate);

	if (off && !str_empty(view->cloud_init))
		return true;
	for (size_t i = 0; i < oplog->n_items; i++) {
		if (!str_equal(oplog->items[i].status, "started"))
			continue;
		if (!str_equal(oplog->items[i].op, "VmShutdown") || off)
			return true;
	}
	return false;
}

static void
healed(void *arg, uint64_t mark, void *result, const struct error *err)
{
	struct keeper *keeper = arg;
	static struct log_limit limit;
	struct vm_result *res = result;
	const struct inventory_vm *view;

	if (!res) {
		failed(WORK_VM_HEAL, err);
		return;
	}
	if (!str_empty(res->warning))
		log_limited(&limit, 10, "job", "%s", res->warning);
	if (res->gone)
		return; /* libvirt's event or the next collection tells, or it never was */
	/* What is still wounded waits for the next collection, not for itself. */
	keeper->healing = true;
	inventory_report_vm(keeper->inventory, mark, true, &res->vm);
	keeper->healing = false;
	view = inventory_find_vm(keeper->inventory, res->vm.uuid);
	if (view && !is_wounded(view))
		log_info("job", "VM '%s' healed", res->vm.uuid);
}

/* A run of vm-heal. */
struct heal {
	LIST_ENTRY(heal) link;
	struct keeper *keeper;
	uint64_t mark; /* the point in time from which it looks */
};

static void
heal_done(void *arg, void *result, const struct error *err)
{
	struct heal *heal = arg;
	struct keeper *keeper = heal->keeper;
	uint64_t mark = heal->mark;

	LIST_REMOVE(heal, link);
	free(heal);
	healed(keeper, mark, result, err);
}

/* Those whose job has ended, and left them wounded. */
static void
sort_suspects(struct keeper *keeper)
{
	struct uuid_set busy = { 0 };
	char uuid[37];

	while (uuid_set_take(&keeper->suspects, uuid)) {
		const struct inventory_vm *view = inventory_find_vm(keeper->inventory, uuid);

		if (jobs_busy(keeper->jobs, uuid))
			uuid_set_add(&busy, uuid);
		else if (view && view->local && is_wounded(view))
			uuid_set_add(&keeper->wounded, uuid);
	}
	keeper->suspects = busy;
}

static bool
can_heal(const struct keeper *keeper)
{
	return keeper->connected && has_storage(keeper);
}

static bool
can_inquire(void *arg, uint64_t *mark)
{
	struct keeper *keeper = arg;

	*mark = inventory_mark(keeper->inventory);
	return can_heal(keeper);
}

static const struct inquiry_ops inquiry_ops = { .able = can_inquire, .healed = healed };

static void
start_heal(struct keeper *keeper, const char *uuid)
{
	struct vm_heal_request req = { .env = keeper->env, .uuid = (char *)uuid };
	struct heal *heal = xcalloc(1, sizeof(*heal));
	struct error err = { 0 };

	heal->keeper = keeper;
	heal->mark = inventory_mark(keeper->inventory);
	LIST_INSERT_HEAD(&keeper->heals, heal, link);
	if (job_start(keeper->jobs, WORK_VM_HEAL, &req, uuid, "", NULL, heal_done, heal, &err))
		return;
	LIST_REMOVE(heal, link);
	free(heal);
	failed(WORK_VM_HEAL, &err);
}

static void
heal_due(evutil_socket_t fd, short what, void *arg)
{
	struct keeper *keeper = arg;
	struct uuid_set busy = { 0 };
	char uuid[37];

	sort_suspects(keeper);
	while (uuid_set_take(&keeper->wounded, uuid)) {
		bool free = !jobs_busy(keeper->jobs, uuid) &&
			    !inquiry_is_under_way(keeper->inquiries, uuid);

		if (free && can_heal(keeper))
			start_heal(keeper, uuid);
		else
			uuid_set_add(&busy, uuid);
	}
	keeper->wounded = busy;
	if (!uuid_set_is_empty(&keeper->wounded) || !uuid_set_is_empty(&keeper->suspects))
		arm(keeper->heal, HEAL_MS);
}

void
keeper_find_out(struct keeper *keeper, const char *vm, const char *op, const char *target,
    inquiry_found found, void *arg)
{
	inquiry_start(keeper->inquiries, vm, op, target, found, arg);
}

void
keeper_heal(struct keeper *keeper, const char *uuid)
{
	uuid_set_add(&keeper->wounded, uuid);
	arm(keeper->heal, HEAL_MS);
}

static void
suspect(struct keeper *keeper, const struct inventory_vm *view)
{
	if (keeper->healing || !is_wounded(view))
		return;
	uuid_set_add(&keeper->suspects, view->vm.uuid);
	arm(keeper->heal, HEAL_MS);
}

static void
vm_observed(void *arg, const struct inventory_vm *vm, bool gone)
{
	struct keeper *keeper = arg;

	/* A shutdown goes on where the VM has moved meanwhile. */
	if (is_off(vm->vm.runinfo.runstate) || (gone && vm->local))
		operations_finish_vm(keeper->operations, vm->vm.uuid, "the VM is off");
	else if (gone)
		operations_finish_vm(
		    keeper->operations, vm->vm.uuid, "no host has the VM any more");
	if (vm->local && !gone)
		suspect(keeper, vm);
}

static const struct inventory_observer observer = { .vm = vm_observed };

void
keeper_end_when_off(struct keeper *keeper, const char *uuid, const char *operation)
{
	const struct inventory_vm *view = inventory_find_vm(keeper->inventory, uuid);

	operations_leave(keeper->operations, operation);
	if (!view || is_off(view->vm.runinfo.runstate))
		operations_finish_vm(keeper->operations, uuid, "the VM is off");
}

static bool
is_local(const struct keeper *keeper, const char *uuid)
{
	const struct inventory_vm *view = inventory_find_vm(keeper->inventory, uuid);

	return view && view->local;
}

static void inspect(void *arg);

static void
inspect_done(void *arg, void *result, const struct error *err)
{
	struct keeper *keeper = arg;
	struct inspect_result *res = result;

	keeper->inspect.running = false;
	if (!res) {
		failed(WORK_INSPECT, err);
		return;
	}
	for (size_t i = 0; i < res->n_vms; i++) {
		if (is_local(keeper, res->vms[i].uuid))
			inventory_report_vm(
			    keeper->inventory, keeper->inspect.mark, false, &res->vms[i]);
	}
	if (res->n_vms == INSPECT_BATCH)
		inspect(keeper);
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
	struct keeper *keeper = arg;
	struct inspect_request req = { .env = keeper->env };

	inventory_each_local(keeper->inventory, add_uninspected, &req);
	if (req.n_vms > 0 && has_storage(keeper))
		start(keeper, &keeper->inspect, WORK_INSPECT, &req, inspect_done);
	req.env = (struct work_env){ 0 };
	model_clear(&inspect_request_model, &req);
}

static void
refresh_done(void *arg, void *result, const struct error *err)
{
	struct keeper *keeper = arg;
	struct refresh_result *res = result;

	keeper->refresh.running = false;
	if (!uuid_set_is_empty(&keeper->changed))
		arm(keeper->coalesce, COALESCE_MS);
	if (!res) {
		failed(WORK_REFRESH, err);
		return;
	}
	newcomers_sift(keeper->newcomers, res->vms, &res->n_vms);
	for (size_t i = 0; i < res->n_vms; i++)
		inventory_report_vm(keeper->inventory, keeper->refresh.mark, false, &res->vms[i]);
	inspect(keeper);
}

static void
refresh_due(evutil_socket_t fd, short what, void *arg)
{
	struct keeper *keeper = arg;
	struct refresh_request req = { .env = keeper->env };
	char uuid[37];

	if (keeper->refresh.running || !keeper->connected)
		return;
	while (uuid_set_take(&keeper->changed, uuid))
		model_append(&req.vms, &req.n_vms)->uuid = xstrdup(uuid);
	if (!start(keeper, &keeper->refresh, WORK_REFRESH, &req, refresh_done)) {
		for (size_t i = 0; i < req.n_vms; i++)
			inventory_forget_def(keeper->inventory, req.vms[i].uuid);
	}
	req.env = (struct work_env){ 0 };
	model_clear(&refresh_request_model, &req);
}

/* Whether it runs from now on: where that was no job of ours, vm-heal records its leases. */
static bool
begins(const struct keeper *keeper, const char *uuid, enum vmrunstate runstate)
{
	const struct inventory_vm *view = inventory_find_vm(keeper->inventory, uuid);

	return runstate == VMRUNSTATE_RUNNING && view && view->local &&
	       view->vm.runinfo.runstate != VMRUNSTATE_RUNNING;
}

bool
keeper_knows_vms(struct keeper *keeper)
{
	keeper->vms_known |= keeper->host_known && !newcomers_are_waiting(keeper->newcomers);
	return keeper->vms_known;
}

void
keeper_vm_changed(struct keeper *keeper, const char *uuid, enum vmrunstate runstate, bool migrated)
{
	/* Its definition goes before the job tells that it has moved. */
	if (migrated || (runstate == VMRUNSTATE_DELETED &&
			    operations_is_under_way(keeper->operations, "VmMigrate", uuid))) {
		inventory_release_vm(keeper->inventory, uuid);
		return;
	}
	if (runstate == VMRUNSTATE_DELETED) {
		inventory_remove_vm(keeper->inventory, uuid);
		return;
	}
	if (begins(keeper, uuid, runstate) && !jobs_busy(keeper->jobs, uuid))
		keeper_heal(keeper, uuid);
	if (runstate != VMRUNSTATE_NONE && is_local(keeper, uuid)) {
		inventory_set_runstate(keeper->inventory, uuid, runstate);
		/* Why it is so, a job finds out. */
		if (runstate != VMRUNSTATE_PAUSED && !is_off(runstate))
			return;
	}
	uuid_set_add(&keeper->changed, uuid);
	arm(keeper->coalesce, COALESCE_MS);
}

/* The job sees this host's libvirt only; a VM that another host has is no orphan. */
static void
drop_foreign(struct keeper *keeper, struct reconcile_result *res)
{
	size_t n = 0;

	for (size_t i = 0; i < res->n_problems; i++) {
		struct host_problem *problem = &res->problems[i];
		const struct inventory_vm *view =
		    inventory_find_vm(keeper->inventory, str_or_empty(problem->vm));

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
	struct keeper *keeper = arg;
	struct reconcile_result *res = result;

	keeper->reconcile.running = false;
	if (!res) {
		failed(WORK_RECONCILE, err);
	} else {
		str_set(&keeper->cursor, res->cursor);
		drop_foreign(keeper, res);
		inventory_set_problems(keeper->inventory, res->problems, res->n_problems);
		for (size_t i = 0; i < res->n_unfinished; i++)
			keeper_heal(keeper, res->unfinished[i].uuid);
		for (size_t i = 0; i < res->n_leftovers; i++) {
			inventory_remove_vm(keeper->inventory, res->leftovers[i].uuid);
			keeper_heal(keeper, res->leftovers[i].uuid);
		}
	}
	if (keeper->reconcile_again)
		keeper_reconcile(keeper);
}

void
keeper_reconcile(struct keeper *keeper)
{
	const struct host *self =
	    inventory_find_host(keeper->inventory, inventory_self(keeper->inventory));
	struct reconcile_request req = {
		.env = keeper->env,
		.known = self ? self->problems : NULL,
		.n_known = self ? self->n_problems : 0,
		.deep = monotonic_ms() >= keeper->deep_due,
		.limit = RESOURCES,
		.cursor = keeper->cursor,
		.sanlock = lockspace_monitor_sanlock_answers(keeper->monitor),
		.kill = keeper->config->kill_unprotected,
	};

	keeper->reconcile_again = keeper->reconcile.running;
	if (keeper->reconcile.running || !keeper->connected || str_empty(keeper->env.host) ||
	    !has_storage(keeper))
		return;
	if (start(keeper, &keeper->reconcile, WORK_RECONCILE, &req, reconcile_done) && req.deep)
		keeper->deep_due = monotonic_ms() + DEEP_MS;
}

/* What rested while the storage was not there, and whether the VMs are protected. */
static void
monitor_has_changed(void *arg)
{
	keeper_reconcile(arg);
}

/* What could not be healed before is tried again. */
static void
suspect_again(void *arg, const struct inventory_vm *view, bool def_known, bool disks_known)
{
	suspect(arg, view);
}

static void
collect_done(void *arg, void *result, const struct error *err)
{
	struct keeper *keeper = arg;
	struct collect_result *res = result;

	keeper->collect.running = false;
	if (!res) {
		failed(WORK_COLLECT, err);
		return;
	}
	if (str_empty(inventory_self(keeper->inventory)))
		log_info("libvirt", "this is host '%s'", res->host.uuid);
	inventory_report_host(keeper->inventory, &res->host);
	str_set(&keeper->env.host, inventory_self(keeper->inventory));
	newcomers_sift(keeper->newcomers, res->vms, &res->n_vms);
	inventory_report_vms(keeper->inventory, keeper->collect.mark, res->vms, res->n_vms);
	keeper->host_known = true;

	if (!keeper->reconcile.running)
		keeper_reconcile(keeper);
	lockspace_monitor_check(keeper->monitor);
	inspect(keeper);
	inventory_each_local(keeper->inventory, suspect_again, keeper);
}

static void
add_known(void *arg, const struct inventory_vm *view, bool def_known, bool disks_known)
{
	struct collect_request *req = arg;

	if (def_known)
		model_append(&req->known, &req->n_known)->uuid = xstrdup(view->vm.uuid);
}

static void
collect(struct keeper *keeper)
{
	struct collect_request req = { .env = keeper->env, .host = !keeper->host_known };

	if (!keeper->connected)
		return;
	inventory_each_local(keeper->inventory, add_known, &req);
	start(keeper, &keeper->collect, WORK_COLLECT, &req, collect_done);
	req.env = (struct work_env){ 0 };
	model_clear(&collect_request_model, &req);
}

static void
period_due(evutil_socket_t fd, short what, void *arg)
{
	collect(arg);
}

void
keeper_set_libvirt(struct keeper *keeper, bool connected)
{
	keeper->connected = connected;
	if (!connected)
		return;
	/* What changed while nobody told is found by reading everything again. */
	keeper->host_known = false;
	inventory_forget_def(keeper->inventory, NULL);
	collect(keeper);
}

void
keeper_reload(struct keeper *keeper)
{
	struct timeval tv = { keeper->config->collect_period, 0 };

	event_add(keeper->period, &tv);
}

struct keeper *
keeper_new(struct event_base *base, const struct config *config, struct jobs *jobs,
    struct inventory *inventory, struct operations *operations, keeper_probed probed, void *arg)
{
	struct keeper *keeper = xcalloc(1, sizeof(*keeper));

	*keeper = (struct keeper){
		.base = base,
		.config = config,
		.jobs = jobs,
		.inventory = inventory,
		.operations = operations,
		.probed = probed,
		.arg = arg,
		.env = {
			.uri = xstrdup(config->libvirt_uri),
			.root = xstrdup(config->storage_root),
			.run_dir = xstrdup(config->run_dir),
			.host = xstrdup(""),
			.io_timeout = config->io_timeout,
			.qemu_group = config->qemu_group,
		},
	};
	keeper->newcomers = newcomers_new(
	    jobs, inventory, &keeper->env, (int64_t)config->answer_timeout * 1000, inspect, keeper);
	keeper->inquiries = inquiries_new(base, jobs, &keeper->env, &inquiry_ops, keeper);
	keeper->period = event_new(base, -1, EV_PERSIST, period_due, keeper);
	keeper->coalesce = evtimer_new(base, refresh_due, keeper);
	keeper->heal = evtimer_new(base, heal_due, keeper);
	keeper->monitor = lockspace_monitor_new(
	    base, config, jobs, inventory, &keeper->env, monitor_has_changed, keeper);
	keeper_reload(keeper);
	inventory_observe(inventory, &observer, keeper);
	return keeper;
}

void
keeper_free(struct keeper *keeper)
{
	struct heal *heal;

	if (!keeper)
		return;
	while ((heal = LIST_FIRST(&keeper->heals))) {
		LIST_REMOVE(heal, link);
		free(heal);
	}
	inventory_unobserve(keeper->inventory, &observer, keeper);
	inquiries_free(keeper->inquiries);
	event_free(keeper->period);
	event_free(keeper->coalesce);
	event_free(keeper->heal);
	lockspace_monitor_free(keeper->monitor);
	newcomers_free(keeper->newcomers);
	uuid_set_clear(&keeper->changed);
	uuid_set_clear(&keeper->wounded);
	uuid_set_clear(&keeper->suspects);
	model_clear(&work_env_model, &keeper->env);
	free(keeper->cursor);
	free(keeper);
}
