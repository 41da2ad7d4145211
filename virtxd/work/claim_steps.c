/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/claim_steps.h"

#include <stdio.h>

#include "domain/registry.h"
#include "proto/log.h"
#include "proto/vmdef.h"
#include "work/hypervisor.h"
#include "work/migration_steps.h"
#include "work/oplog.h"
#include "work/vm_owner.h"
#include "work/vm_steps.h"

/* A host that dies while it claims leaves a journal that names another host's. */
#define CHAIN_MAX 8

/* How far an operation on the disks has come, by the registry's file. */
enum extent {
	EXTENT_NONE, /* the VM is as before it */
	EXTENT_ALL,
	EXTENT_SOME, /* somebody else has changed the VM since */
};

static bool
has_disk(const struct domain_info *info, const struct disk *disk)
{
	return disk_is_vm_lease(disk) ? info->leased
				      : vmdef_find_disk(&info->def, disk->path) != NULL;
}

/* How many of the managed ones the VM has, and has not. */
static void
count(const struct domain_info *info, const struct disk *disks, size_t n, size_t *there,
    size_t *absent)
{
	for (size_t i = 0; i < n; i++) {
		if (disks[i].man == DISK_MAN_MODE_MANAGED)
			++*(has_disk(info, &disks[i]) ? there : absent);
	}
}

static enum extent
extent_of(const struct journal *journal, const struct domain_info *info)
{
	size_t done = 0, open = 0;

	count(info, journal->made, journal->n_made, &done, &open);
	count(info, journal->dropped, journal->n_dropped, &open, &done);
	if (open == 0)
		return EXTENT_ALL;
	return done == 0 ? EXTENT_NONE : EXTENT_SOME;
}

static int
check(const struct journal *journal, const char *from, const struct domain_info *info,
    struct error *err)
{
	bool create = str_equal(journal->op, "VmCreate");
	enum extent extent;

	if (str_equal(journal->op, "VmDelete"))
		return error_set(err, 409,
		    "host '%s' was deleting VM '%s', and goes on when it is back", from,
		    journal->uuid);
	if (!create && !str_equal(journal->op, "VmUpdate"))
		return 0;
	extent = extent_of(journal, info);
	if (extent == EXTENT_ALL || (extent == EXTENT_NONE && !create))
		return 0;
	return error_set(err, 409,
	    "%s of VM '%s' is not over on host '%s', and the registry does not tell how far it has "
	    "come",
	    journal->op, journal->uuid, from);
}

/* The hosts that have a journal of the VM: from, and those from which it was being claimed. */
struct chain {
	char hosts[CHAIN_MAX][37];
	size_t n;
};

static int
chain_find(const struct work_env *env, const char *from, const char *uuid, struct chain *ret,
    struct error *err)
{
	_free_ char *host = xstrdup(from);

	ret->n = 0;
	while (!str_empty(host)) {
		_journal_ struct journal journal = { 0 };

		if (journal_load(env->root, host, uuid, &journal, err) < 0)
			return -1;
		if (!journal.op)
			return 0;
		if (ret->n == CHAIN_MAX)
			return error_set(err, 409,
			    "%d hosts have journals of VM '%s', each of what another one has begun",
			    CHAIN_MAX, uuid);
		snprintf(ret->hosts[ret->n++], sizeof(ret->hosts[0]), "%s", host);
		str_set(&host, str_equal(journal.op, "VmFailover") ? journal.target : "");
	}
	return 0;
}

int
claim_check_journal(
    const struct work_env *env, const char *from, const struct domain_info *info, struct error *err)
{
	struct chain chain;

	if (chain_find(env, from, info->uuid, &chain, err) < 0)
		return -1;
	for (size_t i = 0; i < chain.n; i++) {
		_journal_ struct journal journal = { 0 };

		if (journal_load(env->root, chain.hosts[i], info->uuid, &journal, err) < 0 ||
		    (journal.op && check(&journal, chain.hosts[i], info, err) < 0))
			return -1;
	}
	return 0;
}

