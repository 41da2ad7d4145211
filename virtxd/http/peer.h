/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests to other hosts: no name is ever looked up, everything has a deadline and a bound, and
 * connections are kept for the next request to the same address. Every call ends in exactly one
 * done(), which never runs before peer_start has returned.
 *
 *   asked  -> unsent   nothing of the request has left, and it fails
 *   asked  -> whole    the answer begins
 *   whole  -> pieces   its body is passed on as it comes
 *   pieces -> paused   the reader wants no more for now
 *   paused -> pieces   it does again
 *
 * The end may come in any of these states.
 */
#ifndef HTTP_PEER_H
#define HTTP_PEER_H

#include "http/answer.h"
#include "http/peer_to.h"

struct event_base;
struct peer_call;
struct peers;
struct tls;
struct tokens;

#define PEER_GET_MAX (8 << 20) /* the body of what peer_get fetches, bytes */

struct peer_request {
	const char *addr; /* an IP literal */
	uint16_t port;
	const char *host; /* its uuid; NULL where there is none */
	bool tls;	  /* with a certificate of that host */
	enum method method;
	const char *path;		      /* raw, with the query */
	const struct request_header *headers; /* without Host, Content-Length and Connection */
	size_t n_headers;
	const void *body;
	size_t len;
	int connect_ms;	   /* until the connection stands */
	int deadline_ms;   /* until the answer is whole, or has begun where it is taken in pieces;
			      then it is the longest silence */
	bool stream;	   /* the answer may be a text/event-stream */
	size_t answer_max; /* bytes of the answer's body; of each chunk of a stream */
	size_t whole_max;  /* of one that is not taken in pieces, where less; 0: the same */
};

struct peer_ops {
	/* The headers are there. True: the body comes through data; false (or begin NULL): done
	 * brings it whole. */
	bool (*begin)(void *arg, const struct peer_answer *answer);
	void (*data)(void *arg, const void *data, size_t len);
	/* answer is NULL where there is none, or not all of it; err then says why, with 502 (503
	 * where too many calls are under way). The call is gone after this. */
	void (*done)(void *arg, const struct peer_answer *answer, const struct error *err);
	/* Comes before done, where nothing of the request has left. NULL: nobody wants to know. */
	void (*unsent)(void *arg);
};

/* Why no other host can be at this address, NULL where one can. */
typedef const char *(*peers_check)(const char *addr);

/* check may be NULL: nothing is refused then. */
struct peers *peers_new(struct event_base *base, peers_check check);
/* The address by which the others know this host: calls come from there where it has it. */
void peers_set_source(struct peers *peers, const char *addr);
/* Our certificate (borrowed), and what those of the others are checked by. */
void peers_set_tls(struct peers *peers, struct tls *tls);
/* From now on nobody is asked without TLS, whatever serf's members say of themselves. */
void peers_refuse_plain(struct peers *peers);
/* Knows of hosts that were put out, which are not asked; borrowed. */
void peers_set_tokens(struct peers *peers, const struct tokens *tokens);
bool peers_may_ask(const struct peers *peers, const char *host);
/* Drops all calls; their callbacks do not run any more. */
void peers_free(struct peers *peers);

/* Starts a request; all of it is copied, ops is borrowed. Never NULL. */
struct peer_call *peer_start(
    struct peers *peers, const struct peer_request *request, const struct peer_ops *ops, void *arg);
/* Drops the call: no callback runs any more. Allowed in begin and data. */
void peer_cancel(struct peer_call *call);
/* Stops taking in a body that comes in pieces until told otherwise: for a reader that is slower. No
 * deadline runs meanwhile. */
void peer_pause(struct peer_call *call, bool paused);

/* As peer_ops.done. */
typedef void (*peer_got)(void *arg, const struct peer_answer *answer, const struct error *err);
/* GET with an answer of at most PEER_GET_MAX. */
struct peer_call *peer_get(struct peers *peers, const struct peer_to *to, const char *path,
    int deadline_ms, peer_got got, void *arg);

struct peers_stats {
	unsigned int calls, connections, idle;
	uint64_t started, failed;
};
void peers_get_stats(const struct peers *peers, struct peers_stats *ret);

#endif
