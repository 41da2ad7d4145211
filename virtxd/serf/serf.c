/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Both connections start with a handshake. The stream is opened before the members are asked for,
 * and read only after they were told: so no change is missed, and none is undone by older news.
 */
#include "serf/serf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "loop/timer.h"
#include "proto/log.h"
#include "serf/link.h"
#include "serf/rpc.h"

#define DEADLINE_S 10	 /* for the next answer */
#define WATCH_S	   10	 /* how often to ask when there is nothing to ask */
#define MEMBERS_MS 60000 /* until the members are read again */
#define AGAIN_MS   5000	 /* the same, when there is a reason */
#define EVENTS_MAX 256	 /* sent and not answered yet */

struct serf {
	char *addr;
	uint16_t port;
	char *key;
	int retry;
	struct serf_tag *tags;
	size_t n_tags;
	const struct serf_ops *ops;
	void *arg;

	struct link *commands;
	struct link *stream;
	bool commands_ready; /* to take any command */
	bool stream_ready;   /* it streams, unread */
	bool connected;
	bool joining;
	bool reading; /* the members are asked for again */
	int64_t read_at;
	unsigned int n_tagging;	 /* settings of tags that have no answer yet */
	void (*left)(void *arg); /* called after the last of them */
	void *left_arg;
	struct timer *timer; /* to connect when down, to watch when up */
	char *why;
};

static void
serf_arm(struct serf *serf, int seconds)
{
	timer_start(serf->timer, seconds * INT64_C(1000));
}

static void
serf_left(struct serf *serf)
{
	void (*left)(void *arg) = serf->left;

	serf->left = NULL;
	if (left)
		left(serf->left_arg);
}

static void
serf_tagged(struct serf *serf)
{
	if (--serf->n_tagging == 0)
		serf_left(serf);
}

/* Ends both connections, and says why where that is news. */
static void
serf_failed(void *arg, const char *text)
{
	struct serf *serf = arg;
	char *why = xasprintf("serf at %s port %d %s", serf->addr, serf->port, text);
	bool is_news = serf->connected || !str_equal(why, serf->why);

	link_down(serf->commands);
	link_down(serf->stream);
	serf->commands_ready = serf->stream_ready = serf->connected = serf->joining = false;
	serf->reading = false;
	serf->n_tagging = 0;
	free(serf->why);
	serf->why = why;
	serf_arm(serf, serf->retry);
	if (is_news)
		serf->ops->disconnected(serf->arg, serf->why);
	serf_left(serf);
}

/* Sends one of the commands that take no arguments of the caller's. */
static void
serf_send(struct serf *serf, struct link *link, enum link_command command)
{
	uint64_t seq = link_expect(link, command);
	struct buffer out = { 0 };

	switch (command) {
	case LINK_HANDSHAKE:
		rpc_write_handshake(&out, seq);
		break;
	case LINK_AUTH:
		rpc_write_auth(&out, seq, serf->key);
		break;
	case LINK_STREAM:
		rpc_write_stream(&out, seq);
		break;
	case LINK_TAGS:
		serf->n_tagging++;
		rpc_write_tags(&out, seq, serf->tags, serf->n_tags);
		break;
	case LINK_MEMBERS:
		rpc_write_command(&out, "members", seq);
		break;
	case LINK_STATS:
		rpc_write_command(&out, "stats", seq);
		break;
	case LINK_EVENT: /* have arguments: serf_event, serf_join */
	case LINK_JOIN:
		break;
	}
	link_send(link, &out);
}

/* Goes on when both connections have come so far. */
static void
serf_advance(struct serf *serf)
{
	if (serf->commands_ready && serf->stream_ready)
		serf_send(serf, serf->commands, LINK_MEMBERS);
}

/* A connection is past its handshake and key. */
static void
serf_opened(struct serf *serf, struct link *link)
{
	if (link == serf->stream) {
		serf_send(serf, link, LINK_STREAM);
		return;
	}
	serf->commands_ready = true;
	serf_advance(serf);
}

static void
serf_tell_members(struct serf *serf, const struct serf_member *members, size_t n)
{
	for (size_t i = 0; i < n; i++)
		serf->ops->member(serf->arg, &members[i]);
}

