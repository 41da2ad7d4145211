/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An answer is passed on whole, with its length; a long one as it comes. */
#include "http/forward.h"

#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "api/answer_news.h"
#include "http/exchange.h"
#include "http/identity.h"
#include "http/peer.h"
#include "proto/log.h"
#include "proto/problem.h"
#include "state/operations.h"

#define HEADERS_MAX 64 /* of a request */
#define CONNECT_MS  2000
#define READ_MS	    10000      /* for what the other host answers from its memory */
#define MARGIN_MS   5000       /* over what the other host itself allows a job */
#define WHOLE_MAX   (64 << 10) /* a longer answer is passed on as it comes, bytes */
#define HELD_MAX    (1 << 20)  /* of one whose length is not known, or that somebody waits for */
#define ANSWER_MAX  (16 << 20)
#define LOG_BURST   20
#define UNSENT_MAX  (256 << 10) /* then the other host has to wait for the client */
#define GO_NO_ROUTE "404 page not found"

struct forwarder {
	struct peers *peers;
	const struct config *config;
	struct inventory *inventory;
	struct operations *operations;
	forward_find find;
	void *arg;
};

struct forwarding {
	struct forwarder *forwarder;
	struct request *req;
	struct peer_call *call;
	char host[37];
	char vm[37];
	uint64_t mark; /* of the inventory, before the other host was asked */
	bool streams;
	bool unsent;
	bool (*answered)(void *arg, struct request *req, const struct request_answer *answer);
	void *arg;
};

