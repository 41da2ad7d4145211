/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whose a VM is: this host's when libvirt here defines it, its file in the registry lies under this
 * host, and its own lease and that of each managed disk name it as the owner. The registry decides
 * between hosts, the leases between VMs; a definition in libvirt alone decides nothing. Every job
 * that touches a VM asks here first. A registry that cannot be read is a failure, never a "no".
 */
#ifndef WORK_VM_OWNER_H
#define WORK_VM_OWNER_H

#include <libvirt/libvirt.h>

#include "domain/domain_xml.h"
#include "proto/error.h"
#include "proto/model.h"
#include "work/requests.h"

/* Where the registry has a VM. */
enum vm_place {
	VM_PLACE_HERE,
	VM_PLACE_NOWHERE,
	VM_PLACE_COMING, /* under another host, which is migrating it to this one */
	VM_PLACE_ELSEWHERE,
};
struct vm_owner {
	enum vm_place place;
	/* The other host that has its file, "" for none. With VM_PLACE_HERE, two have one. */
	char host[37];
	/* The other host on which an operation on it is not over; told with VM_PLACE_NOWHERE. */
	char busy[37];
};

/* Looks through registry and journals; holds nothing, so that a VM that moves may have moved on. */
int vm_owner_find(
    const struct work_env *env, const char *uuid, struct vm_owner *ret, struct error *err);
/* 409 where two hosts have its file: one of them must go before anything is done to the VM. */
int vm_owner_check_one(
    const struct work_env *env, const struct vm_owner *owner, const char *uuid, struct error *err);

/* What a job is about to do. */
enum vm_want {
	/* Let its CPUs run: each managed disk must be its own, as its lease where it has one, and
	 * one that VirtX made must be registered. */
	VM_WANT_RUN,
	/* Change, move or measure it: the same. */
	VM_WANT_CHANGE,
	/* Delete it: only what is its own goes with it. One that is registered nowhere may go when
	 * no lease is its own. */
	VM_WANT_DELETE,
	/* Put it into the registry: no other host may have it there, and no disk may be another
	 * VM's. */
	VM_WANT_REGISTER,
};

/*
 * Refuses (409, 422, or 507 for a lease that is gone or damaged), with the reason, what may not be
 * done to this VM on this host. The caller holds the VM's lock and has carried its journal out.
 * Stopping or ending a VM's process is nobody's but libvirt's business: that needs no storage, and
 * is what ends a process that should not be.
 */
int vm_owner_check(const struct work_env *env, virDomainPtr domain, const char *uuid,
    enum vm_want want, struct error *err);

/*
 * Registers here a VM that this host's libvirt runs, or has paused, and another host has in the
 * registry (owner is what vm_owner_find told), where that is proved: its process holds the leases
 * of its disks, or that host is migrating it here. Then *owner tells that it is here.
 */
int vm_owner_take(const struct work_env *env, virDomainPtr domain, const struct domain_info *info,
    struct vm_owner *owner, struct error *err);

/*
 * Whether this host's definition of a VM that owner tells is registered elsewhere is what is left
 * of it here: it is off, and no migration brings it, as far as journals and its own log tell.
 */
bool vm_owner_is_leftover(const struct work_env *env, virDomainPtr domain,
    const struct domain_info *info, const struct vm_owner *owner);

/* The half of it that the registry tells; foreign is a domain that VirtX did not make, which is in
 * no registry. */
int vm_owner_check_place(const struct work_env *env, const char *uuid, bool foreign,
    enum vm_want want, struct error *err);
/* The other half: the leases of a definition's managed disks, and the VM's own. */
int vm_owner_check_leases(const struct work_env *env, const struct domain_info *info,
    enum vm_want want, struct error *err);
/* 1: the disk's lease names the VM, 0: it does not, or there is none (as with a disk that is not
 * managed), -1: it cannot be read. *owner is who it names, "" for nobody. */
int vm_owner_of_disk(const struct work_env *env, const char *uuid, const struct disk *disk,
    char owner[37], struct error *err);

#endif