/* The members are here; when that was the last step of connecting, it is done. */
static int
serf_connected(struct serf *serf, const void *body, size_t len)
{
	struct serf_member *members;
	size_t n;

	serf->read_at = monotonic_ms();
	if (rpc_read_members(body, len, &members, &n) < 0) {
		serf_failed(serf, "sent a list of members that cannot be read");
		return -1;
	}
	serf_tell_members(serf, members, n);
	rpc_members_free(members, n);
	if (serf->connected) {
		serf->reading = false;
		link_hold(serf->stream, false);
		return 0;
	}
	serf->connected = true;
	str_set(&serf->why, "");
	serf_arm(serf, WATCH_S);
	if (serf->n_tags > 0)
		serf_send(serf, serf->commands, LINK_TAGS);
	link_hold(serf->stream, false);
	serf->ops->connected(serf->arg);
	return 0;
}

/* An answer that says no. */
static int
serf_refused(struct serf *serf, enum link_command command, const char *error)
{
	static struct log_limit limit;
	_free_ char *why = NULL;

	if (command == LINK_TAGS) {
		log_warning("serf", "the agent did not set our tags: %s", error);
		serf_tagged(serf);
		return 0;
	}
	if (command == LINK_EVENT) {
		log_limited(&limit, 5, "serf", "the agent did not send an event: %s", error);
		return 0;
	}
	if (command == LINK_JOIN) {
		serf->joining = false;
		log_debug("serf", "the agent cannot join a member: %s", error);
		return 0;
	}
	if (command == LINK_AUTH)
		why = xasprintf("refused our key: rpc_auth refused: %s", error);
	else
		why = xasprintf("refused a command%s: %s",
		    str_empty(serf->key) ? " (no rpc_auth key is set)" : "", error);
	serf_failed(serf, why);
	return -1;
}

static int
serf_answered(void *arg, struct link *link, enum link_command command, const char *error,
    const void *body, size_t len)
{
	struct serf *serf = arg;

	if (error[0] != '\0')
		return serf_refused(serf, command, error);
	switch (command) {
	case LINK_HANDSHAKE:
		if (!str_empty(serf->key))
			serf_send(serf, link, LINK_AUTH);
		else
			serf_opened(serf, link);
		break;
	case LINK_AUTH:
		serf_opened(serf, link);
		break;
	case LINK_STREAM:
		serf->stream_ready = true;
		link_hold(link, true);
		serf_advance(serf);
		break;
	case LINK_MEMBERS:
		return serf_connected(serf, body, len);
	case LINK_JOIN:
		serf->joining = false;
		break;
	case LINK_TAGS:
		serf_tagged(serf);
		break;
	case LINK_EVENT:
	case LINK_STATS:
		break;
	}
	return 0;
}

static int
serf_record(void *arg, const void *body, size_t len)
{
	struct rpc_record record;
	struct serf *serf = arg;

	if (rpc_read_record(body, len, &record) < 0) {
		serf_failed(serf, "sent an event that cannot be read");
		return -1;
	}
	if (record.kind == RPC_RECORD_USER)
		serf->ops->event(
		    serf->arg, record.name, record.payload, record.payload_len, record.ltime);
	serf_tell_members(serf, record.members, record.n_members);
	rpc_record_clear(&record);
	return 0;
}

static const struct link_ops serf_link_ops = {
	.answered = serf_answered,
	.record = serf_record,
	.failed = serf_failed,
};

static int
serf_connect(struct serf *serf, struct link *link)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(serf->port) };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(serf->port) };
	int rc = -EINVAL;

	if (inet_pton(AF_INET, serf->addr, &in.sin_addr) == 1)
		rc = link_up(link, (struct sockaddr *)&in, sizeof(in));
	else if (inet_pton(AF_INET6, serf->addr, &in6.sin6_addr) == 1)
		rc = link_up(link, (struct sockaddr *)&in6, sizeof(in6));
	if (rc == 0)
		serf_send(serf, link, LINK_HANDSHAKE);
	return rc;
}

/* What the stream has meanwhile waits, as it may be newer than the answer. */
static void
read_members(struct serf *serf)
{
	if (serf->reading)
		return;
	serf->reading = true;
	link_hold(serf->stream, true);
	serf_send(serf, serf->commands, LINK_MEMBERS);
}

static void
serf_on_timer(void *arg)
{
	_free_ char *why = NULL;
	struct serf *serf = arg;
	unsigned int n_events;
	int rc;

	if (serf->connected) {
		/* Only an answer tells that the agent lives. */
		if (monotonic_ms() - serf->read_at >= MEMBERS_MS)
			read_members(serf);
		else if (link_pending(serf->commands, &n_events) == 0)
			serf_send(serf, serf->commands, LINK_STATS);
		serf_arm(serf, WATCH_S);
		return;
	}
	rc = serf_connect(serf, serf->stream);
	if (rc == 0)
		rc = serf_connect(serf, serf->commands);
	if (rc < 0) {
		why = xasprintf("cannot be reached: %s", strerror(-rc));
		serf_failed(serf, why);
	}
}

