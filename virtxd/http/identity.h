/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who asks, and what they may do. */
#ifndef HTTP_IDENTITY_H
#define HTTP_IDENTITY_H

#include "http/headers.h"
#include "proto/routes.h"
#include "state/tokens.h"

struct connection;

#define IDENTITY_USER_MAX 64

struct identity {
	enum role role;
	char
	    user[IDENTITY_USER_MAX + 1]; /* "token:ci", "host:UUID", "uid:0"; "" for nobody known */
	bool host;			 /* of the cluster: it says for whom it asks */
};

/* Why somebody was not let in, for the figures. */
enum identity_refusal {
	REFUSAL_MISSING, /* nothing was shown */
	REFUSAL_WRONG,	 /* it is not known, or has expired */
	REFUSAL_ROLE,	 /* it is not enough */
	REFUSALS,
};
extern const char *const identity_refusal_words[REFUSALS];

/* Who has sent this over a connection whose listener wants to know: 0, or -1 with a 400, 401 or
 * 503. *ret_why is of a 401. */
int identity_find(const struct connection *connection, const struct headers *h,
    const struct tokens *tokens, struct identity *ret, enum identity_refusal *ret_why,
    struct error *err);
/* Whether they may ask for the route: 0, or -1 with a 403. */
int identity_check_role(
    const struct identity *identity, const struct route *route, struct error *err);

#endif
