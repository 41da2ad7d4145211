/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a page of another site must not do through the browser of somebody who reaches this port. A
 * browser sends what such a page asks for as text/plain, as a form or without a type; it names the
 * page's origin; and where the page's own name was made to lead here, it sends that as Host.
 */
#ifndef HTTP_GUARD_H
#define HTTP_GUARD_H

#include "http/headers.h"
#include "state/config.h"

/* Is this the name of a host of the cluster? */
typedef bool (*guard_is_host)(void *arg, const char *name);

struct guard {
	const struct config *config;
	guard_is_host is_host; /* NULL: nobody knows other hosts */
	void *arg;
};

/* Whom the request is for, and where it comes from: 0, or -1 with a 400, 421 or 403. */
int guard_check_source(const struct guard *guard, const struct headers *h, struct error *err);
/* The type of a body that is there: 0, or -1 with a 415. */
int guard_check_body(const struct headers *h, struct error *err);

#endif
