/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/works.h"

#include "state/reason.h"
#include "work/hypervisor.h"
#include "work/oplog.h"
#include "work/vm_session.h"
#include "work/work.h"

#define OP "VmReset"

static int
check(const struct vm_request *req, virDomainPtr domain, const struct domain_info *info,
    struct error *err)
{
	bool recorded = info->recorded && virDomainIsPersistent(domain) == 1;
	enum vmrunstate runstate;

	if (hypervisor_runstate(domain, &runstate, err) < 0)
		return -1;
	if (runstate != VMRUNSTATE_RUNNING)
		return error_set_type(err, ERROR_NOT_RUNNING,
		    "cannot reset VM '%s': it is %s, not %s", req->uuid,
		    enum_word(&vmrunstate_enum, runstate),
		    enum_word(&vmrunstate_enum, VMRUNSTATE_RUNNING));
	/* Its guest would forget that, and it would run on while it is wanted off. */
	if (reason_shutdown(&info->oplog, recorded, info->want) == SHUTDOWN_WAITS)
		return error_set(err, 409,
		    "cannot reset VM '%s': its guest was asked to shut down, and has not yet; a "
		    "boot with if_needed lets it stay on, a shutdown with force ends it",
		    req->uuid);
	return 0;
}

/* Nobody can tell whether one that was cut off had come to QEMU, and twice would be once too often:
 * a job that dies before libvirt has answered has failed. */
int
work_vm_reset(const void *request, void *result, struct error *err)
{
	const struct vm_request *req = request;
	struct vm_result *res = result;
	_vm_session_ struct vm_session session = VM_SESSION_CLOSED;
	_domain_info_ struct domain_info info = { 0 };
	int64_t ts;

	if (vm_session_open(&session, &req->env, req->uuid, err) < 0 ||
	    vm_session_find(&session, err) < 0 ||
	    hypervisor_info(session.domain, req->env.root, &info, err) < 0 ||
	    check(req, session.domain, &info, err) < 0 ||
	    oplog_begin_after(session.domain, &info.oplog, OP, "", &ts, err) < 0)
		return -1;
	if (virDomainReset(session.domain, 0) < 0) {
		hypervisor_error(err, 424, "cannot reset VM '%s'", req->uuid);
		oplog_end(session.domain, OP, ts, NULL, err);
		return -1;
	}
	work_stage(WORK_STAGE_DONE);
	oplog_end(session.domain, OP, ts, "", NULL);
	return hypervisor_report(session.domain, req->env.root, &res->vm, err);
}
