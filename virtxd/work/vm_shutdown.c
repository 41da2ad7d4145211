/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/works.h"

#include "proto/log.h"
#include "state/reason.h"
#include "work/hypervisor.h"
#include "work/oplog.h"
#include "work/vm_already.h"
#include "work/vm_session.h"
#include "work/wanted.h"
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

/* One that crashed, or went down with its host, is off, and it is news that it is to stay so. */
static int
stay_off(const struct vm_shutdown_request *req, virDomainPtr domain, struct domain_info *info,
    struct vm_result *res, struct error *err)
{
	if (info->want != WANT_ON)
		return vm_already(
		    domain, &req->env, req->uuid, req->if_needed, ERROR_ALREADY_OFF, res, err);
	if (wanted_define(domain, info, WANT_OFF, false, err) < 0)
		return -1;
	if (req->storage)
		wanted_tell(&req->env, domain, info, &res->warning);
	return hypervisor_report(domain, req->env.root, &res->vm, err);
}

/* It is wanted off before libvirt is told, so that vm-heal knows where this is cut off. */
static int
shut_down(const struct vm_shutdown_request *req, virDomainPtr domain, struct domain_info *info,
    struct error *err)
{
	if (wanted_define(domain, info, WANT_OFF, false, err) < 0)
		return -1;
	if (act(domain, req->force) < 0)
		return hypervisor_error(err, 424, "cannot shut down VM '%s'", req->uuid);
	return 0;
}

/* The shutdown before this one, which its guest was asked for and has not obeyed yet; NULL for
 * none.
 */
static const struct oplog_item *
find_earlier(virDomainPtr domain, const struct domain_info *info)
{
	bool recorded = info->recorded && virDomainIsPersistent(domain) == 1;

	return reason_shutdown(&info->oplog, recorded, info->want) == SHUTDOWN_WAITS
		   ? reason_asked_off(&info->oplog)
		   : NULL;
}

/* One that is not on any more has gone off by itself: the log stays open for vm-heal. What was
 * accepted earlier holds still. */
static void
give_up(virDomainPtr domain, struct domain_info *info, int64_t ts, const struct oplog_item *earlier,
    const struct error *cause)
{
	struct error err = { 0 };

	if (virDomainIsActive(domain) != 1)
		return;
	if (wanted_define(domain, info, earlier ? WANT_OFF : WANT_ON, false, &err) < 0 ||
	    (earlier && oplog_begin_at(domain, "VmShutdown", earlier->msg, earlier->ts, &err) < 0))
		log_warning("job", "%s", err.detail);
	if (!earlier)
		oplog_end(domain, "VmShutdown", ts, NULL, cause);
	work_stage(WORK_STAGE_NONE);
}

int
work_vm_shutdown(const void *request, void *result, struct error *err)
{
	const struct vm_shutdown_request *req = request;
	struct vm_result *res = result;
	_vm_session_ struct vm_session session = VM_SESSION_CLOSED;
	_domain_info_ struct domain_info info = { 0 };
	const char *msg = req->force == FORCE_ACPI ? "" : "forced shutdown";
	const struct oplog_item *earlier;
	bool transient;
	int64_t ts;

	if (vm_session_open(&session, &req->env, req->uuid, err) < 0 ||
	    vm_session_find(&session, err) < 0 ||
	    hypervisor_info(session.domain, req->env.root, &info, err) < 0)
		return -1;
	if (virDomainIsActive(session.domain) == 0)
		return stay_off(req, session.domain, &info, res, err);
	earlier = find_earlier(session.domain, &info);
	transient = virDomainIsPersistent(session.domain) == 0;
	work_stage(WORK_STAGE_BEGUN);
	if (oplog_begin_after(session.domain, &info.oplog, "VmShutdown", msg, &ts, err) < 0)
		return -1;
	if (shut_down(req, session.domain, &info, err) < 0) {
		give_up(session.domain, &info, ts, earlier, err);
		return -1;
	}
	work_stage(WORK_STAGE_DONE);
	/* libvirt forgets one that has no definition. */
	res->gone = transient && req->force != FORCE_ACPI;
	if (res->gone)
		return 0;
	if (req->storage)
		wanted_tell(&req->env, session.domain, &info, &res->warning);
	/* An ACPI shutdown ends when the guest has obeyed: vm-heal writes that down. */
	if (req->force != FORCE_ACPI)
		oplog_end(session.domain, "VmShutdown", ts, msg, NULL);
	return hypervisor_report(session.domain, req->env.root, &res->vm, err);
}
