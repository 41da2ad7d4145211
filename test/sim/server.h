/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Takes the place of the HTTP server: requests that have arrived at a host. */
#ifndef SIM_SERVER_H
#define SIM_SERVER_H

#include "http/answer.h"
#include "proto/routes.h"

/* What comes with a request of another host. */
struct server_call {
	enum method method;
	const char *path; /* with the query */
	const char *body;
	size_t len;
	const struct request_header *headers;
	size_t n_headers;
	const char *client; /* the address */
};
/* The reply; NULL where none comes: the host has died, or the client has hung up. */
typedef void (*server_answered)(void *arg, const struct peer_answer *answer);

/* All is copied; answered is called once, maybe at once. Returns an id to hang up by. */
uint64_t server_request(
    int host, const struct server_call *call, server_answered answered, void *arg);
/* The client is gone. */
void server_hang_up(uint64_t id);
/* virtxd of this host ends: nobody is answered by it any more. */
void server_drop(int host);
void server_reset(void);
size_t server_count(void);

#endif
