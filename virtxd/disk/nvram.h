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
/* The same under NVRAM_LOCAL. */
char *nvram_local_path(const char *uuid);
/* Makes ROOT/nvram, which is root's, where it is missing; never ROOT. */
int nvram_make_folder(const char *root, struct error *err);
/* Makes the VM's file a copy of the one at from, whole or not at all; makes the folder. One that is
 * not there is fine. */
int nvram_copy(const char *root, const char *uuid, const char *from, struct error *err);
/* Removes the VM's file, and what a copy that was cut off has left; not there is fine. */
int nvram_delete(const char *root, const char *uuid, struct error *err);
/* The VMs that have a file, or what a copy has left, some of them twice. Other names are passed
 * over, and so is what is beyond NVRAM_MAX. The caller frees. */
#define NVRAM_MAX 100000
int nvram_list(const char *root, char (**ret)[UUID_TEXT_SIZE], size_t *n, struct error *err);
/* When the later of the two was changed, ms since 1970; 0 where there is none. */
int64_t nvram_changed(const char *root, const char *uuid);

#endif
