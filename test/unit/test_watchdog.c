/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/watchdog.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <wdmd.h>

#include "disk/command.h"
#include "scratch.h"

#define USED   "daemon 4f-b1.h1\n    our_host_name=h1\n    use_watchdog=1\n    high_priority=0\n"
#define UNUSED "daemon 4f-b1.h1\n    our_host_name=h1\n    use_watchdog=0\n    high_priority=0\n"

/* What the daemons answer. */
static struct {
	const char *status; /* sanlock's, NULL: it does not */
	int con;	    /* to wdmd: 0 or -errno */
	int fire;	    /* 0: its connection ends instead */
	int late;	    /* since its last keepalive, s */
	bool asked;	    /* sanlock was */
} world;

int __wrap_command_run(const struct command *command, struct buffer *out, struct error *err);
int __wrap_wdmd_connect(void);
int __wrap_wdmd_status(int con, int *interval, int *fire, uint64_t *last);

int
__wrap_command_run(const struct command *command, struct buffer *out, struct error *err)
{
	world.asked = true;
	if (!world.status)
		return error_set(err, 507, "sanlock took more than 5 seconds");
	buffer_add(out, world.status, strlen(world.status));
	return 0;
}

int
__wrap_wdmd_connect(void)
{
	return world.con < 0 ? world.con : open("/dev/null", O_RDWR | O_CLOEXEC);
}

int
__wrap_wdmd_status(int con, int *interval, int *fire, uint64_t *last)
{
	*interval = 10;
	*fire = world.fire;
	*last = (uint64_t)(monotonic_ms() / 1000 - world.late);
	return 0;
}

static int
setup(void **state)
{
	world.status = USED;
	world.con = 0;
	world.fire = 60;
	world.late = 0;
	world.asked = false;
	return scratch_setup(state);
}

static void
make_device(const char *dir, const char *name, const char *status, const char *identity)
{
	_free_ char *status_file = xasprintf("%s/state", name);
	_free_ char *identity_file = xasprintf("%s/identity", name);

	scratch_mkdir(dir, name);
	if (status)
		scratch_write(dir, status_file, status);
	if (identity)
		scratch_write(dir, identity_file, identity);
}

static void
expect(const char *dir, bool sanlock, const char *what)
{
	_free_ char *why = NULL;
	struct watchdog_use use = { 0 };
	struct error err = { 0 };

	if (watchdog_look(dir, sanlock, &use, &why, &err) < 0)
		fail_msg("not told: %s", err.detail);
	assert_string_equal(why, what);
	watchdog_forget(&use);
}

static void
expect_untold(const char *dir, bool sanlock, const char *what)
{
	char *why = NULL;
	struct watchdog_use use = { 0 };
	struct error err = { 0 };

	assert_int_equal(watchdog_look(dir, sanlock, &use, &why, &err), -1);
	assert_null(why);
	watchdog_forget(&use);
	assert_int_equal(err.status, 503);
	assert_string_equal(err.detail, what);
}

static void
test_on(void **state)
{
	make_device(*state, "watchdog0", "inactive\n", "iTCO_wdt\n");
	make_device(*state, "watchdog1", "active\n", "Software Watchdog\n");
	expect(*state, true, "");
	assert_true(world.asked);
}

/* A kernel without these attributes leaves it to wdmd, which does not start without a device. */
static void
test_no_attributes(void **state)
{
	make_device(*state, "watchdog0", NULL, NULL);
	expect(*state, true, "");
}

static void
test_devices(void **state)
{
	_free_ char *nowhere = scratch_path(*state, "nowhere");

	expect(*state, true, "the host has no watchdog device");
	expect(nowhere, true, "the host has no watchdog device");
	make_device(*state, "watchdog0", "inactive\n", "Software Watchdog\n");
	expect(*state, true, "no watchdog device is active: watchdog0 (Software Watchdog)");
}

static void
test_sanlock(void **state)
{
	make_device(*state, "watchdog0", "active\n", "Software Watchdog\n");
	world.status = UNUSED;
	expect(*state, true, "sanlock does not use a watchdog: it runs with -w 0");
}

static void
test_wdmd(void **state)
{
	make_device(*state, "watchdog0", "active\n", "Software Watchdog\n");
	world.con = -ECONNREFUSED;
	expect(*state, true, "wdmd does not run: Connection refused");
}

