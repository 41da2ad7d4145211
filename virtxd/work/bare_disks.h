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
/* Says of a VM whose disk has no lease (507) what else is in the place of its disk, and what heals
 * that, where it is so: a lease that is made anew would be of no use. */
void bare_disks_explain(
    const struct work_env *env, virDomainPtr domain, const char *uuid, struct error *err);

#endif
