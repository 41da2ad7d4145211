/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One handler for each route; each is a file of its own, or one of a pair. */
#ifndef API_HANDLERS_H
#define API_HANDLERS_H

#include "ops/request.h"

struct context;

typedef void (*api_handler)(struct context *ctx, struct request *req);
/* By route_id: each route has its own. */
extern const api_handler api_handlers[ROUTE_N];

#define HANDLER(id, handler) void handler(struct context *ctx, struct request *req);
ROUTES(HANDLER)

#endif