/* One of an earlier stay goes with what was saved of its memory, and under whatever name. */
int
claim_define(const struct work_env *env, virConnectPtr conn, const char *uuid, struct error *err)
{
	_domain_ virDomainPtr before = NULL, domain = NULL;
	_free_ char *xml = NULL;

	if (registry_load(env->root, env->host, uuid, &xml, err) < 0 ||
	    hypervisor_look_up(conn, uuid, &before, err) < 0)
		return -1;
	if (!xml)
		return error_set(err, 409, "VM '%s' is registered under this host no more", uuid);
	if (before && virDomainIsActive(before) != 0)
		return error_set(err, 409, "libvirt of this host has VM '%s' on", uuid);
	if (before && migration_undefine(before, err) < 0)
		return -1;
	domain = virDomainDefineXMLFlags(conn, xml, 0);
	if (!domain)
		return hypervisor_error(err, 424, "libvirt refuses VM '%s'", uuid);
	return 0;
}

/* As that host would, for which the shared storage is the same. */
static int
settle_one(const struct work_env *env, virConnectPtr conn, const char *from,
    const struct domain_info *info, char **warning, struct error *err)
{
	_journal_ struct journal journal = { 0 };
	struct work_env there = *env;

	there.host = (char *)from;
	if (journal_load(env->root, from, info->uuid, &journal, err) < 0)
		return -1;
	/* It may be back, and have ended it itself. */
	if (!journal.op)
		return 0;
	if (check(&journal, from, info, err) < 0)
		return -1;
	if (!str_equal(journal.op, "VmCreate") && !str_equal(journal.op, "VmUpdate"))
		return journal_remove(env->root, from, info->uuid, err);
	if (extent_of(&journal, info) == EXTENT_ALL)
		return vm_roll_forward(&there, conn, &journal, warning, err);
	return vm_roll_back(&there, conn, &journal, err);
}

static int
settle(const struct work_env *env, virConnectPtr conn, const struct journal *journal,
    virDomainPtr domain, char **warning, struct error *err)
{
	_domain_info_ struct domain_info info = { 0 };
	struct chain chain;

	if (hypervisor_info(domain, env->root, &info, err) < 0 ||
	    chain_find(env, journal->target, journal->uuid, &chain, err) < 0)
		return -1;
	for (size_t i = chain.n; i-- > 0;) {
		if (settle_one(env, conn, chain.hosts[i], &info, warning, err) < 0)
			return -1;
	}
	return 0;
}

void
claim_settle(
    const struct work_env *env, virConnectPtr conn, const struct journal *journal, char **warning)
{
	_domain_ virDomainPtr domain = NULL;
	struct error err = { 0 };

	if (hypervisor_find(conn, journal->uuid, &domain, &err) < 0 ||
	    settle(env, conn, journal, domain, warning, &err) < 0)
		vm_add_warning(warning, "what host '%s' had begun to do to VM '%s' is not over: %s",
		    journal->target, journal->uuid, err.detail);
	if (domain && oplog_complete(domain, "VmFailover", journal->ts, journal->target, &err) < 0)
		vm_add_warning(warning, "%s", err.detail);
}

int
claim_undo(const struct work_env *env, const struct journal *journal, struct error *err)
{
	if (registry_move(env->root, env->host, journal->target, journal->uuid, err) < 0)
		return -1;
	return journal_remove(env->root, env->host, journal->uuid, err);
}

/* The file is here: the VM is, too, unless libvirt cannot have it. */
static int
go_on(const struct work_env *env, virConnectPtr conn, const struct journal *journal, char **warning,
    struct error *err)
{
	_domain_ virDomainPtr domain = NULL;

	if (hypervisor_look_up(conn, journal->uuid, &domain, err) < 0)
		return -1;
	/* Whoever has started it since has done so by its definition. */
	if ((!domain || virDomainIsActive(domain) == 0) &&
	    claim_define(env, conn, journal->uuid, err) < 0)
		return -1;
	claim_settle(env, conn, journal, warning);
	return journal_remove(env->root, env->host, journal->uuid, err);
}

int
claim_recover(const struct work_env *env, virConnectPtr conn, const struct journal *journal,
    char **warning, struct error *err)
{
	struct error left = { 0 };
	struct vm_owner owner;

	if (vm_owner_find(env, journal->uuid, &owner, err) < 0 ||
	    vm_owner_check_one(env, &owner, journal->uuid, err) < 0)
		return -1;
	if (owner.place != VM_PLACE_HERE)
		return journal_remove(env->root, env->host, journal->uuid, err);
	if (go_on(env, conn, journal, warning, err) == 0)
		return 1;
	if (!error_is(err, ERROR_FAILED))
		return -1;
	log_warning("job", "VM '%s' goes back to host '%s': %s", journal->uuid, journal->target,
	    err->detail);
	if (claim_undo(env, journal, &left) == 0)
		return 0;
	error_append(err, "%s", left.detail);
	return -1;
}
