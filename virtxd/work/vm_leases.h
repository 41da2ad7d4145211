/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The leases of a VM that is on. libvirt takes them when its CPUs start and gives them up when they
 * stop, so that any other host could run a paused VM; and it lets one go on whose disk somebody
 * else has used meanwhile. So virtxd holds the leases of a VM that it pauses, in the name of the
 * VM's process (they end with it). And it records, in the live XML, which ends with the VM, at
 * which versions the process held them while the VM ran, or since without a gap: a paused VM is
 * resumed only where nobody has taken one after that.
 */
#ifndef WORK_VM_LEASES_H
#define WORK_VM_LEASES_H

#include <libvirt/libvirt.h>
#include <sys/types.h>

#include "disk/lease.h"
#include "domain/domain_xml.h"
#include "work/requests.h"

/* Whether the VM's process holds its own lease and that of each managed disk; false where it has
 * none. */
int vm_leases_are_held(const struct work_env *env, virDomainPtr domain,
    const struct domain_info *info, bool *ret, struct error *err);

/* Records the versions at which the process of a VM that runs holds its leases, where it holds all
 * of them and that is not recorded yet. A VM that does not run keeps its record. */
int vm_leases_record(virDomainPtr domain, struct error *err);
/* Whether there is something for vm_leases_record to do; false where that cannot be told. */
bool vm_leases_are_unrecorded(virDomainPtr domain);

/* What is to be known before a VM is paused; pid is 0 for one that has no leases. */
struct vm_leases {
	pid_t pid;
	struct lease_set set;
};
/* Records the versions, too. */
int vm_leases_before_pause(virDomainPtr domain, struct vm_leases *ret, struct error *err);
/* After it: holds them. */
int vm_leases_hold(const struct work_env *env, virDomainPtr domain, const struct vm_leases *leases,
    struct error *err);
/*
 * Right before a paused VM is resumed: 409, with the reason, when its process could not hold
 * leases, another has taken one since, or whether that is so is not recorded. Else *ret is what was
 * held for it and is free now.
 */
int vm_leases_let_go(const struct work_env *env, virDomainPtr domain,
    const struct domain_info *info, struct vm_leases *ret, struct error *err);

#endif
