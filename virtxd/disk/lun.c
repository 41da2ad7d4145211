/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Block devices given to VMs: their size, what is on them, and wiping them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "disk/command.h"
#include "disk/image.h"
#include "disk/lun_answer.h"
#include "disk/lun_name.h"
#include "disk/path.h"

#define WIPE_TIMEOUT 600 /* seconds for each program that is run */
#define WIPE_MEMORY  ((size_t)512 << 20)
#define LOOK_TIMEOUT 60
#define LOOK_MAX     ((size_t)64 << 10) /* of what wipefs says */
#define MIB	     (INT64_C(1) << 20)
#define SLICE_MIN    (INT64_C(1) << 30)
#define SLICES	     20

/* Opens a block device, without opening what is none (which may have effects). */
static int
open_device(const struct disk *disk, int flags, int *ret_fd, struct stat *st, struct error *err)
{
	_close_ int it = -1;
	char self[32];
	int fd;

	it = open(disk->path, O_PATH | O_CLOEXEC);
	if (it < 0 || fstat(it, st) < 0)
		return error_errno(
		    err, errno == ENOENT ? 404 : 507, errno, "cannot open lun '%s'", disk->path);
	if (!S_ISBLK(st->st_mode))
		return error_set(err, 422, "lun '%s' is no block device but %s", disk->path,
		    path_kind(st->st_mode));
	snprintf(self, sizeof(self), "/proc/self/fd/%d", it);
	fd = open(self, O_CLOEXEC | O_NONBLOCK | flags);
	if (fd < 0)
		return error_errno(err, 507, errno, "cannot open lun '%s'", disk->path);
	*ret_fd = fd;
	return 0;
}

static int
device_size(int fd, const struct disk *disk, int64_t *ret, struct error *err)
{
	uint64_t size = 0;

	if (ioctl(fd, BLKGETSIZE64, &size) < 0)
		return error_errno(err, 507, errno, "cannot get the size of lun '%s'", disk->path);
	*ret = (int64_t)size;
	return 0;
}

int
lun_inspect(const struct disk *disk, struct image_info *ret, struct error *err)
{
	_close_ int fd = -1;
	struct stat st;
	int64_t size = 0;

	if (open_device(disk, O_RDONLY, &fd, &st, err) < 0 || device_size(fd, disk, &size, err) < 0)
		return -1;
	*ret = (struct image_info){
		.size = size,
		.allocation = size,
		.physical = size,
		.prov = DISK_PROV_MODE_THIN,
	};
	return 0;
}

/* The devices that it is part of, as text; "" for none. */
static void
find_holders(dev_t device, struct buffer *ret)
{
	char path[64];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/holders", major(device), minor(device));
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] != '.' && ret->len < LOOK_MAX)
			buffer_printf(ret, "%s'%s'", ret->len ? ", " : "", entry->d_name);
	}
	if (dir)
		closedir(dir);
}

/* The kernel lets go of a device for one user alone, with O_EXCL, only where nobody mounts it, nor
 * a partition of it, and where no volume group, RAID, multipath or swap has it. */
int
lun_check_unused(const struct disk *disk, struct error *err)
{
	_buffer_ struct buffer holders = { 0 };
	_close_ int fd = -1, alone = -1;
	struct stat st;
	char self[32];

	if (open_device(disk, O_RDONLY, &fd, &st, err) < 0)
		return -1;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	alone = open(self, O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK);
	if (alone < 0 && errno != EBUSY)
		return error_errno(err, 507, errno, "cannot open lun '%s'", disk->path);
	find_holders(st.st_rdev, &holders);
	if (alone >= 0 && holders.len == 0)
		return 0;
	return error_set(err, 422,
	    "lun '%s' is in use by this host itself (%s%s); nothing was changed", disk->path,
	    holders.len ? "it is part of " : "it, or a partition of it, is mounted or swap",
	    holders.len ? holders.data : "");
}

static int
add_content(const char *line, size_t len, void *arg)
{
	struct buffer *found = arg;
	const char *at = found->data;

	/* A table of partitions has a copy of itself. */
	for (; at && (at = strstr(at, line)); at += len) {
		if ((at == found->data || at[-1] == ' ') && (!at[len] || at[len] == ','))
			return 0;
	}
	if (len > 0)
		buffer_printf(found, "%s%s", found->len ? ", " : "", line);
	return 0;
}

