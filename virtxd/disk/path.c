/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening what users name, without ever leaving ROOT/ds. */
#include "disk/path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "disk/access.h"

const char *
path_kind(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "a regular file";
	case S_IFDIR:
		return "a directory";
	case S_IFLNK:
		return "a symbolic link";
	case S_IFIFO:
		return "a FIFO";
	case S_IFSOCK:
		return "a socket";
	case S_IFBLK:
		return "a block device";
	case S_IFCHR:
		return "a character device";
	}
	return "of an unknown kind";
}

static bool
is_component(const char *at, size_t len)
{
	return len > 0 && len <= NAME_MAX && !(len == 1 && at[0] == '.') &&
	       !(len == 2 && at[0] == '.' && at[1] == '.');
}

/* Before anything is opened or made: is it under ROOT/ds, with no part that leads elsewhere? */
static int
check(const char *root, const char *path, struct error *err)
{
	size_t root_len = strlen(root);
	const char *at;
	size_t len;

	if (strncmp(path, root, root_len) != 0 || strncmp(path + root_len, "/ds/", 4) != 0)
		return error_set(err, 400, "'%s' is not under '%s/ds'", path, root);
	for (at = path + root_len; *at == '/'; at += len) {
		len = strcspn(++at, "/");
		if (!is_component(at, len))
			return error_set(
			    err, 400, "'%s' has a part that is empty, '.', '..' or too long", path);
	}
	return 0;
}

/* Makes the folder name in dir, and opens it to QEMU. */
static int
make_folder(int dir, const char *name, struct error *err)
{
	_close_ int fd = -1;

	if (mkdirat(dir, name, 0700) < 0)
		return errno == EEXIST ? 0 : error_errno(err, 507, errno, "mkdir");
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		error_errno(err, 507, errno, "open");
	else if (access_give(fd, ACCESS_FOLDER, err) == 0)
		return 0;
	unlinkat(dir, name, AT_REMOVEDIR);
	return -1;
}

static void
mend_folder(int dir)
{
	_close_ int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		access_mend_folder(fd);
}

/* Opens the directory name in *dir, and puts it in its place; upto is the length of path with it.
 * *missing is set where there is none. */
static int
descend(int *dir, const char *name, enum path_how how, const char *path, int upto, bool *missing,
    struct error *err)
{
	const int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	struct stat st;
	int fd;

	fd = openat(*dir, name, flags);
	if (fd < 0 && errno == ENOENT && how == PATH_MAKE) {
		if (make_folder(*dir, name, err) < 0)
			return error_wrap(err, "cannot make directory '%.*s'", upto, path);
		fd = openat(*dir, name, flags);
	}
	if (fd < 0) {
		int r = errno;

		if (r == ENOTDIR && fstatat(*dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			return error_set(err, 422, "'%.*s' is no directory but %s", upto, path,
			    path_kind(st.st_mode));
		*missing = r == ENOENT;
		return error_errno(
		    err, *missing ? 404 : 507, r, "cannot open directory '%.*s'", upto, path);
	}
	if (how != PATH_FIND)
		mend_folder(fd);
	util_close(dir);
	*dir = fd;
	return 0;
}

static int
open_dir(const char *root, const char *path, enum path_how how, int *ret_fd, const char **base,
    bool *missing, struct error *err)
{
	char name[NAME_MAX + 1];
	_close_ int dir = -1;
	const char *at, *slash;
	bool ds = true;
	int fd;

	if (check(root, path, err) < 0)
		return -1;
	dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return error_errno(err, 507, errno, "cannot open the storage root '%s'", root);
	for (at = path + strlen(root) + 1; (slash = strchr(at, '/')); at = slash + 1, ds = false) {
		memcpy(name, at, slash - at);
		name[slash - at] = '\0';
		if (descend(&dir, name, ds && how == PATH_MAKE ? PATH_MEND : how, path,
			(int)(slash - path), missing, err) < 0)
			return -1;
	}

	/* One that can be synced, too. */
	fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, 507, errno, "cannot open the directory of '%s'", path);
	*ret_fd = fd;
	*base = at;
	return 0;
}

static int
open_file(const char *root, const char *path, int flags, int *ret_fd, struct stat *st,
    bool *missing, struct error *err)
{
	_close_ int dir = -1, it = -1;
	const char *base;
	char self[32];
	int fd;

	if (open_dir(root, path, PATH_FIND, &dir, &base, missing, err) < 0)
		return -1;
	/* What it is must be known before it is opened for real: opening a device has effects. */
	it = openat(dir, base, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (it < 0 || fstat(it, st) < 0) {
		*missing = errno == ENOENT;
		return error_errno(err, *missing ? 404 : 507, errno, "cannot open '%s'", path);
	}
	if (!S_ISREG(st->st_mode))
		return error_set(
		    err, 422, "'%s' is no regular file but %s", path, path_kind(st->st_mode));

	snprintf(self, sizeof(self), "/proc/self/fd/%d", it);
	fd = open(self, O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags);
	if (fd < 0)
		return error_errno(err, 507, errno, "cannot open '%s'", path);
	*ret_fd = fd;
	return 0;
}

int
path_open_dir(const char *root, const char *path, enum path_how how, int *ret_fd, const char **base,
    struct error *err)
{
	bool missing = false;

	return open_dir(root, path, how, ret_fd, base, &missing, err);
}

/* What is missing is no failure. */
static int
pass_over(int r, bool missing, int *ret_fd, const struct error *cause, struct error *err)
{
	if (r == 0)
		return 0;
	*ret_fd = -1;
	if (missing)
		return 0;
	if (err)
		*err = *cause;
	return -1;
}

int
path_look_dir(const char *root, const char *path, enum path_how how, int *ret_fd, const char **base,
    struct error *err)
{
	struct error cause = { 0 };
	bool missing = false;
	int r = open_dir(root, path, how, ret_fd, base, &missing, &cause);

	return pass_over(r, missing, ret_fd, &cause, err);
}

int
path_open_file(
    const char *root, const char *path, int flags, int *ret_fd, struct stat *st, struct error *err)
{
	bool missing = false;

	return open_file(root, path, flags, ret_fd, st, &missing, err);
}

int
path_look_file(
    const char *root, const char *path, int flags, int *ret_fd, struct stat *st, struct error *err)
{
	struct error cause = { 0 };
	bool missing = false;
	int r = open_file(root, path, flags, ret_fd, st, &missing, &cause);

	return pass_over(r, missing, ret_fd, &cause, err);
}
