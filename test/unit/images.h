/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of images share. */
#ifndef TEST_IMAGES_H
#define TEST_IMAGES_H

#include "disk_root.h"

#include "disk/image.h"

#define MIB ((int64_t)1 << 20)

/* One at a time: the path is kept here. */
static inline struct disk
disk_of(const char *path, enum disk_prov_mode prov)
{
	static char kept[PATH_MAX * 2];

	snprintf(kept, sizeof(kept), "%s", path);
	return (struct disk){
		.path = kept,
		.man = DISK_MAN_MODE_MANAGED,
		.prov = prov,
		.size = 16,
	};
}

static inline void
make(const struct disk *disk)
{
	struct error err = { 0 };

	if (image_create(disk_root, TEST_VM, disk, NULL, NULL, &err) < 0)
		fail_msg("%s", err.detail);
}

static inline void
inspect(const struct disk *disk, struct image_info *info)
{
	struct error err = { 0 };

	if (image_inspect(disk_root, disk, info, &err) < 0)
		fail_msg("%s", err.detail);
}

static inline void
refuse(const struct disk *disk, int status, const char *words)
{
	struct image_info info = { .size = -7 };
	struct error err = { 0 };

	assert_int_equal(image_inspect(disk_root, disk, &info, &err), -1);
	if (!strstr(err.detail, words) || !strstr(err.detail, disk->path))
		fail_msg("'%s' is not in '%s'", words, err.detail);
	assert_int_equal(err.status, status);
	assert_int_equal(info.size, -7);
}

#endif
