/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finding out what an image is that somebody else made: nothing in it is believed. */
#include "disk/image.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "disk/command.h"
#include "disk/path.h"
#include "proto/json.h"
#include "proto/vmdef.h"

#define INSPECT_TIMEOUT 60
#define INSPECT_MEMORY	((size_t)1 << 30)
#define INFO_MAX	((size_t)1 << 20)
/* About 100 bytes an extent, read line by line. */
#define MAP_MAX ((size_t)1 << 30)

#define QCOW2_MAGIC    0x514649fbu
#define QCOW2_DATAFILE (UINT64_C(1) << 2) /* incompatible feature: external data file */

/* The front of a qcow2 header, big-endian. */
struct qcow2_header {
	uint32_t magic;
	uint32_t version;
	uint64_t backing_file_offset;
	uint32_t backing_file_size;
	uint32_t cluster_bits;
	uint64_t size;
	uint32_t crypt_method;
	uint32_t l1_size;
	uint64_t l1_table_offset;
	uint64_t refcount_table_offset;
	uint32_t refcount_table_clusters;
	uint32_t nb_snapshots;
	uint64_t snapshots_offset;
	uint64_t incompatible_features; /* from version 3 on */
};

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
	bool data;
	bool compressed; /* told since QEMU 8.2 */
	int64_t offset;
};

static const struct field extent_fields[] = {
	FIELD("zero", struct extent, zero),
	FIELD("data", struct extent, data),
	FIELD("compressed", struct extent, compressed),
	FIELD("offset", struct extent, offset),
};
static const struct model extent_model = { "Extent", sizeof(struct extent), extent_fields,
	ARRAY_SIZE(extent_fields) };

struct map {
	bool zero;
	struct error error;
};

/* Refuses what would make qemu-img (and QEMU) open other files, before it is run. */
static int
check_header(int fd, struct error *err)
{
	struct qcow2_header header = { 0 };
	ssize_t n;

	n = pread(fd, &header, sizeof(header), 0);
	if (n < 0)
		return error_errno(err, 507, errno, "cannot read it");
	if ((size_t)n < sizeof(header) || be32toh(header.magic) != QCOW2_MAGIC)
		return error_set(err, 422, "it is no qcow2 image");
	if (header.backing_file_offset)
		return error_set(err, 422, "it has a backing file");
	if (header.crypt_method)
		return error_set(err, 422, "it is encrypted");
	if (be32toh(header.version) >= 3 &&
	    (be64toh(header.incompatible_features) & QCOW2_DATAFILE))
		return error_set(err, 422, "its data is in an external file");
	return 0;
}

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
	if (!str_empty(info.backing) || info.encrypted || info.virtual_size <= 0)
		return error_set(err, 422, "it changed while it was looked at");
	*size = info.virtual_size;
	return 0;
}

/* One line of the map: an extent between "[" or "," and "," or "]". */
static int
take_extent(const char *line, size_t len, void *arg)
{
	struct extent extent = { .offset = -1 };
	struct map *map = arg;
	const char *start = memchr(line, '{', len);
	const char *end = memrchr(line, '}', len);

	if (!start || !end || end < start)
		return 0;
	if (json_decode(&extent_model, start, end + 1 - start, &extent, &map->error) < 0) {
		map->error.status = 507;
		return error_wrap(&map->error, "the answer of qemu-img map is not understood");
	}
	/* Before QEMU 8.2, data that lies nowhere in the file is compressed. */
	if (extent.compressed || (extent.data && !extent.zero && extent.offset < 0))
		return error_set(&map->error, 422, "it has compressed parts");
	map->zero |= extent.zero;
	return 0;
}

static int
inspect_qcow2(int fd, struct image_info *ret, struct error *err)
{
	struct map map = { 0 };

	if (check_header(fd, err) < 0 || read_info(fd, &ret->size, err) < 0)
		return -1;
	if (query(fd, "map", NULL, &map, take_extent, err) < 0) {
		if (map.error.status && err)
			*err = map.error;
		return -1;
	}
	ret->prov = map.zero ? DISK_PROV_MODE_THIN : DISK_PROV_MODE_THICK;
	return 0;
}

int
image_inspect(const char *root, const struct disk *disk, struct image_info *ret, struct error *err)
{
	struct image_info info = { 0 };
	_close_ int fd = -1;
	struct stat st;
	int r = 0;

	if (path_open_file(root, disk->path, O_RDONLY, &fd, &st, err) < 0)
		return -1;
	info.allocation = (int64_t)st.st_blocks * 512;
	info.physical = st.st_size;
	switch (vmdef_disk_format(disk->path)) {
	case DISK_FORMAT_QCOW2:
		r = inspect_qcow2(fd, &info, err);
		break;
	case DISK_FORMAT_RAW:
		/* By its name alone: probing would believe what the guest wrote into it. */
		info.size = st.st_size;
		info.prov =
		    info.allocation < info.size ? DISK_PROV_MODE_THIN : DISK_PROV_MODE_THICK;
		break;
	default:
		r = error_set(err, 400, "its name tells no image format");
	}
	if (r < 0)
		return error_wrap(err, "cannot use image '%s'", disk->path);
	*ret = info;
	return 0;
}
