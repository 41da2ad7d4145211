/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What this host's jobs and events tell of its own VMs and itself. */
#include "state/inventory.h"

#include <stdio.h>
#include <string.h>

#include "proto/vmdef.h"
#include "state/claims.h"
#include "state/inventory_index.h"
#include "state/reason.h"
#include "state/reservation.h"

#define KEEP_TOMBSTONE_MS 3600000 /* as long as old gossip may come back */
#define KEEP_RELEASED_MS  60000	  /* until a VM that migrated must have been told by its new host */
#define ON_THE_WAY_MS	  10000	  /* that what a host has told may come late */
#define LOSS_MS		  5000	  /* from the end of a VM to the news why its leases were lost */

/* Whether it has ended or left here since the mark. That another host has it no more is no reason
 * not to believe who sees it here. */
static bool
buried_after(const struct inventory *inventory, const char *uuid, uint64_t mark)
{
	const struct tombstone *tombstone = index_find_tombstone(inventory, uuid);

	return tombstone && tombstone->clock > mark &&
	       (tombstone->released > mark || tombstone->deleted || !tombstone->host[0] ||
		   str_equal(tombstone->host, inventory->self));
}

bool
inventory_deleted_after(const struct inventory *inventory, const char *uuid, uint64_t mark)
{
	return buried_after(inventory, uuid, mark) &&
	       index_find_tombstone(inventory, uuid)->deleted;
}

/* Each change of a VM is later than the one before, whatever the clocks of its hosts say. */
static void
stamp(struct vm *vm)
{
	int64_t now = now_ms();

	vm->ts = now > vm->ts ? now : vm->ts + 1;
}

static bool
stands_still(enum vmrunstate runstate)
{
	return runstate == VMRUNSTATE_POWEROFF || runstate == VMRUNSTATE_CRASHED;
}

/* Whether a VM in this state has its leases, and can lose them. */
static bool
runs(enum vmrunstate runstate)
{
	return runstate == VMRUNSTATE_RUNNING || runstate == VMRUNSTATE_PAUSED ||
	       runstate == VMRUNSTATE_TERMINATING || runstate == VMRUNSTATE_PMSUSPENDED ||
	       runstate == VMRUNSTATE_MIGRATING;
}

static void
set_loss(const struct inventory *inventory, struct vm_entry *entry)
{
	struct inventory_vm *view = &entry->view;
	bool had = view->leased || vmdef_leases(&view->vm.def) > 0;

	str_set(&view->loss, had ? str_or_empty(inventory->loss) : "");
}

static void
set_runstate(const struct inventory *inventory, struct vm_entry *entry, enum vmrunstate runstate)
{
	struct vm *vm = &entry->view.vm;
	enum vmrunstate before = vm->runinfo.runstate;

	if (before != runstate) {
		stamp(vm);
		str_set(&entry->view.told, "");
		str_set(&vm->runinfo.reason, "");
	}
	if (!stands_still(runstate)) {
		str_set(&entry->view.loss, "");
		entry->ended = 0;
		/* While nobody had its disks open, somebody may have made them larger. */
		if (stands_still(before))
			entry->view.sizes = DISK_SIZES_UNREAD;
	} else if (runs(before)) {
		set_loss(inventory, entry);
		entry->ended = monotonic_ms();
	}
	if (!stands_still(runstate) && runstate != VMRUNSTATE_TERMINATING)
		entry->view.signalled = false;
	if (runs(runstate))
		str_set(&entry->view.unstarted, "");
	vm->runinfo.runstate = runstate;
	if (stands_still(runstate))
		accounting_vm_stop(&entry->last, &vm->stats);
}

