/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The entry of the endpoints: one handler for each route. */
#ifndef API_API_H
#define API_API_H

#include "api/request.h"

struct api;
typedef void (*api_handler)(struct api *api, struct request *req);

/* Runs the handler of req->route, here or on the host that the request is for. It replies now or
 * later, once. */
void api_handle(struct api *api, struct request *req);

#endif
