/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the inventory is made of, for its own files. */
#ifndef STATE_INVENTORY_ENTRIES_H
#define STATE_INVENTORY_ENTRIES_H

#include <sys/queue.h>

#include <uthash.h>

#include "proto/gossip.h"
#include "proto/shared_text.h"
#include "proto/uuid.h"
#include "state/accounting.h"
#include "state/figures.h"
#include "state/inventory.h"

#define OBSERVERS_MAX 8 /* the parts of the daemon that want to know */

/* What one of the two hosts has said of a VM that another claims, since the claim. */
enum testimony {
	TESTIMONY_NONE, /* it is still to be asked */
	TESTIMONY_HAS,	/* it lists it */
	TESTIMONY_LEFT, /* it lists it, as one that goes to another host */
	TESTIMONY_MUTE, /* it cannot be asked */
};

/* Another host says that a VM is there, and not where it is known to be. */
struct claim {
	char host[UUID_TEXT_SIZE]; /* "" for none */
	enum vmrunstate runstate;
	int64_t ts;
	int64_t since;		 /* monotonic ms */
	uint64_t clock;		 /* the inventory's, then */
	uint64_t heard;		 /* and when the claimant last proved it: was asked, or cannot be */
	enum testimony owner;	 /* of the host that is believed */
	enum testimony claimant; /* and of the other */
	unsigned int answers;	 /* of a local VM: how often that was told anew */
	int64_t answer_due;	 /* and when it may be again, monotonic ms */
};

/* JSON that was written once and is used until what it tells changes. */
struct index_text {
	char *data; /* NULL while it is to be written; not NUL-terminated */
	size_t len;
};

struct vm_entry {
	UT_hash_handle hh;
	char uuid[UUID_TEXT_SIZE];
	struct inventory_vm view;
	LIST_ENTRY(vm_entry) link; /* in the host's list */
	struct host_entry *host;   /* NULL while that is not known */
	uint64_t part;		   /* of the host's digest */
	uint64_t state_clock;	   /* when its run state was last told by an event or a job */
	uint64_t event_clock;	   /* when by an event, 0 where libvirt was lost since */
	uint64_t data_clock;	   /* when the rest was */
	bool partial;		   /* custom fields and vcpus are older than ts, or missing */
	bool moved;		   /* its place in the inventory's order is to be looked at */
	struct index_text text;	   /* of its list item without custom fields */
	int64_t text_ts;	   /* the time that is in it */
	bool text_unknown;	   /* its run state is told as not known there */
	/* Local VMs */
	bool def_known;
	struct accounting_vm last;
	int64_t
	    retell_due; /* when what others told in our name may be answered again, monotonic ms */
	int64_t ended;	/* when it went from on to off, monotonic ms; 0 for not seen */
	struct claim claim;
	LIST_ENTRY(vm_entry) claim_link; /* in the inventory's, while there is a claim */
	/* One that has its host by gossip alone, since the host before did not list it any more */
	char before[UUID_TEXT_SIZE]; /* that one, "" for none */
	uint64_t before_clock;	     /* the inventory's, then */
	/* One that has left for another host: among ours, but not local, until that tells of it */
	uint64_t released_clock;       /* 0: it has not */
	int64_t released;	       /* monotonic ms */
	bool migrated;		       /* it was a migration that took it away, */
	char left_for[UUID_TEXT_SIZE]; /* to this host, "" where that is not known */
};

/* A VM that was removed: what was seen before must not bring it back. */
struct tombstone {
	UT_hash_handle hh;
	char uuid[UUID_TEXT_SIZE];
	uint64_t clock;
	int64_t ts;		   /* of its end */
	int64_t buried;		   /* monotonic ms */
	bool deleted;		   /* by this host, so that nobody has it */
	uint64_t released;	   /* when it had left this host before, 0 for not */
	char host[UUID_TEXT_SIZE]; /* that had it, "" where that is not known */
};

