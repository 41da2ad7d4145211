/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A mutating request: an operation is begun, a job does it, the inventory learns its result, and
 * only then the client is answered, so that its next request sees what it did. With "Prefer:
 * respond-async" the answer comes at once.
 *
 *   begun     -> open        its owner looks for a host first
 *   begun     -> running     its job is started
 *   open      -> running     its job is started, for the host that was found
 *   running   -> open        the job did nothing: its owner may look for another host
 *   running   -> inquiring   the job died, or left something half done: how it ended is found out
 *   running   -> moved       the VM has left, and its new host is to tell of it
 *   inquiring -> moved       the same, as was found out
 *
 * The end may come in any of these states.
 */
#ifndef OPS_TASK_H
#define OPS_TASK_H

#include "ops/request.h"
#include "work/work.h"

struct task;
struct context;

/*
 * Starts the job (its request model's object is encoded before returning; the result is a
 * vm_result, or what the route replies with) on this VM, "" for none. success is the status to
 * answer with: 201 carries the VM's uuid as a JSON string, 204 becomes a 200 where there is a
 * warning, 200 a 201 without a body where libvirt has the VM only now. A migration is answered with
 * its operation as soon as it begins. Answers itself in every case; returns the operation's id
 * (borrowed) where the job was started, else NULL.
 */
const char *task_start(struct context *ctx, struct request *req, enum work_id work,
    const void *request, const char *vm, int success);
/* What a VM's new host has to do with a task. */
struct task_place {
	uint64_t reservation; /* ended with the task; 0 for none */
	const char *why;      /* the host was chosen: the operation ends with it; "" for none */
};
/* The same, on a host that was chosen, or for one. */
const char *task_start_placed(struct context *ctx, struct request *req, enum work_id work,
    const void *request, const char *vm, int success, const struct task_place *place);

/* Sees to what comes before a job, and after it. */
struct task_owner {
	/* The job has failed before it did anything. True: the task is open again for another
	 * one, or was ended. NULL: it is a failure. */
	bool (*refused)(void *arg, const struct error *err);
	/* The operation has ended: err is NULL where it was done. The task is gone. */
	void (*ended)(void *arg, const struct error *err);
};
/*
 * Begins an operation whose job is started later; until then no other one on the VM is begun. req
 * is answered as by task_start; NULL: nobody is. owner (borrowed) is told, but not when virtxd
 * stops before the end. NULL with err where the VM is busy: req is answered then, and owner not
 * told.
 */
struct task *task_open(struct context *ctx, enum route_id route, struct request *req,
    const char *user, const char *vm, const struct task_owner *owner, void *arg, struct error *err);
/* The operation's id, borrowed. */
const char *task_operation(const struct task *task);
/* Starts the job of an open task; 0, or -1 with err: it is open still, and the place's
 * reservation is none any more. */
int task_work(struct task *task, enum work_id work, const void *request,
    const struct task_place *place, struct error *err);
/* A warning (copied) that the job has with its success, and that is told, too, where the job dies
 * and it is found out that its work was done. */
void task_set_caution(struct task *task, const char *text);
/* Ends one that is open. */
void task_fail(struct task *task, const struct error *err);
/* Whether an operation of this route is under way. */
bool task_is_under_way(const struct context *ctx, enum route_id route);
/* 202 with an operation and where it is found. */
void task_reply_accepted(struct context *ctx, struct request *req, const char *operation);
/* Replies with what a job says that changes nothing, whose result is what the route replies with.
 */
void task_ask(struct context *ctx, struct request *req, enum work_id work, const void *request);
/* Has a job look at something before the request is answered, which looked does; err is NULL where
 * all was well, and result is what the job has found. */
typedef void (*task_looked)(
    struct context *ctx, struct request *req, const void *result, const struct error *err);
void task_look(struct context *ctx, struct request *req, enum work_id work, const void *request,
    task_looked looked);
/* 0 when the VM is known and here, else the error was sent and req is gone. */
int task_find_vm(struct context *ctx, struct request *req);
/* What has to be there for a request; each needs those before it, too. */
enum task_need {
	TASK_NEEDS_LIBVIRT,
	TASK_NEEDS_STORAGE,
	TASK_NEEDS_LOCKSPACE,
};
/* What something needs that works with this many leases. */
enum task_need task_need_of(unsigned int leases);
/* 0 when that is there, or -1 with a 503. */
int task_ready(struct context *ctx, enum task_need need, struct error *err);
/* The same; the 503 was sent then and req is gone. */
int task_check_ready(struct context *ctx, struct request *req, enum task_need need);
/* Reads the body into obj (zero before); 0, or the 400 was sent and req is gone. */
int task_read(struct request *req, void *obj);
/* The same of what the Go virtx does not ask: an unknown key is a 400, too. */
int task_read_exact(struct request *req, void *obj);

/* virtxd stops: forgets the tasks under way, whose jobs finish by themselves. After jobs_free. */
void tasks_free(struct context *ctx);

#endif
