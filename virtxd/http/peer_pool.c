/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "http/peer_pool.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http_struct.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "http/tls.h"
#include "loop/timer.h"
#include "state/address.h"

#define IDLE_MS	    4000 /* well below what any of our hosts waits between two requests */
#define IDLE_MAX    128
#define HEADERS_MAX (64 << 10) /* bytes of an answer's headers */
#define LINE_MAX    (4 << 10)  /* of the line before a chunk */
#define FREELY_MAX  (64 << 10) /* of an answer that is held, whatever else is */
#define HELD_MAX    (12 << 20) /* of all answers of one address together */
#define SENT_MAX    (64 << 10) /* of a request at once, by TLS */
#define IO_S	    86400      /* evhttp's own timeouts, as those of the callers count */

enum peer_connection_state { PEER_CONNECTION_BUSY, PEER_CONNECTION_IDLE, PEER_CONNECTION_DEAD };

TAILQ_HEAD(peer_connection_list, peer_connection);

struct peer_connection {
	TAILQ_ENTRY(peer_connection) entry;
	struct peer_pool *owner;
	enum peer_connection_state state;
	struct evhttp_connection *evcon;
	struct timer *timer; /* to connect in, or to be idle for */
	char *addr;
	uint16_t port;
	bool tls;
	struct tls_peer peer; /* where it is TLS */
	/* Wants to read, too, so that the kernel need not hear of it when evhttp stops reading for
	 * a moment. NULL while it does not stand. */
	struct event *hold;
	bool connected;
	bool used;
	int errnum;
	bufferevent_event_cb on_event; /* evhttp's, while connecting */
	const struct peer_connection_ops *ops;
	void *call;
	const struct evhttp_request *http; /* evhttp's, until it is answered */
	bool sending; /* evhttp may answer meanwhile: where connect() fails at once */
	size_t held;
};

struct peer_pool {
	struct event_base *base;
	struct peer_connection_list busy, idle, dead;
	struct timer *reaper;
	unsigned int n, n_idle;
	char source[ADDRESS_SIZE];
	struct tls *tls;
};

/* Nothing: the bufferevent reads. */
static void
on_hold(evutil_socket_t fd, short what, void *arg)
{
}

static void
begin_hold(struct peer_connection *conn, evutil_socket_t fd)
{
	conn->hold = event_new(conn->owner->base, fd, EV_READ | EV_PERSIST, on_hold, NULL);
	if (!conn->hold || event_add(conn->hold, NULL) < 0)
		abort();
}

/* Before its socket is closed. */
static void
end_hold(struct peer_connection *conn)
{
	if (conn->hold)
		event_free(steal_ptr(conn->hold));
}

static void
peer_connection_free(struct peer_connection *conn)
{
	struct bufferevent *bev = evhttp_connection_get_bufferevent(conn->evcon);

	end_hold(conn);
	if (conn->tls && conn->connected && bufferevent_getfd(bev) >= 0)
		tls_end(bufferevent_openssl_get_ssl(bev));
	/* The bufferevent may outlive it, where a callback of its own is put off. */
	if (conn->tls)
		tls_forget(bufferevent_openssl_get_ssl(bev));
	evhttp_connection_set_closecb(conn->evcon, NULL, NULL);
	evhttp_connection_free(conn->evcon);
	timer_free(conn->timer);
	free(conn->addr);
	free(conn);
}

static struct peer_connection_list *
list_of(struct peer_pool *pool, enum peer_connection_state state)
{
	return state == PEER_CONNECTION_BUSY   ? &pool->busy
	       : state == PEER_CONNECTION_IDLE ? &pool->idle
					       : &pool->dead;
}

/* Whether closing it aborts it. Whoever ends a connection in an orderly way keeps its port for a
 * minute: where a peer's answers are of no use, again and again, connect() would have none left,
 * and take milliseconds to find one. */
