/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The listings: filtered, sorted, paged. */
#include <string.h>

#include "proto/json.h"
#include "state/filter.h"
#include "state/inventory_index.h"

#define LIST_BEGIN "{\"items\":["
#define LIST_END   "]}"

static int
compare_names(const char *name_a, const char *uuid_a, const char *name_b, const char *uuid_b)
{
	int order = strcmp(str_or_empty(name_a), str_or_empty(name_b));

	return order ? order : strcmp(uuid_a, uuid_b);
}

static int
compare_vms(const void *a, const void *b)
{
	const struct vm_entry *x = *(struct vm_entry *const *)a, *y = *(struct vm_entry *const *)b;

	return compare_names(x->view.vm.def.name, x->uuid, y->view.vm.def.name, y->uuid);
}

static int
compare_hosts(const void *a, const void *b)
{
	const struct host_entry *x = *(struct host_entry *const *)a;
	const struct host_entry *y = *(struct host_entry *const *)b;

	return compare_names(x->host.def.name, x->uuid, y->host.def.name, y->uuid);
}

/* What was found, or a part of it; items belong to the inventory. */
struct found_vms {
	struct vm_entry **items;
	size_t n;
	struct vm_entry **matching; /* what is to be freed */
};

static const struct list_page all;

/* The part of n items that the page shows: from *first on, so many. */
static size_t
cut_page(size_t n, const struct list_page *page, size_t *first)
{
	*first = page->offset < n ? page->offset : n;
	return page->limit == 0 || page->limit > n - *first ? n - *first : page->limit;
}

/* Whether this one of n, which may have another name now, is still where it belongs. */
static bool
is_in_place(struct vm_entry *const *order, size_t i, size_t n)
{
	return (i == 0 || compare_vms(&order[i - 1], &order[i]) < 0) &&
	       (i + 1 == n || compare_vms(&order[i], &order[i + 1]) < 0);
}

/* Whether the order is as it should be; afterwards it is to be. */
static bool
check_order(struct vm_entry *const *order, size_t n)
{
	bool right = true;

	for (size_t i = 0; i < n; i++) {
		right = right && (!order[i]->moved || is_in_place(order, i, n));
		order[i]->moved = false;
	}
	return right;
}

static void
collect(struct inventory *inventory)
{
	size_t n = 0;
	struct vm_entry *entry, *next;

	inventory->order = xcalloc(HASH_COUNT(inventory->vms) + 1, sizeof(struct vm_entry *));
	HASH_ITER (hh, inventory->vms, entry, next)
		inventory->order[n++] = entry;
}

/* Sorts all VMs. What changes mostly keeps its name, so that a look at it is enough. */
static void
put_in_order(struct inventory *inventory)
{
	size_t n = HASH_COUNT(inventory->vms);
	bool known = inventory->order;

	if (!known)
		collect(inventory);
	if (!check_order(inventory->order, n) || !known)
		qsort(inventory->order, n, sizeof(struct vm_entry *), compare_vms);
}

static bool
wants_all(const struct vm_list_fields *filter)
{
	static const struct vm_list_fields none;

	return model_equal(&vm_list_fields_model, filter, &none);
}

/* Whether it is one of those that somebody is limited to. */
static bool
is_there(const struct vm *vm, const struct custom_field *only)
{
	return str_empty(only->name) || filter_custom(&vm->def, only);
}

static enum vmrunstate
told_runstate(const struct vm_entry *entry)
{
	return index_is_unknown(entry) ? VMRUNSTATE_NONE : entry->view.vm.runinfo.runstate;
}

static void
find_vms(struct inventory *inventory, const struct vm_list_fields *filter,
    const struct list_page *page, struct found_vms *ret)
{
	size_t first, n = HASH_COUNT(inventory->vms);

	put_in_order(inventory);
	*ret = (struct found_vms){ .items = inventory->order, .n = n };
	if (!wants_all(filter) || !str_empty(page->only.name)) {
		ret->items = ret->matching = xcalloc(n + 1, sizeof(struct vm_entry *));
		ret->n = 0;
		for (size_t i = 0; i < n; i++) {
			struct vm_entry *entry = inventory->order[i];
			const struct vm *vm = &entry->view.vm;

			if (filter_vm(vm, told_runstate(entry), filter, page->exact) &&
			    is_there(vm, &page->only))
				ret->items[ret->n++] = entry;
		}
	}
	ret->n = cut_page(ret->n, page, &first);
	ret->items += first;
}

