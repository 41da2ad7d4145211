/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One HTTP call to virtxd. */
#include "virtx/client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <event2/util.h>

#include "proto/json.h"
#include "virtx/dial.h"
#include "virtx/writer.h"

/* One attempt at one address. */
struct attempt {
	const struct client *client;
	const char *where; /* for messages */
	struct event_base *base;
	struct dial dial;
	const struct evhttp_request *request; /* evhttp's, until it is answered */
	bufferevent_event_cb on_connect;      /* evhttp's own */
	struct answer *answer;
	struct client_stream *stream; /* NULL for an answer in one piece */
	struct event *timer;
	int64_t deadline; /* monotonic_ms() */
	enum evhttp_request_error failure;
	bool interim; /* a 1xx came */
	bool connected;
	bool done;
	bool failed;
	bool late;
	int errnum;	 /* why there is no connection, 0 if unknown */
	size_t received; /* of a stream, bytes */
};

/* The text of a Warning header: 299 VirtX "text" to text; another form stays as it is. */
static char *
warning_text(const char *value)
{
	const char *from = strchr(value, '"');
	char *out, *to;

	if (!from)
		return xstrdup(value);
	to = out = xcalloc(strlen(from), 1);
	for (from++; *from && *from != '"'; from++) {
		if (from[0] == '\\' && from[1])
			from++;
		*to++ = *from;
	}
	return out;
}

/* One line of a debugging or warning text on stderr. */
static void
print_line(const char *prefix, const char *text)
{
	_free_ char *safe = writer_safe(text);

	fprintf(stderr, "%s%s\n", prefix, safe);
}

/* The header lines of a request ("> ") or an answer ("< "). */
static void
print_headers(const char *prefix, const struct evkeyvalq *headers)
{
	const struct evkeyval *header;

	TAILQ_FOREACH (header, headers, next) {
		_free_ char *line = xasprintf("%s: %s", header->key, header->value);

		print_line(prefix, line);
	}
}

static void
on_answer(struct evhttp_request *request, void *arg)
{
	struct attempt *attempt = arg;
	struct answer *answer = attempt->answer;
	struct evkeyvalq *headers;
	struct evkeyval *header;
	struct evbuffer *body;

	attempt->request = NULL;
	attempt->done = true;
	event_base_loopbreak(attempt->base);
	if (!request || evhttp_request_get_response_code(request) == 0) {
		attempt->failed = true;
		return;
	}

	answer->status = evhttp_request_get_response_code(request);
	headers = evhttp_request_get_input_headers(request);
	if (attempt->client->debug) {
		_free_ char *line = xasprintf("HTTP %d %s", answer->status,
		    str_or_empty(evhttp_request_get_response_code_line(request)));

		print_line("< ", line);
		print_headers("< ", headers);
	}
	TAILQ_FOREACH (header, headers, next) {
		if (!strcasecmp(header->key, "Warning")) {
			_free_ char *text = warning_text(header->value);

			print_line("virtx: warning: ", text);
			answer->warned = true;
		} else if (!strcasecmp(header->key, "Location")) {
			str_set(&answer->location,
			    server_own_path(&attempt->client->server, header->value));
		} else if (!strcasecmp(header->key, "ETag")) {
			str_set(&answer->etag, header->value);
		} else if (!strcasecmp(header->key, "Content-Type")) {
			str_set(&answer->type, header->value);
		}
	}
	body = evhttp_request_get_input_buffer(request);
	answer->len = evbuffer_get_length(body);
	answer->body = xcalloc(answer->len + 1, 1);
	evbuffer_remove(body, answer->body, answer->len);
}

/* A stream lives for as long as something comes. */
static void
arm_silence(struct attempt *attempt)
{
	static const struct timeval silence = { .tv_sec = CLIENT_SILENCE };

	evtimer_add(attempt->timer, &silence);
}

