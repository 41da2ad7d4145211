/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serf/news.h"

#include <string.h>
#include <sys/queue.h>

#include <uthash.h>

#include "proto/uuid.h"
#include "proto/vmdef.h"

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

struct news {
	struct item *items;
	TAILQ_HEAD(, item) waiting;
	size_t n_waiting;
};

struct news *
news_new(void)
{
	struct news *news = xcalloc(1, sizeof(*news));

	TAILQ_INIT(&news->waiting);
	return news;
}

static void
stop_waiting(struct news *news, struct item *item)
{
	if (!item->waits)
		return;
	TAILQ_REMOVE(&news->waiting, item, link);
	news->n_waiting--;
	item->waits = false;
}

static void
drop(struct news *news, struct item *item)
{
	stop_waiting(news, item);
	HASH_DEL(news->items, item);
	free(item);
}

void
news_free(struct news *news)
{
	struct item *item, *next;

	if (!news)
		return;
	HASH_ITER (hh, news->items, item, next)
		drop(news, item);
	free(news);
}

struct vm_info
news_info(const struct inventory_vm *view)
{
	const struct vm *vm = &view->vm;

	return (struct vm_info){
		.uuid = vm->uuid,
		.host = vm->runinfo.host,
		.runstate = vm->runinfo.runstate,
		.ts = vm->ts,
		.name = vm->def.name,
		.vlanid = vm->def.vlanid,
		.custom = vm->def.custom,
		.n_custom = vm->def.n_custom,
		.vcpus = (int16_t)vmdef_vcpus(&vm->def),
	};
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
find(const struct news *news, const char *uuid)
{
	struct item *item;

	HASH_FIND_STR(news->items, uuid, item);
	return item;
}

void
news_add(struct news *news, const struct inventory_vm *vm, bool gone, int64_t now)
{
	struct vm_info info = news_info(vm);
	struct item *item = find(news, info.uuid);

	if (!vm->local) {
		if (item)
			drop(news, item);
		return;
	}
	if (!item) {
		item = xcalloc(1, sizeof(*item));
		memcpy(item->uuid, info.uuid, strnlen(info.uuid, UUID_TEXT_SIZE - 1));
		HASH_ADD_STR(news->items, uuid, item);
	}
	if (gone) {
		memcpy(item->host, info.host, strnlen(info.host, UUID_TEXT_SIZE - 1));
		item->ts = info.ts;
	}
	item->gone = gone;
	if (kind_of(item, &info) == NEWS_NONE) {
		stop_waiting(news, item);
	} else if (!item->waits) {
		item->waits = true;
		item->since = now;
		TAILQ_INSERT_TAIL(&news->waiting, item, link);
		news->n_waiting++;
	}
}

size_t
news_count(const struct news *news, int64_t *ret_since)
{
	const struct item *first = TAILQ_FIRST(&news->waiting);

	if (first && ret_since)
		*ret_since = first->since;
	return news->n_waiting;
}

enum news_kind
news_first(struct news *news, const struct inventory *inventory, struct vm_info *ret)
{
	const struct inventory_vm *view;
	struct item *item;

	while ((item = TAILQ_FIRST(&news->waiting))) {
		if (item->gone) {
			*ret = (struct vm_info){ .uuid = item->uuid,
				.host = item->host,
				.runstate = VMRUNSTATE_DELETED,
				.ts = item->ts };
			return NEWS_EVENT;
		}
		view = inventory_find_vm(inventory, item->uuid);
		if (view && view->local) {
			*ret = news_info(view);
			return kind_of(item, ret);
		}
		drop(news, item);
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
news_told(struct news *news, const struct vm_info *info)
{
	struct item *item = find(news, info->uuid);

	if (!item)
		return;
	if (item->gone) {
		drop(news, item);
		return;
	}
	set_told(item, info);
	stop_waiting(news, item);
}

void
news_tell_whole(struct news *news, const char *uuid)
{
	struct item *item = find(news, uuid);

	if (item)
		item->told = false;
}

static void
tell_one(void *arg, const struct inventory_vm *vm, bool def_known, bool disks_known)
{
	struct vm_info info = news_info(vm);
	struct item *item = find(arg, info.uuid);

	if (item)
		set_told(item, &info);
}

void
news_forget(struct news *news)
{
	struct item *item, *next;

	HASH_ITER (hh, news->items, item, next) {
		if (item->gone) {
			drop(news, item);
			continue;
		}
		if (item->waits)
			item->told = false;
		stop_waiting(news, item);
	}
}

void
news_told_all(struct news *news, struct inventory *inventory)
{
	news_forget(news);
	inventory_each_local(inventory, tell_one, news);
}
