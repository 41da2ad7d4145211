/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/nvram.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/table.h"

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

/* "VM_VARS.fd" and ".VM_VARS.fd.new". */
static bool
read_name(const char *name, char uuid[UUID_TEXT_SIZE])
{
	bool temporary = *name == '.';
	char text[UUID_TEXT_SIZE] = "";

	name += temporary;
	if (strlen(name) < sizeof(text) - 1)
		return false;
	memcpy(text, name, sizeof(text) - 1);
	return uuid_normalize(text, uuid) == 0 && strcmp(text, uuid) == 0 &&
	       str_equal(name + sizeof(text) - 1, temporary ? "_VARS.fd.new" : "_VARS.fd");
}

int
nvram_list(const char *root, char (**ret)[UUID_TEXT_SIZE], size_t *n, struct error *err)
{
	_free_ char *path = xasprintf("%s/nvram", root);
	_free_ char(*vms)[UUID_TEXT_SIZE] = NULL;
	char uuid[UUID_TEXT_SIZE];
	struct dirent *entry;
	DIR *dir = opendir(path);
	int error;

	*ret = NULL;
	*n = 0;
	if (!dir && errno == ENOENT)
		return 0;
	if (!dir)
		return error_errno(err, 507, errno, "cannot open '%s'", path);
	while (*n < NVRAM_MAX && (errno = 0, (entry = readdir(dir)))) {
		if (read_name(entry->d_name, uuid))
			memcpy(*model_append(&vms, n), uuid, sizeof(uuid));
	}
	error = *n < NVRAM_MAX ? errno : 0;
	closedir(dir);
	if (error)
		return error_errno(err, 507, error, "cannot read '%s'", path);
	*ret = steal_ptr(vms);
	return 0;
}

static int64_t
changed(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 ? (int64_t)st.st_mtim.tv_sec * 1000 : 0;
}

int64_t
nvram_changed(const char *root, const char *uuid)
{
	_free_ char *path = nvram_path(root, uuid), *temporary = temporary_path(root, uuid);
	int64_t whole = changed(path), part = changed(temporary);

	return whole > part ? whole : part;
}