static void
on_piece(struct evhttp_request *request, void *arg)
{
	struct attempt *attempt = arg;
	struct client_stream *stream = attempt->stream;
	struct evbuffer *body = evhttp_request_get_input_buffer(request);
	size_t len = evbuffer_get_length(body);

	arm_silence(attempt);
	/* evhttp counts what came in all; a stream has no end. */
	attempt->received += len;
	evhttp_connection_set_max_body_size(
	    attempt->dial.connection, (ev_ssize_t)(attempt->received + CLIENT_ANSWER_MAX));
	if (stream->ended ||
	    stream->data(stream->arg, (const char *)evbuffer_pullup(body, -1), len))
		return;
	stream->ended = true;
	event_base_loopbreak(attempt->base);
}

static int
on_head(struct evhttp_request *request, void *arg)
{
	struct attempt *attempt = arg;
	int status = evhttp_request_get_response_code(request);
	const char *type =
	    evhttp_find_header(evhttp_request_get_input_headers(request), "Content-Type");

	/* evhttp would go on to the next head without end. */
	attempt->interim = status < 200;
	if (attempt->interim)
		return -1;
	if (!attempt->stream || status != 200 || !answer_is_of_type(type, ROUTE_EVENTS))
		return 0;
	attempt->stream->begun = true;
	arm_silence(attempt);
	evhttp_request_set_chunked_cb(request, on_piece);
	return 0;
}

/* evhttp tells here why; the answer's callback, which follows, only sees that there is none. */
static void
on_error(enum evhttp_request_error failure, void *arg)
{
	struct attempt *attempt = arg;

	attempt->failure = failure;
	attempt->request = NULL;
}

/* Stands before evhttp's own callback, which forgets why a connection failed. */
static void
on_connect(struct bufferevent *bev, short what, void *arg)
{
	struct attempt *attempt = arg;

	if (what & BEV_EVENT_ERROR)
		attempt->errnum = EVUTIL_SOCKET_ERROR();
	if (what & (BEV_EVENT_ERROR | BEV_EVENT_EOF))
		dial_failed(&attempt->dial);
	else if (what & BEV_EVENT_CONNECTED)
		attempt->connected = true;
	attempt->on_connect(bev, what, attempt->dial.connection);
}

/* evhttp bounds the head and the body, but not what announces a piece of it. */
static void
on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
	struct attempt *attempt = arg;

	const struct evhttp_request *request = attempt->request;

	/* What was there before was looked at, and is no line yet. What is taken out may be so
	 * because the request is over. */
	if (info->n_added == 0 || attempt->done || !request || !request->chunked ||
	    request->ntoread >= 0 || info->orig_size <= CLIENT_LINE_MAX)
		return;
	attempt->failure = EVREQ_HTTP_DATA_TOO_LONG;
	attempt->failed = attempt->done = true;
	event_base_loopbreak(attempt->base);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct attempt *attempt = arg;

	attempt->late = true;
	event_base_loopbreak(attempt->base);
}

/* What went wrong in a call that got no answer, in words. */
static int
attempt_error(const struct attempt *attempt, struct error *err)
{
	static const char *const words[] = {
		[EVREQ_HTTP_TIMEOUT] = "no answer in time",
		[EVREQ_HTTP_EOF] = "the server closed the connection before its answer was whole",
		[EVREQ_HTTP_INVALID_HEADER] = "the head of the answer is too long or not HTTP",
		[EVREQ_HTTP_BUFFER_ERROR] = "reading or writing failed",
		[EVREQ_HTTP_REQUEST_CANCEL] = "the request was cancelled",
		[EVREQ_HTTP_DATA_TOO_LONG] = "the answer is too long",
	};
	const struct client *client = attempt->client;

	if (attempt->late && attempt->stream && attempt->stream->begun)
		return error_set(err, CLIENT_UNREACHABLE_STATUS, "%s: nothing came for %d s",
		    attempt->where, CLIENT_SILENCE);
	if (attempt->late)
		return error_set(err, CLIENT_UNREACHABLE_STATUS, "%s: no %s within %d s",
		    attempt->where, attempt->connected ? "answer" : "connection", client->timeout);
	if (attempt->interim)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "%s: the server sends what is no answer (HTTP 1xx)", attempt->where);
	if (!attempt->connected && attempt->dial.why[0])
		return error_set(err, CLIENT_UNREACHABLE_STATUS, "cannot connect to %s: %s",
		    attempt->where, attempt->dial.why);
	if (!attempt->connected) {
		if (attempt->errnum > 0)
			return error_errno(err, CLIENT_UNREACHABLE_STATUS, attempt->errnum,
			    "cannot connect to %s", attempt->where);
		return error_set(
		    err, CLIENT_UNREACHABLE_STATUS, "cannot connect to %s", attempt->where);
	}
	return error_set(
	    err, CLIENT_ERROR_STATUS, "%s: %s", attempt->where, words[attempt->failure]);
}

