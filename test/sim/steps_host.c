/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What virtxd asks for itself. */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "host.h"
#include "lockspace.h"
#include "proto/json.h"
#include "steps.h"
#include "storage.h"

#define MEMORY_KIB (INT64_C(64) << 20)
#define MEMORY_MIB (MEMORY_KIB >> 10)
#define STORAGE	   "5a5a5a5a-0000-4000-8000-000000000000"

static enum step
probe(struct child *child)
{
	struct probe_result *res = child->result;

	str_set(&res->uuid, world.hosts[child->host]);
	return STEP_NEXT;
}

const step_fn steps_probe[] = { step_open_libvirt, probe, NULL };

static void
report_host(int host, struct host_report *ret)
{
	/* With failovers one host alone can have all VMs. */
	int64_t used = 0, total = world.ha ? WORLD_VMS * MEMORY_KIB : MEMORY_KIB;

	for (size_t i = 0; i < world.n_vms; i++) {
		if (world.vms[i].domain[host].on)
			used += (int64_t)world.vms[i].def.memory.total << 10;
	}
	ret->uuid = xstrdup(world.hosts[host]);
	ret->has_def = true;
	ret->def.name = xasprintf("h%d", host + 1);
	ret->def.cpuarch.arch = xstrdup("x86_64");
	ret->def.cpuarch.vendor = xstrdup("none");
	ret->def.cpudef = (struct cpudef){
		.model = xstrdup("simulated"), .nodes = 1, .sockets = 1, .cores = 32, .threads = 1
	};
	ret->mhz = 1000;
	ret->load_factor = 10;
	ret->memory_total = total;
	ret->memory_free = total - used;
}

static bool
counts(const struct world_domain *domain)
{
	return domain->defined || (domain->on && world_runstate(domain) != VMRUNSTATE_MIGRATING);
}

static enum step
collect(struct child *child)
{
	struct collect_result *res = child->result;

	if (!step_has_libvirt(child))
		return step_fail(child, 424, "cannot list the VMs");
	report_host(child->host, &res->host);
	for (size_t i = 0; i < world.n_vms; i++) {
		if (counts(&world.vms[i].domain[child->host]))
			step_report_vm(
			    &world.vms[i], child->host, model_append(&res->vms, &res->n_vms));
	}
	return STEP_NEXT;
}

const step_fn steps_collect[] = { step_open_libvirt, collect, step_has_looked, NULL };

static enum step
refresh(struct child *child)
{
	const struct refresh_request *req = child->request;
	struct refresh_result *res = child->result;

	for (size_t i = 0; i < req->n_vms && step_has_libvirt(child); i++) {
		const struct world_vm *vm = world_find(req->vms[i].uuid);

		if (!vm || (!vm->domain[child->host].defined && !vm->domain[child->host].on))
			model_append(&res->gone, &res->n_gone)->uuid = xstrdup(req->vms[i].uuid);
		else if (counts(&vm->domain[child->host]))
			step_report_vm(vm, child->host, model_append(&res->vms, &res->n_vms));
	}
	return STEP_NEXT;
}

const step_fn steps_refresh[] = { step_open_libvirt, refresh, step_has_looked, NULL };

static void
whose_is(struct child *child, struct world_vm *vm)
{
	struct whose_result *res = child->result;
	const struct world_domain *domain = &vm->domain[child->host];
	const struct world_journal *journal = &vm->journal[child->host];
	int other;
	enum step_place place = step_place(vm, child->host, &other);

	if (!domain->defined)
		return;
	if (journal->there && journal->op == WORLD_OP_MIGRATE) {
		model_append(&res->leaving, &res->n_leaving)->uuid = xstrdup(vm->uuid);
	} else if (step_is_leftover(vm, child->host)) {
		if (!vm->lock[child->host])
			libvirt_undefine(vm, child->host);
	} else if (place == PLACE_ELSEWHERE && !domain->on) {
		return;
	} else if (place == PLACE_NOWHERE) {
		step_report_vm(
		    vm, child->host, model_append(&res->unregistered, &res->n_unregistered));
	} else {
		step_report_vm(vm, child->host, model_append(&res->vms, &res->n_vms));
	}
}

static enum step
whose(struct child *child)
{
	const struct whose_request *req = child->request;

	if (!step_has_libvirt(child))
		return step_fail(child, 424, "cannot look up the VMs");
	for (size_t i = 0; i < req->n_vms; i++) {
		struct world_vm *vm = world_find(req->vms[i].uuid);

		if (vm)
			whose_is(child, vm);
	}
	return STEP_NEXT;
}

