/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One process that runs a job: spawned in a process group of its own, fed its request, read for
 * frames, and ended by force when it is late. It has ended when its stdout is at EOF and nothing is
 * left of its group, so that a helper such as qemu-img never outlives its job unseen. A resident
 * one stays after its answer, rests, and can be asked again.
 *
 *   running    -> resting       a resident one has answered
 *   running    -> terminated    it is late, or has left processes behind: SIGTERM
 *   running    -> killed        it is gone, and somebody else holds its stdout
 *   resting    -> running       it is asked again
 *   resting    -> killed        it is gone, and somebody else holds its stdout
 *   terminated -> killed        it is still there: SIGKILL, where there is a process for it
 *   killed     -> written off   it is still there
 *
 * The end may come in any of these states.
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
	/* It has ended, or a resident one has answered. */
	void (*ended)(void *arg);
};

/* What a child is asked. ops are borrowed until it has ended. */
struct child_call {
	char *request; /* JSON; the child's to free in any case */
	size_t request_len;
	const struct child_ops *ops;
	void *arg;
};

/*
 * Spawns `virtxd --job NAME` for the work, with --resident where it is, and writes it the request.
 * grace in ms (see struct jobs_limits). work is borrowed for life. NULL with err (a 500) when it
 * cannot be started.
 */
struct child *child_spawn(struct event_base *base, const struct work *work, int grace_ms,
    const struct child_call *call, struct error *err);
/* Asks a resident one that rests. One that has died since shows as one that dies of the request. */
void child_ask(struct child *child, const struct child_call *call);
/* Whether it is resident, has answered, and has written nothing that nobody asked for. */
bool child_rests(const struct child *child);
/* It answers nonsense: it rests no more. */
void child_spoil(struct child *child);
/* How often it has answered. */
int child_answers(const struct child *child);
/* Forgets it; the process goes on alone if it has not ended: a resident one until its stdin's EOF.
 */
void child_free(struct child *child);
/* The same, and kills one that rests. */
void child_dismiss(struct child *child);
/* Reaps what has ended of its group; to be called at SIGCHLD. */
void child_reap(struct child *child);

/* The result's JSON (valid until it is asked again or freed), or NULL with err: the child's own
 * error, or how it ended without one. For a child that has ended, rests or is written off. */
const char *child_result(const struct child *child, size_t *len, struct error *err);
pid_t child_pid(const struct child *child);
/* Whether it was ended by force, its deadline being over. */
bool child_is_late(const struct child *child);
const struct work *child_work(const struct child *child);

#endif
