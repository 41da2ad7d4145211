/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/lag.h"

#include <event2/event.h>
#include <time.h>

#define PERIOD_US 100000

struct lag {
	struct event *timer;
	uint64_t due; /* us */
	struct lag_stats stats;
};

const unsigned int lag_bounds[LAG_BUCKETS] = { 1, 2, 5, 10, 20, 50, 100, 250, 500, 1000, 5000 };

static uint64_t
monotonic_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void
arm(struct lag *lag)
{
	static const struct timeval period = { .tv_usec = PERIOD_US };

	lag->due = monotonic_us() + PERIOD_US;
	event_add(lag->timer, &period);
}

void
lag_stats_add(struct lag_stats *stats, uint64_t us)
{
	for (size_t i = 0; i < LAG_BUCKETS; i++) {
		if (us <= lag_bounds[i] * UINT64_C(1000)) {
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
	struct lag *lag = arg;
	uint64_t now = monotonic_us();

	/* The kernel's clock for timers is coarser than ours. */
	lag_stats_add(&lag->stats, now > lag->due ? now - lag->due : 0);
	arm(lag);
}

struct lag *
lag_new(struct event_base *base)
{
	struct lag *lag = xcalloc(1, sizeof(*lag));

	lag->timer = evtimer_new(base, on_timer, lag);
	if (!lag->timer)
		abort();
	arm(lag);
	return lag;
}

void
lag_free(struct lag *lag)
{
	if (!lag)
		return;
	event_free(lag->timer);
	free(lag);
}

void
lag_get_stats(const struct lag *lag, struct lag_stats *ret)
{
	*ret = lag->stats;
}
