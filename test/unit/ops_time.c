/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops_time.h"

#include <event2/event.h>

#include "ops_host.h"

static struct due {
	struct due *next;
	struct event *event;
	int64_t at, period; /* ms */
} * timers;

int64_t __wrap_monotonic_ms(void);
int64_t __wrap_now_ms(void);
int __wrap_event_add(struct event *event, const struct timeval *tv);
int __wrap_event_del(struct event *event);
void __wrap_event_free(struct event *event);
int __wrap_event_pending(const struct event *event, short events, struct timeval *tv);
int __real_event_add(struct event *event, const struct timeval *tv);
int __real_event_del(struct event *event);
void __real_event_free(struct event *event);
int __real_event_pending(const struct event *event, short events, struct timeval *tv);

int64_t
__wrap_monotonic_ms(void)
{
	return here.now;
}

int64_t
__wrap_now_ms(void)
{
	return EPOCH_MS + here.now;
}

static bool
stop_timer(const struct event *event)
{
	for (struct due **link = &timers; *link; link = &(*link)->next) {
		struct due *due = *link;

		if (due->event != event)
			continue;
		*link = due->next;
		free(due);
		return true;
	}
	return false;
}

static void
start_timer(struct event *event, int64_t ms)
{
	struct due *due = xcalloc(1, sizeof(*due));

	stop_timer(event);
	*due = (struct due){ timers, event, here.now + ms, ms };
	timers = due;
}

int
__wrap_event_add(struct event *event, const struct timeval *tv)
{
	if (!tv)
		return __real_event_add(event, tv);
	start_timer(event, (int64_t)tv->tv_sec * 1000 + tv->tv_usec / 1000);
	return 0;
}

int
__wrap_event_del(struct event *event)
{
	stop_timer(event);
	return __real_event_del(event);
}

void
__wrap_event_free(struct event *event)
{
	stop_timer(event);
	__real_event_free(event);
}

int
__wrap_event_pending(const struct event *event, short events, struct timeval *tv)
{
	for (const struct due *due = timers; due; due = due->next) {
		if (due->event == event)
			return EV_TIMEOUT;
	}
	return __real_event_pending(event, events, tv);
}

struct event *
ops_time_take(int64_t until)
{
	const struct due *first = NULL;
	struct event *event;
	int64_t period;

	for (const struct due *due = timers; due; due = due->next) {
		if (due->at <= until && (!first || due->at < first->at))
			first = due;
	}
	if (!first)
		return NULL;
	event = first->event;
	period = first->period;
	if (first->at > here.now)
		here.now = first->at;
	stop_timer(event);
	if (event_get_events(event) & EV_PERSIST)
		start_timer(event, period);
	return event;
}

bool
ops_time_has_timers(void)
{
	return timers;
}
