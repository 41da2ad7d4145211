/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kinds of connections that a server has, how many, and how long each may wait. */
#ifndef HTTP_CONNECTION_LIMITS_H
#define HTTP_CONNECTION_LIMITS_H

#include <stdbool.h>
#include <stddef.h>

/* Each has an evhttp of its own, as that is all that tells them apart. */
enum connection_kind {
	CONNECTION_PLAIN,
	CONNECTION_TLS,
	CONNECTION_PLAIN_AUTH, /* who asks has to show who that is */
	CONNECTION_TLS_AUTH,
	CONNECTION_LOCAL, /* of the UNIX socket */
	CONNECTION_KINDS,
};

static inline bool
connection_kind_is_tls(enum connection_kind kind)
{
	return kind == CONNECTION_TLS || kind == CONNECTION_TLS_AUTH;
}

typedef void (*connections_accepting)(void *arg, enum connection_kind kind, bool on);

/* Of all connections, and of each. */
struct connections_limits {
	int max;	     /* connections */
	int request_timeout; /* seconds */
	int idle_timeout;    /* seconds */
	size_t max_input;    /* bytes of one request, with its headers */
};

#endif
