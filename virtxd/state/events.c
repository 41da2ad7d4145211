/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/events.h"

#include <string.h>

#include "proto/json.h"
#include "state/inventory_index.h"

struct events {
	struct inventory *inventory;
	struct operations *operations;
	uint64_t epoch;
	uint64_t first, last; /* numbers of those that are kept */
	size_t bytes;
	struct event_item ring[EVENTS_MAX]; /* by number */
	void (*added)(void *arg);
	void *arg;
};

static struct event_item *
slot(struct events *events, uint64_t id)
{
	return &events->ring[id % EVENTS_MAX];
}

/* What a VM had of custom fields, as a definition with nothing else; NULL for none. */
static struct vmdef *
keep_custom(const struct vmdef *def)
{
	const struct vmdef only = { .custom = def->custom, .n_custom = def->n_custom };
	struct vmdef *kept;

	if (def->n_custom == 0)
		return NULL;
	kept = xcalloc(1, sizeof(*kept));
	model_copy(&vmdef_model, kept, &only);
	return kept;
}

/* The bytes that it holds. */
static size_t
size_of(const struct event_item *item)
{
	size_t n = item->len;

	if (!item->custom)
		return n;
	n += sizeof(*item->custom);
	for (size_t i = 0; i < item->custom->n_custom; i++)
		n += sizeof(struct custom_field) +
		     strlen(str_or_empty(item->custom->custom[i].name)) +
		     strlen(str_or_empty(item->custom->custom[i].value));
	return n;
}

static void
drop_first(struct events *events)
{
	struct event_item *item = slot(events, events->first++);

	events->bytes -= size_of(item);
	if (item->custom)
		model_clear(&vmdef_model, item->custom);
	free(item->custom);
	free(item->vm);
	free(item->user);
	free(item->data);
	*item = (struct event_item){ 0 };
}

/* What it holds is taken. */
static void
add_item(struct events *events, struct event_item *item)
{
	size_t size = size_of(item);

	while (events->last + 1 - events->first >= EVENTS_MAX ||
	       (events->first <= events->last && events->bytes + size > EVENTS_BYTES_MAX))
		drop_first(events);
	item->id = ++events->last;
	events->bytes += size;
	*slot(events, item->id) = *item;
	if (events->added)
		events->added(events->arg);
}

void
events_add_reset(struct events *events)
{
	struct event_item reset = { .type = "reset", .data = xstrdup("{}"), .len = 2 };

	add_item(events, &reset);
}

static void
on_vm(void *arg, const struct inventory_vm *view, bool gone)
{
	const struct vm *vm = &view->vm;
	struct vm_list_item item = {
		.uuid = vm->uuid,
		.fields = {
			.name = vm->def.name,
			.host = vm->runinfo.host,
			.runstate = gone ? VMRUNSTATE_DELETED : vm->runinfo.runstate,
			.vlanid = vm->def.vlanid,
			.ts = vm->ts,
		},
		.reason = gone ? NULL : vm->runinfo.reason,
	};
	struct event_item event = { .type = "vm" };

	event.data = json_encode(&vm_list_item_model, &item, &event.len);
	event.custom = keep_custom(&vm->def);
	add_item(arg, &event);
}

static void
on_host(void *arg, const struct host *host)
{
	struct host_list_item item = { .uuid = host->uuid,
		.fields = index_host_fields(host),
		.maintenance = host->maintenance,
		.watchdog = host->watchdog };
	struct event_item event = { .type = "host" };

	event.data = json_encode(&host_list_item_model, &item, &event.len);
	add_item(arg, &event);
}

static const struct inventory_observer observer = { .vm = on_vm, .host = on_host };

static void
on_operation(void *arg, const struct operation *operation)
{
	struct event_item event = {
		.type = "operation", .vm = xstrdup(operation->vm), .user = xstrdup(operation->user)
	};

	event.data = json_encode(&operation_model, operation, &event.len);
	add_item(arg, &event);
}

void
events_add_operation(struct events *events, const struct operation *operation)
{
	on_operation(events, operation);
}

struct events *
events_new(struct inventory *inventory, struct operations *operations)
{
	struct events *events = xcalloc(1, sizeof(*events));

	events->inventory = inventory;
	events->operations = operations;
	events->epoch = (uint64_t)now_ms();
	events->first = 1;
	inventory_observe(inventory, &observer, events);
	operations_observe(operations, on_operation, events);
	return events;
}

void
events_free(struct events *events)
{
	if (!events)
		return;
	inventory_unobserve(events->inventory, &observer, events);
	operations_observe(events->operations, NULL, NULL);
	while (events->first <= events->last)
		drop_first(events);
	free(events);
}

uint64_t
events_epoch(const struct events *events)
{
	return events->epoch;
}

uint64_t
events_last(const struct events *events)
{
	return events->last;
}

uint64_t
events_first(const struct events *events)
{
	return events->first;
}

const struct event_item *
events_get(const struct events *events, uint64_t id)
{
	return id >= events->first && id <= events->last ? &events->ring[id % EVENTS_MAX] : NULL;
}

bool
events_shows(
    const struct events *events, const struct event_item *item, const struct caller *caller)
{
	static const struct vmdef none;
	const struct inventory_vm *view;

	if (str_equal(item->type, "vm"))
		return caller_sees(caller, item->custom ? item->custom : &none);
	if (!str_equal(item->type, "operation") || !caller_is_limited(caller) ||
	    str_equal(item->user, caller->user))
		return true;
	view = inventory_find_vm(events->inventory, str_or_empty(item->vm));
	return view && caller_sees(caller, &view->vm.def);
}

void
events_observe(struct events *events, void (*added)(void *arg), void *arg)
{
	events->added = added;
	events->arg = arg;
}
