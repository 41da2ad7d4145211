/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Children that stay: which are asked again, and which are replaced. */
#include "job/job.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "job_fixture.h"

#define SERVE WORK_COLLECT
#define LATE  WORK_LOCKSPACE

/* Tells its process, and how often it was asked before. */
static int
run_count(const void *request, void *result, struct error *err)
{
	struct custom_field *out = result;
	static int n;

	out->name = xasprintf("%d", (int)getpid());
	out->value = xasprintf("%d", n++);
	return 0;
}

/* More than one answer. */
static int
run_babble(const void *request, void *result, struct error *err)
{
	dprintf(FRAMES, "result {\"name\":\"first\"}\nwhatever\n");
	return run_count(request, result, err);
}

static int
run_nonsense(const void *request, void *result, struct error *err)
{
	dprintf(FRAMES, "result {\"name\":[]}\n");
	while (pause() < 0)
		continue;
	return 0;
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
run_leak(const void *request, void *result, struct error *err)
{
	static char *leak;
	const size_t size = (size_t)(MEMORY_MAX + 32) << 20;

	leak = xcalloc(1, size);
	for (size_t i = 0; i < size; i += 4096)
		leak[i] = 1;
	return run_count(request, result, err);
}

static int
run_serve(const void *request, void *result, struct error *err)
{
	static const struct {
		const char *name;
		int (*run)(const void *request, void *result, struct error *err);
	} rows[] = {
		{ "refuse", run_error },
		{ "crash", run_crash },
		{ "exit", run_exit },
		{ "babble", run_babble },
		{ "nonsense", run_nonsense },
		{ "flood", run_flood },
		{ "leak", run_leak },
	};
	const struct custom_field *in = request;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (str_equal(in->name, rows[i].name))
			return rows[i].run(request, result, err);
	}
	return run_count(request, result, err);
}

/* Counts, or waits for a fifo. */
static int
run_maybe(const void *request, void *result, struct error *err)
{
	const struct custom_field *in = request;

	if (in->name[0] == '/' && run_wait(request, result, err) < 0)
		return -1;
	return run_count(request, result, err);
}

const struct work works[WORK_N] = {
	[SERVE] = { "serve", "", ECHO, 30, true, run_serve, true },
	[LATE] = { "late", "", ECHO, 1, true, run_maybe, true },
	[WORK_RECONCILE] = { "escape", "", ECHO, 30, true, run_escape, true },
	[WORK_WATCHDOG] = { "wait", "", ECHO, 30, true, run_maybe, true },
	[WORK_VM_CREATE] = { "once", "", ECHO, 30, true, run_count, false },
};

/* Asks it, as outcome 0. */
static const struct outcome *
ask(enum work_id id, const char *name)
{
	struct outcome *out = &fixture->out[0];
	struct error err = { 0 };

	free(out->value);
	*out = (struct outcome){ 0 };
	if (!start(0, id, name, NULL, &err))
		fail_msg("%s", err.detail);
	wait_done(0);
	return out;
}

/* Asks it, and returns the process that has answered. */
static pid_t
answerer(enum work_id id)
{
	const struct outcome *out = ask(id, "");

	if (out->err.status)
		fail_msg("%s", out->err.detail);
	return (pid_t)strtol(out->name, NULL, 10);
}

