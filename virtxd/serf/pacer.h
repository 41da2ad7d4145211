/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How many events this host may send: its share of half of what serf carries in a cluster of that
 * size, after a small burst. One token is an event of 150 bytes. Times are monotonic ms.
 */
#ifndef SERF_PACER_H
#define SERF_PACER_H

#include <stddef.h>
#include <stdint.h>

struct pacer {
	double tokens;
	double rate; /* tokens a second */
	double burst;
	int64_t at; /* when tokens was right */
};

/* Starts with a full burst. */
void pacer_init(struct pacer *pacer, int64_t now);
/* members: all that serf knows; active: the hosts that share. */
void pacer_set_size(struct pacer *pacer, unsigned int members, unsigned int active, int64_t now);
/* What an event with so many bytes of payload takes. */
double pacer_cost(size_t payload);
/* ms until there will be so many tokens, 0 when there are. */
int64_t pacer_wait(struct pacer *pacer, double tokens, int64_t now);
/* Takes them; there may be fewer, and then later ones pay. */
void pacer_take(struct pacer *pacer, double tokens, int64_t now);

/* Events a second that a cluster of so many members carries, as measured. */
double pacer_cluster_rate(unsigned int members);
/* ms between two HIs of a host. */
int64_t pacer_period(unsigned int active);

#endif
