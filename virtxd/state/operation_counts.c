/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/operation_counts.h"

#include "proto/table.h"

/* A pause takes a part of a second, an evacuation hours. */
const unsigned int operation_bounds[OPERATION_BUCKETS] = { 100, 250, 500, 1000, 2500, 5000, 10000,
	30000, 60000, 300000, 900000, 3600000, 14400000 };

const char *const operation_results[OPERATION_RESULTS] = {
	[OPERATION_COMPLETED] = "completed",
	[OPERATION_FAILED] = "failed",
};

void
operation_counts_clear(struct operation_counts *counts)
{
	for (size_t i = 0; i < counts->n; i++)
		free(counts->items[i].op);
	free(counts->items);
	*counts = (struct operation_counts){ 0 };
}

static struct operation_count *
need(struct operation_counts *counts, const char *op)
{
	struct operation_count *count;

	for (size_t i = 0; i < counts->n; i++) {
		if (str_equal(counts->items[i].op, op))
			return &counts->items[i];
	}
	count = model_append(&counts->items, &counts->n);
	count->op = xstrdup(op);
	return count;
}

void
operation_counts_start(struct operation_counts *counts, const char *op)
{
	need(counts, op)->started++;
}

void
operation_counts_end(
    struct operation_counts *counts, const char *op, enum operation_result result, int64_t ms)
{
	struct operation_durations *ended = &need(counts, op)->ended[result];

	ended->total++;
	ended->sum_ms += (uint64_t)ms;
	for (size_t i = 0; i < OPERATION_BUCKETS; i++) {
		if (ms <= operation_bounds[i]) {
			ended->counts[i]++;
			break;
		}
	}
}
