/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/inventory.h"

#include <assert.h>
#include <string.h>

#include <uthash.h>

#include "proto/uuid.h"
#include "proto/vmdef.h"
#include "state/accounting.h"
#include "state/filter.h"

#define OBSERVERS_MAX 8 /* the parts of the daemon that want to know */

struct vm_entry {
	UT_hash_handle hh;
	char uuid[UUID_TEXT_SIZE];
	struct inventory_vm view;
	uint64_t state_clock; /* when the run state was last told by an event or a job */
	uint64_t data_clock;  /* when the rest was */
	bool def_known;
	bool disks_known;
	struct accounting_vm last;
};

/* A local VM that was removed: what was seen before must not bring it back. */
struct tombstone {
	UT_hash_handle hh;
	char uuid[UUID_TEXT_SIZE];
	uint64_t clock;
};

struct host_entry {
	UT_hash_handle hh;
	char uuid[UUID_TEXT_SIZE];
	struct host host;
};

struct inventory {
	char self[UUID_TEXT_SIZE];
	uint64_t clock; /* of changes to local VMs */
	struct vm_entry *vms;
	struct tombstone *tombstones;
	struct host_entry *hosts;
	struct accounting_host last;
	struct observer {
		const struct inventory_observer *observer;
		void *arg;
	} observers[OBSERVERS_MAX];
	size_t n_observers;
};

struct inventory *
inventory_new(void)
{
	return xcalloc(1, sizeof(struct inventory));
}

static void
view_clear(struct inventory_vm *view)
{
	model_clear(&vm_model, &view->vm);
	free(view->foreign_why);
	free(view->cloud_init);
}

static void
drop_entry(struct vm_entry *entry)
{
	view_clear(&entry->view);
	free(entry);
}

static void
drop_vm(struct inventory *inventory, struct vm_entry *entry)
{
	HASH_DEL(inventory->vms, entry);
	drop_entry(entry);
}

static void
drop_tombstone(struct inventory *inventory, struct tombstone *tombstone)
{
	HASH_DEL(inventory->tombstones, tombstone);
	free(tombstone);
}

void
inventory_free(struct inventory *inventory)
{
	struct vm_entry *vm, *next_vm;
	struct tombstone *tombstone, *next_tombstone;
	struct host_entry *host, *next_host;

	if (!inventory)
		return;
	HASH_ITER (hh, inventory->vms, vm, next_vm)
		drop_vm(inventory, vm);
	HASH_ITER (hh, inventory->tombstones, tombstone, next_tombstone)
		drop_tombstone(inventory, tombstone);
	HASH_ITER (hh, inventory->hosts, host, next_host) {
		HASH_DEL(inventory->hosts, host);
		model_clear(&host_model, &host->host);
		free(host);
	}
	free(inventory);
}

void
inventory_observe(struct inventory *inventory, const struct inventory_observer *observer, void *arg)
{
	assert(inventory->n_observers < OBSERVERS_MAX);
	inventory->observers[inventory->n_observers++] = (struct observer){ observer, arg };
}

void
inventory_unobserve(
    struct inventory *inventory, const struct inventory_observer *observer, void *arg)
{
	size_t n = 0;

	for (size_t i = 0; i < inventory->n_observers; i++) {
		struct observer *o = &inventory->observers[i];

		if (o->observer != observer || o->arg != arg)
			inventory->observers[n++] = *o;
	}
	inventory->n_observers = n;
}

const char *
inventory_self(const struct inventory *inventory)
{
	return inventory->self;
}

uint64_t
inventory_mark(struct inventory *inventory)
{
	return inventory->clock;
}

static struct vm_entry *
find_vm(const struct inventory *inventory, const char *uuid)
{
	struct vm_entry *entry;

	HASH_FIND_STR(inventory->vms, str_or_empty(uuid), entry);
	return entry;
}

static struct host_entry *
find_host(const struct inventory *inventory, const char *uuid)
{
	struct host_entry *entry;

	HASH_FIND_STR(inventory->hosts, str_or_empty(uuid), entry);
	return entry;
}

static struct host_entry *
need_host(struct inventory *inventory, const char *uuid)
{
	struct host_entry *entry = find_host(inventory, uuid);

	if (!entry) {
		entry = xcalloc(1, sizeof(*entry));
		memcpy(entry->uuid, uuid, sizeof(entry->uuid));
		entry->host.uuid = xstrdup(uuid);
		HASH_ADD_STR(inventory->hosts, uuid, entry);
	}
	return entry;
}

static void
tell_vm(struct inventory *inventory, const struct vm_entry *entry, bool gone)
{
	for (size_t i = 0; i < inventory->n_observers; i++) {
		const struct observer *o = &inventory->observers[i];

		if (o->observer->vm)
			o->observer->vm(o->arg, &entry->view, gone);
	}
}

