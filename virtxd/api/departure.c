/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/departure.h"

#include <stdio.h>
#include <string.h>

#include "api/action.h"
#include "api/context.h"
#include "api/migration.h"
#include "api/placing.h"
#include "api/room.h"
#include "proto/log.h"
#include "proto/uuid.h"

#define HOSTS_MAX 8 /* that may refuse until it is given up */

struct departure {
	LIST_ENTRY(departure) link;
	struct api *api;
	struct action *action;
	struct room *room;    /* NULL while none is asked for */
	uint64_t reservation; /* of this host's own, until the action has it */
	struct vm_migrate_options options;
	bool chosen; /* the host was: another one does as well */
	bool later;  /* one that has refused the VM may take it later */
	bool idle;   /* its job did nothing */
	char vm[UUID_TEXT_SIZE], target[UUID_TEXT_SIZE];
	char *why;		     /* the target */
	char *target_uri, *data_uri; /* of it */
	char *user;
	struct placement_excluded excluded[HOSTS_MAX];
	size_t n_excluded;
	departure_ended ended; /* NULL for none */
	void *arg;
};

static void
departure_free(struct departure *departure)
{
	LIST_REMOVE(departure, link);
	for (size_t i = 0; i < departure->n_excluded; i++) {
		free((char *)departure->excluded[i].host);
		free((char *)departure->excluded[i].why);
	}
	model_clear(&vm_migrate_options_model, &departure->options);
	free(departure->why);
	free(departure->target_uri);
	free(departure->data_uri);
	free(departure->user);
	free(departure);
}

void
departures_free(struct api *api)
{
	struct departure *departure;

	while ((departure = LIST_FIRST(&api->departures)))
		departure_free(departure);
}

/* What can be said without asking. What the host has free it says itself when it is asked for room;
 * one that will not be asked is judged by what it has told. */
static int
check_target(struct api *api, const struct inventory_vm *view, const char *uuid, struct error *err)
{
	const struct host *host = inventory_find_host(api->inventory, uuid);

	if (!host)
		return error_set(err, 404, "no host '%s' is known", uuid);
	if (str_equal(uuid, inventory_self(api->inventory)))
		return error_set_type(err, ERROR_ALREADY_THERE,
		    "VM '%s' is on host '%s' (%s) already", view->vm.uuid,
		    str_or_empty(host->def.name), uuid);
	if (host->cstate != CSTATE_ACTIVE)
		return error_set(err, 503, "host '%s' (%s) is not active: serf says it is %s",
		    str_or_empty(host->def.name), uuid, enum_word(&cstate_enum, host->cstate));
	if (host->maintenance)
		return error_set(err, 422, "host '%s' (%s) is in maintenance: it takes no VMs",
		    str_or_empty(host->def.name), uuid);
	if (inventory_tells_digest(api->inventory, uuid))
		return 0;
	return placing_check_memory(api, uuid, view->vm.uuid, &view->vm.def, err);
}

/* An IPv6 address has brackets in a URI; %s in the format is the address. */
static char *
make_uri(const char *format, const char *addr)
{
	const char *at = strstr(format, "%s");
	bool v6 = strchr(addr, ':') != NULL;

	return xasprintf(
	    "%.*s%s%s%s%s", (int)(at - format), format, v6 ? "[" : "", addr, v6 ? "]" : "", at + 2);
}

static void
exclude(struct departure *departure, const char *why)
{
	departure->excluded[departure->n_excluded++] =
	    (struct placement_excluded){ xstrdup(departure->target), xstrdup(why) };
}

