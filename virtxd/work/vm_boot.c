/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/works.h"

#include "disk/seed.h"
#include "proto/vmdef.h"
#include "work/cloud_init.h"
#include "work/hypervisor.h"
#include "work/oplog.h"
#include "work/storage.h"
#include "work/vm_already.h"
#include "work/vm_lock.h"
#include "work/vm_owner.h"
#include "work/vm_renew.h"
#include "work/vm_saved.h"
#include "work/vm_steps.h"
#include "work/work.h"

static int
start(virDomainPtr domain, const char *uuid, struct error *err)
{
	if (virDomainCreate(domain) < 0)
		return hypervisor_error(err, 424, "cannot boot VM '%s'", uuid);
	return 0;
}

static int
undo(const struct vm_boot_request *req, virConnectPtr conn, virDomainPtr domain, struct error *err)
{
	if (cloud_init_drop(&req->env, conn, domain, req->uuid, err) < 0)
		return -1;
	return seed_delete(req->env.root, req->uuid, err);
}

/* *ended is false when a failure is still to be undone. */
static int
boot(const struct vm_boot_request *req, virConnectPtr conn, virDomainPtr domain, bool attached,
    char **warning, bool *ended, struct error *err)
{
	struct error left = { 0 };

	*ended = true;
	/* Of an earlier boot, whose end nobody was there to see. */
	if (cloud_init_drop(&req->env, conn, domain, req->uuid, &left) < 0) {
		if (attached || req->n_cloud_init > 0) {
			*ended = false;
			*err = left;
			return error_wrap(err, "cannot boot VM '%s'", req->uuid);
		}
		str_set(warning, left.detail);
	} else if (vm_renew(&req->env, domain, req->uuid, &left) < 0) {
		/* It starts as it is. */
		vm_add_warning(warning, "%s", left.detail);
	}
	if (req->n_cloud_init == 0)
		return start(domain, req->uuid, err);
	if (cloud_init_start(
		&req->env, domain, req->uuid, req->cloud_init, req->n_cloud_init, err) == 0)
		return 0;
	error_wrap(err, "cannot boot VM '%s'", req->uuid);
	*ended = undo(req, conn, domain, &left) == 0;
	if (!*ended)
		error_append(err, "not all is undone yet, which is tried again: %s", left.detail);
	return -1;
}

static int
check_disks(const struct vm_boot_request *req, const struct vmdef *def, struct error *err)
{
	const struct disk *disk;

	for (size_t i = 0; (disk = vmdef_disk(def, i)); i++) {
		/* One that VirtX did not make may have an empty drive. */
		if (!str_empty(disk->path) &&
		    storage_check_boot(&req->env, req->uuid, disk, err) < 0)
			return error_wrap(err, "cannot boot VM '%s'", req->uuid);
	}
	return 0;
}

static int
is_on(const struct vm_boot_request *req, virDomainPtr domain, struct vm_result *res,
    struct error *err)
{
	enum vmrunstate runstate;

	if (hypervisor_runstate(domain, &runstate, err) < 0)
		return -1;
	if (runstate == VMRUNSTATE_RUNNING)
		return vm_already(
		    domain, &req->env, req->uuid, req->if_needed, ERROR_ALREADY_RUNNING, res, err);
	return error_set_type(err, ERROR_ALREADY_ON, "VM '%s' is on already: it is %s", req->uuid,
	    enum_word(&vmrunstate_enum, runstate));
}

int
work_vm_boot(const void *request, void *result, struct error *err)
{
	const struct vm_boot_request *req = request;
	struct vm_result *res = result;
	_connect_ virConnectPtr conn = NULL;
	_domain_ virDomainPtr domain = NULL;
	_domain_info_ struct domain_info info = { 0 };
	_close_ int lock = -1;
	bool ended;
	int64_t ts;

	if (vm_lock(req->env.run_dir, req->uuid, &lock, err) < 0 ||
	    hypervisor_open(req->env.uri, &conn, err) < 0)
		return -1;
	if (vm_settle(&req->env, conn, req->uuid, &res->warning, err) < 0)
		return error_wrap(
		    err, "an earlier operation on VM '%s' is not over yet", req->uuid);
	if (hypervisor_find(conn, req->uuid, &domain, err) < 0)
		return -1;
	if (virDomainIsActive(domain) == 1)
		return is_on(req, domain, res, err);
	if (vm_owner_check(&req->env, domain, req->uuid, VM_WANT_RUN, err) < 0 ||
	    hypervisor_info(domain, req->env.root, &info, err) < 0 ||
	    vm_saved_check_boot(domain, req->uuid, req->env.root, &info.def, err) < 0 ||
	    check_disks(req, &info.def, err) < 0 ||
	    (req->n_cloud_init > 0 && cloud_init_check(domain, &info, err) < 0))
		return -1;
	work_stage(WORK_STAGE_BEGUN);
	if (oplog_begin(domain, "VmBoot", "", &ts, err) < 0)
		return -1;
	if (boot(req, conn, domain, info.cloud_init != NULL, &res->warning, &ended, err) < 0) {
		/* One that is "started" without a job is what vm-heal looks for. */
		if (ended)
			oplog_end(domain, "VmBoot", ts, NULL, err);
		else
			oplog_begin(domain, "VmBoot", err->detail, &ts, NULL);
		/* What is left then has no part in whether it runs. */
		if (virDomainIsActive(domain) == 0)
			work_stage(WORK_STAGE_NONE);
		return -1;
	}
	oplog_end(domain, "VmBoot", ts, "", NULL);
	return hypervisor_report(domain, req->env.root, &res->vm, err);
}
