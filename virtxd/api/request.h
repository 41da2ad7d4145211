/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A request as the handlers see it: no evhttp here. Every request gets exactly one reply. */
#ifndef API_REQUEST_H
#define API_REQUEST_H

#include "proto/error.h"
#include "proto/routes.h"

struct request;

struct request_header {
	const char *name;
	const char *value;
};

/* What the HTTP layer (or a test) provides. body is given away. It frees the request afterwards. */
typedef void (*request_send)(struct request *req, int status, const char *content_type, char *body,
    size_t len, const struct request_header *headers, size_t n_headers);

struct request {
	const struct route *route;
	char param[128];   /* {uuid}, normalised, or {id}; "" for none */
	const char *query; /* raw query string, NULL for none */
	const char *body;  /* NUL-terminated */
	size_t body_len;
	const char *client; /* address of the peer, for the log and Operation.user */
	const char *user;   /* who asked: X-Forwarded-For's first, else client */
	bool looped;	    /* X-VirtX-Loop is there: it was forwarded once already */
	bool respond_async; /* Prefer: respond-async */
	bool replied;
	request_send send;
};

/* A query parameter, percent-decoded; NULL when it is not there; the caller frees. 0 or -1 with a
 * 400 for a bad encoding. */
int request_query(const struct request *req, const char *name, char **ret, struct error *err);
/* Replies; each asserts that it is the first. After the call req is gone. */
void request_reply(struct request *req, int status);
void request_reply_model(
    struct request *req, int status, const struct model *model, const void *obj);
void request_reply_json(struct request *req, int status, char *json, size_t len,
    const struct request_header *headers, size_t n_headers);
void request_reply_text(
    struct request *req, int status, const char *content_type, char *text, size_t len);
/* problem+json; adds Allow or Retry-After nowhere by itself. */
void request_reply_error(struct request *req, const struct error *err);

#endif
