/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/maintenance_file.h"
#include "work/vm_lock.h"
#include "work/works.h"

/* What a job of an earlier virtxd still saves must be there before it is read.
 * No session: there is no VM, and libvirt is not asked. */
static int
lock_host(const struct work_env *env, int *fd, struct error *err)
{
	if (vm_lock(env->run_dir, env->host, fd, err) == 0)
		return 0;
	return error_wrap(err, "the maintenance of host '%s'", env->host);
}

int
work_maintenance_load(const void *request, void *result, struct error *err)
{
	const struct maintenance_load_request *req = request;
	_close_ int lock = -1;

	if (lock_host(&req->env, &lock, err) < 0)
		return -1;
	return maintenance_file_load(req->env.root, req->env.host, result, err);
}

int
work_maintenance_save(const void *request, void *result, struct error *err)
{
	const struct maintenance_save_request *req = request;
	_close_ int lock = -1;

	if (lock_host(&req->env, &lock, err) < 0 ||
	    maintenance_file_save(req->env.root, req->env.host, &req->maintenance, err) < 0)
		return -1;
	model_copy(&maintenance_model, result, &req->maintenance);
	return 0;
}
