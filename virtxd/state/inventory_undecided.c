/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMs of which a host still finds out whether they are its own: they are no VMs of its yet, and who
 * is asked for them must not say that there are none. */
#include <string.h>

#include "state/inventory_index.h"

/* Its part of the host's digest, as if there were nothing of it but its uuid: another set of them
 * is another digest, which the others ask about. */
static uint64_t
part_of(const char *uuid)
{
	const struct vm_info info = { .uuid = (char *)uuid };

	return vm_info_digest(&info);
}

static void
drop(struct host_entry *host, struct undecided *one)
{
	host->digest -= part_of(one->uuid);
	HASH_DEL(host->undecided, one);
	free(one);
}

static void
add(const struct inventory *inventory, struct host_entry *host, const char *text)
{
	const struct vm_entry *entry;
	struct undecided *one;
	char uuid[UUID_TEXT_SIZE];

	if (uuid_normalize(text, uuid) < 0 || HASH_COUNT(host->undecided) >= INVENTORY_HOST_VMS)
		return;
	entry = index_find_vm(inventory, uuid);
	HASH_FIND_STR(host->undecided, uuid, one);
	/* It was told as the host's since. */
	if (one || (entry && entry->host == host))
		return;
	one = xcalloc(1, sizeof(*one));
	memcpy(one->uuid, uuid, sizeof(one->uuid));
	HASH_ADD_STR(host->undecided, uuid, one);
	host->digest += part_of(one->uuid);
}

void
index_decide(struct host_entry *host, const char *uuid)
{
	struct undecided *one;

	HASH_FIND_STR(host->undecided, uuid, one);
	if (one)
		drop(host, one);
}

bool
index_is_undecided(const struct host_entry *host, const char *uuid)
{
	const struct undecided *one;

	HASH_FIND_STR(host->undecided, uuid, one);
	return one;
}

void
index_clear_undecided(struct host_entry *host)
{
	struct undecided *one;

	while ((one = host->undecided))
		drop(host, one);
}

void
index_set_undecided(
    struct inventory *inventory, struct host_entry *host, const struct undecided_vm *vms, size_t n)
{
	index_clear_undecided(host);
	for (size_t i = 0; i < n; i++)
		add(inventory, host, vms[i].uuid);
}

void
inventory_set_undecided(struct inventory *inventory, const struct undecided_vm *vms, size_t n)
{
	struct host_entry *self = index_find_host(inventory, inventory->self);
	uint64_t before = self ? self->digest : 0;

	if (!self)
		return;
	index_set_undecided(inventory, self, vms, n);
	for (size_t i = 0; self->digest != before && i < inventory->n_observers; i++) {
		const struct observer *o = &inventory->observers[i];

		if (o->observer->undecided)
			o->observer->undecided(o->arg);
	}
}

uint64_t
inventory_undecided_digest(const struct inventory *inventory)
{
	const struct host_entry *self = index_find_host(inventory, inventory->self);
	const struct undecided *one, *next;
	uint64_t sum = 0;

	if (!self)
		return 0;
	HASH_ITER (hh, self->undecided, one, next)
		sum += part_of(one->uuid);
	return sum;
}

const char *
inventory_find_undecided(const struct inventory *inventory, const char *uuid)
{
	struct host_entry *host, *next;
	struct undecided *one;

	HASH_ITER (hh, inventory->hosts, host, next) {
		HASH_FIND_STR(host->undecided, str_or_empty(uuid), one);
		if (one)
			return host->uuid;
	}
	return NULL;
}

void
index_get_undecided(const struct host_entry *host, struct vm_info_list *ret)
{
	const struct undecided *one, *next;

	ret->undecided = xcalloc(HASH_COUNT(host->undecided) + 1, sizeof(*ret->undecided));
	HASH_ITER (hh, host->undecided, one, next)
		ret->undecided[ret->n_undecided++].uuid = xstrdup(one->uuid);
}
