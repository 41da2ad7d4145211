/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The inventory as a whole: its making, who observes it, and what is found in it. */
#include "state/inventory.h"

#include <assert.h>

#include "state/inventory_index.h"
#include "state/reservation.h"

struct inventory *
inventory_new(void)
{
	struct inventory *inventory = xcalloc(1, sizeof(*inventory));

	TAILQ_INIT(&inventory->reservations);
	LIST_INIT(&inventory->claimed);
	return inventory;
}

void
inventory_free(struct inventory *inventory)
{
	if (!inventory)
		return;
	reservations_clear(inventory);
	index_clear(inventory);
	free(inventory->loss);
	free(inventory->storage);
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

const struct inventory_vm *
inventory_find_vm(const struct inventory *inventory, const char *uuid)
{
	const struct vm_entry *entry = index_find_vm(inventory, uuid);

	return entry ? &entry->view : NULL;
}

const struct host *
inventory_find_host(const struct inventory *inventory, const char *uuid)
{
	const struct host_entry *entry = index_find_host(inventory, uuid);

	return entry ? &entry->host : NULL;
}

bool
inventory_get_used(const struct inventory *inventory, const char *uuid, struct inventory_used *ret)
{
	const struct vm_entry *entry = index_find_vm(inventory, uuid);

	if (!entry || !entry->view.local || !entry->last.at)
		return false;
	*ret = (struct inventory_used){
		.cpu_ns = entry->last.cpu_ns,
		.rss = entry->last.rss,
		.rx_bytes = entry->last.rx_bytes,
		.tx_bytes = entry->last.tx_bytes,
	};
	return true;
}

int64_t
inventory_host_cpu_ns(const struct inventory *inventory)
{
	return inventory->last.cpu_ns;
}
