/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "loop/timer.h"

#include <event2/event.h>

#include "proto/util.h"

struct timer {
	struct event *event;
	int64_t period; /* ms; 0: once */
	void (*fn)(void *arg);
	void *arg;
};

int64_t
timer_to_beat(int64_t period)
{
	static int64_t began;
	int64_t ms, now = monotonic_ms();

	if (!began)
		began = now;
	ms = period - (now - began) % period;
	/* libevent's clock is coarser than ours: that may be the one which has just been. */
	return ms < period / 4 ? ms + period : ms;
}

static void
start(struct timer *timer, int64_t ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	if (event_add(timer->event, &tv) < 0)
		abort();
}

static void
on_event(evutil_socket_t fd, short what, void *arg)
{
	struct timer *timer = arg;

	if (timer->period)
		start(timer, timer_to_beat(timer->period));
	timer->fn(timer->arg);
}

struct timer *
timer_new(struct event_base *base, void (*fn)(void *arg), void *arg)
{
	struct timer *timer = xcalloc(1, sizeof(*timer));

	timer->fn = fn;
	timer->arg = arg;
	timer->event = event_new(base, -1, 0, on_event, timer);
	if (!timer->event)
		abort();
	return timer;
}

void
timer_free(struct timer *timer)
{
	if (!timer)
		return;
	event_free(timer->event);
	free(timer);
}

void
timer_start(struct timer *timer, int64_t ms)
{
	timer->period = 0;
	start(timer, ms > 0 ? ms : 0);
}

void
timer_every(struct timer *timer, int64_t ms)
{
	timer->period = ms;
	start(timer, timer_to_beat(ms));
}

void
timer_soon(struct timer *timer)
{
	event_active(timer->event, EV_TIMEOUT, 1);
}

void
timer_stop(struct timer *timer)
{
	timer->period = 0;
	event_del(timer->event);
}

bool
timer_is_started(const struct timer *timer)
{
	return event_pending(timer->event, EV_TIMEOUT, NULL);
}
