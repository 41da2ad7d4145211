/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "server.h"

#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "api/api.h"
#include "clock.h"
#include "history.h"
#include "host.h"
#include "http/exchange.h"
#include "state/caller.h"

struct served {
	struct request req; /* the first: exchange_get_source finds the rest by it */
	struct served *next;
	uint64_t id;
	int host;
	enum method method;
	char *path, *query, *body, *user, *placement, *placed;
	char client[46];
	server_answered answered; /* NULL: nobody waits */
	void *arg;
};

static struct served *list;
static uint64_t last_id;
/* The simulation knows no credentials. */
static const struct caller everybody = { .role = ROLE_ADMIN };

static void
served_free(struct served *served)
{
	struct served **link = &list;

	while (*link != served)
		link = &(*link)->next;
	*link = served->next;
	free(served->path);
	free(served->query);
	free(served->body);
	free(served->user);
	free(served->placement);
	free(served->placed);
	free(served);
}

static void
on_send(struct request *req, int status, const char *content_type, char *body, size_t len,
    const struct request_header *headers, size_t n_headers)
{
	struct served *served = (struct served *)req;
	struct peer_answer answer = { .status = status,
		.type = content_type,
		.length = (int64_t)len,
		.body = body ? body : "",
		.len = body ? len : 0 };

	for (size_t i = 0; i < n_headers && answer.n_headers < ANSWER_HEADERS_MAX; i++)
		answer.headers[answer.n_headers++] = headers[i];
	if (served->answered)
		served->answered(served->arg, &answer);
	free(body);
	served_free(served);
}

static void
stream_start(struct request *req, int status, const char *content_type, int64_t length,
    const struct request_header *headers, size_t n_headers)
{
	fprintf(stderr, "an answer in pieces is not simulated\n");
	abort();
}

static const struct request_stream stream = { .start = stream_start };

static const char *
header(const struct server_call *call, const char *name)
{
	for (size_t i = 0; i < call->n_headers; i++) {
		if (strcasecmp(call->headers[i].name, name) == 0)
			return call->headers[i].value;
	}
	return NULL;
}

bool
exchange_get_source(struct request *req, struct exchange_source *ret)
{
	static char key[] = "Content-Type", value[] = "application/json";
	static struct evkeyval type = { .key = key, .value = value };
	static struct evkeyvalq headers;
	const struct served *served = (const struct served *)req;

	if (TAILQ_EMPTY(&headers)) {
		TAILQ_INIT(&headers);
		TAILQ_INSERT_TAIL(&headers, &type, next);
	}
	ret->method = served->method;
	ret->path = served->path;
	ret->headers = &headers;
	return served->answered != NULL;
}

uint64_t
server_request(int host, const struct server_call *call, server_answered answered, void *arg)
{
	struct served *served = xcalloc(1, sizeof(*served));
	const char *query = strchr(call->path, '?');
	struct request *req = &served->req;
	uint64_t id = served->id = ++last_id;
	unsigned int allow;
	int before;

	served->next = list;
	list = served;
	served->host = host;
	served->method = call->method;
	served->path =
	    query ? xstrndup(call->path, (size_t)(query - call->path)) : xstrdup(call->path);
	served->query = query ? xstrdup(query + 1) : NULL;
	served->body = call->len ? xmemdup(call->body, call->len) : xstrdup("");
	snprintf(served->client, sizeof(served->client), "%s", call->client);
	served->user = xstrdup(
	    header(call, "X-Forwarded-For") ? header(call, "X-Forwarded-For") : call->client);
	served->placement = xstrdup(header(call, "X-VirtX-Placement"));
	served->placed = xstrdup(header(call, "X-VirtX-Placed"));
	served->answered = answered;
	served->arg = arg;
	req->query = served->query;
	req->body = served->body;
	req->body_len = call->len;
	req->client = served->client;
	req->user = served->user;
	req->caller = &everybody;
	req->looped = header(call, "X-VirtX-Loop") != NULL;
	req->placement = served->placement;
	req->placed = served->placed;
	req->last_event_id = "";
	req->send = on_send;
	req->stream = &stream;
	if (route_find(call->method, served->path, &req->route, req->param, sizeof(req->param),
		&allow) != ROUTE_FOUND) {
		fprintf(stderr, "no route: %s\n", call->path);
		abort();
	}
	before = clock_enter(host);
	api_handle(host_context(host), req);
	clock_enter(before);
	return id;
}

/* Whoever waits is told that no answer comes; what the request has begun goes on. */
static void
hang_up(struct served *served)
{
	server_answered answered = steal_ptr(served->answered);
	void *arg = served->arg;
	int before = clock_enter(served->host);

	if (served->req.watch && served->req.watch->gone)
		served->req.watch->gone(served->req.watch_arg);
	clock_enter(before);
	answered(arg, NULL);
}

void
server_hang_up(uint64_t id)
{
	struct served *served = list;

	while (served && served->id != id)
		served = served->next;
	if (served && served->answered)
		hang_up(served);
}

void
server_drop(int host)
{
	struct served *served = list;

	while (served) {
		if (served->host == host && served->answered) {
			hang_up(served);
			served = list;
		} else {
			served = served->next;
		}
	}
}

void
server_reset(void)
{
	while (list)
		served_free(list);
	last_id = 0;
}

size_t
server_count(void)
{
	size_t n = 0;

	for (const struct served *served = list; served; served = served->next)
		n++;
	return n;
}
