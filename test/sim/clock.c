/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "clock.h"

#include <stdlib.h>
#include <string.h>

#include "proto/util.h"

#define EPOCH INT64_C(1790000000000) /* ms */

struct timer {
	int host;
	void (*fn)(void *arg);
	void *arg;
	int64_t due, period; /* ms; period 0: once */
	uint64_t order;
	size_t at; /* in the heap, from 1; 0: stopped */
	bool once; /* frees itself */
};

/* The next one is the first of the heap. */
static struct {
	struct timer **heap; /* from 1 */
	size_t n, size;
	uint64_t order;
	int64_t now;
	bool ending;
	int host;
	int64_t frozen[CLOCK_HOSTS]; /* until then, ms */
	int64_t wrong[CLOCK_HOSTS];
	int ppm[CLOCK_HOSTS];
} timeline;

int64_t __wrap_monotonic_ms(void);
int64_t __wrap_monotonic_us(void);
int64_t __wrap_now_ms(void);

static bool
is_before(const struct timer *a, const struct timer *b)
{
	return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void
put(struct timer *timer, size_t at)
{
	timeline.heap[at] = timer;
	timer->at = at;
}

static void
sift(struct timer *timer, size_t at)
{
	for (; at > 1 && is_before(timer, timeline.heap[at / 2]); at /= 2)
		put(timeline.heap[at / 2], at);
	for (size_t child = at * 2; child <= timeline.n; child = at * 2) {
		if (child < timeline.n && is_before(timeline.heap[child + 1], timeline.heap[child]))
			child++;
		if (!is_before(timeline.heap[child], timer))
			break;
		put(timeline.heap[child], at);
		at = child;
	}
	put(timer, at);
}

void
timer_stop(struct timer *timer)
{
	size_t at = timer->at;
	struct timer *last;

	if (!at)
		return;
	timer->at = 0;
	last = timeline.heap[timeline.n--];
	if (last != timer)
		sift(last, at);
}

static void
start(struct timer *timer, int64_t ms, int64_t period)
{
	timer_stop(timer);
	if (timeline.n + 2 > timeline.size) {
		timeline.size = timeline.size ? timeline.size * 2 : 256;
		timeline.heap = xrealloc(timeline.heap, timeline.size, sizeof(struct timer *));
	}
	timer->due = timeline.now + (ms > 0 ? ms : 0);
	timer->period = period;
	timer->order = ++timeline.order;
	sift(timer, ++timeline.n);
}

struct timer *
timer_new(struct event_base *base, void (*fn)(void *arg), void *arg)
{
	struct timer *timer = xcalloc(1, sizeof(*timer));

	timer->host = timeline.host;
	timer->fn = fn;
	timer->arg = arg;
	return timer;
}

void
timer_free(struct timer *timer)
{
	if (!timer)
		return;
	timer_stop(timer);
	free(timer);
}

void
timer_start(struct timer *timer, int64_t ms)
{
	start(timer, ms, 0);
}

void
timer_every(struct timer *timer, int64_t ms)
{
	start(timer, ms, ms);
}

int64_t
timer_to_beat(int64_t period)
{
	return period;
}

void
timer_soon(struct timer *timer)
{
	start(timer, 0, 0);
}

bool
timer_is_started(const struct timer *timer)
{
	return timer->at != 0;
}

void
clock_reset(void)
{
	while (timeline.n > 0) {
		struct timer *timer = timeline.heap[1];

		timer_stop(timer);
		if (timer->once)
			free(timer);
	}
	timeline.now = 0;
	timeline.ending = false;
	timeline.order = 0;
	timeline.host = CLOCK_NOBODY;
	memset(timeline.frozen, 0, sizeof(timeline.frozen));
	memset(timeline.wrong, 0, sizeof(timeline.wrong));
	memset(timeline.ppm, 0, sizeof(timeline.ppm));
}

/* What is due first is not of a host that stands still: that comes later. */
static void
thaw(void)
{
	while (timeline.n > 0 && !timeline.ending) {
		struct timer *timer = timeline.heap[1];
		int64_t until = timer->host == CLOCK_NOBODY ? 0 : timeline.frozen[timer->host];

		if (timer->due >= until)
			return;
		timer_stop(timer);
		timer->due = until;
		sift(timer, ++timeline.n);
	}
}

bool
clock_run_next(int64_t until)
{
	struct timer *timer;
	void (*fn)(void *arg);
	void *arg;

	thaw();
	if (timeline.n == 0 || timeline.heap[1]->due > until) {
		timeline.now = until;
		return false;
	}
	timer = timeline.heap[1];
	timeline.now = timer->due;
	timeline.host = timer->host;
	fn = timer->fn;
	arg = timer->arg;
	if (timer->period)
		start(timer, timer->period, timer->period);
	else
		timer_stop(timer);
	if (timer->once)
		free(timer);
	fn(arg);
	timeline.host = CLOCK_NOBODY;
	return true;
}

void
clock_end(void)
{
	timeline.ending = true;
	while (clock_run_next(INT64_MAX))
		;
}

bool
clock_is_ending(void)
{
	return timeline.ending;
}

int64_t
clock_now(void)
{
	return timeline.now;
}

int
clock_host(void)
{
	return timeline.host;
}

int
clock_enter(int host)
{
	int before = timeline.host;

	timeline.host = host;
	return before;
}

void
clock_freeze(int host, int64_t ms)
{
	timeline.frozen[host] = timeline.now + ms;
}

bool
clock_is_frozen(int host)
{
	return timeline.now < timeline.frozen[host];
}

void
clock_set_error(int host, int64_t ms, int ppm)
{
	timeline.wrong[host] = ms;
	timeline.ppm[host] = ppm;
}

int64_t
clock_wall(int host)
{
	if (host == CLOCK_NOBODY)
		return EPOCH + timeline.now;
	return EPOCH + timeline.now + timeline.wrong[host] +
	       timeline.now * timeline.ppm[host] / 1000000;
}

void
clock_after(int64_t ms, void (*fn)(void *arg), void *arg)
{
	int host = clock_enter(CLOCK_NOBODY);
	struct timer *timer = timer_new(NULL, fn, arg);

	clock_enter(host);
	timer->once = true;
	timer_start(timer, ms);
}

/* What the product calls; never 0, which is "not yet" to some. */
int64_t
__wrap_monotonic_ms(void)
{
	return timeline.now + 1000;
}

int64_t
__wrap_monotonic_us(void)
{
	return (timeline.now + 1000) * 1000;
}

int64_t
__wrap_now_ms(void)
{
	return clock_wall(timeline.host);
}