/* One that begins with what is told says more: which disk, say. */
static void
set_reason(struct vm_entry *entry, const char *told)
{
	struct inventory_vm *view = &entry->view;
	const char *known = str_or_empty(view->told);

	told = str_or_empty(told);
	if (strncmp(known, told, strlen(told)) != 0 || !*told)
		str_set(&view->told, told);
	free(view->vm.runinfo.reason);
	view->vm.runinfo.reason = reason_explain(view->told, &view->vm.stats.oplog, view->loss);
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
		entry->view.sizes = DISK_SIZES_READ;
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
		entry->view.sizes = DISK_SIZES_UNREAD;
		stamp(vm);
	}
	model_clear(&vmdef_model, &vm->def);
	vm->def = def;
	model_clear(&oplog_list_model, &vm->stats.oplog);
	model_copy(&oplog_list_model, &vm->stats.oplog, &report->oplog);
	vm->stats.memory_capacity = report->def.memory.total;
	view->foreign = report->foreign;
	view->leased = report->leased;
	str_set(&view->foreign_why, report->foreign_why);
	str_set(&view->cloud_init, report->cloud_init);
	/* Others are told of it. */
	if (vm->want != report->want || view->recorded != report->recorded)
		stamp(vm);
	vm->want = report->want;
	if (vm->want != WANT_ON)
		str_set(&view->unstarted, "");
	view->excused = report->excused;
	view->recorded = report->recorded;
	entry->def_known = view->whole = true;
}

/* A VM that is new here, or comes from another host. */
static void
take_vm(struct inventory *inventory, struct vm_entry *entry)
{
	const struct tombstone *tombstone = index_find_tombstone(inventory, entry->uuid);
	struct vm *vm = &entry->view.vm;

	entry->view.local = true;
	entry->view.whole = false;
	entry->def_known = false;
	entry->view.sizes = DISK_SIZES_UNREAD;
	entry->released_clock = 0;
	index_drop_claim(entry);
	if (tombstone && vm->ts < tombstone->ts)
		vm->ts = tombstone->ts;
	stamp(vm);
}

static void
sum_up(const struct inventory *inventory, struct accounting_sum *ret)
{
	struct vm_entry *entry, *next;

	*ret = (struct accounting_sum){ 0 };
	HASH_ITER (hh, inventory->vms, entry, next) {
		if (entry->view.local)
			accounting_sum_add(ret, &entry->last, &entry->view.vm);
	}
}

/* What is left for VMs is told by now, not as it was at the last collection: who places VMs, here
 * or on other hosts, counts on it. */
static void
recount(struct inventory *inventory)
{
	struct host_entry *entry = index_find_host(inventory, inventory->self);
	struct hostresources *resources = entry ? &entry->host.resources : NULL;
	struct accounting_sum sum;
	int32_t memory, hp;

	if (!entry)
		return;
	memory = resources->memory.availablevms;
	hp = resources->hp.availablevms;
	sum_up(inventory, &sum);
	accounting_host_recount(&sum, resources);
	if (memory != resources->memory.availablevms || hp != resources->hp.availablevms)
		index_tell_host(inventory, entry);
}

/* The host to which a migration of it is under way: borrowed, "" for none. */
static const char *
leads_to(const struct inventory *inventory, const struct vm_entry *entry)
{
	const struct oplog_list *oplog = &entry->view.vm.stats.oplog;

	for (size_t i = 0; i < oplog->n_items; i++) {
		const struct oplog_item *item = &oplog->items[i];

		/* All that is left after a restart of virtxd; but where it came here a moment ago
		 * that may not have been written down yet. */
		if (str_equal(item->op, "VmMigrate") && str_equal(item->status, "started") &&
		    !str_equal(item->msg, inventory->self))
			return item->msg;
	}
	return reservation_leads_to(inventory, entry->uuid);
}

static bool
is_leaving(const struct inventory *inventory, const struct vm_entry *entry)
{
	return !str_empty(leads_to(inventory, entry));
}

/* libvirt says that the VM is here, and has been asked after another host said the same. Where it
 * came from there, by the clock of that host the last word from there may be later than our first,
 * and nobody would believe us: ours is told anew. Ever more rarely, as two that both have it would
 * not end. */
static void
answer_claim(const struct inventory *inventory, uint64_t mark, struct vm_entry *entry)
{
	if (!is_leaving(inventory, entry) && claim_must_answer(entry, mark))
		entry->view.vm.ts = entry->claim.ts + 1;
}

