/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The shared storage as a whole: whether it is there, and its making. */
#include "work/storage_check.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "disk/lease.h"
#include "proto/log.h"
#include "work/folders.h"
#include "work/identity.h"
#include "work/vm_luns.h"
#include "work/works.h"

/* In the registry's folder of each host: its time is when the host last looked. */
#define SEEN "seen"

/* What somebody may look at. Root is refused by a server alone: one that takes it for somebody
 * else, or that exports this no more. A mount that was read-only when virtxd was started stays so
 * in its mount namespace. */
static const char *
hint(int errnum)
{
	if ((errnum == EACCES || errnum == EPERM) && geteuid() == 0)
		return " (does its server export it to this host, with no_root_squash? See "
		       "virtxd(8))";
	if (errnum == EROFS)
		return " (if the host has it mounted writable by now, restart virtxd)";
	return "";
}

static int
refused(struct error *err, int status, int errnum, const char *what, const char *path)
{
	return error_errno(err, status, errnum, "cannot %s '%s'%s", what, path, hint(errnum));
}

/* A storage that hosts without markers use gets one from the first that knows of them; not one that
 * this host has joined, which had a marker. */
static int
find_marker(const struct work_env *env, struct marker *ret, struct error *err)
{
	_free_ char *registry = xasprintf("%s/xml", env->root);
	struct error cause = { 0 };
	char uuid[37];
	bool used = false;
	struct stat st;

	if (marker_load(env->root, ret, err) == 0)
		return 0;
	if (access(env->root, R_OK | X_OK) < 0)
		return refused(err, 503, errno, "read", env->root);
	/* What is no folder was told above as that. */
	if (stat(registry, &st) == 0 && S_ISDIR(st.st_mode) && access(registry, R_OK | X_OK) < 0)
		return refused(err, 503, errno, "read", registry);
	if (identity_is_kept(env, NULL))
		return -1;
	if (lockspace_is_used(env->root, &used, &cause) < 0)
		error_append(err, "%s", cause.detail);
	if (!used)
		return -1;
	if (folders_find_uuid(env, uuid, err) < 0 || marker_make(env->root, uuid, ret, err) < 0)
		return -1;
	log_info("storage", "a lockspace is in use under '%s': its storage is '%s' from here on",
	    env->root, ret->uuid);
	return 0;
}

/* What this host has used until now is there. */
static bool
is_kept(const struct work_env *env, const struct marker *storage, const char *identity)
{
	struct error ignored = { 0 };

	return identity_is_kept(env, NULL) && identity_check(env, NULL, identity, &ignored) == 0 &&
	       folders_are_kept(env, storage);
}

/* 1 where there is no such file. */
static int
touch(const char *path, struct error *err)
{
	if (utimensat(AT_FDCWD, path, NULL, 0) == 0)
		return 0;
	return errno == ENOENT ? 1 : refused(err, 503, errno, "write to", path);
}

/* A file of this host's, that nobody reads: 1 where there is no folder for it yet. */
static int
touch_own(const struct work_env *env, struct error *err)
{
	_free_ char *path = xasprintf("%s/xml/%s/" SEEN, env->root, env->host);
	_close_ int fd = -1;
	int r = touch(path, err);

	if (r <= 0)
		return r;
	fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640);
	/* A full storage is one all the same. */
	if (fd >= 0 || errno == ENOSPC || errno == EDQUOT)
		return 0;
	return errno == ENOENT ? 1 : refused(err, 503, errno, "make", path);
}

/*
 * What is read may be what the kernel remembers, long after the server has come to refuse this
 * host. A change of times goes to it at once, and is refused as sanlock's writes are.
 */
static int
check_writable(const struct work_env *env, struct error *err)
{
	static const char *const folders[] = { "lock", "ds", "nvram" };
	_free_ char *registry = xasprintf("%s/xml", env->root);
	struct stat own, other;
	int r = str_empty(env->host) ? 1 : touch_own(env, err);

	if (r < 0 || (r > 0 && touch(registry, err) < 0))
		return -1;
	if (stat(registry, &own) < 0)
		return error_errno(err, 503, errno, "cannot look at '%s'", registry);
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		_free_ char *path = xasprintf("%s/%s", env->root, folders[i]);

		if (stat(path, &other) == 0 && other.st_dev != own.st_dev && touch(path, err) < 0)
			return -1;
	}
	return 0;
}