enum reservation_state {
	RESERVATION_OPEN,    /* what it was made for is under way on this host */
	RESERVATION_SETTLED, /* that is done: the VM is yet to be told of */
	RESERVATION_HELD,    /* for another host, which sends the VM */
	RESERVATION_STATE_N,
};

/* Room that was given to a VM which its host has not told of yet. */
struct reservation {
	TAILQ_ENTRY(reservation) link; /* the oldest first */
	uint64_t id;
	enum reservation_state state;
	char host[UUID_TEXT_SIZE];
	char vm[UUID_TEXT_SIZE]; /* "" while that is not known */
	struct vmdef def;	 /* name, cpudef, memory and custom alone */
	int64_t made;		 /* monotonic ms */
	uint64_t clock;		 /* the inventory's, then */
	int64_t seen_ts; /* the VM's on its host when it was first seen there, 0 for not yet */
	/* Once it is settled */
	int64_t settled;	/* monotonic ms */
	uint64_t settled_clock; /* the inventory's */
	/* While it is held for another host */
	char operation[UUID_TEXT_SIZE]; /* of that one */
	char from[64];			/* its address */
	int64_t expires;		/* monotonic ms */
};

/* A VM of which a host still finds out whether it is its own. */
struct undecided {
	UT_hash_handle hh;
	char uuid[UUID_TEXT_SIZE];
};

struct host_entry {
	UT_hash_handle hh;
	char uuid[UUID_TEXT_SIZE];
	struct host host;
	LIST_HEAD(, vm_entry) vms;
	size_t n_vms;
	/* INVENTORY_HOST_VMS at most, none of them among vms */
	struct undecided *undecided;
	uint64_t digest;     /* of both */
	int64_t news_ts;     /* of its VMs' latest change */
	int64_t ahead_since; /* that it is later than told_ts, monotonic ms */
	bool told;	     /* of itself, by an HI or a list */
	int64_t told_ts;     /* when it said the last one was; this host's own: that was sent */
	int64_t told_at;     /* and when it came, monotonic ms */
	uint64_t listed;     /* the inventory's clock when it was asked for the last list */
	bool told_digest;    /* what it said of its VMs */
	uint64_t its_digest;
	int32_t its_vms;
	int64_t away_since; /* monotonic ms, while it is */
	bool over;	    /* not all VMs that it tells of were taken */
	char *twin;	    /* a member that has its uuid, too; NULL or "" */
	int64_t newest;	    /* see inventory_note_certificate, 0 for none */
	bool skew_known;    /* what its clock is ahead of ours: */
	int64_t skew;	    /* ms */
	struct host_ha ha;
	bool ha_off;
	struct host_figures figures; /* as it answered a placement */
	int64_t figures_at;	     /* monotonic ms, 0 for never */
	uint64_t figures_clock;	     /* later reservations are not among them */
	struct index_text text;	     /* of its list item, */
	struct host_list_item item;  /* as it was then */
};

struct inventory {
	char self[UUID_TEXT_SIZE];
	uint64_t clock; /* of changes to VMs */
	char *loss;	/* why the leases of its VMs are lost, NULL or "" while they are not */
	char *storage;	/* what is wrong with the shared storage, NULL or "" for nothing */
	const struct tokens *tokens; /* borrowed; NULL: there are none */
	struct vm_entry *vms;
	struct vm_entry **order;    /* all by name and uuid; NULL where some have come or gone */
	struct shared_text *joined; /* the texts of all in that order; NULL where one has changed,
				     * come or gone */
	LIST_HEAD(, vm_entry) claimed;
	struct tombstone *tombstones;
	struct host_entry *hosts;
	struct accounting_host last;
	TAILQ_HEAD(, reservation) reservations;
	size_t n_reservations, n_held; /* held: for other hosts, among them */
	uint64_t last_reservation;
	struct observer {
		const struct inventory_observer *observer;
		void *arg;
	} observers[OBSERVERS_MAX];
	size_t n_observers;
};

#endif
