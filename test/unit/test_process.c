/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process is killed by its number and when it began. */
#include "disk/process.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* One with a name that is hard to read over, which sleeps. */
static pid_t
start_process(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_NAME, "a) Z 1 2 (b");
		(void)!write(ready[1], "x", 1);
		while (true)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void
test_start(void **state)
{
	pid_t pid = start_process();
	int64_t start = process_start(pid);

	assert_true(start >= process_start(getpid()));
	assert_true(process_start(getpid()) > process_start(1) || process_start(1) <= 0);
	assert_int_equal(process_start(pid), start);
	assert_int_equal(kill(pid, SIGKILL), 0);
	/* It has ended, and is not reaped. */
	assert_int_equal(waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT), 0);
	assert_int_equal(process_start(pid), -1);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(process_start(pid), -1);
}

static void
test_kill(void **state)
{
	pid_t pid = start_process();
	int64_t start = process_start(pid);
	struct error err = { 0 };
	int status;

	/* That number was another's, or is not known to be its own. */
	assert_int_equal(process_kill(pid, start - 1, &err), 1);
	assert_int_equal(process_kill(pid, -1, &err), 1);
	assert_int_equal(process_start(pid), start);
	assert_int_equal(process_kill(pid, start, &err), 0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT), 0);
	assert_int_equal(process_kill(pid, start, &err), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(process_kill(pid, start, &err), 1);
	assert_int_equal(process_kill(-1, 1, &err), -1);
	assert_int_equal(err.status, 503);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start),
		cmocka_unit_test(test_kill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
