/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One request with its reply. It outlives its connection where a handler has it for longer. */
#include "http/exchange.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <event2/util.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "http/audit.h"
#include "http/connection.h"
#include "http/headers.h"
#include "http/slowdown.h"
#include "proto/log.h"
#include "proto/problem.h"
#include "proto/shared_text.h"
#include "proto/text.h"
#include "proto/token_secret.h"
#include "state/inventory.h"
#include "state/tokens.h"

#define PLACEMENT_MAX 500
#define PLACED_MAX    63
#define PIECE	      (32 * 1024) /* of a reply, bytes */
#define SHARED_MAX    (32 << 20)  /* bytes of texts that are sent without a copy */

struct exchange {
	struct request req;	       /* first: a request is an exchange */
	struct evhttp_request *http;   /* NULL once evhttp has freed it */
	struct connection *connection; /* NULL once it is gone */
	struct exchange_counts *counts;
	const char *method;
	int64_t start; /* ms */
	bool head;
	bool refused; /* over who has sent it, or from where */
	bool close;   /* what follows on the connection cannot be told from this request's body */
	char *body;
	char *query;
	char *names; /* of the certificate that was shown, else NULL */
	struct identity identity;
	struct error *wrong; /* that is told later, else NULL */
	struct slowdown_wait *wait;
	char client[48];
	char last_event_id[64];
	char *if_match;	 /* NULL for none */
	char *placement; /* of a looped request, else NULL */
	char *placed;	 /* likewise */
	char known[INVENTORY_STAMP_SIZE];
	char path[256]; /* for the log and for messages, cut */
};

static const char *
method_name(enum evhttp_cmd_type type)
{
	switch (type) {
	case EVHTTP_REQ_GET:
		return "GET";
	case EVHTTP_REQ_POST:
		return "POST";
	case EVHTTP_REQ_HEAD:
		return "HEAD";
	case EVHTTP_REQ_PUT:
		return "PUT";
	case EVHTTP_REQ_DELETE:
		return "DELETE";
	case EVHTTP_REQ_OPTIONS:
		return "OPTIONS";
	case EVHTTP_REQ_TRACE:
		return "TRACE";
	case EVHTTP_REQ_CONNECT:
		return "CONNECT";
	case EVHTTP_REQ_PATCH:
		return "PATCH";
	default:
		return "this method";
	}
}

static void
set_client(struct exchange *ex, const struct local_peer *local)
{
	char *address;
	uint16_t port;

	if (local) {
		text_copy(ex->client, sizeof(ex->client), CALLER_UNIX);
		return;
	}
	evhttp_connection_get_peer(evhttp_request_get_connection(ex->http), &address, &port);
	text_copy(ex->client, sizeof(ex->client), address);
}

/* What another host says of its own: why it chose this one, which ends up in an operation's text
 * (printable ASCII alone), and what it knows. */
static void
set_forwarded(struct exchange *ex, const struct headers *h)
{
	ex->req.placement = ex->req.placed = ex->req.known = "";
	if (!ex->req.looped)
		return;
	ex->placement =
	    xstrndup(ex->identity.host ? str_or_empty(h->placement) : "", PLACEMENT_MAX);
	ex->placed = xstrndup(str_or_empty(h->placed), PLACED_MAX);
	text_copy(ex->known, sizeof(ex->known), str_or_empty(h->known));
	ex->req.placement = ex->placement;
	ex->req.placed = ex->placed;
	ex->req.known = ex->known;
	for (char *p = ex->placement; *p; p++) {
		if (*p < ' ' || *p > '~')
			*p = '?';
	}
}

/* The last that has ended, for the next request: mostly there is one at a time, and what is as
 * large costs malloc a search each time. */
static struct exchange *spare;

static struct exchange *
exchange_new(void)
{
	struct exchange *ex = spare;

	if (!ex)
		return xcalloc(1, sizeof(*ex));
	spare = NULL;
	memset(ex, 0, sizeof(*ex));
	return ex;
}

static void
exchange_free(struct exchange *ex)
{
	free(ex->body);
	free(ex->query);
	free(ex->names);
	free(ex->if_match);
	free(ex->placement);
	free(ex->placed);
	free(ex->wrong);
	shared_text_drop(ex->req.shared);
	if (spare)
		free(ex);
	else
		spare = ex;
}

