/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What sanlock tells of itself, and whether its name tells one start of it from the next. */
#include "disk/sanlock_status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "disk/command.h"
#include "scratch.h"

#define RANDOM	"2e93485d-6b4f-499e-a8f5-28c69435c3cb.h1"
#define ANOTHER "b3e1f40c-06d2-45a5-9c1c-3f0f3d4f9a77.h1"

int __wrap_command_run(const struct command *command, struct buffer *out, struct error *err);

static const char *answer;

int
__wrap_command_run(const struct command *command, struct buffer *out, struct error *err)
{
	if (!answer)
		return error_set(err, 507, "sanlock took more than 5 seconds");
	buffer_add(out, answer, strlen(answer));
	return 0;
}

/* As sanlock 3.8.5 prints it, with its helper's number. */
static char *
make_status(const char *list, const char *lockspace, const char *generation)
{
	return xasprintf("daemon " RANDOM "\n"
			 "    our_host_name=" RANDOM "\n"
			 "    use_watchdog=1\n"
			 "    high_priority=0\n"
			 "    helper_pid=%ld\n"
			 "    monotime=2091\n"
			 "p -1 helper\n"
			 "    ci=0\n"
			 "    use_watchdog=0\n"
			 "s OTHER:9:/somewhere:0\n"
			 "    list=spaces\n"
			 "    io_timeout=3\n"
			 "    host_generation=99\n"
			 "    acquire_last_success=7\n"
			 "s %s:7:/vms/lock/__VIRTX__DISKS__:0\n"
			 "    list=%s\n"
			 "    space_id=1\n"
			 "    io_timeout=10\n"
			 "    host_generation=%s\n"
			 "    acquire_last_attempt=2070\n"
			 "    acquire_last_success=2088\n"
			 "    renewal_last_success=2091\n"
			 "r OTHER:x:/somewhere/x:0:1 p 12\n"
			 "    list=held\n",
	    (long)getpid(), lockspace, list, generation);
}

static void
test_parse(void **state)
{
	_free_ char *text = make_status("spaces", "__VIRTX__DISKS__", "4");
	_free_ char *start = xasprintf("%ld.", (long)getpid());
	struct sanlock_status status = { 0 };
	struct error err = { 0 };

	assert_int_equal(sanlock_status_parse(text, &status, &err), 0);
	assert_string_equal(status.host_name, RANDOM);
	assert_true(status.use_watchdog);
	assert_int_equal(status.fire_timeout, SANLOCK_FIRE_TIMEOUT);
	assert_int_equal(status.host_id, 7);
	assert_true(status.generation == 4);
	assert_int_equal(status.io_timeout, 10);
	assert_int_equal(status.acquired, 2088);
	assert_true(strncmp(status.start, start, strlen(start)) == 0);
	assert_true(strtoll(status.start + strlen(start), NULL, 10) > 0);
	sanlock_status_clear(&status);
}

