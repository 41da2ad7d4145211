/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How many events this host may send: its share of half of what serf carries in a cluster of that
 * size, after a small burst. While the cluster as a whole, as this host hears it, leaves enough of
 * that half unused, a host may send one more at a time; it looks what the others do before the
 * next. One token is an event of 150 bytes. Times are monotonic ms.
 */
#ifndef SERF_PACER_H
#define SERF_PACER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pacer {
	double tokens;
	double rate; /* tokens a second */
	double burst;
	double pool; /* tokens that the cluster has left */
	double pool_rate;
	int64_t lent_at; /* when the last was sent without a token of its own */
	int64_t at;	 /* when tokens and pool were right */
};

/* Starts with a full burst. */
void pacer_init(struct pacer *pacer, int64_t now);
/* members: all that serf knows; active: the hosts that share. */
void pacer_set_size(struct pacer *pacer, unsigned int members, unsigned int active, int64_t now);
/* What an event with so many bytes of payload takes. */
double pacer_cost(size_t payload);
/* Whether the host has so many tokens of its own. */
bool pacer_has(struct pacer *pacer, double tokens, int64_t now);
/* ms until an event that wants so many may go, 0 for at once. What is heard makes it longer. */
int64_t pacer_wait(struct pacer *pacer, double tokens, int64_t now);
/* ms until the cluster as a whole leaves enough unused, 0 when it does. */
int64_t pacer_wait_calm(struct pacer *pacer, int64_t now);
/* An event of that cost has come, from whomever. */
void pacer_hear(struct pacer *pacer, double tokens, int64_t now);
/* Takes them; there may be fewer, and then later ones pay. */
void pacer_take(struct pacer *pacer, double tokens, int64_t now);

/* Events a second that a cluster of so many members carries, as measured. */
double pacer_cluster_rate(unsigned int members);
/* ms between two HIs of a host. */
int64_t pacer_period(unsigned int active);

#endif
