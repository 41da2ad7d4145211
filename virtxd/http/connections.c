/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The connections of a server: who may come in, and who has to go. */
#include "http/connections.h"

#include <assert.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http.h>
#include <malloc.h>
#include <string.h>

#include "http/connection_list.h"
#include "http/lingering_close.h"
#include "http/tls.h"
#include "loop/timer.h"
#include "proto/log.h"

#define TICK_MS		500
#define RESTING_MS	5000 /* the same, while there is no connection */
#define EVICT_MIN_MS	1000 /* a connection that waited for less is not closed for another */
#define ACCEPT_MAX	64   /* in one round of the loop */
#define HANDSHAKES_MAX	384  /* of TLS at one time, 45 KiB each; no more than half of all */
#define HANDSHAKES_EACH 8    /* of one client, before it is the first to lose some */
#define TLS_WEIGHT	4    /* one more takes as long as so many plain ones */
#define CROWD_MS	20   /* between two looks for whom to drop */
#define BUFFERED_MAX	(128 << 20) /* of all connections together, bytes */
#define GIVE_BACK_MIN	(8 << 20)   /* bytes of replies at one time */
#define GIVE_BACK_MS	10000	    /* the whole heap is looked through */
#define BUFFERED_SMALL	(32 * 1024) /* closing one that holds less does not help */

/*
 * Closes the one that has been stuck longest, of the client that has the most of those that have at
 * least as many as the newcomer; false where none was stuck for long enough.
 */
static bool
make_room(struct connections *connections, unsigned int least)
{
	static const enum state states[] = { STATE_HANDSHAKE, STATE_WAITING, STATE_REPLYING,
		STATE_STREAMING };
	struct connection *c, *chosen = NULL;
	int64_t now = monotonic_ms(), longest = 0;

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		TAILQ_FOREACH (c, &connections->lists[states[i]], entry) {
			int64_t ms = connection_stuck_ms(c, now);

			if (!c->share || c->share->n < least)
				continue;
			/* One that takes most of the room for itself is not waited for. */
			if (ms < EVICT_MIN_MS && (ms <= 0 || c->share->n <= connections->n / 2 ||
						     c->share->n <= least + 1))
				continue;
			if (chosen && (c->share->n < chosen->share->n ||
					  (c->share->n == chosen->share->n && ms <= longest)))
				continue;
			chosen = c;
			longest = ms;
		}
	}
	if (!chosen)
		return false;
	connection_evict(chosen);
	return true;
}

/* Lets a new one in, or turns it away. */
static void
admit(struct connections *connections, struct connection *c)
{
	static struct log_limit limit;
	uint8_t key[ADDRESS_SHARE_SIZE];
	struct share *share;
	char *address;
	uint16_t port;

	evhttp_connection_get_peer(c->evcon, &address, &port);
	address_share(address, key);
	HASH_FIND(hh, connections->shares, key, sizeof(key), share);
	if (connections->n >= (unsigned int)connections->limits.max &&
	    !make_room(connections, share ? share->n : 0)) {
		connections->n_refused++;
		log_limited(&limit, 2, "http", "a connection was refused: all %d are in use",
		    connections->limits.max);
		connection_turn_away(c, 503, "Retry-After: 1\r\n", "too many connections");
		return;
	}
	/* It may have gone with its last connection. */
	HASH_FIND(hh, connections->shares, key, sizeof(key), share);
	if (!share) {
		share = xcalloc(1, sizeof(*share));
		memcpy(share->key, key, sizeof(key));
		HASH_ADD(hh, connections->shares, key, sizeof(share->key), share);
	}
	connection_set_share(c, share);
}

static void
arm(struct connections *connections, int ms)
{
	connections->resting = ms == RESTING_MS;
	timer_start(connections->tick, ms);
}

/* For another handshake. */
static bool
has_room(const struct connections *connections)
{
	return connections->n_handshakes + connections->n_beginning < connections->handshakes_max;
}

/* Each kind for itself: whoever begins handshakes and does not end them keeps no other one out. */
static void
update_accepting(struct connections *connections)
{
	bool on = connections->n_fresh < ACCEPT_MAX;
	bool room = has_room(connections);

	for (int kind = 0; kind < CONNECTION_KINDS; kind++)
		connections->accepting(connections->accepting_arg, (enum connection_kind)kind,
		    on && (room || !connection_kind_is_tls((enum connection_kind)kind)));
	if (!room && !timer_is_started(connections->crowd))
		timer_start(connections->crowd, CROWD_MS);
}

static void
on_handshake_ended(struct connections *connections)
{
	if (connections->n_handshakes == connections->handshakes_max - 1)
		update_accepting(connections);
}

