/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>
#include <event2/event.h>

#include "loop/base.h"
#include "loop/timer.h"
#include "proto/util.h"

#define N 3

static struct fixture {
	struct event_base *base;
	struct timer *timers[N];
	struct clock {
		struct fixture *fixture;
		int i;
	} clocks[N];
	char order[16]; /* which have run */
	size_t n;
} fixture;

static void
on_timer(void *arg)
{
	struct clock *clock = arg;
	struct fixture *f = clock->fixture;

	assert_true(f->n < sizeof(f->order) - 1);
	f->order[f->n++] = (char)('a' + clock->i);
}

static int
setup(void **state)
{
	fixture = (struct fixture){ .base = base_new() };
	for (int i = 0; i < N; i++) {
		fixture.clocks[i] = (struct clock){ &fixture, i };
		fixture.timers[i] = timer_new(fixture.base, on_timer, &fixture.clocks[i]);
	}
	*state = &fixture;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < N; i++)
		timer_free(f->timers[i]);
	event_base_free(f->base);
	return 0;
}

static void
test_runs_in_order_of_time(void **state)
{
	struct fixture *f = *state;
	int64_t began = monotonic_ms();

	timer_start(f->timers[0], 400);
	timer_start(f->timers[1], 200);
	timer_start(f->timers[2], 0);
	event_base_dispatch(f->base);
	assert_string_equal(f->order, "cba");
	assert_true(monotonic_ms() - began >= 390);
	assert_false(timer_is_started(f->timers[0]));
}

/* What runs now ends first, and nothing is waited for. */
static void
test_soon_is_before_the_next_wait(void **state)
{
	struct fixture *f = *state;

	timer_start(f->timers[0], 0);
	timer_soon(f->timers[1]);
	assert_true(timer_is_started(f->timers[1]));
	event_base_loop(f->base, EVLOOP_ONCE);
	assert_int_equal(f->order[0], 'b');
}

static void
test_started_again_is_another_time(void **state)
{
	struct fixture *f = *state;

	timer_every(f->timers[0], 1);
	timer_start(f->timers[0], 5);
	timer_start(f->timers[1], 1);
	timer_stop(f->timers[1]);
	assert_false(timer_is_started(f->timers[1]));
	event_base_dispatch(f->base);
	assert_string_equal(f->order, "a");
}

static void
test_repeats(void **state)
{
	struct fixture *f = *state;

	timer_start(f->timers[0], 1000000);
	timer_every(f->timers[0], 1);
	while (f->n < 3)
		event_base_loop(f->base, EVLOOP_ONCE);
	assert_true(timer_is_started(f->timers[0]));
	timer_stop(f->timers[0]);
	event_base_dispatch(f->base);
	assert_string_equal(f->order, "aaa");
}

/* When it is, in ms of the clock. */
static int64_t
beat(int64_t period)
{
	int64_t now, ms;

	do {
		now = monotonic_ms();
		ms = timer_to_beat(period);
	} while (monotonic_ms() != now);
	assert_in_range(ms, period / 4, period + period / 4);
	return now + ms;
}

/* Of each period that is a part of another one, whenever it is asked for. */
static void
test_beats_are_together(void **state)
{
	static const int64_t periods[] = { 1, 10, 50, 1000, 3000, 15000 };
	const struct timespec pause = { .tv_nsec = 3 * 1000000L };
	int64_t first = beat(15000);

	for (int round = 0; round < 10; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(periods); i++)
			assert_int_equal((beat(periods[i]) - first) % periods[i], 0);
		nanosleep(&pause, NULL);
	}
}

static void
free_all(void *arg)
{
	struct fixture *f = arg;

	f->n++;
	for (int i = 0; i < N; i++) {
		timer_free(f->timers[i]);
		f->timers[i] = NULL;
	}
}

static void
test_may_free_itself(void **state)
{
	struct fixture *f = *state;

	timer_free(f->timers[0]);
	f->timers[0] = timer_new(f->base, free_all, f);
	timer_every(f->timers[0], 1);
	timer_start(f->timers[1], 1);
	timer_soon(f->timers[2]);
	timer_stop(f->timers[2]);
	event_base_dispatch(f->base);
	assert_true(f->n >= 1 && !f->timers[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_runs_in_order_of_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_soon_is_before_the_next_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_started_again_is_another_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_repeats, setup, teardown),
		cmocka_unit_test(test_beats_are_together),
		cmocka_unit_test_setup_teardown(test_may_free_itself, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
