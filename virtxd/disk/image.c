/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making disk images under a staged name, and undoing that. */
#include "disk/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "disk/command.h"
#include "disk/path.h"
#include "proto/vmdef.h"

/* The owner is the daemon until libvirt gives a running VM's image to QEMU's user; the group, which
 * a set-group-ID directory hands down, may read. */
#define IMAGE_MODE 0640
/* Slow storage without fallocate() is written through; the job's own deadline may be shorter. */
#define CREATE_TIMEOUT (6 * 3600)
#define CREATE_MEMORY  ((size_t)4 << 30)
#define STAGED_SIZE    96

struct creation {
	int fd;
	int64_t size;
	void (*progress)(int percent, void *arg);
	void *arg;
};

/* ".HASH-OF-PATH.VM-UUID.new": one length for all, however long the image's own name is. */
static int
staged_name(const char *root, const char *uuid, const struct disk *disk, char out[STAGED_SIZE],
    struct error *err)
{
	char hash[49];

	if (disk_resource_name(disk, root, hash, err) < 0)
		return -1;
	snprintf(out, STAGED_SIZE, ".%s.%s.new", hash, uuid);
	return 0;
}

static bool
same_file(int dir, const char *a, const char *b)
{
	struct stat sa, sb;

	return fstatat(dir, a, &sa, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstatat(dir, b, &sb, AT_SYMLINK_NOFOLLOW) == 0 && sa.st_dev == sb.st_dev &&
	       sa.st_ino == sb.st_ino;
}

static void
tell_progress(void *arg)
{
	const struct creation *creation = arg;
	struct stat st;
	int64_t percent;

	if (fstat(creation->fd, &st) < 0 || creation->size <= 0)
		return;
	percent = (int64_t)st.st_blocks * 512 * 100 / creation->size;
	creation->progress(percent < 99 ? (int)percent : 99, creation->arg);
}

/* Fills the opened, empty file. */
static int
fill(int fd, const struct disk *disk, void (*progress)(int percent, void *arg), void *arg,
    struct error *err)
{
	bool thick = disk->prov == DISK_PROV_MODE_THICK;
	struct creation creation = {
		.fd = fd,
		.size = (int64_t)disk->size << 20,
		.progress = progress,
		.arg = arg,
	};
	char file[32], size[32];
	const char *format, *options;

	switch (vmdef_disk_format(disk->path)) {
	case DISK_FORMAT_QCOW2:
		format = "qcow2";
		options = thick ? "preallocation=falloc,lazy_refcounts=off"
				: "preallocation=metadata,lazy_refcounts=off";
		break;
	case DISK_FORMAT_RAW:
		format = "raw";
		options = thick ? "preallocation=falloc" : "preallocation=off";
		break;
	default:
		return error_set(err, 400, "its name tells no image format");
	}
	snprintf(file, sizeof(file), "/proc/self/fd/%d", fd);
	snprintf(size, sizeof(size), "%dM", disk->size);

	const char *const argv[] = { "qemu-img", "create", "-q", "-f", format, "-o", options, file,
		size, NULL };
	const int fds[] = { fd, -1 };
	struct command command = {
		.argv = argv,
		.fds = fds,
		.timeout = CREATE_TIMEOUT,
		.memory = CREATE_MEMORY,
		.tick = progress ? tell_progress : NULL,
		.arg = &creation,
	};
	if (command_run(&command, NULL, err) < 0)
		return -1;
	if (fsync(fd) < 0)
		return error_errno(err, 507, errno, "cannot write it out");
	return 0;
}

/* Gives the staged file its name, and makes that last. */
static int
publish(int dir, const char *staged, const char *base, struct error *err)
{
	if (linkat(dir, staged, dir, base, 0) < 0) {
		int r = errno;

		/* A repeated NFS request says so of a link that its first try made. */
		if (r != EEXIST || !same_file(dir, staged, base))
			return r == EEXIST
				   ? error_set(err, 507, "something is there already")
				   : error_errno(err, 507, r, "cannot link it to its place");
	}
	if (fsync(dir) < 0) {
		error_errno(err, 507, errno, "cannot write its directory out");
		unlinkat(dir, base, 0);
		return -1;
	}
	return 0;
}

int
image_create(const char *root, const char *uuid, const struct disk *disk,
    void (*progress)(int percent, void *arg), void *arg, struct error *err)
{
	_close_ int dir = -1, fd = -1;
	char staged[STAGED_SIZE];
	const char *base;
	struct stat st;
	int r;

	if (disk->size <= 0 || disk->prov == DISK_PROV_MODE_NONE)
		return error_set(
		    err, 400, "image '%s' needs a size and a provisioning", disk->path);
	if (staged_name(root, uuid, disk, staged, err) < 0 ||
	    path_open_dir(root, disk->path, true, &dir, &base, err) < 0)
		return error_wrap(err, "cannot create image '%s'", disk->path);
	if (fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return error_set(err, 507, "cannot create image '%s': %s is there already",
		    disk->path, path_kind(st.st_mode));
	fd = openat(dir, staged, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, IMAGE_MODE);
	if (fd < 0)
		return error_errno(
		    err, 507, errno, "cannot create image '%s' as '%s'", disk->path, staged);

	if (fchmod(fd, IMAGE_MODE) < 0)
		r = error_errno(err, 507, errno, "cannot set its mode");
	else
		r = fill(fd, disk, progress, arg, err);
	if (r == 0)
		r = publish(dir, staged, base, err);
	if (r < 0) {
		error_wrap(err, "cannot create image '%s'", disk->path);
		if (unlinkat(dir, staged, 0) < 0)
			error_append(err, "its leftover '%s' is still there", staged);
	}
	return r;
}

/* Opens the directory of an image that may be gone with its whole directory: then *dir is -1. */
static int
open_dir(const char *root, const struct disk *disk, int *dir, const char **base, struct error *err)
{
	struct error cause = { 0 };

	if (path_open_dir(root, disk->path, false, dir, base, &cause) == 0 || cause.status == 404)
		return 0;
	if (err)
		*err = cause;
	return -1;
}

/* The same for a staged name: what is no directory (422) has none in it, and never had. */
static int
open_staged_dir(
    const char *root, const struct disk *disk, int *dir, const char **base, struct error *err)
{
	struct error cause = { 0 };

	if (open_dir(root, disk, dir, base, &cause) == 0 || cause.status == 422)
		return 0;
	if (err)
		*err = cause;
	return -1;
}

static int
drop(int dir, const char *name, const struct disk *disk, struct error *err)
{
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return error_errno(
		    err, 507, errno, "cannot remove '%s' of image '%s'", name, disk->path);
	return 0;
}

static int
sync_dir(int dir, const struct disk *disk, struct error *err)
{
	if (fsync(dir) < 0)
		return error_errno(
		    err, 507, errno, "cannot write out the directory of '%s'", disk->path);
	return 0;
}

int
image_commit(const char *root, const char *uuid, const struct disk *disk, struct error *err)
{
	char staged[STAGED_SIZE];
	_close_ int dir = -1;
	const char *base;

	if (staged_name(root, uuid, disk, staged, err) < 0 ||
	    open_staged_dir(root, disk, &dir, &base, err) < 0)
		return -1;
	if (dir < 0)
		return 0;
	return drop(dir, staged, disk, err);
}

int
image_undo(const char *root, const char *uuid, const struct disk *disk, struct error *err)
{
	char staged[STAGED_SIZE];
	_close_ int dir = -1;
	const char *base;

	if (staged_name(root, uuid, disk, staged, err) < 0 ||
	    open_staged_dir(root, disk, &dir, &base, err) < 0)
		return -1;
	if (dir < 0)
		return 0;
	/* The staged name is the proof of who made it, so it goes last. */
	if (same_file(dir, staged, base) && drop(dir, base, disk, err) < 0)
		return -1;
	if (drop(dir, staged, disk, err) < 0)
		return -1;
	return sync_dir(dir, disk, err);
}

int
image_delete(const char *root, const struct disk *disk, struct error *err)
{
	_close_ int dir = -1;
	const char *base;
	struct stat st;

	if (open_dir(root, disk, &dir, &base, err) < 0)
		return -1;
	if (dir < 0)
		return 0;
	if (fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT
			   ? 0
			   : error_errno(err, 507, errno, "cannot delete image '%s'", disk->path);
	if (!S_ISREG(st.st_mode))
		return error_set(
		    err, 422, "'%s' is no image but %s", disk->path, path_kind(st.st_mode));
	if (drop(dir, base, disk, err) < 0)
		return -1;
	return sync_dir(dir, disk, err);
}
