/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/works.h"

#include "domain/registry.h"
#include "proto/log.h"
#include "state/reason.h"
#include "work/cloud_init.h"
#include "work/hypervisor.h"
#include "work/migration_steps.h"
#include "work/oplog.h"
#include "work/vm_recover.h"
#include "work/vm_leases.h"
#include "work/vm_session.h"
#include "work/vm_steps.h"
#include "work/vm_variables.h"
#include "work/vm_verdict.h"
#include "work/wanted.h"

/* How libvirt has it. */
struct standing {
	int state, reason;
	bool off;
};

/* One that libvirt is just starting or ending is looked at later. */
static int
look(virDomainPtr domain, const char *uuid, struct standing *ret, struct error *err)
{
	int active = virDomainIsActive(domain);

	if (active < 0 || virDomainGetState(domain, &ret->state, &ret->reason, 0) < 0)
		return hypervisor_error(err, 424, "cannot read the state of VM '%s'", uuid);
	ret->off = ret->state == VIR_DOMAIN_SHUTOFF;
	if (ret->off == (active == 1))
		return error_set_type(
		    err, ERROR_BUSY, "libvirt is just starting or ending VM '%s'", uuid);
	return 0;
}

/* A VM that went off leaves its cloud-init CD behind; one that went to another host took it along,
 * resource and all. */
static int
heal_cloud_init(const struct vm_heal_request *req, virConnectPtr conn, virDomainPtr domain,
    const struct standing *standing, struct error *err)
{
	_free_ char *xml = NULL;

	if (!standing->off || standing->reason == VIR_DOMAIN_SHUTOFF_MIGRATED)
		return 0;
	if (registry_load(req->env.root, req->env.host, req->uuid, &xml, err) < 0)
		return -1;
	if (!xml)
		return 0;
	return cloud_init_drop(&req->env, conn, domain, req->uuid, err);
}

/* Says how an operation ended that is "started", and has no job. */
static void
end_cut_off(virDomainPtr domain, const struct oplog_item *item)
{
	struct error cause = { 0 };

	error_set(&cause, 500, "%s", str_empty(item->msg) ? "interrupted" : item->msg);
	oplog_end(domain, item->op, item->ts, NULL, &cause);
}

/* The same of a shutdown; where its guest is still to obey it goes on. */
static void
end_shutdown(virDomainPtr domain, const struct domain_info *info, const struct oplog_item *item,
    const struct standing *standing)
{
	bool recorded = info->recorded && virDomainIsPersistent(domain) == 1;
	enum shutdown shutdown = reason_shutdown(&info->oplog, recorded, info->want);
	struct error cause = { 0 };

	if (standing->off || shutdown == SHUTDOWN_OVER) {
		oplog_end(domain, item->op, item->ts,
		    str_empty(item->msg) ? "graceful shutdown" : item->msg, NULL);
	} else if (shutdown == SHUTDOWN_CUT_OFF &&
		   wanted_is_on(standing->state, standing->reason)) {
		error_set(&cause, 500, "interrupted");
		oplog_end(domain, item->op, item->ts, NULL, &cause);
	}
}

/* Whether the VM is off as its guest has gone off to reboot. A libvirt that was started since, or
 * that of the host the VM came to, does not tell why it is off: that it is excused does. */
static bool
is_off_to_reboot(const struct domain_info *info, const struct standing *standing)
{
	return info->want == WANT_ON &&
	       (standing->reason == VIR_DOMAIN_SHUTOFF_SHUTDOWN ||
		   (standing->reason == VIR_DOMAIN_SHUTOFF_UNKNOWN && info->excused));
}

/* The same of a reboot. A VM whose guest has gone off is booted again, and ends it; a boot that was
 * cut off does not. */
static void
end_reboot(virDomainPtr domain, const struct domain_info *info, const struct oplog_item *item,
    const struct standing *standing)
{
	struct error cause = { 0 };

	switch (reason_reboot(&info->oplog)) {
	case REBOOT_DONE:
		if (!standing->off || !wanted_is_booting(&info->oplog))
			oplog_end(domain, item->op, item->ts, "", NULL);
		return;
	case REBOOT_CANCELLED:
		error_set(&cause, 409, "it was shut down since, or asked to");
		break;
	default:
		if (standing->off ? is_off_to_reboot(info, standing)
				  : now_ms() - item->ts < REASON_REBOOT_MS)
			return;
		error_set(&cause, 504, "%s",
		    standing->off ? "it went off in another way"
				  : "its guest has not obeyed within ten minutes");
		break;
	}
	oplog_end(domain, item->op, item->ts, NULL, &cause);
}

