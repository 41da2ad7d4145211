/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/vm_owner.h"

#include "disk/lease.h"
#include "domain/journal.h"
#include "domain/registry.h"
#include "proto/vmdef.h"
#include "work/bare_disks.h"
#include "work/hypervisor.h"
#include "work/vm_leases.h"

/* A host without journals has moved the file of a VM that has come from it in less. */
#define COMING_MS 10000

/* A file that moves between two directories is missed, or seen in both, by one look. */
#define LOOKS 3

static int
look(const struct work_env *env, const char *uuid, bool *here, char other[37], struct error *err)
{
	_free_ char *xml = NULL;

	if (registry_load(env->root, env->host, uuid, &xml, err) < 0 ||
	    registry_find_other(env->root, env->host, uuid, other, err) < 0)
		return -1;
	*here = xml != NULL;
	return 0;
}

/* Whether that host is migrating the VM to this one. */
static int
is_coming(
    const struct work_env *env, const char *from, const char *uuid, bool *ret, struct error *err)
{
	struct journal journal = { 0 };

	if (journal_load(env->root, from, uuid, &journal, err) < 0)
		return -1;
	*ret = str_equal(journal.op, "VmMigrate") && str_equal(journal.target, env->host);
	model_clear(&journal_model, &journal);
	return 0;
}

int
vm_owner_find(const struct work_env *env, const char *uuid, struct vm_owner *ret, struct error *err)
{
	bool here = false, yes;

	*ret = (struct vm_owner){ 0 };
	for (int i = 0; i < LOOKS; i++) {
		if (look(env, uuid, &here, ret->host, err) < 0)
			return -1;
		if (here != (ret->host[0] != '\0'))
			break;
	}
	if (here)
		return 0;
	if (ret->host[0]) {
		if (is_coming(env, ret->host, uuid, &yes, err) < 0)
			return -1;
		ret->place = yes ? VM_PLACE_COMING : VM_PLACE_ELSEWHERE;
		return 0;
	}
	ret->place = VM_PLACE_NOWHERE;
	if (journal_find(env->root, uuid, ret->busy, err) < 0)
		return -1;
	if (str_equal(ret->busy, env->host))
		ret->busy[0] = '\0';
	return 0;
}

int
vm_owner_of_disk(const struct work_env *env, const char *uuid, const struct disk *disk,
    char owner[37], struct error *err)
{
	char name[LEASE_NAME_SIZE];
	bool there;

	owner[0] = '\0';
	if (disk->man != DISK_MAN_MODE_MANAGED)
		return 0;
	if (disk_resource_name(disk, env->root, name, err) < 0)
		return -1;
	if (lease_look_up(env->root, name, &there, owner, err) < 0)
		return error_wrap(err, "%s '%s'", disk_noun(disk), disk->path);
	return str_equal(owner, uuid);
}

/* What it means for what is wanted that the disk's lease names the VM, or else whom. */
static int
judge(const char *uuid, const struct disk *disk, bool own, const char *owner, enum vm_want want,
    struct error *err)
{
	if (want == VM_WANT_DELETE && own)
		return error_set(err, 422,
		    "VM '%s' is registered under no host, and its %s '%s' is its own: register it "
		    "first",
		    uuid, disk_noun(disk), disk->path);
	if (own || want == VM_WANT_DELETE)
		return 0;
	if (owner[0])
		return error_set(err, 409, "%s '%s' of VM '%s' belongs to VM '%s'", disk_noun(disk),
		    disk->path, uuid, owner);
	if (want == VM_WANT_REGISTER)
		return 0;
	if (disk_is_vm_lease(disk))
		return error_set(err, 507,
		    "the lease '%s' of VM '%s' itself is missing, or has no owner: 'virtx repair' "
		    "makes it anew",
		    disk->path, uuid);
	return error_set(err, 507,
	    "disk '%s' of VM '%s' has no lease, or one without an owner: 'virtx repair' makes it "
	    "anew",
	    disk->path, uuid);
}

int
vm_owner_check_leases(const struct work_env *env, const struct domain_info *info, enum vm_want want,
    struct error *err)
{
	const struct disk *disk;
	char owner[37];

	for (size_t i = 0; (disk = domain_info_leased(info, i)); i++) {
		int r = vm_owner_of_disk(env, info->uuid, disk, owner, err);

		if (r < 0 || judge(info->uuid, disk, r == 1, owner, want, err) < 0)
			return -1;
	}
	return 0;
}

