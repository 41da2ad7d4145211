/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/cluster_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STATUS (-1) /* of an error that is none of a server's */

/* As openat, where a link that leads out of root leads to its inside. */
static int
open_in(int root, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (unsigned int)flags | O_CLOEXEC,
		.mode = flags & O_CREAT ? mode : 0,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};

	return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

int
cluster_fs_open(const char *root, struct error *err)
{
	int fd = open(*root ? root : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 ? fd : error_errno(err, STATUS, errno, "cannot open '%s'", root);
}

bool
cluster_fs_exists(int root, const char *path)
{
	_close_ int fd = open_in(root, path, O_PATH, 0);

	return fd >= 0;
}

int
cluster_fs_read(
    int root, const char *path, char **ret, struct file_mode *ret_mode, struct error *err)
{
	_close_ int fd = open_in(root, path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0);
	_buffer_ struct buffer text = { 0 };
	struct stat status;
	int rc;

	*ret = NULL;
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0 || fstat(fd, &status) < 0)
		return error_errno(err, STATUS, errno, "cannot open '%s'", path);
	if (!S_ISREG(status.st_mode))
		return error_set(err, STATUS, "'%s' is no regular file", path);
	rc = read_all(fd, &text, CLUSTER_FILE_MAX);
	if (rc == 0 && text.len > 0 && memchr(text.data, '\0', text.len))
		rc = -EILSEQ;
	if (rc < 0) {
		if (text.data)
			explicit_bzero(text.data, text.size);
		return error_errno(err, STATUS, -rc, "cannot read '%s'", path);
	}
	if (ret_mode)
		*ret_mode =
		    (struct file_mode){ status.st_mode & 07777, status.st_uid, status.st_gid };
	*ret = buffer_steal(&text, NULL);
	return 1;
}

int
cluster_fs_make_folder(int root, const char *path, mode_t mode, struct error *err)
{
	size_t len = strlen(path);

	for (size_t at = 1; at <= len; at++) {
		_free_ char *above = NULL, *name = NULL;
		_close_ int folder = -1;
		size_t slash = at;

		if (path[at] && path[at] != '/')
			continue;
		while (slash > 0 && path[slash - 1] != '/')
			slash--;
		above = xstrndup(path, slash);
		name = xstrndup(path + slash, at - slash);
		folder = open_in(root, above, O_PATH | O_DIRECTORY, 0);
		if (folder < 0 ||
		    (mkdirat(folder, name, at == len ? mode : 0755) < 0 && errno != EEXIST))
			return error_errno(
			    err, STATUS, errno, "cannot make the folder '%.*s'", (int)at, path);
	}
	return 0;
}

/* The folder that a file is in; *name becomes the last part of its path. */
static int
open_folder(int root, const char *path, const char **name, struct error *err)
{
	const char *slash = strrchr(path, '/');
	_free_ char *folder = xstrndup(path, slash > path ? (size_t)(slash - path) : 1);
	int fd = open_in(root, folder, O_PATH | O_DIRECTORY, 0);

	*name = slash + 1;
	if (fd < 0 && errno == ENOENT) {
		if (cluster_fs_make_folder(root, folder, 0755, err) < 0)
			return error_wrap(err, "'%s'", folder);
		fd = open_in(root, folder, O_PATH | O_DIRECTORY, 0);
	}
	return fd >= 0 ? fd : error_errno(err, STATUS, errno, "cannot open '%s'", folder);
}

/* Nobody reads what was there who may not read what is. */
static int
limit_mode(int folder, const char *name, const struct file_mode *mode)
{
	_close_ int fd = openat(folder, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	struct stat status;

	if (fd < 0 || fstat(fd, &status) < 0)
		return -errno;
	return file_mode_set(fd, status.st_mode & mode->mode, mode);
}

/* What is there stays by another name, and is there all the time. What was there before that had
 * been written by this command. */
static int
keep_old(int folder, const char *name, const struct file_mode *mode)
{
	_free_ char *old = xasprintf("%s%s", name, CLUSTER_OLD);
	_free_ char *passing = xasprintf("%s" CLUSTER_OLD_PASSING, name);
	int rc;

	if (faccessat(folder, old, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	if (faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	(void)unlinkat(folder, passing, 0);
	if (linkat(folder, name, folder, passing, 0) < 0)
		return -errno;
	rc = limit_mode(folder, passing, mode);
	if (rc == 0 && renameat(folder, passing, folder, old) < 0)
		rc = -errno;
	if (rc < 0)
		(void)unlinkat(folder, passing, 0);
	return rc;
}

int
cluster_fs_write(int root, const char *path, const char *text, const struct file_mode *mode,
    enum cluster_keep keep, struct error *err)
{
	_free_ char *passing = NULL;
	const char *name;
	_close_ int folder = open_folder(root, path, &name, err);
	int rc;

	if (folder < 0)
		return -1;
	passing = xasprintf("%s" CLUSTER_NEW, name);
	rc = new_file_write(folder, passing, text, mode);
	if (rc == 0 && keep == KEEP_FIRST)
		rc = keep_old(folder, name, mode);
	if (rc == 0 && renameat(folder, passing, folder, name) < 0)
		rc = -errno;
	if (rc < 0) {
		(void)unlinkat(folder, passing, 0);
		return error_errno(err, STATUS, -rc, "cannot write '%s'", path);
	}
	return 0;
}

int
cluster_fs_set_mode(int root, const char *path, const struct file_mode *mode, struct error *err)
{
	_close_ int fd = open_in(root, path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0);
	struct stat status;
	int rc;

	if (fd < 0 || fstat(fd, &status) < 0)
		return error_errno(err, STATUS, errno, "cannot open '%s'", path);
	if (!S_ISREG(status.st_mode))
		return error_set(err, STATUS, "'%s' is no regular file", path);
	rc = file_mode_set(fd, mode->mode, mode);
	return rc < 0 ? error_errno(err, STATUS, -rc, "cannot change the mode of '%s'", path) : 0;
}

/* None but root can open it, so nobody else keeps root off. */
int
cluster_fs_lock(int root, const char *path, struct error *err)
{
	const char *name;
	_close_ int folder = open_folder(root, path, &name, err), fd = -1;

	if (folder < 0)
		return -1;
	fd = openat(folder, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_errno(err, STATUS, errno, "cannot open '%s'", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return error_errno(err, STATUS, errno,
		    "another 'virtx cluster' is at work on this host, and has '%s'", path);
	return steal_fd(&fd);
}

int
cluster_fs_remove(int root, const char *path, struct error *err)
{
	const char *slash = strrchr(path, '/');
	_free_ char *folder = xstrndup(path, slash > path ? (size_t)(slash - path) : 1);
	_close_ int fd = open_in(root, folder, O_PATH | O_DIRECTORY, 0);

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || (unlinkat(fd, slash + 1, 0) < 0 && errno != ENOENT))
		return error_errno(err, STATUS, errno, "cannot remove '%s'", path);
	return 0;
}
