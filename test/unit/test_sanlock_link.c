/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The connection to sanlock, with a process that only listens in its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <event2/event.h>

#include "ops/sanlock_link.h"
#include "scratch.h"

#define PATIENCE_MS 10000

static struct event_base *base;
static struct sanlock_link *tested;
static int n_ended;

static void
on_ended(void *arg)
{
	n_ended++;
	event_base_loopbreak(base);
}

static int
setup(void **state)
{
	if (scratch_setup(state) < 0 || setenv("SANLOCK_RUN_DIR", *state, 1) < 0)
		return -1;
	n_ended = 0;
	base = event_base_new();
	tested = sanlock_link_new(base, on_ended, NULL);
	return 0;
}

static int
teardown(void **state)
{
	sanlock_link_free(tested);
	event_base_free(base);
	return scratch_teardown(state);
}

/* A daemon that accepts nobody, and lives until it is killed. */
static pid_t
spawn(const char *dir)
{
	_free_ char *path = scratch_path(dir, "sanlock.sock");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int ready[2];
	char byte;
	pid_t pid;

	unlink(path);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		    listen(fd, 4) < 0 || write(ready[1], "r", 1) < 0)
			_exit(1);
		while (true)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void
end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void
expect_why(const char *why)
{
	struct error err = { 0 };

	assert_int_equal(sanlock_link_check(tested, &err), -1);
	assert_int_equal(err.status, 503);
	if (!strstr(err.detail, why))
		assert_string_equal(err.detail, why);
}

static void
expect_well(void)
{
	struct error err = { 0 };

	if (sanlock_link_check(tested, &err) < 0)
		fail_msg("%s", err.detail);
}

static void
test_absent(void **state)
{
	pid_t pid;

	expect_why("does not run");
	/* A socket that nobody listens at. */
	pid = spawn(*state);
	end(pid);
	expect_why("does not run");
	pid = spawn(*state);
	expect_well();
	assert_int_equal(n_ended, 0);
	end(pid);
}

static void
test_killed(void **state)
{
	struct timeval patience = { PATIENCE_MS / 1000, 0 };
	pid_t pid = spawn(*state);

	expect_well();
	end(pid);
	event_base_loopexit(base, &patience);
	event_base_dispatch(base);
	assert_int_equal(n_ended, 1);
	expect_why("does not run");
	pid = spawn(*state);
	expect_well();
	end(pid);
}

static void
test_stopped(void **state)
{
	pid_t pid = spawn(*state);
	int status;

	expect_well();
	kill(pid, SIGSTOP);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	expect_why("is stopped");
	kill(pid, SIGCONT);
	assert_int_equal(waitpid(pid, &status, WCONTINUED), pid);
	expect_well();
	assert_int_equal(n_ended, 0);
	end(pid);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_absent),
		TEST(test_killed),
		TEST(test_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
