/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The calls: each has a connection of its own until its answer is whole. */
#include "http/peer.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "http/peer_pool.h"
#include "loop/timer.h"
#include "proto/log.h"
#include "state/tokens.h"

#define CALLS_MAX	  512
#define CALLS_PER_ADDRESS 64
#define CONNECT_MS	  2000

enum state {
	STATE_ASKED,  /* the answer has not begun */
	STATE_UNSENT, /* nothing of the request has left, and it fails */
	STATE_WHOLE,  /* the answer has begun: its body is gathered */
	STATE_PIECES, /* its body is passed on as it comes */
	STATE_PAUSED, /* the reader wants no more for now */
	STATE_N,
};

static const char *const state_names[STATE_N] = { "asked", "unsent", "whole", "pieces", "paused" };

/* As in the header. */
static const unsigned int transitions[STATE_N] = {
	[STATE_ASKED] = 1 << STATE_UNSENT | 1 << STATE_WHOLE,
	[STATE_WHOLE] = 1 << STATE_PIECES,
	[STATE_PIECES] = 1 << STATE_PAUSED,
	[STATE_PAUSED] = 1 << STATE_PIECES,
};

struct peer_call {
	TAILQ_ENTRY(peer_call) entry;
	struct peers *peers;
	enum state state;
	struct peer_connection *conn;
	struct timer *deadline;
	struct timer *deferred; /* what evhttp's callbacks must not do, or peer_start */
	const struct peer_ops *ops;
	void *arg;
	peer_got got; /* of peer_get, which has no ops of its own */

	char *addr;
	uint16_t port;
	char *host; /* NULL where there is none */
	bool tls;
	char *where; /* for messages */
	enum method method;
	char *path;
	struct evbuffer *body;
	struct request_header *headers; /* copies */
	size_t n_headers;
	int connect_ms;
	int deadline_ms;
	bool stream;
	size_t answer_max, whole_max;
	size_t received;	   /* of a stream, bytes */
	struct peer_answer answer; /* without a body, once it has begun; its texts are evhttp's */

	struct buffer whole; /* the body, where it is not taken in pieces */
	struct error err;
};

struct peers {
	struct event_base *base;
	peers_check check;
	struct tls *tls;
	bool tls_alone;
	const struct tokens *tokens; /* NULL where nobody is put out */
	struct peer_pool *pool;
	TAILQ_HEAD(, peer_call) calls;
	unsigned int n_calls;
	uint64_t started, failed;
};

static void
set_state(struct peer_call *call, enum state state)
{
	assert(transitions[call->state] & 1U << state);
	log_debug(
	    "peer", "%s: %s, then %s", call->where, state_names[call->state], state_names[state]);
	call->state = state;
}

static bool
is_in_pieces(const struct peer_call *call)
{
	return call->state == STATE_PIECES || call->state == STATE_PAUSED;
}

static void
call_free(struct peer_call *call)
{
	TAILQ_REMOVE(&call->peers->calls, call, entry);
	call->peers->n_calls--;
	timer_free(call->deadline);
	timer_free(call->deferred);
	evbuffer_free(call->body);
	buffer_clear(&call->whole);
	for (size_t i = 0; i < call->n_headers; i++) {
		free((char *)call->headers[i].name);
		free((char *)call->headers[i].value);
	}
	free(call->headers);
	free(call->addr);
	free(call->host);
	free(call->where);
	free(call->path);
	free(call);
}

static void
finish(struct peer_call *call, const struct peer_answer *answer)
{
	const struct peer_ops *ops = call->ops;
	peer_got got = call->got;
	void *arg = call->arg;
	struct error err = call->err;
	bool unsent = call->state == STATE_UNSENT;
	struct buffer whole = call->whole; /* the answer may be in it */

	if (!answer)
		call->peers->failed++;
	call->whole = (struct buffer){ 0 };
	call_free(call);
	if (unsent && ops && ops->unsent)
		ops->unsent(arg);
	if (ops)
		ops->done(arg, answer, answer ? NULL : &err);
	else
		got(arg, answer, answer ? NULL : &err);
	buffer_clear(&whole);
}

