/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The own lease of a VM that was made before VMs had one. */
#ifndef WORK_VM_OWN_LEASE_H
#define WORK_VM_OWN_LEASE_H

#include <libvirt/libvirt.h>

#include "domain/domain_xml.h"
#include "proto/error.h"
#include "work/requests.h"

#define OWN_LEASE_PROBLEM "vm-without-lease" /* path is of the resource */

/* Why there is no room for it, the caller's; NULL where it has one, or may get it. */
char *vm_own_lease_lack(const struct domain_info *info);
/*
 * Makes it for a VM that is off, and true then: its definition is to name it next. One that was
 * made by somebody who was cut off is taken. What hinders it is added to *warning, NULL or the
 * caller's. The caller holds the VM's lock.
 */
bool vm_own_lease_make(const struct work_env *env, const struct domain_info *info, char **warning);
/* Adds to res what a person should know of a VM of this host that has none. */
void vm_own_lease_find(const struct work_env *env, virDomainPtr domain,
    const struct domain_info *info, struct reconcile_result *res);

#endif
