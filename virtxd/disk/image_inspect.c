/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finding out what an image is that somebody else made: nothing in it is believed. */
#include "disk/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disk/command.h"
#include "disk/path.h"
#include "disk/qcow2.h"
#include "proto/json.h"
#include "proto/vmdef.h"

#define INSPECT_TIMEOUT 60
#define INSPECT_MEMORY	((size_t)1 << 30)
#define INFO_MAX	((size_t)1 << 20)
/* About 100 bytes an extent, read line by line. */
#define MAP_MAX ((size_t)1 << 30)
/* QEMU supposes that no storage has larger units. */
#define ALIGNMENT_MAX 4096

/* What is read of `qemu-img info`. */
struct info {
	int64_t virtual_size;
	char *backing;
	bool encrypted;
};

static const struct field info_fields[] = {
	FIELD("virtual-size", struct info, virtual_size),
	FIELD("backing-filename", struct info, backing),
	FIELD("encrypted", struct info, encrypted),
};
static const struct model info_model = { "ImageInfo", sizeof(struct info), info_fields,
	ARRAY_SIZE(info_fields) };

#define _info_ __attribute__((cleanup(info_clear)))

static void
info_clear(struct info *info)
{
	model_clear(&info_model, info);
}

/* One extent of `qemu-img map`. */
struct extent {
	bool zero;
};

static const struct field extent_fields[] = {
	FIELD("zero", struct extent, zero),
};
static const struct model extent_model = { "Extent", sizeof(struct extent), extent_fields,
	ARRAY_SIZE(extent_fields) };

struct map {
	bool zero;
	struct error error;
};

/* qemu-img VERB on the opened file; info's output in out, map's by line. */
static int
query(int fd, const char *verb, struct buffer *out, struct map *map,
    int (*line)(const char *line, size_t len, void *arg), struct error *err)
{
	char file[32];
	const char *const argv[] = { "qemu-img", verb, "--force-share", "--output=json", "-f",
		"qcow2", file, NULL };
	const int fds[] = { fd, -1 };
	struct command command = {
		.argv = argv,
		.fds = fds,
		.may = COMMAND_READ,
		.timeout = INSPECT_TIMEOUT,
		.memory = INSPECT_MEMORY,
		.output_max = line ? MAP_MAX : INFO_MAX,
		.line = line,
		.arg = map,
	};

	snprintf(file, sizeof(file), "/proc/self/fd/%d", fd);
	return command_run(&command, out, err);
}

static int
read_info(int fd, int64_t *size, struct error *err)
{
	_buffer_ struct buffer out = { 0 };
	_info_ struct info info = { 0 };

	if (query(fd, "info", &out, NULL, NULL, err) < 0)
		return -1;
	if (json_decode(&info_model, str_or_empty(out.data), out.len, &info, err) < 0) {
		err->status = 507;
		return error_wrap(err, "the answer of qemu-img info is not understood");
	}
	/* Whoever can write the image can have changed it since its header was read. */
	if (!str_empty(info.backing) || info.encrypted)
		return error_set(err, 422, "it changed while it was looked at");
	if (info.virtual_size <= 0)
		return error_set(err, 422, "it is a disk of no bytes");
	*size = info.virtual_size;
	return 0;
}

/* One line of the map: an extent between "[" or "," and "," or "]". */
static int
take_extent(const char *line, size_t len, void *arg)
{
	struct extent extent = { 0 };
	struct map *map = arg;
	const char *start = memchr(line, '{', len);
	const char *end = memrchr(line, '}', len);

	if (!start || !end || end < start)
		return 0;
	if (json_decode(&extent_model, start, end + 1 - start, &extent, &map->error) < 0) {
		map->error.status = 507;
		return error_wrap(&map->error, "the answer of qemu-img map is not understood");
	}
	map->zero |= extent.zero;
	return 0;
}

static int
inspect_qcow2(int fd, struct image_info *ret, struct error *err)
{
	struct map map = { 0 };

	if (qcow2_check_header(fd, err) < 0 || read_info(fd, &ret->size, err) < 0)
		return -1;
	if (query(fd, "map", NULL, &map, take_extent, err) < 0) {
		if (map.error.status && err)
			*err = map.error;
		return -1;
	}
	ret->prov = map.zero ? DISK_PROV_MODE_THIN : DISK_PROV_MODE_THICK;
	return 0;
}

/* fd is of the disk's file. */
static int
inspect(int fd, const struct disk *disk, struct image_info *ret, struct error *err)
{
	struct image_info info = { 0 };
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_errno(err, 507, errno, "cannot get its size");
	info.allocation = (int64_t)st.st_blocks * 512;
	info.physical = st.st_size;
	info.names = st.st_nlink;
	switch (vmdef_disk_format(disk->path)) {
	case DISK_FORMAT_QCOW2:
		if (inspect_qcow2(fd, &info, err) < 0)
			return -1;
		break;
	case DISK_FORMAT_RAW:
		/* By its name alone: probing would believe what the guest wrote into it. */
		info.size = st.st_size;
		info.prov =
		    info.allocation < info.size ? DISK_PROV_MODE_THIN : DISK_PROV_MODE_THICK;
		break;
	default:
		return error_set(err, 400, "its name tells no image format");
	}
	*ret = info;
	return 0;
}

/* An image of another format under this name would be taken byte for byte, header and all. A LUKS
 * header is no such: a guest that encrypts its disk itself begins it with one. */
