/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/loop_lag.h"

#include <event2/event.h>
#include <time.h>

#define PERIOD_US 100000

struct loop_lag {
	struct event *timer;
	uint64_t due; /* us */
	struct loop_lag_stats stats;
};

const unsigned int loop_lag_bounds[LAG_BUCKETS] = { 1, 2, 5, 10, 20, 50, 100, 250, 500, 1000,
	5000 };

static uint64_t
monotonic_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void
arm(struct loop_lag *lag)
{
	static const struct timeval period = { .tv_usec = PERIOD_US };

	lag->due = monotonic_us() + PERIOD_US;
	event_add(lag->timer, &period);
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
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct loop_lag *lag = arg;
	uint64_t now = monotonic_us();

	/* The kernel's clock for timers is coarser than ours. */
	loop_lag_stats_add(&lag->stats, now > lag->due ? now - lag->due : 0);
	arm(lag);
}

struct loop_lag *
loop_lag_new(struct event_base *base)
{
	struct loop_lag *lag = xcalloc(1, sizeof(*lag));

	lag->timer = evtimer_new(base, on_timer, lag);
	if (!lag->timer)
		abort();
	arm(lag);
	return lag;
}

void
loop_lag_free(struct loop_lag *lag)
{
	if (!lag)
		return;
	event_free(lag->timer);
	free(lag);
}

void
loop_lag_get_stats(const struct loop_lag *lag, struct loop_lag_stats *ret)
{
	*ret = lag->stats;
}
