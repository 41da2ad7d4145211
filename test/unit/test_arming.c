/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When others may take over from this host, what it tells them, and why not. */
#include "ops/arming.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/log.h"

#define SELF "aaaaaaaa-0000-4000-8000-000000000000"
#define WAIT 140 /* s, with an io_timeout of 10 s */

int64_t __wrap_monotonic_ms(void);

static struct {
	struct config config;
	struct inventory *inventory;
	struct arming *arming;
	struct watchdog_result found; /* by the next look */
	int64_t now;		      /* ms */
} here;

int64_t
__wrap_monotonic_ms(void)
{
	return here.now;
}

static int
setup(void **state)
{
	struct host_report self = { .uuid = (char[]){ SELF }, .has_def = true };

	log_init(LOG_LEVEL_ERROR, NULL);
	config_init(&here.config);
	here.now = 1000000;
	here.found = (struct watchdog_result){
		.host_id = 7, .generation = 3, .io_timeout = 10, .fire_timeout = 60, .joined = WAIT
	};
	here.inventory = inventory_new();
	inventory_report_host(here.inventory, &self);
	here.arming = arming_new(&here.config, here.inventory);
	return 0;
}

static int
teardown(void **state)
{
	arming_free(here.arming);
	inventory_free(here.inventory);
	config_clear(&here.config);
	return 0;
}

static void
look(void)
{
	arming_begin_look(here.arming);
	arming_set_look(here.arming, &here.found, NULL);
}

static void
fail_look(void)
{
	struct error err = { 0 };

	error_set(&err, 503, "wdmd does not answer");
	arming_begin_look(here.arming);
	arming_set_look(here.arming, NULL, &err);
}

/* Seconds go on. */
static void
advance(int64_t s)
{
	here.now += s * 1000;
	arming_check(here.arming);
}

/* What the others are told, and what it may; why is a part of its reasons, "" for none. */
static void
expect(bool armed, bool fences, uint64_t generation, const char *why)
{
	struct ha_status status = { 0 };
	struct host_ha ha;

	inventory_get_ha(here.inventory, SELF, &ha);
	assert_int_equal(arming_is_armed(here.arming), armed);
	assert_int_equal(arming_fences(here.arming), fences);
	assert_int_equal(ha.armed, fences);
	assert_true(ha.generation == generation);
	if (*why ? !strstr(arming_why(here.arming), why) : *arming_why(here.arming))
		fail_msg("'%s', not '%s'", arming_why(here.arming), why);
	arming_add_reasons(here.arming, &status);
	assert_int_equal(status.n_reasons > 0, *why != '\0');
	model_clear(&ha_status_model, &status);
}

static void
arm(void)
{
	arming_set_lockspace(here.arming, "");
	look();
	expect(true, true, 3, "");
}

/* virtxd was started anew, and sanlock joined long ago. */
static void
test_at_once(void **state)
{
	struct host_ha ha;

	expect(false, false, 0, "it has not been looked at yet");
	arming_check(here.arming);
	expect(false, false, 0, "the lockspace is not joined: it has not been looked at yet");
	arming_set_lockspace(here.arming, "");
	expect(false, false, 0, "sanlock has not told yet how this host is known");
	look();
	expect(true, true, 3, "");
	inventory_get_ha(here.inventory, SELF, &ha);
	assert_int_equal(ha.host_id, 7);
	assert_int_equal(ha.io_timeout, 10);
	assert_int_equal(ha.fire_timeout, 60);
}

static void
test_waits(void **state)
{
	here.found.joined = 1;
	arming_set_lockspace(here.arming, "");
	look();
	expect(false, false, 0,
	    "the lockspace has to be joined for 140 s without a gap: 8 io_timeouts of 10 s, and 60 "
	    "s until a watchdog fires");
	advance(WAIT - 2);
	here.found.joined = WAIT - 1;
	look();
	expect(false, false, 0, "has to be joined for 140 s");
	advance(1);
	expect(true, true, 3, "");
}

