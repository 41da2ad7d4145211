/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/works.h"

#include "proto/vmdef.h"
#include "work/cpu_model.h"
#include "work/hypervisor.h"
#include "work/vm_session.h"
#include "work/vm_steps.h"
#include "work/work.h"

/* The VM's own lease, and all disks as they were asked for, before the first is touched. */
static int
plan(const struct vm_create_request *req, struct journal *journal, struct error *err)
{
	char name[VM_LEASE_SIZE];
	const struct disk lease = vm_lease_disk(name), *disk;

	vm_lease_name(req->uuid, name);
	journal->op = xstrdup("VmCreate");
	journal->uuid = xstrdup(req->uuid);
	journal->ts = now_ms();
	if (vm_plan_disk(&req->env, journal, &lease, err) < 0)
		return -1;
	for (size_t i = 0; (disk = vmdef_disk(&req->def, i)); i++) {
		if (vm_plan_disk(&req->env, journal, disk, err) < 0)
			return -1;
	}
	return 0;
}

static int
make(const struct vm_create_request *req, virConnectPtr conn, const struct journal *journal,
    struct vm_report *report, struct error *err)
{
	_domain_ virDomainPtr domain = NULL;
	struct vmdef def;
	int r;

	model_copy(&vmdef_model, &def, &req->def);
	r = vm_make_disks(&req->env, journal, req->admin, &def, report, err);
	if (r == 0)
		r = vm_define(&req->env, conn, req->uuid, &def, err);
	model_clear(&vmdef_model, &def);
	if (r < 0 || hypervisor_find(conn, req->uuid, &domain, err) < 0)
		return -1;
	return hypervisor_report(domain, req->env.root, report, err);
}

int
work_vm_create(const void *request, void *result, struct error *err)
{
	const struct vm_create_request *req = request;
	struct vm_result *res = result;
	_vm_session_ struct vm_session session = VM_SESSION_CLOSED;
	_journal_ struct journal journal = { 0 };
	struct error left = { 0 };

	if (vm_session_open_storage(&session, &req->env, req->uuid, err) < 0)
		return -1;
	if (cpu_model_check(session.conn, req->env.host, &req->def, NULL, err) < 0)
		return error_wrap(err, "vmdef.cpudef.model");
	if (plan(req, &journal, err) < 0)
		return -1;
	work_stage(WORK_STAGE_BEGUN);
	if (journal_save(req->env.root, req->env.host, &journal, err) < 0)
		return -1;
	if (make(req, session.conn, &journal, &res->vm, err) == 0) {
		work_stage(WORK_STAGE_DONE);
		return vm_roll_forward(&req->env, session.conn, &journal, &res->warning, err);
	}
	if (vm_roll_back(&req->env, session.conn, &journal, &left) == 0)
		work_stage(WORK_STAGE_NONE);
	else
		error_append(err, "not all is undone yet, which is tried again: %s", left.detail);
	return -1;
}
