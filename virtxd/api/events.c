/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GET /events. A stream is a position in the ring: a slow reader stays behind without holding
 * memory, and is cut off when the ring has passed it; it then comes back with what it saw last.
 */
#include "api/events.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "api/handlers.h"
#include "loop/timer.h"
#include "ops/context.h"
#include "proto/log.h"
#include "state/address.h"
#include "state/caller.h"
#include "state/tokens.h"

#define HEARTBEAT_S 15
#define TOKENS_MS   1000	/* how often the tokens of those who read are looked at */
#define UNSENT_MAX  (256 << 10) /* bytes that may wait for one reader */

struct stream {
	TAILQ_ENTRY(stream) entry;
	struct event_streams *owner;
	struct request *req;
	uint64_t next;			   /* the number of the event to send next */
	const char *type;		   /* the only one that is wanted, NULL for all */
	bool full;			   /* until the client has taken all */
	uint8_t share[ADDRESS_SHARE_SIZE]; /* of its client */
};

struct event_streams {
	struct event_base *base;
	struct events *events;
	struct timer *flush; /* of what came since the last round of the loop */
	struct timer *heartbeat;
	struct timer *look;
	const struct tokens *tokens; /* NULL: nobody has one */
	TAILQ_HEAD(, stream) list;
	unsigned int n;
	void (*added)(void *arg);
	void *added_arg;
};

static void
stream_end(struct stream *stream)
{
	TAILQ_REMOVE(&stream->owner->list, stream, entry);
	stream->owner->n--;
	request_end(stream->req, false);
	free(stream);
}

/* Another host reads of this one's own changes alone, and those are never missed. */
static bool
is_wanted(const struct stream *stream, const struct event_item *item)
{
	const struct caller *caller = stream->req->caller;

	if (str_equal(item->type, "reset"))
		return !stream->req->looped;
	if (caller && !events_shows(stream->owner->events, item, caller))
		return false;
	return !stream->type || str_equal(stream->type, item->type);
}

/* Sends what fits; false once the stream is ended. */
static bool
stream_flush(struct stream *stream)
{
	static struct log_limit limit;
	struct events *events = stream->owner->events;
	_buffer_ struct buffer out = { 0 };
	const struct event_item *item;

	if (stream->next < events_first(events)) {
		log_limited(&limit, 5, "events", "%s is too slow: cut off", stream->req->client);
		stream_end(stream);
		return false;
	}
	while (!stream->full && (item = events_get(events, stream->next))) {
		if (!is_wanted(stream, item)) {
			stream->next++;
			continue;
		}
		buffer_printf(&out,
		    "id: %llx-%llu\nevent: %s\ndata: ", (unsigned long long)events_epoch(events),
		    (unsigned long long)item->id, item->type);
		buffer_add(&out, item->data, item->len);
		buffer_add(&out, "\n\n", 2);
		stream->next++;
		if (out.len < UNSENT_MAX / 4 && stream->next <= events_last(events))
			continue;
		stream->full = request_write(stream->req, out.data, out.len) > UNSENT_MAX;
		buffer_clear(&out);
	}
	/* The last ones were not wanted. */
	if (out.len > 0)
		stream->full = request_write(stream->req, out.data, out.len) > UNSENT_MAX;
	return true;
}

static void
on_drained(void *arg)
{
	struct stream *stream = arg;

	if (!stream->full)
		return;
	stream->full = false;
	/* Not from within the writing. */
	timer_soon(stream->owner->flush);
}

static void
on_gone(void *arg)
{
	stream_end(arg);
}

static const struct request_watch watch = { on_gone, on_drained };

static void
on_flush(void *arg)
{
	struct event_streams *streams = arg;
	struct stream *stream, *next;

	for (stream = TAILQ_FIRST(&streams->list); stream; stream = next) {
		next = TAILQ_NEXT(stream, entry);
		stream_flush(stream);
	}
}

static void
on_added(void *arg)
{
	struct event_streams *streams = arg;

	if (streams->n > 0)
		timer_soon(streams->flush);
}

/* A comment: whoever is gone is noticed by it, and proxies see that the stream lives. */
static void
on_heartbeat(void *arg)
{
	struct event_streams *streams = arg;
	struct stream *stream;

	TAILQ_FOREACH (stream, &streams->list, entry) {
		if (!stream->full)
			request_write(stream->req, ":\n\n", 3);
	}
}

static bool
may_read(const struct event_streams *streams, const struct request *req)
{
	const struct caller *caller = req->caller;
	const char *name = caller ? strchr(caller->user, ':') : NULL;

	if (req->shown && tokens_is_out(streams->tokens, req->shown))
		return false;
	/* A host that reads for itself has none, and one of another host ends there. */
	if (!name || caller->token_created == 0)
		return true;
	return tokens_has(streams->tokens, name + 1, caller->token_created);
}

/* Who was let in by a token that is revoked, or whose time is over, reads no further, nor does a
 * host that was put out. */
static void
on_look(void *arg)
{
	struct event_streams *streams = arg;
	struct stream *stream, *next;

	for (stream = TAILQ_FIRST(&streams->list); stream; stream = next) {
		next = TAILQ_NEXT(stream, entry);
		if (!may_read(streams, stream->req))
			stream_end(stream);
	}
}

void
event_streams_set_tokens(struct event_streams *streams, const struct tokens *tokens)
{
	streams->tokens = tokens;
	if (tokens)
		timer_every(streams->look, TOKENS_MS);
	else
		timer_stop(streams->look);
}