static void
report_vm(struct inventory *inventory, uint64_t mark, bool own, const struct vm_report *report)
{
	struct vm_entry *entry;
	char uuid[UUID_TEXT_SIZE];
	bool is_new = false;
	int64_t ts;

	if (uuid_normalize(report->uuid, uuid) < 0 || buried_after(inventory, uuid, mark))
		return;
	entry = index_find_vm(inventory, uuid);
	/* It was here when the job looked, and is not any more. */
	if (entry && !entry->view.local && entry->released_clock > mark)
		return;
	if (!entry)
		entry = index_add_vm(inventory, uuid);
	if (!entry->view.local) {
		take_vm(inventory, entry);
		is_new = true;
	}
	ts = entry->view.vm.ts;
	str_set(&entry->view.vm.runinfo.host, inventory->self);
	if (own || is_new || entry->data_clock <= mark) {
		if (report->has_def) {
			set_def(entry, report);
			entry->data_clock = ++inventory->clock;
			/* It counts by itself from now on. */
			if (report->def.memory.total)
				reservation_release(inventory, uuid, NULL);
		}
		set_sizes(entry, report);
	}
	if (report->runstate != VMRUNSTATE_NONE &&
	    (is_new || (own ? entry->event_clock : entry->state_clock) <= mark)) {
		set_runstate(inventory, entry, report->runstate);
		/* Who looked before this job has ended saw what was before. */
		if (own)
			entry->state_clock = ++inventory->clock;
	}
	if (report->runstate == entry->view.vm.runinfo.runstate)
		set_reason(entry, report->reason);
	accounting_vm_update(
	    &entry->last, report, monotonic_ms(), inventory->last.mhz, &entry->view.vm.stats);
	if (stands_still(entry->view.vm.runinfo.runstate))
		accounting_vm_stop(&entry->last, &entry->view.vm.stats);
	answer_claim(inventory, mark, entry);
	index_place_vm(entry, index_find_host(inventory, inventory->self));
	if (is_new || entry->view.vm.ts != ts || report->has_def)
		index_tell_vm(inventory, entry);
}

void
inventory_report_vm(
    struct inventory *inventory, uint64_t mark, bool own, const struct vm_report *report)
{
	report_vm(inventory, mark, own, report);
	recount(inventory);
}

/* It is none of ours; its definition stays until it is somebody else's. */
static void
disown(struct vm_entry *entry)
{
	struct inventory_vm *view = &entry->view;

	view->vcpus = (int16_t)vmdef_vcpus(&view->vm.def);
	view->local = view->foreign = view->leased = false;
	str_set(&view->foreign_why, "");
	str_set(&view->cloud_init, "");
	view->vm.want = WANT_UNKNOWN;
	view->excused = view->recorded = view->signalled = false;
	str_set(&view->unstarted, "");
	str_set(&view->told, "");
	str_set(&view->loss, "");
	entry->ended = 0;
	str_set(&view->vm.runinfo.reason, "");
	entry->def_known = false;
	entry->view.sizes = DISK_SIZES_UNREAD;
	entry->last = (struct accounting_vm){ 0 };
}

/* It is not here any more: it belongs to who says so, once somebody does. */
static void
release(struct inventory *inventory, struct vm_entry *entry)
{
	const struct claim *claim = &entry->claim;

	snprintf(entry->left_for, sizeof(entry->left_for), "%s", leads_to(inventory, entry));
	entry->migrated = entry->left_for[0];
	/* Another host than that has it by old news; so has that one by what it said before. */
	if (entry->migrated &&
	    (!str_equal(entry->left_for, claim->host) ||
		(claim->claimant != TESTIMONY_NONE &&
		    claim->heard < reservation_leads_since(inventory, entry->uuid))))
		index_drop_claim(entry);
	disown(entry);
	entry->released_clock = entry->data_clock = ++inventory->clock;
	entry->released = monotonic_ms();
	if (entry->claim.host[0] && entry->claim.claimant != TESTIMONY_NONE) {
		claim_grant(inventory, entry);
	} else {
		index_place_vm(entry, entry->host);
		index_tell_vm(inventory, entry);
	}
	recount(inventory);
}