static int
look(const struct work_env *env, bool strict, struct marker *ret, struct error *err)
{
	_free_ char *identity = NULL;
	bool joined;

	if (find_marker(env, ret, err) < 0 || identity_read(env->root, ret, &identity, err) < 0)
		return -1;
	/* sanlock may hang: it is asked only where its word counts. */
	if (is_kept(env, ret, identity))
		return check_writable(env, err);
	/* Without sanlock's word nothing is joined that could be another's. */
	joined = identity_is_joined(env);
	if (joined && identity_check(env, NULL, identity, err) < 0)
		return -1;
	return folders_check(env, ret, joined, strict, err) < 0 ? -1 : check_writable(env, err);
}

int
storage_look(const struct work_env *env, struct error *err)
{
	struct marker marker;

	return look(env, true, &marker, err) < 0 ? error_wrap(err, "storage") : 0;
}

/* The root, and what may be a mount of its own and grows. One that is not there yet has none. */
static void
measure(const char *root, struct storage_check_result *res)
{
	static const char *const folders[] = { "", "/ds" };
	struct statvfs fs;

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		_free_ char *path = xasprintf("%s%s", root, folders[i]);
		struct storage_room *room;

		if (statvfs(path, &fs) < 0)
			continue;
		room = model_append(&res->rooms, &res->n_rooms);
		room->path = steal_ptr(path);
		room->size = (int64_t)(fs.f_blocks * fs.f_frsize);
		room->free = (int64_t)(fs.f_bavail * fs.f_frsize);
	}
}

int
work_storage_check(const void *request, void *result, struct error *err)
{
	const struct storage_request *req = request;
	struct storage_check_result *res = result;
	struct marker marker;

	if (look(&req->env, false, &marker, err) < 0)
		return -1;
	res->uuid = xstrdup(marker.uuid);
	measure(req->env.root, res);
	return 0;
}

int
work_storage_look(const void *request, void *result, struct error *err)
{
	const struct storage_look_request *req = request;
	struct lockspace_watch_request watch = { .env = req->env };
	struct lockspace_result ignored = { 0 };

	if (req->lockspace && work_lockspace_watch(&watch, &ignored, err) < 0)
		return error_wrap(err, "lockspace");
	if (storage_look(&req->env, err) < 0)
		return -1;
	return vm_luns_check(&req->env, req->vm, err);
}

static int
make_directory(const char *root, const char *name, struct error *err)
{
	_free_ char *path = xasprintf("%s/%s", root, name);
	struct stat status;

	if (mkdir(path, 0750) < 0 && errno != EEXIST)
		return refused(err, 507, errno, "make", path);
	if (stat(path, &status) < 0 || !S_ISDIR(status.st_mode))
		return error_set(err, 507, "'%s' is no directory", path);
	return 0;
}

/* The marker comes late: until then it can be begun again, and what comes after it alone, too. */
int
work_storage_init(const void *request, void *result, struct error *err)
{
	const struct storage_request *req = request;
	const struct work_env *env = &req->env;
	struct storage *res = result;
	_free_ char *identity = NULL;
	struct error cause = { 0 };
	struct marker marker;
	char uuid[37];
	size_t marked = 0;
	bool made;

	made = marker_load(env->root, &marker, &cause) == 0 &&
	       identity_read(env->root, &marker, &identity, &cause) == 0;
	if (!made &&
	    (make_directory(env->root, "xml", err) < 0 || folders_find_uuid(env, uuid, err) < 0 ||
		lockspace_create(env->root, env->io_timeout, err) < 0 ||
		marker_make(env->root, uuid, &marker, err) < 0))
		return -1;
	if (folders_mark(env, &marker, &marked, err) < 0)
		return -1;
	if (made && marked == 0)
		return error_set(err, 409,
		    "the storage under '%s' is made already: it is '%s', and nothing was changed",
		    env->root, marker.uuid);
	res->uuid = xstrdup(marker.uuid);
	res->root = xstrdup(env->root);
	return 0;
}