/* The connection is gone before the reply: whoever has the request learns of it from nobody. */
static void
on_gone(void *arg)
{
	struct exchange *ex = arg;

	/* Where the client hung up, evhttp leaves us the request, and still wants its reply. Where
	 * we close, it frees both. */
	if (evhttp_request_get_connection(ex->http))
		ex->http = NULL;
	ex->connection = NULL;
	/* Last: it may end the exchange. */
	if (ex->req.watch && ex->req.watch->gone)
		ex->req.watch->gone(ex->req.watch_arg);
}

/* In pieces: what was sent of a large one is free then, however long the rest takes. */
static void
add_body(struct evbuffer *output, const char *body, size_t len)
{
	for (size_t at = 0; at < len; at += PIECE) {
		if (evbuffer_add(output, body + at, len - at < PIECE ? len - at : PIECE) < 0)
			abort();
	}
}

static void
on_sent(const void *data, size_t len, void *arg)
{
	shared_text_drop(arg);
}

/* In pieces, too: TLS takes a whole one at once. What others hold is not copied, unless there is
 * much of it: of a list that has changed since, a client that leaves the end unread holds all. */
static void
add_shared(struct evbuffer *output, struct shared_text *text)
{
	if (shared_text_alive() > SHARED_MAX) {
		add_body(output, text->data, text->len);
		return;
	}
	for (size_t at = 0; at < text->len; at += PIECE) {
		size_t len = text->len - at < PIECE ? text->len - at : PIECE;

		if (evbuffer_add_reference(
			output, text->data + at, len, on_sent, shared_text_hold(text)) < 0)
			abort();
	}
}

/* The reply is there. */
static void
note_reply(struct exchange *ex, int status)
{
	enum route_id route = ex->req.route ? ex->req.route->id : ROUTE_N;
	int class = status / 100;
	const struct audit_entry entry = {
		.caller = &ex->identity.caller,
		.req = &ex->req,
		.method = ex->method,
		.path = ex->path,
		.status = status,
		.ms = monotonic_ms() - ex->start,
		.refused = ex->refused,
	};

	/* Without a connection there may be no server any more. */
	if (ex->connection && class > 0 && class < METRICS_CLASSES)
		ex->counts->requests[route][class]++;
	audit_note(&entry);
	if (log_get_level() >= LOG_LEVEL_DEBUG)
		log_debug("http", "%s %s: %d in %lld ms, for %s (%s)%s", ex->method, ex->path,
		    status, (long long)entry.ms, ex->req.user, ex->client,
		    ex->connection ? "" : ", who has gone");
}

/* length -1: it is not known. */
static void
add_headers(struct exchange *ex, const char *content_type, int64_t length,
    const struct request_header *headers, size_t n_headers)
{
	struct evkeyvalq *out = evhttp_request_get_output_headers(ex->http);
	char number[TEXT_DECIMAL_SIZE];

	if (content_type)
		evhttp_add_header(out, "Content-Type", content_type);
	if (length >= 0) {
		text_decimal(number, length);
		evhttp_add_header(out, "Content-Length", number);
	}
	for (size_t i = 0; i < n_headers; i++)
		evhttp_add_header(out, headers[i].name, headers[i].value);
	if (ex->close) {
		evhttp_add_header(out, "Connection", "close");
		connection_drain(ex->connection);
	}
}

/* What evhttp would add itself, but it formats the time for each reply. */
static void
add_date(struct evhttp_request *http)
{
	static char text[sizeof("Wed, 02 Dec 2026 23:59:59 GMT")];
	static time_t second = -1;
	time_t now = (time_t)(now_ms() / 1000);
	struct tm tm;

	/* evhttp adds none to a reply to HTTP/1.0, nor do we. */
	if (http->major != 1 || http->minor < 1)
		return;
	if (now != second) {
		gmtime_r(&now, &tm);
		evutil_date_rfc1123(text, sizeof(text), &tm);
		second = now;
	}
	evhttp_add_header(evhttp_request_get_output_headers(http), "Date", text);
}

/* struct request's send: the one place where replies in one piece go out. */
static void
exchange_send(struct request *req, int status, const char *content_type, char *body, size_t len,
    const struct request_header *headers, size_t n_headers)
{
	struct exchange *ex = (struct exchange *)req;

	note_reply(ex, status);
	if (!ex->connection) {
		free(body);
		/* To evhttp a reply without a connection means: free the request. */
		if (ex->http)
			evhttp_send_reply(ex->http, status, NULL, NULL);
		exchange_free(ex);
		return;
	}

	add_headers(ex, content_type, status == 204 ? -1 : (int64_t)len, headers, n_headers);
	add_date(ex->http);
	if (!ex->head && len > 0 && status != 204) {
		if (req->shared)
			add_shared(evhttp_request_get_output_buffer(ex->http), req->shared);
		else
			add_body(evhttp_request_get_output_buffer(ex->http), body, len);
	}
	free(body);
	connection_replied(ex->connection, ex->http);
	evhttp_send_reply(ex->http, status, error_title(status), NULL);
	connection_send(ex->connection);
	exchange_free(ex);
}

