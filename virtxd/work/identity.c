/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/lease.h"
#include "proto/log.h"

#define TEXT_MAX  512
#define LOCKSPACE ", lockspace "

static char *
kept_path(const struct work_env *env, const char *folder)
{
	return xasprintf("%s/storage%s%s", env->run_dir, folder ? "." : "", str_or_empty(folder));
}

int
identity_read(const char *root, const struct marker *marker, char **ret, struct error *err)
{
	_free_ char *path = xasprintf("%s/lock/" LEASE_LOCKSPACE, root);
	_free_ char *registry = xasprintf("%s/xml", root);
	struct stat status, folder;

	if (stat(path, &status) < 0 && errno == ENOENT)
		return error_set(err, 503,
		    "the storage '%s' at '%s' has lost its lockspace: there is no '%s'; where no "
		    "host runs VMs, `virtx storage init` makes it anew",
		    marker->uuid, root, path);
	if (stat(path, &status) < 0)
		return error_errno(err, 503, errno, "cannot look at '%s'", path);
	if (stat(registry, &folder) < 0)
		return error_errno(err, 503, errno, "cannot look at '%s'", registry);
	*ret = xasprintf("storage %s, registry %jx:%ju" LOCKSPACE "%jx:%ju", marker->uuid,
	    (uintmax_t)folder.st_dev, (uintmax_t)folder.st_ino, (uintmax_t)status.st_dev,
	    (uintmax_t)status.st_ino);
	return 0;
}

int
identity_of_folder(const struct marker *storage, int dir, char **ret, struct error *err)
{
	struct stat status;

	if (fstat(dir, &status) < 0)
		return error_errno(err, 503, errno, "cannot look at a folder of the storage");
	*ret = xasprintf("storage %s, folder %jx:%ju", storage->uuid, (uintmax_t)status.st_dev,
	    (uintmax_t)status.st_ino);
	return 0;
}

int
identity_keep(
    const struct work_env *env, const char *folder, const char *identity, struct error *err)
{
	_free_ char *path = kept_path(env, folder);
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
load(const struct work_env *env, const char *folder, struct buffer *ret, struct error *err)
{
	_free_ char *path = kept_path(env, folder);
	_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int r = fd < 0 ? -errno : read_all(fd, ret, TEXT_MAX);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return error_errno(err, 503, -r, "cannot read '%s'", path);
	return ret->data != NULL;
}

bool
identity_is_kept(const struct work_env *env, const char *folder)
{
	_free_ char *path = kept_path(env, folder);

	return access(path, F_OK) == 0;
}

void
identity_forget(const struct work_env *env, const char *folder)
{
	_free_ char *path = kept_path(env, folder);

	if (unlink(path) < 0 && errno != ENOENT)
		log_warning("storage", "cannot remove '%s': %s", path, strerror(errno));
}

bool
identity_is_joined(const struct work_env *env)
{
	enum lockspace_state state;
	struct error ignored = { 0 };
	int id;

	return lockspace_state(env->root, &state, &id, &ignored) == 0 && state == LOCKSPACE_JOINED;
}

/* What an earlier virtxd has kept names the marker, where this one names the folder. */
static bool
is_same(const char *kept, const char *identity)
{
	const char *middle = strstr(kept, ", marker "), *end = strstr(kept, LOCKSPACE);
	const char *lockspace = strstr(identity, LOCKSPACE);

	if (!middle || !end || !lockspace)
		return str_equal(kept, identity);
	return strncmp(kept, identity, (size_t)(middle - kept) + 1) == 0 &&
	       str_equal(end, lockspace);
}

int
identity_check(
    const struct work_env *env, const char *folder, const char *identity, struct error *err)
{
	_buffer_ struct buffer kept = { 0 };
	int r = load(env, folder, &kept, err);

	if (r < 0 || r == 0 || is_same(kept.data, identity))
		return r < 0 ? -1 : 0;
	if (folder)
		return error_set(err, 503,
		    "the folder at '%s/%s' is another one than that which this host has used: it "
		    "is %s, and was %s; mount that one again, or restart this host",
		    env->root, folder, identity, kept.data);
	return error_set(err, 503,
	    "the storage under '%s' is another one than that which was joined: it is %s, and was "
	    "%s; mount that one again, or restart this host",
	    env->root, identity, kept.data);
}
