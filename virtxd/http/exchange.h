/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One request with its reply: what stands between evhttp and the handlers. */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include "api/metrics.h"
#include "http/guard.h"
#include "http/identity.h"
#include "ops/request.h"

struct connection;
struct evhttp_request;
struct evkeyvalq;

typedef void (*http_handler)(void *arg, struct request *req);

/* What was answered, by route (ROUTE_N: none) and the first digit of the status. */
struct exchange_counts {
	uint64_t requests[ROUTE_N + 1][METRICS_CLASSES];
	uint64_t refusals[REFUSALS]; /* of who asked, by why */
};

/* Takes a request that has arrived whole: checks and routes it, and answers it itself or gives it
 * to the handler. guard and counts, where its reply is counted, are borrowed and must stay for as
 * long as the connection. */
void exchange_start(struct evhttp_request *http, struct connection *connection,
    const struct guard *guard, struct exchange_counts *counts, http_handler handler, void *arg);

/* A request as it came, borrowed. */
struct exchange_source {
	enum method method;
	const char *path; /* raw, without the query */
	const struct evkeyvalq *headers;
};
/* req is one that a handler has, and has not replied to; false once the client has hung up. */
bool exchange_get_source(struct request *req, struct exchange_source *ret);

#endif
