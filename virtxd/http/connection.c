/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One connection, as seen through evhttp's callbacks and the buffers under it. */
#include "http/connection.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "http/connection_list.h"
#include "http/lingering_close.h"
#include "http/tls.h"
#include "loop/timer.h"
#include "proto/error.h"
#include "proto/log.h"
#include "proto/problem.h"

#define PIPELINE_MAX	(64 * 1024) /* read ahead while a reply is pending, bytes */
#define HANDSHAKE_MS	5000
#define REPLY_BYTES_MIN 16384	     /* a second that a client must take of its reply */
#define WRITE_MAX	(256 * 1024) /* of a reply in one turn of the loop, once the socket was full */

/* With the client's, once that is known. */
static void
count_handshake(struct connection *c, int by)
{
	c->owner->n_handshakes += (unsigned int)by;
	if (c->share)
		c->share->n_handshakes += (unsigned int)by;
}

static void
set_state(struct connection *c, enum state state)
{
	TAILQ_REMOVE(&c->owner->lists[c->state], c, entry);
	count_handshake(c, (state == STATE_HANDSHAKE) - (c->state == STATE_HANDSHAKE));
	c->state = state;
	c->since = monotonic_ms();
	TAILQ_INSERT_TAIL(&c->owner->lists[state], c, entry);
}

void
connection_wait(struct connection *c)
{
	const struct connections_limits *limits = &c->owner->limits;

	set_state(c, STATE_WAITING);
	/* Sent ahead already, while the last request was under way? */
	c->received = evbuffer_get_length(bufferevent_get_input(c->bev));
	c->deadline = c->since + INT64_C(1000) *
				     (c->received ? limits->request_timeout : limits->idle_timeout);
}

/* A reply of len bytes goes into the output. */
static void
start_reply(struct connection *c, size_t len)
{
	set_state(c, STATE_REPLYING);
	c->deadline = c->since + INT64_C(1000) * c->owner->limits.request_timeout +
		      (int64_t)(len / REPLY_BYTES_MIN) * 1000;
	c->progress = c->since;
	c->unsent = 0;
}

/* Nothing: the bufferevent reads. */
static void
on_hold(evutil_socket_t fd, short what, void *arg)
{
}

/* Not by a mark at which libevent stops to read: under TLS it would stop for good, as libevent
 * looks for no more of what OpenSSL has by then, and it is looked at for each line that evhttp
 * takes. evhttp, which takes from the input, switches reading on again. */
static void
limit_input(struct connection *c, size_t len)
{
	if (len >= (c->watched ? PIPELINE_MAX : c->owner->limits.max_input))
		bufferevent_disable(c->bev, EV_READ);
}

static void
on_input(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *arg)
{
	struct connection *c = arg;

	if (info->n_added == 0)
		return;
	limit_input(c, info->orig_size + info->n_added);
	if (c->state != STATE_WAITING)
		return;
	/* The clock of the request starts at its first byte, and no later byte sets it back. */
	if (c->received == 0)
		c->deadline = monotonic_ms() + INT64_C(1000) * c->owner->limits.request_timeout;
	c->received += info->n_added;
	event_add(c->hold, NULL);
}

/* Keeps count; and evhttp writes to a connection that waits for a request only to report an error
 * in it. */
static void
on_output(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *arg)
{
	struct connection *c = arg;

	c->owner->unsent += info->n_added - info->n_deleted;
	if (c->share)
		c->share->unsent += info->n_added - info->n_deleted;
	if (c->owner->unsent > c->owner->highest)
		c->owner->highest = c->owner->unsent;
	if (info->n_added > 0 && c->owner->unsent > UNSENT_MAX)
		timer_soon(c->owner->deferred);
	if (info->n_added == 0 || info->orig_size != 0 || c->state != STATE_WAITING ||
	    c->error_page)
		return;
	c->error_page = true;
	c->owner->n_error_pages++;
	timer_soon(c->owner->deferred);
}

/* OpenSSL's callback. */
static void
on_ssl_info(const SSL *ssl, int where, int ret)
{
	struct connection *c = SSL_get_app_data(ssl);

	if (!(where & SSL_CB_HANDSHAKE_DONE) || !c || c->state != STATE_HANDSHAKE)
		return;
	connection_wait(c);
	c->owner->handshake_ended(c->owner);
}

