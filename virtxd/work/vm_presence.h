/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a VM exists anywhere that can be seen from here, so that what bears its uuid on the
 * storage is not left behind.
 */
#ifndef WORK_VM_PRESENCE_H
#define WORK_VM_PRESENCE_H

#include <libvirt/libvirt.h>

#include "proto/error.h"
#include "work/requests.h"

/*
 * A VM exists when any host has a journal of it, any host has it in the registry, or this host's
 * libvirt has it. An operation writes its journal before it makes the first lease, and removes it
 * only after the VM is registered or its leases are gone: whoever has read a lease's owner first
 * and then asks here is not deceived by an operation under way. Nor by a migration, which moves the
 * registry file from one host to another meanwhile. Libvirt on another host is not seen.
 */
int vm_presence(
    const struct work_env *env, virConnectPtr conn, const char *uuid, bool *ret, struct error *err);

#endif
