/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "http/socket_file.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/util.h"

#define BACKLOG 64
#define FOLDER_MODE \
	0710 /* who may use the socket has to get to it, but need not see what else is there */
#define SOCKET_MODE 0660

static int
make_address(const char *path, struct sockaddr_un *ret, struct error *err)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (snprintf(ret->sun_path, sizeof(ret->sun_path), "%s", path) >=
	    (int)sizeof(ret->sun_path))
		return error_set(err, 500,
		    "cannot listen on '%s': its path has more than %zu bytes", path,
		    sizeof(ret->sun_path) - 1);
	return 0;
}

/* -1 is nobody, as chown takes it. */
static gid_t
find_group(const char *group)
{
	struct group entry, *found = NULL;
	char text[65536];

	if (getgrnam_r(group, &entry, text, sizeof(text), &found) != 0 || !found)
		return (gid_t)-1;
	return found->gr_gid;
}

/* A folder that is there already is as its maker wants it. */
static int
make_folder(const char *path, gid_t gid, struct error *err)
{
	_free_ char *folder = xstrndup(path, (size_t)(strrchr(path, '/') - path));

	if (mkdir(folder, FOLDER_MODE) < 0) {
		if (errno == EEXIST)
			return 0;
		return error_errno(err, 500, errno, "cannot make '%s'", folder);
	}
	if (chmod(folder, FOLDER_MODE) < 0 || chown(folder, (uid_t)-1, gid) < 0)
		return error_errno(err, 500, errno, "cannot make '%s'", folder);
	return 0;
}

/* What an earlier process has left goes; one that is there still answers. */
static int
clear_place(const char *path, const struct sockaddr_un *sa, struct error *err)
{
	_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (fd < 0)
		return error_errno(err, 500, errno, "cannot listen on '%s'", path);
	if (lstat(path, &st) < 0) {
		if (errno == ENOENT)
			return 0;
		return error_errno(err, 500, errno, "cannot listen on '%s'", path);
	}
	if (!S_ISSOCK(st.st_mode))
		return error_set(err, 500, "cannot listen on '%s': it is no socket", path);
	if (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0 || errno != ECONNREFUSED)
		return error_set(err, 500,
		    "cannot listen on '%s': another virtxd serves there, or else remove it", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return error_errno(err, 500, errno, "cannot replace '%s'", path);
	return 0;
}

/* Nobody gets in before it is as it shall be. */
static int
bind_alone(int fd, const struct sockaddr_un *sa)
{
	mode_t mask = umask(0177);
	int r = bind(fd, (const struct sockaddr *)sa, sizeof(*sa));

	umask(mask);
	return r;
}

int
socket_file_open(struct socket_file *file, const char *path, const char *group, struct error *err)
{
	gid_t gid = group ? find_group(group) : (gid_t)-1;
	struct sockaddr_un sa;
	_close_ int fd = -1;
	struct stat st;

	if (make_address(path, &sa, err) < 0 || make_folder(path, gid, err) < 0 ||
	    clear_place(path, &sa, err) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_errno(err, 500, errno, "cannot listen on '%s'", path);
	if (bind_alone(fd, &sa) < 0)
		return error_errno(err, 500, errno, "cannot listen on '%s'", path);
	if (lstat(path, &st) < 0 ||
	    (group && (chown(path, (uid_t)-1, gid) < 0 || chmod(path, SOCKET_MODE) < 0)) ||
	    listen(fd, BACKLOG) < 0) {
		int errnum = errno;

		unlink(path);
		return error_errno(err, 500, errnum, "cannot listen on '%s'", path);
	}
	*file = (struct socket_file){ xstrdup(path), st.st_dev, st.st_ino };
	return steal_fd(&fd);
}

void
socket_file_remove(struct socket_file *file)
{
	struct stat st;

	if (file->path && lstat(file->path, &st) == 0 && st.st_dev == file->dev &&
	    st.st_ino == file->ino)
		unlink(file->path);
	free(file->path);
	*file = (struct socket_file){ 0 };
}