struct connection *
connection_new(struct connections *owner, enum connection_kind kind, struct bufferevent *bev)
{
	struct connection *c = xcalloc(1, sizeof(*c));

	c->owner = owner;
	c->kind = kind;
	c->bev = bev;
	c->state = STATE_FRESH;
	TAILQ_INSERT_TAIL(&owner->lists[STATE_FRESH], c, entry);
	bufferevent_incref(bev);
	c->ssl = connection_kind_is_tls(kind) ? bufferevent_openssl_get_ssl(bev) : NULL;
	bufferevent_set_max_single_write(bev, WRITE_MAX);
	c->input_cb = evbuffer_add_cb(bufferevent_get_input(bev), on_input, c);
	c->output_cb = evbuffer_add_cb(bufferevent_get_output(bev), on_output, c);
	if (!c->input_cb || !c->output_cb)
		abort();
	return c;
}

/* Nothing of it waits for connections_send. */
static void
drop_sending(struct connection *c)
{
	if (c->sending)
		TAILQ_REMOVE(&c->owner->sending, c, send_entry);
	c->sending = false;
}

void
connection_free(struct connection *c)
{
	struct connections *owner = c->owner;

	TAILQ_REMOVE(&owner->lists[c->state], c, entry);
	drop_sending(c);
	if (c->state == STATE_HANDSHAKE) {
		count_handshake(c, -1);
		owner->n_handshakes_failed++;
		owner->handshake_ended(owner);
	}
	if (c->ssl)
		SSL_set_app_data(c->ssl, NULL);
	if (c->evcon)
		HASH_DEL(owner->by_evcon, c);
	if (c->share) {
		owner->n--;
		c->share->unsent -= connection_unsent(c);
		if (--c->share->n == 0) {
			HASH_DEL(owner->shares, c->share);
			free(c->share);
		}
	}
	if (c->error_page)
		owner->n_error_pages--;
	owner->unsent -= connection_unsent(c);
	evbuffer_remove_cb_entry(bufferevent_get_input(c->bev), c->input_cb);
	evbuffer_remove_cb_entry(bufferevent_get_output(c->bev), c->output_cb);
	if (c->state == STATE_FRESH)
		bufferevent_decref(c->bev);
	free(c);
}

/* Takes the socket from evhttp, which is about to close it. */
static void
keep_socket(struct connection *c)
{
	if (lingering_close_start(c->owner->lingering, bufferevent_getfd(c->bev)))
		bufferevent_setfd(c->bev, -1);
}

/* evhttp closes the connection, for whatever reason. */
static void
on_close(struct evhttp_connection *evcon, void *arg)
{
	struct connection *c = arg;
	void (*gone)(void *) = c->gone;
	void *gone_arg = c->gone_arg;

	event_free(c->hold);
	if (c->ssl)
		tls_end(c->ssl);
	if (c->lingering)
		keep_socket(c);
	connection_free(c);
	if (gone)
		gone(gone_arg);
}

/* Puts the client in the place of its stand-in, of which nothing can have come. */
static bool
let_client_in(struct connection *c)
{
	bool passed;

	bufferevent_disable(c->bev, EV_READ);
	passed = local_door_pass(c->owner->local, bufferevent_getfd(c->bev), &c->peer);
	bufferevent_enable(c->bev, EV_READ);
	return passed;
}

static void
begin_handshake(struct connection *c)
{
	set_state(c, STATE_HANDSHAKE);
	c->deadline = c->since + HANDSHAKE_MS;
	SSL_set_app_data(c->ssl, c);
	SSL_set_info_callback(c->ssl, on_ssl_info);
}

bool
connection_adopt(struct connection *c)
{
	struct connections *connections = c->owner;
	void *evcon;

	bufferevent_getcb(c->bev, NULL, NULL, NULL, &evcon);
	if (!evcon) {
		/* evhttp gave it up. */
		connection_free(c);
		return false;
	}
	if (c->kind == CONNECTION_LOCAL && !let_client_in(c)) {
		evhttp_connection_free(evcon);
		connection_free(c);
		return false;
	}
	c->evcon = evcon;
	evhttp_connection_set_closecb(evcon, on_close, c);
	c->hold = event_new(connections->base, bufferevent_getfd(c->bev), EV_READ, on_hold, NULL);
	if (!c->hold)
		abort();
	HASH_ADD_PTR(connections->by_evcon, evcon, c);
	if (c->ssl)
		begin_handshake(c);
	else
		connection_wait(c);
	bufferevent_decref(c->bev);
	return true;
}

