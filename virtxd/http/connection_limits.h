/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How many connections a server has, and how long each may wait. */
#ifndef HTTP_CONNECTION_LIMITS_H
#define HTTP_CONNECTION_LIMITS_H

#include <stddef.h>

/* Of all connections, and of each. */
struct connections_limits {
	int max;	     /* connections */
	int request_timeout; /* seconds */
	int idle_timeout;    /* seconds */
	size_t max_input;    /* bytes of one request, with its headers */
};

#endif
