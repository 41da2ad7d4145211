/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One connection to the agent: requests go out, and their answers, which come in the same order,
 * are matched with them under a deadline; what is no answer is a record of the stream.
 */
#ifndef SERF_LINK_H
#define SERF_LINK_H

#include <sys/socket.h>

#include "proto/util.h"

struct event_base;
struct link;

enum link_command {
	LINK_HANDSHAKE,
	LINK_AUTH,
	LINK_STREAM,
	LINK_MEMBERS,
	LINK_TAGS,
	LINK_EVENT,
	LINK_STATS,
	LINK_JOIN,
};

struct link_ops {
	/* error is "" for success; body is NULL where there is none. A negative answer says that
	 * the link is down now, or freed. */
	int (*answered)(void *arg, struct link *link, enum link_command command, const char *error,
	    const void *body, size_t len);
	int (*record)(void *arg, const void *body, size_t len);
	/* The connection is of no more use; to be answered by link_down. */
	void (*failed)(void *arg, const char *why);
};

/* deadline_s: seconds that the next answer may take. ops and arg are borrowed. */
struct link *link_new(
    struct event_base *base, int deadline_s, const struct link_ops *ops, void *arg);
void link_free(struct link *link);
/* Connects a link that is down; 0 or -errno. A refusal may also come by failed. */
int link_up(struct link *link, const struct sockaddr *sa, socklen_t size);
/* Closes it and forgets what was asked. */
void link_down(struct link *link);
/* Announces a request and returns its number, for link_send to send. */
uint64_t link_expect(struct link *link, enum link_command command);
/* Sends what out holds, and clears it. */
void link_send(struct link *link, struct buffer *out);
/* How many requests, and how many of these are events, have no answer yet. */
unsigned int link_pending(const struct link *link, unsigned int *n_events);
/* While held, records stay unread. */
void link_hold(struct link *link, bool hold);

#endif
