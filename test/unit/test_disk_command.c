/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of disk/command.c. The programs that it runs are sh scripts. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "disk/command.h"

static int
run_script(const char *script, struct command *command, struct buffer *out, struct error *err)
{
	const char *const argv[] = { "sh", "-c", script, NULL };

	*err = (struct error){ 0 };
	command->argv = argv;
	if (!command->timeout)
		command->timeout = 10;
	return command_run(command, out, err);
}

static void
test_output(void **state)
{
	struct command command = { .output_max = 100 };
	_buffer_ struct buffer out = { 0 };
	struct error err;

	assert_int_equal(run_script("echo one; echo two; echo noise >&2", &command, &out, &err), 0);
	assert_string_equal(out.data, "one\ntwo\n");
	assert_int_equal(err.status, 0);
	/* Dropped: as much as it likes. */
	assert_int_equal(run_script("yes | head -c 1000000", &command, NULL, &err), 0);
}

static void
test_failure(void **state)
{
	struct command command = { .output_max = 100 };
	struct error err;

	assert_int_equal(run_script("echo no such thing >&2; exit 3", &command, NULL, &err), -1);
	assert_int_equal(err.status, 507);
	assert_string_equal(err.detail, "sh failed: no such thing");
	assert_int_equal(run_script("echo a >&2; echo b >&2; exit 3", &command, NULL, &err), -1);
	assert_string_equal(err.detail, "sh failed: a b");
	assert_int_equal(run_script("exit 3", &command, NULL, &err), -1);
	assert_string_equal(err.detail, "sh failed with exit status 3");
	assert_int_equal(run_script("kill -ABRT $$", &command, NULL, &err), -1);
	assert_string_equal(err.detail, "sh was ended by signal 6");
	assert_int_equal(
	    run_script("yes 123456789 | head -c 100000 >&2; exit 1", &command, NULL, &err), -1);
	assert_true(strlen(err.detail) > 1000);

	const char *const argv[] = { "/nonexistent/program", NULL };

	command.argv = argv;
	err = (struct error){ 0 };
	assert_int_equal(command_run(&command, NULL, &err), -1);
	assert_int_equal(err.status, 507);
	assert_non_null(strstr(err.detail, "cannot run program: "));
	assert_non_null(strstr(err.detail, "No such file"));
}

static void
test_too_much(void **state)
{
	struct command command = { .output_max = 1000 };
	_buffer_ struct buffer out = { 0 };
	struct error err;

	assert_int_equal(run_script("exec yes", &command, &out, &err), -1);
	assert_string_equal(err.detail, "sh wrote more than 1000 bytes");
	assert_true(out.len <= 1000);
}

static void
test_timeout(void **state)
{
	struct command command = { .timeout = 1 };
	int64_t start = monotonic_ms();
	struct error err;

	assert_int_equal(run_script("exec sleep 60", &command, NULL, &err), -1);
	assert_string_equal(err.detail, "sh was not done within 1 seconds");
	assert_true(monotonic_ms() - start < 2500);

	/* One that ignores SIGTERM, and whose own child does. */
	start = monotonic_ms();
	assert_int_equal(run_script("trap '' TERM; sleep 60 & sleep 60", &command, NULL, &err), -1);
	assert_string_equal(err.detail, "sh was not done within 1 seconds");
	assert_true(monotonic_ms() - start < 5000);
}

/* The pipes may stay open in something that it left behind. */
static void
test_left_behind(void **state)
{
	struct command command = { .output_max = 1000 };
	_buffer_ struct buffer out = { 0 };
	int64_t start = monotonic_ms();
	struct error err;

	assert_int_equal(run_script("sleep 5 & echo done $!", &command, &out, &err), 0);
	assert_true(monotonic_ms() - start < 2000);
	assert_memory_equal(out.data, "done ", 5);
	kill((pid_t)atoi(out.data + 5), SIGKILL);
}

static void
test_memory(void **state)
{
	struct command command = { .memory = (size_t)64 << 20, .output_max = 1000 };
	_buffer_ struct buffer out = { 0 };
	struct error err;

	assert_int_equal(run_script("ulimit -v; ulimit -c", &command, &out, &err), 0);
	assert_string_equal(out.data, "65536\n0\n");
	assert_int_equal(run_script("head -c 200000000 /dev/zero | tail -n 1 >/dev/null || exit 1",
			     &command, NULL, &err),
	    -1);
	assert_non_null(strstr(err.detail, "sh failed: tail: memory exhausted"));
}

struct seen {
	char text[256];
	int lines;
	int stop_at;
};

static int
see_line(const char *line, size_t len, void *arg)
{
	struct seen *seen = arg;

	assert_int_equal(strlen(line), len);
	if (len < 20) {
		strcat(seen->text, line);
		strcat(seen->text, "|");
	}
	return ++seen->lines == seen->stop_at ? -ECANCELED : 0;
}

