/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The disks of a Vmdef: what each is, and what all must satisfy. */
#ifndef PROTO_VMDEF_DISKS_H
#define PROTO_VMDEF_DISKS_H

#include "proto/error.h"
#include "proto/model.h"

#define VMDEF_DISKS_MAX 20
/* Leases of a VM. One less than sanlock's SANLK_MAX_RESOURCES: libvirt starts no VM that has all 8
 * and a disk, since it looks for room before it sees that a disk needs none. */
#define VMDEF_LEASES_MAX 7
/* Managed disks: each has a lease, and the VM has one of its own. A VM from before it had one may
 * have VMDEF_LEASES_MAX. */
#define VMDEF_MANAGED_MAX (VMDEF_LEASES_MAX - 1)

enum disk_format {
	DISK_FORMAT_INVALID = -1,
	DISK_FORMAT_RAW,
	DISK_FORMAT_QCOW2,
};

/* All disks in order, the osdisk being number 0; NULL past the last. */
const struct disk *vmdef_disk(const struct vmdef *def, size_t index);
/* The disk of that path, or NULL. */
const struct disk *vmdef_find_disk(const struct vmdef *def, const char *path);
/* The number of managed disks, each of which takes a lease. */
unsigned int vmdef_leases(const struct vmdef *def);
/* The driver of a (checked) path: raw under /dev/, .raw and .iso, qcow2 for .qcow2. */
enum disk_format vmdef_disk_format(const char *path);
/*
 * The name of a managed disk's sanlock resource: md5 of the path with the leading ROOT "/ds/"
 * removed, or the LUN's serial. out holds at most 48 characters (sanlock's limit); -1 with a 400
 * for a lun whose last component has no such name.
 */
int disk_resource_name(const struct disk *disk, const char *root, char out[49], struct error *err);

/*
 * The VM's own lease, which keeps every other host from running it, whatever disks it has. In lists
 * of disks it is one that has nothing but its lease: managed, with the lease's name, "vm-UUID", for
 * a path. No disk's path is like that: they begin with a slash.
 */
#define VM_LEASE_SIZE (3 + 37)
/* Writes its name. */
void vm_lease_name(const char *uuid, char out[VM_LEASE_SIZE]);
/* As such a disk; its name is borrowed. */
struct disk vm_lease_disk(char *name);
bool disk_is_vm_lease(const struct disk *disk);
/* What a disk is called in messages: "disk" or "lease". */
const char *disk_noun(const struct disk *disk);

/* The disks' part of vmdef_check_update(): old is NULL for a new VM. */
int vmdef_disks_check(struct vmdef *def, const struct vmdef *old, const char *root,
    const char *prefix, struct error *err);

#endif
