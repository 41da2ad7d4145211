/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which other VM has a disk: by its lease, by a definition in the registry where the lease may have
 * been lost, or by another name of its file.
 */
#ifndef WORK_DISK_CLAIMS_H
#define WORK_DISK_CLAIMS_H

#include "proto/error.h"
#include "work/requests.h"

/*
 * Whether a VM may get the disk: 422 that names the VM which manages it. One that is managed is
 * deleted with its VM, and a LUN emptied: it must be no other VM's in any way, managed or not.
 */
int disk_claims_check_new(
    const struct work_env *env, const char *uuid, const struct disk *disk, struct error *err);
/*
 * Whether another VM manages what the VM would write to: 422 that names it. Definitions that cannot
 * be read are passed over, as one of them would keep VMs off that have nothing to do with it.
 */
int disk_claims_check_boot(
    const struct work_env *env, const char *uuid, const struct vmdef *def, struct error *err);

#endif