/* Reports the error of a call, and is done with its connection. */
static void
fail(struct peer_call *call)
{
	if (call->conn)
		peer_connection_drop(steal_ptr(call->conn));
	finish(call, NULL);
}

static void
arm_deadline(struct peer_call *call)
{
	timer_start(call->deadline, call->deadline_ms);
}

static void
on_deadline(void *arg)
{
	struct peer_call *call = arg;

	error_set(&call->err, 502, "%s %s within %d ms", call->where,
	    call->state == STATE_ASKED ? "did not answer" : "sent nothing more of its answer",
	    call->deadline_ms);
	fail(call);
}

/* What comes is taken out of evhttp's buffers at once: chunks of a byte fill them with little. */
static void
on_piece(struct evhttp_request *http, void *arg)
{
	struct peer_connection *conn = arg;
	struct peer_call *call = peer_connection_call(conn);
	struct evbuffer *input = evhttp_request_get_input_buffer(http);
	size_t len;

	/* evhttp drains what is left in there. */
	while (call && (len = evbuffer_get_contiguous_space(input)) > 0) {
		call->received += len;
		if (is_in_pieces(call))
			call->ops->data(call->arg, evbuffer_pullup(input, (ssize_t)len), len);
		else
			buffer_add(&call->whole, evbuffer_pullup(input, (ssize_t)len), len);
		evbuffer_drain(input, len);
		call = peer_connection_call(conn);
	}
	if (!call)
		return;
	peer_connection_hold(conn, call->whole.len);
	if (!is_in_pieces(call))
		return;
	/* evhttp counts what came in all; a stream has no end. */
	if (call->stream)
		peer_connection_limit(conn, call->received + call->answer_max);
	/* evhttp switches reading on again after this. */
	if (call->state == STATE_PAUSED)
		timer_soon(call->deferred);
	else
		arm_deadline(call);
}

/* -1 makes evhttp give the answer up. */
static int
on_head(struct evhttp_request *http, void *arg)
{
	struct peer_connection *conn = arg;
	struct peer_call *call = peer_connection_call(conn);
	struct answer_need need;
	bool in_pieces = false;

	if (!call)
		return -1;
	set_state(call, STATE_WHOLE);
	need = (struct answer_need){ call->method, call->stream, call->answer_max };
	if (answer_read(http, &need, call->where, &call->answer, &call->err) < 0)
		return -1;
	if (call->ops && call->ops->begin)
		in_pieces = call->ops->begin(call->arg, &call->answer);
	/* Cancelled in there? */
	if (!peer_connection_call(conn))
		return -1;
	if (in_pieces) {
		set_state(call, STATE_PIECES);
		arm_deadline(call);
	} else {
		peer_connection_limit(conn, call->whole_max);
	}
	evhttp_request_set_chunked_cb(http, on_piece);
	return 0;
}

static void start_call(struct peer_call *call, bool fresh);

static const char *
failure_text(enum evhttp_request_error error)
{
	switch (error) {
	case EVREQ_HTTP_TIMEOUT:
		return "did not answer in time";
	case EVREQ_HTTP_INVALID_HEADER:
		return "sent what is no HTTP answer, or one whose headers are too large";
	case EVREQ_HTTP_DATA_TOO_LONG:
		return "sent an answer that is too large";
	case EVREQ_HTTP_EOF:
	case EVREQ_HTTP_BUFFER_ERROR:
	case EVREQ_HTTP_REQUEST_CANCEL:
	default:
		return "closed the connection before its answer was whole";
	}
}

static void
on_failed(enum evhttp_request_error error, void *arg)
{
	struct peer_connection *conn = arg;
	struct peer_call *call = peer_connection_call(conn);

	if (call && !call->err.status)
		error_set(&call->err, 502, "%s %s", call->where, failure_text(error));
}

static bool
is_safe(enum method method)
{
	return method == METHOD_GET || method == METHOD_HEAD;
}

/* The answer with its body, which is the call's; or -1 with why it is none. What may follow the
 * body of headers does not count. */
