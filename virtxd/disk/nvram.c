/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/nvram.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/access.h"
#include "proto/table.h"

/* The front of a firmware volume: where its length stands, little-endian, and what follows. */
#define VOLUME_LENGTH	 32
#define VOLUME_SIGNATURE 40
/* QEMU takes flash of whole blocks. */
#define FLASH_BLOCK 4096

/* Firmware for ARM has 64 MiB. */
#define COPY_MAX ((size_t)256 << 20)

char *
nvram_path(const char *root, const char *uuid)
{
	return xasprintf("%s/nvram/%s_VARS.fd", root, uuid);
}

char *
nvram_local_path(const char *name)
{
	return xasprintf(NVRAM_LOCAL "/%s_VARS.fd", name);
}

static char *
temporary_path(const char *root, const char *uuid)
{
	return xasprintf("%s/nvram/.%s_VARS.fd.new", root, uuid);
}

char *
nvram_kept_path(const char *root, const char *uuid)
{
	return xasprintf("%s/nvram/.%s_VARS.fd.old", root, uuid);
}

static int
open_folder(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int
nvram_make_folder(const char *root, struct error *err)
{
	_free_ char *path = xasprintf("%s/nvram", root);
	_close_ int fd = -1;

	if (mkdir(path, 0700) < 0)
		return errno == EEXIST ? 0 : error_errno(err, 507, errno, "cannot make '%s'", path);
	fd = open_folder(path);
	if (fd < 0)
		error_errno(err, 507, errno, "cannot open '%s'", path);
	else if (access_give(fd, ACCESS_FOLDER, err) == 0)
		return 0;
	else
		error_wrap(err, "cannot make '%s'", path);
	rmdir(path);
	return -1;
}

int
nvram_mend(const char *root, const char *uuid, struct error *err)
{
	_free_ char *folder = xasprintf("%s/nvram", root), *path = nvram_path(root, uuid);
	_close_ int dir = open_folder(folder), fd = -1;

	if (dir >= 0)
		access_mend_folder(dir);
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : error_errno(err, 507, errno, "cannot open '%s'", path);
	return access_mend_file(fd, ACCESS_IMAGE, err);
}

int
nvram_check(const char *path, struct error *err)
{
	_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char front[VOLUME_SIGNATURE + 4] = "";
	uint64_t length = FLASH_BLOCK;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	n = pread(fd, front, sizeof(front), 0);
	if (n < 0 || (n >= 4 && memcmp(front, "QFI\xfb", 4) == 0))
		return 0;
	if ((size_t)n == sizeof(front) && memcmp(front + VOLUME_SIGNATURE, "_FVH", 4) == 0) {
		memcpy(&length, front + VOLUME_LENGTH, sizeof(length));
		length = le64toh(length);
	}
	if ((uint64_t)st.st_size >= length && st.st_size % FLASH_BLOCK == 0)
		return 0;
	if (st.st_size == 0)
		return error_set(err, 422, "'%s' is empty", path);
	if ((uint64_t)st.st_size < length)
		return error_set(err, 422, "'%s' is cut off: it has %lld of at least %llu bytes",
		    path, (long long)st.st_size, (unsigned long long)length);
	return error_set(err, 422, "'%s' is cut off: its %lld bytes are no multiple of %d", path,
	    (long long)st.st_size, FLASH_BLOCK);
}

/* Under another name. */
static int
write_copy(const char *path, const struct buffer *data, struct error *err)
{
	_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return error_errno(err, 507, errno, "cannot make '%s'", path);
	r = write_all(fd, data->data, data->len);
	if (r < 0)
		return error_errno(err, 507, -r, "cannot write '%s'", path);
	if (fsync(fd) < 0)
		return error_errno(err, 507, errno, "cannot write '%s'", path);
	return access_give(fd, ACCESS_IMAGE, err) < 0 ? error_wrap(err, "'%s'", path) : 0;
}

/* 1 with what is in it, 0 where it is not there. */
static int
read_file(const char *path, struct buffer *data, struct stat *st, struct error *err)
{
	_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int r;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, st) < 0)
		return error_errno(err, 507, errno, "cannot open '%s'", path);
	if (!S_ISREG(st->st_mode))
		return error_set(err, 422, "'%s' is no regular file", path);
	r = read_all(fd, data, COPY_MAX);
	if (r < 0)
		return error_errno(err, 507, -r, "cannot read '%s'", path);
	return 1;
}

