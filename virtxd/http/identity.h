/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who asks, and what they may do. */
#ifndef HTTP_IDENTITY_H
#define HTTP_IDENTITY_H

#include "http/guard.h"
#include "proto/routes.h"
#include "proto/uuid.h"
#include "state/caller.h"

struct connection;

/* The header by which a host states for whom it asks, see caller_write. */
#define IDENTITY_CALLER "X-VirtX-Caller"

struct identity {
	struct caller caller;
	bool host;			  /* of the cluster: it may say for whom it asks */
	bool judged;			  /* by the caller's role */
	char certificate[UUID_TEXT_SIZE]; /* the host whose certificate was shown, "" for none */
};

/* Why somebody was not let in, for the figures. */
enum identity_refusal {
	REFUSAL_MISSING, /* nothing was shown */
	REFUSAL_WRONG,	 /* it is not known, or has expired */
	REFUSAL_ROLE,	 /* it is not enough */
	REFUSALS,
};
extern const char *const identity_refusal_words[REFUSALS];

/* From where a request comes that came over a connection from the address client: the caller has
 * an address, which is also their name. By the path of the request it may have to be known who asks
 * even if the listener lets everybody in. */
void identity_begin(const struct connection *connection, const struct guard *guard,
    const struct headers *h, const char *client, const char *path, struct identity *ret);
/* And who has sent it, after identity_begin(): 0, or -1 with a 400, 401, 403 or 503. *ret_why is of
 * a 401 or 403. */
int identity_find(const struct connection *connection, const struct guard *guard,
    const struct headers *h, const char *client, struct identity *ret,
    enum identity_refusal *ret_why, struct error *err);
/* Whether they may ask for the route: 0, or -1 with a 403. */
int identity_check_role(
    const struct identity *identity, const struct route *route, struct error *err);

#endif
