/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists of VMs as replies. Where many are asked for at once, some wait for the next turn of the
 * loop, which serves others in between. */
#ifndef API_LIST_REPLY_H
#define API_LIST_REPLY_H

#include "ops/request.h"
#include "proto/model.h"
#include "state/filter.h"
#include "state/inventory.h"

struct event_base;
struct list_replies;

/* Both are borrowed. */
struct list_replies *list_replies_new(struct event_base *base, struct inventory *inventory);
/* No request may be left. */
void list_replies_free(struct list_replies *list_replies);
/* Replies with the VMs that fit, as they are when its turn has come. options may be given away, and
 * are zero then; page and warning ("" for none) are borrowed for the call. */
void list_reply_send(struct list_replies *list_replies, struct request *req,
    struct vm_list_options *options, const struct list_page *page, const char *warning);

#endif