static void
tell_host(struct inventory *inventory, const struct host_entry *entry)
{
	for (size_t i = 0; i < inventory->n_observers; i++) {
		const struct observer *o = &inventory->observers[i];

		if (o->observer->host)
			o->observer->host(o->arg, &entry->host);
	}
}

static struct vm_entry *
add_local_vm(struct inventory *inventory, const char *uuid)
{
	struct vm_entry *entry = xcalloc(1, sizeof(*entry));

	memcpy(entry->uuid, uuid, sizeof(entry->uuid));
	entry->view.vm.uuid = xstrdup(uuid);
	entry->view.local = true;
	HASH_ADD_STR(inventory->vms, uuid, entry);
	return entry;
}

static void
bury(struct inventory *inventory, struct vm_entry *entry)
{
	struct tombstone *tombstone;

	HASH_FIND_STR(inventory->tombstones, entry->uuid, tombstone);
	if (!tombstone) {
		tombstone = xcalloc(1, sizeof(*tombstone));
		memcpy(tombstone->uuid, entry->uuid, sizeof(tombstone->uuid));
		HASH_ADD_STR(inventory->tombstones, uuid, tombstone);
	}
	tombstone->clock = ++inventory->clock;
	HASH_DEL(inventory->vms, entry);
	entry->view.vm.ts = now_ms();
	tell_vm(inventory, entry, true);
	drop_entry(entry);
}

static bool
buried_after(const struct inventory *inventory, const char *uuid, uint64_t mark)
{
	struct tombstone *tombstone;

	HASH_FIND_STR(inventory->tombstones, uuid, tombstone);
	return tombstone && tombstone->clock > mark;
}

static bool
stands_still(enum vmrunstate runstate)
{
	return runstate == VMRUNSTATE_POWEROFF || runstate == VMRUNSTATE_CRASHED;
}

static void
set_runstate(struct vm_entry *entry, enum vmrunstate runstate)
{
	struct vm *vm = &entry->view.vm;

	if (vm->runinfo.runstate != runstate)
		vm->ts = now_ms();
	vm->runinfo.runstate = runstate;
	if (stands_still(runstate))
		accounting_vm_stop(&entry->last, &vm->stats);
}

static struct disk *
disk_at(struct vmdef *def, int32_t index)
{
	if (index == 0)
		return &def->osdisk;
	return index > 0 && (size_t)index <= def->n_disks ? &def->disks[index - 1] : NULL;
}

/* Takes over the sizes that were measured; all are known once each disk of the definition was among
 * them. */
static void
set_sizes(struct vm_entry *entry, const struct vm_report *report)
{
	struct vmdef *def = &entry->view.vm.def;
	size_t n = 0;

	for (size_t i = 0; i < report->n_disks; i++) {
		struct disk *disk = disk_at(def, report->disks[i].index);

		if (!disk)
			continue;
		disk->size = (int32_t)(report->disks[i].capacity >> 20);
		n++;
	}
	if (n == def->n_disks + 1)
		entry->disks_known = true;
}

/* A disk's size is its image's: a definition that was read again does not have it. */
static void
keep_sizes(struct vmdef *def, const struct vmdef *old)
{
	struct disk *disk;

	for (int32_t i = 0; (disk = disk_at(def, i)); i++) {
		const struct disk *known = vmdef_find_disk(old, disk->path);

		if (known)
			disk->size = known->size;
	}
}

static void
set_def(struct vm_entry *entry, const struct vm_report *report)
{
	struct inventory_vm *view = &entry->view;
	struct vm *vm = &view->vm;
	struct vmdef def;

	model_copy(&vmdef_model, &def, &report->def);
	keep_sizes(&def, &vm->def);
	if (!model_equal(&vmdef_model, &vm->def, &def)) {
		entry->disks_known = false;
		vm->ts = now_ms();
	}
	model_clear(&vmdef_model, &vm->def);
	vm->def = def;
	model_clear(&oplog_list_model, &vm->stats.oplog);
	model_copy(&oplog_list_model, &vm->stats.oplog, &report->oplog);
	vm->stats.memory_capacity = report->def.memory.total;
	view->foreign = report->foreign;
	str_set(&view->foreign_why, report->foreign_why);
	str_set(&view->cloud_init, report->cloud_init);
	entry->def_known = true;
}

void
inventory_report_vm(
    struct inventory *inventory, uint64_t mark, bool own, const struct vm_report *report)
{
	struct vm_entry *entry;
	char uuid[UUID_TEXT_SIZE];
	int64_t ts;