struct event_streams *
event_streams_new(struct event_base *base, struct events *events)
{
	struct event_streams *streams = xcalloc(1, sizeof(*streams));

	streams->base = base;
	streams->events = events;
	TAILQ_INIT(&streams->list);
	streams->flush = timer_new(base, on_flush, streams);
	streams->heartbeat = timer_new(base, on_heartbeat, streams);
	streams->look = timer_new(base, on_look, streams);
	timer_every(streams->heartbeat, HEARTBEAT_S * 1000);
	events_observe(events, on_added, streams);
	return streams;
}

void
event_streams_free(struct event_streams *streams)
{
	if (!streams)
		return;
	while (!TAILQ_EMPTY(&streams->list))
		stream_end(TAILQ_FIRST(&streams->list));
	events_observe(streams->events, NULL, NULL);
	timer_free(streams->flush);
	timer_free(streams->heartbeat);
	timer_free(streams->look);
	free(streams);
}

unsigned int
event_streams_count(const struct event_streams *streams)
{
	return streams->n;
}

void
event_streams_observe(struct event_streams *streams, void (*added)(void *arg), void *arg)
{
	streams->added = added;
	streams->added_arg = arg;
}

bool
event_streams_wanted(const struct event_streams *streams)
{
	const struct stream *stream;

	TAILQ_FOREACH (stream, &streams->list, entry) {
		if (!stream->req->looped)
			return true;
	}
	return false;
}

/* The type of events that the query asks for, NULL for all. */
static int
read_type(const struct request *req, const char **ret, struct error *err)
{
	static const char *const types[] = { "vm", "host", "operation" };
	_free_ char *wanted = NULL;

	*ret = NULL;
	if (request_query(req, "type", &wanted, err) < 0)
		return -1;
	if (!wanted)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (str_equal(wanted, types[i]))
			*ret = types[i];
	}
	return *ret ? 0
		    : error_set(err, 400, "type: '%s' is none of vm, host and operation", wanted);
}

/* The number after the one that the client saw last; 0 where that is not kept any more, or of
 * another run. */
static uint64_t
resume_at(const struct events *events, const char *last)
{
	unsigned long long epoch, id;
	char *end;

	if (str_empty(last))
		return 0;
	errno = 0;
	epoch = strtoull(last, &end, 16);
	if (errno || end == last || *end != '-' || epoch != events_epoch(events))
		return 0;
	last = end + 1;
	id = strtoull(last, &end, 10);
	if (errno || end == last || *end || id > events_last(events) ||
	    id + 1 < events_first(events))
		return 0;
	return id + 1;
}

static unsigned int
count_share(const struct event_streams *streams, const uint8_t share[ADDRESS_SHARE_SIZE])
{
	const struct stream *stream;
	unsigned int n = 0;

	TAILQ_FOREACH (stream, &streams->list, entry)
		n += memcmp(stream->share, share, ADDRESS_SHARE_SIZE) == 0;
	return n;
}

/* Where all are in use: ends the oldest of the client that has the most, unless the newcomer would
 * then have as many. */
static bool
make_room(struct event_streams *streams, const uint8_t share[ADDRESS_SHARE_SIZE])
{
	static struct log_limit limit;
	struct stream *stream, *chosen = NULL;
	unsigned int most = count_share(streams, share) + 1;

	if (streams->n < EVENT_STREAMS_MAX)
		return true;
	TAILQ_FOREACH (stream, &streams->list, entry) {
		unsigned int n = count_share(streams, stream->share);

		if (n > most) {
			chosen = stream;
			most = n;
		}
	}
	if (!chosen)
		return false;
	log_limited(&limit, 5, "events",
	    "a stream of %s is ended for one of another client: it has %u",
	    chosen->req->caller->from, most);
	stream_end(chosen);
	return true;
}

void
event_streams_add(struct event_streams *streams, struct request *req)
{
	/* A proxy must neither keep an event for others nor hold it back until there are more. */
	static const struct request_header headers[] = { { "Cache-Control", "no-store" },
		{ "X-Accel-Buffering", "no" } };
	struct events *events = streams->events;
	const char *type;
	struct stream *stream;
	struct error err = { 0 };
	char text[128];
	uint8_t share[ADDRESS_SHARE_SIZE];
	int len;

	address_share(req->caller->from, share);
	if (read_type(req, &type, &err) == 0 && !req->head && !make_room(streams, share))
		error_set(&err, 503, "all %d event streams are in use", EVENT_STREAMS_MAX);
	if (err.status) {
		request_reply_error(req, &err);
		return;
	}
	request_start(req, 200, "text/event-stream", -1, headers, ARRAY_SIZE(headers));
	if (req->head) {
		request_end(req, true);
		return;
	}
	stream = xcalloc(1, sizeof(*stream));
	stream->owner = streams;
	stream->req = req;
	stream->type = type;
	memcpy(stream->share, share, sizeof(share));
	stream->next = resume_at(events, req->last_event_id);
	TAILQ_INSERT_TAIL(&streams->list, stream, entry);
	streams->n++;
	request_set_watch(req, &watch, stream);
	if (stream->next == 0) {
		stream->next = events_last(events) + 1;
		len = snprintf(text, sizeof(text),
		    "retry: 1000\nid: %llx-%llu\nevent: reset\ndata: {}\n\n",
		    (unsigned long long)events_epoch(events),
		    (unsigned long long)events_last(events));
	} else {
		len = snprintf(text, sizeof(text), "retry: 1000\n\n");
	}
	request_write(req, text, (size_t)len);
	if (streams->added)
		streams->added(streams->added_arg);
	stream_flush(stream);
}

void
api_events(struct context *ctx, struct request *req)
{
	event_streams_add(ctx->streams, req);
}
