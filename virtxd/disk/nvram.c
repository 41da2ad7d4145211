/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/nvram.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_MODE 0750
#define FILE_MODE   0600
/* Firmware for ARM has 64 MiB. */
#define COPY_MAX ((size_t)256 << 20)

char *
nvram_path(const char *root, const char *uuid)
{
	return xasprintf("%s/nvram/%s_VARS.fd", root, uuid);
}

char *
nvram_local_path(const char *uuid)
{
	return xasprintf(NVRAM_LOCAL "/%s_VARS.fd", uuid);
}

static char *
temporary_path(const char *root, const char *uuid)
{
	return xasprintf("%s/nvram/.%s_VARS.fd.new", root, uuid);
}

int
nvram_make_folder(const char *root, struct error *err)
{
	_free_ char *path = xasprintf("%s/nvram", root);

	if (mkdir(path, FOLDER_MODE) < 0 && errno != EEXIST)
		return error_errno(err, 507, errno, "cannot make '%s'", path);
	return 0;
}

static int
sync_folder(const char *root, struct error *err)
{
	_free_ char *path = xasprintf("%s/nvram", root);
	_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return error_errno(err, 507, errno, "cannot write '%s'", path);
	return 0;
}

/* Under another name, with the owner that QEMU may run as. */
static int
write_copy(const char *path, const struct buffer *data, const struct stat *st, struct error *err)
{
	_close_ int fd =
	    open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
	int r;

	if (fd < 0)
		return error_errno(err, 507, errno, "cannot make '%s'", path);
	r = write_all(fd, data->data, data->len);
	if (r < 0)
		return error_errno(err, 507, -r, "cannot write '%s'", path);
	if (fchown(fd, st->st_uid, st->st_gid) < 0 || fsync(fd) < 0)
		return error_errno(err, 507, errno, "cannot write '%s'", path);
	return 0;
}

int
nvram_copy(const char *root, const char *uuid, const char *from, struct error *err)
{
	_free_ char *path = nvram_path(root, uuid), *temporary = temporary_path(root, uuid);
	_close_ int fd = open(from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	_buffer_ struct buffer data = { 0 };
	struct stat st;
	int r;

	if (nvram_make_folder(root, err) < 0)
		return -1;
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(err, 507, errno, "cannot open '%s'", from);
	if (!S_ISREG(st.st_mode))
		return error_set(err, 422, "'%s' is no regular file", from);
	r = read_all(fd, &data, COPY_MAX);
	if (r < 0)
		return error_errno(err, 507, -r, "cannot read '%s'", from);
	if (write_copy(temporary, &data, &st, err) < 0) {
		unlink(temporary);
		return -1;
	}
	if (rename(temporary, path) < 0)
		return error_errno(err, 507, errno, "cannot make '%s'", path);
	return sync_folder(root, err);
}

int
nvram_delete(const char *root, const char *uuid, struct error *err)
{
	_free_ char *path = nvram_path(root, uuid), *temporary = temporary_path(root, uuid);

	if (unlink(temporary) < 0 && errno != ENOENT)
		return error_errno(err, 507, errno, "cannot remove '%s'", temporary);
	if (unlink(path) < 0 && errno != ENOENT)
		return error_errno(err, 507, errno, "cannot remove '%s'", path);
	return 0;
}
