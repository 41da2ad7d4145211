/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/works.h"

#include "domain/journal.h"
#include "proto/log.h"
#include "work/hypervisor.h"
#include "work/migration_steps.h"
#include "work/vm_owner.h"
#include "work/vm_session.h"

/* Another job of this VM is under way where its lock is taken: then it is asked about again. */
static void
undefine(const struct work_env *env, virDomainPtr domain, const struct domain_info *info)
{
	struct error err = { 0 };
	struct vm_owner owner;
	_vm_session_ struct vm_session session = VM_SESSION_CLOSED;

	if (vm_session_open_on(&session, env, virDomainGetConnect(domain), info->uuid, &err) < 0 ||
	    vm_owner_find(env, info->uuid, &owner, &err) < 0 ||
	    (vm_owner_is_leftover(env, domain, info, &owner) &&
		migration_undefine(domain, &err) < 0))
		log_warning("job", "%s", err.detail);
	else
		log_info("job", "VM '%s' is host '%s''s: what was left of it here is undefined",
		    info->uuid, owner.host);
}

/* Whether a migration of it from here was cut off: vm-heal finds out where it is. */
static int
is_leaving(const struct work_env *env, const char *uuid, bool *ret, struct error *err)
{
	struct journal journal = { 0 };

	*ret = false;
	if (journal_load(env->root, env->host, uuid, &journal, err) < 0)
		return -1;
	*ret = str_equal(journal.op, "VmMigrate");
	model_clear(&journal_model, &journal);
	return 0;
}

static int
look_at(
    const struct work_env *env, virDomainPtr domain, struct whose_result *res, struct error *err)
{
	_domain_info_ struct domain_info info = { 0 };
	struct vm_report report = { 0 };
	struct error ignored = { 0 };
	struct vm_owner owner;
	bool leaving;

	if (hypervisor_info(domain, env->root, &info, &ignored) < 0)
		return 0;
	if (is_leaving(env, info.uuid, &leaving, err) < 0 ||
	    vm_owner_find(env, info.uuid, &owner, err) < 0)
		return -1;
	if (leaving) {
		model_append(&res->leaving, &res->n_leaving)->uuid = xstrdup(info.uuid);
		return 0;
	}
	if (vm_owner_is_leftover(env, domain, &info, &owner))
		undefine(env, domain, &info);
	else if (owner.place == VM_PLACE_ELSEWHERE && virDomainIsActive(domain) != 1)
		return 0;
	else if (hypervisor_report(domain, env->root, &report, &ignored) < 0)
		model_clear(&vm_report_model, &report);
	else if (owner.place == VM_PLACE_NOWHERE)
		*model_append(&res->unregistered, &res->n_unregistered) = report;
	else
		*model_append(&res->vms, &res->n_vms) = report;
	return 0;
}

int
work_whose(const void *request, void *result, struct error *err)
{
	const struct whose_request *req = request;
	_connect_ virConnectPtr conn = NULL;

	if (hypervisor_open(req->env.uri, &conn, err) < 0)
		return -1;
	for (size_t i = 0; i < req->n_vms; i++) {
		_domain_ virDomainPtr domain = NULL;
		struct error cause = { 0 };

		if (hypervisor_find(conn, req->vms[i].uuid, &domain, &cause) < 0 ||
		    virDomainIsPersistent(domain) != 1)
			continue;
		if (look_at(&req->env, domain, result, err) < 0)
			return -1;
	}
	return 0;
}
