/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists of VMs as replies. Where many are asked for at once, some wait for the next turn of the
 * loop, which serves others in between. */
#ifndef API_LISTING_H
#define API_LISTING_H

#include "ops/request.h"
#include "proto/model.h"
#include "state/filter.h"
#include "state/inventory.h"

struct event_base;
struct listings;

/* Both are borrowed. */
struct listings *listings_new(struct event_base *base, struct inventory *inventory);
/* No request may be left. */
void listings_free(struct listings *listings);
/* Replies with the VMs that fit, as they are when its turn has come. options may be given away, and
 * are zero then; page and warning ("" for none) are borrowed for the call. */
void listing_reply(struct listings *listings, struct request *req, struct vm_list_options *options,
    const struct list_page *page, const char *warning);

#endif
