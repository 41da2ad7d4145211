/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A mutating request: an operation is begun, a job does it, the inventory learns its result, and
 * only then the client is answered, so that its next request sees what it did. With "Prefer:
 * respond-async" the answer comes at once.
 */
#ifndef API_ACTION_H
#define API_ACTION_H

#include "api/request.h"
#include "work/work.h"

struct action;
struct api;

/*
 * Starts the job (its request model's object is encoded before returning; the result is a
 * vm_result, or what the route replies with) on this VM, "" for none. success is the status to
 * answer with: 201 carries the VM's uuid as a JSON string, 204 becomes a 200 where there is a
 * warning, 200 a 201 without a body where libvirt has the VM only now. A migration is answered with
 * its operation as soon as it begins. Answers itself in every case; returns the operation's id
 * (borrowed) where the job was started, else NULL.
 */
const char *action_start(struct api *api, struct request *req, enum work_id work,
    const void *request, const char *vm, int success);
/* What a VM's new host has to do with an action. */
struct action_place {
	uint64_t reservation; /* ended with the action; 0 for none */
	const char *why;      /* the host was chosen: the operation ends with it; "" for none */
};
/* The same, on a host that was chosen, or for one. */
const char *action_start_placed(struct api *api, struct request *req, enum work_id work,
    const void *request, const char *vm, int success, const struct action_place *place);

/* Sees to what comes before a job, and after it. */
struct action_owner {
	/* The job has failed before it did anything. True: the action is open again for another
	 * one, or was ended. */
	bool (*refused)(void *arg, const struct error *err);
	/* The operation has ended: err is NULL where it was done. The action is gone. */
	void (*ended)(void *arg, const struct error *err);
};
/*
 * Begins an operation whose job is started later; until then no other one on the VM is begun. req
 * is answered as by action_start; NULL: nobody is. owner (borrowed) is told, but not when virtxd
 * stops before the end. NULL with err where the VM is busy: req is answered then, and owner not
 * told.
 */
struct action *action_open(struct api *api, enum route_id route, struct request *req,
    const char *user, const char *vm, const struct action_owner *owner, void *arg,
    struct error *err);
/* The operation's id, borrowed. */
const char *action_operation(const struct action *action);
/* Starts the job of an open action; 0, or -1 with err: it is open still, and the place's
 * reservation is none any more. */
int action_work(struct action *action, enum work_id work, const void *request,
    const struct action_place *place, struct error *err);
/* Ends one that is open. */
void action_fail(struct action *action, const struct error *err);
/* Whether an operation of this route is under way. */
bool action_is_under_way(const struct api *api, enum route_id route);
/* 202 with an operation and where it is found. */
void action_reply_accepted(struct api *api, struct request *req, const char *operation);
/* Replies with what a job says that changes nothing, whose result is what the route replies with.
 */
void action_ask(struct api *api, struct request *req, enum work_id work, const void *request);
/* Has a job look at something before the request is answered, which looked does; err is NULL where
 * all was well, and result is what the job has found. */
typedef void (*action_looked)(
    struct api *api, struct request *req, const void *result, const struct error *err);
void action_look(struct api *api, struct request *req, enum work_id work, const void *request,
    action_looked looked);
/* 0 when the VM is known and here, else the error was sent and req is gone. */
int action_find_vm(struct api *api, struct request *req);
/* What has to be there for a request; each needs those before it, too. */
enum action_need {
	ACTION_NEEDS_LIBVIRT,
	ACTION_NEEDS_STORAGE,
	ACTION_NEEDS_LOCKSPACE,
};
/* What something needs that works with this many leases. */
enum action_need action_need_of(unsigned int leases);
/* 0 when that is there, or -1 with a 503. */
int action_ready(struct api *api, enum action_need need, struct error *err);
/* The same; the 503 was sent then and req is gone. */
int action_check_ready(struct api *api, struct request *req, enum action_need need);
/* Reads the body into obj (zero before); 0, or the 400 was sent and req is gone. */
int action_read(struct request *req, void *obj);
/* The same of what the Go virtx does not ask: an unknown key is a 400, too. */
int action_read_exact(struct request *req, void *obj);

/* virtxd stops: forgets the actions under way, whose jobs finish by themselves. After jobs_free. */
void actions_free(struct api *api);

#endif
