/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "http/wire.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http_struct.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "state/address.h"

#define IDLE_MS	    4000 /* well below what any of our hosts waits between two requests */
#define IDLE_MAX    128
#define HEADERS_MAX (64 << 10) /* bytes of an answer's headers */
#define LINE_MAX    (4 << 10)  /* of the line before a chunk */
#define FREELY_MAX  (64 << 10) /* of an answer that is held, whatever else is */
#define HELD_MAX    (12 << 20) /* of all answers of one address together */
#define IO_S	    86400      /* evhttp's own timeouts, as those of the callers count */

enum wire_state { WIRE_BUSY, WIRE_IDLE, WIRE_DEAD };

TAILQ_HEAD(wire_list, wire);

struct wire {
	TAILQ_ENTRY(wire) entry;
	struct wires *owner;
	enum wire_state state;
	struct evhttp_connection *evcon;
	struct event *timer; /* to connect in, or to be idle for */
	char *addr;
	uint16_t port;
	bool connected;
	bool used;
	int errnum;
	bufferevent_event_cb on_event; /* evhttp's, while connecting */
	const struct wire_ops *ops;
	void *call;
	const struct evhttp_request *http; /* evhttp's, until it is answered */
	bool sending; /* evhttp may answer meanwhile: where connect() fails at once */
	size_t held;
};

struct wires {
	struct event_base *base;
	struct wire_list busy, idle, dead;
	struct event *reaper;
	unsigned int n, n_idle;
	char source[ADDRESS_SIZE];
};

static void
wire_free(struct wire *wire)
{
	evhttp_connection_set_closecb(wire->evcon, NULL, NULL);
	evhttp_connection_free(wire->evcon);
	event_free(wire->timer);
	free(wire->addr);
	free(wire);
}

static struct wire_list *
list_of(struct wires *wires, enum wire_state state)
{
	return state == WIRE_BUSY ? &wires->busy : state == WIRE_IDLE ? &wires->idle : &wires->dead;
}

static void
set_state(struct wire *wire, enum wire_state state)
{
	struct wires *wires = wire->owner;

	TAILQ_REMOVE(list_of(wires, wire->state), wire, entry);
	wires->n_idle -= wire->state == WIRE_IDLE;
	wire->state = state;
	TAILQ_INSERT_TAIL(list_of(wires, state), wire, entry);
	wires->n_idle += state == WIRE_IDLE;
	if (state == WIRE_DEAD)
		event_active(wires->reaper, 0, 0);
}

/* Where no evhttp is on the stack. */
static void
on_reaper(evutil_socket_t fd, short what, void *arg)
{
	struct wires *wires = arg;
	struct wire *wire;

	while ((wire = TAILQ_FIRST(&wires->dead))) {
		TAILQ_REMOVE(&wires->dead, wire, entry);
		wires->n--;
		wire_free(wire);
	}
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct wire *wire = arg;

	if (wire->state == WIRE_IDLE)
		set_state(wire, WIRE_DEAD);
	else if (wire->state == WIRE_BUSY && !wire->connected)
		wire->ops->late(wire, wire->call);
}

/* Whether closing it aborts it. Whoever ends a connection in an orderly way keeps its port for a
 * minute: where a peer's answers are of no use, again and again, connect() would have none left,
 * and take milliseconds to find one. */
