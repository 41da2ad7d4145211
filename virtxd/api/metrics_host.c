/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/metrics_host.h"

#include "api/metric.h"
#include "ops/context.h"
#include "proto/vmdef.h"
#include "state/filter.h"
#include "work/protection.h"

#define MIB  1048576.0
#define KIB  1024.0
#define NS_S 1000000000.0

/* One family of sizes in MiB, of normal and of huge pages. */
static void
add_memory(struct buffer *out, enum metric_id id, int32_t normal, int32_t huge)
{
	metric_family(out, id);
	metric_labelled(out, id, "pages", "normal", normal * MIB);
	metric_labelled(out, id, "pages", "huge", huge * MIB);
}

static void
add_resources(const struct hostresources *resources, struct buffer *out)
{
	const struct hostresource *memory = &resources->memory, *hp = &resources->hp;

	add_memory(out, METRIC_HOST_MEMORY_SIZE, memory->total, hp->total);
	add_memory(out, METRIC_HOST_MEMORY_FREE, memory->free, hp->free);
	add_memory(out, METRIC_HOST_MEMORY_VMS, memory->usedvms, hp->usedvms);
	add_memory(out, METRIC_HOST_MEMORY_RESERVED, memory->reservedvms, hp->reservedvms);
	add_memory(out, METRIC_HOST_MEMORY_AVAILABLE, memory->availablevms, hp->availablevms);
}

static void
count_vcpus(void *arg, const struct inventory_vm *view, bool def_known, bool disks_known)
{
	unsigned int *n = arg;

	*n += vmdef_vcpus(&view->vm.def);
}

/* As the last reconciliation has told. */
static unsigned int
count_unprotected(const struct host *host)
{
	unsigned int n = 0;

	for (size_t i = 0; i < host->n_problems; i++)
		n += str_equal(host->problems[i].kind, PROTECTION_PROBLEM);
	return n;
}

static void
add_storage(const struct storage_check_result *storage, struct buffer *out)
{
	metric_family(out, METRIC_STORAGE_SIZE);
	for (size_t i = 0; storage && i < storage->n_rooms; i++)
		metric_labelled(out, METRIC_STORAGE_SIZE, "folder", storage->rooms[i].path,
		    (double)storage->rooms[i].size);
	metric_family(out, METRIC_STORAGE_FREE);
	for (size_t i = 0; storage && i < storage->n_rooms; i++)
		metric_labelled(out, METRIC_STORAGE_FREE, "folder", storage->rooms[i].path,
		    (double)storage->rooms[i].free);
}

void
metrics_add_host(struct context *ctx, struct buffer *out)
{
	struct inventory *inventory = ctx->inventory;
	const struct host *host = inventory_find_host(inventory, inventory_self(inventory));
	unsigned int vcpus = 0;

	add_storage(keeper_storage(ctx->keeper), out);
	if (!host)
		return;
	metric_single(out, METRIC_VMS_UNPROTECTED, count_unprotected(host));
	inventory_each_local(inventory, count_vcpus, &vcpus);
	metric_single(out, METRIC_HOST_CPUS,
	    host->def.cpudef.nodes * host->def.cpudef.sockets * host->def.cpudef.cores *
		host->def.cpudef.threads);
	metric_single(
	    out, METRIC_HOST_CPU_SECONDS, (double)inventory_host_cpu_ns(inventory) / NS_S);
	metric_single(out, METRIC_HOST_VCPUS, vcpus);
	add_resources(&host->resources, out);
}

#define VM_FIRST METRIC_VM_VCPUS
#define VM_LAST	 METRIC_VM_NETWORK_SENT

/* A VM with its figures, by metric_id from VM_FIRST. */
struct row {
	const struct vm *vm; /* borrowed */
	bool on;	     /* what its process has used is known */
	double figures[VM_LAST - VM_FIRST + 1];
};

struct rows {
	const struct inventory *inventory;
	const struct custom_field *only;
	struct row *items;
	size_t n;
};

static void
set_figure(struct row *row, enum metric_id id, double value)
{
	row->figures[id - VM_FIRST] = value;
}

static void
take_vm(void *arg, const struct inventory_vm *view, bool def_known, bool disks_known)
{
	struct rows *rows = arg;
	const struct vm *vm = &view->vm;
	struct inventory_used used = { 0 };
	struct row *row;

	if (!str_empty(rows->only->name) && !filter_custom(&vm->def, rows->only))
		return;
	row = model_append(&rows->items, &rows->n);
	row->vm = vm;
	row->on = inventory_get_used(rows->inventory, vm->uuid, &used);
	set_figure(row, METRIC_VM_VCPUS, vmdef_vcpus(&vm->def));
	set_figure(row, METRIC_VM_MEMORY_SIZE, vm->def.memory.total * MIB);
	set_figure(row, METRIC_VM_DISK_CAPACITY, (double)vm->stats.disk_capacity * MIB);
	set_figure(row, METRIC_VM_DISK_ALLOCATION, (double)vm->stats.disk_allocation * MIB);
	set_figure(row, METRIC_VM_DISK_PHYSICAL, (double)vm->stats.disk_physical * MIB);
	set_figure(row, METRIC_VM_CPU_SECONDS, (double)used.cpu_ns / NS_S);
	set_figure(row, METRIC_VM_MEMORY_USED, (double)used.rss * KIB);
	set_figure(row, METRIC_VM_NETWORK_RECEIVED, (double)used.rx_bytes);
	set_figure(row, METRIC_VM_NETWORK_SENT, (double)used.tx_bytes);
}

/* Whether a VM that is off has no such figure. */
static bool
is_used(enum metric_id id)
{
	return id == METRIC_VM_CPU_SECONDS || id == METRIC_VM_MEMORY_USED ||
	       id == METRIC_VM_NETWORK_RECEIVED || id == METRIC_VM_NETWORK_SENT;
}

/* Always 1: the label is what is told. */
static void
add_word(
    struct buffer *out, enum metric_id id, const struct vm *vm, const char *label, const char *word)
{
	const struct metric_label labels[] = { { "vm", vm->uuid }, { label, word } };

	metric_sample(out, id, labels, ARRAY_SIZE(labels), 1);
}

void
metrics_add_vms(struct inventory *inventory, const struct custom_field *only, struct buffer *out)
{
	struct rows rows = { .inventory = inventory, .only = only };

	inventory_each_local(inventory, take_vm, &rows);
	metric_family(out, METRIC_VM_INFO);
	for (size_t i = 0; i < rows.n; i++)
		add_word(out, METRIC_VM_INFO, rows.items[i].vm, "name", rows.items[i].vm->def.name);
	metric_family(out, METRIC_VM_RUNSTATE);
	for (size_t i = 0; i < rows.n; i++)
		add_word(out, METRIC_VM_RUNSTATE, rows.items[i].vm, "runstate",
		    enum_word(&vmrunstate_enum, rows.items[i].vm->runinfo.runstate));
	for (enum metric_id id = VM_FIRST; id <= VM_LAST; id++) {
		metric_family(out, id);
		for (size_t i = 0; i < rows.n; i++) {
			if (rows.items[i].on || !is_used(id))
				metric_labelled(out, id, "vm", rows.items[i].vm->uuid,
				    rows.items[i].figures[id - VM_FIRST]);
		}
	}
	free(rows.items);
}
