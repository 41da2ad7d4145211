/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/events.h"

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

static void
drop_first(struct events *events)
{
	struct event_item *item = slot(events, events->first++);

	events->bytes -= item->len;
	free(steal_ptr(item->data));
}

/* *data is taken, and becomes NULL. */
static void
add_text(struct events *events, const char *type, char **data, size_t len)
{
	while (events->last + 1 - events->first >= EVENTS_MAX ||
	       (events->first <= events->last && events->bytes + len > EVENTS_BYTES_MAX))
		drop_first(events);
	events->last++;
	events->bytes += len;
	*slot(events, events->last) = (struct event_item){
		.id = events->last, .type = type, .data = steal_ptr(*data), .len = len
	};
	if (events->added)
		events->added(events->arg);
}

static void
add(struct events *events, const char *type, const struct model *model, const void *obj)
{
	size_t len;
	char *data = json_encode(model, obj, &len);

	add_text(events, type, &data, len);
}

void
events_add_reset(struct events *events)
{
	char *data = xstrdup("{}");

	add_text(events, "reset", &data, 2);
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

	add(arg, "vm", &vm_list_item_model, &item);
}

static void
on_host(void *arg, const struct host *host)
{
	struct host_list_item item = { .uuid = host->uuid,
		.fields = index_host_fields(host),
		.maintenance = host->maintenance,
		.watchdog = host->watchdog };

	add(arg, "host", &host_list_item_model, &item);
}

static const struct inventory_observer observer = { on_vm, on_host };

static void
on_operation(void *arg, const struct operation *operation)
{
	add(arg, "operation", &operation_model, operation);
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

void
events_observe(struct events *events, void (*added)(void *arg), void *arg)
{
	events->added = added;
	events->arg = arg;
}