/* The best host that has not refused. */
static int
choose(struct departure *departure, const struct inventory_vm *view, struct error *err)
{
	struct placement_need need = {
		.vm = departure->vm,
		.from = inventory_self(departure->api->inventory),
		.target = "",
		.def = &view->vm.def,
		.excluded = departure->excluded,
		.n_excluded = departure->n_excluded,
	};
	struct placement placement = { 0 };
	int r;

	if (departure->n_excluded == HOSTS_MAX)
		return error_set_type(err, ERROR_NO_HOST,
		    "%d hosts do not take VM '%s'; the last: %s", HOSTS_MAX, departure->vm,
		    departure->excluded[HOSTS_MAX - 1].why);
	r = placing_choose(departure->api, &need, &placement, err);
	if (r == 0) {
		snprintf(departure->target, sizeof(departure->target), "%.36s", placement.host);
		free(departure->why);
		departure->why = xasprintf("placed on %s", placement.reason);
	}
	model_clear(&placement_model, &placement);
	return r;
}

/* The host that is named, or the best one that has an address. */
static int
find_host(
    struct departure *departure, const struct inventory_vm *view, char addr[46], struct error *err)
{
	const char *named = departure->n_excluded ? "" : departure->options.host;
	struct api *api = departure->api;

	if (!str_empty(named)) {
		uuid_normalize(named, departure->target);
		if (check_target(api, view, departure->target, err) < 0)
			return -1;
		if (api->address(api->address_arg, departure->target, addr, err) == 0)
			return 0;
		if (!departure->chosen)
			return -1;
		exclude(departure, err->detail);
	}
	while (choose(departure, view, err) == 0) {
		if (api->address(api->address_arg, departure->target, addr, err) == 0)
			return 0;
		exclude(departure, err->detail);
	}
	return -1;
}

/* Where the VM goes, and how that host is reached. Room there is reserved in what this host knows.
 */
static int
find_target(struct departure *departure, struct error *err)
{
	struct api *api = departure->api;
	const struct inventory_vm *view = inventory_find_vm(api->inventory, departure->vm);
	char addr[46];

	if (!view || (departure->action && !view->local))
		return error_set(err, 404, "VM '%s' is not here any more", departure->vm);
	if (find_host(departure, view, addr, err) < 0)
		return -1;
	free(departure->target_uri);
	free(departure->data_uri);
	departure->target_uri = make_uri(api->config->migrate_uri, addr);
	departure->data_uri = make_uri("tcp://%s", addr);
	departure->reservation =
	    reservation_add(api->inventory, departure->target, departure->vm, &view->vm.def);
	return 0;
}

static int
start_job(struct departure *departure, struct error *err)
{
	const struct vm_migrate_options *options = &departure->options;
	struct action_place place = { departure->reservation, departure->why };
	struct vm_migrate_request request = {
		.env = *keeper_env(departure->api->keeper),
		.uuid = departure->vm,
		.live = options->migration_type == MIGRATION_TYPE_LIVE,
		.target = departure->target,
		.target_uri = departure->target_uri,
		.data_uri = departure->data_uri,
		.foreign = !inventory_tells_digest(departure->api->inventory, departure->target),
		.bandwidth = options->bandwidth,
		.downtime = options->downtime,
		.post_copy = options->post_copy,
	};

	departure->reservation = 0;
	if (action_work(departure->action, WORK_VM_MIGRATE, &request, &place, err) < 0)
		return -1;
	if (request.live)
		migration_follow(
		    departure->api, departure->vm, action_operation(departure->action), options);
	return 0;
}

static void ask_room(struct departure *departure);

/* The target refuses, and nothing was done: asks the next one, or ends. */
static void
pass_over(struct departure *departure, const struct error *cause)
{
	_free_ char *why = xasprintf("it refused: %.300s", cause->detail);
	struct error err = *cause;

	log_debug("api", "host '%s' refuses VM '%s': %s", departure->target, departure->vm,
	    cause->detail);
	departure->later = departure->later || cause->status == 503;
	if (departure->chosen) {
		exclude(departure, why);
		if (find_target(departure, &err) == 0) {
			ask_room(departure);
			return;
		}
		departure->target[0] = '\0';
		if (err.status == 422 && departure->later)
			err.status = 503;
	}
	action_fail(departure->action, &err);
}

