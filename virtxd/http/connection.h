/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One connection, to those who reply on it. */
#ifndef HTTP_CONNECTION_H
#define HTTP_CONNECTION_H

#include "http/local_door.h"
#include "proto/certificate.h"

struct connection;
struct evhttp_request;

/* Who is at the other end of one that came through the UNIX socket; NULL for any other. */
const struct local_peer *connection_local_peer(const struct connection *connection);
/* Whether its listener lets nobody in who does not show who that is. */
bool connection_wants_identity(const struct connection *connection);
/* The uuid of the host whose certificate the client has; false where it has none. */
bool connection_host(const struct connection *connection, char ret[UUID_TEXT_SIZE]);
/* The names and addresses of that certificate, with commas between, "" for none; the caller frees.
 */
char *connection_names(const struct connection *connection);
/* From when on it is good, ms since the epoch; 0 for none. */
int64_t connection_begin(const struct connection *connection);
/* Whether it was signed before the host had been let in again so often. */
bool connection_is_before(const struct connection *connection, const char *host, int again);
/* The name of the user whose certificate the client has, and its fingerprint; false for none. */
bool connection_user(const struct connection *connection, char name[TOKEN_NAME_MAX + 1],
    char print[CERTIFICATE_PRINT_SIZE]);
/* A request has arrived whole. gone(arg) runs when the connection ends before connection_replied;
 * right after it evhttp frees the request, unless evhttp_request_get_connection() of it is NULL. */
void connection_busy(struct connection *connection, void (*gone)(void *arg), void *arg);
/* The handler has returned: unless it has replied, a client that hangs up is noticed from now on.
 */
void connection_watch(struct connection *connection);
/* The reply is about to be given to evhttp. */
void connection_replied(struct connection *connection, struct evhttp_request *req);
/* evhttp has the reply: what the socket takes of it leaves at the end of this round of the loop,
 * not once the next one finds that it does. */
void connection_send(struct connection *connection);
/* The reply begins, and comes in pieces. gone(arg) still runs where the connection ends before
 * connection_ended. */
void connection_streaming(struct connection *connection, struct evhttp_request *req);
/* The last piece is about to be given to evhttp. Where not whole, the connection is broken off. */
void connection_ended(struct connection *connection, bool whole);
/* The bytes of the reply that wait here. */
size_t connection_unsent(const struct connection *connection);
/* The connection is closed after this reply, while the client may still be sending. */
void connection_drain(struct connection *connection);

#endif
