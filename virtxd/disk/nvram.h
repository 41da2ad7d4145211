/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The UEFI variables of a VM: ROOT/nvram/VM_VARS.fd, which every host sees. libvirt makes the file
 * from a template at the first start. Blocks: jobs only. What the storage refuses is a 507.
 */
#ifndef DISK_NVRAM_H
#define DISK_NVRAM_H

#include "proto/error.h"
#include "proto/uuid.h"

/* Where libvirt keeps them when nobody says where. */
#define NVRAM_LOCAL "/var/lib/libvirt/qemu/nvram"

/* ROOT/nvram/VM_VARS.fd; the caller frees. */
char *nvram_path(const char *root, const char *uuid);
/* The same under NVRAM_LOCAL, by the name that the domain has in libvirt: of a VM that VirtX made,
 * its UUID. */
char *nvram_local_path(const char *name);
/* Makes ROOT/nvram where it is missing, never ROOT, and opens it to QEMU: where root is nobody to
 * the storage, libvirt makes the files as QEMU's user. */
int nvram_make_folder(const char *root, struct error *err);
/* Gives QEMU's group the folder, where it was made for a QEMU of root's, and the VM's file; not
 * there is fine. */
int nvram_mend(const char *root, const char *uuid, struct error *err);
/* 422 for a file that is too short for the variables that it is to hold, as one that a full storage
 * or a loss of power has left: QEMU does not start with it, or its firmware does not. One that is
 * not there, or cannot be read, is fine here. */
int nvram_check(const char *path, struct error *err);
enum nvram_copied {
	NVRAM_COPIED,	/* there was no other before, or there is none at from */
	NVRAM_REPLACED, /* the one before is kept beside it */
	NVRAM_LATER,	/* the VM's file was changed after the one at from, of which a copy is kept
			   beside it */
};
/* Makes the VM's file a copy of the one at from, whole or not at all, where the VM has used that
 * last: QEMU writes into it. One that is not there is fine. */
int nvram_copy(const char *root, const char *uuid, const char *from, enum nvram_copied *ret,
    struct error *err);
/* Where the one of two is kept that the VM has not used last; the caller frees. */
char *nvram_kept_path(const char *root, const char *uuid);
/* Removes the VM's file, the one kept beside it, and what a copy that was cut off has left; not
 * there is fine. */
int nvram_delete(const char *root, const char *uuid, struct error *err);
/* The VMs that have a file, or what a copy has left, some of them several times. Other names are
 * passed over, and so is what is beyond NVRAM_MAX. The caller frees. */
#define NVRAM_MAX 100000
int nvram_list(const char *root, char (**ret)[UUID_TEXT_SIZE], size_t *n, struct error *err);
/* When the latest of them was changed, ms since 1970; 0 where there is none. */
int64_t nvram_changed(const char *root, const char *uuid);

#endif