const step_fn steps_whose[] = { step_open_libvirt, whose, step_has_looked, NULL };

static enum step
inspect(struct child *child)
{
	const struct inspect_request *req = child->request;
	struct inspect_result *res = child->result;

	for (size_t i = 0; i < req->n_vms; i++) {
		struct vm_report *report = model_append(&res->vms, &res->n_vms);
		struct disk_report *disk = model_append(&report->disks, &report->n_disks);

		report->uuid = xstrdup(req->vms[i].uuid);
		disk->prov = DISK_PROV_MODE_THIN;
		disk->capacity = 64 << 20;
	}
	return STEP_NEXT;
}

const step_fn steps_inspect[] = { inspect, NULL };

static void
add_problem(struct reconcile_result *res, const char *kind, const struct world_vm *vm)
{
	struct host_problem *problem = model_append(&res->problems, &res->n_problems);

	problem->kind = xstrdup(kind);
	problem->vm = xstrdup(vm->uuid);
	problem->path = xstrdup("");
	problem->detail = xstrdup(kind);
}

static void
compare(struct child *child, const struct world_vm *vm)
{
	struct reconcile_result *res = child->result;
	const struct world_domain *domain = &vm->domain[child->host];
	int other;
	enum step_place place = step_place(vm, child->host, &other);

	if (vm->journal[child->host].there) {
		model_append(&res->unfinished, &res->n_unfinished)->uuid = xstrdup(vm->uuid);
		return;
	}
	if (place == PLACE_HERE && !domain->defined && !domain->on)
		add_problem(res, "not-in-libvirt", vm);
	if (!domain->defined)
		return;
	if (place == PLACE_NOWHERE)
		add_problem(res, "not-registered", vm);
	else if (place == PLACE_HERE && other != WORLD_NOBODY)
		add_problem(res, "registered-twice", vm);
	else if (step_is_leftover(vm, child->host))
		model_append(&res->leftovers, &res->n_leftovers)->uuid = xstrdup(vm->uuid);
	else if (place != PLACE_HERE && domain->on)
		model_append(&res->unfinished, &res->n_unfinished)->uuid = xstrdup(vm->uuid);
}

static enum step
reconcile(struct child *child)
{
	if (!step_has_libvirt(child))
		return step_fail(child, 424, "cannot list the VMs");
	for (size_t i = 0; i < world.n_vms; i++)
		compare(child, &world.vms[i]);
	return STEP_NEXT;
}

const step_fn steps_reconcile[] = { step_open_libvirt, reconcile, NULL };

static enum step
storage_check(struct child *child)
{
	struct storage_check_result *res = child->result;

	res->uuid = xstrdup(STORAGE);
	return STEP_NEXT;
}

const step_fn steps_storage_check[] = { storage_check, NULL };

static enum step
is_there(struct child *child)
{
	return STEP_NEXT;
}

const step_fn steps_storage_look[] = { is_there, NULL };

static enum step
join(struct child *child)
{
	struct lockspace_result *res = child->result;

	if (world.ha && !lockspace_try_join(child->host)) {
		child->wait = 500;
		return STEP_AGAIN;
	}
	storage_join(child->host);
	res->lockid = child->host + 1;
	return STEP_NEXT;
}

const step_fn steps_lockspace[] = { join, NULL };

static enum step
watch(struct child *child)
{
	const struct lockspace_watch_request *req = child->request;

	if (!child->ends_at)
		child->ends_at = clock_now() + req->seconds * INT64_C(1000);
	if (world.ha && !lockspace_answers(child->host)) {
		child->wait = 500;
		return STEP_AGAIN;
	}
	if (world.ha && !lockspace_is_joined(child->host))
		return step_fail(child, 503, "this host is not in the lockspace any more");
	if (!storage_is_joined(child->host)) {
		error_set_type(&child->err, ERROR_UNAVAILABLE, "the lockspace is lost");
		return STEP_FAIL;
	}
	if (clock_now() >= child->ends_at || !child->ops)
		return join(child);
	child->wait = req->look_ms;
	child->ops->progress(child->arg, (int)(clock_now() / req->look_ms % 100), child->stage);
	return STEP_AGAIN;
}

const step_fn steps_lockspace_watch[] = { watch, NULL };

