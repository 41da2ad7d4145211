/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/storage.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "disk/image.h"
#include "disk/lease.h"
#include "disk/lun_name.h"
#include "domain/domain_xml.h"
#include "domain/registry.h"
#include "proto/vmdef.h"
#include "work/hypervisor.h"
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
	int r;

	if (disk->device == DISK_DEVICE_LUN)
		r = lun_inspect(disk, &info, err);
	else
		r = image_inspect(env->root, disk, &info, err);
	if (r == 0)
		fill_report(&info, report);
	return r;
}

/* The same for a disk that the VM gets now: somebody else may have made it. */
static int
measure(const struct work_env *env, const struct disk *disk, struct disk_report *report,
    struct error *err)
{
	struct image_info info = { 0 };
	int r;

	if (disk->device == DISK_DEVICE_LUN)
		r = lun_inspect(disk, &info, err);
	else
		r = image_check(env->root, disk, &info, err);
	if (r < 0)
		return -1;
	if (info.size >> 20 > INT32_MAX)
		return error_set(err, 422, "its size of %lld MiB is more than %d",
		    (long long)(info.size >> 20), INT32_MAX);
	fill_report(&info, report);
	return 0;
}

/* Whose the resource is, if there is one. */
static int
refuse_managed(const struct work_env *env, const char *name, const char *uuid,
    const struct disk *disk, struct error *err)
{
	struct error cause = { 0 };
	char owner[37];

	if (lease_owner(env->root, name, owner, &cause) < 0) {
		if (cause.status == 404)
			return 0;
		*err = cause;
		return error_wrap(err, "disk '%s'", disk->path);
	}
	if (is_managed(disk) && str_equal(owner, uuid))
		return 0;
	return error_set(err, 422, "disk '%s' is managed for VM '%s': its lease is '%s/lock/%s'",
	    disk->path, *owner ? owner : "nobody", env->root, name);
}

/* The same of a LUN, by whatever name its resource was made; of what this host cannot tell,
 * nothing.
 */
static int
refuse_lun(const struct work_env *env, const char *uuid, const struct disk *disk, struct error *err)
{
	_free_ char(*names)[LEASE_NAME_SIZE] = NULL;
	char named[LEASE_NAME_SIZE] = "";
	struct error ignored = { 0 };
	size_t n = 0;

	(void)disk_resource_name(disk, env->root, named, &ignored);
	if (lun_leases(LUN_HOST, disk, &names, &n, &ignored) < 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		/* That of a managed disk itself is looked at where it is made or taken. */
		if (!(is_managed(disk) && str_equal(names[i], named)) &&
		    refuse_managed(env, names[i], uuid, disk, err) < 0)
			return -1;
	}
	return 0;
}

/* Whether a definition has this disk, by its lease's name. */
static bool
has_managed(const struct work_env *env, const struct vmdef *def, const char *name)
{
	struct error ignored = { 0 };
	char its[LEASE_NAME_SIZE];
	const struct disk *disk;

	for (size_t i = 0; (disk = vmdef_disk(def, i)); i++) {
		if (is_managed(disk) && disk_resource_name(disk, env->root, its, &ignored) == 0 &&
		    str_equal(its, name))
			return true;
	}
	return false;
}

/* *ret stays NULL for one that has gone meanwhile; one that has moved is found. */
static int
load_definition(
    const struct work_env *env, const struct registry_entry *entry, char **ret, struct error *err)
{
	struct error cause = { 0 };
	char host[37];

	if (registry_load(env->root, entry->host, entry->uuid, ret, &cause) == 0)
		return 0;
	if (cause.status == 404 &&
	    registry_find_other(env->root, entry->host, entry->uuid, host, &cause) == 0 &&
	    registry_load(env->root, host, entry->uuid, ret, &cause) == 0)
		return 0;
	if (cause.status == 404)
		return 0;
	*err = cause;
	return -1;
}

/*
 * A disk without a lease is nobody's only when no definition in the registry has it: the lease may
 * have been lost. All files of the registry are read, which only a disk that is taken as it is, or
 * a LUN, is worth.
 */
