/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <libvirt/virterror.h>

#include "proto/log.h"
#include "proto/vmdef.h"
#include "work/cloud_init.h"
#include "work/hypervisor.h"
#include "work/migration_steps.h"
#include "work/oplog.h"
#include "work/vm_files.h"
#include "work/vm_owner.h"
#include "work/vm_renew.h"
#include "work/vm_saved.h"
#include "work/vm_session.h"
#include "work/vm_steps.h"
#include "work/work.h"
#include "work/works.h"

/* The parameters of one migration, and what they are called by libvirt. */
struct call {
	virTypedParameterPtr params;
	int n, capacity;
	unsigned int flags;
};

static int
prepare_live(const struct vm_migrate_request *req, virDomainPtr domain, struct call *call)
{
	int vcpus = virDomainGetVcpusFlags(domain, VIR_DOMAIN_AFFECT_LIVE);

	call->flags |= VIR_MIGRATE_LIVE | VIR_MIGRATE_AUTO_CONVERGE | VIR_MIGRATE_ABORT_ON_ERROR |
		       VIR_MIGRATE_UNSAFE;
	if (virTypedParamsAddString(
		&call->params, &call->n, &call->capacity, VIR_MIGRATE_PARAM_URI, req->data_uri) < 0)
		return -1;
	if (req->tls)
		call->flags |= VIR_MIGRATE_TLS;
	/* QEMU cannot do both. */
	if (req->post_copy)
		call->flags |= VIR_MIGRATE_POSTCOPY;
	else
		call->flags |= VIR_MIGRATE_PARALLEL;
	if (!req->post_copy &&
	    virTypedParamsAddInt(&call->params, &call->n, &call->capacity,
		VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS, vcpus > 0 ? vcpus : 1) < 0)
		return -1;
	if (req->bandwidth > 0 &&
	    virTypedParamsAddULLong(&call->params, &call->n, &call->capacity,
		VIR_MIGRATE_PARAM_BANDWIDTH, (unsigned long long)req->bandwidth) < 0)
		return -1;
	if (req->downtime > 0 &&
	    virDomainMigrateSetMaxDowntime(domain, (unsigned long long)req->downtime, 0) < 0)
		return -1;
	return 0;
}

/* The definition that stays; the caller's, or NULL. */
static char *
read_definition(const struct vm_migrate_request *req, virDomainPtr domain, struct error *err)
{
	char *xml = virDomainGetXMLDesc(
	    domain, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_MIGRATABLE);

	if (!xml)
		hypervisor_error(err, 424, "cannot read the XML of VM '%s'", req->uuid);
	return xml;
}

/* It goes with the running VM, and has what that has to leave behind. */
static int
prepare(
    const struct vm_migrate_request *req, virDomainPtr domain, struct call *call, struct error *err)
{
	_free_ char *xml = read_definition(req, domain, err);

	if (!xml)
		return -1;
	call->flags =
	    VIR_MIGRATE_PEER2PEER | VIR_MIGRATE_PERSIST_DEST | VIR_MIGRATE_UNDEFINE_SOURCE;
	if (virTypedParamsAddString(
		&call->params, &call->n, &call->capacity, VIR_MIGRATE_PARAM_PERSIST_XML, xml) < 0 ||
	    prepare_live(req, domain, call) < 0)
		return hypervisor_error(
		    err, 424, "cannot prepare the migration of VM '%s'", req->uuid);
	return 0;
}

/* One that arrived paused has to run before QEMU can send it on. */
static bool
must_run_first(const struct oplog_list *oplog)
{
	int64_t arrived = 0, ran = 0;

	for (size_t i = 0; i < oplog->n_items; i++) {
		const struct oplog_item *item = &oplog->items[i];

		if (!str_equal(item->status, "completed"))
			continue;
		if (str_equal(item->op, "VmMigrate"))
			arrived = item->te;
		else if (str_equal(item->op, "VmResume") || str_equal(item->op, "VmBoot"))
			ran = item->te > ran ? item->te : ran;
	}
	return arrived > ran;
}

int
migration_check_state(const struct vm_migrate_request *req, virDomainPtr domain, struct error *err)
{
	_domain_info_ struct domain_info info = { 0 };
	enum vmrunstate runstate;

	if (hypervisor_runstate(domain, &runstate, err) < 0 ||
	    hypervisor_info(domain, req->env.root, &info, err) < 0)
		return -1;
	if (req->live && runstate != VMRUNSTATE_RUNNING && runstate != VMRUNSTATE_PAUSED)
		return error_set(err, 422,
		    "VM '%s' is %s: a live migration needs it running or paused", req->uuid,
		    enum_word(&vmrunstate_enum, runstate));
	if (!req->live && virDomainIsActive(domain) != 0)
		return error_set_type(err, ERROR_NOT_OFF,
		    "VM '%s' is %s: a cold migration needs it powered off", req->uuid,
		    enum_word(&vmrunstate_enum, runstate));
	if (!req->live && vm_saved_refuse(domain, req->uuid, "migrated cold", err) < 0)
		return -1;
	if (runstate == VMRUNSTATE_PAUSED && must_run_first(&info.oplog))
		return error_set(err, 422,
		    "VM '%s' came from another host paused, and has not run since: resume it first",
		    req->uuid);
	return 0;
}

