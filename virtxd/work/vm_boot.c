/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/works.h"

#include <string.h>
#include <unistd.h>

#include "disk/nvram.h"
#include "disk/seed.h"
#include "domain/registry.h"
#include "proto/log.h"
#include "state/reason.h"
#include "work/bare_disks.h"
#include "work/cloud_init.h"
#include "work/hugepages.h"
#include "work/hypervisor.h"
#include "work/oplog.h"
#include "work/storage.h"
#include "work/storage_check.h"
#include "work/vm_already.h"
#include "work/vm_files.h"
#include "work/vm_owner.h"
#include "work/vm_renew.h"
#include "work/vm_saved.h"
#include "work/vm_session.h"
#include "work/vm_steps.h"
#include "work/vm_variables.h"
#include "work/wanted.h"
#include "work/work.h"

#define NUMAD "/usr/bin/numad" /* as libvirt is built */

static int
start(virDomainPtr domain, const char *uuid, struct error *err)
{
	if (virDomainCreate(domain) < 0)
		return hypervisor_error(err, 424, "cannot boot VM '%s'", uuid);
	return 0;
}

/* Whom libvirt asks where a VM with NUMA placement is to be; it does not say that it is missing. */
static void
explain_numad(const struct vm_boot_request *req, struct error *err)
{
	if (!strstr(err->detail, "numad") || access(NUMAD, X_OK) == 0)
		return;
	error_append(err,
	    "numad, which chooses the nodes of a VM with NUMA placement, is not "
	    "installed on host '%s'",
	    req->env.host);
	err->status = 422;
}

static int
undo(const struct vm_boot_request *req, virConnectPtr conn, virDomainPtr domain, struct error *err)
{
	if (cloud_init_drop(&req->env, conn, domain, req->uuid, err) < 0)
		return -1;
	return seed_delete(req->env.root, req->uuid, err);
}

/* As it is, or with its CD. */
static int
start_open(const struct vm_boot_request *req, virDomainPtr domain, const struct vmdef *def,
    struct error *err)
{
	_free_ char *closed = NULL;
	int r;

	vm_files_open(&req->env, req->uuid, def, &closed);
	if (req->n_cloud_init == 0)
		r = start(domain, req->uuid, err);
	else
		r = cloud_init_start(
		    &req->env, domain, req->uuid, req->cloud_init, req->n_cloud_init, err);
	if (r < 0 && req->n_cloud_init > 0)
		error_wrap(err, "cannot boot VM '%s'", req->uuid);
	if (r < 0) {
		vm_files_explain(closed, err);
		if (def->numa.placement)
			explain_numad(req, err);
	}
	return r;
}

static void
warn_of_lost_variables(const struct work_env *env, const struct domain_info *info, char **warning)
{
	_free_ char *path = nvram_path(env->root, info->uuid);

	if (vm_variables_are_lost(env, info))
		vm_add_warning(warning,
		    "the UEFI variables of VM '%s', which has run before, are gone: '%s' is not "
		    "there; it starts with new ones",
		    info->uuid, path);
}

/* Which VMs have variables on the storage other hosts see by the registry, where they tell by it
 * whether the folder is the storage's. */
static void
register_boot(const struct vm_boot_request *req, virDomainPtr domain, const struct domain_info *now)
{
	_domain_info_ struct domain_info known = { 0 };
	_free_ char *xml = NULL;
	struct error err = { 0 };

	if (now->def.firmware != FIRMWARE_TYPE_UEFI || now->foreign ||
	    (registry_load(req->env.root, req->env.host, req->uuid, &xml, &err) == 0 && xml &&
		domain_xml_read(xml, req->env.root, &known, &err) == 0 &&
		oplog_was_on(&known.oplog)))
		return;
	if (vm_register(&req->env, domain, req->uuid, &err) < 0)
		log_warning("job", "the registry does not tell that VM '%s' has run: %s", req->uuid,
		    err.detail);
}

/* It is not on, and is wanted to be what it was before. */
static void
want_as_before(const struct vm_boot_request *req, virDomainPtr domain, struct domain_info *info,
    enum want before, bool excused)
{
	struct error err = { 0 };

	if (wanted_define(domain, info, before == WANT_ON ? WANT_ON : WANT_OFF, excused, &err) <
		0 ||
	    wanted_register(&req->env, domain, req->uuid, &err) < 0)
		log_warning("job", "VM '%s' did not start, and is wanted on all the same: %s",
		    req->uuid, err.detail);
}

