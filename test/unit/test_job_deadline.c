/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs that are late, that leave something behind, or that cannot be ended. */
#include "job/job.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "job_fixture.h"

/* Waits for somebody, in time, and then for one who does not come. */
static int
run_forsaken(const void *request, void *result, struct error *err)
{
	struct error late = { 0 };

	error_set(&late, 503, "nobody has come");
	work_stage(WORK_STAGE_BEGUN);
	work_wait(1, &late);
	work_waited();
	usleep(1200000);
	error_set(&late, 503, "host 'x' has not come");
	work_wait(1, &late);
	while (pause() < 0)
		continue;
	return 0;
}

/* Never ends by itself, and says that it is there. */
static int
run_deaf(const void *request, void *result, struct error *err)
{
	signal(SIGTERM, SIG_IGN);
	work_progress(50);
	while (pause() < 0)
		continue;
	return 0;
}

/* Leaves a helper behind that ignores SIGTERM and holds no pipe of ours. */
static int
run_orphan(const void *request, void *result, struct error *err)
{
	struct custom_field *out = result;
	int ready[2];
	char byte;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return error_errno(err, 500, errno, "pipe");
	pid = fork();
	if (pid == 0) {
		signal(SIGTERM, SIG_IGN);
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		closefrom(0);
		for (;;)
			pause();
	}
	if (pid < 0 || read(ready[0], &byte, 1) != 1)
		return error_errno(err, 500, errno, "fork");
	out->name = xasprintf("%d", (int)pid);
	return 0;
}

/* Closes the frames' pipe and goes on until it is told to end. */
static int
run_eof(const void *request, void *result, struct error *err)
{
	dprintf(FRAMES, "stage 1\nstage 3\nstage x\nstage 12\n");
	dprintf(FRAMES, "result {\"name\":\"early\"}\n");
	dprintf(FRAMES, "result {\"name\":\"second\"}\n");
	close(FRAMES);
	run_wait(request, result, err);
	_exit(0);
}

const struct work works[WORK_N] = {
	[WORK_COLLECT] = { "error", "", ECHO, 30, false, run_error },
	[WORK_VM_CREATE] = { "wait", "", ECHO, 30, false, run_wait },
	[WORK_VM_DELETE] = { "late", "", ECHO, 1, false, run_wait },
	[WORK_VM_BOOT] = { "deaf", "", ECHO, 1, false, run_deaf },
	[WORK_VM_SHUTDOWN] = { "orphan", "", ECHO, 30, false, run_orphan },
	[WORK_VM_PAUSE] = { "escape", "", ECHO, 30, false, run_escape },
	[WORK_VM_RESUME] = { "eof", "", ECHO, 30, false, run_eof },
	[WORK_VM_MIGRATE] = { "forsaken", "", ECHO, 30, false, run_forsaken },
};

static void
test_deadline(void **state)
{
	struct jobs_stats stats;

	assert_non_null(start(0, WORK_VM_DELETE, fixture->fifo, NULL, NULL));
	wait_done(0);
	assert_int_equal(fixture->out[0].err.status, 504);
	assert_string_equal(fixture->out[0].err.detail,
	    "job 'late' was ended because it took longer than 1 seconds");
	jobs_get_stats(fixture->jobs, &stats);
	assert_int_equal(stats.killed, 1);
	assert_int_equal(stats.stuck, 0);
}

static void
test_waits_in_vain(void **state)
{
	struct outcome *out = &fixture->out[0];

	assert_non_null(start(0, WORK_VM_MIGRATE, "", NULL, NULL));
	wait_done(0);
	assert_int_equal(out->err.status, 503);
	assert_string_equal(out->err.detail, "host 'x' has not come");
	assert_int_equal(out->stage, WORK_STAGE_BEGUN);
}

static void
test_ignores_term(void **state)
{
	struct outcome *out = &fixture->out[0];

	assert_non_null(start(0, WORK_VM_BOOT, "", NULL, NULL));
	wait_until(&out->n_progress, 1);
	assert_int_equal(out->progress, 50);
	wait_done(0);
	assert_int_equal(out->err.status, 504);
}