/* Who has to go while others wait to begin theirs. What a client sends first comes with its
 * connection, or little later; and the rest, once we have answered. */
static const struct crowd {
	unsigned int each; /* only of clients that have more at a time */
	bool silent;	   /* only those of which nothing has come */
	int64_t ms;	   /* so old */
} crowds[] = {
	{ HANDSHAKES_EACH, true, CROWD_MS },
	{ HANDSHAKES_EACH, false, 100 },
	{ 0, true, 100 },
	{ 0, false, 1000 },
};

static unsigned int
drop_handshakes(struct connections *connections, const struct crowd *crowd)
{
	struct connection *c, *next;
	int64_t now = monotonic_ms();
	unsigned int n = 0;

	for (c = TAILQ_FIRST(&connections->lists[STATE_HANDSHAKE]); c; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (now - c->since < crowd->ms ||
		    (c->share && c->share->n_handshakes <= crowd->each) ||
		    (crowd->silent && !connection_is_silent(c)))
			continue;
		connection_evict(c);
		n++;
	}
	return n;
}

/* Others wait to begin. */
static void
on_crowd(void *arg)
{
	struct connections *connections = arg;
	unsigned int n = 0;

	if (connections->n_handshakes < connections->handshakes_max)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(crowds) && n == 0; i++)
		n = drop_handshakes(connections, &crowds[i]);
	update_accepting(connections);
}

static struct bufferevent *
new_bufferevent(struct connections *connections, struct event_base *base, enum connection_kind kind)
{
	/* The socket is the bufferevent's, so that it can be taken out before evhttp closes it. */
	struct bufferevent *bev =
	    connection_kind_is_tls(kind)
		? bufferevent_openssl_socket_new(base, -1, tls_accept(connections->tls),
		      BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE)
		: bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);

	if (!bev)
		abort();
	return bev;
}

/* evhttp asks for the bufferevent of a connection that it has just accepted: the only notice that
 * there is one. */
static struct bufferevent *
on_accept(struct event_base *base, void *arg)
{
	const struct connections_door *door = arg;
	struct connections *connections = door->owner;
	struct bufferevent *bev = new_bufferevent(connections, base, door->kind);

	connection_new(connections, door->kind, bev);
	/* The listener would go on for as long as others come, and nothing else would run. */
	connections->n_fresh += connection_kind_is_tls(door->kind) ? TLS_WEIGHT : 1;
	connections->n_beginning += connection_kind_is_tls(door->kind);
	if (connections->n_fresh >= ACCEPT_MAX || !has_room(connections))
		update_accepting(connections);
	timer_soon(connections->deferred);
	if (connections->resting)
		arm(connections, TICK_MS);
	return bev;
}

static struct share *
find_heaviest(const struct connections *connections)
{
	struct share *share, *heaviest = NULL;

	for (share = connections->shares; share; share = share->hh.next) {
		if (!heaviest || share->unsent > heaviest->unsent)
			heaviest = share;
	}
	return heaviest;
}

/* The oldest of the client's that holds much, and has done so for long enough. */
static struct connection *
find_holder(const struct connections *connections, const struct share *share, int64_t since)
{
	static const enum state states[] = { STATE_REPLYING, STATE_STREAMING };
	struct connection *c;

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		TAILQ_FOREACH (c, &connections->lists[states[i]], entry) {
			if (c->share == share && c->since <= since &&
			    connection_buffered(c) >= BUFFERED_SMALL)
				return c;
		}
	}
	return NULL;
}

/* Large replies are made faster than their clients take them: those of the client are closed that
 * has most, of those that have been there since then. */
static void
relieve(struct connections *connections, int64_t since)
{
	static struct log_limit limit;
	struct connection *c;

	while (connections->unsent > BUFFERED_MAX &&
	       (c = find_holder(connections, find_heaviest(connections), since))) {
		char *address;
		uint16_t port;

		evhttp_connection_get_peer(c->evcon, &address, &port);
		log_limited(&limit, 2, "http",
		    "replies of %zu MiB wait for their clients: a connection of '%s' is closed",
		    connections->unsent >> 20, address);
		connection_evict(c);
	}
}

static void
on_deferred(void *arg)
{
	struct connections *connections = arg;
	struct connection *c, *next;
	bool paused;

	while ((c = TAILQ_FIRST(&connections->lists[STATE_FRESH]))) {
		if (connection_adopt(c))
			admit(connections, c);
	}
	paused = connections->n_fresh >= ACCEPT_MAX || !has_room(connections);
	connections->n_fresh = connections->n_beginning = 0;
	if (paused)
		update_accepting(connections);
	if (connections->unsent > UNSENT_MAX)
		relieve(connections, monotonic_ms());
	/* They have just got input, so they are mostly few, and found late in the list. */
	for (c = TAILQ_LAST(&connections->lists[STATE_WAITING], connection_list);
	     c && connections->n_error_pages > 0; c = next) {
		next = TAILQ_PREV(c, connection_list, entry);
		if (c->error_page)
			connection_replace_page(c);
	}
}

