/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/room.h"

#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include "api/context.h"
#include "api/placing.h"
#include "proto/json.h"
#include "proto/log.h"
#include "proto/uuid.h"
#include "proto/vmdef.h"

struct room {
	LIST_ENTRY(room) link;
	struct api *api;
	struct event *timer; /* the next question, or what is to be told at once */
	struct api_ask ask;
	bool asking; /* it stays until that is answered */
	bool told;   /* the first answer was passed on */
	bool knows;  /* the host keeps it, as far as is known */
	bool ended;
	room_answered answered;
	void *arg;
	struct error err; /* why the host could not even be asked */
	char host[UUID_TEXT_SIZE], vm[UUID_TEXT_SIZE], operation[UUID_TEXT_SIZE];
	char *user;
	struct vm_reservation reservation; /* its strings are its own */
};

static void
room_free(struct room *room)
{
	LIST_REMOVE(room, link);
	event_free(room->timer);
	model_clear(&vm_reservation_model, &room->reservation);
	free(room->user);
	free(room);
}

static void
arm(struct room *room, int ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	evtimer_add(room->timer, &tv);
}

/* Whether the host runs the Go virtx, as far as it has told of itself. */
static bool
is_go(const struct room *room)
{
	const struct inventory *inventory = room->api->inventory;
	const struct host *host = inventory_find_host(inventory, room->host);

	return host && host->def.cpudef.nodes > 0 && !inventory_tells_digest(inventory, room->host);
}

static int
ask(struct room *room, enum route_id route, const void *obj, struct error *err)
{
	struct api *api = room->api;
	_free_ char *path = route_path(route, room->vm);
	_free_ char *body = json_encode(routes[route].request, obj, NULL);

	if (api->ask(api->ask_arg, &room->ask, room->host, routes[route].method, path, room->user,
		body, err) < 0)
		return -1;
	room->asking = true;
	return 0;
}

static void
on_given_up(
    struct api_ask *asked, int status, const char *body, size_t len, const struct error *cause)
{
	room_free(asked->arg);
}

/* Where the host does not learn of the end, what it keeps expires. */
static void
finish(struct room *room)
{
	struct vm_reservation_end end = { .host = room->host, .operation = room->operation };
	struct error ignored;

	room->ask.answered = on_given_up;
	if (!room->knows || ask(room, ROUTE_VM_RESERVE_END, &end, &ignored) < 0)
		room_free(room);
}

/* 0 where the VM may go there. */
static int
judge(struct room *room, int status, const char *body, size_t len, const struct error *cause,
    struct error *err)
{
	const struct host *host = inventory_find_host(room->api->inventory, room->host);

	if (status / 100 == 2)
		return 0;
	if (cause)
		return error_set(err, 503, "host '%s' (%s) does not say whether it has room: %s",
		    host ? str_or_empty(host->def.name) : "", room->host, cause->detail);
	/* It may have kept it where nothing was heard of it; not where it said so. */
	room->knows = false;
	if (status == 404 || status == 405 || status == 501)
		return 0;
	error_from_json(err, status, body, len);
	return -1;
}

/* The first answer. */
static void
tell(struct room *room, const struct error *err)
{
	room_answered answered = room->answered;
	void *arg = room->arg;

	room->told = room->reservation.renew = true;
	if (err)
		room_end(room, true);
	answered(arg, err);
}

static void
on_answered(
    struct api_ask *asked, int status, const char *body, size_t len, const struct error *cause)
{
	struct room *room = asked->arg;
	struct error err = { 0 };
	int r = judge(room, status, body, len, cause, &err);

	room->asking = false;
	if (r < 0 && asked->refused)
		placing_take_refusal(room->api, room->host, asked->refused);
	if (room->ended) {
		finish(room);
		return;
	}
	if (r < 0 && room->told)
		log_info("api", "room for VM '%s' is not kept: %s", room->vm, err.detail);
	arm(room, ROOM_RENEW_MS);
	if (!room->told)
		tell(room, r < 0 ? &err : NULL);
}

static void
put(struct room *room)
{
	room->ask.answered = on_answered;
	room->knows = true;
	if (ask(room, ROUTE_VM_RESERVE, &room->reservation, &room->err) < 0)
		arm(room, room->told ? ROOM_RENEW_MS : 0);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct room *room = arg;

	if (!room->told)
		on_answered(
		    &room->ask, is_go(room) ? 501 : 0, "", 0, room->err.status ? &room->err : NULL);
	else if (!is_go(room))
		put(room);
}

struct room *
room_ask(struct api *api, const struct room_need *need, room_answered answered, void *arg)
{
	struct room *room = xcalloc(1, sizeof(*room));
	struct vm_reservation reservation = {
		.host = room->host,
		.operation = room->operation,
		.chosen = need->chosen,
		.leases = vmdef_leases(need->def) > 0,
		.name = need->def->name,
		.cpudef = need->def->cpudef,
		.memory = need->def->memory,
		.custom = need->def->custom,
		.n_custom = need->def->n_custom,
	};

	room->api = api;
	room->answered = answered;
	room->arg = arg;
	room->ask.arg = room;
	room->timer = evtimer_new(api->base, on_timer, room);
	room->user = xstrdup(need->user);
	snprintf(room->host, sizeof(room->host), "%s", need->host);
	snprintf(room->vm, sizeof(room->vm), "%s", need->vm);
	snprintf(room->operation, sizeof(room->operation), "%s", need->operation);
	model_copy(&vm_reservation_model, &room->reservation, &reservation);
	LIST_INSERT_HEAD(&api->rooms, room, link);
	if (is_go(room))
		arm(room, 0);
	else
		put(room);
	return room;
}

void
room_end(struct room *room, bool tell)
{
	if (!room)
		return;
	room->ended = true;
	room->knows = room->knows && tell;
	evtimer_del(room->timer);
	if (!room->asking)
		finish(room);
}

void
rooms_free(struct api *api)
{
	struct room *room;

	while ((room = LIST_FIRST(&api->rooms)))
		room_free(room);
}
