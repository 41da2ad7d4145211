/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the endpoints work with. */
#ifndef API_CONTEXT_H
#define API_CONTEXT_H

#include <sys/queue.h>

#include "api/request.h"
#include "job/job.h"
#include "job/keeper.h"
#include "proto/routes.h"
#include "state/config.h"
#include "state/events.h"
#include "state/inventory.h"
#include "state/operations.h"

struct action;
struct departure;
struct event_base;
struct maintainer;
struct event_streams;
struct lag;
struct listings;
struct metrics_outside;
struct request;
struct room;

/* A request to another host, made by api->ask: its owner's, until it is answered. */
struct api_ask {
	/* Once, and not before ask has returned: a status with the body, or 0 with err. */
	void (*answered)(
	    struct api_ask *ask, int status, const char *body, size_t len, const struct error *err);
	void *arg;
	const char *refused; /* while answered runs: the X-VirtX-Refused header, NULL for none */
};

/* All are borrowed and outlive the api. */
struct api {
	struct event_base *base;
	const struct config *config;
	struct inventory *inventory;
	struct operations *operations;
	struct jobs *jobs;
	struct keeper *keeper;
	struct event_streams *streams;
	struct lag *lag;
	struct listings *listings;
	/* Fills in what those above know. */
	void (*outside)(void *arg, struct metrics_outside *ret);
	void *outside_arg;
	/* Fills in what is missing of libvirt and serf: "" when it is there. The caller clears ret.
	 */
	void (*ready)(void *arg, struct ready *ret);
	void *ready_arg;
	/* Has the request answered by another host, which is active. */
	void (*forward)(void *arg, struct request *req, const char *host);
	/* The same, by a host that was chosen for it. */
	void (*forward_chosen)(
	    void *arg, struct request *req, const char *host, const struct request_forward *more);
	void *forward_arg;
	/* The address of another host as serf knows it, into ret (46 bytes); 0, or -1 where there
	 * is none that can be. */
	int (*address)(void *arg, const char *host, char *ret, struct error *err);
	void *address_arg;
	/* Asks another host something for this user; body is JSON or NULL. All but POST has to be
	 * answered from memory. 0, or -1 with err when it cannot even be tried: then it is not
	 * answered. */
	int (*ask)(void *arg, struct api_ask *ask, const char *host, enum method method,
	    const char *path, const char *user, const char *body, struct error *err);
	void *ask_arg;
	/* Tells the others since when this host is in maintenance, 0 for not. */
	void (*announce)(void *arg, int64_t since);
	void *announce_arg;
	/* See known_check. */
	int (*known)(void *arg, char **ret_missing, struct error *err);
	void *known_arg;
	/* A host was forgotten. */
	void (*forgotten)(void *arg, const char *host);
	void *forgotten_arg;
	struct maintainer *maintainer;
	struct action *actions;		   /* under way; actions_free ends them */
	LIST_HEAD(, migration) migrations; /* that are followed; migrations_free ends them */
	LIST_HEAD(, departure) departures; /* VMs that leave; departures_free ends them */
	LIST_HEAD(, dry_run) dry_runs;	   /* that wait for others; dry_runs_free ends them */
	LIST_HEAD(, room) rooms;	   /* on other hosts; rooms_free ends them */
	/* Hosts that others are asked to forget, too; forgettings_free ends them. */
	LIST_HEAD(, forgetting) forgettings;
};

#endif
