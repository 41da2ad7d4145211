/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The jobs of this daemon: which run, which wait, and which keep a VM busy. */
#include "job/job.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/queue.h>
#include <sys/wait.h>
#include <unistd.h>

#include "job/child.h"
#include "loop/timer.h"
#include "proto/json.h"
#include "proto/log.h"
#include "proto/uuid.h"

#define GRACE_MS 5000

struct job {
	TAILQ_ENTRY(job) link;
	struct jobs *jobs;
	const struct work *work;
	char vm[UUID_TEXT_SIZE];
	char operation[UUID_TEXT_SIZE];
	char *request; /* while it waits */
	size_t request_len;
	struct child *child; /* NULL while it waits */
	bool stuck;
	job_progress progress;
	job_done done;
	void *arg;
};

TAILQ_HEAD(job_list, job);

struct jobs {
	struct event_base *base;
	struct jobs_limits limits;
	struct work_env env;
	struct event *sigchld;
	struct timer *kick;
	struct job_list waiting;
	struct job_list started; /* running or stuck */
	struct pool *pool;
	struct jobs_stats stats;
	int in_lane; /* running, without those of their own lane */
};

static void
job_free(struct job *job)
{
	pool_give(job->jobs->pool, job->child);
	free(job->request);
	free(job);
}

/* Takes it out of what counts as running. */
static void
job_leave_lane(struct job *job)
{
	struct jobs *jobs = job->jobs;

	jobs->stats.running--;
	jobs->in_lane -= job->work->own_lane ? 0 : 1;
	timer_soon(jobs->kick);
}

/* Decodes the outcome and tells it; the last thing to do, since anything may happen in there. */
static void
job_tell(struct job *job, struct child *child, job_done done, void *arg)
{
	const struct work *work = job->work;
	struct jobs *jobs = job->jobs;
	_free_ void *result = NULL;
	struct error err = { 0 };
	const char *text;
	size_t len;

	text = child_result(child, &len, &err);
	if (text && work->result) {
		result = xcalloc(1, work->result->size);
		if (json_decode(work->result, text, len, result, &err) < 0) {
			error_wrap(&err, "the result of job '%s'", work->name);
			err.status = 500;
			child_spoil(child);
		}
	}
	jobs->stats.failed += err.status != 0;
	if (!job->stuck)
		job_free(job);

	done(arg, err.status ? NULL : result, err.status ? &err : NULL);
	if (result)
		model_clear(work->result, result);
}

static void
job_on_progress(void *arg, int percent, enum work_stage stage)
{
	struct job *job = arg;

	if (job->progress)
		job->progress(job->arg, percent, stage);
}

/* The started job of this VM, NULL for none. */
static struct job *
jobs_find_started(const struct jobs *jobs, const char *vm)
{
	struct job *job;

	TAILQ_FOREACH (job, &jobs->started, link) {
		if (vm[0] && strcmp(job->vm, vm) == 0)
			return job;
	}
	return NULL;
}

/* Says that a job which was written off is in the way. */
static int
refuse_stuck(const struct job *stuck, struct error *err)
{
	error_set(err, 409, "the VM is busy: process %d of job '%s' was killed and is still there",
	    (int)child_pid(stuck->child), stuck->work->name);
	snprintf(err->vm, sizeof(err->vm), "%s", stuck->vm);
	snprintf(err->operation, sizeof(err->operation), "%s", stuck->operation);
	return -1;
}

/* A user's job that waits for one that may never end is not done when nobody expects it any more.
 */
static void
jobs_fail_waiting(struct jobs *jobs, const struct job *stuck)
{
	struct job *job, *next;

	for (job = TAILQ_FIRST(&jobs->waiting); stuck->vm[0] && job; job = next) {
		job_done done = job->done;
		void *arg = job->arg;
		struct error err = { 0 };

		next = TAILQ_NEXT(job, link);
		if (strcmp(job->vm, stuck->vm) != 0)
			continue;
		refuse_stuck(stuck, &err);
		TAILQ_REMOVE(&jobs->waiting, job, link);
		jobs->stats.queued--;
		jobs->stats.failed++;
		job_free(job);
		done(arg, NULL, &err);
		/* Anything may have happened in there. */
		next = TAILQ_FIRST(&jobs->waiting);
	}
}

static void
job_on_stuck(void *arg)
{
	struct job *job = arg;

	log_warning("job", "job '%s' is written off: process %d was killed and is still there",
	    job->work->name, (int)child_pid(job->child));
	job_leave_lane(job);
	job->stuck = true;
	job->jobs->stats.stuck++;
	job->jobs->stats.killed++;
	jobs_fail_waiting(job->jobs, job);
	job_tell(job, job->child, job->done, job->arg);
}

