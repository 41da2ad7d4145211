/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serf/gossip_outbox.h"

#include <string.h>
#include <sys/queue.h>

#include <uthash.h>

#include "proto/uuid.h"

/* A local VM, or one that ended and waits to be told. */
struct item {
	UT_hash_handle hh;
	char uuid[UUID_TEXT_SIZE];
	char host[UUID_TEXT_SIZE];
	bool told; /* the two below */
	int64_t ts_told;
	uint64_t content; /* all but the run state */
	bool waits;
	TAILQ_ENTRY(item) link; /* while it waits */
	int64_t since;
	bool gone;
	int64_t ts; /* of its end */
};

struct outbox {
	struct item *items;
	TAILQ_HEAD(, item) waiting;
	size_t n_waiting;
};

struct outbox *
outbox_new(void)
{
	struct outbox *outbox = xcalloc(1, sizeof(*outbox));

	TAILQ_INIT(&outbox->waiting);
	return outbox;
}

static void
stop_waiting(struct outbox *outbox, struct item *item)
{
	if (!item->waits)
		return;
	TAILQ_REMOVE(&outbox->waiting, item, link);
	outbox->n_waiting--;
	item->waits = false;
}

static void
drop(struct outbox *outbox, struct item *item)
{
	stop_waiting(outbox, item);
	HASH_DEL(outbox->items, item);
	free(item);
}

void
outbox_free(struct outbox *outbox)
{
	struct item *item, *next;

	if (!outbox)
		return;
	HASH_ITER (hh, outbox->items, item, next)
		drop(outbox, item);
	free(outbox);
}

static uint64_t
content_of(const struct vm_info *info)
{
	struct vm_info content = *info;

	content.runstate = VMRUNSTATE_NONE;
	return vm_info_digest(&content);
}

static enum news_kind
kind_of(const struct item *item, const struct vm_info *info)
{
	if (item->gone)
		return NEWS_EVENT;
	if (!item->told || item->content != content_of(info))
		return NEWS_INFO;
	return item->ts_told != info->ts ? NEWS_EVENT : NEWS_NONE;
}

static struct item *
find(const struct outbox *outbox, const char *uuid)
{
	struct item *item;

	HASH_FIND_STR(outbox->items, uuid, item);
	return item;
}

void
outbox_add(struct outbox *outbox, const struct inventory_vm *vm, bool gone, int64_t now)
{
	struct vm_info info = inventory_vm_info(vm);
	struct item *item = find(outbox, info.uuid);

	if (!vm->local) {
		if (item)
			drop(outbox, item);
		return;
	}
	if (!item) {
		item = xcalloc(1, sizeof(*item));
		memcpy(item->uuid, info.uuid, strnlen(info.uuid, UUID_TEXT_SIZE - 1));
		HASH_ADD_STR(outbox->items, uuid, item);
	}
	if (gone) {
		memcpy(item->host, info.host, strnlen(info.host, UUID_TEXT_SIZE - 1));
		item->ts = info.ts;
	}
	item->gone = gone;
	if (kind_of(item, &info) == NEWS_NONE) {
		stop_waiting(outbox, item);
	} else if (!item->waits) {
		item->waits = true;
		item->since = now;
		TAILQ_INSERT_TAIL(&outbox->waiting, item, link);
		outbox->n_waiting++;
	}
}

size_t
outbox_count(const struct outbox *outbox, int64_t *ret_since)
{
	const struct item *first = TAILQ_FIRST(&outbox->waiting);

	if (first && ret_since)
		*ret_since = first->since;
	return outbox->n_waiting;
}

enum news_kind
outbox_first(struct outbox *outbox, const struct inventory *inventory, struct vm_info *ret)
{
	const struct inventory_vm *view;
	struct item *item;

	while ((item = TAILQ_FIRST(&outbox->waiting))) {
		if (item->gone) {
			*ret = (struct vm_info){ .uuid = item->uuid,
				.host = item->host,
				.runstate = VMRUNSTATE_DELETED,
				.ts = item->ts };
			return NEWS_EVENT;
		}
		view = inventory_find_vm(inventory, item->uuid);
		if (view && view->local) {
			*ret = inventory_vm_info(view);
			return kind_of(item, ret);
		}
		drop(outbox, item);
	}
	return NEWS_NONE;
}

static void
set_told(struct item *item, const struct vm_info *info)
{
	item->told = true;
	item->ts_told = info->ts;
	item->content = content_of(info);
}

void
outbox_told(struct outbox *outbox, const struct vm_info *info)
{
	struct item *item = find(outbox, info->uuid);

	if (!item)
		return;
	if (item->gone) {
		drop(outbox, item);
		return;
	}
	set_told(item, info);
	stop_waiting(outbox, item);
}

void
outbox_tell_whole(struct outbox *outbox, const char *uuid)
{
	struct item *item = find(outbox, uuid);

	if (item)
		item->told = false;
}

static void
tell_one(void *arg, const struct inventory_vm *vm, bool def_known, bool disks_known)
{
	struct vm_info info = inventory_vm_info(vm);
	struct item *item = find(arg, info.uuid);

	if (item)
		set_told(item, &info);
}

void
outbox_forget(struct outbox *outbox)
{
	struct item *item, *next;

	HASH_ITER (hh, outbox->items, item, next) {
		if (item->gone) {
			drop(outbox, item);
			continue;
		}
		if (item->waits)
			item->told = false;
		stop_waiting(outbox, item);
	}
}

void
outbox_told_all(struct outbox *outbox, struct inventory *inventory)
{
	outbox_forget(outbox);
	inventory_each_local(inventory, tell_one, outbox);
}