/* *ended is false when a failure is still to be undone. */
static int
boot(const struct vm_boot_request *req, virConnectPtr conn, virDomainPtr domain,
    const struct domain_info *info, char **warning, bool *ended, struct error *err)
{
	struct error left = { 0 };

	*ended = true;
	/* Of an earlier boot, whose end nobody was there to see. */
	if (cloud_init_drop(&req->env, conn, domain, req->uuid, &left) < 0) {
		if (info->cloud_init || req->n_cloud_init > 0) {
			*ended = false;
			*err = left;
			return error_wrap(err, "cannot boot VM '%s'", req->uuid);
		}
		str_set(warning, left.detail);
	} else if (vm_renew(&req->env, domain, req->uuid, warning, &left) < 0) {
		/* It starts as it is. */
		vm_add_warning(warning, "%s", left.detail);
	}
	warn_of_lost_variables(&req->env, info, warning);
	/* The definition says so already. Where the registry cannot, the VM starts all the same: a
	 * disk that is full is no reason not to. */
	wanted_tell(&req->env, domain, info, warning);
	if (start_open(req, domain, &info->def, err) == 0)
		return 0;
	if (req->n_cloud_init == 0)
		return -1;
	*ended = undo(req, conn, domain, &left) == 0;
	if (!*ended)
		error_append(err, "not all is undone yet, which is tried again: %s", left.detail);
	return -1;
}

static int
check_needs(const struct vm_boot_request *req, virDomainPtr domain, const struct domain_info *info,
    struct error *err)
{
	if (storage_check_boot(&req->env, info, err) < 0 ||
	    bare_disks_check(&req->env, domain, req->uuid, err) < 0 ||
	    vm_variables_check(&req->env, info, err) < 0 ||
	    hugepages_check(domain, req->env.host, info, err) < 0)
		return error_wrap(err, "cannot boot VM '%s'", req->uuid);
	return 0;
}

/* It may have been asked to shut down, and not have obeyed: that is not asked for any more. */
static int
stay_on(const struct vm_boot_request *req, virDomainPtr domain, struct domain_info *info,
    char **warning, struct error *err)
{
	const struct oplog_item *down = reason_asked_off(&info->oplog);
	struct error cause = { 0 };

	if (wanted_define(domain, info, WANT_ON, false, err) < 0)
		return -1;
	wanted_tell(&req->env, domain, info, warning);
	error_set(&cause, 409, "the VM was asked to stay on before it had obeyed");
	if (down)
		oplog_end(domain, "VmShutdown", down->ts, NULL, &cause);
	return 0;
}

static int
is_on(const struct vm_boot_request *req, virDomainPtr domain, struct vm_result *res,
    struct error *err)
{
	_domain_info_ struct domain_info info = { 0 };
	enum vmrunstate runstate;

	if (hypervisor_runstate(domain, &runstate, err) < 0 ||
	    hypervisor_info(domain, req->env.root, &info, err) < 0)
		return -1;
	if (runstate != VMRUNSTATE_RUNNING)
		return error_set_type(err, ERROR_ALREADY_ON, "VM '%s' is on already: it is %s",
		    req->uuid, enum_word(&vmrunstate_enum, runstate));
	if (req->if_needed && stay_on(req, domain, &info, &res->warning, err) < 0)
		return -1;
	return vm_already(
	    domain, &req->env, req->uuid, req->if_needed, ERROR_ALREADY_RUNNING, res, err);
}

int
work_vm_boot(const void *request, void *result, struct error *err)
{
	const struct vm_boot_request *req = request;
	struct vm_result *res = result;
	_vm_session_ struct vm_session session = VM_SESSION_CLOSED;
	_domain_info_ struct domain_info info = { 0 };
	bool ended = true, excused;
	enum want before;
	int64_t ts;

	if (vm_session_open_storage(&session, &req->env, req->uuid, err) < 0 ||
	    vm_session_recover(&session, &res->warning, err) < 0)
		return -1;
	if (virDomainIsActive(session.domain) == 1)
		return is_on(req, session.domain, res, err);
	if (vm_owner_check(&req->env, session.domain, req->uuid, VM_WANT_RUN, err) < 0 ||
	    hypervisor_info(session.domain, req->env.root, &info, err) < 0 ||
	    vm_saved_check_boot(session.domain, req->uuid, req->env.root, &info.def, err) < 0 ||
	    check_needs(req, session.domain, &info, err) < 0 ||
	    (req->n_cloud_init > 0 && cloud_init_check(session.domain, &info, err) < 0))
		return -1;
	before = info.want;
	excused = info.excused;
	work_stage(WORK_STAGE_BEGUN);
	if (oplog_begin_after(session.domain, &info.oplog, "VmBoot", "", &ts, err) < 0)
		return -1;
	if (wanted_define(session.domain, &info, WANT_ON, false, err) < 0 ||
	    boot(req, session.conn, session.domain, &info, &res->warning, &ended, err) < 0) {
		bool off = virDomainIsActive(session.domain) == 0;

		if (off)
			want_as_before(req, session.domain, &info, before, excused);
		/* One that is "started" without a job is what vm-heal looks for. */
		if (ended)
			oplog_end(session.domain, "VmBoot", ts, NULL, err);
		else
			oplog_begin(session.domain, "VmBoot", err->detail, &ts, NULL);
		/* What is left then has no part in whether it runs. */
		if (off)
			work_stage(WORK_STAGE_NONE);
		return -1;
	}
	vm_record_leases(session.domain, req->uuid, &res->warning);
	oplog_end(session.domain, "VmBoot", ts, "", NULL);
	register_boot(req, session.domain, &info);
	return hypervisor_report(session.domain, req->env.root, &res->vm, err);
}