static void
job_on_ended(void *arg)
{
	struct job *job = arg;
	struct jobs *jobs = job->jobs;

	TAILQ_REMOVE(&jobs->started, job, link);
	if (job->stuck) {
		log_info("job", "process %d of job '%s', which was written off, is gone",
		    (int)child_pid(job->child), job->work->name);
		jobs->stats.stuck--;
		timer_soon(jobs->kick);
		job_free(job);
		return;
	}
	jobs->stats.killed += child_is_late(job->child);
	job_leave_lane(job);
	job_tell(job, job->child, job->done, job->arg);
}

static const struct child_ops job_child_ops = {
	.progress = job_on_progress,
	.stuck = job_on_stuck,
	.ended = job_on_ended,
};

static int
job_spawn(struct job *job, struct error *err)
{
	struct jobs *jobs = job->jobs;
	const struct child_call call = {
		.request = steal_ptr(job->request),
		.request_len = job->request_len,
		.ops = &job_child_ops,
		.arg = job,
	};

	job->child = pool_take(jobs->pool, job->work);
	if (job->child)
		child_ask(job->child, &call);
	else
		job->child = child_spawn(jobs->base, job->work, jobs->limits.grace_ms, &call, err);
	if (!job->child)
		return -1;
	log_debug(
	    "job", "job '%s' is done by process %d", job->work->name, (int)child_pid(job->child));
	TAILQ_INSERT_TAIL(&jobs->started, job, link);
	jobs->in_lane += job->work->own_lane ? 0 : 1;
	jobs->stats.running++;
	jobs->stats.started++;
	return 0;
}

/* The first that waits for nothing but room. */
static struct job *
jobs_next(const struct jobs *jobs)
{
	struct job *job;

	TAILQ_FOREACH (job, &jobs->waiting, link) {
		if (!jobs_find_started(jobs, job->vm))
			return job;
	}
	return NULL;
}

/* Starts one that waits, and comes back for the next. */
static void
jobs_on_kick(void *arg)
{
	struct jobs *jobs = arg;
	struct job *job = jobs_next(jobs);
	struct error err = { 0 };
	job_done done;

	if (!job || jobs->in_lane >= jobs->limits.running_max)
		return;
	TAILQ_REMOVE(&jobs->waiting, job, link);
	jobs->stats.queued--;
	timer_soon(jobs->kick);
	if (job_spawn(job, &err) == 0)
		return;
	jobs->stats.failed++;
	done = job->done;
	arg = job->arg;
	job_free(job);
	done(arg, NULL, &err);
}

/* The job that a process group belongs to, NULL for none. */
static struct job *
jobs_find_group(struct jobs *jobs, pid_t group)
{
	struct job *job;

	TAILQ_FOREACH (job, &jobs->started, link) {
		if (child_pid(job->child) == group)
			return job;
	}
	return NULL;
}

/* Each process is reaped by the job that it belongs to, and what has left its job's group by us. */
static void
jobs_on_sigchld(evutil_socket_t fd, short what, void *arg)
{
	struct jobs *jobs = arg;
	siginfo_t info;
	struct job *job;
	pid_t group;

	for (;;) {
		info.si_pid = 0;
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
			return;
		group = getpgid(info.si_pid);
		job = jobs_find_group(jobs, group);
		if (job)
			child_reap(job->child);
		else
			pool_reap(jobs->pool, group);
		waitpid(info.si_pid, NULL, WNOHANG);
	}
}

