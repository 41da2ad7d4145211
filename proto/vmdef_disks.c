/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/vmdef_disks.h"

#include <limits.h>
#include <string.h>

#include "proto/check.h"

#define RESOURCE_NAME_MAX 48 /* SANLK_NAME_LEN */

unsigned int
vmdef_leases(const struct vmdef *def)
{
	const struct disk *disk;
	unsigned int leases = 0;

	for (size_t i = 0; (disk = vmdef_disk(def, i)); i++)
		leases += disk->man == DISK_MAN_MODE_MANAGED;
	return leases;
}

const struct disk *
vmdef_disk(const struct vmdef *def, size_t index)
{
	if (index == 0)
		return &def->osdisk;
	return index <= def->n_disks ? &def->disks[index - 1] : NULL;
}

static bool
has_suffix(const char *text, const char *suffix)
{
	size_t len = strlen(text), n = strlen(suffix);

	return len >= n && memcmp(text + len - n, suffix, n) == 0;
}

/* What follows dir and a slash in path, or NULL where path is not under dir. */
static const char *
path_under(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && path[n] == '/' && path[n + 1] ? path + n + 1 : NULL;
}

/* Whether every component is a name: none empty, "." or "..". */
static bool
path_is_clean(const char *path)
{
	while (*path == '/') {
		size_t n = strcspn(++path, "/");

		if (n == 0 || (n == 1 && path[0] == '.') ||
		    (n == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		path += n;
	}
	return *path == '\0';
}

/* The bytes of the longest component. */
static size_t
path_longest(const char *path)
{
	size_t longest = 0;

	while (*path) {
		size_t n = strcspn(++path, "/");

		if (n > longest)
			longest = n;
		path += n;
	}
	return longest;
}

enum disk_format
vmdef_disk_format(const char *path)
{
	if (path_under(path, "/dev"))
		return DISK_FORMAT_RAW;
	if (has_suffix(path, ".raw") || has_suffix(path, ".iso"))
		return DISK_FORMAT_RAW;
	if (has_suffix(path, ".qcow2"))
		return DISK_FORMAT_QCOW2;
	return DISK_FORMAT_INVALID;
}

static int
check_path(const struct disk *disk, const char *root, const char *where, struct error *err)
{
	_free_ char *store = xasprintf("%s/ds", root);
	_free_ char *reserved = xasprintf("%s/ds/ci", root);
	const char *path = str_or_empty(disk->path);

	if (!*path)
		return error_set(err, 400, "%s.path: must not be empty", where);
	if (*path != '/' || !path_is_clean(path))
		return error_set(err, 400,
		    "%s.path: '%s' is no absolute path without '//', '.', '..' or a slash at the "
		    "end",
		    where, path);
	if (strlen(path) >= PATH_MAX)
		return error_set(err, 400, "%s.path: longer than %d bytes", where, PATH_MAX - 1);
	if (path_longest(path) > NAME_MAX)
		return error_set(err, 400,
		    "%s.path: a component of %zu bytes is longer than the %d that a file's name "
		    "may have",
		    where, path_longest(path), NAME_MAX);
	if (path_under(path, "/dev")) {
		/* QEMU opens what is no lun as a regular file, and a device is none. */
		if (disk->device != DISK_DEVICE_LUN)
			return error_set(err, 400,
			    "%s.device: only a lun may be under /dev/, and '%s' is a %s", where,
			    path, enum_word(&disk_device_enum, disk->device));
		return 0;
	}
	if (!path_under(path, store))
		return error_set(err, 400, "%s.path: '%s' is neither under %s/ nor under /dev/",
		    where, path, store);
	if (disk->device == DISK_DEVICE_LUN)
		return error_set(
		    err, 400, "%s.path: '%s' is a lun, which must be under /dev/", where, path);
	if (path_under(path, reserved))
		return error_set(err, 400,
		    "%s.path: '%s' is under %s/, which is kept for cloud-init", where, path,
		    reserved);
	if (vmdef_disk_format(path) == DISK_FORMAT_INVALID)
		return error_set(err, 400, "%s.path: '%s' ends neither in .qcow2 nor .raw nor .iso",
		    where, path);
	return 0;
}

/* What may be provisioned, and how. */
static int
check_provisioning(const struct disk *disk, const char *where, struct error *err)
{
	const char *word = enum_word(&disk_prov_mode_enum, disk->prov);

	if (disk->prov == DISK_PROV_MODE_NONE)
		return 0;
	if (disk->size == 0)
		return error_set(
		    err, 400, "%s.size: a disk that is provisioned (%s) needs a size", where, word);
	if (disk->device == DISK_DEVICE_LUN && disk->prov == DISK_PROV_MODE_THICK)
		return error_set(err, 400, "%s.prov: a lun cannot be provisioned thick", where);
	return 0;
}

/* Whether the VM has this disk already, provisioned as it says. */
static bool
is_kept(const struct vmdef *old, const struct disk *disk)
{
	const struct disk *before = old ? vmdef_find_disk(old, disk->path) : NULL;

	return before && before->man == disk->man && before->prov == disk->prov;
}

/* Of what is never made, the provisioning is what somebody who has read it has found. */
static void
forget_found(struct disk *disk)
{
	if (disk->man != DISK_MAN_MODE_MANAGED || has_suffix(str_or_empty(disk->path), ".iso"))
		disk->prov = DISK_PROV_MODE_NONE;
}

static int
check_disk(const struct disk *disk, const struct vmdef *old, const char *root, const char *where,
    struct error *err)
{
	char name[RESOURCE_NAME_MAX + 1];
	const char *bus = enum_word(&disk_bus_enum, disk->bus);

	if (check_path(disk, root, where, err) < 0)
		return -1;
	if (disk->device == DISK_DEVICE_LUN && disk->bus != DISK_BUS_VIRTIO_SCSI)
		return error_set(
		    err, 400, "%s.bus: a lun must be on virtio-scsi, not on %s", where, bus);
	if (disk->device == DISK_DEVICE_CDROM && disk->bus == DISK_BUS_VIRTIO_BLK)
		return error_set(err, 400,
		    "%s.bus: a cdrom must be on virtio-scsi, sata or scsi, not on %s", where, bus);
	if (check_range(disk->size, 0, INT32_MAX, where, "size", err) < 0)
		return -1;
	/* A definition that was read shows what was found, also of disks that we did not make. */
	if (!is_kept(old, disk) && check_provisioning(disk, where, err) < 0)
		return -1;
	if (disk->man == DISK_MAN_MODE_MANAGED && disk_resource_name(disk, root, name, err) < 0)
		return error_wrap(err, "%s.path", where);
	return 0;
}

/* The name of a disk in errors; the caller frees. */
static char *
disk_place(const char *prefix, size_t index)
{
	return index == 0 ? xasprintf("%s.osdisk", prefix)
			  : xasprintf("%s.disks[%zu]", prefix, index - 1);
}

/* By one path, or one LUN by two of its names. */
static bool
is_same(const struct disk *disk, const struct disk *other)
{
	char name[RESOURCE_NAME_MAX + 1], other_name[RESOURCE_NAME_MAX + 1];
	struct error ignored = { 0 };

	if (str_equal(disk->path, other->path))
		return true;
	return disk->device == DISK_DEVICE_LUN && other->device == DISK_DEVICE_LUN &&
	       disk_resource_name(disk, "", name, &ignored) == 0 &&
	       disk_resource_name(other, "", other_name, &ignored) == 0 &&
	       strcmp(name, other_name) == 0;
}

/* One from before VMs had a lease of their own keeps what it has. */
static int
check_managed(
    const struct vmdef *def, const struct vmdef *old, const char *prefix, struct error *err)
{
	unsigned int n = vmdef_leases(def), max = VMDEF_MANAGED_MAX;

	if (n <= max || (old && n <= VMDEF_LEASES_MAX && n <= vmdef_leases(old)))
		return 0;
	return error_set(err, 400,
	    "%s.disks: %u managed disks, the osdisk counted, are more than %u: each takes a lease, "
	    "the VM has one of its own, and libvirt allows %d to a VM",
	    prefix, n, max, VMDEF_LEASES_MAX);
}

int
vmdef_disks_check(struct vmdef *def, const struct vmdef *old, const char *root, const char *prefix,
    struct error *err)
{
	const struct disk *disk, *other;

	forget_found(&def->osdisk);
	for (size_t i = 0; i < def->n_disks; i++)
		forget_found(&def->disks[i]);
	if (def->n_disks > VMDEF_DISKS_MAX)
		return error_set(err, 400, "%s.disks: %zu disks are more than %d", prefix,
		    def->n_disks, VMDEF_DISKS_MAX);
	for (size_t i = 0; (disk = vmdef_disk(def, i)); i++) {
		_free_ char *where = disk_place(prefix, i);

		if (check_disk(disk, old, root, where, err) < 0)
			return -1;
		for (size_t k = 0; k < i && (other = vmdef_disk(def, k)); k++) {
			_free_ char *first = disk_place(prefix, k);

			if (!is_same(disk, other))
				continue;
			return str_equal(disk->path, other->path)
				   ? error_set(err, 400, "%s.path: '%s' is also %s.path", where,
					 disk->path, first)
				   : error_set(err, 400,
					 "%s.path: '%s' is the LUN of %s.path, '%s'", where,
					 disk->path, first, other->path);
		}
	}
	return check_managed(def, old, prefix, err);
}

const struct disk *
vmdef_find_disk(const struct vmdef *def, const char *path)
{
	const struct disk *disk;

	for (size_t i = 0; (disk = vmdef_disk(def, i)); i++) {
		if (str_equal(disk->path, path))
			return disk;
	}
	return NULL;
}
