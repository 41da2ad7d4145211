/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small files on shared storage: written to a temporary name, synced, renamed. */
#include "domain/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/table.h"
#include "proto/uuid.h"

#define FOLDER "xml"

int
store_check(const char *text, const char *what, char out[37], struct error *err)
{
	if (uuid_normalize(str_or_empty(text), out) < 0)
		return error_set(err, 400, "'%.64s' is no uuid of a %s", str_or_empty(text), what);
	return 0;
}

int
store_sync(int dir, const char *path, struct error *err)
{
	if (fsync(dir) < 0)
		return error_errno(err, 507, errno, "cannot sync the directory of '%s'", path);
	return 0;
}

void
store_refresh(int dir, const char *folder)
{
	struct statx status;

	statx(dir, folder, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_STATX_FORCE_SYNC, STATX_MTIME,
	    &status);
}

/* Opens a directory inside parent, and makes it first where asked to; path is for messages. */
static int
open_folder(int parent, const char *name, bool make, mode_t mode, const char *path, bool *absent,
    struct error *err)
{
	int fd;

	if (make) {
		if (mkdirat(parent, name, mode) == 0) {
			if (store_sync(parent, path, err) < 0)
				return -1;
		} else if (errno != EEXIST) {
			return error_errno(err, 507, errno, "cannot make '%s'", path);
		}
	}
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && !make)
		*absent = true;
	else if (fd < 0)
		error_errno(err, 507, errno, "cannot open '%s'", path);
	else
		store_refresh(fd, "");
	return fd;
}

int
store_no_marker(const char *root, struct error *err)
{
	return error_set(err, 503,
	    "the storage is not mounted at '%s', or is not made for VirtX: there is no '%s/" FOLDER
	    "/" STORE_MARKER
	    "'; mount it, or run `virtx storage init` once where it is new, or has lost that file",
	    root, root);
}

static bool
has_marker(int top)
{
	return faccessat(top, STORE_MARKER, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int
store_open(const char *root, const char *host, bool make, bool *absent, struct error *err)
{
	_free_ char *top_path = xasprintf("%s/" FOLDER, root);
	_free_ char *path = NULL;
	_close_ int base = -1;
	_close_ int top = -1;

	*absent = false;
	base = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (base < 0)
		return error_errno(err, 507, errno, "cannot open the storage root '%s'", root);
	top = open_folder(base, FOLDER, make && !host, 0750, top_path, absent, err);
	if (make && host && (*absent || (top >= 0 && !has_marker(top)))) {
		*absent = false;
		return store_no_marker(root, err);
	}
	if (top < 0 || !host)
		return steal_fd(&top);
	path = xasprintf("%s/%s", top_path, host);
	return open_folder(top, host, make, 0750, path, absent, err);
}

int
store_open_private(const char *root, const char *name, bool make, bool *absent, struct error *err)
{
	_free_ char *path = xasprintf("%s/%s", root, name);
	_close_ int top = store_open(root, NULL, false, absent, err);
	_close_ int base = -1, fd = -1;
	struct stat status;

	if (top < 0 && !*absent)
		return -1;
	*absent = false;
	if (top < 0 || !has_marker(top))
		return store_no_marker(root, err);
	base = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (base < 0)
		return error_errno(err, 507, errno, "cannot open the storage root '%s'", root);
	fd = open_folder(base, name, make, 0700, path, absent, err);
	if (fd < 0)
		return -1;
	if (fstat(fd, &status) < 0)
		return error_errno(err, 507, errno, "cannot look at '%s'", path);
	if (status.st_uid != geteuid() || (status.st_mode & 077))
		return error_set(err, 507,
		    "'%s' is not for root alone: `chown root '%s'` and `chmod 700 '%s'`, and look "
		    "at what is in it",
		    path, path, path);
	return steal_fd(&fd);
}

/* Opens a new file under a temporary name. */
static int
open_temporary(int dir, const char *name)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(dir, name, flags, 0640);

	if (fd < 0 && errno == EEXIST) {
		/* Left by a process that had this pid and was killed. */
		unlinkat(dir, name, 0);
		fd = openat(dir, name, flags, 0640);
	}
	return fd;
}

/* 0 or -errno; then the file may be there all the same. */
static int
write_temporary(int dir, const char *temporary, const void *data, size_t len)
{
	_close_ int fd = open_temporary(dir, temporary);
	int result;

	if (fd < 0)
		return -errno;
	result = write_all(fd, data, len);
	if (result < 0)
		return result;
	if (fchmod(fd, 0640) < 0 || fsync(fd) < 0)
		return -errno;
	/* NFS reports at close what it could not write. */
	return close(steal_fd(&fd)) < 0 ? -errno : 0;
}

int
store_save(
    int dir, const char *name, const void *data, size_t len, const char *path, struct error *err)
{
	_free_ char *temporary = xasprintf(".%s.%ld", name, (long)getpid());
	int result = write_temporary(dir, temporary, data, len);

	if (result == 0)
		result = rename_at(dir, temporary, dir, name);
	if (result < 0) {
		unlinkat(dir, temporary, 0);
		return error_errno(err, 507, -result, "cannot write '%s'", path);
	}
	return store_sync(dir, path, err);
}

/* A process of another host may have our pid. */
static char *
unique_name(const char *name)
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		abort();
	return xasprintf(".%s.%016" PRIx64, name, random);
}

int
store_create(
    int dir, const char *name, const void *data, size_t len, const char *path, struct error *err)
{
	_free_ char *temporary = unique_name(name);
	int result = write_temporary(dir, temporary, data, len);

	if (result == 0)
		result = link_at(dir, temporary, name);
	unlinkat(dir, temporary, 0);
	if (result == -EEXIST)
		return 1;
	if (result < 0)
		return error_errno(err, 507, -result, "cannot write '%s'", path);
	return store_sync(dir, path, err);
}

