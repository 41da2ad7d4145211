/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The headers of a request, and whether they can be believed about its body. */
#ifndef HTTP_HEADERS_H
#define HTTP_HEADERS_H

#include <event2/http.h>

#include "proto/error.h"

/* What the headers say that concerns us. */
struct headers {
	const char *host;
	const char *origin;
	const char *type;
	const char *length;
	const char *encoding;
	const char *expect;
	const char *forwarded; /* the last, which is of who was here last */
	const char *last_event_id;
	const char *if_match;
	const char *authorization;
	const char *caller;
	const char *placement;
	const char *placed;
	const char *known;
	unsigned int n_authorization;
	unsigned int n_caller;
	unsigned int n_host;
	unsigned int n_origin;
	unsigned int n_type;
	unsigned int n_length;
	unsigned int n_encoding;
	bool bad_name;
	bool looped;
	bool respond_async;
};

/* Is it what RFC 9110 takes for a header's name? */
bool headers_is_token(const char *name);
/* What is in h is borrowed from the request. */
void headers_read(struct evhttp_request *http, struct headers *h);
/* Wipes what only who asks may know, once it has been looked at; h still points to it. */
void headers_wipe_secrets(struct evhttp_request *http);
/*
 * Is what evhttp took for the body the whole body, and nothing but it? It reads Content-Length and
 * Transfer-Encoding more freely than those who may stand in front of us. -1 with a 400 where not;
 * *close becomes true where nobody can tell where the next request begins.
 */
int headers_check(
    const struct headers *h, enum evhttp_cmd_type type, bool *close, struct error *err);

#endif