static int
read_whole(struct peer_call *call, struct peer_answer *answer)
{
	*answer = call->answer;
	if (peer_connection_has_more(call->conn))
		return error_set(&call->err, 502, "%s sent more than its answer", call->where);
	if (is_in_pieces(call) || call->method == METHOD_HEAD)
		return 0;
	if (answer_check_body(answer, call->whole.len, call->where, &call->err) < 0)
		return -1;
	answer->len = call->whole.len;
	answer->body = str_or_empty(call->whole.data);
	return 0;
}

static void
on_answer(struct evhttp_request *http, void *arg)
{
	struct peer_connection *conn = arg;
	struct peer_call *call = peer_connection_call(conn);
	struct peer_answer answer;

	peer_connection_answered(conn);
	if (!call)
		return;
	if (!http || evhttp_request_get_response_code(http) == 0) {
		/* The other side may close a kept connection just when we use it. */
		if (call->state == STATE_ASKED && peer_connection_was_used(conn) &&
		    is_safe(call->method)) {
			peer_connection_drop(steal_ptr(call->conn));
			start_call(call, true);
			return;
		}
		if (call->state == STATE_ASKED && !peer_connection_is_connected(conn))
			set_state(call, STATE_UNSENT);
		if (call->state == STATE_UNSENT && *peer_connection_why(conn))
			error_set(&call->err, 502, "cannot connect to %s: %s", call->where,
			    peer_connection_why(conn));
		else if (call->state == STATE_UNSENT && !call->err.status)
			error_errno(&call->err, 502, peer_connection_errno(conn),
			    "cannot connect to %s", call->where);
		else if (!call->err.status)
			error_set(
			    &call->err, 502, "%s %s", call->where, failure_text(EVREQ_HTTP_EOF));
		/* It learns of our certificate last, and says nothing that evhttp tells. */
		if (call->state == STATE_ASKED && call->tls && !peer_connection_was_used(conn))
			error_append(&call->err, "perhaps over the certificate of this host");
		fail(call);
		return;
	}
	if (read_whole(call, &answer) < 0) {
		fail(call);
		return;
	}
	peer_connection_done(steal_ptr(call->conn));
	finish(call, &answer);
}

/* More has come than any answer that is allowed. */
static void
on_flood(struct peer_connection *conn, void *arg)
{
	struct peer_call *call = arg;

	error_set(&call->err, 502, "%s sends more at once than any answer may have", call->where);
	fail(call);
}

static void
on_connect_timeout(struct peer_connection *conn, void *arg)
{
	struct peer_call *call = arg;

	error_set(&call->err, 502, "cannot connect to %s: no answer within %d ms", call->where,
	    call->connect_ms);
	set_state(call, STATE_UNSENT);
	fail(call);
}

static const struct peer_connection_ops peer_connection_ops = { on_connect_timeout, on_flood };

static enum evhttp_cmd_type
command(enum method method)
{
	switch (method) {
	case METHOD_POST:
		return EVHTTP_REQ_POST;
	case METHOD_PUT:
		return EVHTTP_REQ_PUT;
	case METHOD_DELETE:
		return EVHTTP_REQ_DELETE;
	case METHOD_HEAD:
		return EVHTTP_REQ_HEAD;
	case METHOD_GET:
	default:
		return EVHTTP_REQ_GET;
	}
}

static struct evhttp_request *
make_request(struct peer_call *call)
{
	struct evhttp_request *http = evhttp_request_new(on_answer, call->conn);
	size_t len = evbuffer_get_length(call->body);
	struct evkeyvalq *out;
	char text[80];

	if (!http)
		abort();
	evhttp_request_set_header_cb(http, on_head);
	evhttp_request_set_error_cb(http, on_failed);
	out = evhttp_request_get_output_headers(http);
	snprintf(text, sizeof(text), strchr(call->addr, ':') ? "[%s]:%u" : "%s:%u", call->addr,
	    call->port);
	evhttp_add_header(out, "Host", text);
	if (len > 0 || !is_safe(call->method)) {
		snprintf(text, sizeof(text), "%zu", len);
		evhttp_add_header(out, "Content-Length", text);
	}
	for (size_t i = 0; i < call->n_headers; i++)
		evhttp_add_header(out, call->headers[i].name, call->headers[i].value);
	/* The body stays ours: a second attempt may need it. */
	if (len > 0 && evbuffer_add(evhttp_request_get_output_buffer(http),
			   evbuffer_pullup(call->body, -1), len) < 0)
		abort();
	return http;
}

