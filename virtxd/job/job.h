/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Jobs: children that do what may block. A job is done when its stdout is at EOF and it is reaped,
 * in either order; its callback then runs exactly once. One that outlives its SIGKILL is written
 * off: its callback runs with a 504, its VM stays busy with the reason until the child is gone. A
 * resident work's job is done with its answer, and its child is kept for the next (see pool.h).
 */
#ifndef JOB_JOB_H
#define JOB_JOB_H

#include "job/pool.h"
#include "proto/error.h"
#include "work/requests.h"
#include "work/work.h"

struct event_base;
struct jobs;
struct job;

struct jobs_limits {
	int running_max; /* at once, without those of their own lane */
	int queue_max;
	int stuck_max; /* written-off children before new jobs are refused with 503 */
	int grace_ms;  /* from SIGTERM to SIGKILL, and from there to being written off; 0: 5000 */
	struct pool_limits resident;
};

struct jobs_stats {
	unsigned int running, queued, stuck;
	uint64_t started, failed, killed;
};

/* result is the decoded model of the work's row (cleared after the callback), or NULL with err set.
 */
typedef void (*job_done)(void *arg, void *result, const struct error *err);
/* percent is -1 where the stage alone is new. */
typedef void (*job_progress)(void *arg, int percent, enum work_stage stage);

/* Borrows the base. Owns SIGCHLD, ignores SIGPIPE, and makes this process the reaper of what its
 * children leave behind. Files 0 to 2 must be open. env (copied) is where this host's jobs work. */
struct jobs *jobs_new(
    struct event_base *base, const struct jobs_limits *limits, const struct work_env *env);
/* Sends SIGTERM to no child: they finish by themselves, resident ones when they have answered.
 * Callbacks do not run any more. */
void jobs_free(struct jobs *jobs);
/* Libvirt has told which host this is: jobs that start from now on are told, too. */
void jobs_set_host(struct jobs *jobs, const char *uuid);
void jobs_get_stats(const struct jobs *jobs, struct jobs_stats *ret);

/*
 * Starts or queues a job. vm is a uuid or NULL; operation (its id, "" for none) is told to those
 * who come second. Returns NULL with err: 409 when the VM is busy (err->operation is the one under
 * way), 503 when queue or stuck children are at their bound. done may run only after job_start has
 * returned. progress may be NULL. The request is encoded before returning; its env, where it has
 * one, is filled in here, and the caller's is left alone.
 */
struct job *job_start(struct jobs *jobs, enum work_id id, const void *request, const char *vm,
    const char *operation, job_progress progress, job_done done, void *arg, struct error *err);
/* The operation id that keeps this VM busy ("" when it has none), or NULL when it is free. */
const char *jobs_busy(const struct jobs *jobs, const char *vm);
/* Whether a process of that work was written off and is still there. */
bool jobs_is_stuck(const struct jobs *jobs, enum work_id id);
/* 0 where a job on this VM would be taken by now, or -1 with the 409 that job_start would give. */
int jobs_check_vm(const struct jobs *jobs, const char *vm, struct error *err);

#endif
