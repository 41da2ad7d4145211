/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/loop_lag.h"

#include "loop/timer.h"
#include "proto/util.h"

#define PERIOD_MS  100	/* between looks at a loop that works */
#define RESTING_MS 2000 /* and at one that rests, so that it does */
#define WORK_US	   1000 /* of CPU since the last look: less is a rest */

struct loop_lag {
	struct timer *timer;
	int64_t due; /* us */
	int64_t cpu; /* us that the loop had taken at the last look */
	struct loop_lag_stats stats;
};

const unsigned int loop_lag_bounds[LAG_BUCKETS] = { 1, 2, 5, 10, 20, 50, 100, 250, 500, 1000,
	5000 };

static void
arm(struct loop_lag *lag)
{
	int64_t cpu = cpu_us();
	int64_t ms = cpu - lag->cpu < WORK_US ? timer_to_beat(RESTING_MS) : PERIOD_MS;

	lag->cpu = cpu;
	lag->due = monotonic_us() + ms * 1000;
	timer_start(lag->timer, ms);
}

void
loop_lag_stats_add(struct loop_lag_stats *stats, uint64_t us)
{
	for (size_t i = 0; i < LAG_BUCKETS; i++) {
		if (us <= loop_lag_bounds[i] * UINT64_C(1000)) {
			stats->counts[i]++;
			break;
		}
	}
	stats->total++;
	stats->sum_us += us;
	if (us > stats->max_us)
		stats->max_us = us;
}

static void
on_timer(void *arg)
{
	struct loop_lag *lag = arg;
	int64_t now = monotonic_us();

	/* The kernel's clock for timers is coarser than ours. */
	loop_lag_stats_add(&lag->stats, now > lag->due ? (uint64_t)(now - lag->due) : 0);
	arm(lag);
}

struct loop_lag *
loop_lag_new(struct event_base *base)
{
	struct loop_lag *lag = xcalloc(1, sizeof(*lag));

	lag->timer = timer_new(base, on_timer, lag);
	arm(lag);
	return lag;
}

void
loop_lag_free(struct loop_lag *lag)
{
	if (!lag)
		return;
	timer_free(lag->timer);
	free(lag);
}

void
loop_lag_get_stats(const struct loop_lag *lag, struct loop_lag_stats *ret)
{
	*ret = lag->stats;
}
