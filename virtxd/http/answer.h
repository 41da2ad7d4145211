/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What another host answers, checked in this one place before anything else sees it: its status,
 * what it says of its body and whether that came, its type, and its headers. Of those only the ones
 * that are known are taken over; nothing that a browser acts upon reaches our own clients.
 */
#ifndef HTTP_ANSWER_H
#define HTTP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ops/request.h"

struct evhttp_request;

#define ANSWER_HEADERS_MAX 64 /* that came, known or not */

/* Borrowed for the call of the callback that gets it. */
struct peer_answer {
	int status; /* 200..299, 400..599 */
	/* The known ones, in their order. */
	struct request_header headers[ANSWER_HEADERS_MAX];
	size_t n_headers;
	const char *type; /* of the body, one of a few; NULL where there is none */
	int64_t length;	  /* of the body as the headers say it, -1 where it comes in chunks */
	const char *body; /* NUL-terminated; "" for one that was taken in pieces */
	size_t len;
};

/* What was asked for. */
struct answer_need {
	enum method method;
	bool stream; /* GET /events */
	size_t max;  /* bytes of the body */
};

/* Reads the head of an answer, without a body. 0, or -1 with a 502 that says what is wrong with
 * what where (the host, for messages) sent. */
int answer_read(const struct evhttp_request *http, const struct answer_need *need,
    const char *where, struct peer_answer *ret, struct error *err);
/* Whether these bytes are the body that the head promised; 0 or -1 likewise. */
int answer_check_body(
    const struct peer_answer *answer, size_t len, const char *where, struct error *err);

/* The first of a known header, NULL for none. */
const char *answer_header(const struct peer_answer *answer, const char *name);
/* Those that go on to our own client; returns how many. */
size_t answer_pass(const struct peer_answer *answer, struct request_header out[ANSWER_HEADERS_MAX]);

#endif
