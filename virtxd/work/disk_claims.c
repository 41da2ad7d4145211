/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/disk_claims.h"

#include <string.h>
#include <sys/stat.h>

#include "disk/image.h"
#include "disk/lease.h"
#include "disk/lun_name.h"
#include "domain/domain_xml.h"
#include "domain/registry.h"
#include "proto/vmdef.h"
#include "work/hypervisor.h"

#define LEVELS_MAX 32 /* of images that stand on one another: they may do so in a circle */

/* A disk that is looked for in the definitions of other VMs. */
struct wanted {
	const struct disk *disk; /* borrowed */
	/* Of the resources that it can have; none where it is looked for by its file alone. */
	char (*names)[LEASE_NAME_SIZE];
	size_t n_names;
	/* Its file has several names, or is named by a symbolic link, and is this one. */
	bool linked;
	dev_t device;
	ino_t inode;
};

struct search {
	const struct work_env *env;
	const char *uuid; /* whose disks they are */
	struct wanted *wanted;
	size_t n_wanted;
};

#define _search_ __attribute__((cleanup(search_clear)))

static void
search_clear(struct search *search)
{
	for (size_t i = 0; i < search->n_wanted; i++)
		free(search->wanted[i].names);
	free(search->wanted);
}

static bool
is_managed(const struct disk *disk)
{
	return disk->man == DISK_MAN_MODE_MANAGED;
}

/* By its path, too: a domain that VirtX did not make may have a device that is no lun. */
static bool
is_device(const struct disk *disk)
{
	return disk->device == DISK_DEVICE_LUN || strncmp(disk->path, "/dev/", 5) == 0;
}

/* Whose the resource is, if there is one. */
static int
check_lease(
    const struct search *search, const char *name, const struct disk *disk, struct error *err)
{
	const char *root = search->env->root;
	char owner[37];
	bool there;

	if (lease_look_up(root, name, &there, owner, err) < 0)
		return error_wrap(err, "disk '%s'", disk->path);
	if (!there || (is_managed(disk) && str_equal(owner, search->uuid)))
		return 0;
	return error_set(err, 422, "disk '%s' is managed for VM '%s': its lease is '%s/lock/%s'",
	    disk->path, *owner ? owner : "nobody", root, name);
}

/* Of a device all names that this host knows, as its resource may have been made by any. */
static int
find_names(const struct search *search, struct wanted *wanted, struct error *err)
{
	struct error ignored = { 0 };
	char name[LEASE_NAME_SIZE];

	if (disk_resource_name(wanted->disk, search->env->root, name, err) < 0)
		return -1;
	if (is_device(wanted->disk))
		(void)lun_leases(
		    LUN_HOST, wanted->disk, &wanted->names, &wanted->n_names, &ignored);
	for (size_t i = 0; i < wanted->n_names; i++) {
		if (str_equal(wanted->names[i], name))
			return 0;
	}
	memcpy(model_append(&wanted->names, &wanted->n_names), name, sizeof(name));
	return 0;
}

static int
check_leases(const struct search *search, const struct wanted *wanted, struct error *err)
{
	struct error ignored = { 0 };
	char own[LEASE_NAME_SIZE] = "";

	(void)disk_resource_name(wanted->disk, search->env->root, own, &ignored);
	for (size_t i = 0; i < wanted->n_names; i++) {
		/* That of a managed disk itself is looked at where it is made or taken. */
		if (!(is_managed(wanted->disk) && str_equal(wanted->names[i], own)) &&
		    check_lease(search, wanted->names[i], wanted->disk, err) < 0)
			return -1;
	}
	return 0;
}

static bool
has_name(const struct search *search, const struct wanted *wanted, const struct disk *disk)
{
	struct error ignored = { 0 };
	char name[LEASE_NAME_SIZE];

	if (wanted->n_names == 0 || str_empty(disk->path) ||
	    disk_resource_name(disk, search->env->root, name, &ignored) < 0)
		return false;
	for (size_t i = 0; i < wanted->n_names; i++) {
		if (str_equal(wanted->names[i], name))
			return true;
	}
	return false;
}

