/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/works.h"

#include "work/hypervisor.h"

int
work_refresh(const void *request, void *result, struct error *err)
{
	const struct refresh_request *req = request;
	struct refresh_result *res = result;
	_connect_ virConnectPtr conn = NULL;

	if (hypervisor_open(req->env.uri, &conn, err) < 0)
		return -1;
	for (size_t i = 0; i < req->n_vms; i++) {
		_domain_ virDomainPtr domain = NULL;
		const char *uuid = req->vms[i].uuid;
		struct error cause = { 0 };
		struct vm_report report = { 0 };

		if (hypervisor_look_up(conn, uuid, &domain, &cause) < 0)
			continue;
		if (!domain) {
			model_append(&res->gone, &res->n_gone)->uuid = xstrdup(uuid);
			continue;
		}
		if (!hypervisor_counts(domain, req->env.root))
			continue;
		if (hypervisor_report(domain, req->env.root, &report, &cause) == 0)
			*model_append(&res->vms, &res->n_vms) = report;
		else
			model_clear(&vm_report_model, &report);
	}
	return 0;
}