/* Borrowed from the VM. */
static struct vm_list_item
vm_item(const struct vm_entry *entry, const struct custom_field *wanted)
{
	const struct vm *vm = &entry->view.vm;
	const struct custom_field *custom = filter_custom(&vm->def, wanted);
	struct vm_list_item item = { .uuid = vm->uuid };

	item.fields = (struct vm_list_fields){
		.name = vm->def.name,
		.host = vm->runinfo.host,
		.runstate = told_runstate(entry),
		.vlanid = vm->def.vlanid,
		.ts = vm->ts,
	};
	if (index_is_unknown(entry))
		item.last = vm->runinfo.runstate;
	if (custom)
		item.fields.custom = *custom;
	return item;
}

void
inventory_list_vms(struct inventory *inventory, const struct vm_list_fields *filter,
    const struct list_page *page, struct vm_list *ret)
{
	struct found_vms found;

	find_vms(inventory, filter, page ? page : &all, &found);
	ret->items = found.n > 0 ? xcalloc(found.n, sizeof(*ret->items)) : NULL;
	for (size_t i = 0; i < found.n; i++) {
		struct vm_list_item item = vm_item(found.items[i], &filter->custom);

		model_copy(&vm_list_item_model, &ret->items[ret->n_items++], &item);
	}
	free(found.matching);
}

static void
keep_text(const struct model *model, const void *item, struct index_text *text)
{
	_free_ char *json = json_encode(model, item, &text->len);

	/* Without the room that the encoder has left. */
	free(text->data);
	text->data = xmemdup(json, text->len);
}

/* The texts as a list. Its length is known, so that no room is taken that it does not need. */
static char *
join(const struct index_text *const *texts, size_t n, size_t *ret_len)
{
	size_t len = strlen(LIST_BEGIN) + strlen(LIST_END) + n;
	char *out, *end;

	for (size_t i = 0; i < n; i++)
		len += texts[i]->len;
	out = xrealloc(NULL, len + 1, 1);
	end = mempcpy(out, LIST_BEGIN, strlen(LIST_BEGIN));
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			*end++ = ',';
		end = mempcpy(end, texts[i]->data, texts[i]->len);
	}
	end = mempcpy(end, LIST_END, strlen(LIST_END));
	*end = '\0';
	*ret_len = (size_t)(end - out);
	return out;
}

/* Writes it anew where it does not tell what is so any more. */
static void
renew_text(struct inventory *inventory, struct vm_entry *entry)
{
	static const struct custom_field none;
	bool unknown = index_is_unknown(entry);
	struct vm_list_item item;

	if (entry->text.data && entry->text_ts == entry->view.vm.ts &&
	    entry->text_unknown == unknown)
		return;
	item = vm_item(entry, &none);
	keep_text(&vm_list_item_model, &item, &entry->text);
	entry->text_ts = entry->view.vm.ts;
	entry->text_unknown = unknown;
	index_forget_joined(inventory);
}

/* The list of all is kept. It is as right as the texts that it was joined of, each of which is
 * looked at; that is much less than to copy them. */
static struct shared_text *
join_vms(struct inventory *inventory, const struct found_vms *found)
{
	bool whole = !found->matching && found->n == HASH_COUNT(inventory->vms);
	_free_ const struct index_text **texts = NULL;
	struct shared_text *text;
	size_t len;
	char *json;

	for (size_t i = 0; i < found->n; i++)
		renew_text(inventory, found->items[i]);
	if (whole && inventory->joined)
		return shared_text_hold(inventory->joined);
	texts = xcalloc(found->n + 1, sizeof(struct index_text *));
	for (size_t i = 0; i < found->n; i++)
		texts[i] = &found->items[i]->text;
	json = join(texts, found->n, &len);
	text = shared_text_new(json, len);
	if (whole)
		inventory->joined = shared_text_hold(text);
	return text;
}