static void
stream_start(struct request *req, int status, const char *content_type, int64_t length,
    const struct request_header *headers, size_t n_headers)
{
	static const struct request_header close = { "Connection", "close" };
	struct exchange *ex = (struct exchange *)req;

	note_reply(ex, status);
	if (!ex->connection)
		return;
	add_headers(ex, content_type, length, headers, n_headers);
	/* An HTTP/1.0 client knows the end by this alone. */
	if (length < 0 && !ex->close)
		add_headers(ex, NULL, -1, &close, 1);
	connection_streaming(ex->connection, ex->http);
	evhttp_send_reply_start(ex->http, status, error_title(status));
}

static void
on_drained(struct evhttp_connection *evcon, void *arg)
{
	struct exchange *ex = arg;

	if (ex->req.watch && ex->req.watch->drained)
		ex->req.watch->drained(ex->req.watch_arg);
}

static size_t
stream_write(struct request *req, const void *data, size_t len)
{
	struct exchange *ex = (struct exchange *)req;
	struct evbuffer *piece;

	if (!ex->connection || ex->head || len == 0)
		return 0;
	piece = evbuffer_new();
	if (!piece || evbuffer_add(piece, data, len) < 0)
		abort();
	evhttp_send_reply_chunk_with_cb(ex->http, piece, on_drained, ex);
	evbuffer_free(piece);
	return connection_unsent(ex->connection);
}

static void
stream_end(struct request *req, bool whole)
{
	struct exchange *ex = (struct exchange *)req;

	if (ex->connection)
		connection_ended(ex->connection, whole);
	/* Without a connection this frees the request. */
	if (ex->http)
		evhttp_send_reply_end(ex->http);
	exchange_free(ex);
}

static const struct request_stream exchange_stream = { stream_start, stream_write, stream_end };

/* Answers what no handler sees. */
static void
refuse(struct exchange *ex, const struct error *err, const struct request_header *headers,
    size_t n_headers)
{
	size_t len;
	char *json = problem_encode(err, &len);

	ex->req.replied = true;
	exchange_send(
	    &ex->req, err->status, "application/problem+json", json, len, headers, n_headers);
}

/* Nobody knows who asks, or they may not. */
static void
refuse_who(struct exchange *ex, const struct error *err, enum identity_refusal why)
{
	const struct request_header challenge = { "WWW-Authenticate",
		why == REFUSAL_WRONG ? "Bearer realm=\"virtx\", error=\"invalid_token\""
				     : "Bearer realm=\"virtx\"" };

	ex->refused = true;
	if (err->status == 401 || err->status == 403)
		ex->counts->refusals[why]++;
	refuse(ex, err, &challenge, err->status == 401);
}

static void
on_told(void *arg)
{
	struct exchange *ex = arg;

	ex->wait = NULL;
	request_set_watch(&ex->req, NULL, NULL);
	refuse_who(ex, ex->wrong, REFUSAL_WRONG);
}

static void
on_guesser_gone(void *arg)
{
	struct exchange *ex = arg;

	slowdown_cancel(ex->wait);
	on_told(ex);
}

/* What is wrong was perhaps guessed, and who guesses has to wait. */
static void
refuse_later(struct exchange *ex, struct slowdown *slowdown, const struct error *err)
{
	static const struct request_watch watch = { .gone = on_guesser_gone };
	struct evbuffer *body;

	ex->wrong = xcalloc(1, sizeof(*err));
	*ex->wrong = *err;
	ex->wait = slowdown_wrong(slowdown, ex->identity.caller.from, on_told, ex);
	if (!ex->wait) {
		refuse_who(ex, ex->wrong, REFUSAL_WRONG);
		return;
	}
	/* Nobody reads it, and it is up to max_body. */
	body = evhttp_request_get_input_buffer(ex->http);
	evbuffer_drain(body, evbuffer_get_length(body));
	request_set_watch(&ex->req, &watch, ex);
	connection_watch(ex->connection);
}

