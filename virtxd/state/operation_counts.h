/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How many operations of each kind were begun and have ended since the start, and how long they
 * took: what is not kept any more is counted, too. */
#ifndef STATE_OPERATION_COUNTS_H
#define STATE_OPERATION_COUNTS_H

#include "proto/util.h"

#define OPERATION_BUCKETS 13

/* Upper bounds in milliseconds, in rising order; what is above all of them counts in total alone.
 */
extern const unsigned int operation_bounds[OPERATION_BUCKETS];

enum operation_result {
	OPERATION_COMPLETED,
	OPERATION_FAILED,
	OPERATION_RESULTS,
};
extern const char *const operation_results[OPERATION_RESULTS]; /* as in its state */

struct operation_durations {
	uint64_t counts[OPERATION_BUCKETS]; /* not cumulated */
	uint64_t total;
	uint64_t sum_ms;
};

struct operation_count {
	char *op;
	uint64_t started;
	struct operation_durations ended[OPERATION_RESULTS];
};

/* Zero is none. By kind in the order in which each came first; there are as many kinds as the code
 * has. */
struct operation_counts {
	struct operation_count *items;
	size_t n;
};

void operation_counts_clear(struct operation_counts *counts);
/* One of that kind has begun, */
void operation_counts_start(struct operation_counts *counts, const char *op);
/* or has ended after so many milliseconds. */
void operation_counts_end(
    struct operation_counts *counts, const char *op, enum operation_result result, int64_t ms);

#endif
