/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/works.h"

#include "domain/registry.h"
#include "proto/log.h"
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

/* A VM that went off leaves its cloud-init CD behind; one that went to another host took it along,
 * resource and all. */
static int
heal_cloud_init(
    const struct vm_heal_request *req, virConnectPtr conn, virDomainPtr domain, struct error *err)
{
	_free_ char *xml = NULL;
	int state, reason;

	if (virDomainGetState(domain, &state, &reason, 0) < 0)
		return hypervisor_error(err, 424, "cannot read the state of VM '%s'", req->uuid);
	if (state != VIR_DOMAIN_SHUTOFF || reason == VIR_DOMAIN_SHUTOFF_MIGRATED)
		return 0;
	if (registry_load(req->env.root, req->env.host, req->uuid, &xml, err) < 0)
		return -1;
	if (!xml)
		return 0;
	return cloud_init_drop(&req->env, conn, domain, req->uuid, err);
}

/* An operation that is "started" in the VM's log and has no job: says how it ended. */
static void
heal_oplog(virDomainPtr domain, const char *host, const struct oplog_list *oplog)
{
	bool on = virDomainIsActive(domain) == 1;
	struct error cause = { 0 };

	for (size_t i = 0; i < oplog->n_items; i++) {
		const struct oplog_item *item = &oplog->items[i];

		if (!str_equal(item->status, "started"))
			continue;
		if (str_equal(item->op, "VmShutdown")) {
			if (!on)
				oplog_end(domain, item->op, item->ts,
				    str_empty(item->msg) ? "graceful shutdown" : item->msg, NULL);
		} else if (str_equal(item->op, "VmBoot") && on) {
			oplog_end(domain, item->op, item->ts, "", NULL);
		} else if (str_equal(item->op, "VmMigrate") && str_equal(item->msg, host)) {
			oplog_end(domain, item->op, item->ts, item->msg, NULL);
		} else {
			error_set(
			    &cause, 500, "%s", str_empty(item->msg) ? "interrupted" : item->msg);
			oplog_end(domain, item->op, item->ts, NULL, &cause);
		}
	}
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

/* The VM itself, once its journal is settled. */
static int
heal(
    const struct vm_heal_request *req, virConnectPtr conn, struct vm_result *res, struct error *err)
{
	_domain_ virDomainPtr domain = NULL;
	_domain_info_ struct domain_info info = { 0 };
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
	if (heal_cloud_init(req, conn, domain, err) < 0)
		return -1;
	heal_oplog(domain, req->env.host, &info.oplog);
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
