/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tells the cluster of this host and its VMs, and takes in what others tell. News goes out as
 * events as far as this host's share of what serf carries allows; beyond it, one HI with a new
 * digest makes the others ask for the whole. No clock and no socket in here: the caller has them.
 */
#ifndef SERF_GOSSIP_H
#define SERF_GOSSIP_H

#include "serf/members.h"
#include "state/inventory.h"

struct gossip;

struct gossip_ops {
	/* A user event; 0 or -errno: -EMSGSIZE when it never fits. */
	int (*send)(void *arg, const char *name, const void *payload, size_t len);
	/* Asks that host for its VMs; a Go virtx has its own list of them. gossip_pulled or
	 * gossip_listed must end it, and not from within. */
	void (*pull)(void *arg, const struct member_host *host);
	/* Another host has changed the tokens; NULL: nobody wants to know. */
	void (*tokens)(void *arg);
	/* An event names a host that is none: serf may know better. */
	void (*stranger)(void *arg);
	/* Monotonic ms. */
	int64_t (*now)(void *arg);
	/* Call gossip_run in so many ms, and not at the time that was asked for before. */
	void (*wake)(void *arg, int64_t ms);
};

/* Since the start. */
struct gossip_stats {
	uint64_t sent_hi, sent_vi, sent_ve;
	uint64_t received;  /* events of these names, own ones among them */
	uint64_t malformed; /* of these: dropped */
	uint64_t refused;   /* of hosts that are no members */
	uint64_t ahead;	    /* of a time that is not yet */
	uint64_t full;	    /* of VMs for which there is no room */
	uint64_t pulls, pulls_failed;
	size_t waiting; /* VMs, now */
};

/* All are borrowed and outlive the gossip; it observes the inventory. seed makes hosts differ. */
struct gossip *gossip_new(struct inventory *inventory, struct members *members, uint64_t seed,
    const struct gossip_ops *ops, void *arg);
void gossip_free(struct gossip *gossip);
/* Whether events can be sent. */
void gossip_set_connected(struct gossip *gossip, bool connected);
/* The members of the cluster have changed, this host in particular; after inventory_set_host. */
void gossip_set_member(struct gossip *gossip, const struct member_host *host);
/* A user event. */
void gossip_receive(struct gossip *gossip, const char *name, const void *payload, size_t len);
/* Tells the others that the tokens have changed, as soon as can be; where that is lost they find it
 * out later. */
void gossip_tell_tokens(struct gossip *gossip);
/* The answer to pull; NULL when there is none. */
void gossip_pulled(struct gossip *gossip, const char *host, const struct vm_info_list *list);
/* The answer of a Go virtx to it. */
void gossip_listed(struct gossip *gossip, const char *host, const struct vm_list *list);
/* What is due by now. */
void gossip_run(struct gossip *gossip);
/* As pulls_missing. */
bool gossip_missing(const struct gossip *gossip, struct buffer *out);
/* As anti_entropy_behind. */
void gossip_behind(const struct gossip *gossip, struct buffer *out);
void gossip_get_stats(const struct gossip *gossip, struct gossip_stats *ret);

#endif