	if (uuid_normalize(report->uuid, uuid) < 0 || buried_after(inventory, uuid, mark))
		return;
	entry = find_vm(inventory, uuid);
	if (!entry)
		entry = add_local_vm(inventory, uuid);
	ts = entry->view.vm.ts;
	str_set(&entry->view.vm.runinfo.host, inventory->self);
	if (own || entry->data_clock <= mark) {
		if (report->has_def) {
			set_def(entry, report);
			entry->data_clock = ++inventory->clock;
		}
		set_sizes(entry, report);
	}
	if (report->runstate != VMRUNSTATE_NONE && entry->state_clock <= mark)
		set_runstate(entry, report->runstate);
	accounting_vm_update(
	    &entry->last, report, monotonic_ms(), inventory->last.mhz, &entry->view.vm.stats);
	if (stands_still(entry->view.vm.runinfo.runstate))
		accounting_vm_stop(&entry->last, &entry->view.vm.stats);
	if (entry->view.vm.ts != ts || report->has_def)
		tell_vm(inventory, entry, false);
}

static bool
reported(const struct vm_report *reports, size_t n, const char *uuid)
{
	for (size_t i = 0; i < n; i++) {
		if (str_equal(reports[i].uuid, uuid))
			return true;
	}
	return false;
}

void
inventory_report_vms(
    struct inventory *inventory, uint64_t mark, const struct vm_report *reports, size_t n)
{
	struct vm_entry *entry, *next;
	struct tombstone *tombstone, *next_tombstone;

	for (size_t i = 0; i < n; i++)
		inventory_report_vm(inventory, mark, false, &reports[i]);
	HASH_ITER (hh, inventory->vms, entry, next) {
		if (entry->view.local && entry->state_clock <= mark && entry->data_clock <= mark &&
		    !reported(reports, n, entry->uuid))
			bury(inventory, entry);
	}
	HASH_ITER (hh, inventory->tombstones, tombstone, next_tombstone) {
		if (tombstone->clock <= mark)
			drop_tombstone(inventory, tombstone);
	}
}

void
inventory_set_runstate(struct inventory *inventory, const char *uuid, enum vmrunstate runstate)
{
	struct vm_entry *entry = find_vm(inventory, uuid);

	if (!entry || !entry->view.local)
		return;
	entry->state_clock = ++inventory->clock;
	set_runstate(entry, runstate);
	tell_vm(inventory, entry, false);
}

void
inventory_remove_vm(struct inventory *inventory, const char *uuid)
{
	struct vm_entry *entry = find_vm(inventory, uuid);

	if (entry && entry->view.local)
		bury(inventory, entry);
}

void
inventory_forget_def(struct inventory *inventory, const char *uuid)
{
	struct vm_entry *entry, *next;

	HASH_ITER (hh, inventory->vms, entry, next) {
		if (!uuid || str_equal(uuid, entry->uuid))
			entry->def_known = false;
	}
}

void
inventory_each_local(struct inventory *inventory, inventory_each each, void *arg)
{
	struct vm_entry *entry, *next;

	HASH_ITER (hh, inventory->vms, entry, next) {
		if (entry->view.local)
			each(arg, &entry->view, entry->def_known, entry->disks_known);
	}
}

const struct inventory_vm *
inventory_find_vm(const struct inventory *inventory, const char *uuid)
{
	const struct vm_entry *entry = find_vm(inventory, uuid);

	return entry ? &entry->view : NULL;
}

const struct host *
inventory_find_host(const struct inventory *inventory, const char *uuid)
{
	const struct host_entry *entry = find_host(inventory, uuid);

	return entry ? &entry->host : NULL;
}

void
inventory_report_host(struct inventory *inventory, const struct host_report *report)
{
	struct accounting_sum sum = { 0 };
	struct vm_entry *vm, *next;
	struct host_entry *entry;
	struct host *host;
	char uuid[UUID_TEXT_SIZE];

	if (uuid_normalize(report->uuid, uuid) < 0)
		return;
	memcpy(inventory->self, uuid, sizeof(uuid));
	entry = need_host(inventory, uuid);
	host = &entry->host;
	if (report->has_def) {
		model_clear(&hostdef_model, &host->def);
		model_copy(&hostdef_model, &host->def, &report->def);
	}
	HASH_ITER (hh, inventory->vms, vm, next) {
		if (vm->view.local)
			accounting_sum_add(&sum, &vm->last, &vm->view.vm);
	}
	accounting_host_update(
	    &inventory->last, report, monotonic_ms(), &host->def, &sum, &host->resources);
	host->cstate = CSTATE_ACTIVE;
	host->ts = now_ms();
	tell_host(inventory, entry);
}

void
inventory_set_lockid(struct inventory *inventory, int lockid)
{
	struct host_entry *entry = find_host(inventory, inventory->self);

	if (!entry || entry->host.lockid == lockid)
		return;
	entry->host.lockid = (int16_t)lockid;
	tell_host(inventory, entry);
}

