/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An agent of serf that answers as it is told to, in the loop of its client. */
#ifndef TEST_SERF_AGENT_H
#define TEST_SERF_AGENT_H

#include <event2/event.h>

#include "proto/util.h"

#define OBJECT(text) text, sizeof(text) - 1
#define KEY	     "secret" /* what `auth` must bring */

struct agent;

struct peer {
	struct agent *agent;
	int fd; /* -1 when closed */
	struct event *readable;
	struct event *writable;
	struct buffer in, out;
	bool authorized;
	bool streams;
	uint64_t stream_seq;
};

struct agent {
	int fd;
	uint16_t port;
	struct event *acceptable;
	struct peer peers[16];
	size_t n_peers;
	bool trickle;		/* one byte at a time */
	bool mute;		/* events get no answer */
	bool mute_tags;		/* nor do tags */
	const char *tags_error; /* what `tags` is answered */
	const char *script;	/* sent as answer to `members`, or NULL */
	size_t script_len;
	bool holds_members; /* until agent_answer_members() */
	struct peer *members_peer;
	uint64_t members_seq; /* of what `members` was asked last */
	const char *early;    /* sent on the stream right behind its answer */
	size_t early_len;
	int n_tags;
	int n_joins;
	int n_events;
	uint64_t event_seqs[300];
};

/* Listens on a port of its own choice. */
void agent_start(struct agent *agent, struct event_base *base);
/* Closes all connections, not the listener. */
void agent_hang_up(struct agent *agent);
/* And the listener: the agent is gone. */
void agent_stop(struct agent *agent);
/* What `members` was asked for last is answered. */
void agent_answer_members(struct agent *agent);
/* A record on the stream. */
void agent_emit(struct agent *agent, const char *body, size_t len);
void peer_answer(struct peer *peer, uint64_t seq, const char *error);

#endif