/* Until no such process is there, reaped by the loop. */
static void
wait_gone(pid_t pid)
{
	while (kill(pid, 0) == 0)
		event_base_loop(fixture->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	assert_int_equal(errno, ESRCH);
}

/* What it is asked fails so, and another process answers next. */
static void
fails(enum work_id id, const char *name, int status, const char *detail)
{
	pid_t before = answerer(id);
	const struct outcome *out = ask(id, name);

	assert_int_equal(out->err.status, status);
	if (!strstr(out->err.detail, detail))
		fail_msg("%s", out->err.detail);
	assert_int_not_equal(answerer(id), before);
	wait_gone(before);
}

static void
test_stays(void **state)
{
	struct jobs_stats stats;
	pid_t pid = answerer(SERVE);

	assert_int_equal(ask(SERVE, "refuse")->err.status, 409);
	assert_string_equal(fixture->out[0].err.detail, "no room on 'x'");
	assert_int_equal(answerer(SERVE), pid);
	assert_string_equal(fixture->out[0].value, "1");
	jobs_get_stats(fixture->jobs, &stats);
	assert_int_equal(stats.running + stats.queued + stats.stuck + stats.killed, 0);
	assert_int_equal(stats.started, 3);
	assert_int_equal(stats.failed, 1);
	/* Each work has its own, and one that is not resident a new one each time. */
	assert_int_not_equal(answerer(WORK_WATCHDOG), pid);
	pid = answerer(WORK_VM_CREATE);
	assert_int_not_equal(answerer(WORK_VM_CREATE), pid);
}

static void
test_is_replaced_in_time(void **state)
{
	pid_t pid = answerer(SERVE);

	for (int i = 1; i < ANSWERS_MAX; i++)
		assert_int_equal(answerer(SERVE), pid);
	assert_int_not_equal(answerer(SERVE), pid);
	assert_string_equal(fixture->out[0].value, "0");
	wait_gone(pid);
}

static void
test_grows(void **state)
{
	pid_t pid = answerer(SERVE);

	assert_int_equal(ask(SERVE, "leak")->err.status, 0);
	assert_int_not_equal(answerer(SERVE), pid);
	wait_gone(pid);
}

static void
test_late(void **state)
{
	struct jobs_stats stats;

	fails(
	    LATE, fixture->fifo, 504, "job 'late' was ended because it took longer than 1 seconds");
	jobs_get_stats(fixture->jobs, &stats);
	assert_int_equal(stats.killed, 1);
}

static void
test_dies(void **state)
{
	fails(SERVE, "crash", 500, "job 'serve' was killed by signal 9 (Killed)");
	fails(SERVE, "exit", 500, "job 'serve' ended with exit code 7 without a result");
}

/* Nobody's request is lost with it. */
static void
test_dies_while_it_rests(void **state)
{
	pid_t pid = answerer(SERVE);

	assert_int_equal(kill(pid, SIGKILL), 0);
	wait_gone(pid);
	assert_int_not_equal(answerer(SERVE), pid);
}

static void
test_answers_too_much(void **state)
{
	pid_t pid = answerer(SERVE);

	assert_string_equal(ask(SERVE, "babble")->name, "first");
	assert_int_not_equal(answerer(SERVE), pid);
	wait_gone(pid);
	fails(SERVE, "flood", 500, "job 'serve' wrote more than 16 MiB");
	fails(SERVE, "nonsense", 500, "the result of job 'serve': ");
}

/* One that fills the pipe many times, and one that is over the bound. */
static void
test_large_requests(void **state)
{
	char *text = xcalloc((5 << 20) + 1, 1);
	struct custom_field request = { .name = text };
	pid_t pid = answerer(SERVE);
	struct error err;

	memset(text, 'v', 3 << 20);
	assert_non_null(job_start(
	    fixture->jobs, SERVE, &request, NULL, "", NULL, on_done, &fixture->out[1], &err));
	wait_done(1);
	assert_int_equal(strtol(fixture->out[1].name, NULL, 10), pid);

	memset(text, 'v', 5 << 20);
	assert_non_null(job_start(
	    fixture->jobs, SERVE, &request, NULL, "", NULL, on_done, &fixture->out[2], &err));
	wait_done(2);
	assert_int_equal(fixture->out[2].err.status, 413);
	assert_string_equal(
	    fixture->out[2].err.detail, "the request of job 'serve' is larger than 4 MiB");
	assert_int_not_equal(answerer(SERVE), pid);
	free(text);
}

/* Of two at once one stays. */
static void
test_two_at_once(void **state)
{
	struct error err;
	pid_t pids[2];

	for (int i = 1; i <= 2; i++)
		assert_non_null(start(i, WORK_WATCHDOG, fixture->fifo, NULL, &err));
	/* One that opens it may let both go, and then nobody is there for a second one. */
	while (fixture->out[1].calls + fixture->out[2].calls < 2) {
		int fd = open(fixture->fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC);

		event_base_loop(fixture->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		util_close(&fd);
	}
	for (int i = 0; i < 2; i++)
		pids[i] = (pid_t)strtol(fixture->out[i + 1].name, NULL, 10);
	assert_int_not_equal(pids[0], pids[1]);
	assert_int_equal(
	    answerer(WORK_WATCHDOG), pids[fixture->out[1].order < fixture->out[2].order ? 0 : 1]);
	wait_gone(pids[fixture->out[1].order < fixture->out[2].order ? 1 : 0]);
}

/* One that cannot be ended is written off, and holds up no other. */
static void
test_written_off(void **state)
{
	static const struct jobs_limits limits = { .stuck_max = 2, .grace_ms = 300 };
	_close_ int note = open(fixture->fifo, O_RDWR | O_CLOEXEC);
	struct error err;
	pid_t pid;

	jobs_free(fixture->jobs);
	fixture->jobs = jobs_new(fixture->base, &limits, &fixture_env);
	assert_true(note >= 0);
	for (int i = 1; i <= 2; i++) {
		assert_non_null(start(i, WORK_RECONCILE, fixture->fifo, NULL, &err));
		wait_done(i);
		assert_int_equal(fixture->out[i].err.status, 504);
		assert_non_null(
		    strstr(fixture->out[i].err.detail, "was killed and is still there"));
		wait_stuck((unsigned int)i);
	}
	for (int i = 1; i <= 2; i++) {
		assert_int_equal(read(note, &pid, sizeof(pid)), sizeof(pid));
		assert_int_equal(kill(pid, SIGKILL), 0);
	}
	wait_stuck(0);
	answerer(SERVE);
	while (kill(pid, 0) == 0)
		event_base_loop(fixture->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void
wait_ended_well(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* One that rests, and one that is about to answer. */
static void
test_ends_with_jobs(void **state)
{
	static const struct jobs_limits limits = { .grace_ms = 300 };
	pid_t rests = answerer(SERVE), busy = answerer(WORK_WATCHDOG);
	struct error err;

	assert_non_null(start(1, WORK_WATCHDOG, fixture->fifo, NULL, &err));
	jobs_free(fixture->jobs);
	wait_ended_well(rests);
	release();
	wait_ended_well(busy);
	assert_int_equal(fixture->out[1].calls, 0);
	fixture->jobs = jobs_new(fixture->base, &limits, &fixture_env);
}

/* A daemon that has a child which rests, and is killed. */
static void
test_ends_with_a_killed_daemon(void **state)
{
	pid_t daemon, child;
	int told[2];

	/* What it leaves is reaped here, and not by the loop. */
	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	daemon = fork();
	if (daemon == 0) {
		event_reinit(fixture->base);
		child = answerer(SERVE);
		if (write(told[1], &child, sizeof(child)) != sizeof(child))
			_exit(1);
		for (;;)
			pause();
	}
	assert_true(daemon > 0);
	assert_int_equal(read(told[0], &child, sizeof(child)), sizeof(child));
	assert_int_equal(kill(child, 0), 0);
	assert_int_equal(kill(daemon, SIGKILL), 0);
	assert_int_equal(waitpid(daemon, NULL, 0), daemon);
	wait_ended_well(child);
	util_close(&told[0]);
	util_close(&told[1]);
}

static int
run_group(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(test_is_replaced_in_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_grows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_late, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dies_while_it_rests, setup, teardown),
		cmocka_unit_test_setup_teardown(test_answers_too_much, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(test_two_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_written_off, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends_with_jobs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends_with_a_killed_daemon, setup, teardown),
	};

	return cmocka_run_group_tests_name("resident", tests, NULL, NULL);
}

int
main(int argc, char **argv)
{
	return job_test_main(argc, argv, run_group);
}