void
inventory_set_problems(struct inventory *inventory, const struct host_problem *problems, size_t n)
{
	struct host_entry *entry = find_host(inventory, inventory->self);
	struct host_problem *copies;

	if (!entry)
		return;
	for (size_t i = 0; i < entry->host.n_problems; i++)
		model_clear(&host_problem_model, &entry->host.problems[i]);
	copies = xcalloc(n ? n : 1, sizeof(*copies));
	for (size_t i = 0; i < n; i++)
		model_copy(&host_problem_model, &copies[i], &problems[i]);
	free(entry->host.problems);
	entry->host.problems = copies;
	entry->host.n_problems = n;
	tell_host(inventory, entry);
}

void
inventory_set_host(
    struct inventory *inventory, const char *uuid, const char *name, enum cstate cstate)
{
	struct host_entry *entry;
	struct host *host;
	char id[UUID_TEXT_SIZE];

	if (uuid_normalize(uuid, id) < 0)
		return;
	entry = need_host(inventory, id);
	host = &entry->host;
	if (str_empty(host->def.name))
		str_set(&host->def.name, name);
	if (host->cstate == cstate)
		return;
	host->cstate = cstate;
	host->ts = now_ms();
	tell_host(inventory, entry);
}

static int
compare_names(const char *name_a, const char *uuid_a, const char *name_b, const char *uuid_b)
{
	int order = strcmp(str_or_empty(name_a), str_or_empty(name_b));

	return order ? order : strcmp(uuid_a, uuid_b);
}

static int
compare_vms(const void *a, const void *b)
{
	const struct vm *x = *(const struct vm *const *)a, *y = *(const struct vm *const *)b;

	return compare_names(x->def.name, x->uuid, y->def.name, y->uuid);
}

static int
compare_hosts(const void *a, const void *b)
{
	const struct host *x = *(const struct host *const *)a, *y = *(const struct host *const *)b;

	return compare_names(x->def.name, x->uuid, y->def.name, y->uuid);
}

/* The end of the page that starts at offset, of n items. */
static size_t
page_end(size_t n, size_t offset, size_t limit)
{
	return limit == 0 || offset > n || limit > n - offset ? n : offset + limit;
}

void
inventory_list_vms(const struct inventory *inventory, const struct vm_list_fields *filter,
    size_t offset, size_t limit, struct vm_list *ret)
{
	_free_ const struct vm **found = xcalloc(HASH_COUNT(inventory->vms) + 1, sizeof(*found));
	struct vm_entry *entry, *next;
	size_t n = 0, end;

	HASH_ITER (hh, inventory->vms, entry, next) {
		if (filter_vm(&entry->view.vm, filter))
			found[n++] = &entry->view.vm;
	}
	qsort(found, n, sizeof(*found), compare_vms);
	end = page_end(n, offset, limit);
	for (size_t i = offset; i < end; i++) {
		const struct vm *vm = found[i];
		struct vm_list_item *item = model_append(&ret->items, &ret->n_items);

		item->uuid = xstrdup(vm->uuid);
		item->fields = (struct vm_list_fields){
			.name = xstrdup(vm->def.name),
			.host = xstrdup(vm->runinfo.host),
			.runstate = vm->runinfo.runstate,
			.vlanid = vm->def.vlanid,
			.custom = { xstrdup(filter->custom.name), xstrdup(filter->custom.value) },
			.ts = vm->ts,
		};
	}
}

/* The fields of a list item, borrowed from the host. */
static struct host_list_fields
host_fields(const struct host *host)
{
	return (struct host_list_fields){
		.name = host->def.name,
		.cpuarch = host->def.cpuarch,
		.cpudef = host->def.cpudef,
		.cstate = host->cstate,
		.memoryavailable = host->resources.memory.availablevms,
		.hpavailable = host->resources.hp.availablevms,
		.osid = host->def.osid,
		.osv = host->def.osv,
		.ts = host->ts,
	};
}

void
inventory_list_hosts(const struct inventory *inventory, const struct host_list_fields *filter,
    size_t offset, size_t limit, struct host_list *ret)
{
	_free_ const struct host **found =
	    xcalloc(HASH_COUNT(inventory->hosts) + 1, sizeof(*found));
	struct host_entry *entry, *next;
	size_t n = 0, end;

	HASH_ITER (hh, inventory->hosts, entry, next) {
		struct host_list_fields fields = host_fields(&entry->host);

		if (filter_host(&fields, filter))
			found[n++] = &entry->host;
	}
	qsort(found, n, sizeof(*found), compare_hosts);
	end = page_end(n, offset, limit);
	for (size_t i = offset; i < end; i++) {
		struct host_list_fields fields = host_fields(found[i]);
		struct host_list_item *item = model_append(&ret->items, &ret->n_items);

		item->uuid = xstrdup(found[i]->uuid);
		model_copy(&host_list_fields_model, &item->fields, &fields);
	}
}
