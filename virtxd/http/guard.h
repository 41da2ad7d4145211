/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a page of another site must not do through the browser of somebody who reaches this port. A
 * browser sends what such a page asks for as text/plain, as a form or without a type; it names the
 * page's origin; and where the page's own name was made to lead here, it sends that as Host.
 *
 * And what only hosts of the cluster may do: ask for the routes that are theirs, and say for whom
 * they ask. They are known by the address from which they come.
 */
#ifndef HTTP_GUARD_H
#define HTTP_GUARD_H

#include "http/headers.h"
#include "proto/routes.h"
#include "state/config.h"

struct slowdown;
struct joins;
struct tokens;

/* Is this the name of a host of the cluster? */
typedef bool (*guard_is_host)(void *arg, const char *name);

enum guard_who {
	GUARD_STRANGER,
	GUARD_MEMBER,  /* an active one */
	GUARD_UNKNOWN, /* serf has not told of the members */
};
/* Who is at this address, or has this uuid. For GUARD_UNKNOWN *why becomes the reason, borrowed. */
typedef enum guard_who (*guard_who)(void *arg, const char *which, const char **why);

struct guard {
	const struct config *config;
	guard_is_host is_host; /* NULL: nobody knows other hosts */
	guard_who who;	       /* is at an address; NULL: nobody knows */
	guard_who host;	       /* has a uuid; NULL: nobody knows */
	void *arg;
	const struct tokens *tokens; /* NULL: there are none */
	const struct joins *joins;   /* likewise */
	struct slowdown *slowdown;   /* of those who guess one */
};

/* Whom the request is for, and where it comes from: 0, or -1 with a 400, 421 or 403. */
int guard_check_source(const struct guard *guard, const struct headers *h, struct error *err);
/* The type of a body that is there: 0, or -1 with a 415. */
int guard_check_body(const struct headers *h, struct error *err);
/* Whether this client may ask for the route: 0, or -1 with a 403 or 503. */
int guard_check_client(
    const struct guard *guard, const struct route *route, const char *addr, struct error *err);
/* Whether one that has shown the certificate of this host is to be taken for it: 0, or -1 with a
 * 403 or 503. */
int guard_check_host(const struct guard *guard, const char *host, struct error *err);
/* Whether an active host of the cluster has this address. */
bool guard_is_member(const struct guard *guard, const char *addr);
/* Whether it is of a proxy that appends to X-Forwarded-For. */
bool guard_is_proxy(const struct guard *guard, const char *addr);
/* Whether one at this address is believed when it says for whom it asks. */
bool guard_believes(const struct guard *guard, const struct headers *h, const char *addr);

#endif
