/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs end to end: a test is also its own children, with a table of works made for it. */
#ifndef TEST_JOB_FIXTURE_H
#define TEST_JOB_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "job/job.h"
#include "proto/model.h"

#define VM   "0c0ffee0-0000-4000-8000-000000000001"
#define VM2  "0c0ffee0-0000-4000-8000-000000000002"
#define OP   "0c0ffee0-0000-4000-8000-00000000000a"
#define HOST "0c0ffee0-0000-4000-8000-00000000000b"

/* The bounds of a resident child; MiB, of which valgrind takes a part. */
#define ANSWERS_MAX 4
#define MEMORY_MAX  256

#define FRAMES 3 /* where a work's frames go: the first descriptor that is free */

/* {name, value} in and out */
#define ECHO .request = &custom_field_model, .result = &custom_field_model

struct outcome {
	int calls;
	int progress;
	int n_progress;
	enum work_stage stage;
	int order;
	char name[256];
	char *value;
	struct error err;
};

struct fixture {
	struct event_base *base;
	struct jobs *jobs;
	struct outcome out[4];
	int n_done;
	char dir[32];
	char fifo[64];
};

extern struct fixture *fixture;
/* Where its jobs work; it does not say which host that is. */
extern const struct work_env fixture_env;

int setup(void **state);
int teardown(void **state);

/* Starts a job for outcome number i; its request has that name, and its operation is OP. */
struct job *start(int i, enum work_id id, const char *name, const char *vm, struct error *err);
struct job *start_for(const char *operation, int i, enum work_id id, const char *name,
    const char *vm, struct error *err);
void on_progress(void *arg, int percent, enum work_stage stage);
void on_done(void *arg, void *result, const struct error *err);
/* Runs the loop until *flag is at least n. */
void wait_until(const int *flag, int n);
void wait_done(int i);
void wait_stuck(unsigned int n);
/* Lets one run_wait go. */
void release(void);

/* A work: a 409 about VM. */
int run_error(const void *request, void *result, struct error *err);
/* A work: is killed. */
int run_crash(const void *request, void *result, struct error *err);
/* A work: ends without a word, with 7. */
int run_exit(const void *request, void *result, struct error *err);
/* A work: opens the fifo named by the request for reading, which lasts until a writer comes. */
int run_wait(const void *request, void *result, struct error *err);
/* A work: dies; a helper in a session of its own, which no signal to the group reaches, holds the
 * pipe, and its pid goes to the fifo named by the request. */
int run_escape(const void *request, void *result, struct error *err);
/* The tests, or, as `virtxd --job`, one of the works. */
int job_test_main(int argc, char **argv, int (*tests)(void));

#endif
