/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs end to end: this program is also its own children, with a table of works made for it. */
#include "job/job.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/model.h"

#define VM     "0c0ffee0-0000-4000-8000-000000000001"
#define VM2    "0c0ffee0-0000-4000-8000-000000000002"
#define OP     "0c0ffee0-0000-4000-8000-00000000000a"
#define WAIT_S 60 /* for what is bound to come */
#define FRAMES 3  /* where a work's frames go: the first descriptor that is free */

/* {name, value} in and out */
static int
run_echo(const void *request, void *result, struct error *err)
{
	const struct custom_field *in = request;
	struct custom_field *out = result;

	work_progress(-1);
	work_progress(10);
	work_progress(10);
	work_progress(100);
	work_progress(101);
	printf("what a library prints is no frame\n");
	fflush(stdout);
	str_set(&out->name, in->name);
	str_set(&out->value, in->value);
	return 0;
}

static int
run_error(const void *request, void *result, struct error *err)
{
	error_set(err, 409, "no room on 'x'");
	snprintf(err->vm, sizeof(err->vm), VM);
	return -1;
}

static int
run_crash(const void *request, void *result, struct error *err)
{
	return kill(getpid(), SIGKILL);
}

static int
run_exit(const void *request, void *result, struct error *err)
{
	_exit(7);
}