static struct evhttp_request *
make_request(struct attempt *attempt, const struct route *route, const char *path, const char *body,
    size_t len)
{
	const struct client *client = attempt->client;
	struct evhttp_request *request = evhttp_request_new(on_answer, attempt);
	_free_ char *length = xasprintf("%zu", len);
	_free_ char *host = xasprintf(strchr(client->server.host, ':') ? "[%s]:%u" : "%s:%u",
	    client->server.host, client->server.port);
	struct evkeyvalq *headers;

	if (!request)
		abort();
	attempt->request = request;
	evhttp_request_set_error_cb(request, on_error);
	headers = evhttp_request_get_output_headers(request);
	evhttp_add_header(headers, "Host", host);
	evhttp_add_header(headers, "User-Agent", "virtx/" VIRTX_VERSION);
	evhttp_add_header(headers, "Accept", "application/json, application/problem+json");
	/* Of TLS libevent loses the last bytes that come together with the end. */
	if (!client->server.tls)
		evhttp_add_header(headers, "Connection", "close");
	if (client->async && route->method != METHOD_GET)
		evhttp_add_header(headers, "Prefer", "respond-async");
	if (client->if_match)
		evhttp_add_header(headers, "If-Match", client->if_match);
	evhttp_request_set_header_cb(request, on_head);
	if (attempt->stream && !str_empty(attempt->stream->last_event_id))
		evhttp_add_header(headers, "Last-Event-ID", attempt->stream->last_event_id);
	if (len > 0)
		evhttp_add_header(headers, "Content-Type", "application/json");
	if (len > 0 || route->method != METHOD_GET)
		evhttp_add_header(headers, "Content-Length", length);
	evbuffer_add(evhttp_request_get_output_buffer(request), body, len);
	if (client->debug) {
		_free_ char *line = xasprintf("%s %s", method_word(route->method), path);

		print_line("> ", line);
		print_headers("> ", headers);
	}
	if (client->token) {
		_free_ char *authorization = xasprintf("Bearer %s", client->token);

		evhttp_add_header(headers, "Authorization", authorization);
	}
	return request;
}

/* -1 with errno where there can be no connection. */
static int
send_request(struct attempt *attempt, const struct route *route, const char *path, const char *body,
    size_t len)
{
	static const enum evhttp_cmd_type commands[] = {
		[METHOD_GET] = EVHTTP_REQ_GET,
		[METHOD_POST] = EVHTTP_REQ_POST,
		[METHOD_PUT] = EVHTTP_REQ_PUT,
		[METHOD_DELETE] = EVHTTP_REQ_DELETE,
		[METHOD_HEAD] = EVHTTP_REQ_HEAD,
	};
	struct evhttp_connection *connection = attempt->dial.connection;
	struct bufferevent *bev = evhttp_connection_get_bufferevent(connection);

	/* The timer is the deadline: evhttp's starts anew with each byte. */
	evhttp_connection_set_timeout(connection, attempt->client->timeout + 10);
	evhttp_connection_set_max_headers_size(connection, CLIENT_HEADERS_MAX);
	evhttp_connection_set_max_body_size(connection, CLIENT_ANSWER_MAX);
	if (evhttp_make_request(connection, make_request(attempt, route, path, body, len),
		commands[route->method], path) < 0)
		return -1;
	if (attempt->done)
		return 0;
	dial_begun(&attempt->dial);
	bufferevent_getcb(bev, NULL, NULL, &attempt->on_connect, NULL);
	bufferevent_setcb(bev, NULL, NULL, on_connect, attempt);
	if (!evbuffer_add_cb(bufferevent_get_input(bev), on_input, attempt))
		abort();
	return 0;
}

