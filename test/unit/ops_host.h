/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host for unit tests of ops/: all of it is real, from the request down to the start of a job.
 * What a job says is the test's, and so are the other hosts' answers, sanlock's process, and the
 * time, which stands still unless it is told to go on.
 */
#ifndef TEST_OPS_HOST_H
#define TEST_OPS_HOST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ops/context.h"
#include "work/requests.h"

#define SELF "a0000000-0000-4000-8000-000000000000"
#define H2   "a0000000-0000-4000-8000-000000000002"
#define H3   "a0000000-0000-4000-8000-000000000003"
#define VM1  "10000000-0000-4000-8000-000000000001"
#define VM2  "10000000-0000-4000-8000-000000000002"
#define VM3  "10000000-0000-4000-8000-000000000003"

/* A row of cmocka's table: each case has a host of its own. */
#define TEST(function) cmocka_unit_test_setup_teardown(function, ops_setup, ops_teardown)

struct ops_job {
	struct ops_job *next;
	enum work_id work;
	void *request; /* a copy, by the work's model */
	char vm[37], operation[37];
	job_progress progress;
	job_done done;
	void *arg;
};

/* What another host is asked. */
struct ops_asked {
	struct peer_ask *ask;
	char host[37];
	enum method method;
	char path[128];
	char *body; /* "" for none */
};

extern struct ops_host {
	struct context ctx;
	struct config config;
	int64_t now; /* ms, monotonic */
	/* Under way, in the order of their start. */
	struct ops_job *jobs;
	char jobs_host[37];   /* that they are told, "" for none yet */
	bool no_jobs;	      /* none can be started */
	bool stuck;	      /* one of each kind was written off, and is still there */
	bool unattended;      /* the test answers for storage, lockspace and watchdog, too */
	enum work_id answers; /* it answers for this one of them alone; 0 for none */
	/* Of the last reply. */
	unsigned int replies;
	int status;
	char *body;	    /* "" for none */
	char headers[2048]; /* "Name: value\n" */
	/* Other hosts. */
	struct ops_asked asked[16];
	size_t n_asked;
	unsigned int asks; /* in all */
	bool unreachable;
	int64_t announced; /* since when this one is in maintenance, as they were told */
	/* What the daemon says. */
	const char *libvirt, *serf; /* what is missing of them */
	const char *missing;	    /* whose VMs are not known, NULL while that is open */
	const char *behind; /* who has told of VMs that are not known yet, NULL for nobody */
	const char *taken;  /* a name or an address that another host has, NULL for none */
	/* Of keeper_probe. */
	unsigned int probes;
	char probed[37];
	/* sanlock's process. */
	const char *sanlock; /* why it does not answer, NULL where it does */
	void (*sanlock_ended)(void *arg);
	void *sanlock_arg;
} here;

/* For cmocka: virtxd has just been started, and nothing is known. Teardown stops
 * it, and asserts that no timer is left. */
int ops_setup(void **state);
int ops_teardown(void **state);
/* Libvirt, storage and lockspace are there; the job that reads the maintenance is under way. */
void ops_start(void);
/* And there is no maintenance. */
void ops_up(void);
/* Time goes on; what is due runs. Jobs that look at storage, lockspace and watchdog find all well,
 * unless they are left to the test. */
void ops_advance(int64_t ms);

/* The first job of this kind that is under way; NULL for none. */
struct ops_job *ops_find_job(enum work_id work);
/* What it was asked; there must be one. */
const void *ops_request_of(enum work_id work);
/* It ends with this result (copied; NULL for one without anything), or fails. */
void ops_end_job(enum work_id work, const void *result);
void ops_fail_job(enum work_id work, int status, const char *detail);
void ops_fail_job_as(enum work_id work, const struct error *err);
/* It tells how far it is. */
void ops_progress(enum work_id work, int percent, enum work_stage stage);

/* A request for this route; the reply frees it. */
struct request *ops_request(enum route_id route, const char *param, const char *body);
/* The state of an operation, "" for none that is known. */
const char *ops_state(const char *operation);
/* The newest operation, borrowed; NULL for none. */
const struct operation *ops_latest(void);

/* The host that was asked first answers; status 0: it does not, and body says why. */
void ops_answer(int status, const char *body);

/* A VM of 16 MiB in this state, as a job reports it; of this host. */
void ops_report(const char *vm, enum vmrunstate runstate, struct vm_report *ret);
void ops_add_vm(const char *vm, enum vmrunstate runstate);
/* What a job says that has done its work on it. */
struct vm_result ops_result(const char *vm, enum vmrunstate runstate);
/* Another host tells of itself, and of a VM that it has. */
void ops_add_host(const char *uuid, const char *name, int32_t memory);
void ops_add_remote(const char *vm, const char *host, enum vmrunstate runstate);
/* Its run state here. */
enum vmrunstate ops_runstate(const char *vm);

#endif