/* All that is missing is told, whether or not the others answer. */
static void
test_all(void **state)
{
	world.status = UNUSED;
	world.con = -ENOENT;
	expect(*state, true,
	    "sanlock does not use a watchdog: it runs with -w 0; wdmd does not run: No such file "
	    "or directory; the host has no watchdog device");
	world.status = NULL;
	expect(*state, true,
	    "wdmd does not run: No such file or directory; the host has no watchdog device; "
	    "sanlock does not say whether it uses a watchdog: sanlock took more than 5 seconds");
	world.asked = false;
	world.con = world.fire = 0;
	expect(*state, false,
	    "the host has no watchdog device; sanlock does not say whether it uses a watchdog; "
	    "wdmd does not answer");
	assert_false(world.asked);
}

/* What one daemon has said it is not asked again. */
static void
test_sanlock_has_said_it(void **state)
{
	struct watchdog_use use = { 0 };
	char *why = NULL;
	struct error err = { 0 };

	make_device(*state, "watchdog0", "active\n", "Software Watchdog\n");
	world.status = UNUSED;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(watchdog_look(*state, true, &use, &why, &err), 0);
		assert_string_equal(why, "sanlock does not use a watchdog: it runs with -w 0");
		assert_int_equal(world.asked, i == 0);
		world.asked = false;
		free(why);
	}
	watchdog_forget(&use);
	world.status = USED;
	assert_int_equal(watchdog_look(*state, true, &use, &why, &err), 0);
	assert_true(world.asked);
	assert_string_equal(why, "");
	free(why);
	watchdog_forget(&use);
}

static void
test_untold(void **state)
{
	make_device(*state, "watchdog0", "active\n", "Software Watchdog\n");
	expect_untold(*state, false, "sanlock does not say whether it uses a watchdog");
	world.status = NULL;
	expect_untold(*state, true,
	    "sanlock does not say whether it uses a watchdog: sanlock took more than 5 seconds");
	world.status = "daemon 4f-b1.h1\n    our_host_name=h1\n    renew_watchdog=1\n";
	expect_untold(*state, true,
	    "sanlock does not say whether it uses a watchdog: sanlock's status has no "
	    "use_watchdog");
	world.status = USED;
	world.fire = 0;
	expect_untold(*state, true, "wdmd does not answer");
}

static void
expect_wdmd(int interval, int fire, int64_t age, int sanlock, const char *what)
{
	const struct watchdog_wdmd wdmd = { interval, fire, 1000 - age };
	_buffer_ struct buffer why = { 0 };

	watchdog_check_wdmd(&wdmd, sanlock, 1000, &why);
	assert_string_equal(why.len ? why.data : "", what);
}

static void
test_wdmd_tells(void **state)
{
	expect_wdmd(10, 60, 0, 60, "");
	expect_wdmd(10, 60, 30, 60, "");
	expect_wdmd(10, 60, 31, 60, "wdmd has not renewed its watchdog device for 31 s");
	expect_wdmd(2, 60, 7, 60, "wdmd has not renewed its watchdog device for 7 s");
	expect_wdmd(0, 60, 30, 60, "");
	expect_wdmd(10, 30, 0, 60, "wdmd's fire timeout is 30 s, and sanlock's 60 s");
	expect_wdmd(10, 30, 0, 30, "");
	/* Where sanlock has not told. */
	expect_wdmd(10, 30, 0, 0, "");
	expect_wdmd(10, 30, 1000, 60,
	    "wdmd's fire timeout is 30 s, and sanlock's 60 s; wdmd has not renewed its watchdog "
	    "device for 1000 s");
}

/* What it tells is asked of the daemon. */
static void
test_wdmd_is_late(void **state)
{
	make_device(*state, "watchdog0", "active\n", "Software Watchdog\n");
	world.fire = 10;
	expect(*state, true, "wdmd's fire timeout is 10 s, and sanlock's 60 s");
	world.status = USED "    watchdog_fire_timeout=10\n";
	expect(*state, true, "");
	world.late = 100;
	expect(*state, true, "wdmd has not renewed its watchdog device for 100 s");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_on, setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_no_attributes, setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_devices, setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_sanlock, setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_wdmd, setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_all, setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_sanlock_has_said_it, setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_untold, setup, scratch_teardown),
		cmocka_unit_test(test_wdmd_tells),
		cmocka_unit_test_setup_teardown(test_wdmd_is_late, setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