/* Whether it is written to by another name of the same file. */
static bool
has_file(const struct search *search, const struct wanted *wanted, const struct disk *disk)
{
	struct error ignored = { 0 };
	struct stat st;

	return wanted->linked && disk->device == DISK_DEVICE_DISK && !str_empty(disk->path) &&
	       image_stat(search->env->root, disk->path, &st, &ignored) == 0 &&
	       st.st_dev == wanted->device && st.st_ino == wanted->inode;
}

/* A disk that neither of two VMs manages they may share. */
static int
compare(const struct search *search, const struct wanted *wanted, const struct disk *disk,
    const char *uuid, struct error *err)
{
	const char *path = wanted->disk->path;

	if (!is_managed(wanted->disk) && !is_managed(disk))
		return 0;
	if (has_name(search, wanted, disk))
		return error_set(err, 422,
		    "disk '%s' belongs to VM '%s', whose definition has it%s", path, uuid,
		    is_managed(disk) ? "" : " unmanaged");
	if (has_file(search, wanted, disk))
		return error_set(err, 422,
		    "disk '%s' is by another name (a link) disk '%s' of VM '%s', and only one "
		    "of the two VMs can have it: delete the other, or give it an image of its own",
		    path, disk->path, uuid);
	return 0;
}

/* *ret stays NULL for one that has gone meanwhile; one that has moved is found. */
static int
load_definition(
    const struct work_env *env, const struct registry_entry *entry, char **ret, struct error *err)
{
	char host[37];

	if (registry_load(env->root, entry->host, entry->uuid, ret, err) < 0)
		return -1;
	if (*ret)
		return 0;
	if (registry_find_other(env->root, entry->host, entry->uuid, host, err) < 0)
		return -1;
	return host[0] ? registry_load(env->root, host, entry->uuid, ret, err) : 0;
}

/* *ret stays zero for one that has gone meanwhile. */
static int
read_definition(const struct search *search, const struct registry_entry *entry,
    struct domain_info *ret, struct error *err)
{
	_free_ char *xml = NULL;
	struct error cause = { 0 };

	if (load_definition(search->env, entry, &xml, err) < 0)
		return -1;
	if (!xml || domain_xml_read(xml, search->env->root, ret, &cause) == 0)
		return 0;
	return error_set(err, 507,
	    "whether disk '%s' is another VM's is not known: the registry's file of VM '%s' cannot "
	    "be used: %s; `virtx repair -y` on host '%s' writes it anew",
	    search->wanted[0].disk->path, entry->uuid, cause.detail, entry->host);
}

static int
look_into(const struct search *search, const struct vmdef *def, const char *uuid, struct error *err)
{
	const struct disk *disk;

	for (size_t i = 0; (disk = vmdef_disk(def, i)); i++) {
		for (size_t k = 0; k < search->n_wanted; k++) {
			if (compare(search, &search->wanted[k], disk, uuid, err) < 0)
				return -1;
		}
	}
	return 0;
}

