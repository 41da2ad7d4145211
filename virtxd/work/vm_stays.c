/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a dry run of a migration can see on this host: nothing is changed, and no host is asked. */
#include "work/works.h"

#include "work/hypervisor.h"
#include "work/migration_steps.h"

static int
check(const struct vm_migrate_request *req, virDomainPtr domain, struct error *err)
{
	if (migration_check_state(req, domain, err) < 0)
		return -1;
	return migration_check_files(req, domain, false, err);
}

/* One that has left meanwhile does not stay. */
static int
look_at(const struct vm_stays_request *req, virConnectPtr conn, const char *uuid,
    struct vm_stays_result *res, struct error *err)
{
	struct vm_migrate_request migrate = {
		.env = req->env, .uuid = (char *)uuid, .live = req->live
	};
	_domain_ virDomainPtr domain = NULL;
	struct error cause = { 0 };
	struct vm_stay *stay;

	if (hypervisor_look_up(conn, uuid, &domain, err) < 0)
		return -1;
	if (!domain)
		return 0;
	if (req->as_it_is)
		migrate.live = virDomainIsActive(domain) == 1;
	if (check(&migrate, domain, &cause) == 0)
		return 0;
	stay = model_append(&res->vms, &res->n_vms);
	stay->uuid = xstrdup(uuid);
	stay->why = xstrdup(cause.detail);
	return 0;
}

int
work_vm_stays(const void *request, void *result, struct error *err)
{
	const struct vm_stays_request *req = request;
	struct vm_stays_result *res = result;
	_connect_ virConnectPtr conn = NULL;

	if (hypervisor_open(req->env.uri, &conn, err) < 0)
		return -1;
	for (size_t i = 0; i < req->n_vms; i++) {
		if (look_at(req, conn, req->vms[i].uuid, res, err) < 0)
			return -1;
	}
	return 0;
}
