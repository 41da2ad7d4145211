/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/inventory_index.h"

#include <stdio.h>
#include <string.h>

#include "proto/vmdef.h"

static void
free_vm(struct vm_entry *entry)
{
	model_clear(&vm_model, &entry->view.vm);
	free(entry->view.foreign_why);
	free(entry->view.cloud_init);
	free(entry->view.told);
	free(entry->view.loss);
	free(entry->view.unstarted);
	free(entry->text.data);
	free(entry);
}

void
index_clear_host(struct host_entry *entry)
{
	model_clear(&host_model, &entry->host);
	model_clear(&host_list_item_model, &entry->item);
	index_clear_undecided(entry);
	free(entry->text.data);
	free(entry->twin);
}

void
index_forget_joined(struct inventory *inventory)
{
	shared_text_drop(inventory->joined);
	inventory->joined = NULL;
}

static void
forget_order(struct inventory *inventory)
{
	free(inventory->order);
	inventory->order = NULL;
	index_forget_joined(inventory);
}

void
index_drop_tombstone(struct inventory *inventory, struct tombstone *tombstone)
{
	HASH_DEL(inventory->tombstones, tombstone);
	free(tombstone);
}

void
index_clear(struct inventory *inventory)
{
	struct vm_entry *vm, *next_vm;
	struct tombstone *tombstone, *next_tombstone;
	struct host_entry *host, *next_host;

	HASH_ITER (hh, inventory->vms, vm, next_vm) {
		HASH_DEL(inventory->vms, vm);
		free_vm(vm);
	}
	HASH_ITER (hh, inventory->tombstones, tombstone, next_tombstone)
		index_drop_tombstone(inventory, tombstone);
	HASH_ITER (hh, inventory->hosts, host, next_host) {
		HASH_DEL(inventory->hosts, host);
		index_clear_host(host);
		free(host);
	}
	forget_order(inventory);
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

void
index_tell_vm(struct inventory *inventory, const struct vm_entry *entry)
{
	tell_vm(inventory, entry, false);
}

void
index_tell_host(struct inventory *inventory, const struct host_entry *entry)
{
	for (size_t i = 0; i < inventory->n_observers; i++) {
		const struct observer *o = &inventory->observers[i];

		if (o->observer->host)
			o->observer->host(o->arg, &entry->host);
	}
}

struct vm_entry *
index_find_vm(const struct inventory *inventory, const char *uuid)
{
	struct vm_entry *entry;

	HASH_FIND_STR(inventory->vms, str_or_empty(uuid), entry);
	return entry;
}

struct host_entry *
index_find_host(const struct inventory *inventory, const char *uuid)
{
	struct host_entry *entry;

	HASH_FIND_STR(inventory->hosts, str_or_empty(uuid), entry);
	return entry;
}

struct tombstone *
index_find_tombstone(const struct inventory *inventory, const char *uuid)
{
	struct tombstone *tombstone;

	HASH_FIND_STR(inventory->tombstones, uuid, tombstone);
	return tombstone;
}

struct host_entry *
index_need_host(struct inventory *inventory, const char *uuid)
{
	struct host_entry *entry = index_find_host(inventory, uuid);

	if (!entry) {
		entry = xcalloc(1, sizeof(*entry));
		memcpy(entry->uuid, uuid, sizeof(entry->uuid));
		entry->host.uuid = xstrdup(uuid);
		LIST_INIT(&entry->vms);
		HASH_ADD_STR(inventory->hosts, uuid, entry);
	}
	return entry;
}

struct vm_entry *
index_add_vm(struct inventory *inventory, const char *uuid)
{
	struct vm_entry *entry = xcalloc(1, sizeof(*entry));

	memcpy(entry->uuid, uuid, sizeof(entry->uuid));
	entry->view.vm.uuid = xstrdup(uuid);
	HASH_ADD_STR(inventory->vms, uuid, entry);
	forget_order(inventory);
	return entry;
}

void
index_note_news(struct host_entry *host, int64_t ts)
{
	if (ts <= host->news_ts)
		return;
	if (host->news_ts <= host->told_ts)
		host->ahead_since = monotonic_ms();
	host->news_ts = ts;
}

void
index_drop_claim(struct vm_entry *entry)
{
	if (!entry->claim.host[0])
		return;
	LIST_REMOVE(entry, claim_link);
	entry->claim = (struct claim){ 0 };
}

bool
index_is_unknown(const struct vm_entry *entry)
{
	return !entry->view.local && entry->host && entry->host->host.cstate == CSTATE_FAILED;
}

struct vmruninfo
inventory_told_runinfo(const struct inventory_vm *view)
{
	const struct vm_entry *entry =
	    (const void *)((const char *)view - offsetof(struct vm_entry, view));
	struct vmruninfo info = view->vm.runinfo;

	if (index_is_unknown(entry)) {
		info.last = info.runstate;
		info.runstate = VMRUNSTATE_NONE;
	}
	return info;
}

struct vm_info
inventory_vm_info(const struct inventory_vm *view)
{
	const struct vm *vm = &view->vm;
	bool told = !view->local || view->recorded;

	return (struct vm_info){
		.uuid = vm->uuid,
		.host = vm->runinfo.host,
		.runstate = vm->runinfo.runstate,
		.ts = vm->ts,
		.name = vm->def.name,
		.vlanid = vm->def.vlanid,
		.custom = vm->def.custom,
		.n_custom = vm->def.n_custom,
		.vcpus = view->local ? (int16_t)vmdef_vcpus(&vm->def) : view->vcpus,
		.memory = vm->def.memory.total,
		.hp = vm->def.memory.hp,
		.want = told ? vm->want : WANT_UNKNOWN,
	};
}

void
index_place_vm(struct vm_entry *entry, struct host_entry *host)
{
	free(entry->text.data);
	entry->text = (struct index_text){ 0 };
	entry->moved = true;
	if (entry->host != host)
		entry->before[0] = '\0';
	if (entry->host) {
		entry->host->digest -= entry->part;
		if (entry->host != host) {
			entry->host->n_vms--;
			LIST_REMOVE(entry, link);
		}
	}
	if (host) {
		struct vm_info info = inventory_vm_info(&entry->view);

		if (str_equal(entry->claim.host, host->uuid))
			index_drop_claim(entry);
		index_decide(host, entry->uuid);
		index_note_news(host, info.ts);
		entry->part = vm_info_digest(&info);
		host->digest += entry->part;
		if (entry->host != host) {
			host->n_vms++;
			LIST_INSERT_HEAD(&host->vms, entry, link);
		}
	}
	entry->host = host;
}

void
index_trim_vm(struct vm_entry *entry)
{
	struct vm *vm = &entry->view.vm;
	struct vmdef def = { 0 };

	def.name = steal_ptr(vm->def.name);
	def.vlanid = vm->def.vlanid;
	def.memory = vm->def.memory;
	def.custom = steal_ptr(vm->def.custom);
	def.n_custom = vm->def.n_custom;
	vm->def.n_custom = 0;
	model_clear(&vmdef_model, &vm->def);
	vm->def = def;
	model_clear(&vmstats_model, &vm->stats);
	entry->view.whole = false;
}

bool
index_has_left(const struct inventory *inventory, const struct vm_entry *entry)
{
	return !entry->view.local && entry->host && str_equal(entry->host->uuid, inventory->self);
}

/* The table has them in the order in which they were buried. */
static void
add_tombstone(struct inventory *inventory, const struct vm_entry *entry, int64_t ts)
{
	struct tombstone *tombstone = index_find_tombstone(inventory, entry->uuid);

	if (tombstone)
		HASH_DEL(inventory->tombstones, tombstone);
	else
		tombstone = xcalloc(1, sizeof(*tombstone));
	while (HASH_COUNT(inventory->tombstones) >= INVENTORY_VMS)
		index_drop_tombstone(inventory, inventory->tombstones);
	memcpy(tombstone->uuid, entry->uuid, sizeof(tombstone->uuid));
	snprintf(
	    tombstone->host, sizeof(tombstone->host), "%s", entry->host ? entry->host->uuid : "");
	tombstone->released = entry->released_clock;
	tombstone->clock = ++inventory->clock;
	tombstone->ts = ts;
	tombstone->buried = monotonic_ms();
	tombstone->deleted = false;
	HASH_ADD_STR(inventory->tombstones, uuid, tombstone);
}

void
index_drop_vm(struct inventory *inventory, struct vm_entry *entry)
{
	index_place_vm(entry, NULL);
	index_drop_claim(entry);
	HASH_DEL(inventory->vms, entry);
	forget_order(inventory);
	tell_vm(inventory, entry, true);
	free_vm(entry);
}

void
index_bury_vm(struct inventory *inventory, struct vm_entry *entry, int64_t ts)
{
	add_tombstone(inventory, entry, ts);
	if (entry->host)
		index_note_news(entry->host, ts);
	entry->view.vm.ts = ts;
	index_drop_vm(inventory, entry);
}

struct host_list_fields
index_host_fields(const struct host *host)
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
