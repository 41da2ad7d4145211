/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The listeners: evhttp with its limits, and each request handed to the handler once it is whole.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "http/exchange.h"
#include "state/config.h"

struct event_base;
struct http_server;
struct tls;

struct http_stats {
	unsigned int connections;
	uint64_t requests, refused; /* refused: connections over the bound */
	unsigned int handshakes;    /* of TLS, under way */
	uint64_t handshakes_failed;
	/* Replies by route (ROUTE_N: none) and class; of the server. */
	const uint64_t (*replies)[METRICS_CLASSES];
	const uint64_t *refusals; /* of who asked, by identity_refusal; of the server */
};

/* Binds all listeners of config (borrowed, must outlive the server) or fails naming the one. */
struct http_server *http_server_new(struct event_base *base, const struct config *config,
    http_handler handler, void *arg, struct error *err);
/* The certificate (borrowed) for the listeners that want one; before the loop runs. */
void http_server_set_tls(struct http_server *server, struct tls *tls);
/* Serves on a UNIX socket, too, which is for root and the group virtx. */
int http_server_open_socket(struct http_server *server, const char *path, struct error *err);
/* Closes listeners and connections; requests under way are dropped without a reply, and what is
 * replied to them later has no effect. Not from within a handler. */
void http_server_free(struct http_server *server);
/* By what names and addresses the hosts of the cluster are known: requests for these names are
 * taken, too, and what only hosts may do is asked from these addresses. */
void http_server_set_hosts(
    struct http_server *server, guard_is_host is_host, guard_who who, void *arg);
/* By which uuids they are known, for those that show a certificate; arg is that of set_hosts. */
void http_server_set_members(struct http_server *server, guard_who host);
/* The tokens (borrowed) by which it is known who asks where a listener wants that. */
void http_server_set_tokens(struct http_server *server, const struct tokens *tokens);
/* Likewise those by which hosts may join. */
void http_server_set_joins(struct http_server *server, const struct joins *joins);
void http_server_get_stats(const struct http_server *server, struct http_stats *ret);
/* The port of the listener with this index in config, for one that was bound to port 0; 0 past the
 * last. */
uint16_t http_server_port(const struct http_server *server, size_t index);

#endif