static bool
is_later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

static int
rename_file(int dir, const char *from, const char *to, struct error *err)
{
	int r = rename_at(dir, strrchr(from, '/') + 1, dir, strrchr(to, '/') + 1);

	return r < 0 ? error_errno(err, 507, -r, "cannot make '%s'", to) : 0;
}

/* aside: where the file that is at path goes, NULL where there is none to keep. */
static int
put(const char *root, const char *uuid, const struct buffer *data, const char *path,
    const char *aside, struct error *err)
{
	_free_ char *temporary = temporary_path(root, uuid), *folder = xasprintf("%s/nvram", root);
	_close_ int dir = -1;

	if (write_copy(temporary, data, err) < 0) {
		unlink(temporary);
		return -1;
	}
	dir = open_folder(folder);
	if (dir < 0)
		return error_errno(err, 507, errno, "cannot open '%s'", folder);
	/* Cut off between the two, the next call finds none, and goes on. */
	if ((aside && rename_file(dir, path, aside, err) < 0) ||
	    rename_file(dir, temporary, path, err) < 0)
		return -1;
	return fsync(dir) < 0 ? error_errno(err, 507, errno, "cannot write '%s'", folder) : 0;
}

int
nvram_copy(
    const char *root, const char *uuid, const char *from, enum nvram_copied *ret, struct error *err)
{
	_free_ char *path = nvram_path(root, uuid), *kept = nvram_kept_path(root, uuid);
	_buffer_ struct buffer data = { 0 }, own = { 0 };
	struct stat st, own_st;
	int r, has;

	*ret = NVRAM_COPIED;
	r = read_file(from, &data, &st, err);
	if (r <= 0)
		return r;
	has = read_file(path, &own, &own_st, err);
	if (has < 0)
		return -1;
	if (has && own.len == data.len && memcmp(own.data, data.data, data.len) == 0)
		return 0;
	if (has)
		*ret = is_later(&st.st_mtim, &own_st.st_mtim) ? NVRAM_REPLACED : NVRAM_LATER;
	/* Their times may be of two clocks: the other is kept, whichever it is. */
	if (*ret == NVRAM_LATER)
		return put(root, uuid, &data, kept, NULL, err);
	return put(root, uuid, &data, path, has ? kept : NULL, err);
}

/* All that there may be of a VM; the VM's own goes last. */
#define FILES 3

static void
list_paths(const char *root, const char *uuid, char *paths[FILES])
{
	paths[0] = temporary_path(root, uuid);
	paths[1] = nvram_kept_path(root, uuid);
	paths[2] = nvram_path(root, uuid);
}

int
nvram_delete(const char *root, const char *uuid, struct error *err)
{
	char *paths[FILES];
	int r = 0;

	list_paths(root, uuid, paths);
	for (size_t i = 0; i < FILES; i++) {
		if (r == 0 && unlink(paths[i]) < 0 && errno != ENOENT)
			r = error_errno(err, 507, errno, "cannot remove '%s'", paths[i]);
		free(paths[i]);
	}
	return r;
}

/* "VM_VARS.fd", ".VM_VARS.fd.new" and ".VM_VARS.fd.old". */
static bool
read_name(const char *name, char uuid[UUID_TEXT_SIZE])
{
	bool beside = *name == '.';
	char text[UUID_TEXT_SIZE] = "";

	name += beside;
	if (strlen(name) < sizeof(text) - 1)
		return false;
	memcpy(text, name, sizeof(text) - 1);
	name += sizeof(text) - 1;
	return uuid_normalize(text, uuid) == 0 && strcmp(text, uuid) == 0 &&
	       (beside ? str_equal(name, "_VARS.fd.new") || str_equal(name, "_VARS.fd.old")
		       : str_equal(name, "_VARS.fd"));
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
	char *paths[FILES];
	int64_t latest = 0;

	list_paths(root, uuid, paths);
	for (size_t i = 0; i < FILES; i++) {
		int64_t at = changed(paths[i]);

		latest = at > latest ? at : latest;
		free(paths[i]);
	}
	return latest;
}