static int
refuse_registered(
    const struct work_env *env, const char *uuid, const struct disk *disk, struct error *err)
{
	_free_ struct registry_entry *entries = NULL;
	char name[LEASE_NAME_SIZE], owner[37];
	struct error ignored = { 0 };
	size_t n = 0;

	if (disk_resource_name(disk, env->root, name, err) < 0)
		return -1;
	/* Where it has one, that is in the way of making it. */
	if (lease_owner(env->root, name, owner, &ignored) == 0)
		return 0;
	if (registry_list(env->root, NULL, &entries, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		_domain_info_ struct domain_info info = { 0 };
		_free_ char *xml = NULL;

		if (str_equal(entries[i].uuid, uuid))
			continue;
		if (load_definition(env, &entries[i], &xml, err) < 0)
			return -1;
		if (!xml)
			continue;
		if (domain_xml_read(xml, env->root, &info, err) < 0)
			return error_wrap(err,
			    "whether disk '%s' is another VM's is not known: the registry's file "
			    "of VM '%s'",
			    disk->path, entries[i].uuid);
		if (has_managed(env, &info.def, name))
			return error_set(err, 422,
			    "disk '%s' belongs to VM '%s', whose definition has it", disk->path,
			    entries[i].uuid);
	}
	return 0;
}

int
storage_check(
    const struct work_env *env, const char *uuid, const struct disk *disk, struct error *err)
{
	char name[LEASE_NAME_SIZE];

	if (disk->device == DISK_DEVICE_LUN)
		return lun_check_path(LUN_HOST, disk, name, err) < 0 ||
			       refuse_lun(env, uuid, disk, err) < 0 ||
			       (is_managed(disk) && refuse_registered(env, uuid, disk, err) < 0)
			   ? -1
			   : 0;
	if (is_managed(disk))
		return disk->prov == DISK_PROV_MODE_NONE ? refuse_registered(env, uuid, disk, err)
							 : 0;
	if (disk_resource_name(disk, env->root, name, err) < 0)
		return -1;
	return refuse_managed(env, name, uuid, disk, err);
}

static int
check_lease(
    const struct work_env *env, const char *name, const struct disk *disk, struct error *err)
{
	enum lease_health health;
	struct error why = { 0 };
	char owner[37];

	if (lease_health(env->root, name, &health, owner, &why, err) < 0)
		return error_wrap(err, "disk '%s'", disk->path);
	if (health == LEASE_SOUND)
		return 0;
	return error_set(err, 507, "disk '%s' cannot be used: %s; 'virtx repair' makes it anew",
	    disk->path, why.detail);
}

int
storage_check_boot(
    const struct work_env *env, const char *uuid, const struct disk *disk, struct error *err)
{
	char name[LEASE_NAME_SIZE];

	if (disk_resource_name(disk, env->root, name, err) < 0)
		return -1;
	if (is_managed(disk) ? check_lease(env, name, disk, err) < 0
			     : refuse_managed(env, name, uuid, disk, err) < 0)
		return -1;
	/* Its path may be one that is not taken any more, and no lun where VirtX did not make it.
	 */
	return strncmp(disk->path, "/dev/", 5) == 0 ? refuse_lun(env, uuid, disk, err) : 0;
}

static int
provision(const struct work_env *env, const char *uuid, const struct disk *disk, struct error *err)
{
	if (disk->prov == DISK_PROV_MODE_NONE)
		return 0;
	if (disk->device == DISK_DEVICE_LUN)
		return lun_wipe(disk, tell_progress, NULL, err);
	return image_create(env->root, uuid, disk, tell_progress, NULL, err);
}

int
storage_make(const struct work_env *env, const char *uuid, struct disk *disk,
    struct disk_report *report, struct error *err)
{
	_lease_ struct lease lease = LEASE_INIT;
	char name[LEASE_NAME_SIZE];

	if (is_managed(disk)) {
		if (disk_resource_name(disk, env->root, name, err) < 0 ||
		    lease_create(env->root, name, uuid, err) < 0 ||
		    lease_acquire(env->root, name, uuid, &lease, err) < 0 ||
		    provision(env, uuid, disk, err) < 0)
			return error_wrap(err, "disk '%s'", disk->path);
	}
	if (measure(env, disk, report, err) < 0 ||
	    (is_managed(disk) && lease_check(&lease, err) < 0))
		return error_wrap(err, "disk '%s'", disk->path);
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
	if (!is_managed(disk) || disk->device == DISK_DEVICE_LUN)
		return 0;
	return image_commit(env->root, uuid, disk, err);
}

/* 1: the resource is this VM's, 0: it is not there or another's, -1: cannot tell. */
static int
is_ours(const struct work_env *env, const char *name, const char *uuid, struct error *err)
{
	struct error cause = { 0 };
	char owner[37];

	if (lease_owner(env->root, name, owner, &cause) == 0)
		return str_equal(owner, uuid);
	if (cause.status == 404)
		return 0;
	*err = cause;
	return -1;
}

int
storage_undo(
    const struct work_env *env, const char *uuid, const struct disk *disk, struct error *err)
{
	_lease_ struct lease lease = LEASE_INIT;
	char name[LEASE_NAME_SIZE];
	int ours;

	if (!is_managed(disk))
		return 0;
	if (disk_resource_name(disk, env->root, name, err) < 0)
		return -1;
	ours = is_ours(env, name, uuid, err);
	if (ours < 0)
		return error_wrap(err, "disk '%s'", disk->path);
	if (ours) {
		if (lease_acquire(env->root, name, uuid, &lease, err) < 0)
			return error_wrap(err, "disk '%s'", disk->path);
		if (disk->device != DISK_DEVICE_LUN && image_undo(env->root, uuid, disk, err) < 0)
			return error_wrap(err, "disk '%s'", disk->path);
		if (lease_delete(env->root, &lease, err) < 0)
			return error_wrap(err, "disk '%s'", disk->path);
	}
	if (lease_undo(env->root, name, uuid, err) < 0)
		return error_wrap(err, "disk '%s'", disk->path);
	return 0;
}

/* What stays of a disk whose lease is gone: nobody can prove whose it is by now. */
static char *
left_without_lease(const struct work_env *env, const struct disk *disk, const char *why)
{
	struct error ignored = { 0 };
	struct stat st;

	if (disk->device == DISK_DEVICE_LUN)
		return xasprintf("lun '%s' is not wiped: %s", disk->path, why);
	if (image_stat(env->root, disk->path, &st, &ignored) < 0)
		return NULL;
	return xasprintf("image '%s' is left: %s; 'virtx repair' shows it", disk->path, why);
}

/* A disk whose lease is missing or damaged. */
static int
drop_leaseless(const struct work_env *env, const char *uuid, const struct disk *disk,
    const char *name, bool deletestorage, const char *why, char **left, struct error *err)
{
	if (lease_discard(env->root, name, uuid, err) < 0 ||
	    lease_undo(env->root, name, uuid, err) < 0)
		return error_wrap(err, "disk '%s'", disk->path);
	if (deletestorage && left)
		*left = left_without_lease(env, disk, why);
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
		return error_wrap(err, "disk '%s'", disk->path);
	if (health != LEASE_SOUND && (!owner[0] || str_equal(owner, uuid)))
		return drop_leaseless(env, uuid, disk, name, deletestorage, why.detail, left, err);
	if (lease_acquire(env->root, name, uuid, &lease, err) < 0)
		return error_wrap(err, "disk '%s'", disk->path);
	if (deletestorage && disk->device == DISK_DEVICE_LUN)
		r = lun_wipe(disk, tell_progress, NULL, err);
	else if (deletestorage && (r = image_check_unused(env->root, disk, err)) == 0)
		r = image_delete(env->root, disk, err);
	if (r < 0 || lease_delete(env->root, &lease, err) < 0)
		return error_wrap(err, "disk '%s'", disk->path);
	return 0;
}
