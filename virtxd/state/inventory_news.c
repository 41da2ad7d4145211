/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the answer to a request tells of its host and of the VM that it was about, and what the host
 * that has passed the request on takes of that. */
#include "state/inventory_index.h"
#include "state/inventory_remote.h"

bool
inventory_get_news(const struct inventory *inventory, const char *vm, struct host_news *ret)
{
	const struct host_entry *self = index_find_host(inventory, inventory->self);
	const struct vm_entry *entry = index_find_vm(inventory, vm);
	const struct tombstone *tombstone = index_find_tombstone(inventory, vm);
	struct vm_info info;

	if (!self)
		return false;
	ret->host = xstrdup(inventory->self);
	ret->ts = now_ms();
	ret->maintenance = self->host.maintenance;
	if (entry)
		info = inventory_vm_info(&entry->view);
	else if (tombstone)
		info = (struct vm_info){ .uuid = (char *)tombstone->uuid,
			.host = ret->host,
			.runstate = VMRUNSTATE_DELETED,
			.ts = tombstone->ts };
	else
		return true;
	info.left = entry && index_has_left(inventory, entry);
	ret->items = xcalloc(1, sizeof(*ret->items));
	ret->n_items = 1;
	model_copy(&vm_listed_model, ret->items, &info);
	return true;
}

/* When that was by this host's clock, where the other one's is ahead. */
static int64_t
our_time(const struct host_entry *host, int64_t ts)
{
	return host->skew_known && host->skew > 0 ? ts - host->skew : ts;
}

/* Whether the host has the last word about the VM: it has it, or had it when it was asked, and who
 * is believed since then has not been asked. */
static bool
is_its(const struct vm_entry *entry, const struct host_entry *host, uint64_t mark)
{
	return entry->host == host ||
	       (str_equal(entry->before, host->uuid) && entry->before_clock > mark);
}

/* Whether the VM has ended since what the host says of it, which was asked at the mark. What came
 * in meanwhile is later where it ended there; elsewhere it may have been another one's definition,
 * as somebody made it by hand, and the times tell. */
static bool
has_ended(const struct tombstone *tombstone, const struct host_entry *host, uint64_t mark,
    const struct vm_info *info)
{
	bool here =
	    tombstone->deleted || !tombstone->host[0] || str_equal(tombstone->host, host->uuid);

	return our_time(host, info->ts) <= tombstone->ts || (here && tombstone->clock > mark);
}

/* One VM of a host's answer. */
static void
take_news_item(
    struct inventory *inventory, uint64_t mark, struct host_entry *host, const struct vm_info *info)
{
	const struct tombstone *tombstone;
	struct vm_entry *entry;
	struct host_entry *owner;
	char uuid[UUID_TEXT_SIZE];

	if (uuid_normalize(info->uuid, uuid) < 0)
		return;
	entry = index_find_vm(inventory, uuid);
	if (entry && entry->view.local)
		return;
	/* Its clock may have been set back since it told what was known when it was asked. */
	if (entry && info->ts < entry->view.vm.ts &&
	    (entry->host != host || entry->data_clock > mark))
		return;
	/* It waits itself for the new host to tell of it. */
	if (info->left && (!entry || entry->host != host))
		return;
	if (info->runstate <= VMRUNSTATE_DELETED) {
		if (entry && is_its(entry, host, mark))
			index_bury_vm(inventory, entry, remote_believed(info->ts));
		return;
	}
	/* It speaks for its own VMs, and for those that have left it. */
	owner = remote_teller(inventory, info->host);
	if (!owner || (owner != host && (!entry || !is_its(entry, host, mark))))
		return;
	if (!entry) {
		tombstone = index_find_tombstone(inventory, uuid);
		if (tombstone && has_ended(tombstone, host, mark, info))
			return;
		entry = remote_add_vm(inventory, host, uuid);
	} else if (!is_its(entry, host, mark) && entry->host && entry->host->told_digest &&
		   entry->host->host.cstate == CSTATE_ACTIVE && !index_has_left(inventory, entry)) {
		/* Of another host's VM both are asked; what this one tells of it by gossip is a
		 * claim. */
		return;
	}
	if (!entry)
		return;
	remote_set_info(inventory, entry, owner, info);
	entry->before[0] = '\0';
}

enum inventory_news
inventory_take_news(struct inventory *inventory, uint64_t mark, const struct host_news *news)
{
	struct host_entry *host = remote_teller(inventory, news->host);

	if (!host)
		return remote_no_teller(inventory, news->host);
	remote_note_skew(host, news->ts, true);
	for (size_t i = 0; i < news->n_items; i++)
		take_news_item(inventory, mark, host, &news->items[i]);
	inventory_set_maintenance(inventory, host->uuid, news->maintenance);
	return INVENTORY_TAKEN;
}
