/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VM whose memory libvirt has saved to a file of this host: it runs on from there at its next
 * start, on the disks that it had. Whatever changes disks or host would give old memory a newer
 * disk.
 */
#ifndef WORK_VM_SAVED_H
#define WORK_VM_SAVED_H

#include <libvirt/libvirt.h>

#include "proto/error.h"
#include "proto/model.h"

bool vm_is_saved(virDomainPtr domain);
/* 422 that says how to go on when the VM was saved; what is "updated", "migrated cold". */
int vm_saved_refuse(virDomainPtr domain, const char *uuid, const char *what, struct error *err);
/* 422 when the VM was saved with other disks than def has. */
int vm_saved_check_boot(virDomainPtr domain, const char *uuid, const char *root,
    const struct vmdef *def, struct error *err);

#endif
