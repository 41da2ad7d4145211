/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How evhttp gets to a server: by TCP, by TLS over it, or by a UNIX socket. */
#ifndef VIRTX_DIAL_H
#define VIRTX_DIAL_H

#include "virtx/server.h"

struct event_base;
struct evhttp_connection;

struct dial {
	struct evhttp_connection *connection;
	int socket; /* connected to the UNIX socket, and not yet evhttp's; -1 for none */
	int held;   /* keeps a port for itself; -1 for none */
	const struct server *server;
	char why[200]; /* TLS would not have it so; "" for no such reason */
};

/* A connection that is going to be made to this address of the server (borrowed). 0 or -errno; why
 * may say more. */
int dial_open(
    struct dial *dial, struct event_base *base, const struct server *server, const char *address);
/* evhttp has begun to connect. */
void dial_begun(struct dial *dial);
/* It does not stand: why becomes the reason, if there is one. */
void dial_failed(struct dial *dial);
void dial_close(struct dial *dial);

#endif