int
lun_content(const struct disk *disk, char **ret, struct error *err)
{
	_buffer_ struct buffer found = { 0 };
	char file[32];
	const char *const argv[] = { "wipefs", "-i", "-O", "TYPE", file, NULL };
	_close_ int fd = -1;
	struct stat st;
	int fds[] = { -1, -1 };
	struct command command = {
		.argv = argv,
		.fds = fds,
		.may = COMMAND_READ,
		.timeout = LOOK_TIMEOUT,
		.memory = WIPE_MEMORY,
		.output_max = LOOK_MAX,
		.line = add_content,
		.arg = &found,
	};

	if (open_device(disk, O_RDONLY, &fd, &st, err) < 0 ||
	    lun_confirm(LUN_HOST, disk, st.st_rdev, err) < 0)
		return -1;
	snprintf(file, sizeof(file), "/proc/self/fd/%d", fd);
	fds[0] = fd;
	if (command_run(&command, NULL, err) < 0)
		return error_wrap(err, "cannot find out what is on lun '%s'", disk->path);
	*ret = found.len ? buffer_steal(&found, NULL) : NULL;
	return 0;
}

/* Whether the device, or the one that it is a partition of, can discard. */
static bool
can_discard(dev_t device)
{
	const char *const places[] = { "queue", "../queue" };

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		_buffer_ struct buffer text = { 0 };
		_close_ int fd = -1;
		char path[96];

		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s/discard_max_bytes",
		    major(device), minor(device), places[i]);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && read_all(fd, &text, 64) == 0)
			return text.data && strtoull(text.data, NULL, 10) > 0;
	}
	return false;
}

static int
run(int fd, const char *const argv[], const struct disk *disk, struct error *err)
{
	const int fds[] = { fd, -1 };
	struct command command = {
		.argv = argv,
		.fds = fds,
		.may = COMMAND_WRITE,
		.timeout = WIPE_TIMEOUT,
		.memory = WIPE_MEMORY,
	};

	if (command_run(&command, NULL, err) < 0)
		return error_wrap(err, "cannot wipe lun '%s'", disk->path);
	return 0;
}

/* In slices, so that there is progress to tell and each program run is short. */
static int
discard(int fd, const char *file, int64_t size, const struct disk *disk,
    void (*progress)(int percent, void *arg), void *arg, struct error *err)
{
	int64_t slice = (size / SLICES + MIB) / MIB * MIB;

	if (slice < SLICE_MIN)
		slice = SLICE_MIN;
	for (int64_t at = 0; at < size; at += slice) {
		char offset[32], length[32];
		const char *const argv[] = { "blkdiscard", "-o", offset, "-l", length, file, NULL };

		snprintf(offset, sizeof(offset), "%lld", (long long)at);
		snprintf(length, sizeof(length), "%lld",
		    (long long)(size - at < slice ? size - at : slice));
		if (run(fd, argv, disk, err) < 0)
			return -1;
		if (progress)
			progress((int)((double)at / (double)size * 100), arg);
	}
	return 0;
}

static int
zero_front(int fd, int64_t size, const struct disk *disk, struct error *err)
{
	size_t len = size < MIB ? (size_t)size : (size_t)MIB;
	_free_ char *zeros = xcalloc(1, len);
	int r;

	r = write_all(fd, zeros, len);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r < 0)
		return error_errno(err, 507, -r, "cannot wipe lun '%s'", disk->path);
	return 0;
}

int
lun_wipe(
    const struct disk *disk, void (*progress)(int percent, void *arg), void *arg, struct error *err)
{
	_close_ int fd = -1;
	char file[32];
	const char *const wipefs[] = { "wipefs", "-a", "-q", file, NULL };
	struct stat st;
	int64_t size = 0;
	int r;

	if (open_device(disk, O_RDWR, &fd, &st, err) < 0 ||
	    lun_confirm(LUN_HOST, disk, st.st_rdev, err) < 0 ||
	    device_size(fd, disk, &size, err) < 0)
		return -1;
	/* By the open device: a name in /dev/disk may point elsewhere in the next moment. */
	snprintf(file, sizeof(file), "/proc/self/fd/%d", fd);
	if (run(fd, wipefs, disk, err) < 0)
		return -1;
	if (can_discard(st.st_rdev))
		r = discard(fd, file, size, disk, progress, arg, err);
	else
		r = zero_front(fd, size, disk, err);
	if (r == 0 && progress)
		progress(100, arg);
	return r;
}
