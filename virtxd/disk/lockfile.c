/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A directory with one file that sanlock uses, and the words for sanlock's errors. */
#include "disk/lockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sanlock.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUP "sanlock"

/* The group of the daemon, so that it can open what root made; -1 (leave it) where there is none.
 */
static gid_t
daemon_group(void)
{
	struct group group, *found = NULL;
	char text[4096];

	if (getgrnam_r(GROUP, &group, text, sizeof(text), &found) != 0 || !found)
		return (gid_t)-1;
	return found->gr_gid;
}

int
lockfile_make(
    int parent, const char *dir, mode_t mode, const char *file, int *ret_fd, struct error *err)
{
	gid_t gid = daemon_group();
	_close_ int dir_fd = -1, fd = -1;

	dir_fd = openat(parent, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* In this order: a change of the group takes set-group-ID away. */
	if (dir_fd < 0 || fchown(dir_fd, (uid_t)-1, gid) < 0 || fchmod(dir_fd, mode) < 0)
		return error_errno(err, 507, errno, "cannot prepare directory '%s'", dir);
	fd = openat(dir_fd, file, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0660);
	if (fd < 0 || fchown(fd, (uid_t)-1, gid) < 0 || fchmod(fd, 0660) < 0)
		return error_errno(err, 507, errno, "cannot make file '%s/%s'", dir, file);
	*ret_fd = steal_fd(&fd);
	return 0;
}

int
lockfile_make_dir(int parent, const char *dir)
{
	if (mkdirat(parent, dir, 0700) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	/* The answer of an NFS server may have been lost, which says this when it is asked again:
	 * then nothing is in it. */
	if (unlinkat(parent, dir, AT_REMOVEDIR) < 0)
		return -EEXIST;
	return mkdirat(parent, dir, 0700) < 0 ? -errno : 0;
}

int
lockfile_publish(int parent, const char *dir, int fd, const char *name)
{
	_close_ int dir_fd = -1;
	int r;

	dir_fd = openat(parent, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir_fd < 0 || fsync(fd) < 0 || fsync(dir_fd) < 0)
		return -errno;
	r = rename_at(parent, dir, parent, name);
	if (r < 0)
		return r == -ENOTEMPTY ? -EEXIST : r;
	return fsync(parent) < 0 ? -errno : 0;
}

int
lockfile_remove(int parent, const char *dir, const char *file)
{
	_close_ int dir_fd = -1;

	dir_fd = openat(parent, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir_fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (unlinkat(dir_fd, file, 0) < 0 && errno != ENOENT)
		return -errno;
	if (unlinkat(parent, dir, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

void
lockfile_append_group(struct error *err, const char *path)
{
	gid_t gid = daemon_group();
	struct stat st;

	if (gid == (gid_t)-1 || stat(path, &st) < 0 || st.st_gid == gid)
		return;
	error_append(err,
	    "'%s' is for the group %u, and '" GROUP "' is %u on this host: it has to have the same "
	    "number on all hosts",
	    path, (unsigned int)st.st_gid, (unsigned int)gid);
}

int
lockfile_error(struct error *err, int status, int rv, const char *fmt, ...)
{
	_free_ char *what = NULL;
	va_list ap;

	va_start(ap, fmt);
	what = xvasprintf(fmt, ap);
	va_end(ap);
	/* Its own results are below -200, errnos above; -1 is a connection that was cut. */
	if (rv == -1)
		return error_set(err, 503, "%s: the sanlock daemon hung up", what);
	if (rv > -200)
		return error_errno(err, status, -rv, "%s", what);
	return error_set(err, status, "%s: %s (sanlock %d)", what, sanlock_strerror(rv), rv);
}
