/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/reservation_client.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "loop/timer.h"
#include "ops/context.h"
#include "ops/scheduler.h"
#include "proto/json.h"
#include "proto/log.h"
#include "proto/problem.h"
#include "proto/uuid.h"
#include "proto/vmdef.h"

enum state {
	STATE_UNASKED,	/* what would be answered is known, and about to be told */
	STATE_ASKING,	/* the host is asked for the first time */
	STATE_HELD,	/* that was answered; the host is asked again in a while */
	STATE_RENEWING, /* it is asked again */
	STATE_ENDING,	/* given up while the host is asked: it stays until that is answered */
	STATE_ENDED,	/* given up, which the host is told */
	STATE_N,
};

static const char *const state_names[STATE_N] = { "unasked", "asking", "held", "renewing", "ending",
	"ended" };

/* As in the header. */
static const unsigned int transitions[STATE_N] = {
	[STATE_UNASKED] = 1 << STATE_ASKING | 1 << STATE_HELD | 1 << STATE_ENDED,
	[STATE_ASKING] = 1 << STATE_HELD | 1 << STATE_ENDING,
	[STATE_HELD] = 1 << STATE_RENEWING | 1 << STATE_ENDED,
	[STATE_RENEWING] = 1 << STATE_HELD | 1 << STATE_ENDING,
	[STATE_ENDING] = 1 << STATE_ENDED,
};

struct reservation_client {
	LIST_ENTRY(reservation_client) link;
	struct context *ctx;
	enum state state;
	struct timer *timer; /* the next question, or what is to be told at once */
	struct peer_ask ask;
	bool knows; /* the host keeps it, as far as is known */
	reservation_client_answered answered;
	void *arg;
	struct error err; /* why the host could not even be asked */
	char host[UUID_TEXT_SIZE], vm[UUID_TEXT_SIZE], operation[UUID_TEXT_SIZE];
	char *user;
	struct vm_reservation reservation; /* its strings are its own */
};

static void
set_state(struct reservation_client *client, enum state state)
{
	assert(transitions[client->state] & 1U << state);
	log_debug("ops", "room for VM '%s' on host '%s': %s, then %s", client->vm, client->host,
	    state_names[client->state], state_names[state]);
	client->state = state;
}

static void
client_free(struct reservation_client *client)
{
	LIST_REMOVE(client, link);
	timer_free(client->timer);
	model_clear(&vm_reservation_model, &client->reservation);
	free(client->user);
	free(client);
}

static void
arm(struct reservation_client *client, int ms)
{
	timer_start(client->timer, ms);
}

/* Whether the host runs the Go virtx, as far as it has told of itself. */
static bool
is_go(const struct reservation_client *client)
{
	const struct inventory *inventory = client->ctx->inventory;
	const struct host *host = inventory_find_host(inventory, client->host);

	return host && host->def.cpudef.nodes > 0 &&
	       !inventory_tells_digest(inventory, client->host);
}

/* 0, and the client is in this state then. */
static int
ask(struct reservation_client *client, enum route_id route, const void *obj, enum state state,
    struct error *err)
{
	struct context *ctx = client->ctx;
	_free_ char *path = route_path(route, client->vm);
	_free_ char *body = json_encode(routes[route].request, obj, NULL);

	if (ctx->host_ops->ask(ctx->host_arg, &client->ask, client->host, routes[route].method,
		path, client->user, body, err) < 0)
		return -1;
	set_state(client, state);
	return 0;
}

static void
on_given_up(
    struct peer_ask *asked, int status, const char *body, size_t len, const struct error *cause)
{
	client_free(asked->arg);
}

/* Where the host does not learn of the end, what it keeps expires. */
static void
finish(struct reservation_client *client)
{
	struct vm_reservation_end end = { .host = client->host, .operation = client->operation };
	struct error ignored;

	client->ask.answered = on_given_up;
	if (!client->knows || ask(client, ROUTE_VM_RESERVE_END, &end, STATE_ENDED, &ignored) < 0)
		client_free(client);
}