static int
check_raw_content(int fd, struct error *err)
{
	static const struct {
		const char *magic, *format;
		size_t at;
	} formats[] = {
		{ "QFI\xfb", "qcow2", 0 },
		{ "KDMV", "VMDK", 0 },
		{ "# Disk DescriptorFile", "VMDK", 0 },
		{ "conectix", "VHD", 0 },
		{ "vhdxfile", "VHDX", 0 },
		{ "\x7f\x10\xda\xbe", "VDI", 64 },
	};
	char front[128] = "";

	if (pread(fd, front, sizeof(front), 0) < 0)
		return error_errno(err, 507, errno, "cannot read it");
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		if (memcmp(front + formats[i].at, formats[i].magic, strlen(formats[i].magic)) == 0)
			return error_set(err, 422,
			    "it is a %s image, and its name says that it is raw: name it .qcow2, "
			    "or "
			    "convert it ('qemu-img convert -O raw')",
			    formats[i].format);
	}
	return 0;
}

/* The unit of direct I/O, found as QEMU does: a hole takes any, and then it supposes the largest.
 */
static size_t
request_alignment(int fd)
{
	__attribute__((aligned(ALIGNMENT_MAX))) char data[ALIGNMENT_MAX];
	_close_ int direct = -1;
	char self[32];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	direct = open(self, O_RDONLY | O_DIRECT | O_CLOEXEC);
	for (size_t size = 512; direct >= 0 && size < ALIGNMENT_MAX; size *= 2) {
		if (pread(direct, data, 1, 0) >= 0)
			break;
		if (pread(direct, data, size, 0) >= 0)
			return size;
	}
	return ALIGNMENT_MAX;
}

static int
check_raw_size(int fd, int64_t size, struct error *err)
{
	if (size == 0)
		return error_set(err, 422, "it is a disk of no bytes");
	if (size % 512 != 0)
		return error_set(
		    err, 422, "its %lld bytes are no multiple of 512", (long long)size);
	if (size % ALIGNMENT_MAX != 0) {
		size_t unit = request_alignment(fd);

		if (size % (int64_t)unit != 0)
			return error_set(err, 422,
			    "its %lld bytes are no multiple of %zu, in which this storage is read",
			    (long long)size, unit);
	}
	return 0;
}

int
image_inspect(const char *root, const struct disk *disk, struct image_info *ret, struct error *err)
{
	_close_ int fd = -1;
	struct stat st;

	if (path_open_file(root, disk->path, O_RDONLY, &fd, &st, err) < 0)
		return -1;
	if (inspect(fd, disk, ret, err) < 0)
		return error_wrap(err, "cannot use image '%s'", disk->path);
	return 0;
}

int
image_check(const char *root, const struct disk *disk, struct image_info *ret, struct error *err)
{
	bool raw = vmdef_disk_format(disk->path) == DISK_FORMAT_RAW;
	struct image_info info = { 0 };
	_close_ int fd = -1;
	struct stat st;
	int r;

	if (path_open_file(root, disk->path, O_RDONLY, &fd, &st, err) < 0)
		return -1;
	r = inspect(fd, disk, &info, err);
	if (r == 0)
		r = raw ? check_raw_content(fd, err) : qcow2_check_whole(fd, err);
	/* Nothing is written to a CD, so that any size does. */
	if (r == 0 && raw && disk->device != DISK_DEVICE_CDROM)
		r = check_raw_size(fd, info.size, err);
	if (r < 0)
		return error_wrap(err, "cannot use image '%s'", disk->path);
	*ret = info;
	return 0;
}

/* QEMU follows symbolic links: *path becomes the name under root of the file that it leads to, if
 * it leads to one there. */
static void
follow(const char *root, char **path)
{
	_free_ char *real_root = realpath(root, NULL), *real = realpath(*path, NULL);
	size_t len = real_root ? strlen(real_root) : 0;

	if (!real || len == 0 || strncmp(real, real_root, len) != 0 || real[len] != '/')
		return;
	free(*path);
	*path = xasprintf("%s%s", root, real + len);
}

int
image_base(const char *root, const char *path, char **ret, struct error *err)
{
	_free_ char *name = NULL;
	_close_ int fd = -1;
	struct stat st;

	*ret = NULL;
	/* Into a raw image its guest writes what it likes. */
	if (vmdef_disk_format(path) == DISK_FORMAT_RAW)
		return 0;
	if (path_open_file(root, path, O_RDONLY, &fd, &st, err) < 0)
		return -1;
	if (qcow2_backing(fd, &name, err) < 0)
		return error_wrap(err, "cannot use image '%s'", path);
	/* As QEMU does: what has a protocol ("nbd://", "json:") is no path. */
	if (name && name[0] != '/' && !strchr(name, ':'))
		*ret = xasprintf("%.*s/%s", (int)(strrchr(path, '/') - path), path, name);
	else
		*ret = steal_ptr(name);
	if (*ret)
		follow(root, ret);
	return 0;
}

int
image_check_unused(const char *root, const struct disk *disk, struct error *err)
{
	/* The bytes that QEMU locks: what it does to the image from 100 on, what others may not do
	 * from 200 on. Who only reads and minds no writer, as qemu-img does for an inspection,
	 * locks byte 100 alone. */
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 101, .l_len = 199
	};
	_close_ int fd = -1;
	struct stat st;

	if (path_look_file(root, disk->path, O_RDONLY, &fd, &st, err) < 0)
		return -1;
	if (fd < 0)
		return 0;
	if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
		return error_errno(
		    err, 507, errno, "cannot tell whether image '%s' is in use", disk->path);
	if (lock.l_type != F_UNLCK)
		return error_set(
		    err, 409, "image '%s' is in use: a process has it open", disk->path);
	return 0;
}
