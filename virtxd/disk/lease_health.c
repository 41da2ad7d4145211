/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether a resource's file is what it should be. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <sanlock.h>
#include <sanlock_admin.h>
#include <sanlock_rv.h>

#include "disk/lease.h"
#include "disk/lease_file.h"
#include "disk/lockfile.h"
#include "disk/path.h"

/* Its own file, as far as the file system tells. */
static int
look_at_file(const char *path, enum lease_health *ret, struct error *why, struct error *err)
{
	struct stat st;

	*ret = LEASE_SOUND;
	if (lstat(path, &st) < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			return error_errno(err, 507, errno, "cannot look at the lease '%s'", path);
		*ret = LEASE_MISSING;
		error_set(why, 507, "its lease '%s' is missing", path);
	} else if (!S_ISREG(st.st_mode)) {
		*ret = LEASE_DAMAGED;
		error_set(
		    why, 507, "its lease '%s' is damaged: it is %s", path, path_kind(st.st_mode));
	} else if (st.st_size < LEASE_LVB_OFFSET + LEASE_SECTOR) {
		*ret = LEASE_DAMAGED;
		error_set(why, 507, "its lease '%s' is damaged: of its file %lld bytes are left",
		    path, (long long)st.st_size);
	}
	return 0;
}

/* What sanlock finds at its front. */
static int
look_at_leader(const char *name, const char *path, enum lease_health *ret, struct error *why,
    struct error *err)
{
	_free_ struct sanlk_resource *resource = lease_resource_new(name, path, err);
	int rv;

	if (!resource)
		return -1;
	rv = sanlock_read_resource(resource, 0);
	switch (rv) {
	case 0:
		return 0;
	case SANLK_LEADER_MAGIC:
	case SANLK_LEADER_VERSION:
	case SANLK_LEADER_SECTORSIZE:
	case SANLK_LEADER_LOCKSPACE:
	case SANLK_LEADER_RESOURCE:
	case SANLK_LEADER_NUMHOSTS:
	case SANLK_LEADER_CHECKSUM:
		*ret = LEASE_DAMAGED;
		lockfile_error(why, 507, rv, "its lease '%s' is damaged", path);
		return 0;
	}
	return lockfile_error(err, 503, rv, "sanlock cannot read the lease '%s'", path);
}

int
lease_stat(const char *root, const char *name, struct stat *ret, struct error *err)
{
	_free_ char *path = lease_path(root, name);
	_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || fstat(fd, ret) < 0)
		return error_errno(err, 507, errno, "cannot look at the lease '%s'", path);
	return 0;
}

int
lease_health(const char *root, const char *name, enum lease_health *ret, char owner[37],
    struct error *why, struct error *err)
{
	_free_ char *path = lease_path(root, name);
	char lvb[LEASE_SECTOR];
	bool parsed;

	owner[0] = '\0';
	if (look_at_file(path, ret, why, err) < 0)
		return -1;
	if (*ret != LEASE_SOUND)
		return 0;
	if (lease_read_lvb(path, lvb, err) < 0)
		return -1;
	parsed = lease_parse_owner(lvb, owner) == 0;
	if (parsed && owner[0])
		return look_at_leader(name, path, ret, why, err);
	owner[0] = '\0';
	*ret = LEASE_DAMAGED;
	error_set(why, 507, "its lease '%s' is damaged: %s", path,
	    parsed ? "no VM is written in it" : "what is written in it is no VM");
	return 0;
}