/* What the request shows is not even looked at. */
static void
refuse_try(struct exchange *ex, int seconds)
{
	struct request_header header = { .name = "Retry-After" };
	char number[24];
	struct error err;

	snprintf(number, sizeof(number), "%d", seconds);
	header.value = number;
	error_set(&err, 429,
	    "too many requests from '%s' had no good token: the next one is looked at in %d s",
	    ex->identity.caller.from, seconds);
	ex->refused = true;
	refuse(ex, &err, &header, 1);
}

static void
refuse_method(struct exchange *ex, unsigned int allow)
{
	static const enum method order[] = { METHOD_GET, METHOD_HEAD, METHOD_POST, METHOD_PUT,
		METHOD_DELETE };
	struct request_header header = { .name = "Allow" };
	char list[64] = "";
	struct error err;

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		size_t len = strlen(list);

		if (allow & order[i])
			snprintf(list + len, sizeof(list) - len, "%s%s", len ? ", " : "",
			    method_word(order[i]));
	}
	header.value = list;
	error_set(&err, 405, "'%s' does not take %s, only %s", ex->path, ex->method, list);
	refuse(ex, &err, &header, 1);
}

/* Finds the handler's route, or answers. */
static int
find_route(struct exchange *ex, enum evhttp_cmd_type type, const char *path)
{
	enum method method = method_parse(method_name(type));
	unsigned int allow = 0;
	struct error err;

	switch (route_find(
	    method, path, &ex->req.route, ex->req.param, sizeof(ex->req.param), &allow)) {
	case ROUTE_FOUND:
		return 0;
	case ROUTE_NO_METHOD:
		refuse_method(ex, allow);
		return -1;
	case ROUTE_NO_PATH:
		error_set(&err, 404, "there is no '%s'", ex->path);
		break;
	case ROUTE_BAD_UUID:
		error_set(&err, 400, "'%s' does not hold a valid UUID", ex->path);
		break;
	case ROUTE_BAD_ENCODING:
	default:
		error_set(&err, 400, "bad percent-encoding in '%s'", ex->path);
		break;
	}
	refuse(ex, &err, NULL, 0);
	return -1;
}

static void
take_body(struct exchange *ex)
{
	struct evbuffer *input = evhttp_request_get_input_buffer(ex->http);
	size_t len = evbuffer_get_length(input);

	ex->req.body = "";
	if (len == 0)
		return;
	ex->body = xcalloc(len + 1, 1);
	evbuffer_remove(input, ex->body, len);
	ex->req.body = ex->body;
	ex->req.body_len = len;
}

/* For how many seconds what the request shows is not looked at. */
static int
busy_s(const struct exchange *ex, const struct guard *guard, const struct headers *h)
{
	return ex->identity.judged && h->authorization && guard->slowdown
		   ? slowdown_busy_s(guard->slowdown, ex->identity.caller.from)
		   : 0;
}

/* Whether the headers can be believed, and who asks is known; else it was answered. Nobody unknown
 * is told by what names the hosts are called. A secret may be guessed, a certificate cannot. */
static int
check_headers(struct exchange *ex, const struct guard *guard, const struct headers *h,
    enum evhttp_cmd_type type)
{
	enum identity_refusal why;
	struct error err, unknown;
	int busy = busy_s(ex, guard, h);
	bool known = !busy && identity_find(ex->connection, guard, h, ex->client, &ex->identity,
				  &why, &unknown) == 0;

	headers_wipe_secrets(ex->http);
	if (headers_check(h, type, &ex->close, &err) < 0) {
		refuse(ex, &err, NULL, 0);
		return -1;
	}
	if (known) {
		if (guard_check_source(guard, h, &err) == 0)
			return 0;
		ex->refused = true;
		refuse(ex, &err, NULL, 0);
		return -1;
	}
	if (busy)
		refuse_try(ex, busy);
	else if (error_is(&unknown, ERROR_WHO) && why == REFUSAL_WRONG && h->authorization &&
		 guard->slowdown)
		refuse_later(ex, guard->slowdown, &unknown);
	else
		refuse_who(ex, &unknown, why);
	return -1;
}

/* Who has a host's certificate has to be a host that the cluster has, too. */
static int
check_host(const struct exchange *ex, const struct guard *guard, struct error *err)
{
	char host[UUID_TEXT_SIZE];

	if (!connection_wants_identity(ex->connection) || !ex->identity.host ||
	    !connection_host(ex->connection, host))
		return 0;
	if (guard_check_host(guard, host, err) < 0)
		return -1;
	/* Whoever has had it before has its key as well. */
	if (guard->tokens &&
	    connection_is_before(ex->connection, host, tokens_again(guard->tokens, host)))
		return error_set_type(err, ERROR_NOT_A_MEMBER,
		    "host '%s' has a certificate from before it was put out of the cluster, and "
		    "has got another one since",
		    host);
	return 0;
}

