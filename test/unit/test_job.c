/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs: what they answer, and which of them run. */
#include "job/job.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "job_fixture.h"

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

/* Whether the request says where this host's jobs work. */
static int
run_env(const void *request, void *result, struct error *err)
{
	const struct vm_request *in = request;
	struct custom_field *out = result;
	struct work_env env = fixture_env;

	env.host = in->env.host;
	str_set(&out->name, in->uuid);
	str_set(&out->value, in->env.host);
	return model_equal(&work_env_model, &in->env, &env)
		   ? 0
		   : error_set(err, 500, "'%s' is another place", in->env.root);
}

const struct work works[WORK_N] = {
	[WORK_PROBE] = { "echo", "", ECHO, 30, true, run_echo },
	[WORK_COLLECT] = { "error", "", ECHO, 30, false, run_error },
	[WORK_RECONCILE] = { "crash", "", ECHO, 30, false, run_crash },
	[WORK_LOCKSPACE] = { "exit", "", ECHO, 30, false, run_exit },
	[WORK_VM_CREATE] = { "wait", "", ECHO, 30, false, run_wait },
	[WORK_INSPECT] = { "nonsense", "", ECHO, 30, false, run_nonsense },
	[WORK_VM_PAUSE] = { "env", "", &vm_request_model, &custom_field_model, 30, false, run_env,
	    false, 0 },
	[WORK_VM_HEAL] = { "flood", "", ECHO, 30, false, run_flood },
};

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
	static const struct jobs_limits limits = {
		.running_max = 1, .queue_max = 1, .stuck_max = 1
	};
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
	fixture->jobs = jobs_new(fixture->base, &limits, &fixture_env);
}

static void
test_find(void **state)
{
	assert_ptr_equal(work_find("echo"), &works[WORK_PROBE]);
	assert_null(work_find("list"));
	assert_null(work_find(""));
}

/* A job is told where this host's jobs work, whatever the caller's request says of it. */
static void
test_env(void **state)
{
	const char *hosts[] = { "", HOST };
	const struct vm_request request = { .env.root = (char *)"/elsewhere", .uuid = (char *)VM };
	struct error err;

	for (int i = 0; i < 2; i++) {
		assert_non_null(job_start(fixture->jobs, WORK_VM_PAUSE, &request, VM, OP, NULL,
		    on_done, &fixture->out[i], &err));
		wait_done(i);
		assert_int_equal(fixture->out[i].err.status, 0);
		assert_string_equal(fixture->out[i].name, VM);
		assert_string_equal(str_or_empty(fixture->out[i].value), hosts[i]);
		jobs_set_host(fixture->jobs, HOST);
	}
	assert_string_equal(request.env.root, "/elsewhere");
}

static int
run_group(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_result, setup, teardown),
		cmocka_unit_test_setup_teardown(test_request_too_big, setup, teardown),
		cmocka_unit_test_setup_teardown(test_error, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_frame, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flood, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(test_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(test_internal_is_waited_for, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leave_running, setup, teardown),
		cmocka_unit_test_setup_teardown(test_env, setup, teardown),
		cmocka_unit_test(test_find),
	};

	return cmocka_run_group_tests_name("job", tests, NULL, NULL);
}

int
main(int argc, char **argv)
{
	return job_test_main(argc, argv, run_group);
}
