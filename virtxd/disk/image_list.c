/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which images there are, and the staged ones among them that nobody finished. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "disk/image.h"
#include "disk/path.h"
#include "proto/uuid.h"

#define DEPTH_MAX 16
#define SUFFIX	  ".new"

struct walk {
	size_t left; /* entries that may still be looked at */
	bool complete;
	image_each each;
	void *arg;
};

bool
image_staged(const char *path, char uuid[37])
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	size_t len = strlen(base);
	char text[UUID_TEXT_SIZE];

	/* ".HASH.VM-UUID.new" */
	if (base[0] != '.' || len < 1 + 1 + 1 + 36 + strlen(SUFFIX) ||
	    strcmp(base + len - strlen(SUFFIX), SUFFIX) != 0)
		return false;
	base += len - strlen(SUFFIX) - 36;
	if (base[-1] != '.')
		return false;
	memcpy(text, base, 36);
	text[36] = '\0';
	return uuid_normalize(text, uuid) == 0 && strcmp(text, uuid) == 0;
}

static bool
is_kind(int dir, const struct dirent *entry, unsigned char type, mode_t mode)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == type;
	return fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       (st.st_mode & S_IFMT) == mode;
}

/* fd is given away. What is gone by the time that it is opened is passed over. */
static int
walk_dir(int fd, const char *path, int depth, struct walk *walk, struct error *err)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	int r = 0;

	if (!dir) {
		util_close(&fd);
		return error_errno(err, 507, errno, "cannot read directory '%s'", path);
	}
	while (r == 0 && walk->left > 0 && (errno = 0, (entry = readdir(dir)))) {
		_free_ char *below = NULL;
		int sub;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		walk->left--;
		below = xasprintf("%s/%s", path, entry->d_name);
		if (is_kind(dirfd(dir), entry, DT_REG, S_IFREG)) {
			walk->each(below, walk->arg);
		} else if (is_kind(dirfd(dir), entry, DT_DIR, S_IFDIR)) {
			if (depth == DEPTH_MAX) {
				walk->complete = false;
				continue;
			}
			sub = openat(dirfd(dir), entry->d_name,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (sub >= 0)
				r = walk_dir(sub, below, depth + 1, walk, err);
			else if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
				r = error_errno(
				    err, 507, errno, "cannot open directory '%s'", below);
		}
		errno = 0;
	}
	if (r == 0 && walk->left > 0 && errno)
		r = error_errno(err, 507, errno, "cannot read directory '%s'", path);
	closedir(dir);
	return r;
}

int
image_walk(
    const char *root, size_t max, image_each each, void *arg, bool *complete, struct error *err)
{
	_free_ char *path = xasprintf("%s/ds", root);
	struct walk walk = { .left = max, .complete = true, .each = each, .arg = arg };
	int fd;

	*complete = false;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, 507, errno, "cannot open directory '%s'", path);
	if (walk_dir(fd, path, 1, &walk, err) < 0)
		return -1;
	*complete = walk.complete && walk.left > 0;
	return 0;
}

int
image_stat(const char *root, const char *path, struct stat *st, struct error *err)
{
	_close_ int dir = -1;
	const char *base;

	if (path_open_dir(root, path, PATH_FIND, &dir, &base, err) < 0)
		return -1;
	if (fstatat(dir, base, st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_errno(
		    err, errno == ENOENT ? 404 : 507, errno, "cannot look at '%s'", path);
	return 0;
}

bool
image_is_absent(const char *root, const char *path)
{
	struct error ignored = { 0 };
	_close_ int dir = -1;
	const char *base;
	struct stat st;

	if (path_look_dir(root, path, PATH_FIND, &dir, &base, &ignored) < 0)
		return false;
	return dir < 0 || (fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT);
}

int
image_drop_staged(const char *root, const char *path, struct error *err)
{
	_close_ int dir = -1;
	const char *base;
	char uuid[37];

	if (!image_staged(path, uuid))
		return error_set(err, 400, "'%s' is no name of an unfinished image", path);
	if (path_look_dir(root, path, PATH_FIND, &dir, &base, err) < 0)
		return -1;
	if (dir < 0)
		return 0;
	if (unlinkat(dir, base, 0) < 0 && errno != ENOENT)
		return error_errno(err, 507, errno, "cannot remove '%s'", path);
	if (fsync(dir) < 0)
		return error_errno(err, 507, errno, "cannot write out the directory of '%s'", path);
	return 0;
}
