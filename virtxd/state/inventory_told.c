/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What this host tells others of itself and its VMs. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "state/inventory_index.h"

#define PAGE_BYTES (256 << 10)

void
inventory_get_stamp(
    const struct inventory *inventory, const char *vm, char ret[INVENTORY_STAMP_SIZE])
{
	const struct vm_entry *entry = index_find_vm(inventory, vm);

	ret[0] = '\0';
	if (!entry || !entry->host || entry->claim.host[0] || index_has_left(inventory, entry))
		return;
	snprintf(ret, INVENTORY_STAMP_SIZE, "%016" PRIx64 ".%" PRId64 ".%d", entry->part,
	    entry->view.vm.ts, entry->host->host.maintenance);
}

static int64_t
latest(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int
compare_uuids(const void *a, const void *b)
{
	return strcmp(
	    (*(const struct vm_entry *const *)a)->uuid, (*(const struct vm_entry *const *)b)->uuid);
}

/* What a VM takes in a page, about: bytes. */
static size_t
size_of(const struct vm_info *info)
{
	size_t size = sizeof(*info) + strlen(str_or_empty(info->name));

	for (size_t i = 0; i < info->n_custom; i++)
		size += strlen(str_or_empty(info->custom[i].name)) +
			strlen(str_or_empty(info->custom[i].value));
	return size;
}

void
inventory_get_list(const struct inventory *inventory, const char *host, const char *after,
    size_t limit, struct vm_info_list *ret)
{
	const struct host_entry *entry = index_find_host(inventory, host);
	_free_ const struct vm_entry **found = NULL;
	struct host_list_fields fields;
	const struct vm_entry *vm;
	size_t n = 0, bytes = 0;

	ret->host = xstrdup(host);
	ret->next = xstrdup("");
	if (!entry)
		return;
	fields = index_host_fields(&entry->host);
	model_copy(&host_list_fields_model, &ret->fields, &fields);
	ret->fields.ts = latest(now_ms(), latest(entry->told_ts, entry->news_ts));
	ret->digest = (int64_t)entry->digest;
	index_get_undecided(entry, ret);
	found = xcalloc(entry->n_vms + 1, sizeof(*found));
	LIST_FOREACH (vm, &entry->vms, link) {
		if (strcmp(vm->uuid, after) > 0)
			found[n++] = vm;
	}
	qsort(found, n, sizeof(*found), compare_uuids);
	ret->items = xcalloc(n + 1, sizeof(*ret->items));
	for (size_t i = 0; i < n; i++) {
		struct vm_info info = inventory_vm_info(&found[i]->view);

		bytes += size_of(&info);
		if (limit > 0 && i > 0 && (i == limit || bytes > PAGE_BYTES)) {
			str_set(&ret->next, found[i - 1]->uuid);
			break;
		}
		model_copy(&vm_listed_model, &ret->items[i], &info);
		ret->items[i].left = index_has_left(inventory, found[i]);
		ret->n_items++;
	}
}

void
inventory_each_of(const struct inventory *inventory, const char *host,
    void (*each)(void *arg, const struct inventory_vm *vm), void *arg)
{
	const struct host_entry *entry = index_find_host(inventory, host);
	const struct vm_entry *vm;

	if (!entry)
		return;
	LIST_FOREACH (vm, &entry->vms, link) {
		if (!index_has_left(inventory, vm))
			each(arg, &vm->view);
	}
}

bool
inventory_get_self(
    struct inventory *inventory, struct host_info *ret_info, struct host_digest *ret_digest)
{
	struct host_entry *entry = index_find_host(inventory, inventory->self);

	if (!entry)
		return false;
	entry->told_ts = latest(now_ms(), latest(entry->told_ts + 1, entry->news_ts));
	*ret_info = (struct host_info){ entry->host.uuid, index_host_fields(&entry->host) };
	ret_info->fields.ts = entry->told_ts;
	*ret_digest = (struct host_digest){ HOST_DIGEST_VERSION, (int32_t)entry->n_vms,
		(int64_t)entry->digest };
	return true;
}
