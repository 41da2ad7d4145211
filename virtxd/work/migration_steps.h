/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What surrounds a migration: the checks before it, what ends it wherever it was cut off, and the
 * channel that QEMU cannot move. The journal of a migration is written on the source before its
 * first step; the VM is on the target as soon as it runs there.
 */
#ifndef WORK_MIGRATION_STEPS_H
#define WORK_MIGRATION_STEPS_H

#include <libvirt/libvirt.h>

#include "domain/domain_xml.h"
#include "domain/journal.h"
#include "work/requests.h"

/*
 * Whether the target can take the VM: 422 says what it lacks, 503 that its libvirt cannot be
 * reached, 424 what libvirt says. there must be zero, and is what the target's libvirt tells of it.
 */
int migration_check(const struct vm_migrate_request *req, virDomainPtr domain,
    struct domain_caps *there, struct error *err);
/* Whether the VM can be migrated as it is now: live while it is on, cold while it is off. */
int migration_check_state(
    const struct vm_migrate_request *req, virDomainPtr domain, struct error *err);
/* Whether each host finds the same behind every path of the VM: a file below the storage root, a
 * LUN by its WWID, firmware of the installation; and whether nothing of it stays behind: a device
 * of this host, the TPM of a VM that is off, what libvirt knows of snapshots. 422 says what does
 * not go along; no other target is better. renewed: vm_renew has put onto the storage what it can.
 */
int migration_check_files(
    const struct vm_migrate_request *req, virDomainPtr domain, bool renewed, struct error *err);

/*
 * Finds out where the VM of the journal is, ends it on the other host, moves the registry's file
 * there, and removes the journal. *moved says that it is on the target. 409 while libvirt still
 * migrates it, 503 while that cannot be found out. The caller holds the VM's lock.
 */
int migration_recover(const struct work_env *env, virConnectPtr conn, const struct journal *journal,
    bool *moved, struct error *err);
enum migration_end {
	MIGRATION_HERE,
	MIGRATION_GOES_ON,  /* it is for the source to end it */
	MIGRATION_LEFTOVER, /* the VM is registered elsewhere, and this definition is what is left
			     */
};
/* The same from the target's side: a VM that runs here, and is registered under the host that it
 * came from, is registered here. */
int migration_arrive(const struct work_env *env, virDomainPtr domain,
    const struct domain_info *info, enum migration_end *ret, struct error *err);
/* Undefines what is left of a VM that is on another host. */
int migration_undefine(virDomainPtr domain, struct error *err);

/* Takes the channel of the agent out of a VM that is on, or puts it back where its definition has
 * one. QEMU refuses to migrate it. */
int migration_detach_agent(virDomainPtr domain, struct error *err);
int migration_attach_agent(virDomainPtr domain, struct error *err);

#endif
