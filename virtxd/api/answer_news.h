/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a request that was forwarded has changed: told with its answer, so that the client's next
 * request to the same host sees it. */
#ifndef API_ANSWER_NEWS_H
#define API_ANSWER_NEWS_H

#include "ops/request.h"

struct context;
struct inventory;

/* Has the answer of a request that was forwarded to this host carry the news. */
void answer_news_attach(struct context *ctx, struct request *req);
/* Takes the header's value in an answer of that host, which was asked after the mark. What cannot
 * be read is passed over. */
void answer_news_take(
    struct inventory *inventory, uint64_t mark, const char *host, const char *value);

#endif