static void
test_lines(void **state)
{
	struct seen seen = { .stop_at = 0 };
	struct command command = { .output_max = 1 << 20, .line = see_line, .arg = &seen };
	struct error err;

	assert_int_equal(run_script("printf one; sleep 0.1; printf ' more\\n\\ntwo\\nlast'",
			     &command, NULL, &err),
	    0);
	assert_string_equal(seen.text, "one more||two|last|");

	seen = (struct seen){ .stop_at = 3 };
	assert_int_equal(run_script("exec yes", &command, NULL, &err), -ECANCELED);
	assert_int_equal(seen.lines, 3);
	assert_int_equal(err.status, 0);

	/* Stopped on the last one, which has no newline. */
	seen = (struct seen){ .stop_at = 1 };
	assert_int_equal(run_script("printf x", &command, NULL, &err), -ECANCELED);

	seen = (struct seen){ .stop_at = 0 };
	assert_int_equal(run_script("head -c 100000 /dev/zero", &command, NULL, &err), -1);
	assert_string_equal(err.detail, "sh wrote more than 65536 bytes");
	assert_int_equal(seen.lines, 0);
}

static void
count_tick(void *arg)
{
	++*(int *)arg;
}

static void
test_tick(void **state)
{
	int ticks = 0;
	struct command command = { .tick = count_tick, .arg = &ticks };
	struct error err;

	assert_int_equal(run_script("sleep 2.5", &command, NULL, &err), 0);
	assert_in_range(ticks, 1, 3);
}

static void
test_descriptors(void **state)
{
	struct command command = { .output_max = 1000 };
	_buffer_ struct buffer out = { 0 };
	int given = open("/dev/null", O_RDWR | O_CLOEXEC);
	int kept = open("/dev/null", O_RDWR | O_CLOEXEC);
	const int fds[] = { given, -1 };
	char script[128], expected[16];
	struct error err;

	command.fds = fds;
	snprintf(script, sizeof(script),
	    "test -e /proc/$$/fd/%d && echo given; test -e /proc/$$/fd/%d || echo kept; cat", given,
	    kept);
	snprintf(expected, sizeof(expected), "given\nkept\n");
	assert_int_equal(run_script(script, &command, &out, &err), 0);
	assert_string_equal(out.data, expected);
	assert_true(fcntl(given, F_GETFD) & FD_CLOEXEC);
	close(given);
	close(kept);
}

/* The parent ignores and blocks signals; the child does not. */
static void
test_signals(void **state)
{
	struct command command = { .output_max = 1000 };
	_buffer_ struct buffer out = { 0 };
	unsigned long long blocked, ignored;
	sigset_t all, old;
	struct error err;

	signal(SIGPIPE, SIG_IGN);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	assert_int_equal(
	    run_script("grep -E 'SigBlk|SigIgn' /proc/self/status", &command, &out, &err), 0);
	sigprocmask(SIG_SETMASK, &old, NULL);
	signal(SIGPIPE, SIG_DFL);
	assert_int_equal(sscanf(out.data, "SigBlk: %llx SigIgn: %llx", &blocked, &ignored), 2);
	assert_int_equal(blocked, 0);
	/* The real-time signals are the C library's affair. */
	assert_int_equal(ignored & 0x7fffffff, 0);
}

static int
tell(const char *line, size_t len, void *arg)
{
	return write(*(int *)arg, line, len) == (ssize_t)len ? 0 : -EPIPE;
}

/* The lock is of both, and is free when both are gone. */
static void
must_die_with_parent(enum command_may may)
{
	char path[] = "locked.XXXXXX", c;
	int fds[2], status, file = mkostemp(path, O_CLOEXEC);
	pid_t pid;

	assert_true(file >= 0);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		int locked = open(path, O_RDWR | O_CLOEXEC);
		const int pass[] = { locked, -1 };
		struct command command = { .fds = pass,
			.may = may,
			.timeout = 60,
			.output_max = 10,
			.line = tell,
			.arg = &fds[1] };
		struct error err;

		if (locked < 0 || flock(locked, LOCK_EX) < 0)
			_exit(2);
		_exit(run_script("echo x; exec sleep 60", &command, NULL, &err) == 0 ? 0 : 1);
	}
	assert_int_equal(read(fds[0], &c, 1), 1);
	assert_int_equal(flock(file, LOCK_EX | LOCK_NB), -1);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	alarm(10);
	assert_int_equal(flock(file, LOCK_EX), 0);
	alarm(0);
	unlink(path);
	close(file);
	close(fds[0]);
	close(fds[1]);
}

/* It dies with the process that runs it: a job that is killed leaves no blkdiscard behind. */
static void
test_dies_with_parent(void **state)
{
	for (enum command_may may = 0; may < COMMAND_MAY_N; may++)
		must_die_with_parent(may);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_failure),
		cmocka_unit_test(test_too_much),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_left_behind),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_tick),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_dies_with_parent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
