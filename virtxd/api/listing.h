/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists of VMs as replies: a long one is written in several turns of the loop, which serves others
 * meanwhile, and a few at a time are held in memory, whoever asks for how many. */
#ifndef API_LISTING_H
#define API_LISTING_H

#include "ops/request.h"
#include "proto/model.h"
#include "state/filter.h"
#include "state/inventory.h"

struct event_base;
struct listings;

struct listings *listings_new(struct event_base *base, const struct inventory *inventory);
/* No request may be left. */
void listings_free(struct listings *listings);
/* Replies with the VMs that fit, as they are when its turn has come. options are given away and
 * zero afterwards; warning is "" for none. */
void listing_reply(struct listings *listings, struct request *req, struct vm_list_options *options,
    const struct list_page *page, const char *warning);

#endif