/* What tells a custom field is written anew: another query wants another one. */
static struct shared_text *
write_vms(const struct found_vms *found, const struct custom_field *wanted)
{
	struct buffer out = { 0 };
	size_t len;
	char *json;

	buffer_add(&out, LIST_BEGIN, strlen(LIST_BEGIN));
	for (size_t i = 0; i < found->n; i++) {
		struct vm_list_item item = vm_item(found->items[i], wanted);

		if (i > 0)
			buffer_add(&out, ",", 1);
		json_append(&out, &vm_list_item_model, &item);
	}
	buffer_add(&out, LIST_END, strlen(LIST_END));
	json = buffer_steal(&out, &len);
	return shared_text_new(json, len);
}

struct shared_text *
inventory_vms_json(
    struct inventory *inventory, const struct vm_list_fields *filter, const struct list_page *page)
{
	struct shared_text *text;
	struct found_vms found;

	find_vms(inventory, filter, page ? page : &all, &found);
	text = str_empty(filter->custom.name) ? join_vms(inventory, &found)
					      : write_vms(&found, &filter->custom);
	free(found.matching);
	return text;
}

/* Those that match and are on the page, sorted: n from *first on. The caller frees. */
static struct host_entry **
find_hosts(const struct inventory *inventory, const struct host_list_fields *filter,
    const struct list_page *page, size_t *first, size_t *n)
{
	struct host_entry **found =
	    xcalloc(HASH_COUNT(inventory->hosts) + 1, sizeof(struct host_entry *));
	struct host_entry *entry, *next;
	size_t matching = 0;

	HASH_ITER (hh, inventory->hosts, entry, next) {
		struct host_list_fields fields = index_host_fields(&entry->host);

		if (filter_host(&fields, filter, page->exact))
			found[matching++] = entry;
	}
	qsort(found, matching, sizeof(*found), compare_hosts);
	*n = cut_page(matching, page, first);
	return found;
}

/* Borrowed from the host. */
static struct host_list_item
host_item(const struct host_entry *entry)
{
	return (struct host_list_item){
		.uuid = entry->host.uuid,
		.fields = index_host_fields(&entry->host),
		.maintenance = entry->host.maintenance,
		.watchdog = entry->host.watchdog,
		.skew = entry->skew,
	};
}

void
inventory_list_hosts(const struct inventory *inventory, const struct host_list_fields *filter,
    const struct list_page *page, struct host_list *ret)
{
	size_t first, n;
	_free_ struct host_entry **found =
	    find_hosts(inventory, filter, page ? page : &all, &first, &n);

	for (size_t i = first; i < first + n; i++) {
		struct host_list_item item = host_item(found[i]);

		model_copy(&host_list_item_model, model_append(&ret->items, &ret->n_items), &item);
	}
}

/* Many places change something of a host: so what was written is compared. */
static const struct index_text *
host_text(struct host_entry *entry)
{
	struct host_list_item item = host_item(entry);

	if (!entry->text.data || !model_equal(&host_list_item_model, &item, &entry->item)) {
		keep_text(&host_list_item_model, &item, &entry->text);
		model_clear(&host_list_item_model, &entry->item);
		model_copy(&host_list_item_model, &entry->item, &item);
	}
	return &entry->text;
}

char *
inventory_hosts_json(struct inventory *inventory, const struct host_list_fields *filter,
    const struct list_page *page, size_t *len)
{
	size_t first, n;
	_free_ struct host_entry **found =
	    find_hosts(inventory, filter, page ? page : &all, &first, &n);
	_free_ const struct index_text **texts = xcalloc(n + 1, sizeof(struct index_text *));

	for (size_t i = 0; i < n; i++)
		texts[i] = host_text(found[first + i]);
	return join(texts, n, len);
}

size_t
inventory_n_vms(const struct inventory *inventory)
{
	return HASH_COUNT(inventory->vms);
}

void
inventory_count(const struct inventory *inventory, const struct custom_field *only,
    struct inventory_counts *ret)
{
	struct vm_entry *vm, *next_vm;
	struct host_entry *host, *next_host;

	*ret = (struct inventory_counts){ 0 };
	HASH_ITER (hh, inventory->hosts, host, next_host) {
		ret->hosts[(unsigned int)host->host.cstate % INVENTORY_STATES]++;
		ret->hosts_maintenance += host->host.maintenance;
	}
	HASH_ITER (hh, inventory->vms, vm, next_vm) {
		unsigned int state = (unsigned int)told_runstate(vm) % INVENTORY_STATES;

		if (!is_there(&vm->view.vm, only))
			continue;
		ret->vms[state]++;
		if (vm->view.local)
			ret->local_vms[state]++;
	}
}
