/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How late the loop is: a timer that measures by how much it is missed. */
#ifndef API_LOOP_LAG_H
#define API_LOOP_LAG_H

#include "proto/util.h"

struct event_base;
struct loop_lag;

#define LAG_BUCKETS 11

/* Upper bounds in milliseconds, in rising order; what is above all of them counts in total alone.
 */
extern const unsigned int loop_lag_bounds[LAG_BUCKETS];

struct loop_lag_stats {
	uint64_t counts[LAG_BUCKETS]; /* not cumulated */
	uint64_t total;
	uint64_t sum_us;
	uint64_t max_us;
};

struct loop_lag *loop_lag_new(struct event_base *base);
void loop_lag_free(struct loop_lag *lag);
void loop_lag_get_stats(const struct loop_lag *lag, struct loop_lag_stats *ret);
/* Counts one measurement. */
void loop_lag_stats_add(struct loop_lag_stats *stats, uint64_t us);

#endif