/* The target's QEMU opens all of them while this one has them open, maybe as another user. */
static int
open_files(const struct vm_migrate_request *req, virDomainPtr domain,
    const struct domain_caps *there, char **closed, struct error *err)
{
	_domain_info_ struct domain_info info = { 0 };
	_free_ char *first = NULL;

	if (hypervisor_info(domain, req->env.root, &info, err) < 0)
		return -1;
	vm_files_for_host(&req->env, there);
	vm_files_open(&req->env, req->uuid, &info.def, &first);
	if (first)
		*closed = xasprintf("on host '%s' %s", req->target, first);
	return 0;
}

static int
go_live(const struct vm_migrate_request *req, virDomainPtr domain, const struct domain_caps *there,
    struct error *err)
{
	_free_ char *closed = NULL;
	struct call call = { 0 };
	int r;

	if (open_files(req, domain, there, &closed, err) < 0 ||
	    migration_detach_agent(domain, err) < 0)
		return -1;
	r = prepare(req, domain, &call, err);
	if (r == 0 && virDomainMigrateToURI3(domain, req->target_uri, call.params,
			  (unsigned int)call.n, call.flags) < 0)
		r = hypervisor_error(
		    err, 424, "cannot migrate VM '%s' to host '%s'", req->uuid, req->target);
	virTypedParamsFree(call.params, call.n);
	if (r < 0)
		vm_files_explain(closed, err);
	return r;
}

/* The target's libvirt takes the definition whole or not at all; migration_recover then lets go of
 * it here. libvirt's own offline migration is of several steps, and of one that was cut off the
 * target keeps what only a restart of its libvirtd removes. */
static int
go_cold(const struct vm_migrate_request *req, virDomainPtr domain, struct error *err)
{
	_connect_to_ virConnectPtr target = NULL;
	_domain_ virDomainPtr there = NULL;
	_free_ char *xml = read_definition(req, domain, err);

	if (!xml)
		return -1;
	if (hypervisor_open_to(req->target, req->target_uri, &target, err) < 0)
		return -1;
	there = virDomainDefineXMLFlags(target, xml, 0);
	if (there)
		return 0;
	return hypervisor_error(
	    err, 424, "cannot define VM '%s' on host '%s'", req->uuid, req->target);
}

/* What stays on this host is taken out of the definition before it leaves. */
static int
prepare_cold(const struct vm_migrate_request *req, virConnectPtr conn, virDomainPtr domain,
    char **warning, struct error *err)
{
	if (cloud_init_drop(&req->env, conn, domain, req->uuid, err) < 0)
		return -1;
	return vm_renew(&req->env, domain, req->uuid, warning, err);
}

static int
migrate(const struct vm_migrate_request *req, virConnectPtr conn, virDomainPtr domain,
    const struct domain_caps *there, struct vm_result *res, struct error *err)
{
	char op[] = "VmMigrate";
	struct journal journal = {
		.op = op,
		.uuid = req->uuid,
		.target = req->target,
		.target_uri = req->target_uri,
		.foreign = req->foreign,
		.live = req->live,
		.ts = now_ms(),
	};
	struct error left = { 0 };
	int r;

	vm_carry_over(&req->env, &journal, NULL, &res->warning);
	work_stage(WORK_STAGE_BEGUN);
	if (journal_save(req->env.root, req->env.host, &journal, err) < 0)
		return -1;
	work_progress(0);
	r = oplog_begin_at(domain, "VmMigrate", req->target, journal.ts, err);
	if (r == 0)
		r = req->live ? go_live(req, domain, there, err) : go_cold(req, domain, err);
	if (migration_recover(&req->env, conn, &journal, &res->moved, &left) < 0) {
		if (r == 0)
			vm_add_warning(&res->warning, "%s", left.detail);
		else
			error_append(err, "where it is now is found out again: %s", left.detail);
		res->moved = r == 0;
		return r;
	}
	if (res->moved)
		return 0;
	work_stage(WORK_STAGE_NONE);
	if (r == 0)
		return error_set(err, 500, "VM '%s' is still here after its migration", req->uuid);
	oplog_end(domain, "VmMigrate", journal.ts, NULL, err);
	return -1;
}

int
work_vm_migrate(const void *request, void *result, struct error *err)
{
	const struct vm_migrate_request *req = request;
	struct vm_result *res = result;
	_vm_session_ struct vm_session session = VM_SESSION_CLOSED;
	_domain_caps_ struct domain_caps there = { 0 };

	if (vm_session_open_storage(&session, &req->env, req->uuid, err) < 0 ||
	    vm_session_recover(&session, &res->warning, err) < 0)
		return -1;
	if (vm_owner_check(&req->env, session.domain, req->uuid, VM_WANT_CHANGE, err) < 0 ||
	    migration_check_state(req, session.domain, err) < 0 ||
	    (!req->live &&
		prepare_cold(req, session.conn, session.domain, &res->warning, err) < 0) ||
	    migration_check_files(req, session.domain, true, err) < 0 ||
	    migration_check(req, session.domain, &there, err) < 0)
		return -1;
	return migrate(req, session.conn, session.domain, &there, res, err);
}
