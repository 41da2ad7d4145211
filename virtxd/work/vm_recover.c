/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/vm_recover.h"

#include "disk/lease.h"
#include "domain/registry.h"
#include "proto/vmdef.h"
#include "work/claim_steps.h"
#include "work/hypervisor.h"
#include "work/migration_steps.h"
#include "work/orphans.h"
#include "work/storage.h"
#include "work/storage_check.h"
#include "work/vm_owner.h"
#include "work/vm_steps.h"

/* Whether the domain has a disk that an update gave it: under its own name, or under that of a
 * snapshot or of what another program has put in its place, which leave it its lease. What is not
 * managed an update neither makes nor undoes. */
static int
has_made(const struct work_env *env, virDomainPtr domain, const struct vmdef *def,
    const struct disk *disk, bool *ret, struct error *err)
{
	char name[LEASE_NAME_SIZE];

	*ret = disk->man != DISK_MAN_MODE_MANAGED || vmdef_find_disk(def, disk->path);
	if (*ret)
		return 0;
	if (disk_resource_name(disk, env->root, name, err) < 0)
		return -1;
	return orphans_is_named(domain, name, ret, err);
}

/*
 * Whether the change that the journal intends has been committed. A create is when libvirt and the
 * registry have the VM, or somebody has booted it: whatever became of its disks since is somebody's
 * will. An update is when libvirt's definition has what it makes and lacks what it drops; a delete
 * always goes on to its end.
 */
static int
is_committed(const struct work_env *env, virConnectPtr conn, const struct journal *journal,
    bool *ret, struct error *err)
{
	_domain_ virDomainPtr domain = NULL;
	_domain_info_ struct domain_info info = { 0 };
	_free_ char *xml = NULL;
	bool on;

	*ret = str_equal(journal->op, "VmDelete");
	if (*ret)
		return 0;
	if (hypervisor_look_up(conn, journal->uuid, &domain, err) < 0)
		return -1;
	if (!domain)
		return 0;
	if (hypervisor_info(domain, env->root, &info, err) < 0)
		return -1;
	on = virDomainIsActive(domain) == 1;
	if (!on && registry_load(env->root, env->host, journal->uuid, &xml, err) < 0)
		return -1;
	if (!on && !xml)
		return 0;
	*ret = true;
	if (str_equal(journal->op, "VmCreate"))
		return 0;
	for (size_t i = 0; *ret && i < journal->n_made; i++) {
		if (has_made(env, domain, &info.def, &journal->made[i], ret, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < journal->n_dropped; i++)
		*ret = *ret && !vmdef_find_disk(&info.def, journal->dropped[i].path);
	return 0;
}

/* A create or an update may have been cut off between libvirt and the registry. */
static int
register_again(const struct work_env *env, virConnectPtr conn, const char *uuid, struct error *err)
{
	_domain_ virDomainPtr domain = NULL;

	if (hypervisor_find(conn, uuid, &domain, err) < 0)
		return -1;
	return vm_register(env, domain, uuid, err);
}

/* Whether another host has the VM by now: then what this one was about to do to it is over. While
 * two have it nobody knows. */
static int
is_taken(const struct work_env *env, const char *uuid, bool *ret, struct error *err)
{
	struct vm_owner owner;

	if (vm_owner_find(env, uuid, &owner, err) < 0 ||
	    vm_owner_check_one(env, &owner, uuid, err) < 0)
		return -1;
	*ret = owner.place == VM_PLACE_ELSEWHERE || owner.place == VM_PLACE_COMING;
	return 0;
}

/* The disks that were made for it are its own, where it is now. */
static int
let_go(const struct work_env *env, const struct journal *journal, struct error *err)
{
	for (size_t i = 0; i < journal->n_made; i++) {
		if (storage_commit(env, journal->uuid, &journal->made[i], err) < 0)
			return -1;
	}
	return journal_remove(env->root, env->host, journal->uuid, err);
}

int
vm_recover(const struct work_env *env, virConnectPtr conn, const char *uuid, char **warning,
    struct error *err)
{
	_journal_ struct journal journal = { 0 };
	bool committed, moved, taken;

	if (journal_load(env->root, env->host, uuid, &journal, err) < 0)
		return -1;
	if (!journal.op)
		return 0;
	if (str_equal(journal.op, "VmMigrate"))
		return migration_recover(env, conn, &journal, &moved, err);
	if (str_equal(journal.op, "VmFailover"))
		return claim_recover(env, conn, &journal, warning, err);
	/* What is deleted where it is not mounted stays, with nobody to know whose it is. */
	if (storage_look(env, err) < 0 || is_taken(env, uuid, &taken, err) < 0)
		return -1;
	if (taken)
		return let_go(env, &journal, err);
	if (is_committed(env, conn, &journal, &committed, err) < 0)
		return -1;
	if (!committed)
		return vm_roll_back(env, conn, &journal, err);
	if (!str_equal(journal.op, "VmDelete") && register_again(env, conn, uuid, err) < 0)
		return -1;
	return vm_roll_forward(env, conn, &journal, warning, err) < 0 ? -1 : 1;
}
