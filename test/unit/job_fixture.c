/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "job_fixture.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAIT_S 60 /* for what is bound to come */

struct fixture *fixture;
const struct work_env fixture_env = { .uri = (char *)"test:///default",
	.root = (char *)"/vms",
	.run_dir = (char *)"/run/virtx",
	.io_timeout = 7,
	.qemu_group = INT64_C(1) << 32 };

int
run_error(const void *request, void *result, struct error *err)
{
	error_set(err, 409, "no room on 'x'");
	snprintf(err->vm, sizeof(err->vm), VM);
	return -1;
}

int
run_crash(const void *request, void *result, struct error *err)
{
	return kill(getpid(), SIGKILL);
}

int
run_exit(const void *request, void *result, struct error *err)
{
	_exit(7);
}

int
run_wait(const void *request, void *result, struct error *err)
{
	const struct custom_field *in = request;
	_close_ int fd = open(in->name, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? error_errno(err, 500, errno, "open '%s'", in->name) : 0;
}

int
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

void
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

void
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

struct job *
start_for(const char *operation, int i, enum work_id id, const char *name, const char *vm,
    struct error *err)
{
	char copy[256];
	struct custom_field request = { .name = copy };

	snprintf(copy, sizeof(copy), "%s", name);
	return job_start(fixture->jobs, id, &request, vm, operation, on_progress, on_done,
	    &fixture->out[i], err);
}

struct job *
start(int i, enum work_id id, const char *name, const char *vm, struct error *err)
{
	return start_for(OP, i, id, name, vm, err);
}

static void
on_too_long(evutil_socket_t fd, short what, void *arg)
{
	fail_msg("what should have happened did not");
}

void
wait_until(const int *flag, int n)
{
	struct event *timer = evtimer_new(fixture->base, on_too_long, NULL);
	struct timeval tv = { .tv_sec = WAIT_S };

	event_add(timer, &tv);
	while (*flag < n)
		event_base_loop(fixture->base, EVLOOP_ONCE);
	event_free(timer);
}

void
wait_done(int i)
{
	wait_until(&fixture->out[i].calls, 1);
}

void
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

void
release(void)
{
	_close_ int fd = open(fixture->fifo, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
}

int
setup(void **state)
{
	static const struct jobs_limits limits = { .running_max = 1,
		.queue_max = 2,
		.stuck_max = 1,
		.grace_ms = 300,
		.resident = { .answers_max = ANSWERS_MAX, .memory_max = MEMORY_MAX } };

	fixture = xcalloc(1, sizeof(*fixture));
	strcpy(fixture->dir, "/tmp/test_job.XXXXXX");
	if (!mkdtemp(fixture->dir))
		return -1;
	snprintf(fixture->fifo, sizeof(fixture->fifo), "%s/fifo", fixture->dir);
	if (mkfifo(fixture->fifo, 0600) < 0)
		return -1;
	fixture->base = event_base_new();
	fixture->jobs = jobs_new(fixture->base, &limits, &fixture_env);
	return 0;
}

int
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

int
job_test_main(int argc, char **argv, int (*tests)(void))
{
	bool resident = argc == 4 && strcmp(argv[1], "--resident") == 0;

	if (argc == 3 + resident && strcmp(argv[1 + resident], "--job") == 0)
		return work_main(argv[2 + resident], resident);
	return tests();
}
