/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/works.h"

#include "work/hypervisor.h"
#include "work/oplog.h"
#include "work/vm_already.h"
#include "work/vm_leases.h"
#include "work/vm_owner.h"
#include "work/vm_session.h"
#include "work/vm_steps.h"
#include "work/work.h"

/* Pausing and resuming differ in one step. */
struct action {
	const char *op;
	const char *verb;
	enum vmrunstate from, to;
	enum error_type already; /* it is that */
	int (*act)(const struct vm_request *req, virDomainPtr domain,
	    const struct domain_info *info, char **warning, struct error *err);
};

/* A VM can be paused whatever is the matter with its leases. */
static int
suspend(const struct vm_request *req, virDomainPtr domain, const struct domain_info *info,
    char **warning, struct error *err)
{
	struct error cause = { 0 };
	struct vm_leases leases;
	int r = vm_leases_before_pause(domain, &leases, &cause);

	if (virDomainSuspend(domain) < 0)
		return hypervisor_error(err, 424, "cannot pause VM '%s'", req->uuid);
	if (r == 0)
		r = vm_leases_hold(&req->env, domain, &leases, &cause);
	if (r < 0)
		vm_add_warning(warning, "VM '%s' does not hold its leases while it is paused: %s",
		    req->uuid, cause.detail);
	return 0;
}

static int
resume(const struct vm_request *req, virDomainPtr domain, const struct domain_info *info,
    char **warning, struct error *err)
{
	struct error cause = { 0 };
	struct vm_leases leases;

	if (vm_owner_check(&req->env, domain, req->uuid, VM_WANT_RUN, err) < 0 ||
	    vm_leases_let_go(&req->env, domain, info, &leases, err) < 0)
		return error_wrap(err, "cannot resume VM '%s'", req->uuid);
	if (virDomainResume(domain) == 0) {
		vm_record_leases(domain, req->uuid, warning);
		return 0;
	}
	hypervisor_error(err, 424, "cannot resume VM '%s'", req->uuid);
	if (vm_leases_hold(&req->env, domain, &leases, &cause) < 0)
		error_append(err, "%s", cause.detail);
	return -1;
}

static int
work(const struct action *action, const struct vm_request *req, struct vm_result *res,
    struct error *err)
{
	_vm_session_ struct vm_session session = VM_SESSION_CLOSED;
	_domain_info_ struct domain_info info = { 0 };
	enum vmrunstate runstate;
	int64_t ts;

	if (vm_session_open(&session, &req->env, req->uuid, err) < 0 ||
	    vm_session_find(&session, err) < 0 ||
	    hypervisor_runstate(session.domain, &runstate, err) < 0 ||
	    hypervisor_info(session.domain, req->env.root, &info, err) < 0)
		return -1;
	if (runstate == action->to)
		return vm_already(session.domain, &req->env, req->uuid, req->if_needed,
		    action->already, res, err);
	if (runstate != action->from)
		return error_set_type(err, ERROR_NOT_RUNNING, "cannot %s VM '%s': it is %s, not %s",
		    action->verb, req->uuid, enum_word(&vmrunstate_enum, runstate),
		    enum_word(&vmrunstate_enum, action->from));
	work_stage(WORK_STAGE_BEGUN);
	if (oplog_begin_after(session.domain, &info.oplog, action->op, "", &ts, err) < 0)
		return -1;
	if (action->act(req, session.domain, &info, &res->warning, err) < 0) {
		oplog_end(session.domain, action->op, ts, NULL, err);
		if (hypervisor_runstate(session.domain, &runstate, NULL) == 0 &&
		    runstate == action->from)
			work_stage(WORK_STAGE_NONE);
		return -1;
	}
	oplog_end(session.domain, action->op, ts, "", NULL);
	return hypervisor_report(session.domain, req->env.root, &res->vm, err);
}

int
work_vm_pause(const void *request, void *result, struct error *err)
{
	static const struct action action = { "VmPause", "pause", VMRUNSTATE_RUNNING,
		VMRUNSTATE_PAUSED, ERROR_ALREADY_PAUSED, suspend };

	return work(&action, request, result, err);
}

int
work_vm_resume(const void *request, void *result, struct error *err)
{
	static const struct action action = { "VmResume", "resume", VMRUNSTATE_PAUSED,
		VMRUNSTATE_RUNNING, ERROR_ALREADY_RUNNING, resume };

	return work(&action, request, result, err);
}
