/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One process that runs a job: spawned in a process group of its own, fed its request, read for
 * frames, and ended by force when it is late. It has ended when its stdout is at EOF and nothing is
 * left of its group, so that a helper such as qemu-img never outlives its job unseen.
 */
#ifndef JOB_CHILD_H
#define JOB_CHILD_H

#include <sys/types.h>

#include "proto/error.h"
#include "work/work.h"

struct child;
struct event_base;

/* All are called from the loop, as the last thing that the child does there. */
struct child_ops {
	/* percent is -1 where the stage alone is new. */
	void (*progress)(void *arg, int percent, enum work_stage stage);
	/* It outlived SIGKILL and is written off; ended comes when it is gone, if ever. */
	void (*stuck)(void *arg);
	void (*ended)(void *arg);
};

/*
 * Spawns `virtxd --job name` and writes it the request, which is the child's to free in any case.
 * deadline in seconds, grace in ms (see struct jobs_limits). name and ops are borrowed for life.
 * NULL with err (a 500) when it cannot be started.
 */
struct child *child_spawn(struct event_base *base, const char *name, char *request,
    size_t request_len, int deadline, int grace_ms, const struct child_ops *ops, void *arg,
    struct error *err);
/* Forgets it; the process goes on alone if it has not ended. */
void child_free(struct child *child);
/* Reaps what has ended of its group; to be called at SIGCHLD. */
void child_reap(struct child *child);

/* The result's JSON (valid until child_free), or NULL with err: the child's own error, or how it
 * ended without one. For a child that has ended or is written off. */
const char *child_result(const struct child *child, size_t *len, struct error *err);
pid_t child_pid(const struct child *child);
/* Whether it was ended by force, its deadline being over. */
bool child_is_late(const struct child *child);

#endif
