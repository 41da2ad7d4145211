/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/storage.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "disk/image.h"
#include "disk/lease.h"
#include "disk/lun_answer.h"
#include "disk/lun_name.h"
#include "proto/vmdef.h"
#include "work/disk_claims.h"
#include "work/disk_kind.h"
#include "work/lun_rules.h"
#include "work/work.h"

#define FULL_BYTES (1 << 20)

#define _lease_ __attribute__((cleanup(lease_release)))

/* A job is one process with one operation, so that this is the job's, not shared. */
static struct {
	size_t index, n;
} position = { 0, 1 };

static void
tell_progress(int percent, void *arg)
{
	work_progress((int)((position.index * 100 + (size_t)percent) / position.n));
}

void
storage_progress(size_t index, size_t n)
{
	position.index = index;
	position.n = n ? n : 1;
	tell_progress(0, NULL);
}

static bool
is_managed(const struct disk *disk)
{
	return disk->man == DISK_MAN_MODE_MANAGED;
}

static int
wrap(struct error *err, const struct disk *disk)
{
	return error_wrap(err, "%s '%s'", disk_noun(disk), disk->path);
}

static void
fill_report(const struct image_info *info, struct disk_report *report)
{
	report->prov = info->prov;
	report->capacity = info->size;
	report->allocation = info->allocation;
	report->physical = info->physical;
}

int
storage_inspect(const struct work_env *env, const struct disk *disk, struct disk_report *report,
    struct error *err)
{
	struct image_info info = { 0 };

	if (disk_kind_of(disk)->inspect(env->root, disk, &info, err) < 0)
		return -1;
	fill_report(&info, report);
	return 0;
}

/* The same for a disk that the VM gets now: somebody else may have made it. */
static int
measure(const struct work_env *env, const struct disk *disk, struct disk_report *report,
    struct error *err)
{
	struct image_info info = { 0 };

	if (disk_kind_of(disk)->take(env->root, disk, &info, err) < 0)
		return -1;
	if (info.size >> 20 > INT32_MAX)
		return error_set(err, 422, "its size of %lld MiB is more than %d",
		    (long long)(info.size >> 20), INT32_MAX);
	fill_report(&info, report);
	return 0;
}

int
storage_check(const struct work_env *env, const char *uuid, const struct disk *disk, bool admin,
    struct error *err)
{
	if (disk_kind_of(disk)->check(disk, err) < 0 ||
	    disk_claims_check_new(env, uuid, disk, err) < 0)
		return -1;
	return disk->device == DISK_DEVICE_LUN ? lun_rules_check(env, disk, admin, err) : 0;
}

static int
check_lease(
    const struct work_env *env, const char *name, const struct disk *disk, struct error *err)
{
	enum lease_health health;
	struct error why = { 0 };
	char owner[37];

	if (lease_health(env->root, name, &health, owner, &why, err) < 0)
		return wrap(err, disk);
	if (health == LEASE_SOUND)
		return 0;
	return error_set(err, 507, "%s '%s' cannot be used: %s; 'virtx repair' makes it anew",
	    disk_noun(disk), disk->path, why.detail);
}

/* QEMU says it in words of its own, and of its own path. */
static int
check_present(const struct work_env *env, const struct disk *disk, struct error *err)
{
	bool device = strncmp(disk->path, "/dev/", 5) == 0;
	struct stat st = { 0 };

	if (device ? stat(disk->path, &st) < 0 && errno == ENOENT
		   : image_is_absent(env->root, disk->path))
		return error_set_type(err, ERROR_MISSING, "disk '%s': there is no such %s",
		    disk->path, device ? "device" : "file");
	return device && S_ISBLK(st.st_mode) ? lun_confirm(LUN_HOST, disk, st.st_rdev, err) : 0;
}

int
storage_check_boot(const struct work_env *env, const struct domain_info *info, struct error *err)
{
	char name[LEASE_NAME_SIZE];
	const struct disk *disk;

	for (size_t i = 0; (disk = vmdef_disk(&info->def, i)); i++) {
		/* One that VirtX did not make may have an empty drive. */
		if (str_empty(disk->path))
			continue;
		if (disk_resource_name(disk, env->root, name, err) < 0 ||
		    check_present(env, disk, err) < 0 ||
		    (is_managed(disk) && check_lease(env, name, disk, err) < 0))
			return -1;
	}
	if (info->leased && check_lease(env, info->lease.path, &info->lease, err) < 0)
		return -1;
	return disk_claims_check_boot(env, info->uuid, &info->def, err);
}

static int
provision(const struct work_env *env, const char *uuid, const struct disk *disk, struct error *err)
{
	if (disk->prov == DISK_PROV_MODE_NONE)
		return 0;
	return disk_kind_of(disk)->make(env->root, uuid, disk, tell_progress, err);
}

int
storage_make(const struct work_env *env, const char *uuid, struct disk *disk, bool adopted,
    struct disk_report *report, struct error *err)
{
	_lease_ struct lease lease = LEASE_INIT;
	char name[LEASE_NAME_SIZE];

	if (is_managed(disk)) {
		if (disk_resource_name(disk, env->root, name, err) < 0 ||
		    (!adopted && lease_create(env->root, name, uuid, err) < 0) ||
		    lease_acquire(env->root, name, uuid, &lease, err) < 0 ||
		    provision(env, uuid, disk, err) < 0)
			return wrap(err, disk);
	}
	if (measure(env, disk, report, err) < 0 ||
	    (is_managed(disk) && lease_check(&lease, err) < 0))
		return wrap(err, disk);
	if (disk->prov == DISK_PROV_MODE_NONE)
		disk->prov = report->prov;
	disk->size = (int32_t)(report->capacity >> 20);
	return 0;
}