/* Reads all files of the registry, once for all disks. */
static int
search_registry(const struct search *search, bool strict, struct error *err)
{
	_free_ struct registry_entry *entries = NULL;
	size_t n = 0;

	if (search->n_wanted == 0)
		return 0;
	if (registry_list(search->env->root, NULL, &entries, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		_domain_info_ struct domain_info info = { 0 };
		struct error cause = { 0 };

		if (str_equal(entries[i].uuid, search->uuid))
			continue;
		if (read_definition(search, &entries[i], &info, &cause) < 0) {
			if (!strict)
				continue;
			*err = cause;
			return -1;
		}
		if (look_into(search, &info.def, entries[i].uuid, err) < 0)
			return -1;
	}
	return 0;
}

/* Another VM's lease is in the way of making the managed disk's own. */
static bool
is_taken(const struct search *search, const struct disk *disk)
{
	struct error ignored = { 0 };
	char name[LEASE_NAME_SIZE], owner[37];

	return is_managed(disk) &&
	       disk_resource_name(disk, search->env->root, name, &ignored) == 0 &&
	       lease_owner(search->env->root, name, owner, &ignored) == 0 &&
	       !str_equal(owner, search->uuid);
}

int
disk_claims_check_new(
    const struct work_env *env, const char *uuid, const struct disk *disk, struct error *err)
{
	_search_ struct search search = { .env = env, .uuid = uuid };
	struct wanted *wanted;

	/* Its image is made where there is none. */
	if (is_managed(disk) && !is_device(disk) && disk->prov != DISK_PROV_MODE_NONE)
		return 0;
	wanted = model_append(&search.wanted, &search.n_wanted);
	wanted->disk = disk;
	if (find_names(&search, wanted, err) < 0 || check_leases(&search, wanted, err) < 0)
		return -1;
	/* What is not managed and only read does no harm. */
	if (is_taken(&search, disk) || (!is_managed(disk) && disk->device == DISK_DEVICE_CDROM))
		return 0;
	return search_registry(&search, true, err);
}

/* A backup may be a second name of an image, which keeps no VM off. QEMU follows symbolic links. */
static void
find_file(const struct search *search, struct wanted *wanted)
{
	struct error ignored = { 0 };
	struct stat st, named;

	if (is_device(wanted->disk) || stat(wanted->disk->path, &st) < 0)
		return;
	wanted->linked = st.st_nlink > 1 ||
			 image_stat(search->env->root, wanted->disk->path, &named, &ignored) < 0 ||
			 named.st_dev != st.st_dev || named.st_ino != st.st_ino;
	wanted->device = st.st_dev;
	wanted->inode = st.st_ino;
}

/* A managed disk is the VM's by its lease: it is looked for only where its file has other names. */
static int
add_for_boot(struct search *search, const struct disk *disk, struct error *err)
{
	struct wanted *wanted;

	/* One that VirtX did not make may have an empty drive. */
	if (str_empty(disk->path))
		return 0;
	wanted = model_append(&search->wanted, &search->n_wanted);
	wanted->disk = disk;
	if ((!is_managed(disk) || is_device(disk)) && find_names(search, wanted, err) < 0)
		return -1;
	if (check_leases(search, wanted, err) < 0)
		return -1;
	if (disk->device != DISK_DEVICE_CDROM)
		find_file(search, wanted);
	if (disk->device == DISK_DEVICE_CDROM || (is_managed(disk) && !wanted->linked)) {
		free(wanted->names);
		search->n_wanted--;
	}
	return 0;
}

/* What the disk's image stands on, by the headers: where that changes, so does the disk, and while
 * the disk is in use its own VM does not start. One without a lease is a template. */
static int
check_bases(const struct search *search, const struct disk *disk, struct error *err)
{
	_free_ char *above = xstrdup(str_or_empty(disk->path));

	for (int i = 0; i < LEVELS_MAX && *above; i++) {
		struct disk below = { .man = DISK_MAN_MODE_MANAGED };
		char name[LEASE_NAME_SIZE], owner[37] = "";
		_free_ char *base = NULL;
		struct error ignored = { 0 };

		if (image_base(search->env->root, above, &base, &ignored) < 0 || !base)
			return 0;
		below.path = base;
		if (disk_resource_name(&below, search->env->root, name, &ignored) == 0 &&
		    lease_owner(search->env->root, name, owner, &ignored) == 0 && *owner &&
		    !str_equal(owner, search->uuid))
			return error_set(err, 422,
			    "disk '%s' stands on '%s', which is managed for VM '%s': only that one "
			    "can have it; copy the disk ('qemu-img convert' makes one that stands "
			    "alone)",
			    disk->path, base, owner);
		free(above);
		above = steal_ptr(base);
	}
	return 0;
}

int
disk_claims_check_boot(
    const struct work_env *env, const char *uuid, const struct vmdef *def, struct error *err)
{
	_search_ struct search search = { .env = env, .uuid = uuid };
	const struct disk *disk;

	for (size_t i = 0; (disk = vmdef_disk(def, i)); i++) {
		if (add_for_boot(&search, disk, err) < 0 || check_bases(&search, disk, err) < 0)
			return -1;
	}
	return search_registry(&search, false, err);
}
