/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Takes the place of http/peer.c: calls to other hosts, over the simulated network. */
#include "http/peer.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "host.h"
#include "net.h"
#include "server.h"
#include "world.h"

#define TRAVEL_MS  20
#define CONNECT_MS 2000

struct peers {
	int host;
	struct peer_call *calls;
};

struct peer_call {
	struct peer_call *next;
	struct peers *peers;
	uint64_t id;
	const struct peer_ops *ops; /* NULL: got */
	peer_got got;
	void *arg;
	int to;
	char where[64];
	enum method method;
	char *path, *body;
	size_t len;
	struct request_header *headers;
	size_t n_headers;
	int connect_ms, deadline_ms;
	struct timer *timer;
	bool sent;
	bool answered;	 /* it has come, and is on its way up */
	uint64_t served; /* the request at the other host, 0 for none */
	int status;
	struct peer_answer answer;
};

static uint64_t last_id;
static struct peers *all[WORLD_HOSTS];

static void
call_free(struct peer_call *call)
{
	struct peer_call **link = &call->peers->calls;

	while (*link != call)
		link = &(*link)->next;
	*link = call->next;
	timer_free(call->timer);
	for (size_t i = 0; i < call->n_headers; i++) {
		free((char *)call->headers[i].name);
		free((char *)call->headers[i].value);
	}
	free(call->headers);
	free(call->path);
	free(call->body);
	free(call);
}

/* The call with this id, NULL where it is over. */
static struct peer_call *
find(uint64_t id)
{
	for (int i = 0; i < world.n_hosts; i++) {
		for (struct peer_call *call = all[i] ? all[i]->calls : NULL; call;
		     call = call->next) {
			if (call->id == id)
				return call;
		}
	}
	return NULL;
}

static void
finish(struct peer_call *call, const struct peer_answer *answer, const struct error *err)
{
	const struct peer_ops *ops = call->ops;
	peer_got got = call->got;
	void *arg = call->arg;
	bool unsent = !call->sent;
	int before = clock_enter(call->peers->host);

	call_free(call);
	if (ops && unsent && err && ops->unsent)
		ops->unsent(arg);
	if (ops && answer && ops->begin && ops->begin(arg, answer))
		ops->data(arg, answer->body, answer->len);
	if (ops)
		ops->done(arg, answer, err);
	else
		got(arg, answer, err);
	clock_enter(before);
}

static void
fail(struct peer_call *call, const char *why)
{
	struct error err = { 0 };

	error_set(&err, 502, "%s %s", call->where, why);
	finish(call, NULL, &err);
}

static void
on_late(void *arg)
{
	struct peer_call *call = arg;

	if (call->served)
		server_hang_up(call->served);
	fail(call, call->sent ? "did not answer in time" : "cannot be reached");
}

/* An answer that travels. */
struct reply {
	uint64_t id;
	int from, to;
	bool none; /* the connection breaks */
	struct peer_answer answer;
	char *type, *body;
};

static void
reply_free(struct reply *reply)
{
	for (size_t i = 0; i < reply->answer.n_headers; i++) {
		free((char *)reply->answer.headers[i].name);
		free((char *)reply->answer.headers[i].value);
	}
	free(reply->type);
	free(reply->body);
	free(reply);
}

static void
on_reply(void *arg)
{
	struct reply *reply = arg;
	struct peer_call *call = find(reply->id);

	/* Where the network is cut, nothing comes until the deadline. */
	if (call && net_is_open(reply->from, reply->to)) {
		call->served = 0;
		if (reply->none || net_loses())
			fail(call, "closed the connection before its answer was there");
		else
			finish(call, &reply->answer, NULL);
	}
	reply_free(reply);
}

struct asked {
	uint64_t id;
	int from, to;
};

static void
on_answered(void *arg, const struct peer_answer *answer)
{
	struct asked *asked = arg;
	struct reply *reply = xcalloc(1, sizeof(*reply));

	reply->id = asked->id;
	reply->from = asked->to;
	reply->to = asked->from;
	reply->none = !answer;
	if (answer) {
		reply->answer = *answer;
		reply->answer.type = reply->type = answer->type ? xstrdup(answer->type) : NULL;
		reply->answer.body = reply->body = xmemdup(answer->body, answer->len);
		for (size_t i = 0; i < answer->n_headers; i++)
			reply->answer.headers[i] =
			    (struct request_header){ xstrdup(answer->headers[i].name),
				    xstrdup(answer->headers[i].value) };
	}
	free(asked);
	clock_after(net_delay(TRAVEL_MS), on_reply, reply);
}