static void
on_room(void *arg, const struct error *cause)
{
	struct departure *departure = arg;
	struct error err = { 0 };

	if (cause) {
		departure->room = NULL;
		reservation_cancel(departure->api->inventory, departure->reservation);
		departure->reservation = 0;
		pass_over(departure, cause);
	} else if (start_job(departure, &err) < 0) {
		departure->idle = true;
		/* It is this host's fault, not the target's. */
		departure->target[0] = '\0';
		action_fail(departure->action, &err);
	}
}

static void
ask_room(struct departure *departure)
{
	const struct inventory_vm *view =
	    inventory_find_vm(departure->api->inventory, departure->vm);
	struct room_need need = {
		.host = departure->target,
		.vm = departure->vm,
		.operation = action_operation(departure->action),
		.user = departure->user,
		.def = &view->vm.def,
		.chosen = departure->chosen,
	};

	departure->room = room_ask(departure->api, &need, on_room, departure);
}

static bool
on_refused(void *arg, const struct error *err)
{
	struct departure *departure = arg;

	/* The job says whose fault it is. */
	if (!departure->chosen || !str_equal(err->host, departure->target) ||
	    (err->status != 422 && err->status != 503)) {
		departure->idle = true;
		if (err->status == 503 && str_empty(err->host))
			departure->target[0] = '\0';
		return false;
	}
	room_end(steal_ptr(departure->room), true);
	pass_over(departure, err);
	return true;
}

/* Whether the VM may yet come to its target: a job that ended without a word tells nothing. */
static bool
may_come(const struct departure *departure, const struct error *err)
{
	return !err || (!departure->idle &&
			   (err->status == 500 || err->status == 503 || err->status == 504));
}

static void
on_ended(void *arg, const struct error *err)
{
	struct departure *departure = arg;

	room_end(departure->room, !may_come(departure, err));
	if (departure->ended)
		departure->ended(departure->arg, departure->target, err);
	departure_free(departure);
}

static const struct action_owner owner = { on_refused, on_ended };

static struct departure *
departure_new(struct api *api, const char *vm, const char *user,
    const struct vm_migrate_options *options, const char *why)
{
	struct departure *departure = xcalloc(1, sizeof(*departure));

	departure->api = api;
	departure->why = xstrdup(why);
	departure->chosen = str_empty(options->host) || *why;
	departure->user = xstrdup(user);
	snprintf(departure->vm, sizeof(departure->vm), "%.36s", vm);
	model_copy(&vm_migrate_options_model, &departure->options, options);
	LIST_INSERT_HEAD(&api->departures, departure, link);
	return departure;
}

/* Begins the operation; the room is asked for next. */
static const char *
open_action(struct departure *departure, struct request *req, struct error *err)
{
	struct api *api = departure->api;

	departure->action = action_open(
	    api, ROUTE_VM_MIGRATE, req, departure->user, departure->vm, &owner, departure, err);
	if (!departure->action) {
		reservation_cancel(api->inventory, departure->reservation);
		departure_free(departure);
		return NULL;
	}
	ask_room(departure);
	return action_operation(departure->action);
}

void
departure_start(struct api *api, struct request *req, const struct vm_migrate_options *options)
{
	struct departure *departure = departure_new(api, req->param, req->user, options, "");
	struct error err = { 0 };

	if (find_target(departure, &err) < 0) {
		request_reply_error(req, &err);
		departure_free(departure);
		return;
	}
	open_action(departure, req, &err);
}

const char *
departure_begin(struct api *api, const char *vm, const struct vm_migrate_options *options,
    const char *why, const char *user, departure_ended ended, void *arg, struct error *err)
{
	struct departure *departure = departure_new(api, vm, user, options, why);

	departure->ended = ended;
	departure->arg = arg;
	if (action_ready(api, ACTION_NEEDS_LOCKSPACE, err) < 0 || find_target(departure, err) < 0) {
		departure_free(departure);
		return NULL;
	}
	return open_action(departure, NULL, err);
}
