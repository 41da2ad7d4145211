/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/works.h"

#include "work/hypervisor.h"

/* Does libvirt answer? */
int
work_probe(const void *request, void *result, struct error *err)
{
	const struct probe_request *req = request;
	struct probe_result *res = result;
	_connect_ virConnectPtr conn = NULL;
	_domain_caps_ struct domain_caps caps = { 0 };

	if (hypervisor_open(req->uri, &conn, err) < 0 || hypervisor_caps(conn, &caps, err) < 0)
		return -1;
	res->uuid = steal_ptr(caps.host_uuid);
	return 0;
}
