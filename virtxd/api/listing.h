/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists as replies: a long one is written in several turns of the loop, which serves others
 * meanwhile. */
#ifndef API_LISTING_H
#define API_LISTING_H

#include "api/request.h"

struct event_base;

/* Replies with the list, a model whose only field is an array; it is given away and zero
 * afterwards. warning is "" for none. */
void listing_reply(struct event_base *base, struct request *req, const struct model *model,
    void *list, const char *warning);

#endif