static void
heal_oplog(virDomainPtr domain, const char *host, const struct domain_info *info,
    const struct standing *standing)
{
	for (size_t i = 0; i < info->oplog.n_items; i++) {
		const struct oplog_item *item = &info->oplog.items[i];

		if (!str_equal(item->status, "started"))
			continue;
		if (str_equal(item->op, "VmShutdown"))
			end_shutdown(domain, info, item, standing);
		else if (str_equal(item->op, "VmReboot"))
			end_reboot(domain, info, item, standing);
		else if (str_equal(item->op, "VmBoot") && !standing->off)
			oplog_end(domain, item->op, item->ts, "", NULL);
		else if (str_equal(item->op, "VmMigrate") && str_equal(item->msg, host))
			oplog_end(domain, item->op, item->ts, item->msg, NULL);
		else
			end_cut_off(domain, item);
	}
}

/* The job of a shutdown may have ended before it could ask the guest; one that has been asked
 * passes over it. */
static int
ask_guest(const struct vm_heal_request *req, virDomainPtr domain, const struct domain_info *info,
    const struct standing *standing, struct error *err)
{
	if (!str_equal(req->op, "VmShutdown") || info->want != WANT_OFF ||
	    !wanted_is_on(standing->state, standing->reason) ||
	    reason_shutdown(&info->oplog, info->recorded, info->want) != SHUTDOWN_WAITS)
		return 0;
	if (virDomainShutdownFlags(domain, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN) < 0)
		return hypervisor_error(err, 424, "cannot shut down VM '%s'", req->uuid);
	return 0;
}

/* One that runs, whoever has booted, resumed or moved it. */
static void
record_leases(const struct vm_heal_request *req, virDomainPtr domain)
{
	struct error err = { 0 };

	if (vm_leases_record(domain, &err) < 0)
		log_warning(
		    "job", "the leases of VM '%s' are not recorded: %s", req->uuid, err.detail);
}

/* The VM itself, once its journal is carried out. */
static int
heal(
    const struct vm_heal_request *req, virConnectPtr conn, struct vm_result *res, struct error *err)
{
	_domain_ virDomainPtr domain = NULL;
	_domain_info_ struct domain_info info = { 0 };
	struct standing standing = { 0 };
	enum migration_end end;

	if (hypervisor_look_up(conn, req->uuid, &domain, err) < 0)
		return -1;
	if (!domain || !hypervisor_counts(domain, req->env.root)) {
		res->gone = true;
		return 0;
	}
	if (hypervisor_info(domain, req->env.root, &info, err) < 0 ||
	    migration_arrive(&req->env, domain, &info, &end, err) < 0)
		return -1;
	if (end == MIGRATION_LEFTOVER) {
		res->gone = true;
		vm_forget_moved_variables(&req->env, req->uuid);
		return migration_undefine(domain, err);
	}
	if (end != MIGRATION_HERE)
		return hypervisor_report(domain, req->env.root, &res->vm, err);
	if (look(domain, req->uuid, &standing, err) < 0 ||
	    heal_cloud_init(req, conn, domain, &standing, err) < 0 ||
	    wanted_heal(req, domain, &info, standing.state, standing.reason, err) < 0 ||
	    ask_guest(req, domain, &info, &standing, err) < 0)
		return -1;
	heal_oplog(domain, req->env.host, &info, &standing);
	record_leases(req, domain);
	return hypervisor_report(domain, req->env.root, &res->vm, err);
}

int
work_vm_heal(const void *request, void *result, struct error *err)
{
	const struct vm_heal_request *req = request;
	struct vm_result *res = result;
	_vm_session_ struct vm_session session = VM_SESSION_CLOSED;
	int finished;

	if (vm_session_open(&session, &req->env, req->uuid, err) < 0)
		return -1;
	finished = vm_recover(&req->env, session.conn, req->uuid, &res->warning, err);
	if (finished < 0 || heal(req, session.conn, res, err) < 0)
		return -1;
	return vm_verdict(req, finished > 0, res, err);
}
