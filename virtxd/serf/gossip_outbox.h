/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which of this host's VMs have changed and are not told yet; what was told last is remembered, so
 * that only news is. Times are monotonic ms. */
#ifndef SERF_GOSSIP_OUTBOX_H
#define SERF_GOSSIP_OUTBOX_H

#include "proto/gossip.h"
#include "state/inventory.h"

struct outbox;

enum news_kind {
	NEWS_NONE,
	NEWS_EVENT, /* a VE tells it all */
	NEWS_INFO,  /* it takes a VI */
};

struct outbox *outbox_new(void);
void outbox_free(struct outbox *outbox);
/* A VM has changed, or is gone; one on another host is forgotten. */
void outbox_add(struct outbox *outbox, const struct inventory_vm *vm, bool gone, int64_t now);
/* How many VMs wait; the time when the first was added goes to *ret_since. */
size_t outbox_count(const struct outbox *outbox, int64_t *ret_since);
/*
 * The VM that has waited longest, as it is now: ret is borrowed from the inventory, or from the
 * outbox, until the next change. NEWS_NONE when none waits any more.
 */
enum news_kind outbox_first(
    struct outbox *outbox, const struct inventory *inventory, struct vm_info *ret);
/* That one was told. */
void outbox_told(struct outbox *outbox, const struct vm_info *info);
/* Others may not know the VM any more: a VI tells it next. */
void outbox_tell_whole(struct outbox *outbox, const char *uuid);
/* All VMs were told, as they are now. */
void outbox_told_all(struct outbox *outbox, struct inventory *inventory);
/* None can be told apart: nothing waits any more, and what changes next is told whole. */
void outbox_forget(struct outbox *outbox);

#endif
