/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "loop/timer.h"

#include <event2/event.h>

#include "proto/util.h"

struct timer {
	struct event *event;
	bool repeats; /* the event is one that libevent starts again */
	void (*fn)(void *arg);
	void *arg;
};

static void
on_event(evutil_socket_t fd, short what, void *arg)
{
	struct timer *timer = arg;

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

static void
start(struct timer *timer, int64_t ms, bool repeats)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	if (timer->repeats != repeats) {
		event_del(timer->event);
		event_assign(timer->event, event_get_base(timer->event), -1,
		    repeats ? EV_PERSIST : 0, on_event, timer);
		timer->repeats = repeats;
	}
	if (event_add(timer->event, &tv) < 0)
		abort();
}

void
timer_start(struct timer *timer, int64_t ms)
{
	start(timer, ms > 0 ? ms : 0, false);
}

void
timer_every(struct timer *timer, int64_t ms)
{
	start(timer, ms, true);
}

void
timer_soon(struct timer *timer)
{
	event_active(timer->event, EV_TIMEOUT, 1);
}

void
timer_stop(struct timer *timer)
{
	event_del(timer->event);
}

bool
timer_is_started(const struct timer *timer)
{
	return event_pending(timer->event, EV_TIMEOUT, NULL);
}
