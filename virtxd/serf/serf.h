/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The client of the local serf agent: one connection for the event stream, one for commands, both
 * reopened when lost. */
#ifndef SERF_SERF_H
#define SERF_SERF_H

#include "proto/error.h"
#include "serf/member.h"

struct event_base;
struct serf;

#define SERF_PAYLOAD_MAX 1024 /* name and payload of a user event together, bytes */

/* serf_free is not to be called from these. */
struct serf_ops {
	void (*connected)(void *arg); /* both connections answer; members were told first */
	/* The connection is lost, or an attempt failed for a new reason. */
	void (*disconnected)(void *arg, const char *why);
	/* A member as it is now: at connect for all, then at each member event. Borrowed for the
	 * call. */
	void (*member)(void *arg, const struct serf_member *member);
	/* A user event; own ones come back too. Borrowed for the call. */
	void (*event)(void *arg, const char *name, const void *payload, size_t len, uint64_t ltime);
};

/* addr is an IP literal; key "" for none; retry in seconds. tags (n_tags) are set once after each
 * connect; copied. ops is borrowed. */
struct serf *serf_new(struct event_base *base, const char *addr, uint16_t port, const char *key,
    int retry, const struct serf_tag *tags, size_t n_tags, const struct serf_ops *ops, void *arg);
void serf_free(struct serf *serf);
/* Changes one of the tags, now and for each connect from now on; NULL deletes it. Each change is a
 * broadcast that goes before all user events: for what changes rarely. */
void serf_set_tag(struct serf *serf, const char *key, const char *value);
/* Deletes these tags (n, of those that are set), for who comes after this client on the same agent,
 * and calls done once: when the agent has answered, or cannot any more. */
void serf_leave_tags(
    struct serf *serf, const char *const *keys, size_t n, void (*done)(void *arg), void *arg);
/* Tells all members again, soon: serf may have swallowed a change. It is not asked twice within 5
 * seconds, and by itself each minute. */
void serf_read_members(struct serf *serf);
bool serf_is_connected(const struct serf *serf);
/* "" when connected, else why not. */
const char *serf_why(const struct serf *serf);
/* Sends a user event; -EMSGSIZE above SERF_PAYLOAD_MAX, -ENOTCONN, or -EAGAIN when too many wait
 * (256). */
int serf_event(struct serf *serf, const char *name, const void *payload, size_t len);
/* Has the agent find again a member that it lost, at its address; to be called only when its host
 * is known to be reachable, as nothing else is done meanwhile. -ENOTCONN, or -EBUSY when one is
 * under way. */
int serf_join(struct serf *serf, const char *addr, uint16_t port);
/* The value of a member's tag, or NULL. */
const char *serf_member_tag(const struct serf_member *member, const char *key);

#endif