static void
end(struct inventory *inventory, struct vm_entry *entry)
{
	/* What another host has told of it while it was here is older than its end. */
	if (entry->view.vm.ts < entry->claim.ts)
		entry->view.vm.ts = entry->claim.ts;
	stamp(&entry->view.vm);
	index_bury_vm(inventory, entry, entry->view.vm.ts);
}

/* It has ended, or is with the host that says it has it, or that it was to go to. */
static void
forget(struct inventory *inventory, struct vm_entry *entry)
{
	if (entry->claim.host[0] || is_leaving(inventory, entry))
		release(inventory, entry);
	else
		end(inventory, entry);
}

/* Whether the host has told since then which VMs it has: by its list, or by a digest that has what
 * is known here and nothing else. */
static bool
has_told(const struct host_entry *host, const struct vm_entry *entry)
{
	return host->listed >= entry->released_clock ||
	       (host->told_at - entry->released > ON_THE_WAY_MS &&
		   host->digest == host->its_digest);
}

/* Whether the host that it has left for is still to say whether it has it: its virtxd may not run,
 * or not know yet. */
static bool
is_awaited(const struct inventory *inventory, const struct vm_entry *entry)
{
	const struct host_entry *host = index_find_host(inventory, entry->left_for);

	return host && host->told_digest &&
	       (!has_told(host, entry) || index_is_undecided(host, entry->uuid));
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
	int64_t now = monotonic_ms();

	for (size_t i = 0; i < n; i++)
		report_vm(inventory, mark, false, &reports[i]);
	HASH_ITER (hh, inventory->vms, entry, next) {
		if (entry->view.local) {
			if (entry->state_clock > mark || entry->data_clock > mark ||
			    reported(reports, n, entry->uuid))
				continue;
			forget(inventory, entry);
		} else if ((!entry->host || index_has_left(inventory, entry)) &&
			   now - entry->released > KEEP_RELEASED_MS &&
			   !is_awaited(inventory, entry)) {
			index_bury_vm(inventory, entry, entry->view.vm.ts);
		}
	}
	HASH_ITER (hh, inventory->tombstones, tombstone, next_tombstone) {
		if (tombstone->clock <= mark && now - tombstone->buried > KEEP_TOMBSTONE_MS)
			index_drop_tombstone(inventory, tombstone);
	}
	recount(inventory);
}

void
inventory_set_runstate(struct inventory *inventory, const char *uuid, enum vmrunstate runstate)
{
	struct vm_entry *entry = index_find_vm(inventory, uuid);

	if (!entry || !entry->view.local)
		return;
	entry->state_clock = entry->event_clock = ++inventory->clock;
	set_runstate(inventory, entry, runstate);
	index_place_vm(entry, entry->host);
	index_tell_vm(inventory, entry);
}

void
inventory_set_signalled(struct inventory *inventory, const char *uuid)
{
	struct vm_entry *entry = index_find_vm(inventory, uuid);

	if (entry && entry->view.local)
		entry->view.signalled = true;
}

/* The VMs may be ended before it is known why. */
void
inventory_set_loss(struct inventory *inventory, const char *why)
{
	bool begins = str_empty(inventory->loss) && !str_empty(why);
	int64_t now = monotonic_ms();
	struct vm_entry *entry, *next;

	str_set(&inventory->loss, why);
	if (!begins)
		return;
	HASH_ITER (hh, inventory->vms, entry, next) {
		if (!entry->view.local || entry->ended == 0 || now - entry->ended > LOSS_MS)
			continue;
		set_loss(inventory, entry);
		if (str_empty(entry->view.told))
			continue;
		set_reason(entry, entry->view.told);
		index_tell_vm(inventory, entry);
	}
}

void
inventory_forget_states(struct inventory *inventory)
{
	struct vm_entry *entry, *next;

	HASH_ITER (hh, inventory->vms, entry, next)
		entry->event_clock = 0;
}

