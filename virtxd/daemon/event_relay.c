/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/event_relay.h"

#include <string.h>
#include <sys/queue.h>

#include "loop/timer.h"
#include "proto/json.h"
#include "proto/log.h"
#include "proto/sse.h"
#include "serf/members.h"
#include "state/operations.h"

#define LOOK_MS	   500	 /* between looks for readers and hosts */
#define RETRY_MS   5000	 /* after a host did not answer */
#define SILENCE_MS 40000 /* two heartbeats of the other host */
#define FEED_MAX   500	 /* of one host between two looks: then it is read no further */
#define RESET_MS   3000	 /* between two resets for what one host has missed */
#define CHUNK_MAX  (2 * SSE_EVENT_MAX)
#define ID_MAX	   63	      /* bytes; longer ones are not ours */
#define WHOLE_MAX  (64 << 10) /* of an answer that is no stream, bytes */

/* What is read of one host. */
struct feed {
	LIST_ENTRY(feed) link;
	struct event_relay *relay;
	char host[UUID_TEXT_SIZE];
	struct peer_call *call; /* NULL while there is none */
	int64_t retry;		/* monotonic ms */
	bool wanted;		/* the host is there, and somebody reads */
	bool told;		/* something came since it was connected */
	bool gap;		/* it may have missed something, which is still to be told */
	int64_t reset_due;	/* monotonic ms */
	unsigned int n_events;	/* since the last look */
	struct sse sse;
};

struct event_relay {
	struct peers *peers;
	const struct members *members;
	struct event_streams *streams;
	struct events *events;
	struct operations *operations;
	struct timer *timer;
	LIST_HEAD(, feed) feeds;
};

static void
feed_free(struct feed *feed)
{
	LIST_REMOVE(feed, link);
	if (feed->call)
		peer_cancel(feed->call);
	sse_clear(&feed->sse);
	free(feed);
}

static bool
on_event(void *arg, const struct sse_event *event)
{
	struct feed *feed = arg;
	struct operation operation = { 0 };
	struct error ignored = { 0 };

	feed->told = true;
	feed->n_events++;
	feed->gap |= str_equal(event->type, "reset");
	if (str_equal(event->type, "operation") &&
	    json_decode(&operation_model, event->data, strlen(event->data), &operation, &ignored) ==
		0 &&
	    str_equal(operation.host, feed->host) &&
	    !operations_find(feed->relay->operations, str_or_empty(operation.id))) {
		operations_set_elsewhere(feed->relay->operations, operation.id, feed->host);
		events_add_operation(feed->relay->events, &operation);
	}
	model_clear(&operation_model, &operation);
	return true;
}

static bool
on_begin(void *arg, const struct peer_answer *answer)
{
	return answer->status == 200;
}

static void
on_data(void *arg, const void *data, size_t len)
{
	struct feed *feed = arg;

	if (sse_feed(&feed->sse, data, len, on_event, feed)) {
		if (feed->n_events > FEED_MAX)
			peer_pause(feed->call, true);
		return;
	}
	log_debug("events", "host '%s' sends no events", feed->host);
	peer_cancel(steal_ptr(feed->call));
	feed->retry = monotonic_ms() + RETRY_MS;
}

static void
on_done(void *arg, const struct peer_answer *answer, const struct error *err)
{
	struct feed *feed = arg;

	log_debug("events", "host '%s' tells no more of its operations: %s", feed->host,
	    answer ? "it ended the stream" : err->detail);
	feed->call = NULL;
	feed->retry = feed->told ? 0 : monotonic_ms() + RETRY_MS;
}

static const struct peer_ops feed_ops = { .begin = on_begin, .data = on_data, .done = on_done };

static void
start(struct feed *feed, const struct member_host *host)
{
	const struct request_header headers[] = {
		{ "X-VirtX-Loop", "1" },
		{ "Last-Event-ID", feed->sse.id },
	};
	size_t id = strlen(str_or_empty(feed->sse.id));
	_free_ char *path = xasprintf("%s?type=operation", routes[ROUTE_EVENTS].path);
	struct peer_request request = {
		.addr = host->addr,
		.port = host->port,
		.host = host->uuid,
		.tls = host->tls,
		.method = METHOD_GET,
		.path = path,
		.headers = headers,
		.n_headers = ARRAY_SIZE(headers) - (id == 0 || id > ID_MAX),
		.connect_ms = 2000,
		.deadline_ms = SILENCE_MS,
		.stream = true,
		.answer_max = CHUNK_MAX,
		.whole_max = WHOLE_MAX,
	};

	sse_restart(&feed->sse);
	feed->told = false;
	feed->call = peer_start(feed->relay->peers, &request, &feed_ops, feed);
}

static void
each_host(void *arg, const struct member_host *host)
{
	struct event_relay *relay = arg;
	struct feed *feed;

	if (host->cstate != CSTATE_ACTIVE || host->go || !peers_may_ask(relay->peers, host->uuid))
		return;
	LIST_FOREACH (feed, &relay->feeds, link) {
		if (str_equal(feed->host, host->uuid))
			break;
	}
	if (!feed) {
		feed = xcalloc(1, sizeof(*feed));
		feed->relay = relay;
		memcpy(feed->host, host->uuid, sizeof(feed->host));
		LIST_INSERT_HEAD(&relay->feeds, feed, link);
	}
	feed->wanted = true;
	if (!feed->call && monotonic_ms() >= feed->retry)
		start(feed, host);
}

/* Whether a reset is due for what it may have missed. */
static bool
look_at(struct feed *feed)
{
	int64_t now = monotonic_ms();
	bool due = feed->gap && now >= feed->reset_due;

	feed->n_events = 0;
	if (feed->call)
		peer_pause(feed->call, false);
	if (!due)
		return false;
	feed->gap = false;
	feed->reset_due = now + RESET_MS;
	return true;
}

static void
on_stream(void *arg)
{
	struct event_relay *relay = arg;

	if (!timer_is_started(relay->timer))
		timer_start(relay->timer, LOOK_MS);
}

static void
on_timer(void *arg)
{
	struct event_relay *relay = arg;
	bool wanted = event_streams_wanted(relay->streams), reset = false;
	struct feed *feed, *next;

	LIST_FOREACH (feed, &relay->feeds, link)
		feed->wanted = false;
	if (wanted)
		members_each(relay->members, each_host, relay);
	for (feed = LIST_FIRST(&relay->feeds); feed; feed = next) {
		next = LIST_NEXT(feed, link);
		reset |= look_at(feed) || (feed->gap && !feed->wanted);
		if (!feed->wanted)
			feed_free(feed);
	}
	/* One for all that came since the last look. */
	if (reset)
		events_add_reset(relay->events);
	if (wanted || !LIST_EMPTY(&relay->feeds))
		timer_start(relay->timer, LOOK_MS);
}

struct event_relay *
event_relay_new(struct event_base *base, struct peers *peers, const struct members *members,
    struct event_streams *streams, struct events *events, struct operations *operations)
{
	struct event_relay *relay = xcalloc(1, sizeof(*relay));

	*relay = (struct event_relay){
		.peers = peers,
		.members = members,
		.streams = streams,
		.events = events,
		.operations = operations,
		.timer = timer_new(base, on_timer, relay),
	};
	event_streams_observe(streams, on_stream, relay);
	return relay;
}

void
event_relay_free(struct event_relay *relay)
{
	if (!relay)
		return;
	while (!LIST_EMPTY(&relay->feeds))
		feed_free(LIST_FIRST(&relay->feeds));
	event_streams_observe(relay->streams, NULL, NULL);
	timer_free(relay->timer);
	free(relay);
}
