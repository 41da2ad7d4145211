/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads the events of other hosts into the inventory. */
#ifndef SERF_GOSSIP_INBOX_H
#define SERF_GOSSIP_INBOX_H

#include "proto/error.h"
#include "proto/uuid.h"
#include "state/inventory.h"

/* What an event has told. */
struct inbox_event {
	enum inventory_news news;
	bool is_host;		   /* it was an HI: its digest may be another one */
	bool has_trailer;	   /* that it had: the Go virtx sends none */
	char host[UUID_TEXT_SIZE]; /* that it names, "" for none */
	char vm[UUID_TEXT_SIZE];   /* the same */
};

/* False for an event of another name, which is not ours. err is set (400) where the payload is none
 * of that name; ret then tells of nothing new. */
bool inbox_take(struct inventory *inventory, const char *name, const void *payload, size_t len,
    struct inbox_event *ret, struct error *err);

#endif
