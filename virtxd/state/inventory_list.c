/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The listings: filtered, sorted, paged. */
#include <string.h>

#include "state/filter.h"
#include "state/inventory_index.h"

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

static const struct list_page all;

/* The end of the page, of n items. */
static size_t
page_end(size_t n, const struct list_page *page)
{
	return page->limit == 0 || page->offset > n || page->limit > n - page->offset
		   ? n
		   : page->offset + page->limit;
}

void
inventory_list_vms(const struct inventory *inventory, const struct vm_list_fields *filter,
    const struct list_page *page, struct vm_list *ret)
{
	_free_ const struct vm **found = xcalloc(HASH_COUNT(inventory->vms) + 1, sizeof(*found));
	struct vm_entry *entry, *next;
	size_t n = 0, end;

	page = page ? page : &all;
	HASH_ITER (hh, inventory->vms, entry, next) {
		if (filter_vm(&entry->view.vm, filter, page->exact))
			found[n++] = &entry->view.vm;
	}
	qsort(found, n, sizeof(*found), compare_vms);
	end = page_end(n, page);
	ret->items = page->offset < end ? xcalloc(end - page->offset, sizeof(*ret->items)) : NULL;
	for (size_t i = page->offset; i < end; i++) {
		const struct vm *vm = found[i];
		const struct custom_field *custom = filter_custom(&vm->def, &filter->custom);
		struct vm_list_item *item = &ret->items[ret->n_items++];

		item->uuid = xstrdup(vm->uuid);
		item->fields = (struct vm_list_fields){
			.name = xstrdup(vm->def.name),
			.host = xstrdup(vm->runinfo.host),
			.runstate = vm->runinfo.runstate,
			.vlanid = vm->def.vlanid,
			.ts = vm->ts,
		};
		if (custom)
			model_copy(&custom_field_model, &item->fields.custom, custom);
	}
}

void
inventory_list_hosts(const struct inventory *inventory, const struct host_list_fields *filter,
    const struct list_page *page, struct host_list *ret)
{
	_free_ const struct host **found =
	    xcalloc(HASH_COUNT(inventory->hosts) + 1, sizeof(*found));
	struct host_entry *entry, *next;
	size_t n = 0, end;

	page = page ? page : &all;
	HASH_ITER (hh, inventory->hosts, entry, next) {
		struct host_list_fields fields = index_host_fields(&entry->host);

		if (filter_host(&fields, filter, page->exact))
			found[n++] = &entry->host;
	}
	qsort(found, n, sizeof(*found), compare_hosts);
	end = page_end(n, page);
	for (size_t i = page->offset; i < end; i++) {
		struct host_list_fields fields = index_host_fields(found[i]);
		struct host_list_item *item = model_append(&ret->items, &ret->n_items);

		item->uuid = xstrdup(found[i]->uuid);
		model_copy(&host_list_fields_model, &item->fields, &fields);
		item->maintenance = found[i]->maintenance;
		item->watchdog = found[i]->watchdog;
		item->skew = index_find_host(inventory, found[i]->uuid)->skew;
	}
}

void
inventory_count(const struct inventory *inventory, struct inventory_counts *ret)
{
	struct vm_entry *vm, *next_vm;
	struct host_entry *host, *next_host;

	*ret = (struct inventory_counts){ 0 };
	HASH_ITER (hh, inventory->hosts, host, next_host) {
		ret->hosts[(unsigned int)host->host.cstate % INVENTORY_STATES]++;
		ret->hosts_maintenance += host->host.maintenance;
	}
	HASH_ITER (hh, inventory->vms, vm, next_vm) {
		unsigned int state = (unsigned int)vm->view.vm.runinfo.runstate % INVENTORY_STATES;

		ret->vms[state]++;
		if (vm->view.local)
			ret->local_vms[state]++;
	}
}
