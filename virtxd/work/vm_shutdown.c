/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/works.h"

#include "work/hypervisor.h"
#include "work/oplog.h"
#include "work/vm_already.h"
#include "work/vm_session.h"
#include "work/work.h"

enum { FORCE_ACPI, FORCE_TERM, FORCE_KILL };

static int
act(virDomainPtr domain, int force)
{
	switch (force) {
	case FORCE_ACPI:
		return virDomainShutdownFlags(domain, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN);
	case FORCE_TERM:
		return virDomainDestroyFlags(domain, VIR_DOMAIN_DESTROY_GRACEFUL);
	default:
		return virDomainDestroyFlags(domain, VIR_DOMAIN_DESTROY_DEFAULT);
	}
}

int
work_vm_shutdown(const void *request, void *result, struct error *err)
{
	const struct vm_shutdown_request *req = request;
	struct vm_result *res = result;
	_vm_session_ struct vm_session session = VM_SESSION_CLOSED;
	const char *msg = req->force == FORCE_ACPI ? "" : "forced shutdown";
	bool transient;
	int64_t ts;

	if (vm_session_open(&session, &req->env, req->uuid, err) < 0 ||
	    vm_session_find(&session, err) < 0)
		return -1;
	if (virDomainIsActive(session.domain) == 0)
		return vm_already(session.domain, &req->env, req->uuid, req->if_needed,
		    ERROR_ALREADY_OFF, res, err);
	transient = virDomainIsPersistent(session.domain) == 0;
	work_stage(WORK_STAGE_BEGUN);
	if (oplog_begin(session.domain, "VmShutdown", msg, &ts, err) < 0)
		return -1;
	if (act(session.domain, req->force) < 0) {
		hypervisor_error(err, 424, "cannot shut down VM '%s'", req->uuid);
		oplog_end(session.domain, "VmShutdown", ts, NULL, err);
		if (virDomainIsActive(session.domain) == 1)
			work_stage(WORK_STAGE_NONE);
		return -1;
	}
	work_stage(WORK_STAGE_DONE);
	/* An ACPI shutdown ends when the guest has obeyed: vm-heal writes that down. */
	if (req->force != FORCE_ACPI) {
		/* libvirt forgets one that has no definition. */
		res->gone = transient;
		if (transient)
			return 0;
		oplog_end(session.domain, "VmShutdown", ts, msg, NULL);
	}
	return hypervisor_report(session.domain, req->env.root, &res->vm, err);
}