void
inventory_end_startup(struct inventory *inventory, const char *uuid)
{
	struct vm_entry *entry = index_find_vm(inventory, uuid);

	if (entry && entry->view.vm.runinfo.runstate == VMRUNSTATE_STARTUP)
		inventory_set_runstate(inventory, uuid, VMRUNSTATE_POWEROFF);
}

void
inventory_remove_vm(struct inventory *inventory, const char *uuid)
{
	struct vm_entry *entry = index_find_vm(inventory, uuid);

	if (!entry || !entry->view.local)
		return;
	forget(inventory, entry);
	recount(inventory);
}

void
inventory_end_vm(struct inventory *inventory, const char *uuid)
{
	struct vm_entry *entry = index_find_vm(inventory, uuid);

	if (!entry || (!entry->view.local && !index_has_left(inventory, entry)))
		return;
	end(inventory, entry);
	index_find_tombstone(inventory, uuid)->deleted = true;
	recount(inventory);
}

void
inventory_release_vm(struct inventory *inventory, const char *uuid)
{
	struct vm_entry *entry = index_find_vm(inventory, uuid);

	if (entry && entry->view.local)
		release(inventory, entry);
}

void
inventory_forget_def(struct inventory *inventory, const char *uuid)
{
	struct vm_entry *entry, *next;

	if (uuid) {
		entry = index_find_vm(inventory, uuid);
		if (entry)
			entry->def_known = false;
		return;
	}
	HASH_ITER (hh, inventory->vms, entry, next)
		entry->def_known = false;
}

void
inventory_sizes_unreadable(struct inventory *inventory)
{
	struct vm_entry *entry, *next;

	HASH_ITER (hh, inventory->vms, entry, next) {
		if (entry->view.local && entry->view.sizes == DISK_SIZES_UNREAD)
			entry->view.sizes = DISK_SIZES_UNREADABLE;
	}
}

void
inventory_each_local(struct inventory *inventory, inventory_each each, void *arg)
{
	struct vm_entry *entry, *next;

	HASH_ITER (hh, inventory->vms, entry, next) {
		if (entry->view.local)
			each(arg, &entry->view, entry->def_known,
			    entry->view.sizes == DISK_SIZES_READ);
	}
}

/* Jobs may have told of VMs before it was known which host this is. */
static void
adopt(struct inventory *inventory, struct host_entry *self)
{
	struct vm_entry *entry, *next;

	HASH_ITER (hh, inventory->vms, entry, next) {
		if (!entry->view.local || entry->host)
			continue;
		str_set(&entry->view.vm.runinfo.host, self->uuid);
		index_place_vm(entry, self);
		index_tell_vm(inventory, entry);
	}
}

void
inventory_report_host(struct inventory *inventory, const struct host_report *report)
{
	struct accounting_sum sum;
	struct host_entry *entry;
	struct host_list_fields before, after;
	struct host *host;
	char uuid[UUID_TEXT_SIZE];
	bool is_first = str_empty(inventory->self);

	if (uuid_normalize(report->uuid, uuid) < 0)
		return;
	memcpy(inventory->self, uuid, sizeof(uuid));
	entry = index_need_host(inventory, uuid);
	host = &entry->host;
	after = index_host_fields(host);
	model_copy(&host_list_fields_model, &before, &after);
	if (report->has_def) {
		model_clear(&hostdef_model, &host->def);
		model_copy(&hostdef_model, &host->def, &report->def);
	}
	sum_up(inventory, &sum);
	accounting_host_update(
	    &inventory->last, report, monotonic_ms(), &host->def, &sum, &host->resources);
	host->cstate = CSTATE_ACTIVE;
	after = index_host_fields(host);
	if (!model_equal(&host_list_fields_model, &before, &after))
		index_tell_host(inventory, entry);
	host->ts = now_ms();
	model_clear(&host_list_fields_model, &before);
	if (is_first)
		adopt(inventory, entry);
}

void
inventory_set_lockid(struct inventory *inventory, int lockid)
{
	struct host_entry *entry = index_find_host(inventory, inventory->self);

	if (!entry || entry->host.lockid == lockid)
		return;
	entry->host.lockid = (int16_t)lockid;
	index_tell_host(inventory, entry);
}
