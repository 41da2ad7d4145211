/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What operations and endpoints work with. */
#ifndef OPS_CONTEXT_H
#define OPS_CONTEXT_H

#include <sys/queue.h>

#include "job/job.h"
#include "ops/keeper.h"
#include "ops/request.h"
#include "proto/routes.h"
#include "state/config.h"
#include "state/events.h"
#include "state/inventory.h"
#include "state/operations.h"

struct task;
struct migration;
struct event_base;
struct failover;
struct loss_planner;
struct host_maintenance;
struct joins;
struct event_streams;
struct loop_lag;
struct list_replies;
struct metrics_outside;
struct request;
struct reservation_client;
struct token_keeper;

/* A request to another host, made by host_ops.ask: its owner's, until it is answered. */
struct peer_ask {
	/* Once, and not before ask has returned: a status with the body, or 0 with err. */
	void (*answered)(struct peer_ask *ask, int status, const char *body, size_t len,
	    const struct error *err);
	void *arg;
	const char *refused; /* while answered runs: the X-VirtX-Refused header, NULL for none */
};

/* What the daemon does for operations and endpoints; host is context.host_arg. */
struct host_ops {
	/* Fills in what it knows of connections, members and gossip. */
	void (*outside)(void *host, struct metrics_outside *ret);
	/* Fills in what is missing of libvirt and serf: "" when it is there. The caller clears ret.
	 */
	void (*ready)(void *host, struct ready *ret);
	/* Has the request answered by another host, which is active. */
	void (*forward)(void *host, struct request *req, const char *to);
	/* The same, by a host that was chosen for it. */
	void (*forward_chosen)(
	    void *host, struct request *req, const char *to, const struct request_forward *more);
	/* The address of another host as serf knows it, into ret (46 bytes); 0, or -1 where there
	 * is none that can be. */
	int (*address)(void *host, const char *other, char *ret, struct error *err);
	/* Asks another host something for this user; body is JSON or NULL. All but POST has to be
	 * answered from memory. 0, or -1 with err when it cannot even be tried: then it is not
	 * answered. */
	int (*ask)(void *host, struct peer_ask *ask, const char *other, enum method method,
	    const char *path, const char *user, const char *body, struct error *err);
	/* Tells the others since when this host is in maintenance, 0 for not. */
	void (*announce)(void *host, int64_t since);
	/* See known_check. */
	int (*known)(void *host, char **ret_missing, struct error *err);
	/* Which hosts have told of VMs that are not known here yet, in words; the caller frees;
	 * NULL for none. */
	char *(*behind)(void *host);
	/* Whether this host name or IP literal is that of another host than the one with this uuid
	 * and address: 0 where it is not, -1 with a 409 where it is, or a 503 where serf does not
	 * tell. */
	int (*check_name)(
	    void *host, const char *which, const char *uuid, const char *addr, struct error *err);
	/* A host was forgotten. */
	void (*forgotten)(void *host, const char *other);
};

struct context {
	/* Borrowed. As virtxd stops keeper and jobs go before api_stop(), which leaves them alone.
	 */
	struct event_base *base;
	const struct config *config;
	struct inventory *inventory;
	struct operations *operations;
	struct jobs *jobs;
	struct keeper *keeper;
	struct event_streams *streams;
	struct loop_lag *lag;
	struct list_replies *list_replies;
	struct token_keeper *tokens; /* NULL: none are kept here */
	struct joins *joins;	     /* NULL: nobody joins by this host */
	const struct host_ops *host_ops;
	void *host_arg; /* of these */
	struct host_maintenance *host_maintenance;
	struct failover *failover; /* NULL: there is none */
	struct loss_planner *loss_planner;
	/* What is under way. */
	struct task *tasks; /* under way; tasks_free ends them */
	LIST_HEAD(, migration_follower)
	migration_followers; /* that are followed; migration_followers_free ends them */
	LIST_HEAD(, migration_question)
	migration_questions;		   /* of followers, to jobs; ended with them */
	LIST_HEAD(, migration) migrations; /* VMs that leave; migrations_free ends them */
	LIST_HEAD(, dry_run) dry_runs;	   /* that wait for others; dry_runs_free ends them */
	LIST_HEAD(, reservation_client)
	reservation_clients; /* on other hosts; reservation_clients_free ends them */
	/* Hosts that others are asked to forget, too; forgettings_free ends them. */
	LIST_HEAD(, forgetting) forgettings;
	LIST_HEAD(, claim_order) claim_orders; /* VMs of dead hosts; claims_free ends them */
	LIST_HEAD(, signing) signings;	       /* of certificates; signings_free ends them */
	LIST_HEAD(, renewing) renewings;       /* that ask others; renewings_free ends them */
	char renewed_by[37]; /* the host that has signed certificates for this one last, "" for none
			      */
	int64_t renewed_at;  /* when it did, monotonic ms */
};

#endif