bool
storage_is_full(const struct work_env *env)
{
	struct statvfs fs;

	return statvfs(env->root, &fs) == 0 &&
	       (fs.f_bavail * fs.f_frsize < FULL_BYTES || (fs.f_files > 0 && fs.f_favail == 0));
}

int
storage_commit(
    const struct work_env *env, const char *uuid, const struct disk *disk, struct error *err)
{
	return is_managed(disk) ? disk_kind_of(disk)->commit(env->root, uuid, disk, err) : 0;
}

/* 1: the disk's resource is this VM's, 0: it is not there or another's, -1: cannot tell. */
static int
is_ours(const struct work_env *env, const struct disk *disk, const char *uuid,
    char name[LEASE_NAME_SIZE], struct error *err)
{
	char owner[37];
	bool there;

	if (disk_resource_name(disk, env->root, name, err) < 0)
		return -1;
	if (lease_look_up(env->root, name, &there, owner, err) < 0)
		return wrap(err, disk);
	return str_equal(owner, uuid);
}

int
storage_find_adopted(const struct work_env *env, const char *uuid, const struct disk *disk,
    bool *ret, struct error *err)
{
	char name[LEASE_NAME_SIZE];
	int ours;

	*ret = false;
	if (!is_managed(disk))
		return 0;
	ours = is_ours(env, disk, uuid, name, err);
	if (ours < 0)
		return -1;
	*ret = ours == 1;
	if (disk_kind_of(disk)->disown(env->root, uuid, disk, err) < 0)
		return wrap(err, disk);
	return 0;
}

int
storage_undo(const struct work_env *env, const char *uuid, const struct disk *disk, bool adopted,
    struct error *err)
{
	_lease_ struct lease lease = LEASE_INIT;
	char name[LEASE_NAME_SIZE];
	int ours;

	if (!is_managed(disk))
		return 0;
	ours = is_ours(env, disk, uuid, name, err);
	if (ours < 0)
		return -1;
	if (ours) {
		if (lease_acquire(env->root, name, uuid, &lease, err) < 0)
			return wrap(err, disk);
		if (disk_kind_of(disk)->undo(env->root, uuid, disk, err) < 0)
			return wrap(err, disk);
		if (!adopted && lease_delete(env->root, &lease, err) < 0)
			return wrap(err, disk);
	}
	if (lease_undo(env->root, name, uuid, err) < 0)
		return wrap(err, disk);
	return 0;
}

/* A disk whose lease is missing or damaged: nobody can prove whose it is by now. */
static int
drop_leaseless(const struct work_env *env, const char *uuid, const struct disk *disk,
    const char *name, bool deletestorage, const char *why, char **left, struct error *err)
{
	if (lease_discard(env->root, name, uuid, err) < 0 ||
	    lease_undo(env->root, name, uuid, err) < 0)
		return wrap(err, disk);
	if (deletestorage && left)
		*left = disk_kind_of(disk)->leave(env->root, disk, why);
	return 0;
}

/* Another VM has it by now: ours is what an earlier try could not remove of the lease, as on NFS
 * where somebody had it open. */
static int
drop_rest(const struct work_env *env, const char *uuid, const struct disk *disk, const char *name,
    const char *owner, char **left, struct error *err)
{
	if (lease_undo(env->root, name, uuid, err) < 0)
		return wrap(err, disk);
	if (left)
		*left = xasprintf(
		    "%s '%s' belongs to VM '%s', and is left", disk_noun(disk), disk->path, owner);
	return 0;
}

int
storage_drop(const struct work_env *env, const char *uuid, const struct disk *disk,
    bool deletestorage, char **left, struct error *err)
{
	_lease_ struct lease lease = LEASE_INIT;
	char name[LEASE_NAME_SIZE], owner[37];
	enum lease_health health;
	struct error why = { 0 };
	int r = 0;

	if (left)
		*left = NULL;
	if (!is_managed(disk))
		return 0;
	if (disk_resource_name(disk, env->root, name, err) < 0)
		return -1;
	if (lease_health(env->root, name, &health, owner, &why, err) < 0)
		return wrap(err, disk);
	if (health != LEASE_SOUND && (!owner[0] || str_equal(owner, uuid)))
		return drop_leaseless(env, uuid, disk, name, deletestorage, why.detail, left, err);
	if (owner[0] && !str_equal(owner, uuid))
		return drop_rest(env, uuid, disk, name, owner, left, err);
	if (lease_acquire(env->root, name, uuid, &lease, err) < 0)
		return wrap(err, disk);
	if (deletestorage)
		r = disk_kind_of(disk)->drop(env->root, disk, tell_progress, left, err);
	if (r < 0 || lease_delete(env->root, &lease, err) < 0)
		return wrap(err, disk);
	return 0;
}

int
storage_mend_lease(
    const struct work_env *env, const char *uuid, const struct disk *disk, struct error *err)
{
	char name[LEASE_NAME_SIZE], owner[37];
	enum lease_health health;
	struct error why = { 0 };

	if (disk_resource_name(disk, env->root, name, err) < 0)
		return -1;
	if (lease_health(env->root, name, &health, owner, &why, err) < 0)
		return wrap(err, disk);
	if (owner[0] && !str_equal(owner, uuid))
		return error_set(err, 409, "%s '%s' belongs to VM '%s' by now", disk_noun(disk),
		    disk->path, owner);
	if (health == LEASE_SOUND)
		return 0;
	if ((health == LEASE_DAMAGED && lease_discard(env->root, name, uuid, err) < 0) ||
	    lease_undo(env->root, name, uuid, err) < 0 ||
	    lease_create(env->root, name, uuid, err) < 0)
		return wrap(err, disk);
	return 0;
}
