/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/lease.h"

#define TEXT_MAX 512

static char *
kept_path(const struct work_env *env)
{
	return xasprintf("%s/storage", env->run_dir);
}

int
identity_read(const char *root, const struct marker *marker, char **ret, struct error *err)
{
	_free_ char *path = xasprintf("%s/lock/" LEASE_LOCKSPACE, root);
	struct stat status;

	if (stat(path, &status) < 0 && errno == ENOENT)
		return error_set(err, 503,
		    "the storage '%s' at '%s' has lost its lockspace: there is no '%s'; where no "
		    "host runs VMs, `virtx storage init` makes it anew",
		    marker->uuid, root, path);
	if (stat(path, &status) < 0)
		return error_errno(err, 503, errno, "cannot look at '%s'", path);
	*ret = xasprintf("storage %s, marker %jx:%ju, lockspace %jx:%ju", marker->uuid,
	    (uintmax_t)marker->device, (uintmax_t)marker->inode, (uintmax_t)status.st_dev,
	    (uintmax_t)status.st_ino);
	return 0;
}

int
identity_keep(const struct work_env *env, const char *identity, struct error *err)
{
	_free_ char *path = kept_path(env);
	_free_ char *temporary = xasprintf("%s.%ld", path, (long)getpid());
	_close_ int fd =
	    open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : write_all(fd, identity, strlen(identity));

	if (r == 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r == 0)
		return 0;
	unlink(temporary);
	return error_errno(err, 507, -r, "cannot keep in '%s' which storage is joined", path);
}

/* 1 and the text, 0 where nothing is kept. */
static int
load(const struct work_env *env, struct buffer *ret, struct error *err)
{
	_free_ char *path = kept_path(env);
	_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int r = fd < 0 ? -errno : read_all(fd, ret, TEXT_MAX);

	if (r == -ENOENT)
		return 0;
	return r < 0 ? error_errno(err, 503, -r, "cannot read '%s'", path) : 1;
}

bool
identity_is_kept(const struct work_env *env)
{
	_free_ char *path = kept_path(env);

	return access(path, F_OK) == 0;
}

int
identity_check(const struct work_env *env, const char *identity, struct error *err)
{
	_buffer_ struct buffer kept = { 0 };
	enum lockspace_state state;
	struct error cause = { 0 };
	int id, r;

	/* Without sanlock's word nothing is joined that could be another's. */
	if (lockspace_state(env->root, &state, &id, &cause) < 0 || state != LOCKSPACE_JOINED)
		return 0;
	r = load(env, &kept, err);
	if (r < 0 || r == 0 || str_equal(kept.data, identity))
		return r < 0 ? -1 : 0;
	return error_set(err, 503,
	    "the storage under '%s' is another one than that which was joined: it is %s, and was "
	    "%s; mount that one again, or restart this host",
	    env->root, identity, kept.data);
}
