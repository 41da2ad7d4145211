/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connections to other hosts, each for one request at a time, and kept for a while after it. */
#ifndef HTTP_PEER_POOL_H
#define HTTP_PEER_POOL_H

#include <event2/http.h>

#include "http/peer_to.h"
#include "proto/util.h"

struct event_base;
struct peer_connection;
struct peer_pool;
struct tls;

struct peer_pool *peer_pool_new(struct event_base *base);
/* Where new connections shall come from, "" for where the kernel likes. */
void peer_pool_set_source(struct peer_pool *pool, const char *addr);
void peer_pool_set_tls(struct peer_pool *pool, struct tls *tls);
/* All must have been given back. */
void peer_pool_free(struct peer_pool *pool);
void peer_pool_get_counts(const struct peer_pool *pool, unsigned int *open, unsigned int *idle);

struct peer_connection_ops {
	/* A new connection does not stand in time. */
	void (*late)(struct peer_connection *conn, void *call);
	/* More has come in than is held of one answer, or of all from this address. */
	void (*flood)(struct peer_connection *conn, void *call);
};

/* A kept connection to this host, or (always where fresh) a new one, which has connect_ms to
 * stand. ops is borrowed. */
struct peer_connection *peer_connection_get(struct peer_pool *pool, const struct peer_to *to,
    bool fresh, int connect_ms, const struct peer_connection_ops *ops, void *call);
/* Sends a request (given away) whose callbacks have the connection as argument; -1 with errno. */
int peer_connection_send(struct peer_connection *conn, struct evhttp_request *http,
    enum evhttp_cmd_type type, const char *path, size_t answer_max);
/* Bytes of the answer's body from here on. */
void peer_connection_limit(struct peer_connection *conn, size_t answer_max);
/* Bytes of the answer that its owner has taken, and keeps until it is whole. */
void peer_connection_hold(struct peer_connection *conn, size_t len);
/* evhttp's request is done with: for its last callback. */
void peer_connection_answered(struct peer_connection *conn);
/* Whether something came behind the answer. */
bool peer_connection_has_more(const struct peer_connection *conn);
/* Whose it is; NULL once it was given back, and while wire_send() is under way, which then tells of
 * the failure itself: evhttp's callbacks are of no concern then. */
void *peer_connection_call(const struct peer_connection *conn);
/* It has carried a request before this one. */
bool peer_connection_was_used(const struct peer_connection *conn);
bool peer_connection_is_connected(const struct peer_connection *conn);
/* Why it could not be connected. */
int peer_connection_errno(const struct peer_connection *conn);
/* Why TLS would not have it so, "" where it has nothing to say. */
const char *peer_connection_why(struct peer_connection *conn);
/* Switches reading on or off. */
void peer_connection_read(struct peer_connection *conn, bool on);
/* Give it back: to be kept, or to be closed. Both may be called in evhttp's callbacks. */
void peer_connection_done(struct peer_connection *conn);
void peer_connection_drop(struct peer_connection *conn);

#endif