static void
test_leaves_helper(void **state)
{
	assert_non_null(start(0, WORK_VM_SHUTDOWN, "", NULL, NULL));
	wait_done(0);
	assert_int_equal(fixture->out[0].err.status, 0);
	/* The job was not over before its helper was: killed, and reaped by us. */
	assert_int_equal(kill(atoi(fixture->out[0].name), 0), -1);
	assert_int_equal(errno, ESRCH);
}

static void
test_eof_before_exit(void **state)
{
	assert_non_null(start(0, WORK_VM_RESUME, fixture->fifo, NULL, NULL));
	release();
	wait_done(0);
	assert_int_equal(fixture->out[0].err.status, 0);
	assert_string_equal(fixture->out[0].name, "early");
	/* Lines that are no stage are passed over. */
	assert_int_equal(fixture->out[0].stage, WORK_STAGE_BEGUN);
	assert_int_equal(fixture->out[0].n_progress, 0);
}

static void
test_written_off(void **state)
{
	_close_ int note = open(fixture->fifo, O_RDWR | O_CLOEXEC);
	struct outcome *out = &fixture->out[0];
	struct jobs_stats stats;
	struct error err;
	pid_t pid;

	assert_true(note >= 0);
	assert_non_null(start(0, WORK_VM_PAUSE, fixture->fifo, VM, &err));
	wait_done(0);
	assert_int_equal(out->progress, 42);
	assert_int_equal(out->err.status, 504);
	assert_non_null(strstr(out->err.detail, "was killed and is still there"));
	assert_string_equal(jobs_busy(fixture->jobs, VM), OP);
	jobs_get_stats(fixture->jobs, &stats);
	assert_int_equal(stats.stuck, 1);
	assert_int_equal(stats.running, 0);
	assert_true(jobs_is_stuck(fixture->jobs, WORK_VM_PAUSE));
	assert_false(jobs_is_stuck(fixture->jobs, WORK_COLLECT));

	assert_null(start(1, WORK_COLLECT, "", VM, &err));
	assert_int_equal(err.status, 409);
	assert_string_equal(err.operation, OP);
	assert_null(start(1, WORK_COLLECT, "", VM2, &err));
	assert_int_equal(err.status, 503);

	assert_int_equal(read(note, &pid, sizeof(pid)), sizeof(pid));
	assert_int_equal(kill(pid, SIGKILL), 0);
	wait_stuck(0);
	assert_false(jobs_is_stuck(fixture->jobs, WORK_VM_PAUSE));
	assert_null(jobs_busy(fixture->jobs, VM));
	assert_int_equal(out->calls, 1);
	/* Orphans come to us, and leave no zombie. */
	while (kill(pid, 0) == 0)
		event_base_loop(fixture->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	assert_int_equal(errno, ESRCH);
}

/* A user's job that waits for one of virtxd's own is told when that is written off, and is not done
 * whenever that ends. */
static void
test_waits_for_written_off(void **state)
{
	_close_ int note = open(fixture->fifo, O_RDWR | O_CLOEXEC);
	struct jobs_stats stats;
	struct error err;
	pid_t pid;

	assert_true(note >= 0);
	assert_non_null(start_for("", 0, WORK_VM_PAUSE, fixture->fifo, VM, &err));
	assert_non_null(start(1, WORK_VM_BOOT, "", VM, &err));
	wait_done(1);
	assert_int_equal(fixture->out[1].err.status, 409);
	assert_non_null(strstr(fixture->out[1].err.detail, "was killed and is still there"));
	wait_done(0);
	jobs_get_stats(fixture->jobs, &stats);
	assert_int_equal(stats.queued, 0);
	assert_null(start(2, WORK_VM_BOOT, "", VM, &err));
	assert_int_equal(err.status, 409);

	assert_int_equal(read(note, &pid, sizeof(pid)), sizeof(pid));
	assert_int_equal(kill(pid, SIGKILL), 0);
	wait_stuck(0);
	assert_int_equal(fixture->out[1].calls, 1);
	while (kill(pid, 0) == 0)
		event_base_loop(fixture->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static int
run_group(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waits_in_vain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ignores_term, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leaves_helper, setup, teardown),
		cmocka_unit_test_setup_teardown(test_eof_before_exit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_written_off, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waits_for_written_off, setup, teardown),
	};

	return cmocka_run_group_tests_name("job_deadline", tests, NULL, NULL);
}

int
main(int argc, char **argv)
{
	return job_test_main(argc, argv, run_group);
}