/* Finds a connection and sends. fresh: a kept one will not do. What changes something is never sent
 * on a kept one either: when that closes, nobody knows whether the request got through. */
static void
start_call(struct peer_call *call, bool fresh)
{
	const struct peer_to to = { call->addr, call->port, call->host, call->tls };

	call->conn = peer_connection_get(call->peers->pool, &to, fresh || !is_safe(call->method),
	    call->connect_ms, &peer_connection_ops, call);
	call->err.status = 0;
	if (peer_connection_send(call->conn, make_request(call), command(call->method), call->path,
		call->answer_max) == 0)
		return;
	error_errno(&call->err, 502, errno, "cannot connect to %s", call->where);
	set_state(call, STATE_UNSENT);
	timer_soon(call->deferred);
}

static void
on_deferred(void *arg)
{
	struct peer_call *call = arg;

	if (call->err.status)
		fail(call);
	else if (call->conn && is_in_pieces(call))
		peer_connection_read(call->conn, call->state != STATE_PAUSED);
}

static unsigned int
count_calls(const struct peers *peers, const char *addr, uint16_t port)
{
	const struct peer_call *call;
	unsigned int n = 0;

	TAILQ_FOREACH (call, &peers->calls, entry)
		n += call->port == port && strcmp(call->addr, addr) == 0;
	return n;
}

/* 0, or what keeps this call from being started. */
static int
check_call(struct peer_call *call)
{
	static struct log_limit limit;
	struct in6_addr parsed;
	const char *why;

	if (inet_pton(AF_INET, call->addr, &parsed) != 1 &&
	    inet_pton(AF_INET6, call->addr, &parsed) != 1)
		return error_set(
		    &call->err, 502, "%s: '%s' is no IP address", call->where, call->addr);
	why = call->peers->check ? call->peers->check(call->addr) : NULL;
	if (why) {
		error_set(&call->err, 502, "%s is not asked: what serf has for it is %s",
		    call->where, why);
		log_limited(&limit, 5, "peer", "%s", call->err.detail);
		return -1;
	}
	if (call->host && !peers_may_ask(call->peers, call->host))
		return error_set(&call->err, 409,
		    "%s was put out of the cluster, and is asked nothing", call->where);
	if (call->port == 0)
		return error_set(&call->err, 502, "%s: port 0 is none", call->where);
	if (call->tls && (!call->peers->tls || !call->host))
		return error_set(&call->err, 502,
		    "%s wants TLS, for which this host has no certificate: see [tls] of "
		    "virtxd.conf",
		    call->where);
	if (!call->tls && call->peers->tls_alone) {
		error_set(&call->err, 502,
		    "%s is not asked: what serf has for it is plain HTTP, and this host, which "
		    "listens by 'tls auth' alone, asks by TLS",
		    call->where);
		log_limited(&limit, 5, "peer", "%s", call->err.detail);
		return -1;
	}
	if (call->peers->n_calls > CALLS_MAX ||
	    count_calls(call->peers, call->addr, call->port) > CALLS_PER_ADDRESS)
		return error_set(
		    &call->err, 503, "too many requests to %s are under way", call->where);
	return 0;
}

struct peer_call *
peer_start(
    struct peers *peers, const struct peer_request *request, const struct peer_ops *ops, void *arg)
{
	struct peer_call *call = xcalloc(1, sizeof(*call));