struct jobs *
jobs_new(struct event_base *base, const struct jobs_limits *limits, const struct work_env *env)
{
	struct jobs *jobs = xcalloc(1, sizeof(*jobs));

	jobs->base = base;
	jobs->limits = *limits;
	model_copy(&work_env_model, &jobs->env, env);
	if (jobs->limits.grace_ms <= 0)
		jobs->limits.grace_ms = GRACE_MS;
	TAILQ_INIT(&jobs->waiting);
	TAILQ_INIT(&jobs->started);
	jobs->pool = pool_new(&limits->resident);
	signal(SIGPIPE, SIG_IGN);
	/* What a dead child leaves of its group becomes ours to wait for. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		log_warning("job", "cannot become the reaper of the children's processes");
	jobs->kick = timer_new(base, jobs_on_kick, jobs);
	jobs->sigchld = evsignal_new(base, SIGCHLD, jobs_on_sigchld, jobs);
	event_add(jobs->sigchld, NULL);
	return jobs;
}

static void
job_list_free(struct job_list *list)
{
	struct job *job;

	while ((job = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, job, link);
		job_free(job);
	}
}

void
jobs_free(struct jobs *jobs)
{
	if (!jobs)
		return;
	job_list_free(&jobs->waiting);
	job_list_free(&jobs->started);
	pool_free(jobs->pool);
	model_clear(&work_env_model, &jobs->env);
	event_free(jobs->sigchld);
	timer_free(jobs->kick);
	free(jobs);
}

void
jobs_set_host(struct jobs *jobs, const char *uuid)
{
	str_set(&jobs->env.host, uuid);
}

void
jobs_get_stats(const struct jobs *jobs, struct jobs_stats *ret)
{
	*ret = jobs->stats;
}

bool
jobs_is_stuck(const struct jobs *jobs, enum work_id id)
{
	const struct job *job;

	TAILQ_FOREACH (job, &jobs->started, link) {
		if (job->stuck && job->work == &works[id])
			return true;
	}
	return false;
}

/* Whether it is virtxd's own (a heal, say): a user's request waits for it, and is not refused. */
static bool
job_is_internal(const struct job *job)
{
	return !job->operation[0] && !job->stuck;
}

/* A job of this VM: one that refuses others before one that they wait for. */
static const struct job *
jobs_find_vm(const struct jobs *jobs, const char *vm)
{
	const struct job_list *lists[] = { &jobs->started, &jobs->waiting };
	const struct job *job, *found = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		TAILQ_FOREACH (job, lists[i], link) {
			if (strcmp(job->vm, vm) == 0 && (!found || job_is_internal(found)))
				found = job;
		}
	}
	return found;
}

const char *
jobs_busy(const struct jobs *jobs, const char *vm)
{
	const struct job *job = str_empty(vm) ? NULL : jobs_find_vm(jobs, vm);

	return job ? job->operation : NULL;
}

int
jobs_check_vm(const struct jobs *jobs, const char *vm, struct error *err)
{
	const struct job *other = str_empty(vm) ? NULL : jobs_find_vm(jobs, vm);

	if (!other)
		return 0;
	if (other->stuck)
		return refuse_stuck(other, err);
	if (job_is_internal(other))
		return 0;
	error_set(
	    err, 409, "another operation on this VM is under way: job '%s'", other->work->name);
	snprintf(err->vm, sizeof(err->vm), "%s", vm);
	snprintf(err->operation, sizeof(err->operation), "%s", other->operation);
	return -1;
}

/* Whether one more may start, now or after waiting. */
static int
jobs_admit(
    const struct jobs *jobs, const struct work *work, const char *vm, bool wait, struct error *err)
{
	if (jobs_check_vm(jobs, vm, err) < 0)
		return -1;
	if (jobs->stats.stuck >= (unsigned int)jobs->limits.stuck_max)
		return error_set(err, 503,
		    "cannot start job '%s': %u killed processes have not ended", work->name,
		    jobs->stats.stuck);
	if (wait && jobs->stats.queued >= (unsigned int)jobs->limits.queue_max)
		return error_set(err, 503, "cannot start job '%s': %u jobs wait already",
		    work->name, jobs->stats.queued);
	return 0;
}

/* What the child reads: the request, with where this host's jobs work. */
static char *
encode(const struct jobs *jobs, const struct work *work, const void *request, size_t *len)
{
	const struct model *model = work->request;
	_free_ void *whole = NULL;

	if (!model)
		return xstrdup("");
	whole = xcalloc(1, model->size);
	memcpy(whole, request, model->size);
	for (unsigned int i = 0; i < model->n_fields; i++) {
		if (model->fields[i].sub == &work_env_model)
			memcpy(
			    field_member(&model->fields[i], whole), &jobs->env, sizeof(jobs->env));
	}
	return json_encode(model, whole, len);
}

struct job *
job_start(struct jobs *jobs, enum work_id id, const void *request, const char *vm,
    const char *operation, job_progress progress, job_done done, void *arg, struct error *err)
{
	const struct work *work = &works[id];
	bool wait =
	    jobs_find_started(jobs, str_or_empty(vm)) ||
	    (!work->own_lane && (jobs->in_lane >= jobs->limits.running_max || jobs_next(jobs)));
	struct job *job;

	if (jobs_admit(jobs, work, vm, wait, err) < 0)
		return NULL;
	job = xcalloc(1, sizeof(*job));
	job->jobs = jobs;
	job->work = work;
	snprintf(job->vm, sizeof(job->vm), "%s", str_or_empty(vm));
	snprintf(job->operation, sizeof(job->operation), "%s", str_or_empty(operation));
	job->progress = progress;
	job->done = done;
	job->arg = arg;
	job->request = encode(jobs, work, request, &job->request_len);

	if (wait) {
		TAILQ_INSERT_TAIL(&jobs->waiting, job, link);
		jobs->stats.queued++;
	} else if (job_spawn(job, err) < 0) {
		job_free(job);
		return NULL;
	}
	return job;
}
