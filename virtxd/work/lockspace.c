/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/works.h"

#include "disk/lease.h"
#include "domain/registry.h"
#include "proto/log.h"
#include "work/identity.h"

int
work_lockspace(const void *request, void *result, struct error *err)
{
	const struct lockspace_request *req = request;
	struct lockspace_result *res = result;
	const struct work_env *env = &req->env;
	_free_ char *identity = NULL;
	enum lockspace_state state;
	struct marker marker;
	struct error cause = { 0 };
	int id = 0, cached = 0;

	if (lockspace_state(env->root, &state, &id, err) < 0)
		return -1;
	if (registry_load_lockid(env->root, env->host, &cached, &cause) < 0)
		log_debug("job", "%s", cause.detail);
	if (state == LOCKSPACE_LOST)
		return error_set(err, 503, "sanlock did not renew host_id %d in time", id);
	/* One that was joined by another program counts from now on. */
	if (state != LOCKSPACE_JOINED || !identity_is_kept(env)) {
		if (marker_load(env->root, &marker, err) < 0 ||
		    identity_read(env->root, &marker, &identity, err) < 0 ||
		    lockspace_join(env->root, cached > 0 ? cached : lockspace_default_id(env->host),
			env->io_timeout, &id, err) < 0 ||
		    identity_keep(env, identity, err) < 0)
			return -1;
	}
	res->lockid = id;
	if (id == cached)
		return 0;
	return registry_save_lockid(env->root, env->host, id, err);
}
