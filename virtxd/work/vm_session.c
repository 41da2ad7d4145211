/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/vm_session.h"

#include "work/hypervisor.h"
#include "work/vm_recover.h"
#include "work/storage_check.h"
#include "work/vm_files.h"
#include "work/vm_lock.h"

static int
lock(struct vm_session *session, const struct work_env *env, const char *uuid, struct error *err)
{
	session->env = env;
	session->uuid = uuid;
	return vm_lock(env->run_dir, uuid, &session->lock, err);
}

int
vm_session_open(
    struct vm_session *session, const struct work_env *env, const char *uuid, struct error *err)
{
	if (lock(session, env, uuid, err) < 0)
		return -1;
	return hypervisor_open(env->uri, &session->conn, err);
}

int
vm_session_open_on(struct vm_session *session, const struct work_env *env, virConnectPtr conn,
    const char *uuid, struct error *err)
{
	if (lock(session, env, uuid, err) < 0)
		return -1;
	virConnectRef(conn);
	session->conn = conn;
	return 0;
}

int
vm_session_open_storage(
    struct vm_session *session, const struct work_env *env, const char *uuid, struct error *err)
{
	if (vm_session_open(session, env, uuid, err) < 0 || storage_look(env, err) < 0)
		return -1;
	return vm_files_for(env, session->conn, err);
}

int
vm_session_find(struct vm_session *session, struct error *err)
{
	return hypervisor_find(session->conn, session->uuid, &session->domain, err);
}

int
vm_session_recover(struct vm_session *session, char **warning, struct error *err)
{
	int r = vm_recover(session->env, session->conn, session->uuid, warning, err);

	if (r < 0)
		return error_wrap(
		    err, "an earlier operation on VM '%s' is not over yet", session->uuid);
	session->carried = r == 1;
	return vm_session_find(session, err);
}

void
vm_session_end(struct vm_session *session)
{
	hypervisor_free_domain(&session->domain);
	hypervisor_close(&session->conn);
	util_close(&session->lock);
}
