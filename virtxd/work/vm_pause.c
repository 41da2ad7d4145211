/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/works.h"

#include "work/hypervisor.h"
#include "work/oplog.h"
#include "work/vm_already.h"
#include "work/vm_lock.h"

/* Pausing and resuming differ in one call. */
struct action {
	const char *op;
	const char *verb;
	enum vmrunstate from, to;
	enum error_type already; /* it is that */
	int (*act)(virDomainPtr domain);
};

static int
work(const struct action *action, const struct vm_request *req, struct vm_result *res,
    struct error *err)
{
	_connect_ virConnectPtr conn = NULL;
	_domain_ virDomainPtr domain = NULL;
	_close_ int lock = -1;
	enum vmrunstate runstate;
	int64_t ts;

	if (vm_lock(req->env.run_dir, req->uuid, &lock, err) < 0 ||
	    hypervisor_open(req->env.uri, &conn, err) < 0 ||
	    hypervisor_find(conn, req->uuid, &domain, err) < 0 ||
	    hypervisor_runstate(domain, &runstate, err) < 0)
		return -1;
	if (runstate == action->to)
		return vm_already(
		    domain, &req->env, req->uuid, req->if_needed, action->already, res, err);
	if (runstate != action->from)
		return error_set_type(err, ERROR_NOT_RUNNING, "cannot %s VM '%s': it is %s, not %s",
		    action->verb, req->uuid, enum_word(&vmrunstate_enum, runstate),
		    enum_word(&vmrunstate_enum, action->from));
	if (oplog_begin(domain, action->op, "", &ts, err) < 0)
		return -1;
	if (action->act(domain) < 0) {
		hypervisor_error(err, 424, "cannot %s VM '%s'", action->verb, req->uuid);
		oplog_end(domain, action->op, ts, NULL, err);
		return -1;
	}
	oplog_end(domain, action->op, ts, "", NULL);
	return hypervisor_report(domain, req->env.root, &res->vm, err);
}

int
work_vm_pause(const void *request, void *result, struct error *err)
{
	static const struct action action = { "VmPause", "pause", VMRUNSTATE_RUNNING,
		VMRUNSTATE_PAUSED, ERROR_ALREADY_PAUSED, virDomainSuspend };

	return work(&action, request, result, err);
}

int
work_vm_resume(const void *request, void *result, struct error *err)
{
	static const struct action action = { "VmResume", "resume", VMRUNSTATE_PAUSED,
		VMRUNSTATE_RUNNING, ERROR_ALREADY_RUNNING, virDomainResume };

	return work(&action, request, result, err);
}
