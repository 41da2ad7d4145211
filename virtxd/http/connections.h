/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The connections of a server: how many there may be, how long each may wait, and when they end.
 * Where there are no more, a new one takes the place of one that is stuck, of the client that has
 * the most, or is answered 503.
 * evhttp 2.1 has no hook for any of that.
 */
#ifndef HTTP_CONNECTIONS_H
#define HTTP_CONNECTIONS_H

#include "http/connection_limits.h"
#include "proto/util.h"

struct connection;
struct connections;
struct event_base;
struct evhttp;
struct evhttp_connection;
struct local_door;
struct tls;

struct connections_stats {
	unsigned int open;
	uint64_t refused;
	unsigned int handshakes;
	uint64_t handshakes_failed;
};

/*
 * accepting switches the listeners of a kind: off when enough have come at once, or while enough of
 * them have not ended their handshake, on after those, and twice a second in any case.
 */
struct connections *connections_new(struct event_base *base,
    const struct connections_limits *limits, connections_accepting accepting, void *arg);
/* Hooks into http (borrowed; freed before the connections are), once for each kind. */
void connections_serve(
    struct connections *connections, struct evhttp *http, enum connection_kind kind);
/* Has the certificate (borrowed) of CONNECTION_TLS. */
void connections_set_tls(struct connections *connections, struct tls *tls);
/* The door (borrowed) at whose gate the connections of CONNECTION_LOCAL were accepted. */
void connections_set_door(struct connections *connections, struct local_door *door);
/* After evhttp_free. */
void connections_free(struct connections *connections);
void connections_get_stats(const struct connections *connections, struct connections_stats *ret);

/* The connection that evhttp means; never NULL for one that a request came on. */
struct connection *connections_find(
    struct connections *connections, struct evhttp_connection *evcon);

#endif
