/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The resident children that rest: at most one for each work. Each is of one work alone, so that a
 * hang in one of them holds up no other. One that has answered often or has grown large is not
 * kept, and the next request starts another.
 */
#ifndef JOB_POOL_H
#define JOB_POOL_H

#include "job/child.h"

struct pool;

/* 0 for a default: 1000 answers, 64 MiB of memory. */
struct pool_limits {
	int answers_max;
	int memory_max; /* MiB, resident */
};

struct pool *pool_new(const struct pool_limits *limits);
/* Those that rest end by themselves, at the EOF of their stdin. */
void pool_free(struct pool *pool);

/* One of that work, which is the caller's from here on; NULL for none. */
struct child *pool_take(struct pool *pool, const struct work *work);
/* Takes a child that has ended, rests or is not wanted any more, and keeps it or frees it. */
void pool_give(struct pool *pool, struct child *child);
/* Something of this process group has ended, or may have: drops its child where it is one of
 * these. */
void pool_reap(struct pool *pool, pid_t group);

#endif