static void
set_abortive(const struct wire *wire, bool on)
{
	const struct linger linger = { .l_onoff = on, .l_linger = 0 };

	(void)setsockopt(bufferevent_getfd(evhttp_connection_get_bufferevent(wire->evcon)),
	    SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

/* evhttp tells neither that a connection stands nor why it does not. */
static void
on_connecting(struct bufferevent *bev, short what, void *arg)
{
	struct wire *wire = arg;

	if (what & BEV_EVENT_ERROR)
		wire->errnum = errno;
	if (what & BEV_EVENT_CONNECTED) {
		wire->connected = true;
		set_abortive(wire, true);
		event_del(wire->timer);
	}
	wire->on_event(bev, what, wire->evcon);
}

/* Bytes of the answer that wait to be whole. */
static size_t
count_held(const struct wire *wire)
{
	if (!wire->http)
		return 0;
	return evbuffer_get_length(
		   bufferevent_get_input(evhttp_connection_get_bufferevent(wire->evcon))) +
	       wire->held;
}

/* Whether this wire holds more than it may. evhttp bounds the headers and the body, but neither the
 * line that announces a chunk nor what many answers hold together. */
static bool
is_flooded(const struct wire *wire, size_t waiting)
{
	const struct evhttp_request *http = wire->http;
	const struct wire *other;
	size_t held = 0;

	if (http->chunked && http->ntoread < 0 && waiting > LINE_MAX)
		return true;
	if (count_held(wire) <= FREELY_MAX)
		return false;
	TAILQ_FOREACH (other, &wire->owner->busy, entry) {
		if (other->port == wire->port && strcmp(other->addr, wire->addr) == 0)
			held += count_held(other);
	}
	return held > HELD_MAX;
}

static void
on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
	struct wire *wire = arg;

	if (info->n_added == 0 || wire->state != WIRE_BUSY || !wire->http ||
	    !is_flooded(wire, info->orig_size))
		return;
	wire_read(wire, false);
	wire->ops->flood(wire, wire->call);
}

/* The other side has closed it, or evhttp has given it up. */
static void
on_close(struct evhttp_connection *evcon, void *arg)
{
	struct wire *wire = arg;

	if (wire->state == WIRE_IDLE)
		set_state(wire, WIRE_DEAD);
}

struct wires *
wires_new(struct event_base *base)
{
	struct wires *wires = xcalloc(1, sizeof(*wires));

	wires->base = base;
	TAILQ_INIT(&wires->busy);
	TAILQ_INIT(&wires->idle);
	TAILQ_INIT(&wires->dead);
	wires->reaper = event_new(base, -1, 0, on_reaper, wires);
	if (!wires->reaper)
		abort();
	return wires;
}

void
wires_free(struct wires *wires)
{
	struct wire *wire;

	while ((wire = TAILQ_FIRST(&wires->idle)))
		set_state(wire, WIRE_DEAD);
	on_reaper(-1, 0, wires);
	event_free(wires->reaper);
	free(wires);
}

void
wires_set_source(struct wires *wires, const char *addr)
{
	snprintf(wires->source, sizeof(wires->source), "%s", addr);
}

void
wires_get_counts(const struct wires *wires, unsigned int *open, unsigned int *idle)
{
	*open = wires->n;
	*idle = wires->n_idle;
}

/* On a host with several addresses the kernel may prefer another one than that by which the others
 * know it. */
static void
set_source(struct wire *wire)
{
	const char *source = wire->owner->source;
	bool is4 = !strchr(wire->addr, ':');
	char usual[ADDRESS_SIZE];

	if (!*source || is4 != !strchr(source, ':') || !address_source(wire->addr, usual) ||
	    strcmp(usual, source) == 0 || address_is_loopback(usual) || !address_is_usable(source))
		return;
	evhttp_connection_set_local_address(wire->evcon, source);
}

static struct wire *
wire_new(struct wires *wires, const char *addr, uint16_t port)
{
	struct wire *wire = xcalloc(1, sizeof(*wire));

	wire->owner = wires;
	wire->addr = xstrdup(addr);
	wire->port = port;
	wire->timer = evtimer_new(wires->base, on_timer, wire);
	wire->evcon = evhttp_connection_base_new(wires->base, NULL, addr, port);
	if (!wire->timer || !wire->evcon)
		abort();
	set_source(wire);
	evhttp_connection_set_timeout(wire->evcon, IO_S);
	evhttp_connection_set_max_headers_size(wire->evcon, HEADERS_MAX);
	evhttp_connection_set_closecb(wire->evcon, on_close, wire);
	if (!evbuffer_add_cb(bufferevent_get_input(evhttp_connection_get_bufferevent(wire->evcon)),
		on_input, wire))
		abort();
	TAILQ_INSERT_TAIL(&wires->busy, wire, entry);
	wires->n++;
	return wire;
}

/* Nothing has come on it since the last answer: neither its end nor an answer that nobody asked
 * for. */
static bool
is_quiet(const struct wire *wire)
{
	evutil_socket_t fd = bufferevent_getfd(evhttp_connection_get_bufferevent(wire->evcon));
	char byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* The one that was used last is the likeliest to be still good. */
static struct wire *
last_idle(struct wires *wires, const char *addr, uint16_t port)
{
	struct wire *wire;

	TAILQ_FOREACH_REVERSE(wire, &wires->idle, wire_list, entry)
	{
		if (wire->port == port && strcmp(wire->addr, addr) == 0)
			return wire;
	}
	return NULL;
}

static struct wire *
find_idle(struct wires *wires, const char *addr, uint16_t port)
{
	struct wire *wire;

	while ((wire = last_idle(wires, addr, port)) && !is_quiet(wire))
		set_state(wire, WIRE_DEAD);
	return wire;
}

struct wire *
wire_get(struct wires *wires, const char *addr, uint16_t port, bool fresh, int connect_ms,
    const struct wire_ops *ops, void *call)
{
	struct timeval tv = { connect_ms / 1000, connect_ms % 1000 * 1000 };
	struct wire *wire = fresh ? NULL : find_idle(wires, addr, port);

	if (wire) {
		set_state(wire, WIRE_BUSY);
		set_abortive(wire, true);
		event_del(wire->timer);
	} else {
		wire = wire_new(wires, addr, port);
		event_add(wire->timer, &tv);
	}
	wire->ops = ops;
	wire->call = call;
	return wire;
}

int
wire_send(struct wire *wire, struct evhttp_request *http, enum evhttp_cmd_type type,
    const char *path, size_t answer_max)
{
	struct bufferevent *bev = evhttp_connection_get_bufferevent(wire->evcon);
	void *ignored;
	int r;

	wire_limit(wire, answer_max);
	wire->http = http;
	wire->held = 0;
	wire->sending = true;
	errno = 0;
	r = evhttp_make_request(wire->evcon, http, type, path);
	wire->sending = false;
	if (r < 0 || !wire->http) {
		if (!wire->errnum)
			wire->errnum = r < 0 && errno ? errno : ECONNABORTED;
		wire->http = NULL;
		errno = wire->errnum;
		return -1;
	}
	if (wire->connected)
		return 0;
	(void)fcntl(bufferevent_getfd(bev), F_SETFD, FD_CLOEXEC);
	bufferevent_getcb(bev, NULL, NULL, &wire->on_event, &ignored);
	bufferevent_setcb(bev, NULL, NULL, on_connecting, wire);
	return 0;
}

void
wire_limit(struct wire *wire, size_t answer_max)
{
	evhttp_connection_set_max_body_size(wire->evcon, (ev_ssize_t)answer_max);
}

void
wire_hold(struct wire *wire, size_t len)
{
	wire->held = len;
}

void
wire_answered(struct wire *wire)
{
	wire->http = NULL;
	if (wire->sending)
		wire->errnum = errno;
}

bool
wire_has_more(const struct wire *wire)
{
	struct bufferevent *bev = evhttp_connection_get_bufferevent(wire->evcon);

	return evbuffer_get_length(bufferevent_get_input(bev)) > 0;
}

void *
wire_call(const struct wire *wire)
{
	return wire->sending ? NULL : wire->call;
}

bool
wire_was_used(const struct wire *wire)
{
	return wire->used;
}

bool
wire_is_connected(const struct wire *wire)
{
	return wire->connected;
}

int
wire_errno(const struct wire *wire)
{
	return wire->errnum ? wire->errnum : ECONNREFUSED;
}

void
wire_read(struct wire *wire, bool on)
{
	struct bufferevent *bev = evhttp_connection_get_bufferevent(wire->evcon);

	if (on)
		bufferevent_enable(bev, EV_READ);
	else
		bufferevent_disable(bev, EV_READ);
}

void
wire_done(struct wire *wire)
{
	static const struct timeval idle = { IDLE_MS / 1000, IDLE_MS % 1000 * 1000 };
	struct bufferevent *bev = evhttp_connection_get_bufferevent(wire->evcon);

	wire->call = NULL;
	wire->used = true;
	/* evhttp has closed it where the answer said so. */
	if (bufferevent_getfd(bev) < 0 || wire->owner->n_idle >= IDLE_MAX) {
		set_state(wire, WIRE_DEAD);
		return;
	}
	set_abortive(wire, false);
	set_state(wire, WIRE_IDLE);
	event_add(wire->timer, &idle);
}

void
wire_drop(struct wire *wire)
{
	wire->call = NULL;
	event_del(wire->timer);
	set_state(wire, WIRE_DEAD);
}
