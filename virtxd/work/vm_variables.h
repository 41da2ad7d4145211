/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The UEFI variables of a VM: on the shared storage, or in a file of the host that it was made on.
 */
#ifndef WORK_VM_VARIABLES_H
#define WORK_VM_VARIABLES_H

#include "domain/domain_xml.h"
#include "proto/error.h"
#include "work/requests.h"

/* Whether the VM has UEFI variables, in a file of this host. */
bool vm_variables_are_local(const struct work_env *env, const struct domain_info *info);
/* Whether it has run with UEFI variables, and the file of them is not where it was, nor on the
 * storage. */
bool vm_variables_are_lost(const struct work_env *env, const struct domain_info *info);
/* 422, with what to do, for a file of the shared storage that is another VM's, and for one that is
 * too short to be the VM's variables. */
int vm_variables_check(
    const struct work_env *env, const struct domain_info *info, struct error *err);
/* The VM is deleted: its variables go with it, wherever they are. */
int vm_forget_variables(const struct work_env *env, const char *uuid, struct error *err);
/* The VM is on another host, with its variables: those that libvirt kept here go. */
void vm_forget_local_variables(const char *uuid);
/* The same where the shared storage has them. */
void vm_forget_moved_variables(const struct work_env *env, const char *uuid);

#endif
