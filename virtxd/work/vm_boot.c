/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/works.h"

#include "work/hypervisor.h"
#include "work/oplog.h"
#include "work/vm_lock.h"

int
work_vm_boot(const void *request, void *result, struct error *err)
{
	const struct vm_boot_request *req = request;
	struct vm_result *res = result;
	_connect_ virConnectPtr conn = NULL;
	_domain_ virDomainPtr domain = NULL;
	_close_ int lock = -1;
	int64_t ts;

	if (vm_lock(req->env.run_dir, req->uuid, &lock, err) < 0 ||
	    hypervisor_open(req->env.uri, &conn, err) < 0 ||
	    hypervisor_find(conn, req->uuid, &domain, err) < 0)
		return -1;
	if (virDomainIsActive(domain) == 1)
		return error_set(err, 424, "VM '%s' is on already", req->uuid);
	if (oplog_begin(domain, "VmBoot", "", &ts, err) < 0)
		return -1;
	if (virDomainCreate(domain) < 0) {
		hypervisor_error(err, 424, "cannot boot VM '%s'", req->uuid);
		oplog_end(domain, "VmBoot", ts, NULL, err);
		return -1;
	}
	oplog_end(domain, "VmBoot", ts, "", NULL);
	return hypervisor_report(domain, req->env.root, &res->vm, err);
}