bool
connection_is_silent(const struct connection *c)
{
	return c->ssl && SSL_get_state(c->ssl) == TLS_ST_BEFORE;
}

void
connection_set_share(struct connection *c, struct share *share)
{
	c->share = share;
	share->n++;
	share->n_handshakes += c->state == STATE_HANDSHAKE;
	c->owner->n++;
}

/* A whole reply as bytes, for those who get no further than this. The caller frees. */
static char *
format_problem(int status, const char *headers, const char *detail, size_t *len)
{
	_free_ char *json = NULL;
	struct error err;
	size_t json_len;
	char *text;

	error_set(&err, status, "%s", detail);
	json = problem_encode(&err, &json_len);
	text = xasprintf("HTTP/1.1 %d %s\r\n"
			 "Content-Type: application/problem+json\r\n"
			 "Content-Length: %zu\r\n"
			 "Connection: close\r\n"
			 "%s\r\n"
			 "%s",
	    status, error_title(status), json_len, headers, json);
	*len = strlen(text);
	return text;
}

/* For replies that no exchange logs. */
static void
log_reply(const struct connection *c, int status, const char *detail)
{
	char *address;
	uint16_t port;

	evhttp_connection_get_peer(c->evcon, &address, &port);
	log_debug("http", "%d for %s: %s", status, address, detail);
}

