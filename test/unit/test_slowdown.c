/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <event2/event.h>
#include <cmocka.h>

#include "http/slowdown.h"
#include "loop/base.h"
#include "proto/util.h"

static int64_t now = 1000;

int64_t __wrap_monotonic_ms(void);

int64_t
__wrap_monotonic_ms(void)
{
	return now;
}

static void
no_answer(void *arg)
{
	fail();
}

/* False where it would be answered at once. */
static bool
wrong(struct slowdown *slowdown, const char *addr)
{
	struct slowdown_wait *wait = slowdown_wrong(slowdown, addr, no_answer, NULL);

	if (wait)
		slowdown_cancel(wait);
	return wait != NULL;
}

static void
test_longer(void **state)
{
	struct event_base *base = base_new();
	struct slowdown *slowdown = slowdown_new(base, 64);
	int64_t last = 0;

	for (int i = 0; i < 6; i++) {
		int64_t ms = slowdown_ms(slowdown, "192.0.2.1");

		assert_true(ms > last);
		last = ms;
		assert_true(wrong(slowdown, "192.0.2.1"));
	}
	for (int i = 0; i < 100; i++)
		wrong(slowdown, "192.0.2.1");
	assert_int_equal(slowdown_ms(slowdown, "192.0.2.1"), 6400);
	/* It is nobody else's fault, and is forgotten. */
	assert_int_equal(slowdown_ms(slowdown, "192.0.2.2"), 100);
	now += 59000;
	assert_int_equal(slowdown_ms(slowdown, "192.0.2.1"), 6400);
	now += 1000;
	assert_int_equal(slowdown_ms(slowdown, "192.0.2.1"), 100);
	/* An IPv6 client has a network for itself alone. */
	wrong(slowdown, "2001:db8::1");
	assert_int_equal(slowdown_ms(slowdown, "2001:db8::2"), 200);
	assert_int_equal(slowdown_ms(slowdown, "2001:db8:0:1::1"), 100);
	slowdown_free(slowdown);
	event_base_free(base);
}

/* However many guess: those that were wrong last are remembered. */
static void
test_bounds(void **state)
{
	struct event_base *base = base_new();
	struct slowdown *slowdown = slowdown_new(base, 64);
	struct slowdown_wait *waits[64];

	wrong(slowdown, "198.51.100.1");
	for (int i = 0; i < 255; i++) {
		_free_ char *addr = xasprintf("192.0.2.%d", i);

		now++;
		wrong(slowdown, addr);
	}
	assert_int_equal(slowdown_ms(slowdown, "198.51.100.1"), 200);
	wrong(slowdown, "203.0.113.1");
	assert_int_equal(slowdown_ms(slowdown, "198.51.100.1"), 100);
	assert_int_equal(slowdown_ms(slowdown, "192.0.2.0"), 200);

	for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
		waits[i] = slowdown_wrong(slowdown, "192.0.2.1", no_answer, NULL);
		assert_non_null(waits[i]);
	}
	assert_null(slowdown_wrong(slowdown, "192.0.2.1", no_answer, NULL));
	for (size_t i = 0; i < ARRAY_SIZE(waits); i++)
		slowdown_cancel(waits[i]);
	assert_true(wrong(slowdown, "192.0.2.1"));
	slowdown_free(slowdown);
	event_base_free(base);
}

/* A few tries of an address are under way, whoever hangs up; nobody else has less for it. */
static void
test_tries(void **state)
{
	struct event_base *base = base_new();
	struct slowdown *slowdown = slowdown_new(base, 64);

	/* They take 100, 200, 400 and 800 ms. */
	for (int i = 0; i < 4; i++) {
		assert_int_equal(slowdown_busy_s(slowdown, "192.0.2.1"), 0);
		assert_true(wrong(slowdown, "192.0.2.1"));
	}
	assert_int_equal(slowdown_busy_s(slowdown, "192.0.2.1"), 1);
	assert_int_equal(slowdown_busy_s(slowdown, "192.0.2.2"), 0);
	now += 99;
	assert_int_equal(slowdown_busy_s(slowdown, "192.0.2.1"), 1);
	now += 1;
	assert_int_equal(slowdown_busy_s(slowdown, "192.0.2.1"), 0);
	assert_true(wrong(slowdown, "192.0.2.1"));
	assert_int_equal(slowdown_busy_s(slowdown, "192.0.2.1"), 1);
	/* It is told from when on. */
	for (int i = 0; i < 20; i++)
		wrong(slowdown, "192.0.2.1");
	assert_int_equal(slowdown_busy_s(slowdown, "192.0.2.1"), 7);
	now += 6400;
	assert_int_equal(slowdown_busy_s(slowdown, "192.0.2.1"), 0);
	slowdown_free(slowdown);
	event_base_free(base);
}

/* Who was wrong again and again is not forgotten for many that were wrong once. */
static void
test_many_networks(void **state)
{
	struct event_base *base = base_new();
	struct slowdown *slowdown = slowdown_new(base, 64);

	for (int i = 0; i < 4; i++)
		wrong(slowdown, "192.0.2.1");
	for (int i = 0; i < 1000; i++) {
		_free_ char *addr = xasprintf("2001:db8:0:%x::1", i);

		now++;
		wrong(slowdown, addr);
	}
	assert_int_equal(slowdown_ms(slowdown, "192.0.2.1"), 1600);
	/* After a minute it is as if it had not been. */
	now += 60000;
	for (int i = 0; i < 256; i++) {
		_free_ char *addr = xasprintf("2001:db8:1:%x::1", i);

		now++;
		wrong(slowdown, addr);
	}
	assert_int_equal(slowdown_ms(slowdown, "2001:db8:1:0::1"), 200);
	slowdown_free(slowdown);
	event_base_free(base);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_longer),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_tries),
		cmocka_unit_test(test_many_networks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
