/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/uuid_set.h"

#include <string.h>

#include <uthash.h>

#include "proto/uuid.h"

struct uuid_entry {
	UT_hash_handle hh;
	char uuid[UUID_TEXT_SIZE];
};

void
uuid_set_add(struct uuid_set *set, const char *uuid)
{
	struct uuid_entry *entry;
	char text[UUID_TEXT_SIZE];

	if (uuid_normalize(uuid, text) < 0)
		return;
	HASH_FIND_STR(set->entries, text, entry);
	if (entry)
		return;
	entry = xcalloc(1, sizeof(*entry));
	memcpy(entry->uuid, text, sizeof(text));
	HASH_ADD_STR(set->entries, uuid, entry);
}

static struct uuid_entry *
find(const struct uuid_set *set, const char *uuid)
{
	struct uuid_entry *entry;
	char text[UUID_TEXT_SIZE];

	if (uuid_normalize(uuid, text) < 0)
		return NULL;
	HASH_FIND_STR(set->entries, text, entry);
	return entry;
}

bool
uuid_set_has(const struct uuid_set *set, const char *uuid)
{
	return find(set, uuid) != NULL;
}

void
uuid_set_remove(struct uuid_set *set, const char *uuid)
{
	struct uuid_entry *entry = find(set, uuid);

	if (!entry)
		return;
	HASH_DEL(set->entries, entry);
	free(entry);
}

void
uuid_set_each(const struct uuid_set *set, void (*each)(void *arg, const char *uuid), void *arg)
{
	const struct uuid_entry *entry, *next;

	HASH_ITER (hh, set->entries, entry, next)
		each(arg, entry->uuid);
}

bool
uuid_set_is_empty(const struct uuid_set *set)
{
	return !set->entries;
}

bool
uuid_set_take(struct uuid_set *set, char uuid[37])
{
	struct uuid_entry *entry = set->entries;

	if (!entry)
		return false;
	memcpy(uuid, entry->uuid, UUID_TEXT_SIZE);
	HASH_DEL(set->entries, entry);
	free(entry);
	return true;
}

void
uuid_set_clear(struct uuid_set *set)
{
	char uuid[UUID_TEXT_SIZE];

	while (uuid_set_take(set, uuid))
		;
}