/* Opens the fifo named by the request for reading, which lasts until a writer comes. */
static int
run_wait(const void *request, void *result, struct error *err)
{
	const struct custom_field *in = request;
	_close_ int fd = open(in->name, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? error_errno(err, 500, errno, "open '%s'", in->name) : 0;
}

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

/* Dies; a helper in a session of its own, which no signal to the group reaches, holds the pipe. */
static int
run_escape(const void *request, void *result, struct error *err)
{
	const struct custom_field *in = request;
	_close_ int note = open(in->name, O_WRONLY | O_CLOEXEC);
	int ready[2];
	char byte;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return error_errno(err, 500, errno, "pipe");
	pid = fork();
	if (pid == 0) {
		setsid();
		dprintf(FRAMES, "progress %d\n", 42);
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	if (pid < 0 || read(ready[0], &byte, 1) != 1)
		return error_errno(err, 500, errno, "fork");
	if (write(note, &pid, sizeof(pid)) != sizeof(pid))
		return error_errno(err, 500, errno, "write");
	return kill(getpid(), SIGKILL);
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

static int
run_flood(const void *request, void *result, struct error *err)
{
	static char junk[65536];

	memset(junk, 'x', sizeof(junk));
	while (write(FRAMES, junk, sizeof(junk)) > 0)
		continue;
	return pause();
}

static int
run_nonsense(const void *request, void *result, struct error *err)
{
	/* NULs end no text that has a length. */
	static const char line[] = "result {\"name\":[]}\0\0\0\0\0\0\0\0\n";

	dprintf(FRAMES, "progress 1000\nprogress x\nnothing\n");
	(void)!write(FRAMES, line, sizeof(line) - 1);
	_exit(0);
}

#define ECHO .request = &custom_field_model, .result = &custom_field_model

const struct work works[WORK_N] = {
	[WORK_PROBE] = { "echo", "", ECHO, 30, true, run_echo },
	[WORK_COLLECT] = { "error", "", ECHO, 30, false, run_error },
	[WORK_RECONCILE] = { "crash", "", ECHO, 30, false, run_crash },
	[WORK_LOCKSPACE] = { "exit", "", ECHO, 30, false, run_exit },
	[WORK_VM_CREATE] = { "wait", "", ECHO, 30, false, run_wait },
	[WORK_VM_DELETE] = { "late", "", ECHO, 1, false, run_wait },
	[WORK_VM_BOOT] = { "deaf", "", ECHO, 1, false, run_deaf },
	[WORK_VM_SHUTDOWN] = { "orphan", "", ECHO, 30, false, run_orphan },
	[WORK_VM_PAUSE] = { "escape", "", ECHO, 30, false, run_escape },
	[WORK_VM_RESUME] = { "eof", "", ECHO, 30, false, run_eof },
	[WORK_INSPECT] = { "nonsense", "", ECHO, 30, false, run_nonsense },
	[WORK_VM_MIGRATE] = { "forsaken", "", ECHO, 30, false, run_forsaken },
	[WORK_VM_HEAL] = { "flood", "", ECHO, 30, false, run_flood },
};

struct outcome {
	int calls;
	int progress;
	int n_progress;
	enum work_stage stage;
	int order;
	char name[256];
	char *value;
	struct error err;
};

struct fixture {
	struct event_base *base;
	struct jobs *jobs;
	struct outcome out[4];
	int n_done;
	char dir[32];
	char fifo[64];
};

static struct fixture *fixture;

static void
on_progress(void *arg, int percent, enum work_stage stage)
{
	struct outcome *out = arg;

	out->stage = stage;
	if (percent < 0)
		return;
	out->progress = percent;
	out->n_progress++;
	event_base_loopbreak(fixture->base);
}

static void
on_done(void *arg, void *result, const struct error *err)
{
	struct custom_field *field = result;
	struct outcome *out = arg;

	out->calls++;
	out->order = ++fixture->n_done;
	if (err) {
		assert_null(result);
		out->err = *err;
	} else if (field) {
		snprintf(out->name, sizeof(out->name), "%s", str_or_empty(field->name));
		out->value = steal_ptr(field->value);
	}
	event_base_loopbreak(fixture->base);
}

static struct job *
start_for(const char *operation, int i, enum work_id id, const char *name, const char *vm,
    struct error *err)
{
	char copy[256];
	struct custom_field request = { .name = copy };

	snprintf(copy, sizeof(copy), "%s", name);
	return job_start(fixture->jobs, id, &request, vm, operation, on_progress, on_done,
	    &fixture->out[i], err);
}

static struct job *
start(int i, enum work_id id, const char *name, const char *vm, struct error *err)
{
	return start_for(OP, i, id, name, vm, err);
}

static void
on_too_long(evutil_socket_t fd, short what, void *arg)
{
	fail_msg("what should have happened did not");
}

/* Runs the loop until *flag is at least n. */
static void
wait_until(const int *flag, int n)
{
	struct event *timer = evtimer_new(fixture->base, on_too_long, NULL);
	struct timeval tv = { .tv_sec = WAIT_S };

	event_add(timer, &tv);
	while (*flag < n)
		event_base_loop(fixture->base, EVLOOP_ONCE);
	event_free(timer);
}

static void
wait_done(int i)
{
	wait_until(&fixture->out[i].calls, 1);
}

static void
wait_stuck(unsigned int n)
{
	struct event *timer = evtimer_new(fixture->base, on_too_long, NULL);
	struct timeval tv = { .tv_sec = WAIT_S };
	struct jobs_stats stats;

	event_add(timer, &tv);
	for (jobs_get_stats(fixture->jobs, &stats); stats.stuck != n;
	     jobs_get_stats(fixture->jobs, &stats))
		event_base_loop(fixture->base, EVLOOP_ONCE);
	event_free(timer);
}

/* Lets one run_wait go. */
static void
release(void)
{
	_close_ int fd = open(fixture->fifo, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
}

static int
setup(void **state)
{
	static const struct jobs_limits limits = {
		.running_max = 1, .queue_max = 2, .stuck_max = 1, .grace_ms = 300
	};

	fixture = xcalloc(1, sizeof(*fixture));
	strcpy(fixture->dir, "/tmp/test_job.XXXXXX");
	if (!mkdtemp(fixture->dir))
		return -1;
	snprintf(fixture->fifo, sizeof(fixture->fifo), "%s/fifo", fixture->dir);
	if (mkfifo(fixture->fifo, 0600) < 0)
		return -1;
	fixture->base = event_base_new();
	fixture->jobs = jobs_new(fixture->base, &limits);
	return 0;
}

static int
teardown(void **state)
{
	jobs_free(fixture->jobs);
	event_base_free(fixture->base);
	for (size_t i = 0; i < ARRAY_SIZE(fixture->out); i++)
		free(fixture->out[i].value);
	unlink(fixture->fifo);
	rmdir(fixture->dir);
	free(fixture);
	return 0;
}

static void
test_result(void **state)
{
	const size_t size = 3 << 20; /* does not fit into a pipe */
	char *big = xcalloc(size + 1, 1);
	struct custom_field request = { .name = big, .value = big };
	struct outcome *out = &fixture->out[0];
	struct jobs_stats stats;
	struct error err;

	memset(big, 'v', size / 2);
	assert_non_null(job_start(
	    fixture->jobs, WORK_PROBE, &request, NULL, "", on_progress, on_done, out, &err));
	assert_int_equal(out->calls, 0);
	wait_done(0);
	assert_int_equal(out->err.status, 0);
	assert_string_equal(out->value, big);
	assert_int_equal(out->progress, 100);
	assert_in_range(out->n_progress, 1, 2);
	jobs_get_stats(fixture->jobs, &stats);
	assert_int_equal(stats.running + stats.queued + stats.stuck, 0);
	assert_int_equal(stats.started, 1);
	assert_int_equal(stats.failed, 0);
	free(big);
}

static void
test_request_too_big(void **state)
{
	char *big = xcalloc((5 << 20) + 1, 1);
	struct custom_field request = { .name = big };
	struct error err;

	memset(big, 'v', 5 << 20);
	assert_non_null(job_start(
	    fixture->jobs, WORK_PROBE, &request, NULL, "", NULL, on_done, &fixture->out[0], &err));
	wait_done(0);
	assert_int_equal(fixture->out[0].err.status, 413);
	assert_string_equal(
	    fixture->out[0].err.detail, "the request of job 'echo' is larger than 4 MiB");
	free(big);
}

static void
test_error(void **state)
{
	struct jobs_stats stats;

	assert_non_null(start(0, WORK_COLLECT, "", NULL, NULL));
	wait_done(0);
	assert_int_equal(fixture->out[0].err.status, 409);
	assert_string_equal(fixture->out[0].err.detail, "no room on 'x'");
	assert_string_equal(fixture->out[0].err.vm, VM);
	jobs_get_stats(fixture->jobs, &stats);
	assert_int_equal(stats.failed, 1);
}

static void
test_no_frame(void **state)
{
	assert_non_null(start(0, WORK_RECONCILE, "", NULL, NULL));
	wait_done(0);
	assert_int_equal(fixture->out[0].err.status, 500);
	assert_string_equal(
	    fixture->out[0].err.detail, "job 'crash' was killed by signal 9 (Killed)");

	assert_non_null(start(1, WORK_LOCKSPACE, "", NULL, NULL));
	wait_done(1);
	assert_int_equal(fixture->out[1].err.status, 500);
	assert_string_equal(
	    fixture->out[1].err.detail, "job 'exit' ended with exit code 7 without a result");
}

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

	assert_null(start(1, WORK_COLLECT, "", VM, &err));
	assert_int_equal(err.status, 409);
	assert_string_equal(err.operation, OP);
	assert_null(start(1, WORK_COLLECT, "", VM2, &err));
	assert_int_equal(err.status, 503);

	assert_int_equal(read(note, &pid, sizeof(pid)), sizeof(pid));
	assert_int_equal(kill(pid, SIGKILL), 0);
	wait_stuck(0);
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

static void
test_flood(void **state)
{
	assert_non_null(start(0, WORK_VM_HEAL, "", NULL, NULL));
	wait_done(0);
	assert_int_equal(fixture->out[0].err.status, 500);
	assert_string_equal(fixture->out[0].err.detail, "job 'flood' wrote more than 16 MiB");
}

static void
test_nonsense(void **state)
{
	assert_non_null(start(0, WORK_INSPECT, "", NULL, NULL));
	wait_done(0);
	assert_int_equal(fixture->out[0].n_progress, 0);
	assert_int_equal(fixture->out[0].err.status, 500);
	assert_non_null(strstr(fixture->out[0].err.detail, "the result of job 'nonsense': "));
	assert_non_null(strstr(fixture->out[0].err.detail, "name"));
}

static void
test_queue(void **state)
{
	struct jobs_stats stats;
	struct error err;

	assert_non_null(start(0, WORK_VM_CREATE, fixture->fifo, VM, &err));
	assert_non_null(start(1, WORK_COLLECT, "", NULL, &err));
	assert_non_null(start(2, WORK_COLLECT, "", VM2, &err));
	jobs_get_stats(fixture->jobs, &stats);
	assert_int_equal(stats.running, 1);
	assert_int_equal(stats.queued, 2);

	/* Who waits keeps its VM busy too. */
	assert_string_equal(jobs_busy(fixture->jobs, VM2), OP);
	assert_null(start(3, WORK_COLLECT, "", VM2, &err));
	assert_int_equal(err.status, 409);
	assert_string_equal(err.detail, "another operation on this VM is under way: job 'error'");
	assert_string_equal(err.vm, VM2);
	assert_string_equal(err.operation, OP);

	assert_null(start(3, WORK_COLLECT, "", NULL, &err));
	assert_int_equal(err.status, 503);
	assert_string_equal(err.detail, "cannot start job 'error': 2 jobs wait already");

	/* Those of their own lane pass. */
	assert_non_null(start(3, WORK_PROBE, "passed", NULL, &err));
	wait_done(3);
	assert_string_equal(fixture->out[3].name, "passed");
	assert_int_equal(fixture->out[0].calls + fixture->out[1].calls, 0);

	release();
	wait_done(2);
	assert_int_equal(fixture->out[0].order, 2);
	assert_int_equal(fixture->out[1].order, 3);
	assert_int_equal(fixture->out[2].order, 4);
	assert_null(jobs_busy(fixture->jobs, VM2));
	jobs_get_stats(fixture->jobs, &stats);
	assert_int_equal(stats.running + stats.queued, 0);
}

/* What virtxd does to a VM by itself makes a user wait, and does not refuse him. */
static void
test_internal_is_waited_for(void **state)
{
	struct jobs_stats stats;
	struct error err;

	assert_non_null(start_for("", 0, WORK_VM_CREATE, fixture->fifo, VM, &err));
	assert_string_equal(jobs_busy(fixture->jobs, VM), "");
	assert_non_null(start(1, WORK_COLLECT, "", VM, &err));
	jobs_get_stats(fixture->jobs, &stats);
	assert_int_equal(stats.queued, 1);
	assert_string_equal(jobs_busy(fixture->jobs, VM), OP);
	assert_null(start(2, WORK_COLLECT, "", VM, &err));
	assert_int_equal(err.status, 409);

	release();
	wait_done(1);
	assert_int_equal(fixture->out[0].order, 1);
	assert_int_equal(fixture->out[1].order, 2);
	assert_null(jobs_busy(fixture->jobs, VM));
}

static void
test_leave_running(void **state)
{
	static const struct jobs_limits limits = { 1, 1, 1, 0 };
	struct error err;
	int status;

	assert_non_null(start(0, WORK_VM_CREATE, fixture->fifo, VM, &err));
	assert_non_null(start(1, WORK_COLLECT, "", NULL, &err));
	jobs_free(fixture->jobs);
	/* The child lives on, survives that nobody reads its result, and ends well. */
	release();
	assert_true(wait(&status) > 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	event_base_loop(fixture->base, EVLOOP_NONBLOCK);
	assert_int_equal(fixture->out[0].calls + fixture->out[1].calls, 0);
	fixture->jobs = jobs_new(fixture->base, &limits);
}

static void
test_find(void **state)
{
	assert_ptr_equal(work_find("echo"), &works[WORK_PROBE]);
	assert_null(work_find("list"));
	assert_null(work_find(""));
}

int
main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_result, setup, teardown),
		cmocka_unit_test_setup_teardown(test_request_too_big, setup, teardown),
		cmocka_unit_test_setup_teardown(test_error, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_frame, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waits_in_vain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ignores_term, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leaves_helper, setup, teardown),
		cmocka_unit_test_setup_teardown(test_eof_before_exit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_written_off, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waits_for_written_off, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flood, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(test_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(test_internal_is_waited_for, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leave_running, setup, teardown),
		cmocka_unit_test(test_find),
	};

	if (argc == 3 && strcmp(argv[1], "--job") == 0)
		return work_main(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
