/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/damaged_files.h"

#include "domain/journal.h"
#include "domain/maintenance_file.h"
#include "domain/registry.h"
#include "work/hypervisor.h"

static void
add(struct reconcile_result *res, const char *kind, const char *uuid, char *path, char *detail)
{
	struct host_problem *problem = model_append(&res->problems, &res->n_problems);

	problem->kind = xstrdup(kind);
	problem->vm = xstrdup(uuid);
	problem->path = path;
	problem->detail = detail;
}

bool
damaged_files_check_registry(
    const struct work_env *env, const char *uuid, enum want *want, struct reconcile_result *res)
{
	_domain_info_ struct domain_info info = { 0 };
	_free_ char *xml = NULL;
	struct error err = { 0 };

	/* What the storage refuses now may be whole. */
	if (registry_load(env->root, env->host, uuid, &xml, &err) < 0 || !xml)
		return false;
	if (domain_xml_read(xml, env->root, &info, &err) == 0) {
		if (want)
			*want = info.want;
		if (str_equal(info.uuid, uuid))
			return true;
		error_set(&err, 507, "it is of another VM ('%s')", info.uuid);
	}
	add(res, DAMAGED_REGISTRY, uuid, xasprintf("%s/xml/%s/%s.xml", env->root, env->host, uuid),
	    xasprintf("the registry's file of the VM cannot be used: %s; `virtx repair -y` or "
		      "`virtx register vm` writes it anew from libvirt's definition",
		err.detail));
	return false;
}

bool
damaged_files_check_journal(
    const struct work_env *env, const char *uuid, struct reconcile_result *res)
{
	struct error err = { 0 };

	if (!journal_is_damaged(env->root, env->host, uuid, &err))
		return false;
	add(res, DAMAGED_JOURNAL, uuid,
	    xasprintf("%s/xml/%s/%s.journal", env->root, env->host, uuid), xstrdup(err.detail));
	return true;
}

void
damaged_files_check_maintenance(const struct work_env *env, struct reconcile_result *res)
{
	struct maintenance maintenance = { 0 };
	struct error err = { 0 };

	/* What the storage refuses now may be whole. */
	if (maintenance_file_load(env->root, env->host, &maintenance, &err) < 0 &&
	    err.status == MAINTENANCE_FILE_DAMAGED)
		add(res, DAMAGED_MAINTENANCE, "",
		    xasprintf("%s/xml/%s/maintenance", env->root, env->host), xstrdup(err.detail));
	model_clear(&maintenance_model, &maintenance);
}
