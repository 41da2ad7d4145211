/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making disk images under a staged name, and undoing that. */
#include "disk/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "disk/access.h"
#include "disk/command.h"
#include "disk/path.h"
#include "proto/json.h"
#include "proto/vmdef.h"

/* Slow storage without fallocate() is written through; the job's own deadline may be shorter. */
#define CREATE_TIMEOUT	(6 * 3600)
#define CREATE_MEMORY	((size_t)4 << 30)
#define MEASURE_TIMEOUT 60
#define MEASURE_MAX	4096
#define STAGED_SIZE	96
/* What a version of qemu-img may take beyond that which it has measured. */
#define LENGTH_SPARE ((int64_t)64 << 20)

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

/* What a new image takes, in bytes. */
struct extent {
	int64_t written; /* in blocks, before a guest writes */
	int64_t length;	 /* of the file */
};

static const struct field extent_fields[] = {
	FIELD("required", struct extent, written),
	FIELD("fully-allocated", struct extent, length),
};
static const struct model extent_model = { "ImageExtent", sizeof(struct extent), extent_fields,
	ARRAY_SIZE(extent_fields) };

/* Of qcow2 the tables are written whole: 10 bytes for each cluster of 64 KiB. */
static int
measure_qcow2(int64_t size, struct extent *ret, struct error *err)
{
	_buffer_ struct buffer out = { 0 };
	char bytes[32];
	const char *const argv[] = { "qemu-img", "measure", "--output=json", "-O", "qcow2",
		"--size", bytes, NULL };
	struct command command = {
		.argv = argv,
		.may = COMMAND_READ,
		.timeout = MEASURE_TIMEOUT,
		.memory = CREATE_MEMORY,
		.output_max = MEASURE_MAX,
	};

	snprintf(bytes, sizeof(bytes), "%lld", (long long)size);
	if (command_run(&command, &out, err) < 0)
		return -1;
	if (json_decode(&extent_model, str_or_empty(out.data), out.len, ret, err) < 0) {
		err->status = 507;
		return error_wrap(err, "the answer of qemu-img measure is not understood");
	}
	return 0;
}

/*
 * Whether the file system takes the image: a file of that length, and what is written to it at
 * once. Without that the tables of a huge image fill it before qemu-img fails. *ret_length is what
 * the file may grow to.
 */
static int
check_room(int fd, const struct disk *disk, int64_t *ret_length, struct error *err)
{
	bool thick = disk->prov == DISK_PROV_MODE_THICK;
	int64_t size = (int64_t)disk->size << 20, free;
	struct extent extent = { .length = size };
	struct statvfs fs;

	if (vmdef_disk_format(disk->path) == DISK_FORMAT_QCOW2 &&
	    measure_qcow2(size, &extent, err) < 0)
		return -1;
	if (thick)
		extent.written = extent.length;
	*ret_length = extent.length + LENGTH_SPARE;
	if (ftruncate(fd, extent.length) < 0)
		return error_errno(err, 507, errno, "its file cannot be %lld MiB long",
		    (long long)(extent.length >> 20));
	if (ftruncate(fd, 0) < 0 || fstatvfs(fd, &fs) < 0)
		return error_errno(err, 507, errno, "cannot find out what room there is");
	/* A server without bounds may say that it has all that a number can tell. */
	if (fs.f_frsize == 0 || fs.f_bavail > (uint64_t)INT64_MAX / fs.f_frsize)
		return 0;
	free = (int64_t)(fs.f_bavail * fs.f_frsize);
	/* A file system of no blocks does not tell. */
	if (fs.f_blocks == 0 || extent.written <= free)
		return 0;
	return error_errno(err, 507, ENOSPC,
	    "a %s disk of %d MiB takes %lld MiB at once, and %lld MiB are free",
	    enum_word(&disk_prov_mode_enum, disk->prov), disk->size,
	    (long long)(extent.written >> 20), (long long)(free >> 20));
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
	int64_t length;

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
	if (check_room(fd, disk, &length, err) < 0)
		return -1;
	snprintf(file, sizeof(file), "/proc/self/fd/%d", fd);
	snprintf(size, sizeof(size), "%dM", disk->size);

	const char *const argv[] = { "qemu-img", "create", "-q", "-f", format, "-o", options, file,
		size, NULL };
	const int fds[] = { fd, -1 };
	struct command command = {
		.argv = argv,
		.fds = fds,
		.may = COMMAND_WRITE,
		.timeout = CREATE_TIMEOUT,
		.memory = CREATE_MEMORY,
		.file_max = length,
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
	    path_open_dir(root, disk->path, PATH_MAKE, &dir, &base, err) < 0)
		return error_wrap(err, "cannot create image '%s'", disk->path);
	if (fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return error_set(err, 507, "cannot create image '%s': %s is there already",
		    disk->path, path_kind(st.st_mode));
	fd = openat(dir, staged, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_errno(
		    err, 507, errno, "cannot create image '%s' as '%s'", disk->path, staged);

	r = access_give(fd, ACCESS_IMAGE, err);
	if (r == 0)
		r = fill(fd, disk, progress, arg, err);
	if (r == 0)
		r = publish(dir, staged, base, err);
	if (r < 0) {
		error_wrap(err, "cannot create image '%s'", disk->path);
		if (unlinkat(dir, staged, 0) < 0 && errno != ENOENT)
			error_append(err, "its leftover '%s' is still there", staged);
	}
	return r;
}

/* The staged name, and its directory: what is no directory (422) has none in it, and never had.
 * *dir is -1 where there is none. */
static int
find_staged(const char *root, const char *uuid, const struct disk *disk, char staged[STAGED_SIZE],
    int *dir, const char **base, struct error *err)
{
	struct error cause = { 0 };

	if (staged_name(root, uuid, disk, staged, err) < 0)
		return -1;
	if (path_look_dir(root, disk->path, PATH_FIND, dir, base, &cause) == 0 ||
	    error_is(&cause, ERROR_REFUSED))
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

	if (find_staged(root, uuid, disk, staged, &dir, &base, err) < 0)
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

	if (find_staged(root, uuid, disk, staged, &dir, &base, err) < 0)
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
image_mend(const char *root, const struct disk *disk, struct error *err)
{
	_close_ int dir = -1, fd = -1;
	const char *base;
	struct stat st;

	if (path_open_dir(root, disk->path, PATH_MEND, &dir, &base, err) < 0)
		return -1;
	if (disk->man != DISK_MAN_MODE_MANAGED)
		return 0;
	if (path_open_file(root, disk->path, O_RDONLY, &fd, &st, err) < 0)
		return -1;
	return access_mend_file(fd, ACCESS_IMAGE, err);
}

int
image_delete(const char *root, const struct disk *disk, struct error *err)
{
	_close_ int dir = -1;
	const char *base;
	struct stat st;

	if (path_look_dir(root, disk->path, PATH_FIND, &dir, &base, err) < 0)
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