void
connection_turn_away(struct connection *c, int status, const char *headers, const char *detail)
{
	/* Amid a handshake nothing can be, and nobody waits for it. */
	bool said = !c->ssl || SSL_is_init_finished(c->ssl);
	int fd = bufferevent_getfd(c->bev);
	size_t len;
	_free_ char *text = format_problem(status, headers, detail, &len);

	if (!c->ssl)
		(void)!send(fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	else if (said && SSL_write(c->ssl, text, (int)len) <= 0)
		ERR_clear_error();
	log_reply(c, status, detail);
	if (said)
		connection_drain(c);
	evhttp_connection_free(c->evcon);
}

void
connection_evict(struct connection *c)
{
	if (c->state == STATE_WAITING && c->received > 0 && !c->error_page &&
	    evbuffer_get_length(bufferevent_get_output(c->bev)) == 0)
		connection_turn_away(c, 408, "", "the request did not arrive in time");
	else
		evhttp_connection_free(c->evcon);
}

/* The status of the reply at the front of the output, 0 for none. */
static int
peek_status(struct evbuffer *output)
{
	char line[16] = "";
	int status;

	if (evbuffer_copyout(output, line, sizeof(line) - 1) < 12)
		return 0;
	return sscanf(line, "HTTP/%*d.%*d %d", &status) == 1 ? status : 0;
}

/* The front is frozen, but for the bufferevent's own writing. That of TLS is not, and would send
 * what it cannot take out again and again. */
static void
freeze_output(struct connection *c, bool on)
{
	struct evbuffer *output = bufferevent_get_output(c->bev);

	if (c->ssl)
		return;
	if (on)
		evbuffer_freeze(output, 1);
	else
		evbuffer_unfreeze(output, 1);
}

void
connection_replace_page(struct connection *c)
{
	struct evbuffer *output = bufferevent_get_output(c->bev);
	_free_ char *text = NULL;
	const char *detail;
	size_t len;
	int status;

	c->error_page = false;
	c->owner->n_error_pages--;
	freeze_output(c, false);
	status = peek_status(output);
	switch (status) {
	case 400:
		detail = "the request is no HTTP/1.x, or its headers are too large";
		break;
	case 413:
		detail = "the request body is too large, or its chunks are malformed";
		break;
	case 417:
		detail = "only 'Expect: 100-continue' can be met";
		break;
	default: /* 100 Continue */
		freeze_output(c, true);
		return;
	}
	text = format_problem(status, "", detail, &len);
	evbuffer_drain(output, evbuffer_get_length(output));
	evbuffer_add(output, text, len);
	freeze_output(c, true);
	log_reply(c, status, detail);
	start_reply(c, len);
	connection_drain(c);
}

size_t
connection_buffered(const struct connection *c)
{
	if (c->state == STATE_REPLYING || c->state == STATE_STREAMING)
		return connection_unsent(c);
	return c->received;
}

int64_t
connection_stuck_ms(const struct connection *c, int64_t now)
{
	switch (c->state) {
	case STATE_HANDSHAKE:
	case STATE_WAITING:
		return now - c->since;
	case STATE_REPLYING:
	case STATE_STREAMING:
		return connection_unsent(c) > 0 ? now - c->since : 0;
	case STATE_FRESH:
	case STATE_BUSY:
	case STATE_N:
	default:
		return 0;
	}
}

bool
connection_is_overdue(struct connection *c, int64_t now)
{
	size_t unsent;

	if (c->state != STATE_REPLYING && c->state != STATE_STREAMING)
		return now >= c->deadline;
	unsent = connection_unsent(c);
	if (unsent != c->unsent || unsent == 0) {
		c->unsent = unsent;
		c->progress = now;
	}
	return (c->state == STATE_REPLYING && now >= c->deadline) ||
	       now - c->progress >= INT64_C(1000) * c->owner->limits.request_timeout;
}

/* The reply is with the kernel. */
static void
on_complete(struct evhttp_request *req, void *arg)
{
	struct connection *c = arg;

	c->watched = false;
	connection_wait(c);
}

void
connection_busy(struct connection *c, void (*gone)(void *arg), void *arg)
{
	set_state(c, STATE_BUSY);
	c->gone = gone;
	c->gone_arg = arg;
}

void
connection_watch(struct connection *c)
{
	bufferevent_data_cb write_cb;
	bufferevent_event_cb event_cb;
	void *arg;

	if (c->state != STATE_BUSY)
		return;
	/* evhttp ends the process when input comes in this state, so its callback for it is taken
	 * out until it sets it again after the reply. */
	bufferevent_getcb(c->bev, NULL, &write_cb, &event_cb, &arg);
	bufferevent_setcb(c->bev, NULL, write_cb, event_cb, arg);
	c->watched = true;
	bufferevent_enable(c->bev, EV_READ);
}

void
connection_replied(struct connection *c, struct evhttp_request *req)
{
	size_t len = evbuffer_get_length(evhttp_request_get_output_buffer(req));

	start_reply(c, len);
	c->gone = NULL;
	evhttp_request_set_on_complete_cb(req, on_complete, c);
}

void
connection_send(struct connection *c)
{
	if (c->sending)
		return;
	c->sending = true;
	TAILQ_INSERT_TAIL(&c->owner->sending, c, send_entry);
	timer_soon(c->owner->sender);
}

/* What evhttp has put into the output goes out. */
static void
send_now(struct connection *c)
{
	struct evbuffer *output = bufferevent_get_output(c->bev);

	freeze_output(c, false);
	if (c->ssl)
		tls_write(c->ssl, output, WRITE_MAX);
	else
		(void)evbuffer_write(output, bufferevent_getfd(c->bev));
	freeze_output(c, true);
	event_del(c->hold);
	/* The loop sends what is left, or finds out why nothing left. */
	if (evbuffer_get_length(output) > 0)
		return;
	bufferevent_disable(c->bev, EV_WRITE);
	/* evhttp goes on to the next request, but not inside the callback for this one. */
	bufferevent_trigger(c->bev, EV_WRITE, BEV_TRIG_DEFER_CALLBACKS);
}

void
connections_send(void *arg)
{
	struct connections *connections = arg;
	struct connection *c;

	while ((c = TAILQ_FIRST(&connections->sending))) {
		drop_sending(c);
		send_now(c);
	}
}

void
connection_streaming(struct connection *c, struct evhttp_request *req)
{
	set_state(c, STATE_STREAMING);
	c->progress = c->since;
	c->unsent = 0;
	event_del(c->hold);
	c->watched = true;
	evhttp_request_set_on_complete_cb(req, on_complete, c);
}

void
connection_ended(struct connection *c, bool whole)
{
	c->gone = NULL;
	start_reply(c, connection_unsent(c));
	if (!whole)
		shutdown(bufferevent_getfd(c->bev), SHUT_RDWR);
}

size_t
connection_unsent(const struct connection *c)
{
	return evbuffer_get_length(bufferevent_get_output(c->bev));
}

void
connection_drain(struct connection *c)
{
	c->lingering = true;
}
