/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One HTTP call to virtxd, by the route table. */
#ifndef VIRTX_CLIENT_H
#define VIRTX_CLIENT_H

#include "virtx/answer.h"
#include "virtx/server.h"

#define CLIENT_TIMEOUT	   360		      /* seconds; virtxd itself gives up after 300 */
#define CLIENT_ANSWER_MAX  (64 * 1024 * 1024) /* bytes */
#define CLIENT_HEADERS_MAX (64 * 1024)	      /* bytes */
#define CLIENT_LINE_MAX	   (4 * 1024)	      /* bytes of what announces a piece */

struct client {
	struct server server;
	char *token;	      /* the secret of one, NULL for none; never shown */
	int timeout;	      /* seconds, for each call */
	bool async;	      /* the server may put work off and answer at once */
	const char *if_match; /* the ETag of what is to be changed, NULL for any */
	const char *body;     /* in place of the request as JSON, NULL for that */
	const char *query;    /* of each call, NULL for none */
	bool json;	      /* what ends the program before its command does is said as JSON */
	bool debug;	      /* heads of the request and the answer on stderr */
	int success;	      /* the status that is wanted, 0 for the route's own */
	const char *vm;	      /* of several: the one that notes are about; NULL for one alone */
};

/*
 * Calls a route. param is for its path (NULL where it has none), request of the route's request
 * model (NULL for an empty body). On the status and the type that the route promises: 0 with *ret
 * set, which the caller clears; the answer's warnings have gone to stderr. So it is with a 200 with
 * a warning in place of a 204, and with a 202 that names the operation that goes on. Else -1:
 * err->status is the server's and its detail starts with that number, CLIENT_UNREACHABLE_STATUS
 * where there is no answer at all, or CLIENT_ERROR_STATUS.
 */
int client_call(const struct client *client, enum route_id id, const char *param,
    const void *request, struct answer *ret, struct error *err);
/* client_call and answer_decode by the route's reply model. */
int client_get(const struct client *client, enum route_id id, const char *param,
    const void *request, void *reply, struct error *err);

#define CLIENT_SILENCE 40 /* seconds without a byte until a stream counts as dead */

/* What a stream brings, as it comes; false ends it. */
typedef bool (*client_data)(void *arg, const char *data, size_t len);
struct client_stream {
	client_data data;
	void *arg;
	const char *last_event_id; /* "" for none */
	bool begun;		   /* set: the server has answered with a stream */
	bool ended;		   /* set: data has ended it */
};
/* Follows a stream until it breaks off (-1 with the error) or data ends it (0). */
int client_follow(
    const struct client *client, enum route_id id, struct client_stream *stream, struct error *err);

#endif
