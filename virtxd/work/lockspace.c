/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/works.h"

#include <unistd.h>

#include "disk/lease.h"
#include "domain/registry.h"
#include "proto/log.h"
#include "work/folders.h"
#include "work/host_down.h"
#include "work/hypervisor.h"
#include "work/identity.h"
#include "work/protection.h"
#include "work/work.h"

/* No VM may be on whose process sanlock does not know. */
static int
check_join(const struct lockspace_request *req, struct error *err)
{
	_connect_ virConnectPtr conn = NULL;

	if (hypervisor_open(req->env.uri, &conn, err) == 0)
		return protection_check_join(conn, req->kill, err);
	return error_wrap(err, "it cannot be looked whether VMs are on that sanlock does not know");
}

/* Joins, unless this host goes down: what host_down_leave() found not joined yet is left here. */
static int
join(const struct work_env *env, int first_id, int *id, struct error *err)
{
	struct error cause = { 0 };

	if (lockspace_join(env->root, first_id, env->io_timeout, id, err) < 0)
		return -1;
	if (host_down_check(env->run_dir, err) == 0)
		return 0;
	if (lockspace_leave(env->root, &cause) != 1)
		error_append(
		    err, "it is still in it: %s", cause.status ? cause.detail : "leases are held");
	return -1;
}

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
	if (state == LOCKSPACE_ABSENT &&
	    (host_down_check(env->run_dir, err) < 0 || check_join(req, err) < 0))
		return -1;
	/* One that was joined by another program counts from now on. */
	if (state != LOCKSPACE_JOINED || !identity_is_kept(env, NULL)) {
		if (marker_load(env->root, &marker, err) < 0 ||
		    identity_read(env->root, &marker, &identity, err) < 0 ||
		    join(env, cached > 0 ? cached : lockspace_default_id(env->host), &id, err) <
			0 ||
		    identity_keep(env, NULL, identity, err) < 0)
			return -1;
		folders_forget(env);
	}
	res->lockid = id;
	if (id == cached)
		return 0;
	return registry_save_lockid(env->root, env->host, id, err);
}

static int
look(const struct work_env *env, int *id, struct error *err)
{
	enum lockspace_state state;

	if (lockspace_state(env->root, &state, id, err) < 0)
		return -1;
	if (state == LOCKSPACE_LOST)
		return error_set(err, 503, "sanlock did not renew host_id %d in time", *id);
	if (state != LOCKSPACE_JOINED)
		return error_set(err, 503, "this host is not in the lockspace any more");
	return 0;
}

int
work_lockspace_watch(const void *request, void *result, struct error *err)
{
	const struct lockspace_watch_request *req = request;
	struct lockspace_result *res = result;
	int64_t end = monotonic_ms() + (int64_t)req->seconds * 1000;
	int beat = 0, id = 0;

	while (true) {
		if (look(&req->env, &id, err) < 0)
			return -1;
		res->lockid = id;
		if (monotonic_ms() >= end)
			return 0;
		work_progress(beat);
		beat = !beat;
		usleep((useconds_t)req->look_ms * 1000);
	}
}
