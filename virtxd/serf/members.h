/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which member of serf's cluster is which host, by the tag uuid. */
#ifndef SERF_MEMBERS_H
#define SERF_MEMBERS_H

#include "proto/uuid.h"
#include "serf/serf.h"
#include "state/host_ha.h"
#include "state/tokens.h"

struct members;

#define MEMBERS_NAME_MAX    128		  /* serf's own limit */
#define MEMBERS_MAINTENANCE "maintenance" /* the tag of a host that takes no VMs: since when */
#define MEMBERS_WATCHDOG    "watchdog"	  /* whether one protects the host: a word of the enum */
#define MEMBERS_HA	    "ha"	  /* of a host that is armed: see state/host_ha.h */
#define MEMBERS_HA_OFF	    "ha_off" /* of one that is armed, and takes nothing over by itself */

/* A host by its member: the one that is active, where several had the uuid in turn. */
struct member_host {
	char uuid[UUID_TEXT_SIZE];
	const char *name; /* the member's */
	char addr[46];	  /* text of the IP address */
	uint16_t port;	  /* of its API */
	uint16_t serf_port;
	bool tls;
	bool go;	  /* runs the Go virtx */
	bool maintenance; /* it takes no VMs */
	enum watchdog watchdog;
	struct host_ha
	    ha;	     /* not armed where it runs the Go virtx, or has a twin, whatever its tag */
	bool ha_off; /* it takes nothing over by itself */
	enum cstate cstate;
	/* Another active member has the uuid, too: a host that was cloned, say. The one that was
	 * there first is believed; where that is not known, none is, and addr is "". */
	char twin[MEMBERS_NAME_MAX + 1]; /* "" for none */
};

/* Told when a host is new, or something of the above has changed; cstate is CSTATE_INVALID for a
 * host that is no more, as its member has another uuid. Borrowed for the call. */
typedef void (*members_changed)(void *arg, const struct member_host *host);

/* self is this host's uuid, of which nothing is told. */
struct members *members_new(const char *self, members_changed changed, void *arg);
void members_free(struct members *members);
/* A member as serf has it now. */
void members_set(struct members *members, const struct serf_member *member);
/* All members were told: which was there first is known from here on. */
void members_complete(struct members *members);
/* The active member that has this host's uuid in its tags beside this host's own, "" for none. */
const char *members_twin(const struct members *members);
/* Whether the host's last HI had a trailer: one without comes from a Go virtx, whatever tags were
 * left in its agent. */
void members_note_trailer(struct members *members, const char *uuid, bool trailer);
/* Nothing is told of the host any more, until it is active again. */
void members_forget(struct members *members, const char *uuid);
/* Borrowed until the next change; NULL for a host that is unknown, or this one. */
const struct member_host *members_find(const struct members *members, const char *uuid);

/* Whether it is this host or another one, of whatever state, that was not forgotten. */
bool members_has_host(const struct members *members, const char *uuid);
/* Whether a member, of whatever state, has this name; in upper or lower case. */
bool members_has_name(const struct members *members, const char *name);
/* The member, of whatever state, that has this name or this IP literal, and is another host than
 * that with this uuid and address; borrowed, NULL for none. One at that address which does not say
 * what host it is may be the agent of that very host. */
const char *members_other(
    const struct members *members, const char *which, const char *uuid, const char *addr);

/* Whether a host that is active, this one among them, has this address; none that was put out by
 * these tokens (NULL: none was). */
bool members_has_address(
    const struct members *members, const char *addr, const struct tokens *tokens);
/* The address of this host's own member, "" while it is not known. */
const char *members_own_address(const struct members *members);

/* One of the hosts that failed, a different one for each value of pick; NULL when none has. */
const struct member_host *members_find_failed(const struct members *members, uint64_t pick);

/* Calls back for each host but this one and those forgotten; nothing may change meanwhile. */
void members_each(const struct members *members, members_changed each, void *arg);
/* All that serf knows, whatever their state; at least 1. */
unsigned int members_count(const struct members *members);
/* Hosts that are active, this one among them. */
unsigned int members_count_active(const struct members *members);
/* Whether an active host runs the Go virtx. */
bool members_any_go(const struct members *members);

#endif