/* Headers of a request that mean something to the other host. */
static bool
passes(const char *name)
{
	static const char *const names[] = { "Accept", "Content-Type", "If-Match", "Prefer",
		"User-Agent" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcasecmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

/* The client's next request to this host must see what its last has done. */
static void
take_news(struct forwarding *fw, const struct peer_answer *answer)
{
	const char *news = answer_header(answer, REQUEST_NEWS);

	if (news)
		answer_news_take(fw->forwarder->inventory, fw->mark, fw->host, news);
}

static bool
on_begin(void *arg, const struct peer_answer *answer)
{
	struct request_header headers[ANSWER_HEADERS_MAX];
	struct forwarding *fw = arg;
	size_t n;

	if (answer->length <= WHOLE_MAX || fw->answered)
		return false;
	take_news(fw, answer);
	n = answer_pass(answer, headers);
	fw->streams = true;
	request_start(fw->req, answer->status, answer->type, answer->length, headers, n);
	return true;
}

static void
on_data(void *arg, const void *data, size_t len)
{
	struct forwarding *fw = arg;

	if (request_write(fw->req, data, len) > UNSENT_MAX)
		peer_pause(fw->call, true);
}

static void
on_drained(void *arg)
{
	struct forwarding *fw = arg;

	if (fw->call)
		peer_pause(fw->call, false);
}

static void
log_failure(const struct error *err)
{
	static struct log_limit limit;

	log_limited(&limit, LOG_BURST, "forward", "%s", err->detail);
}

static void
reply_error(struct forwarding *fw, const struct error *cause)
{
	struct error err = *cause;

	snprintf(err.host, sizeof(err.host), "%s", fw->host);
	snprintf(err.vm, sizeof(err.vm), "%s", fw->vm);
	if (!fw->unsent && fw->req->route->op)
		error_append(&err,
		    "it had the request: what was asked for may be done there, or go on; GET "
		    "tells what is true");
	log_failure(&err);
	request_reply_error(fw->req, &err);
}

/* Where the client may look for what the other host goes on with. */
static void
note_operation(const struct forwarding *fw, const struct peer_answer *answer)
{
	static const char prefix[] = "/operations/";

	const char *location = answer_header(answer, "Location");

	if (!location || strncmp(location, prefix, strlen(prefix)) != 0)
		return;
	location += strlen(prefix);
	operations_set_elsewhere(fw->forwarder->operations, location, fw->host);
	snprintf(fw->req->operation, sizeof(fw->req->operation), "%.36s", location);
}

static const struct request_watch no_watch;

/* Who chose the host sees the answer first: true where it takes the request back. */
static bool
tell_answer(struct forwarding *fw, const struct request_answer *answer)
{
	if (!fw->answered)
		return false;
	request_set_watch(fw->req, &no_watch, NULL);
	return fw->answered(fw->arg, fw->req, answer);
}

static bool
take_back(
    struct forwarding *fw, const struct peer_answer *answer, const struct error *err, bool gone)
{
	struct request_answer told = { .gone = gone, .unsent = fw->unsent, .err = err };

	if (answer) {
		told.status = answer->status;
		told.body = answer->body;
		told.len = answer->len;
		told.refused = answer_header(answer, "X-VirtX-Refused");
	}
	return tell_answer(fw, &told);
}

static void
on_unsent(void *arg)
{
	struct forwarding *fw = arg;

	fw->unsent = true;
}

static void
reply_answer(struct forwarding *fw, const struct peer_answer *answer)
{
	struct request_header headers[ANSWER_HEADERS_MAX];
	size_t n = answer_pass(answer, headers), len = answer->len;

	/* The answer to HEAD has the length of what is not there. */
	if (fw->req->head)
		len = answer->length > 0 ? (size_t)answer->length : 0;
	note_operation(fw, answer);
	request_reply_full(fw->req, answer->status, answer->type,
	    answer->len ? xmemdup(answer->body, answer->len) : NULL, len, headers, n);
}

/* Whether its virtxd has no such route: one of virtxd says so of the path, and the Go virtx has its
 * own words. That there is no such VM is another 404. */
static bool
lacks_route(const struct forwarding *fw, const struct peer_answer *answer)
{
	_free_ char *none = NULL;
	struct exchange_source source;
	struct error told = { 0 };

	if (answer->status == 405)
		return true;
	if (answer->status != 404 || !exchange_get_source(fw->req, &source))
		return false;
	none = xasprintf("there is no '%s'", source.path);
	problem_decode(&told, answer->status, answer->body, answer->len);
	return str_equal(told.detail, none) ||
	       strncmp(told.detail, GO_NO_ROUTE, strlen(GO_NO_ROUTE)) == 0;
}

/* Whether the answer is about this host or the route, and so none to the client: nothing was done.
 */
static bool
is_misplaced(const struct forwarding *fw, const struct peer_answer *answer, struct error *err)
{
	/* Who it does not know is this host, not the client. */
	if (answer->status == 401) {
		error_set(err, 502,
		    "host '%s' does not know this one, which needs a certificate of the cluster's "
		    "CA in section [tls]",
		    fw->host);
		return true;
	}
	if (fw->streams || !lacks_route(fw, answer))
		return false;
	error_set_type(err, ERROR_NOT_SUPPORTED,
	    "host '%s' cannot do this (%s %s): its virtxd is another version, which does not know "
	    "of it; nothing was done",
	    fw->host, method_word(fw->req->route->method), fw->req->route->path);
	return true;
}

static void
on_done(void *arg, const struct peer_answer *answer, const struct error *err)
{
	struct forwarding *fw = arg;
	struct error unknown = { 0 };

	fw->call = NULL;
	if (answer && is_misplaced(fw, answer, &unknown)) {
		fw->unsent = true;
		answer = NULL;
		err = &unknown;
	}
	if (answer && !fw->streams)
		take_news(fw, answer);
	if (!fw->streams && take_back(fw, answer, err, false)) {
		free(fw);
		return;
	}
	if (fw->streams) {
		if (err)
			log_failure(err);
		request_end(fw->req, answer != NULL);
	} else if (!answer) {
		reply_error(fw, err);
	} else {
		reply_answer(fw, answer);
	}
	free(fw);
}

static const struct peer_ops ops = { on_begin, on_data, on_done, on_unsent };

/* The other host goes on with what it has begun: that somebody waits makes no difference to it. */
static void
on_gone(void *arg)
{
	static const struct error none = { .status = 499 };
	struct forwarding *fw = arg;

	peer_cancel(fw->call);
	take_back(fw, NULL, &none, true);
	if (fw->streams)
		request_end(fw->req, false);
	else
		request_reply_error(fw->req, &none);
	free(fw);
}

static const struct request_watch watch = { on_gone, on_drained };

/* The headers of the request as it goes on. */
static size_t
make_headers(const struct exchange_source *source, const char *user, const char *caller,
    const char *known, const struct request_forward *more, struct request_header out[HEADERS_MAX])
{
	size_t room = HEADERS_MAX - 4 - (more ? more->n_headers : 0);
	const struct evkeyval *header;
	size_t n = 0;

	TAILQ_FOREACH (header, source->headers, next) {
		if (passes(header->key) && n < room)
			out[n++] = (struct request_header){ header->key, header->value };
	}
	out[n++] = (struct request_header){ "X-Forwarded-For", user };
	out[n++] = (struct request_header){ "X-VirtX-Loop", "1" };
	out[n++] = (struct request_header){ IDENTITY_CALLER, caller };
	if (*known)
		out[n++] = (struct request_header){ REQUEST_KNOWN, known };
	for (size_t i = 0; more && i < more->n_headers; i++)
		out[n++] = more->headers[i];
	return n;
}

/* 0, or why it cannot even be tried. */
static int
find_address(
    struct forwarder *forwarder, const char *host, struct forward_address *ret, struct error *err)
{
	if (!forwarder->find(forwarder->arg, host, ret))
		return error_set(err, 503, "serf does not say where host '%s' is", host);
	return 0;
}

void
forward_request(struct forwarder *forwarder, struct request *req, const char *host)
{
	forward_chosen(forwarder, req, host, NULL);
}

void
forward_chosen(struct forwarder *forwarder, struct request *req, const char *host,
    const struct request_forward *more)
{
	struct forwarding *fw = xcalloc(1, sizeof(*fw));
	struct request_header headers[HEADERS_MAX];
	struct forward_address address;
	struct exchange_source source;
	struct peer_request request;
	char caller[CALLER_TEXT_SIZE], known[INVENTORY_STAMP_SIZE] = "";
	_free_ char *path = NULL;
	struct error err = { 0 };

	fw->forwarder = forwarder;
	fw->req = req;
	fw->mark = inventory_mark(forwarder->inventory);
	if (more) {
		fw->answered = more->answered;
		fw->arg = more->arg;
	}
	snprintf(fw->host, sizeof(fw->host), "%s", host);
	if (req->route->scope == SCOPE_VM) {
		snprintf(fw->vm, sizeof(fw->vm), "%.36s", req->param);
		inventory_get_stamp(forwarder->inventory, fw->vm, known);
	}
	if (!exchange_get_source(req, &source))
		error_set(&err, 499, "the client has gone");
	else
		find_address(forwarder, host, &address, &err);
	if (err.status) {
		fw->unsent = true;
		if (!take_back(fw, NULL, &err, err.status == 499))
			reply_error(fw, &err);
		free(fw);
		return;
	}
	path = req->query ? xasprintf("%s?%s", source.path, req->query) : xstrdup(source.path);
	caller_write(req->caller, caller);
	request = (struct peer_request){
		.addr = address.addr,
		.port = address.port,
		.host = host,
		.tls = address.tls,
		.method = source.method,
		.path = path,
		.headers = headers,
		.n_headers = make_headers(&source, req->user, caller, known, more, headers),
		.body = req->body,
		.len = req->body_len,
		.connect_ms = CONNECT_MS,
		.deadline_ms =
		    req->route->op ? forwarder->config->reply_timeout * 1000 + MARGIN_MS : READ_MS,
		.answer_max = ANSWER_MAX,
		.whole_max = HELD_MAX,
	};
	fw->call = peer_start(forwarder->peers, &request, &ops, fw);
	request_set_watch(req, &watch, fw);
}

struct forwarder *
forwarder_new(struct peers *peers, const struct config *config, struct inventory *inventory,
    struct operations *operations, forward_find find, void *arg)
{
	struct forwarder *forwarder = xcalloc(1, sizeof(*forwarder));

	forwarder->peers = peers;
	forwarder->config = config;
	forwarder->inventory = inventory;
	forwarder->operations = operations;
	forwarder->find = find;
	forwarder->arg = arg;
	return forwarder;
}

void
forwarder_free(struct forwarder *forwarder)
{
	free(forwarder);
}