/* Whether they may ask for the route; else it was answered. */
static int
check_client(struct exchange *ex, const struct guard *guard, const struct local_peer *local)
{
	struct error err = { 0 };

	if (check_host(ex, guard, &err) < 0) {
		refuse_who(ex, &err, REFUSAL_WRONG);
		return -1;
	}
	if (ex->identity.judged && identity_check_role(&ex->identity, ex->req.route, &err) < 0) {
		refuse_who(ex, &err, REFUSAL_ROLE);
		return -1;
	}
	/* Root can have the host's certificate; the group virtx has no use for what hosts ask.
	 * Nobody joins by the socket. */
	if (local && ((local->uid != 0 && ex->req.route->role == ROLE_HOST) ||
			 ex->req.route->role == ROLE_JOIN)) {
		error_set_type(&err, ERROR_ROLE, "only hosts of the cluster may ask for this");
		refuse_who(ex, &err, REFUSAL_ROLE);
		return -1;
	}
	if (!connection_wants_identity(ex->connection) && !local &&
	    guard_check_client(guard, ex->req.route, ex->client, &err) < 0) {
		ex->refused = true;
		refuse(ex, &err, NULL, 0);
		return -1;
	}
	ex->req.shown = ex->identity.certificate;
	if (*ex->req.shown)
		ex->req.shown_begin = connection_begin(ex->connection);
	if (ex->req.route->id == ROUTE_CLUSTER_RENEW && *ex->req.shown)
		ex->names = connection_names(ex->connection);
	ex->req.shown_names = str_or_empty(ex->names);
	return 0;
}

static void
set_request(struct exchange *ex, const struct headers *h)
{
	text_copy(ex->last_event_id, sizeof(ex->last_event_id), str_or_empty(h->last_event_id));
	ex->req.last_event_id = ex->last_event_id;
	ex->if_match = h->if_match ? xstrdup(h->if_match) : NULL;
	ex->req.if_match = ex->if_match;
	ex->req.head = ex->head;
	/* Who has shown a token is no host. */
	ex->req.looped =
	    h->looped && (ex->identity.host || !connection_wants_identity(ex->connection));
	ex->req.respond_async = h->respond_async;
	set_forwarded(ex, h);
}

bool
exchange_get_source(struct request *req, struct exchange_source *ret)
{
	struct exchange *ex = (struct exchange *)req;

	if (!ex->http || !ex->connection)
		return false;
	ret->method = method_parse(ex->method);
	ret->path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(ex->http));
	ret->headers = evhttp_request_get_input_headers(ex->http);
	return true;
}

void
exchange_start(struct evhttp_request *http, struct connection *connection,
    const struct guard *guard, struct exchange_counts *counts, http_handler handler, void *arg)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(http);
	enum evhttp_cmd_type type = evhttp_request_get_command(http);
	const char *path = str_or_empty(evhttp_uri_get_path(uri));
	const char *query = evhttp_uri_get_query(uri);
	const struct local_peer *local = connection_local_peer(connection);
	struct exchange *ex = exchange_new();
	struct headers h;
	struct error err;

	ex->http = http;
	ex->connection = connection;
	ex->counts = counts;
	ex->start = monotonic_ms();
	ex->method = method_name(type);
	ex->head = type == EVHTTP_REQ_HEAD;
	text_copy(ex->path, sizeof(ex->path), path);
	token_secret_hide(ex->path);
	connection_busy(connection, on_gone, ex);

	headers_read(http, &h);
	set_client(ex, local);
	identity_begin(connection, guard, &h, ex->client, path, &ex->identity);
	ex->req.send = exchange_send;
	ex->req.shares = true;
	ex->req.stream = &exchange_stream;
	ex->req.client = ex->client;
	ex->req.user = ex->identity.caller.user;
	ex->req.caller = &ex->identity.caller;
	if (check_headers(ex, guard, &h, type) < 0)
		return;
	set_request(ex, &h);
	if (find_route(ex, type, path) < 0 || check_client(ex, guard, local) < 0)
		return;
	if (query)
		ex->req.query = ex->query = xstrdup(query);
	take_body(ex);
	if (ex->req.body_len > 0 && guard_check_body(&h, &err) < 0) {
		refuse(ex, &err, NULL, 0);
		return;
	}
	handler(arg, &ex->req);
	connection_watch(connection);
}