/* One that is being joined or left, is another one, or is not told in full. */
static void
test_not_joined(void **state)
{
	static const char *const rows[][3] = {
		{ "add", "__VIRTX__DISKS__", "4" },
		{ "rem", "__VIRTX__DISKS__", "4" },
		{ "spaces", "__VIRTX__DISKS__2", "4" },
		{ "spaces", "__VIRTX__DISK", "4" },
		{ "spaces", "__VIRTX__DISKS__", "0" },
		{ "spaces", "__VIRTX__DISKS__", "" },
		{ "spaces", "__VIRTX__DISKS__", "x" },
		{ "spaces", "__VIRTX__DISKS__", "99999999999999999999" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_free_ char *text = make_status(rows[i][0], rows[i][1], rows[i][2]);
		struct sanlock_status status = { 0 };
		struct error err = { 0 };

		assert_int_equal(sanlock_status_parse(text, &status, &err), 0);
		if (status.host_id || status.generation || status.io_timeout || status.acquired)
			fail_msg("row %zu is joined", i);
		sanlock_status_clear(&status);
	}
}

static void
test_read(void **state)
{
	struct sanlock_status status;
	struct error err = { 0 };

	answer = "daemon x\n    our_host_name=h1\n    use_watchdog=0\n"
		 "    watchdog_fire_timeout=30\n";
	assert_int_equal(sanlock_status_read(&status, &err), 0);
	assert_string_equal(status.host_name, "h1");
	assert_false(status.use_watchdog);
	assert_int_equal(status.fire_timeout, 30);
	assert_null(status.start);
	sanlock_status_clear(&status);
	answer = NULL;
	assert_int_equal(sanlock_status_read(&status, &err), -1);
	assert_string_equal(err.detail, "sanlock took more than 5 seconds");
	answer = "";
	assert_int_equal(sanlock_status_read(&status, &err), -1);
	assert_string_equal(err.detail, "sanlock does not tell its status");
	answer = "daemon x\n    use_watchdog=1\n";
	assert_int_equal(sanlock_status_read(&status, &err), -1);
	assert_string_equal(err.detail, "sanlock's status has no our_host_name");
	answer = "daemon x\n    our_host_name=h1\n    use_watchdog=yes\n";
	assert_int_equal(sanlock_status_read(&status, &err), -1);
	assert_string_equal(err.detail, "sanlock's status has no use_watchdog");
	assert_null(status.host_name);
}

/* A daemon that was started at that moment calls itself so. */
static void
expect_name(const char *dir, const char *start, const char *name, const char *what)
{
	const struct sanlock_status status = { .start = (char *)start, .host_name = (char *)name };
	_free_ char *path = scratch_path(dir, "sanlock-starts"), *why = NULL;
	struct error err = { 0 };

	assert_int_equal(sanlock_status_check_name(&status, path, &why, &err), 0);
	if (*what ? !strstr(why, what) : *why)
		fail_msg("%s, as %s: '%s'", str_or_empty(start), name, why);
}

static void
test_name(void **state)
{
	const char *dir = *state;

	/* It is another one after each start, and asked again and again. */
	expect_name(dir, "10.500", RANDOM, "");
	expect_name(dir, "10.500", RANDOM, "");
	expect_name(dir, "11.600", ANOTHER, "");
	expect_name(dir, "11.600", ANOTHER, "");
	expect_name(dir, "12.700", RANDOM, "");
	/* The same, which looks like a random one. */
	expect_name(dir, "12.800", RANDOM, "is fixed, '" RANDOM "'");
	expect_name(dir, "12.800", RANDOM, "is fixed, '" RANDOM "'");
	expect_name(dir, "13.900", ANOTHER, "");
	expect_name(dir, "13.900", ANOTHER, "");
	/* None that sanlock gives itself. */
	expect_name(dir, "14.1000", "h1", "is fixed, 'h1'");
	expect_name(dir, "15.1100", "2e93485d-6b4f-499e-a8f5-28c69435c3cb", "is fixed");
	expect_name(dir, "16.1200", "2e93485d-6b4f-499e-a8f5-28c69435c3cx.h1", "is fixed");
	expect_name(dir, NULL, RANDOM, "does not tell its helper_pid");
}

/* What cannot be kept is not known. */
static void
test_name_is_not_kept(void **state)
{
	const struct sanlock_status status = { .start = (char[]){ "1.1" },
		.host_name = (char[]){ RANDOM } };
	_free_ char *path = scratch_path(*state, "nowhere/sanlock-starts"), *why = NULL;
	struct error err = { 0 };

	assert_int_equal(sanlock_status_check_name(&status, path, &why, &err), -1);
	assert_non_null(strstr(err.detail, "cannot keep sanlock's name in '"));
	assert_null(why);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_not_joined),
		cmocka_unit_test(test_read),
		cmocka_unit_test_setup_teardown(test_name, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(
		    test_name_is_not_kept, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
