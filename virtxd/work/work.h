/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What runs in children: each row of the table is one kind of job. A request comes as one JSON
 * document on stdin; lines "progress N", then one "result JSON" or "error JSON" go to stdout; the
 * log is stderr. To a resident child they come one after the other, each as a line, when it has
 * answered the one before; it ends at the EOF.
 */
#ifndef WORK_WORK_H
#define WORK_WORK_H

#include "proto/error.h"
#include "proto/table.h"
#include "work/work_list.h"

struct work {
	const char *name; /* "vm-create", as in virtxd --job vm-create */
	const char *summary;
	const struct model *request;
	const struct model *result;
	int deadline;  /* seconds, then SIGTERM, 5 s later SIGKILL */
	bool own_lane; /* never queues behind other jobs */
	int (*run)(const void *request, void *result, struct error *err);
	/* Its process stays for the next request: a work that comes again and again, of which
	 * nothing is lost where it is killed, and which holds no file or lease when it has
	 * answered. */
	bool resident;
	uint64_t capabilities; /* that it keeps, see disk/confine.h; its process has no others */
};
extern const struct work works[WORK_N]; /* indexed by work_id, without gaps */

/* The row of that name, or NULL. */
const struct work *work_find(const char *name);
/* Runs one job as the process's whole life (`virtxd --job NAME`), or all that it is asked
 * (`virtxd --resident --job NAME`); returns the exit code: 0 result, 1 error. */
int work_main(const char *name, bool stays);
/* Whether this process stays for the next request. */
bool work_is_resident(void);
/* Prints the table for people (`virtxd --job list`). */
void work_print_list(void);
/* Called by the running work: 0..100. Only changes are written. */
void work_progress(int percent);

/* How far the change is that a work makes, for who finds its process dead. */
enum work_stage {
	WORK_STAGE_NONE,  /* nothing is changed, or all of it is undone */
	WORK_STAGE_BEGUN, /* something may be half done: what is true is for vm-heal to find out */
	WORK_STAGE_DONE,  /* the change is made, and vm-heal tidies up */
	WORK_STAGE_N,
};
/* Called by the running work before what it does, and after what it has undone. */
void work_stage(enum work_stage stage);
/* The running work calls what may never return: after that many seconds the process ends with err
 * (copied), as if it had been killed. work_waited says that it did return. */
void work_wait(int seconds, const struct error *err);
void work_waited(void);

#endif
