/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How late the loop is: a timer that measures by how much it is missed. */
#ifndef API_LAG_H
#define API_LAG_H

#include "proto/util.h"

struct event_base;
struct lag;

#define LAG_BUCKETS 11

/* Upper bounds in milliseconds, in rising order; what is above all of them counts in total alone.
 */
extern const unsigned int lag_bounds[LAG_BUCKETS];

struct lag_stats {
	uint64_t counts[LAG_BUCKETS]; /* not cumulated */
	uint64_t total;
	uint64_t sum_us;
	uint64_t max_us;
};

struct lag *lag_new(struct event_base *base);
void lag_free(struct lag *lag);
void lag_get_stats(const struct lag *lag, struct lag_stats *ret);
/* Counts one measurement. */
void lag_stats_add(struct lag_stats *stats, uint64_t us);

#endif
