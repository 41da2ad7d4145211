/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A request as the handlers see it: no evhttp here. Every request gets exactly one reply. */
#ifndef OPS_REQUEST_H
#define OPS_REQUEST_H

#include "proto/error.h"
#include "proto/routes.h"

struct caller;
struct request;
struct shared_text;

#define REQUEST_NEWS  "X-VirtX-News"  /* the header of an answer to a request that was forwarded */
#define REQUEST_KNOWN "X-VirtX-Known" /* and of the request: without what the news would be new */

struct request_header {
	const char *name;
	const char *value;
};

/* What the HTTP layer (or a test) provides. body is given away. It frees the request afterwards. */
typedef void (*request_send)(struct request *req, int status, const char *content_type, char *body,
    size_t len, const struct request_header *headers, size_t n_headers);

/* The same for a reply that comes in pieces: start once, write as often, end once. */
struct request_stream {
	void (*start)(struct request *req, int status, const char *content_type, int64_t length,
	    const struct request_header *headers, size_t n_headers);
	size_t (*write)(struct request *req, const void *data, size_t len);
	void (*end)(struct request *req, bool whole);
};

/* For those who hold a request for longer. Both may be NULL. */
struct request_watch {
	/* The client has hung up. The request still wants its reply (or its end), which goes
	 * nowhere; best given at once. */
	void (*gone)(void *arg);
	/* All that was written has left. */
	void (*drained)(void *arg);
};

struct request {
	const struct route *route;
	char param[128];   /* {uuid}, normalised, or {id}; "" for none */
	const char *query; /* raw query string, NULL for none */
	const char *body;  /* NUL-terminated */
	size_t body_len;
	const char *client;	     /* address of the peer, for the log */
	const char *user;	     /* who asked, for the log and Operation.user */
	const struct caller *caller; /* the same, with what they may do */
	/* The uuid of the host whose certificate the client has shown, "" for none. */
	const char *shown;
	int64_t shown_begin; /* from when on that is good, ms since the epoch; 0 for none */
	/* And the names that it is for, with commas between, where the route needs them, else "".
	 */
	const char *shown_names;
	bool looped;		   /* X-VirtX-Loop is there: it was forwarded once already */
	const char *placement;	   /* of a looped one: why this host was chosen, "" for nothing */
	const char *placed;	   /* and what it was thought to have, see scheduler.c */
	const char *known;	   /* what the host that forwarded it knows of the VM, see
				    * inventory_get_stamp, "" for nothing */
	bool respond_async;	   /* Prefer: respond-async */
	bool head;		   /* HEAD: a reply in pieces has none */
	const char *last_event_id; /* "" for none */
	const char *if_match;	   /* the ETags of what is to be changed, NULL for any */
	char vm[37];		   /* that it makes, "" for none */
	char operation[37];	   /* that it has begun, "" for none */
	/* What the answer tells the host that forwarded the request, as a header's value; NULL for
	 * nothing. Not there: nobody wants to know. */
	char *(*news)(void *arg, const struct request *req);
	void *news_arg;
	/* What an answer of 2xx that is not in pieces tells in a Warning header, with 200 in place
	 * of 204; NULL for nothing. The request's own. */
	char *warning;
	bool replied;
	request_send send;
	bool shares; /* send takes what is shared in place of a body, which is NULL then */
	struct shared_text *shared; /* NULL: the body; send drops it */
	const struct request_stream *stream;
	const struct request_watch *watch;
	void *watch_arg;
};

/* What another host answered to a request that was forwarded; borrowed. */
struct request_answer {
	int status;	     /* 0: none came */
	bool gone;	     /* the client has hung up meanwhile */
	bool unsent;	     /* nothing of the request has left */
	const char *refused; /* its X-VirtX-Refused header, NULL for none */
	const char *body;
	size_t len;
	const struct error *err; /* why none came, else NULL */
};

/* What goes with a request that is forwarded because somebody chose the host. */
struct request_forward {
	const struct request_header *headers; /* copied */
	size_t n_headers;
	/* Called once, before the answer is passed on. True: req is the callee's again, who sees to
	 * its reply. */
	bool (*answered)(void *arg, struct request *req, const struct request_answer *answer);
	void *arg;
};

/* A query parameter, percent-decoded; NULL when it is not there; the caller frees. 0 or -1 with a
 * 400 for a bad encoding. */
int request_query(const struct request *req, const char *name, char **ret, struct error *err);
/* The name of the parameter at *at of a query, percent-decoded, "" for none there; the caller
 * frees. *at becomes the next. 0 or -1 with a 400 for a bad encoding. */
int request_next_key(const char **at, char **ret, struct error *err);
/* A query parameter that is true, false, 1, 0 or without a value (true); false where it is not
 * there. 0 or -1 with a 400. */
int request_flag(const struct request *req, const char *name, bool *ret, struct error *err);
/* Replies; each asserts that it is the first. After the call req is gone. */
void request_reply(struct request *req, int status);
void request_reply_model(
    struct request *req, int status, const struct model *model, const void *obj);
void request_reply_json(struct request *req, int status, char *json, size_t len,
    const struct request_header *headers, size_t n_headers);
/* JSON that others may hold, too; text is given away. */
void request_reply_shared(struct request *req, int status, struct shared_text *text,
    const struct request_header *headers, size_t n_headers);
void request_reply_text(
    struct request *req, int status, const char *content_type, char *text, size_t len);
void request_reply_full(struct request *req, int status, const char *content_type, char *body,
    size_t len, const struct request_header *headers, size_t n_headers);
/* The value of a Warning header with that text; the caller frees. */
char *request_warning(const char *text);
/* problem+json; adds Allow or Retry-After nowhere by itself. */
void request_reply_error(struct request *req, const struct error *err);
void request_reply_error_full(struct request *req, const struct error *err,
    const struct request_header *headers, size_t n_headers);

/* watch (borrowed) is told until the reply is complete. */
void request_set_watch(struct request *req, const struct request_watch *watch, void *arg);
/*
 * A reply in pieces; length -1: unknown, in chunks. request_write returns the bytes that the client
 * has not taken yet: who writes on when that is much fills the memory. After request_end req is
 * gone; where not whole, the client sees its connection break off.
 */
void request_start(struct request *req, int status, const char *content_type, int64_t length,
    const struct request_header *headers, size_t n_headers);
size_t request_write(struct request *req, const void *data, size_t len);
void request_end(struct request *req, bool whole);

#endif