static void
set_abortive(const struct peer_connection *conn, bool on)
{
	const struct linger linger = { .l_onoff = on, .l_linger = 0 };

	(void)setsockopt(bufferevent_getfd(evhttp_connection_get_bufferevent(conn->evcon)),
	    SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

static void
set_state(struct peer_connection *conn, enum peer_connection_state state)
{
	struct peer_pool *pool = conn->owner;

	/* One that has served ends as it should. */
	if (conn->state == PEER_CONNECTION_IDLE && state == PEER_CONNECTION_DEAD)
		set_abortive(conn, false);
	TAILQ_REMOVE(list_of(pool, conn->state), conn, entry);
	pool->n_idle -= conn->state == PEER_CONNECTION_IDLE;
	conn->state = state;
	TAILQ_INSERT_TAIL(list_of(pool, state), conn, entry);
	pool->n_idle += state == PEER_CONNECTION_IDLE;
	if (state == PEER_CONNECTION_DEAD)
		timer_soon(pool->reaper);
}

/* Where no evhttp is on the stack. */
static void
on_reaper(void *arg)
{
	struct peer_pool *pool = arg;
	struct peer_connection *conn;

	while ((conn = TAILQ_FIRST(&pool->dead))) {
		TAILQ_REMOVE(&pool->dead, conn, entry);
		pool->n--;
		peer_connection_free(conn);
	}
}

static void
on_timer(void *arg)
{
	struct peer_connection *conn = arg;

	if (conn->state == PEER_CONNECTION_IDLE)
		set_state(conn, PEER_CONNECTION_DEAD);
	else if (conn->state == PEER_CONNECTION_BUSY && !conn->connected)
		conn->ops->late(conn, conn->call);
}

/* evhttp tells neither that a connection stands nor why it does not. */
static void
on_connecting(struct bufferevent *bev, short what, void *arg)
{
	struct peer_connection *conn = arg;
	int on = 1;

	if (what & BEV_EVENT_ERROR)
		conn->errnum = errno;
	if (what & (BEV_EVENT_ERROR | BEV_EVENT_EOF) && conn->tls)
		(void)tls_why(bev, &conn->peer);
	if (what & BEV_EVENT_CONNECTED) {
		/* Head and body are two records, and the second must not wait for an
		 * acknowledgement of the first. */
		if (conn->tls)
			(void)setsockopt(
			    bufferevent_getfd(bev), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		conn->connected = true;
		begin_hold(conn, bufferevent_getfd(bev));
		set_abortive(conn, true);
		timer_stop(conn->timer);
	}
	conn->on_event(bev, what, conn->evcon);
}

/* Bytes of the answer that wait to be whole. */
static size_t
count_held(const struct peer_connection *conn)
{
	if (!conn->http)
		return 0;
	return evbuffer_get_length(
		   bufferevent_get_input(evhttp_connection_get_bufferevent(conn->evcon))) +
	       conn->held;
}

/* Whether this connection holds more than it may. evhttp bounds the headers and the body, but
 * neither the line that announces a chunk nor what many answers hold together. */
static bool
is_flooded(const struct peer_connection *conn, size_t waiting)
{
	const struct evhttp_request *http = conn->http;
	const struct peer_connection *other;
	size_t held = 0;

	if (http->chunked && http->ntoread < 0 && waiting > LINE_MAX)
		return true;
	if (count_held(conn) <= FREELY_MAX)
		return false;
	TAILQ_FOREACH (other, &conn->owner->busy, entry) {
		if (other->port == conn->port && strcmp(other->addr, conn->addr) == 0)
			held += count_held(other);
	}
	return held > HELD_MAX;
}

static void
on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
	struct peer_connection *conn = arg;

	if (info->n_added == 0 || conn->state != PEER_CONNECTION_BUSY || !conn->http ||
	    !is_flooded(conn, info->orig_size))
		return;
	peer_connection_read(conn, false);
	conn->ops->flood(conn, conn->call);
}

/* The other side has closed it, or evhttp has given it up. */
static void
on_close(struct evhttp_connection *evcon, void *arg)
{
	struct peer_connection *conn = arg;

	end_hold(conn);
	if (conn->state == PEER_CONNECTION_IDLE)
		set_state(conn, PEER_CONNECTION_DEAD);
}

struct peer_pool *
peer_pool_new(struct event_base *base)
{
	struct peer_pool *pool = xcalloc(1, sizeof(*pool));

	pool->base = base;
	TAILQ_INIT(&pool->busy);
	TAILQ_INIT(&pool->idle);
	TAILQ_INIT(&pool->dead);
	pool->reaper = timer_new(base, on_reaper, pool);
	return pool;
}

void
peer_pool_free(struct peer_pool *pool)
{
	struct peer_connection *conn;

	while ((conn = TAILQ_FIRST(&pool->idle)))
		set_state(conn, PEER_CONNECTION_DEAD);
	on_reaper(pool);
	timer_free(pool->reaper);
	free(pool);
}

void
peer_pool_set_source(struct peer_pool *pool, const char *addr)
{
	snprintf(pool->source, sizeof(pool->source), "%s", addr);
}

void
peer_pool_set_tls(struct peer_pool *pool, struct tls *tls)
{
	pool->tls = tls;
}

void
peer_pool_get_counts(const struct peer_pool *pool, unsigned int *open, unsigned int *idle)
{
	*open = pool->n;
	*idle = pool->n_idle;
}

/* On a host with several addresses the kernel may prefer another one than that by which the others
 * know it. */
static void
set_source(struct peer_connection *conn)
{
	const char *source = conn->owner->source;
	bool is4 = !strchr(conn->addr, ':');
	char usual[ADDRESS_SIZE];

	if (!*source || is4 != !strchr(source, ':') || !address_source(conn->addr, usual) ||
	    strcmp(usual, source) == 0 || address_is_loopback(usual) || !address_is_usable(source))
		return;
	evhttp_connection_set_local_address(conn->evcon, source);
}

static struct evhttp_connection *
open_connection(struct peer_connection *conn, const struct peer_to *to)
{
	struct event_base *base = conn->owner->base;

	if (!to->tls)
		return evhttp_connection_base_new(base, NULL, to->addr, to->port);
	return evhttp_connection_base_bufferevent_new(base, NULL,
	    tls_connect(conn->owner->tls, base, to->host, &conn->peer), to->addr, to->port);
}

static struct peer_connection *
peer_connection_new(struct peer_pool *pool, const struct peer_to *to)
{
	struct peer_connection *conn = xcalloc(1, sizeof(*conn));

	conn->owner = pool;
	conn->addr = xstrdup(to->addr);
	conn->port = to->port;
	conn->tls = to->tls;
	conn->timer = timer_new(pool->base, on_timer, conn);
	conn->evcon = open_connection(conn, to);
	if (!conn->evcon)
		abort();
	set_source(conn);
	evhttp_connection_set_timeout(conn->evcon, IO_S);
	evhttp_connection_set_max_headers_size(conn->evcon, HEADERS_MAX);
	evhttp_connection_set_closecb(conn->evcon, on_close, conn);
	if (!evbuffer_add_cb(bufferevent_get_input(evhttp_connection_get_bufferevent(conn->evcon)),
		on_input, conn))
		abort();
	TAILQ_INSERT_TAIL(&pool->busy, conn, entry);
	pool->n++;
	return conn;
}

/* Nothing has come on it since the last answer: neither its end nor an answer that nobody asked
 * for. */
static bool
is_quiet(const struct peer_connection *conn)
{
	evutil_socket_t fd = bufferevent_getfd(evhttp_connection_get_bufferevent(conn->evcon));
	char byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* Who is at the other end of one without TLS, only the address tells. */
static bool
leads_to(const struct peer_connection *conn, const struct peer_to *to)
{
	if (conn->port != to->port || strcmp(conn->addr, to->addr) != 0 || conn->tls != to->tls)
		return false;
	return !to->tls || (strcmp(conn->peer.host, to->host) == 0 &&
			       tls_is_current(conn->owner->tls,
				   evhttp_connection_get_bufferevent(conn->evcon)));
}

/* The one that was used last is the likeliest to be still good. */
static struct peer_connection *
last_idle(struct peer_pool *pool, const struct peer_to *to)
{
	struct peer_connection *conn;

	TAILQ_FOREACH_REVERSE(conn, &pool->idle, peer_connection_list, entry)
	{
		if (leads_to(conn, to))
			return conn;
	}
	return NULL;
}

static struct peer_connection *
find_idle(struct peer_pool *pool, const struct peer_to *to)
{
	struct peer_connection *conn;

	while ((conn = last_idle(pool, to)) && !is_quiet(conn))
		set_state(conn, PEER_CONNECTION_DEAD);
	return conn;
}

struct peer_connection *
peer_connection_get(struct peer_pool *pool, const struct peer_to *to, bool fresh, int connect_ms,
    const struct peer_connection_ops *ops, void *call)
{
	struct peer_connection *conn = fresh ? NULL : find_idle(pool, to);

	if (conn) {
		set_state(conn, PEER_CONNECTION_BUSY);
		timer_stop(conn->timer);
	} else {
		conn = peer_connection_new(pool, to);
		timer_start(conn->timer, connect_ms);
	}
	conn->ops = ops;
	conn->call = call;
	return conn;
}

/* Without a turn of the loop, in which it is told that it may write: it may, as nothing is under
 * way. */
static void
send_at_once(struct bufferevent *bev)
{
	struct evbuffer *output = bufferevent_get_output(bev);

	tls_write(bufferevent_openssl_get_ssl(bev), output, SENT_MAX);
	if (evbuffer_get_length(output) > 0)
		return;
	bufferevent_disable(bev, EV_WRITE);
	/* evhttp goes on to the answer, but not before its caller does. */
	bufferevent_trigger(bev, EV_WRITE, BEV_TRIG_DEFER_CALLBACKS);
}

int
peer_connection_send(struct peer_connection *conn, struct evhttp_request *http,
    enum evhttp_cmd_type type, const char *path, size_t answer_max)
{
	struct bufferevent *bev = evhttp_connection_get_bufferevent(conn->evcon);
	void *ignored;
	int r;

	peer_connection_limit(conn, answer_max);
	conn->http = http;
	conn->held = 0;
	conn->sending = true;
	errno = 0;
	r = evhttp_make_request(conn->evcon, http, type, path);
	conn->sending = false;
	if (r < 0 || !conn->http) {
		if (!conn->errnum)
			conn->errnum = r < 0 && errno ? errno : ECONNABORTED;
		conn->http = NULL;
		errno = conn->errnum;
		return -1;
	}
	if (conn->connected) {
		if (conn->tls)
			send_at_once(bev);
		return 0;
	}
	(void)fcntl(bufferevent_getfd(bev), F_SETFD, FD_CLOEXEC);
	bufferevent_getcb(bev, NULL, NULL, &conn->on_event, &ignored);
	bufferevent_setcb(bev, NULL, NULL, on_connecting, conn);
	return 0;
}

void
peer_connection_limit(struct peer_connection *conn, size_t answer_max)
{
	evhttp_connection_set_max_body_size(conn->evcon, (ev_ssize_t)answer_max);
}

void
peer_connection_hold(struct peer_connection *conn, size_t len)
{
	conn->held = len;
}

void
peer_connection_answered(struct peer_connection *conn)
{
	conn->http = NULL;
	if (conn->sending)
		conn->errnum = errno;
}

bool
peer_connection_has_more(const struct peer_connection *conn)
{
	struct bufferevent *bev = evhttp_connection_get_bufferevent(conn->evcon);

	return evbuffer_get_length(bufferevent_get_input(bev)) > 0;
}

void *
peer_connection_call(const struct peer_connection *conn)
{
	return conn->sending ? NULL : conn->call;
}

bool
peer_connection_was_used(const struct peer_connection *conn)
{
	return conn->used;
}

bool
peer_connection_is_connected(const struct peer_connection *conn)
{
	return conn->connected;
}

int
peer_connection_errno(const struct peer_connection *conn)
{
	return conn->errnum ? conn->errnum : ECONNREFUSED;
}

const char *
peer_connection_why(struct peer_connection *conn)
{
	return conn->tls ? conn->peer.why : "";
}

void
peer_connection_read(struct peer_connection *conn, bool on)
{
	struct bufferevent *bev = evhttp_connection_get_bufferevent(conn->evcon);

	if (on)
		bufferevent_enable(bev, EV_READ);
	else
		bufferevent_disable(bev, EV_READ);
	if (conn->hold && on)
		event_add(conn->hold, NULL);
	else if (conn->hold)
		event_del(conn->hold);
}

void
peer_connection_done(struct peer_connection *conn)
{
	struct bufferevent *bev = evhttp_connection_get_bufferevent(conn->evcon);

	conn->call = NULL;
	conn->used = true;
	/* evhttp has closed it where the answer said so. */
	if (bufferevent_getfd(bev) < 0 || conn->owner->n_idle >= IDLE_MAX) {
		set_state(conn, PEER_CONNECTION_DEAD);
		return;
	}
	set_state(conn, PEER_CONNECTION_IDLE);
	timer_start(conn->timer, IDLE_MS);
}

void
peer_connection_drop(struct peer_connection *conn)
{
	conn->call = NULL;
	timer_stop(conn->timer);
	set_state(conn, PEER_CONNECTION_DEAD);
}