	call->peers = peers;
	call->ops = ops;
	call->arg = arg;
	call->addr = xstrdup(request->addr);
	call->port = request->port;
	call->host = request->host ? xstrdup(request->host) : NULL;
	call->tls = request->tls;
	call->where = request->host ? xasprintf("host '%s' at %s port %u", request->host,
					  request->addr, request->port)
				    : xasprintf("%s port %u", request->addr, request->port);
	call->method = request->method;
	call->path = xstrdup(request->path);
	call->body = evbuffer_new();
	if (!call->body || evbuffer_add(call->body, request->body, request->len) < 0)
		abort();
	call->headers = xcalloc(request->n_headers + 1, sizeof(*call->headers));
	for (size_t i = 0; i < request->n_headers; i++)
		call->headers[call->n_headers++] =
		    (struct request_header){ xstrdup(request->headers[i].name),
			    xstrdup(request->headers[i].value) };
	call->connect_ms = request->connect_ms;
	call->deadline_ms = request->deadline_ms;
	call->stream = request->stream;
	call->answer_max = request->answer_max;
	call->whole_max = request->whole_max && request->whole_max < request->answer_max
			      ? request->whole_max
			      : request->answer_max;
	call->deadline = timer_new(peers->base, on_deadline, call);
	call->deferred = timer_new(peers->base, on_deferred, call);
	TAILQ_INSERT_TAIL(&peers->calls, call, entry);
	peers->n_calls++;
	peers->started++;

	if (check_call(call) < 0) {
		set_state(call, STATE_UNSENT);
		timer_soon(call->deferred);
	} else {
		arm_deadline(call);
		start_call(call, false);
	}
	return call;
}

void
peer_cancel(struct peer_call *call)
{
	if (!call)
		return;
	if (call->conn)
		peer_connection_drop(call->conn);
	call_free(call);
}

void
peer_pause(struct peer_call *call, bool paused)
{
	if ((call->state == STATE_PAUSED) == paused)
		return;
	set_state(call, paused ? STATE_PAUSED : STATE_PIECES);
	if (paused)
		timer_stop(call->deadline);
	else
		arm_deadline(call);
	timer_soon(call->deferred);
}

struct peer_call *
peer_get(struct peers *peers, const struct peer_to *to, const char *path, int deadline_ms,
    peer_got got, void *arg)
{
	struct peer_request request = {
		.addr = to->addr,
		.port = to->port,
		.host = to->host,
		.tls = to->tls,
		.method = METHOD_GET,
		.path = path,
		.connect_ms = deadline_ms < CONNECT_MS ? deadline_ms : CONNECT_MS,
		.deadline_ms = deadline_ms,
		.answer_max = PEER_GET_MAX,
	};
	struct peer_call *call = peer_start(peers, &request, NULL, arg);

	call->got = got;
	return call;
}

struct peers *
peers_new(struct event_base *base, peers_check check)
{
	struct peers *peers = xcalloc(1, sizeof(*peers));

	peers->base = base;
	peers->check = check;
	peers->pool = peer_pool_new(base);
	TAILQ_INIT(&peers->calls);
	return peers;
}

void
peers_set_source(struct peers *peers, const char *addr)
{
	peer_pool_set_source(peers->pool, addr);
}

void
peers_set_tls(struct peers *peers, struct tls *tls)
{
	peers->tls = tls;
	peer_pool_set_tls(peers->pool, tls);
}

void
peers_refuse_plain(struct peers *peers)
{
	peers->tls_alone = true;
}

void
peers_set_tokens(struct peers *peers, const struct tokens *tokens)
{
	peers->tokens = tokens;
}

bool
peers_may_ask(const struct peers *peers, const char *host)
{
	return !peers->tokens || !tokens_is_out(peers->tokens, host);
}

void
peers_free(struct peers *peers)
{
	struct peer_call *call;

	if (!peers)
		return;
	while ((call = TAILQ_FIRST(&peers->calls)))
		peer_cancel(call);
	peer_pool_free(peers->pool);
	free(peers);
}

void
peers_get_stats(const struct peers *peers, struct peers_stats *ret)
{
	*ret = (struct peers_stats){
		.calls = peers->n_calls,
		.started = peers->started,
		.failed = peers->failed,
	};
	peer_pool_get_counts(peers->pool, &ret->connections, &ret->idle);
}