static int
check_nowhere(const struct vm_owner *owner, const char *uuid, bool foreign, enum vm_want want,
    struct error *err)
{
	if (owner->busy[0])
		return error_set(err, 409,
		    "VM '%s' has an operation on host '%s' that is not over: its journal is there",
		    uuid, owner->busy);
	/* A domain that VirtX did not make is in no registry. */
	if (foreign || want == VM_WANT_REGISTER || want == VM_WANT_DELETE)
		return 0;
	return error_set(err, 422,
	    "VM '%s' is registered under no host, so that nothing tells whose it is: register it "
	    "first",
	    uuid);
}

int
vm_owner_check_one(
    const struct work_env *env, const struct vm_owner *owner, const char *uuid, struct error *err)
{
	if (owner->place != VM_PLACE_HERE || !owner->host[0])
		return 0;
	return error_set(err, 409,
	    "VM '%s' is registered under two hosts, '%s' and '%s': one of the two files must go",
	    uuid, env->host, owner->host);
}

static int
check_place(const struct work_env *env, const struct vm_owner *owner, const char *uuid,
    bool foreign, enum vm_want want, struct error *err)
{
	switch (owner->place) {
	case VM_PLACE_HERE:
		return vm_owner_check_one(env, owner, uuid, err);
	case VM_PLACE_NOWHERE:
		return check_nowhere(owner, uuid, foreign, want, err);
	case VM_PLACE_COMING:
		return error_set(err, 409,
		    "VM '%s' is on its way from host '%s', under which it is still registered",
		    uuid, owner->host);
	case VM_PLACE_ELSEWHERE:
		break;
	}
	return error_set(err, 422, "VM '%s' is registered under host '%s', not '%s'", uuid,
	    owner->host, env->host);
}

int
vm_owner_check_place(const struct work_env *env, const char *uuid, bool foreign, enum vm_want want,
    struct error *err)
{
	struct vm_owner owner;

	if (vm_owner_find(env, uuid, &owner, err) < 0)
		return -1;
	return check_place(env, &owner, uuid, foreign, want, err);
}

int
vm_owner_take(const struct work_env *env, virDomainPtr domain, const struct domain_info *info,
    struct vm_owner *owner, struct error *err)
{
	bool proved = owner->place == VM_PLACE_COMING;
	enum vmrunstate runstate;

	if ((owner->place != VM_PLACE_COMING && owner->place != VM_PLACE_ELSEWHERE) ||
	    virDomainIsActive(domain) != 1 || virDomainIsPersistent(domain) != 1)
		return 0;
	if (hypervisor_runstate(domain, &runstate, err) < 0)
		return -1;
	if (runstate != VMRUNSTATE_RUNNING && runstate != VMRUNSTATE_PAUSED)
		return 0;
	if (!proved && vm_leases_are_held(env, domain, info, &proved, err) < 0)
		return -1;
	if (!proved)
		return 0;
	if (registry_move(env->root, owner->host, env->host, info->uuid, err) < 0)
		return -1;
	/* Its former host may have been faster. */
	return vm_owner_find(env, info->uuid, owner, err);
}

/* Whether it is moving here, by its own log; hosts that run the Go virtx write no journal. */
static bool
came_just_now(const struct work_env *env, const struct domain_info *info)
{
	for (size_t i = 0; i < info->oplog.n_items; i++) {
		const struct oplog_item *item = &info->oplog.items[i];
		int64_t age = now_ms() - item->ts;

		if (str_equal(item->op, "VmMigrate"))
			return str_equal(item->msg, env->host) && age < COMING_MS &&
			       age > -COMING_MS;
	}
	return false;
}

bool
vm_owner_is_leftover(const struct work_env *env, virDomainPtr domain,
    const struct domain_info *info, const struct vm_owner *owner)
{
	return owner->place == VM_PLACE_ELSEWHERE && virDomainIsActive(domain) == 0 &&
	       virDomainIsPersistent(domain) == 1 && !came_just_now(env, info);
}

int
vm_owner_check(const struct work_env *env, virDomainPtr domain, const char *uuid, enum vm_want want,
    struct error *err)
{
	_domain_info_ struct domain_info info = { 0 };
	struct error bare = { 0 };
	struct vm_owner owner;

	if (hypervisor_info(domain, env->root, &info, err) < 0 ||
	    vm_owner_find(env, uuid, &owner, err) < 0 ||
	    vm_owner_take(env, domain, &info, &owner, err) < 0 ||
	    check_place(env, &owner, uuid, info.foreign, want, err) < 0)
		return -1;
	/* What is registered here is deleted disk by disk, each under its lease. */
	if (want == VM_WANT_DELETE && owner.place == VM_PLACE_HERE)
		return 0;
	if (vm_owner_check_leases(env, &info, want, err) == 0)
		return 0;
	/* What has taken the disk's place says more. */
	if (error_is(err, ERROR_STORAGE) && bare_disks_check(env, domain, uuid, &bare) < 0 &&
	    error_is(&bare, ERROR_STORAGE))
		*err = bare;
	return -1;
}
