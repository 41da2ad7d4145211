/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/disk_kind.h"

#include "disk/lease.h"
#include "disk/lun_name.h"
#include "proto/vmdef.h"

static int
check_any(const struct disk *disk, struct error *err)
{
	return 0;
}

/*
 * A file of several names could be taken once by each of them, as their leases differ. One that was
 * made for the VM has its staged name, too; one that is only read may be shared.
 */
static int
check_names(const struct disk *disk, const struct image_info *info, struct error *err)
{
	if (info->names < 2 || disk->prov != DISK_PROV_MODE_NONE ||
	    disk->device == DISK_DEVICE_CDROM)
		return 0;
	return error_set(err, 422,
	    "cannot use image '%s': it has %llu names (hard links), by each of which a VM could "
	    "write to it; remove the others (find -samefile shows them), or copy the image",
	    disk->path, (unsigned long long)info->names);
}

static int
take_image(const char *root, const struct disk *disk, struct image_info *ret, struct error *err)
{
	return image_check(root, disk, ret, err) < 0 ? -1 : check_names(disk, ret, err);
}

static int
make_image(const char *root, const char *uuid, const struct disk *disk, disk_progress progress,
    struct error *err)
{
	return image_create(root, uuid, disk, progress, NULL, err);
}

static int
disown_image(const char *root, const char *uuid, const struct disk *disk, struct error *err)
{
	struct error ignored = { 0 };
	struct stat st;

	if (image_stat(root, disk->path, &st, &ignored) < 0)
		return 0;
	return image_commit(root, uuid, disk, err);
}

/* Where there is none, its folder may be a storage of its own that is not mounted now. */
static int
drop_image(const char *root, const struct disk *disk, disk_progress progress, char **left,
    struct error *err)
{
	bool absent;

	if (image_check_unused(root, disk, err) < 0)
		return -1;
	absent = image_is_absent(root, disk->path);
	if (image_delete(root, disk, err) < 0)
		return -1;
	if (absent && left)
		*left = xasprintf("there was no image '%s' to delete: one on a storage that is "
				  "not mounted is left there",
		    disk->path);
	return 0;
}

static char *
leave_image(const char *root, const struct disk *disk, const char *why)
{
	struct error ignored = { 0 };
	struct stat st;

	if (image_stat(root, disk->path, &st, &ignored) < 0)
		return NULL;
	/* A repair looks for images by their names. */
	return xasprintf("image '%s' is left: %s%s", disk->path, why,
	    vmdef_disk_format(disk->path) == DISK_FORMAT_INVALID ? ""
								 : "; 'virtx repair' shows it");
}

static const struct disk_kind image = {
	.check = check_any,
	.inspect = image_inspect,
	.take = take_image,
	.make = make_image,
	.disown = disown_image,
	.commit = image_commit,
	.undo = image_undo,
	.drop = drop_image,
	.leave = leave_image,
};

/* A LUN is taken whole, whatever is asked for; less than that it must not be. */
static int
check_size(const struct disk *disk, struct error *err)
{
	struct image_info info = { 0 };

	if (disk->prov == DISK_PROV_MODE_NONE)
		return 0;
	if (lun_inspect(disk, &info, err) < 0)
		return error_wrap(err, "disk '%s'", disk->path);
	if ((int64_t)disk->size << 20 <= info.size)
		return 0;
	return error_set(err, 422, "disk '%s': the LUN has %lld MiB, and %d are asked for",
	    disk->path, (long long)(info.size >> 20), disk->size);
}

static int
check_lun(const struct disk *disk, struct error *err)
{
	char name[LEASE_NAME_SIZE];

	return lun_check_path(LUN_HOST, disk, name, err) < 0 ? -1 : check_size(disk, err);
}

static int
inspect_lun(const char *root, const struct disk *disk, struct image_info *ret, struct error *err)
{
	return lun_inspect(disk, ret, err);
}

static int
make_lun(const char *root, const char *uuid, const struct disk *disk, disk_progress progress,
    struct error *err)
{
	return lun_wipe(disk, progress, NULL, err);
}

/* It was there before, and stays. */
static int
keep_it(const char *root, const char *uuid, const struct disk *disk, struct error *err)
{
	return 0;
}

static char *
leave_lun(const char *root, const struct disk *disk, const char *why)
{
	return xasprintf("lun '%s' is not wiped: %s", disk->path, why);
}

/* What is not there, and what cannot be told to be the VM's, is left as it is: the VM goes all the
 * same. */
static int
drop_lun(const char *root, const struct disk *disk, disk_progress progress, char **left,
    struct error *err)
{
	struct error why = { 0 };
	char name[LEASE_NAME_SIZE];

	if (lun_check_path(LUN_HOST, disk, name, &why) == 0)
		return lun_wipe(disk, progress, NULL, err);
	if (!error_is(&why, ERROR_NOT_FOUND) && !error_is(&why, ERROR_REFUSED)) {
		*err = why;
		return -1;
	}
	if (left)
		*left = leave_lun(root, disk, why.detail);
	return 0;
}

static const struct disk_kind lun = {
	.check = check_lun,
	.inspect = inspect_lun,
	.take = inspect_lun,
	.make = make_lun,
	.disown = keep_it,
	.commit = keep_it,
	.undo = keep_it,
	.drop = drop_lun,
	.leave = leave_lun,
};

static int
measure_nothing(
    const char *root, const struct disk *disk, struct image_info *ret, struct error *err)
{
	return 0;
}

static int
make_nothing(const char *root, const char *uuid, const struct disk *disk, disk_progress progress,
    struct error *err)
{
	return 0;
}

static int
drop_nothing(const char *root, const struct disk *disk, disk_progress progress, char **left,
    struct error *err)
{
	return 0;
}

static char *
leave_nothing(const char *root, const struct disk *disk, const char *why)
{
	return NULL;
}

static const struct disk_kind vm_lease = {
	.check = check_any,
	.inspect = measure_nothing,
	.take = measure_nothing,
	.make = make_nothing,
	.disown = keep_it,
	.commit = keep_it,
	.undo = keep_it,
	.drop = drop_nothing,
	.leave = leave_nothing,
};

const struct disk_kind *
disk_kind_of(const struct disk *disk)
{
	if (disk->device == DISK_DEVICE_LUN)
		return &lun;
	return disk_is_vm_lease(disk) ? &vm_lease : &image;
}
