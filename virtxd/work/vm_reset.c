/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reset and reboot. What nobody can tell of one that was cut off is whether it had come to QEMU,
 * and twice would be once too often: a job that dies before libvirt has answered has failed. */
#include "work/works.h"

#include "state/reason.h"
#include "work/hypervisor.h"
#include "work/oplog.h"
#include "work/vm_session.h"
#include "work/work.h"

struct action {
	const char *op;
	const char *verb;
	bool ends; /* with the call: the log waits for nothing else */
	int (*act)(virDomainPtr domain);
};

static bool
is_recorded(virDomainPtr domain, const struct domain_info *info)
{
	return info->recorded && virDomainIsPersistent(domain) == 1;
}

static int
check(const struct action *action, const struct vm_request *req, virDomainPtr domain,
    const struct domain_info *info, struct error *err)
{
	enum vmrunstate runstate;

	if (hypervisor_runstate(domain, &runstate, err) < 0)
		return -1;
	if (runstate != VMRUNSTATE_RUNNING)
		return error_set_type(err, ERROR_NOT_RUNNING, "cannot %s VM '%s': it is %s, not %s",
		    action->verb, req->uuid, enum_word(&vmrunstate_enum, runstate),
		    enum_word(&vmrunstate_enum, VMRUNSTATE_RUNNING));
	/* Its guest would forget that, and it would run on while it is wanted off. */
	if (reason_shutdown(&info->oplog, is_recorded(domain, info), info->want) == SHUTDOWN_WAITS)
		return error_set(err, 409,
		    "cannot %s VM '%s': its guest was asked to shut down, and has not yet; a boot "
		    "with if_needed lets it stay on, a shutdown with force ends it",
		    action->verb, req->uuid);
	/* Who boots what is off looks at that. */
	if (!action->ends && (!is_recorded(domain, info) || info->want != WANT_ON))
		return error_set_type(err, ERROR_REFUSED,
		    "cannot %s VM '%s': its definition does not tell that it is wanted on, so that "
		    "it would stay off; shut it down and boot it, or reset it",
		    action->verb, req->uuid);
	return 0;
}

static int
work(const struct action *action, const struct vm_request *req, struct vm_result *res,
    struct error *err)
{
	_vm_session_ struct vm_session session = VM_SESSION_CLOSED;
	_domain_info_ struct domain_info info = { 0 };
	int64_t ts;

	if (vm_session_open(&session, &req->env, req->uuid, err) < 0 ||
	    vm_session_find(&session, err) < 0 ||
	    hypervisor_info(session.domain, req->env.root, &info, err) < 0 ||
	    check(action, req, session.domain, &info, err) < 0 ||
	    oplog_begin_after(session.domain, &info.oplog, action->op, "", &ts, err) < 0)
		return -1;
	if (action->act(session.domain) < 0) {
		hypervisor_error(err, 424, "cannot %s VM '%s'", action->verb, req->uuid);
		oplog_end(session.domain, action->op, ts, NULL, err);
		return -1;
	}
	work_stage(WORK_STAGE_DONE);
	if (action->ends)
		oplog_end(session.domain, action->op, ts, "", NULL);
	return hypervisor_report(session.domain, req->env.root, &res->vm, err);
}

static int
reset(virDomainPtr domain)
{
	return virDomainReset(domain, 0);
}

int
work_vm_reset(const void *request, void *result, struct error *err)
{
	static const struct action action = { "VmReset", "reset", true, reset };

	return work(&action, request, result, err);
}

/* virDomainReboot would have libvirt reset QEMU, which has its leases still, and acquire them once
 * more: sanlock refuses that, and libvirt kills the VM. So its guest goes off, and virtxd boots it
 * again. */
static int
ask(virDomainPtr domain)
{
	return virDomainShutdownFlags(domain, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN);
}

int
work_vm_reboot(const void *request, void *result, struct error *err)
{
	static const struct action action = { "VmReboot", "reboot", false, ask };

	return work(&action, request, result, err);
}
