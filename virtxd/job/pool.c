/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "job/pool.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "proto/log.h"

#define ANSWERS_MAX 1000
#define MEMORY_MAX  64

struct pool {
	struct pool_limits limits;
	struct child *resting[WORK_N]; /* as works[] */
};

/* MiB that are in memory; what cannot be told is too much. */
static int
memory_of(pid_t pid)
{
	_free_ char *path = xasprintf("/proc/%d/statm", (int)pid);
	FILE *file = fopen(path, "re");
	long long pages = 0;
	int n = 0;

	if (file) {
		n = fscanf(file, "%*d %lld", &pages);
		fclose(file);
	}
	return n == 1 ? (int)((pages * sysconf(_SC_PAGESIZE)) >> 20) : INT_MAX;
}

static bool
is_kept(const struct pool *pool, const struct child *child)
{
	return child_rests(child) && child_answers(child) < pool->limits.answers_max &&
	       memory_of(child_pid(child)) <= pool->limits.memory_max;
}

struct pool *
pool_new(const struct pool_limits *limits)
{
	struct pool *pool = xcalloc(1, sizeof(*pool));

	pool->limits = *limits;
	if (pool->limits.answers_max <= 0)
		pool->limits.answers_max = ANSWERS_MAX;
	if (pool->limits.memory_max <= 0)
		pool->limits.memory_max = MEMORY_MAX;
	return pool;
}

void
pool_free(struct pool *pool)
{
	for (size_t i = 0; i < WORK_N; i++)
		child_free(pool->resting[i]);
	free(pool);
}

struct child *
pool_take(struct pool *pool, const struct work *work)
{
	struct child **resting = &pool->resting[work - works];
	struct child *child = steal_ptr(*resting);

	if (!child || child_rests(child))
		return child;
	log_debug(
	    "job", "process %d of job '%s' is not asked again", (int)child_pid(child), work->name);
	child_dismiss(child);
	return NULL;
}

void
pool_give(struct pool *pool, struct child *child)
{
	struct child **resting;

	if (!child)
		return;
	resting = &pool->resting[child_work(child) - works];
	if (!*resting && is_kept(pool, child))
		*resting = child;
	else
		child_dismiss(child);
}

void
pool_reap(struct pool *pool, pid_t group)
{
	for (size_t i = 0; i < WORK_N; i++) {
		struct child *child = pool->resting[i];

		if (!child || child_pid(child) != group)
			continue;
		child_reap(child);
		if (child_rests(child))
			return;
		log_debug(
		    "job", "process %d of job '%s' has ended", (int)group, child_work(child)->name);
		pool->resting[i] = NULL;
		child_dismiss(child);
		return;
	}
}
