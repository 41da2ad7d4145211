/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Disks of this host's VMs that others have given them, without a lease. */
#ifndef WORK_BARE_DISKS_H
#define WORK_BARE_DISKS_H

#include <libvirt/libvirt.h>

#include "proto/error.h"
#include "work/requests.h"

#define BARE_DISK_PROBLEM "disk-without-lease" /* path is of the disk */

/*
 * Adds to res the disks of a VM that should have a lease, and do not: of one that is on, those that
 * it has now. A snapshot, a copy that a disk was pivoted to and a disk that was attached by libvirt
 * have none, so that nothing keeps another VM from using them.
 */
int bare_disks_find(const struct work_env *env, virDomainPtr domain, struct reconcile_result *res,
    struct error *err);

/*
 * What the image of a VM's disk is a snapshot of, by the images' headers: libvirt does not tell of
 * a VM that is off. It has the VM's lease, and a lease in the domain; the caller's, NULL for none.
 */
char *bare_disks_base(
    const struct work_env *env, virDomainPtr domain, const char *uuid, const char *path);
/* Refuses (507) a VM of whose disks one has no lease in its definition, with what heals that:
 * libvirt would start it, and nothing would keep another host from starting it as well. */
int bare_disks_check(
    const struct work_env *env, virDomainPtr domain, const char *uuid, struct error *err);

#endif
