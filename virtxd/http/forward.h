/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests that another host has to answer: passed on to it, and its answer back. */
#ifndef HTTP_FORWARD_H
#define HTTP_FORWARD_H

#include "ops/request.h"
#include "state/config.h"

struct forwarder;
struct inventory;
struct operations;
struct peers;

/* Where a host's API is. */
struct forward_address {
	char addr[46]; /* an IP literal */
	uint16_t port;
	bool tls;
};

/* False when nobody knows. */
typedef bool (*forward_find)(void *arg, const char *host, struct forward_address *ret);

/* All are borrowed and outlive the forwarder. */
struct forwarder *forwarder_new(struct peers *peers, const struct config *config,
    struct inventory *inventory, struct operations *operations, forward_find find, void *arg);
/* After the HTTP server, which drops the requests that are under way. */
void forwarder_free(struct forwarder *forwarder);

/* Has this host (a uuid) answer req, which came over HTTP. Replies in every case: 502 when the host
 * does not. */
void forward_request(struct forwarder *forwarder, struct request *req, const char *host);
/* The same with headers of its own; who asked for it sees the answer first. more is copied, but for
 * its arg. */
void forward_chosen(struct forwarder *forwarder, struct request *req, const char *host,
    const struct request_forward *more);

#endif
