/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The leases of a VM that is on. libvirt takes them when its CPUs start and gives them up when they
 * stop, so that any other host could run a paused VM; and it lets one go on whose disk somebody
 * else has used meanwhile. So virtxd holds the leases of a VM that it pauses, in the name of the
 * VM's process (they end with it), and looks at their versions before it resumes one.
 */
#ifndef WORK_VM_LEASES_H
#define WORK_VM_LEASES_H

#include <libvirt/libvirt.h>
#include <sys/types.h>

#include "disk/lease.h"
#include "domain/domain_xml.h"
#include "work/requests.h"

/* The process id of the VM's QEMU on this host; 404 when that is not known. */
int vm_leases_process(virDomainPtr domain, pid_t *ret, struct error *err);
/* Whether the VM's process holds the lease of each managed disk; false where it has none. */
int vm_leases_are_held(const struct work_env *env, virDomainPtr domain,
    const struct domain_info *info, bool *ret, struct error *err);

/* What is to be known before a VM is paused; pid is 0 for one that has no leases. */
struct vm_leases {
	pid_t pid;
	struct lease_set set;
};
int vm_leases_before_pause(const struct work_env *env, virDomainPtr domain,
    const struct domain_info *info, struct vm_leases *ret, struct error *err);
/* After it: holds them, and records their versions. */
int vm_leases_hold(const struct work_env *env, virDomainPtr domain, const struct vm_leases *leases,
    struct error *err);
/* Records the versions of a paused VM's leases, unless that was done. */
int vm_leases_note(const struct work_env *env, virDomainPtr domain, const struct domain_info *info,
    struct error *err);
/* One that runs: what was recorded of a pause is over. */
void vm_leases_forget(virDomainPtr domain);
/*
 * Right before a paused VM is resumed: 409, with the reason, when its process could not hold
 * leases, or another has taken one since it was paused. Else *ret is what was held for it and is
 * free now.
 */
int vm_leases_let_go(const struct work_env *env, virDomainPtr domain,
    const struct domain_info *info, struct vm_leases *ret, struct error *err);

#endif
