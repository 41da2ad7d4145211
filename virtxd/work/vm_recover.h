/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What comes before each operation on a VM: the end of the one before it, where that was cut off.
 */
#ifndef WORK_VM_RECOVER_H
#define WORK_VM_RECOVER_H

#include <libvirt/libvirt.h>

#include "proto/error.h"
#include "work/requests.h"

/*
 * Finishes or undoes what an earlier operation has left half done: the VM's journal, if there is
 * one. Fails when that cannot be done now. A VM that was migrating may be gone after it; of one
 * that another host has in its registry by then nothing is undone or finished here. 1 where a
 * change was carried to its end, else 0.
 */
int vm_recover(const struct work_env *env, virConnectPtr conn, const char *uuid, char **warning,
    struct error *err);

#endif
