/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The shared storage as a whole: whether it is there, and its making. */
#include "work/works.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/lease.h"
#include "proto/log.h"
#include "work/identity.h"

/* A storage that hosts without markers use gets one from the first that knows of them; not one that
 * this host has joined, which had a marker. */
static int
find_marker(const struct work_env *env, struct marker *ret, struct error *err)
{
	struct error cause = { 0 };
	bool used = false;

	if (marker_load(env->root, ret, err) == 0)
		return 0;
	if (identity_is_kept(env))
		return -1;
	if (access(env->root, R_OK | X_OK) < 0)
		return error_errno(err, 503, errno, "cannot read '%s'", env->root);
	if (lockspace_is_used(env->root, &used, &cause) < 0)
		error_append(err, "%s", cause.detail);
	if (!used)
		return -1;
	if (marker_make(env->root, ret, err) < 0)
		return -1;
	log_info("storage", "a lockspace is in use under '%s': its storage is '%s' from here on",
	    env->root, ret->uuid);
	return 0;
}

int
work_storage_check(const void *request, void *result, struct error *err)
{
	const struct storage_request *req = request;
	struct storage *res = result;
	_free_ char *identity = NULL;
	struct marker marker;

	if (find_marker(&req->env, &marker, err) < 0 ||
	    identity_read(req->env.root, &marker, &identity, err) < 0 ||
	    identity_check(&req->env, identity, err) < 0)
		return -1;
	res->uuid = xstrdup(marker.uuid);
	res->root = xstrdup(req->env.root);
	return 0;
}

static int
make_directory(const char *root, const char *name, struct error *err)
{
	_free_ char *path = xasprintf("%s/%s", root, name);
	struct stat status;

	if (mkdir(path, 0750) < 0 && errno != EEXIST)
		return error_errno(err, 507, errno, "cannot make '%s'", path);
	if (stat(path, &status) < 0 || !S_ISDIR(status.st_mode))
		return error_set(err, 507, "'%s' is no directory", path);
	return 0;
}

/* The marker comes last: until then it can be begun again. */
int
work_storage_init(const void *request, void *result, struct error *err)
{
	const struct storage_request *req = request;
	const struct work_env *env = &req->env;
	struct storage *res = result;
	_free_ char *identity = NULL;
	struct error cause = { 0 };
	struct marker marker;

	if (marker_load(env->root, &marker, &cause) == 0 &&
	    identity_read(env->root, &marker, &identity, &cause) == 0)
		return error_set(err, 409,
		    "the storage under '%s' is made already: it is '%s', and nothing was changed",
		    env->root, marker.uuid);
	if (make_directory(env->root, "xml", err) < 0 || make_directory(env->root, "ds", err) < 0 ||
	    lockspace_create(env->root, env->io_timeout, err) < 0 ||
	    marker_make(env->root, &marker, err) < 0)
		return -1;
	res->uuid = xstrdup(marker.uuid);
	res->root = xstrdup(env->root);
	return 0;
}
