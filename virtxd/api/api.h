/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The entry of the endpoints: one handler for each route. */
#ifndef API_API_H
#define API_API_H

#include "ops/request.h"

struct context;

/* Runs the handler of req->route, here or on the host that the request is for. It replies now or
 * later, once. */
void api_handle(struct context *ctx, struct request *req);
/* virtxd stops: what is under way goes on by itself, and whoever waits for it is told. After
 * jobs_free and peers_free. */
void api_stop(struct context *ctx);

#endif
