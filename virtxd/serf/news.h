/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which of this host's VMs have changed and are not told yet; what was told last is remembered, so
 * that only news is. Times are monotonic ms. */
#ifndef SERF_NEWS_H
#define SERF_NEWS_H

#include "proto/gossip.h"
#include "state/inventory.h"

struct news;

enum news_kind {
	NEWS_NONE,
	NEWS_EVENT, /* a VE tells it all */
	NEWS_INFO,  /* it takes a VI */
};

/* All that gossip tells of a local VM, borrowed from it. */
struct vm_info news_info(const struct inventory_vm *view);

struct news *news_new(void);
void news_free(struct news *news);
/* A VM has changed, or is gone; one on another host is forgotten. */
void news_add(struct news *news, const struct inventory_vm *vm, bool gone, int64_t now);
/* How many VMs wait; the time when the first was added goes to *ret_since. */
size_t news_count(const struct news *news, int64_t *ret_since);
/*
 * The VM that has waited longest, as it is now: ret is borrowed from the inventory, or from the
 * news, until the next change. NEWS_NONE when none waits any more.
 */
enum news_kind news_first(
    struct news *news, const struct inventory *inventory, struct vm_info *ret);
/* That one was told. */
void news_told(struct news *news, const struct vm_info *info);
/* Others may not know the VM any more: a VI tells it next. */
void news_tell_whole(struct news *news, const char *uuid);
/* All VMs were told, as they are now. */
void news_told_all(struct news *news, struct inventory *inventory);
/* None can be told apart: nothing waits any more, and what changes next is told whole. */
void news_forget(struct news *news);

#endif
