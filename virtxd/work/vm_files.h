/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a VM's QEMU opens on the shared storage, where it is not root's. */
#ifndef WORK_VM_FILES_H
#define WORK_VM_FILES_H

#include <libvirt/libvirt.h>

#include "domain/domain_xml.h"
#include "proto/error.h"
#include "work/requests.h"

/* What this job makes and opens from here on is for the QEMU of that host. */
int vm_files_for(const struct work_env *env, virConnectPtr conn, struct error *err);
void vm_files_for_host(const struct work_env *env, const struct domain_caps *caps);
/*
 * Opens to QEMU what is the VM's own and is not: disks that are managed, the cloud-init CD, UEFI
 * variables, and folders that were made for a QEMU of root's. *closed (the caller's) tells the
 * first file that stays closed, NULL for none.
 */
void vm_files_open(
    const struct work_env *env, const char *uuid, const struct vmdef *def, char **closed);
/* Puts what is closed (NULL for nothing) in front of why QEMU did not start, where it was that;
 * with dynamic_ownership libvirt gives QEMU the files. */
void vm_files_explain(const char *closed, struct error *err);

#endif
