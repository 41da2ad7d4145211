/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two and more hosts' gossip in one process: events and answers go from one to the other by hand,
 * and the clock moves when told to. */
#ifndef TEST_GOSSIP_FIXTURE_H
#define TEST_GOSSIP_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "serf/gossip.h"

#define HOSTS_MAX 4

struct packet {
	char name[4];
	char data[SERF_PAYLOAD_MAX];
	size_t len;
};

struct side {
	char uuid[UUID_TEXT_SIZE];
	char name[8];
	struct inventory *inventory;
	struct members *members;
	struct gossip *gossip;
	struct cluster *cluster;
	int64_t wake_at;
	struct packet *out; /* sent, and not taken by pass() */
	size_t n_out;
	int send_error;
	char pulls[64][UUID_TEXT_SIZE]; /* asked for, and not answered yet */
	size_t n_pulls;
	unsigned int n_strangers; /* events that named no host */
	unsigned int n_tokens;	  /* times it was told that they have changed */
};

struct cluster {
	int64_t now;
	size_t n;
	struct side sides[HOSTS_MAX];
};

/* All n know each other, and each has reported itself. */
struct cluster *cluster_new(size_t n);
void cluster_free(struct cluster *cluster);
/* Lets time pass; events are delivered to all unless lost. Returns how many side 0 sent. */
size_t pass(struct cluster *cluster, int64_t ms, bool lose);
/* Whether all list the same VMs. */
bool equal_views(const struct cluster *cluster);

/* What side's serf says of the other; go: it is a Go virtx. */
void set_member(struct side *side, const struct side *other, enum cstate cstate, bool go);
/* What side's libvirt says of VM n. */
void report_vm(struct side *side, unsigned int n, enum vmrunstate runstate, const char *name);
struct gossip_stats stats_of(const struct side *side);

/* The UUID of VM n; valid for the next eight calls. */
const char *vm_uuid(unsigned int n);

#endif
