/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "http/socket_file.h"

#include <errno.h>
#include <grp.h>
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
	if (strlen(path) >= sizeof(ret->sun_path))
		return error_set(err, 500,
		    "cannot listen on '%s': its path has more than %zu bytes", path,
		    sizeof(ret->sun_path) - 1);
	memcpy(ret->sun_path, path, strlen(path));
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

int
socket_file_open(const char *path, const char *group, struct error *err)
{
	gid_t gid = find_group(group);
	struct sockaddr_un sa;
	_close_ int fd = -1;
	mode_t mask;
	int r;

	if (make_address(path, &sa, err) < 0 || make_folder(path, gid, err) < 0 ||
	    clear_place(path, &sa, err) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_errno(err, 500, errno, "cannot listen on '%s'", path);
	/* Nobody gets in before it is as it shall be. */
	mask = umask(0177);
	r = bind(fd, (struct sockaddr *)&sa, sizeof(sa));
	umask(mask);
	if (r < 0 || chown(path, (uid_t)-1, gid) < 0 || chmod(path, SOCKET_MODE) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return error_errno(err, 500, errno, "cannot listen on '%s'", path);
	return steal_fd(&fd);
}

void
socket_file_close(const char *path, int fd)
{
	_close_ int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un sa;
	struct error ignored;
	struct stat st;

	/* One that another process has put there since answers once this one is closed. */
	close(fd);
	if (probe < 0 || make_address(path, &sa, &ignored) < 0 || lstat(path, &st) < 0 ||
	    !S_ISSOCK(st.st_mode) || connect(probe, (struct sockaddr *)&sa, sizeof(sa)) == 0 ||
	    errno != ECONNREFUSED)
		return;
	unlink(path);
}