/* Closes what is over its deadline, and from the oldest on what fills the memory; returns the bytes
 * that the rest holds. */
static size_t
sweep(struct connection_list *list, int64_t now, size_t budget)
{
	struct connection *c, *next;
	size_t total = 0;

	TAILQ_FOREACH (c, list, entry)
		total += connection_buffered(c);
	for (c = TAILQ_FIRST(list); c; c = next) {
		size_t bytes = connection_buffered(c);

		next = TAILQ_NEXT(c, entry);
		if (!connection_is_overdue(c, now) &&
		    (total <= budget || bytes < BUFFERED_SMALL || now - c->since < EVICT_MIN_MS))
			continue;
		total -= bytes;
		connection_evict(c);
	}
	return total;
}

/* malloc keeps what many large replies took, in pieces between what is still in use. */
static void
give_back(struct connections *connections)
{
	int64_t now = monotonic_ms();

	if (connections->highest < GIVE_BACK_MIN ||
	    connections->unsent > connections->highest / 4 || now < connections->give_back_due)
		return;
	malloc_trim(0);
	connections->give_back_due = now + GIVE_BACK_MS;
	connections->highest = connections->unsent;
}

static void
on_tick(void *arg)
{
	struct connections *connections = arg;
	int64_t now = monotonic_ms();
	size_t used;

	sweep(&connections->lists[STATE_HANDSHAKE], now, SIZE_MAX);
	sweep(&connections->lists[STATE_REPLYING], now, SIZE_MAX);
	sweep(&connections->lists[STATE_STREAMING], now, SIZE_MAX);
	relieve(connections, now - EVICT_MIN_MS);
	used = connections->unsent;
	sweep(
	    &connections->lists[STATE_WAITING], now, used < BUFFERED_MAX ? BUFFERED_MAX - used : 0);
	update_accepting(connections);
	give_back(connections);
	arm(connections,
	    connections->n > 0 || connections->highest >= GIVE_BACK_MIN ? TICK_MS : RESTING_MS);
}

struct connections *
connections_new(struct event_base *base, const struct connections_limits *limits,
    connections_accepting accepting, void *arg)
{
	struct connections *connections = xcalloc(1, sizeof(*connections));

	connections->handshake_ended = on_handshake_ended;
	connections->base = base;
	connections->limits = *limits;
	connections->handshakes_max =
	    limits->max / 2 < HANDSHAKES_MAX ? (unsigned int)limits->max / 2 : HANDSHAKES_MAX;
	connections->accepting = accepting;
	connections->accepting_arg = arg;
	for (int i = 0; i < STATE_N; i++)
		TAILQ_INIT(&connections->lists[i]);
	TAILQ_INIT(&connections->sending);
	connections->sender = timer_new(base, connections_send, connections);
	connections->deferred = timer_new(base, on_deferred, connections);
	connections->tick = timer_new(base, on_tick, connections);
	connections->crowd = timer_new(base, on_crowd, connections);
	arm(connections, RESTING_MS);
	connections->lingering = lingering_closes_new(base);
	return connections;
}

void
connections_serve(struct connections *connections, struct evhttp *http, enum connection_kind kind)
{
	struct connections_door *door = &connections->doors[kind];

	*door = (struct connections_door){ connections, kind };
	evhttp_set_bevcb(http, on_accept, door);
}

void
connections_set_tls(struct connections *connections, struct tls *tls)
{
	connections->tls = tls;
}

void
connections_set_door(struct connections *connections, struct local_door *door)
{
	connections->local = door;
}

void
connections_free(struct connections *connections)
{
	struct connection *c;

	if (!connections)
		return;
	while ((c = TAILQ_FIRST(&connections->lists[STATE_FRESH])))
		connection_free(c);
	assert(connections->n == 0);
	lingering_closes_free(connections->lingering);
	timer_free(connections->sender);
	timer_free(connections->deferred);
	timer_free(connections->tick);
	timer_free(connections->crowd);
	free(connections);
}

void
connections_get_stats(const struct connections *connections, struct connections_stats *ret)
{
	ret->open = connections->n;
	ret->refused = connections->n_refused;
	ret->handshakes = connections->n_handshakes;
	ret->handshakes_failed = connections->n_handshakes_failed;
}

struct connection *
connections_find(struct connections *connections, struct evhttp_connection *evcon)
{
	struct connection *c;

	HASH_FIND_PTR(connections->by_evcon, &evcon, c);
	assert(c);
	return c;
}