/* Opens a regular file to read it; -1 without an error where it is absent. */
static int
open_file(int dir, const char *name, const char *path, struct stat *status, bool *absent,
    struct error *err)
{
	/* O_NONBLOCK: should it be a fifo. */
	_close_ int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	*absent = fd < 0 && errno == ENOENT;
	if (*absent)
		return -1;
	if (fd < 0 || fstat(fd, status) < 0)
		return error_errno(err, 507, errno, "cannot open '%s'", path);
	if (!S_ISREG(status->st_mode))
		return error_set(err, 507, "'%s' is no regular file: move it away", path);
	return steal_fd(&fd);
}

int
store_stat(int dir, const char *name, const char *path, struct stat *ret, struct error *err)
{
	bool absent;
	_close_ int fd = open_file(dir, name, path, ret, &absent, err);

	return absent ? 1 : fd < 0 ? -1 : 0;
}

int
store_load(int dir, const char *name, const char *path, char **ret, size_t *len, struct error *err)
{
	struct stat status;
	bool absent;
	_close_ int fd = open_file(dir, name, path, &status, &absent, err);
	_buffer_ struct buffer buffer = { 0 };
	int result;

	*ret = NULL;
	if (fd < 0)
		return absent ? 0 : -1;
	result = read_all(fd, &buffer, STORE_FILE_MAX);
	if (result == -EFBIG)
		return error_set(err, 507,
		    "'%s' is longer than %d bytes, and not what was saved: "
		    "move it away",
		    path, STORE_FILE_MAX);
	if (result < 0)
		return error_errno(err, 507, -result, "cannot read '%s'", path);
	*ret = buffer_steal(&buffer, len);
	return 0;
}

int
store_remove(int dir, const char *name, const char *path, struct error *err)
{
	if (unlinkat(dir, name, 0) == 0)
		return store_sync(dir, path, err);
	if (errno == ENOENT)
		return 0;
	return error_errno(err, 507, errno, "cannot remove '%s'", path);
}

/* Whether a name is a UUID in the form that we write, and the suffix. */
static bool
is_entry(const char *name, const char *suffix, char uuid[37])
{
	_free_ char *stem = NULL;

	if (strlen(name) != 36 + strlen(suffix) || strcmp(name + 36, suffix) != 0)
		return false;
	stem = xstrndup(name, 36);
	return uuid_normalize(stem, uuid) == 0 && strcmp(stem, uuid) == 0;
}

int
store_list(
    int dir, const char *suffix, const char *path, char (**ret)[37], size_t *n, struct error *err)
{
	_close_ int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_free_ char(*list)[37] = NULL;
	struct dirent *entry;
	size_t count = 0;
	int result = 0;
	char uuid[37];
	DIR *stream;

	stream = fd < 0 ? NULL : fdopendir(fd);
	if (!stream)
		return error_errno(err, 507, errno, "cannot read the directory '%s'", path);
	steal_fd(&fd);
	while (errno = 0, (entry = readdir(stream))) {
		if (!is_entry(entry->d_name, suffix, uuid))
			continue;
		if (count == STORE_ENTRIES_MAX) {
			result = error_set(
			    err, 507, "'%s' has more than %d entries", path, STORE_ENTRIES_MAX);
			break;
		}
		memcpy(*model_append(&list, &count), uuid, sizeof(uuid));
	}
	if (!entry && errno)
		result = error_errno(err, 507, errno, "cannot read the directory '%s'", path);
	closedir(stream);
	if (result < 0)
		return result;
	*ret = steal_ptr(list);
	*n = count;
	return 0;
}

/* Whether the name is a temporary one of store_save, of a process that is no more. */
static bool
is_left_behind(const char *name)
{
	const char *dot = strrchr(name, '.');
	long pid;
	char *end;

	if (name[0] != '.' || dot == name)
		return false;
	pid = strtol(dot + 1, &end, 10);
	return end != dot + 1 && !*end && pid > 0 && kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

int
store_sweep(int dir, const char *path, struct error *err)
{
	_close_ int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;
	int result = 0;
	DIR *stream;

	stream = fd < 0 ? NULL : fdopendir(fd);
	if (!stream)
		return error_errno(err, 507, errno, "cannot read the directory '%s'", path);
	steal_fd(&fd);
	while (result == 0 && (entry = readdir(stream))) {
		if (is_left_behind(entry->d_name))
			result = store_remove(dir, entry->d_name, path, err);
	}
	closedir(stream);
	return result;
}

/* Whether the name is a temporary one of store_create. */
static bool
is_unique_name(const char *name)
{
	const char *dot = strrchr(name, '.');

	return name[0] == '.' && dot != name && strlen(dot + 1) == 16 &&
	       strspn(dot + 1, "0123456789abcdef") == 16;
}

void
store_sweep_old(int dir, const char *name, int64_t seconds)
{
	_close_ int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *entry;
	struct stat now, status;
	DIR *stream;

	if (fstatat(dir, name, &now, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	stream = fd < 0 ? NULL : fdopendir(fd);
	if (!stream)
		return;
	steal_fd(&fd);
	while ((entry = readdir(stream))) {
		if (is_unique_name(entry->d_name) &&
		    fstatat(dir, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
		    status.st_mtim.tv_sec < now.st_mtim.tv_sec - seconds)
			unlinkat(dir, entry->d_name, 0);
	}
	closedir(stream);
}
