/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which host a connection leads to. */
#ifndef HTTP_PEER_TO_H
#define HTTP_PEER_TO_H

#include <stdbool.h>
#include <stdint.h>

struct peer_to {
	const char *addr; /* an IP literal */
	uint16_t port;
	const char *host; /* its uuid; NULL where there is none, as there may be without TLS */
	bool tls;	  /* with a certificate of that host */
};

#endif