/* The request is at the other host. */
static void
on_arrived(void *arg)
{
	uint64_t *id = arg, served;
	struct peer_call *call = find(*id);
	struct asked *asked;
	struct server_call request;
	char client[46];
	bool open = call && net_is_open(call->peers->host, call->to);

	if (open && (!host_serves(call->to) || net_loses())) {
		fail(call, "refuses the connection");
	} else if (open) {
		call->sent = true;
		timer_start(call->timer, call->deadline_ms);
		asked = xcalloc(1, sizeof(*asked));
		*asked = (struct asked){ call->id, call->peers->host, call->to };
		snprintf(client, sizeof(client), "10.0.0.%d", call->peers->host + 1);
		request = (struct server_call){ call->method, call->path, call->body, call->len,
			call->headers, call->n_headers, client };
		served = server_request(call->to, &request, on_answered, asked);
		call = find(*id);
		if (call)
			call->served = served;
	}
	free(id);
}

static struct peer_call *
start(struct peers *peers, const struct peer_request *request, const struct peer_ops *ops,
    peer_got got, void *arg)
{
	struct peer_call *call = xcalloc(1, sizeof(*call));
	uint64_t *id = xcalloc(1, sizeof(*id));
	int to = 0;

	if (sscanf(request->addr, "10.0.0.%d", &to) != 1 || to < 1 || to > world.n_hosts)
		abort();
	call->next = peers->calls;
	peers->calls = call;
	call->peers = peers;
	call->id = *id = ++last_id;
	call->ops = ops;
	call->got = got;
	call->arg = arg;
	call->to = to - 1;
	snprintf(call->where, sizeof(call->where), "host '%s'", world.hosts[call->to]);
	call->method = request->method;
	call->path = xstrdup(request->path);
	call->body = xmemdup(request->body ? request->body : "", request->len);
	call->len = request->len;
	call->headers = xcalloc(request->n_headers + 1, sizeof(*call->headers));
	for (size_t i = 0; i < request->n_headers; i++)
		call->headers[call->n_headers++] =
		    (struct request_header){ xstrdup(request->headers[i].name),
			    xstrdup(request->headers[i].value) };
	call->deadline_ms = request->deadline_ms;
	call->timer = timer_new(NULL, on_late, call);
	timer_start(call->timer, request->connect_ms ? request->connect_ms : request->deadline_ms);
	clock_after(net_delay(TRAVEL_MS), on_arrived, id);
	return call;
}

struct peers *
peers_new(struct event_base *base, peers_check check)
{
	struct peers *peers = xcalloc(1, sizeof(*peers));

	peers->host = clock_host();
	all[peers->host] = peers;
	return peers;
}

void
peers_set_source(struct peers *peers, const char *addr)
{
}

void
peers_set_tls(struct peers *peers, struct tls *tls)
{
}

void
peers_refuse_plain(struct peers *peers)
{
}

void
peers_free(struct peers *peers)
{
	if (!peers)
		return;
	while (peers->calls)
		peer_cancel(peers->calls);
	all[peers->host] = NULL;
	free(peers);
}

struct peer_call *
peer_start(
    struct peers *peers, const struct peer_request *request, const struct peer_ops *ops, void *arg)
{
	return start(peers, request, ops, NULL, arg);
}

/* The other host learns that nobody waits any more; it may be gone itself. */
static void
on_cancelled(void *arg)
{
	uint64_t *served = arg;

	server_hang_up(*served);
	free(served);
}

void
peer_cancel(struct peer_call *call)
{
	uint64_t *served;

	if (!call)
		return;
	if (call->served) {
		served = xcalloc(1, sizeof(*served));
		*served = call->served;
		clock_after(net_delay(TRAVEL_MS), on_cancelled, served);
	}
	call_free(call);
}

void
peer_pause(struct peer_call *call, bool paused)
{
}

struct peer_call *
peer_get(struct peers *peers, const struct peer_to *to, const char *path, int deadline_ms,
    peer_got got, void *arg)
{
	struct peer_request request = {
		.addr = to->addr,
		.port = to->port,
		.method = METHOD_GET,
		.path = path,
		.connect_ms = deadline_ms < CONNECT_MS ? deadline_ms : CONNECT_MS,
		.deadline_ms = deadline_ms,
	};

	return start(peers, &request, NULL, got, arg);
}

void
peers_get_stats(const struct peers *peers, struct peers_stats *ret)
{
	*ret = (struct peers_stats){ 0 };
}