struct serf *
serf_new(struct event_base *base, const char *addr, uint16_t port, const char *key, int retry,
    const struct serf_tag *tags, size_t n_tags, const struct serf_ops *ops, void *arg)
{
	struct serf *serf = xcalloc(1, sizeof(*serf));

	serf->addr = xstrdup(addr);
	serf->port = port;
	serf->key = xstrdup(key);
	serf->retry = retry;
	serf->tags = xcalloc(n_tags + 1, sizeof(*serf->tags));
	serf->n_tags = n_tags;
	for (size_t i = 0; i < n_tags; i++) {
		serf->tags[i].key = xstrdup(tags[i].key);
		serf->tags[i].value = tags[i].value ? xstrdup(tags[i].value) : NULL;
	}
	serf->ops = ops;
	serf->arg = arg;
	serf->why = xstrdup("not connected yet");
	serf->commands = link_new(base, DEADLINE_S, &serf_link_ops, serf);
	serf->stream = link_new(base, DEADLINE_S, &serf_link_ops, serf);
	serf->timer = timer_new(base, serf_on_timer, serf);
	serf_arm(serf, 0);
	return serf;
}

void
serf_free(struct serf *serf)
{
	if (!serf)
		return;
	link_free(serf->commands);
	link_free(serf->stream);
	timer_free(serf->timer);
	for (size_t i = 0; i < serf->n_tags; i++) {
		free(serf->tags[i].key);
		free(serf->tags[i].value);
	}
	free(serf->tags);
	free(serf->addr);
	free(serf->key);
	free(serf->why);
	free(serf);
}

void
serf_set_tag(struct serf *serf, const char *key, const char *value)
{
	struct serf_tag *tag = NULL;

	for (size_t i = 0; i < serf->n_tags; i++) {
		if (strcmp(serf->tags[i].key, key) == 0)
			tag = &serf->tags[i];
	}
	if (!tag) {
		tag = model_append(&serf->tags, &serf->n_tags);
		tag->key = xstrdup(key);
	} else if (value && tag->value && strcmp(tag->value, value) == 0) {
		return;
	}
	free(tag->value);
	tag->value = value ? xstrdup(value) : NULL;
	if (serf->connected)
		serf_send(serf, serf->commands, LINK_TAGS);
}

void
serf_leave_tags(
    struct serf *serf, const char *const *keys, size_t n, void (*done)(void *arg), void *arg)
{
	struct buffer out = { 0 };
	struct serf_tag *tags;

	if (!serf->connected) {
		done(arg);
		return;
	}
	serf->n_tagging++;
	serf->left = done;
	serf->left_arg = arg;
	tags = xcalloc(n + 1, sizeof(*tags));
	for (size_t i = 0; i < n; i++)
		tags[i].key = (char *)keys[i];
	rpc_write_tags(&out, link_expect(serf->commands, LINK_TAGS), tags, n);
	link_send(serf->commands, &out);
	free(tags);
}

void
serf_read_members(struct serf *serf)
{
	if (serf->connected && monotonic_ms() - serf->read_at >= AGAIN_MS)
		read_members(serf);
}

bool
serf_is_connected(const struct serf *serf)
{
	return serf->connected;
}

const char *
serf_why(const struct serf *serf)
{
	return serf->why;
}

int
serf_event(struct serf *serf, const char *name, const void *payload, size_t len)
{
	struct buffer out = { 0 };
	unsigned int n_events;
	uint64_t seq;

	if (strlen(name) + len > SERF_PAYLOAD_MAX)
		return -EMSGSIZE;
	if (!serf->connected)
		return -ENOTCONN;
	link_pending(serf->commands, &n_events);
	if (n_events >= EVENTS_MAX)
		return -EAGAIN;
	seq = link_expect(serf->commands, LINK_EVENT);
	rpc_write_event(&out, seq, name, payload, len);
	link_send(serf->commands, &out);
	return 0;
}

int
serf_join(struct serf *serf, const char *addr, uint16_t port)
{
	struct buffer out = { 0 };

	if (!serf->connected)
		return -ENOTCONN;
	if (serf->joining)
		return -EBUSY;
	serf->joining = true;
	rpc_write_join(&out, link_expect(serf->commands, LINK_JOIN), addr, port);
	link_send(serf->commands, &out);
	return 0;
}

const char *
serf_member_tag(const struct serf_member *member, const char *key)
{
	for (size_t i = 0; i < member->n_tags; i++) {
		if (strcmp(member->tags[i].key, key) == 0)
			return member->tags[i].value;
	}
	return NULL;
}
