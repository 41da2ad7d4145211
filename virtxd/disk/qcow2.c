/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/qcow2.h"

#include <endian.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC 0x514649fbu

/* Incompatible features. */
#define CORRUPT	    (UINT64_C(1) << 1)
#define DATA_FILE   (UINT64_C(1) << 2)
#define EXTENDED_L2 (UINT64_C(1) << 4)

/* Entries of tables. */
#define OFFSET_MASK UINT64_C(0x00fffffffffffe00)
#define COMPRESSED  (UINT64_C(1) << 62)

/* QEMU's own bounds. */
#define CLUSTER_BITS_MIN 9
#define CLUSTER_BITS_MAX 21
#define L1_MAX		 (UINT32_C(32) << 20 >> 3)
#define BACKING_NAME_MAX 1023
/* A table may be named millions of times. */
#define WALK_MS 60000

/* The front of the header, big-endian. */
struct header {
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

struct walk {
	int fd;
	uint32_t cluster_bits;
	size_t stride;	 /* 64-bit words of an entry in a table of the second level */
	uint64_t *table; /* room for one of these, a cluster */
	uint64_t end;	 /* of the file */
	int64_t deadline;
};

static int
read_header(int fd, struct header *header, struct error *err)
{
	ssize_t n = pread(fd, header, sizeof(*header), 0);

	if (n < 0)
		return error_errno(err, 507, errno, "cannot read it");
	if ((size_t)n < sizeof(*header) || be32toh(header->magic) != MAGIC)
		return error_set(err, 422, "it is no qcow2 image");
	if (be32toh(header->version) < 3)
		header->incompatible_features = 0;
	return 0;
}

int
qcow2_check_header(int fd, struct error *err)
{
	struct header header = { 0 };

	if (read_header(fd, &header, err) < 0)
		return -1;
	if (header.backing_file_offset)
		return error_set(err, 422, "it has a backing file");
	if (header.crypt_method)
		return error_set(err, 422, "it is encrypted");
	if (be64toh(header.incompatible_features) & DATA_FILE)
		return error_set(err, 422, "its data is in an external file");
	return 0;
}

int
qcow2_backing(int fd, char **ret, struct error *err)
{
	struct header header = { 0 };
	char name[BACKING_NAME_MAX + 1] = "";
	uint32_t size;

	*ret = NULL;
	if (read_header(fd, &header, err) < 0)
		return -1;
	size = be32toh(header.backing_file_size);
	if (!header.backing_file_offset || size == 0)
		return 0;
	if (size > BACKING_NAME_MAX)
		return error_set(err, 422, "the name of its backing file is too long");
	if (pread(fd, name, size, (off_t)be64toh(header.backing_file_offset)) < 0)
		return error_errno(err, 507, errno, "cannot read it");
	if (name[0])
		*ret = xstrdup(name);
	return 0;
}

/* Where the last part of what an entry of the second level names begins: of a compressed cluster
 * its last sector. */
static uint64_t
last_part(uint64_t entry, uint32_t cluster_bits)
{
	uint32_t bits = 62 - (cluster_bits - 8);
	uint64_t offset, sectors;

	if (!(entry & COMPRESSED))
		return entry & OFFSET_MASK;
	offset = entry & ((UINT64_C(1) << bits) - 1);
	sectors = (entry & (COMPRESSED - 1)) >> bits;
	return (offset & ~UINT64_C(511)) + sectors * 512;
}

static int
check_end(const struct walk *walk, uint64_t offset, const char *what, struct error *err)
{
	if (offset < walk->end)
		return 0;
	return error_set(err, 422,
	    "it is not whole: %s at byte %llu, and its file ends at byte %llu", what,
	    (unsigned long long)offset, (unsigned long long)walk->end);
}

static int
walk_table(const struct walk *walk, uint64_t offset, struct error *err)
{
	size_t size = (size_t)1 << walk->cluster_bits;
	ssize_t n;

	if (check_end(walk, offset, "it has a table", err) < 0)
		return -1;
	if (monotonic_ms() > walk->deadline)
		return error_set(
		    err, 422, "its tables take more than %d s to look at", WALK_MS / 1000);
	n = pread(walk->fd, walk->table, size, (off_t)offset);
	if (n < 0)
		return error_errno(err, 507, errno, "cannot read it");
	for (size_t i = 0; i < (size_t)n / sizeof(uint64_t); i += walk->stride) {
		uint64_t part = last_part(be64toh(walk->table[i]), walk->cluster_bits);

		if (part && check_end(walk, part, "it has data", err) < 0)
			return -1;
	}
	return 0;
}

static int
walk_tables(struct walk *walk, const struct header *header, struct error *err)
{
	size_t n = be32toh(header->l1_size), size = n * sizeof(uint64_t);
	uint64_t offset = be64toh(header->l1_table_offset);
	_free_ uint64_t *first = NULL;
	ssize_t got;

	if (n == 0)
		return 0;
	if (check_end(walk, offset, "its first table is", err) < 0 ||
	    check_end(walk, offset + size - 1, "its first table ends", err) < 0)
		return -1;
	first = xcalloc(n, sizeof(*first));
	got = pread(walk->fd, first, size, (off_t)offset);
	if (got < 0)
		return error_errno(err, 507, errno, "cannot read it");
	for (size_t i = 0; i < (size_t)got / sizeof(uint64_t); i++) {
		uint64_t table = be64toh(first[i]) & OFFSET_MASK;

		if (table && walk_table(walk, table, err) < 0)
			return -1;
	}
	return 0;
}

int
qcow2_check_whole(int fd, struct error *err)
{
	struct header header = { 0 };
	_free_ uint64_t *table = NULL;
	struct walk walk = { .fd = fd, .deadline = monotonic_ms() + WALK_MS };
	uint64_t features;
	struct stat st;

	if (read_header(fd, &header, err) < 0)
		return -1;
	features = be64toh(header.incompatible_features);
	if (features & CORRUPT)
		return error_set(
		    err, 422, "it is marked corrupt: 'qemu-img check -r all' may mend it");
	walk.cluster_bits = be32toh(header.cluster_bits);
	if (walk.cluster_bits < CLUSTER_BITS_MIN || walk.cluster_bits > CLUSTER_BITS_MAX ||
	    be32toh(header.l1_size) > L1_MAX)
		return error_set(err, 422, "its header is damaged");
	if (fstat(fd, &st) < 0)
		return error_errno(err, 507, errno, "cannot get its size");
	table = xcalloc(1, (size_t)1 << walk.cluster_bits);
	walk.table = table;
	walk.stride = features & EXTENDED_L2 ? 2 : 1;
	walk.end = (uint64_t)st.st_size;
	return walk_tables(&walk, &header, err);
}