/* Each thing that is missing while it waits, and while it is armed. */
static void
test_missing(void **state)
{
	static const struct {
		const char *why, *name_why;
		int32_t host_id, io_timeout, fire_timeout;
		const char *told;
	} rows[] = {
		{ "sanlock does not use a watchdog: it runs with -w 0", "", 7, 10, 60,
		    "no watchdog protects this host: sanlock does not use a watchdog: it runs with "
		    "-w 0" },
		{ "wdmd does not run: x; the host has no watchdog device", "", 7, 10, 60,
		    "this host: wdmd does not run: x; the host has no watchdog device" },
		{ "", "sanlock's our_host_name is fixed, 'h1'", 7, 10, 60,
		    "sanlock's our_host_name is fixed, 'h1'" },
		{ "", "", 0, 0, 0, "sanlock has not told yet how this host is known" },
		{ "", "", 7, 61, 60, "sanlock has not told yet how this host is known" },
		{ "", "", 7, 10, 601, "sanlock has not told yet how this host is known" },
		{ "a", "b", 0, 0, 0, "a; b; sanlock has not told yet" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct watchdog_result good = here.found;

		/* It waits. */
		here.found.joined = 1;
		arming_set_lockspace(here.arming, "");
		look();
		expect(false, false, 0, "has to be joined for");
		for (int armed = 0; armed < 2; armed++) {
			here.found = good;
			here.found.joined = armed ? WAIT : 1;
			look();
			expect(armed, armed, armed ? 3 : 0, armed ? "" : "has to be joined for");
			here.found.why = (char *)rows[i].why;
			here.found.name_why = (char *)rows[i].name_why;
			here.found.host_id = rows[i].host_id;
			here.found.io_timeout = rows[i].io_timeout;
			here.found.fire_timeout = rows[i].fire_timeout;
			look();
			expect(false, false, 0, rows[i].told);
		}
		here.found = good;
	}
}

/* What a watchdog lacks does not count then, and what sanlock lacks does. */
static void
test_unsafe(void **state)
{
	assert_string_equal(arming_unsafe(here.arming), "");
	here.config.ha_unsafe = true;
	assert_non_null(strstr(arming_unsafe(here.arming), "unsafe_without_watchdog is set: "));
	here.found.why = (char[]){ "the host has no watchdog device" };
	arming_set_lockspace(here.arming, "");
	look();
	expect(true, true, 3, "");
	here.found.name_why = (char[]){ "sanlock's our_host_name is fixed, 'h1'" };
	look();
	expect(false, false, 0, "is fixed");
	here.config.ha_unsafe = false;
	look();
	expect(false, false, 0, "the host has no watchdog device; sanlock's our_host_name");
}

/* sanlock has ended: what the others were told holds until it is joined anew. */
static void
test_lost(void **state)
{
	arm();
	arming_set_lockspace(here.arming, "sanlock has ended");
	expect(false, true, 3, "the lockspace is not joined: sanlock has ended");
	look();
	advance(1000);
	expect(false, true, 3, "the lockspace is not joined: sanlock has ended");
	arming_set_lockspace(here.arming, "");
	expect(false, true, 3, "sanlock has not told yet how");
	here.found.host_id = 0;
	look();
	expect(false, true, 3, "sanlock has not told yet how");
	here.found.host_id = 7;
	here.found.generation = 4;
	here.found.joined = 20;
	look();
	expect(false, false, 0, "has to be joined for");
	advance(WAIT - 20);
	expect(true, true, 4, "");
}

static void
test_lost_and_missing(void **state)
{
	arm();
	arming_set_lockspace(here.arming, "sanlock has ended");
	arming_set_lockspace(here.arming, "");
	here.found.name_why = (char[]){ "sanlock's our_host_name is fixed, 'h1'" };
	look();
	expect(false, false, 0, "is fixed");
}

/* It did not answer for a while, and has kept the lockspace. */
static void
test_silent(void **state)
{
	arm();
	arming_set_lockspace(here.arming, "sanlock does not answer");
	expect(false, true, 3, "sanlock does not answer");
	advance(20);
	arming_set_lockspace(here.arming, "");
	here.found.joined = WAIT + 20;
	look();
	expect(true, true, 3, "");
}

/* A look that began before that tells nothing of how it is joined now. */
static void
test_old_look(void **state)
{
	arm();
	arming_begin_look(here.arming);
	arming_set_lockspace(here.arming, "sanlock has ended");
	arming_set_lockspace(here.arming, "");
	arming_set_look(here.arming, &here.found, NULL);
	expect(false, true, 3, "sanlock has not told yet how");
	assert_false(arming_is_looked_at(here.arming));
	look();
	assert_true(arming_is_looked_at(here.arming));
	expect(true, true, 3, "");
}

static void
test_joined_anew_unseen(void **state)
{
	arm();
	here.found.generation = 4;
	here.found.joined = 3;
	look();
	expect(false, false, 0, "has to be joined for");
}

/* One that does not answer may be held up, but not for long. */
static void
test_untold(void **state)
{
	arm();
	advance(60);
	fail_look();
	expect(true, true, 3, "");
	advance(60);
	fail_look();
	expect(true, true, 3, "");
	advance(1);
	expect(false, false, 0, "sanlock and wdmd do not tell what they do: wdmd does not answer");
	look();
	expect(true, true, 3, "");
}

/* libvirt tells later which host this is. */
static void
test_host_comes_later(void **state)
{
	struct host_report self = { .uuid = (char[]){ SELF }, .has_def = true };
	struct host_ha ha;

	arming_free(here.arming);
	inventory_free(here.inventory);
	here.inventory = inventory_new();
	here.arming = arming_new(&here.config, here.inventory);
	arming_set_lockspace(here.arming, "");
	look();
	assert_true(arming_is_armed(here.arming));
	inventory_report_host(here.inventory, &self);
	inventory_get_ha(here.inventory, SELF, &ha);
	assert_false(ha.armed);
	advance(1);
	expect(true, true, 3, "");
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_at_once),
		CASE(test_waits),
		CASE(test_missing),
		CASE(test_unsafe),
		CASE(test_lost),
		CASE(test_lost_and_missing),
		CASE(test_silent),
		CASE(test_old_look),
		CASE(test_joined_anew_unseen),
		CASE(test_untold),
		CASE(test_host_comes_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