/* 0 where the VM may go there. */
static int
judge(struct reservation_client *client, int status, const char *body, size_t len,
    const struct error *cause, struct error *err)
{
	const struct host *host = inventory_find_host(client->ctx->inventory, client->host);

	if (status / 100 == 2)
		return 0;
	if (cause)
		return error_set(err, 503, "host '%s' (%s) does not say whether it has room: %s",
		    host ? str_or_empty(host->def.name) : "", client->host, cause->detail);
	/* It may have kept it where nothing was heard of it; not where it said so. */
	client->knows = false;
	problem_decode(err, status, body, len);
	/* It does not know of reservations. */
	if (error_is(err, ERROR_NOT_FOUND) || error_is(err, ERROR_METHOD) ||
	    error_is(err, ERROR_NOT_SUPPORTED))
		return 0;
	return -1;
}

/* The first answer. */
static void
tell(struct reservation_client *client, const struct error *err)
{
	reservation_client_answered answered = client->answered;
	void *arg = client->arg;

	client->reservation.renew = true;
	if (err)
		reservation_client_end(client, true);
	answered(arg, err);
}

static void
on_answered(
    struct peer_ask *asked, int status, const char *body, size_t len, const struct error *cause)
{
	struct reservation_client *client = asked->arg;
	bool renewed = client->state == STATE_RENEWING;
	struct error err = { 0 };
	int r = judge(client, status, body, len, cause, &err);

	if (r < 0 && asked->refused)
		scheduler_take_refusal(client->ctx, client->host, asked->refused);
	if (client->state == STATE_ENDING) {
		finish(client);
		return;
	}
	set_state(client, STATE_HELD);
	arm(client, RESERVATION_RENEW_MS);
	if (!renewed)
		tell(client, r < 0 ? &err : NULL);
	else if (r < 0)
		log_info("ops", "room for VM '%s' is not kept: %s", client->vm, err.detail);
}

/* Asks for it, for the first time or again. */
static void
put(struct reservation_client *client)
{
	bool again = client->state == STATE_HELD;

	client->ask.answered = on_answered;
	client->knows = true;
	if (ask(client, ROUTE_VM_RESERVE, &client->reservation,
		again ? STATE_RENEWING : STATE_ASKING, &client->err) < 0)
		arm(client, again ? RESERVATION_RENEW_MS : 0);
}

static void
on_timer(void *arg)
{
	struct reservation_client *client = arg;

	if (client->state == STATE_UNASKED)
		on_answered(&client->ask, is_go(client) ? 501 : 0, "", 0,
		    client->err.status ? &client->err : NULL);
	else if (!is_go(client))
		put(client);
}

struct reservation_client *
reservation_client_ask(struct context *ctx, const struct reservation_client_need *need,
    reservation_client_answered answered, void *arg)
{
	struct reservation_client *client = xcalloc(1, sizeof(*client));
	struct vm_reservation reservation = {
		.host = client->host,
		.operation = client->operation,
		.chosen = need->chosen,
		.leases = true,
		.name = need->def->name,
		.cpudef = need->def->cpudef,
		.memory = need->def->memory,
		.custom = need->def->custom,
		.n_custom = need->def->n_custom,
	};

	client->ctx = ctx;
	client->answered = answered;
	client->arg = arg;
	client->ask.arg = client;
	client->timer = timer_new(ctx->base, on_timer, client);
	client->user = xstrdup(need->user);
	snprintf(client->host, sizeof(client->host), "%s", need->host);
	snprintf(client->vm, sizeof(client->vm), "%s", need->vm);
	snprintf(client->operation, sizeof(client->operation), "%s", need->operation);
	model_copy(&vm_reservation_model, &client->reservation, &reservation);
	LIST_INSERT_HEAD(&ctx->reservation_clients, client, link);
	if (is_go(client))
		arm(client, 0);
	else
		put(client);
	return client;
}

void
reservation_client_end(struct reservation_client *client, bool tell)
{
	if (!client)
		return;
	client->knows = client->knows && tell;
	timer_stop(client->timer);
	if (client->state == STATE_ASKING || client->state == STATE_RENEWING)
		set_state(client, STATE_ENDING);
	else
		finish(client);
}

void
reservation_clients_free(struct context *ctx)
{
	struct reservation_client *client;

	while ((client = LIST_FIRST(&ctx->reservation_clients)))
		client_free(client);
}