static enum step
watchdog(struct child *child)
{
	struct watchdog_result *res = child->result;

	if (world.ha && !lockspace_is_joined(child->host)) {
		*res = (struct watchdog_result){ .why = xstrdup(""), .name_why = xstrdup("") };
		return STEP_NEXT;
	}
	if (world.ha) {
		*res = (struct watchdog_result){ xstrdup(""), xstrdup(""), child->host + 1,
			lockspace_generation(child->host), LOCKSPACE_T, LOCKSPACE_F,
			lockspace_joined_ms(child->host) / 1000 };
		return STEP_NEXT;
	}
	/* As a sanlock that has joined long ago; who it is matters to nobody here. */
	*res = (struct watchdog_result){ xstrdup(""), xstrdup(""), 1, 1, 10, 60, 3600 };
	return STEP_NEXT;
}

const step_fn steps_watchdog[] = { watchdog, NULL };

static enum step
see_hosts(struct child *child)
{
	struct lockspace_hosts_result *res = child->result;

	if (!lockspace_answers(child->host)) {
		child->wait = 500;
		return STEP_AGAIN;
	}
	for (int i = 0; i < world.n_hosts; i++) {
		if (lockspace_generation(i) > 0)
			*model_append(&res->hosts, &res->n_hosts) =
			    (struct seen_host){ i + 1, lockspace_generation(i), LOCKSPACE_T,
				    (int16_t)lockspace_sees(child->host, i) };
	}
	return STEP_NEXT;
}

const step_fn steps_lockspace_hosts[] = { see_hosts, step_has_looked, NULL };

static enum step
host_vms(struct child *child)
{
	const struct host_vms_request *req = child->request;
	struct host_vms_result *res = child->result;
	int from = world_host(req->host);

	for (size_t i = 0; i < world.n_vms && from != WORLD_NOBODY; i++) {
		const struct world_vm *vm = &world.vms[i];
		struct host_vm *found;

		if (!vm->registry[from] || !vm->wanted)
			continue;
		found = model_append(&res->vms, &res->n_vms);
		found->uuid = xstrdup(vm->uuid);
		found->order = 5;
		model_copy(&vmdef_model, &found->def, &vm->def);
	}
	return STEP_NEXT;
}

const step_fn steps_host_vms[] = { host_vms, step_has_looked, NULL };

/* sanlock, which is never started anew here, keeps the leases of all that runs. */
static enum step
self_fence(struct child *child)
{
	return STEP_NEXT;
}

const step_fn steps_self_fence[] = { step_open_libvirt, self_fence, NULL };
const step_fn steps_stays[] = { step_open_libvirt, is_there, NULL };

static enum step
migration_info(struct child *child)
{
	const struct vm_request *req = child->request;
	const struct world_vm *vm = world_find(req->uuid);

	if (vm && vm->domain[child->host].is_leaving)
		return STEP_NEXT;
	return step_fail(child, 422, "VM '%s' does not migrate", req->uuid);
}

const step_fn steps_migration_info[] = { step_open_libvirt, migration_info, NULL };

static enum step
maintenance_load(struct child *child)
{
	const struct world_maintenance *kept = &world.maintenance[child->host];

	if (kept->there && json_decode(child->work->result, kept->json, strlen(kept->json),
			       child->result, &child->err) < 0)
		return STEP_FAIL;
	return STEP_NEXT;
}

static enum step
maintenance_save(struct child *child)
{
	const struct maintenance_save_request *req = child->request;
	struct world_maintenance *kept = &world.maintenance[child->host];

	free(kept->json);
	kept->json = json_encode(&maintenance_model, &req->maintenance, NULL);
	kept->there = true;
	model_copy(&maintenance_model, child->result, &req->maintenance);
	return STEP_NEXT;
}

/* Without failovers no host is booted. */
static enum step
autostart(struct child *child)
{
	const struct autostart_request *req = child->request;
	struct autostart_result *res = child->result;
	struct world_kept *kept = &world.kept[child->host][req->failover];
	unsigned int boot = world.boots[child->host] + 1;
	struct autostart_result record = { .kept = true, .vms = req->vms, .n_vms = req->n_vms };

	if (req->keep) {
		free(kept->json);
		kept->json = json_encode(child->work->result, &record, NULL);
		kept->boot = boot;
	} else if (!world.ha) {
		res->kept = true;
	} else if (kept->boot == boot && json_decode(child->work->result, kept->json,
					     strlen(kept->json), res, &child->err) < 0) {
		return STEP_FAIL;
	}
	return STEP_NEXT;
}

const step_fn host_steps_on_storage[] = { whose, inspect, reconcile, storage_check, is_there, join,
	maintenance_load, maintenance_save, NULL };
const step_fn steps_autostart[] = { autostart, NULL };
const step_fn steps_maintenance_load[] = { maintenance_load, NULL };
const step_fn steps_maintenance_save[] = { maintenance_save, NULL };