/* Calls one address. 0, or -1 with err set. */
static int
call_address(struct attempt *attempt, const char *address, const struct route *route,
    const char *path, const char *body, size_t len, struct error *err)
{
	const struct client *client = attempt->client;
	int64_t left = attempt->deadline - monotonic_ms();
	struct timeval wait = { .tv_sec = left / 1000, .tv_usec = left % 1000 * 1000 };
	struct event *timer;
	int rc;

	if (left <= 0) {
		attempt->late = true;
		return attempt_error(attempt, err);
	}
	attempt->base = event_base_new();
	if (!attempt->base)
		abort();
	timer = attempt->timer = evtimer_new(attempt->base, on_deadline, attempt);
	if (!timer)
		abort();
	evtimer_add(timer, &wait);

	rc = dial_open(&attempt->dial, attempt->base, &client->server, address);
	errno = -rc;
	if (rc == 0)
		rc = send_request(attempt, route, path, body, len);
	if (rc < 0)
		attempt->failed = attempt->done = true;
	if (attempt->done)
		attempt->errnum = errno;
	else
		event_base_dispatch(attempt->base);
	dial_close(&attempt->dial);
	event_free(timer);
	event_base_free(attempt->base);
	if (attempt->stream && attempt->stream->ended)
		return 0;
	return attempt->failed || !attempt->done ? attempt_error(attempt, err) : 0;
}

static bool
has_shown(const struct server *server)
{
	return server->shown && server->shown->as != SHOWN_NOTHING;
}

/* As client_call; the answer's body may come as a stream instead. */
static int
call(const struct client *client, enum route_id id, const char *param, const void *request,
    struct client_stream *stream, struct answer *ret, struct error *err)
{
	const struct route *route = &routes[id];
	_free_ char *plain = route_path(id, param);
	_free_ char *path = xasprintf("%s%s%s%s", str_or_empty(client->server.prefix), plain,
	    client->query ? "?" : "", str_or_empty(client->query));
	_free_ char *body = NULL;
	char *addresses[SERVER_ADDRESSES_MAX];
	int64_t deadline = monotonic_ms() + client->timeout * INT64_C(1000);
	size_t n = 0, len = 0;
	bool connected = false;
	int rc;

	*ret = (struct answer){ 0 };
	if (route->request && request)
		body = client->body ? xmemdup(client->body, len = strlen(client->body))
				    : json_encode(route->request, request, &len);
	rc = server_resolve(&client->server, addresses, &n, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < n && !connected && !has_shown(&client->server); i++) {
		_free_ char *where =
		    client->server.socket
			? xasprintf("'%s'", client->server.socket)
			: xasprintf("%s port %u", addresses[i], client->server.port);
		struct attempt attempt = { .client = client,
			.where = where,
			.answer = ret,
			.stream = stream,
			.deadline = deadline };
		struct error last = { 0 };

		rc = call_address(&attempt, addresses[i], route, path, body, len, &last);
		connected = attempt.connected;
		if (rc < 0 && i == 0)
			*err = last;
		else if (rc < 0)
			error_append(err, "%s", last.detail);
	}
	for (size_t i = 0; i < n; i++)
		free(addresses[i]);
	if (rc < 0 || (stream && stream->ended))
		return rc;

	if (answer_check(ret, id, client->success ? client->success : route->success, err) < 0) {
		answer_clear(ret);
		return -1;
	}
	return 0;
}

int
client_call(const struct client *client, enum route_id id, const char *param, const void *request,
    struct answer *ret, struct error *err)
{
	return call(client, id, param, request, NULL, ret, err);
}

int
client_follow(
    const struct client *client, enum route_id id, struct client_stream *stream, struct error *err)
{
	_answer_ struct answer answer = { 0 };

	stream->begun = stream->ended = false;
	if (call(client, id, NULL, NULL, stream, &answer, err) < 0)
		return -1;
	if (stream->ended)
		return 0;
	return error_set(err, CLIENT_ERROR_STATUS, "the server ended the stream");
}

int
client_get(const struct client *client, enum route_id id, const char *param, const void *request,
    void *reply, struct error *err)
{
	_answer_ struct answer answer = { 0 };

	if (client_call(client, id, param, request, &answer, err) < 0)
		return -1;
	return answer_decode(&answer, routes[id].reply, reply, err);
}
