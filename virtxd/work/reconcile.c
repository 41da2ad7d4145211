/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/works.h"

#include <sys/stat.h>

#include "domain/journal.h"
#include "domain/registry.h"
#include "proto/log.h"
#include "work/bare_disks.h"
#include "work/damaged_files.h"
#include "work/hypervisor.h"
#include "work/loose_images.h"
#include "work/lost_leases.h"
#include "work/orphans.h"
#include "work/protection.h"
#include "work/vm_leases.h"
#include "work/vm_owner.h"

static void
add_problem(
    struct reconcile_result *res, const char *kind, const char *vm, char *path, const char *detail)
{
	struct host_problem *problem = model_append(&res->problems, &res->n_problems);

	problem->kind = xstrdup(kind);
	problem->vm = xstrdup(vm);
	problem->path = path;
	problem->detail = xstrdup(detail);
}

static bool
is_unfinished(const struct reconcile_result *res, const char *uuid)
{
	for (size_t i = 0; i < res->n_unfinished; i++) {
		if (str_equal(res->unfinished[i].uuid, uuid))
			return true;
	}
	return false;
}

static int
find_unfinished(const struct work_env *env, struct reconcile_result *res, struct error *err)
{
	_free_ char(*uuids)[37] = NULL;
	size_t n = 0;

	if (journal_list(env->root, env->host, &uuids, &n, err) < 0)
		return -1;
	/* Nobody can finish what is not known. */
	for (size_t i = 0; i < n; i++)
		if (!damaged_files_check_journal(env, uuids[i], res))
			model_append(&res->unfinished, &res->n_unfinished)->uuid =
			    xstrdup(uuids[i]);
	return 0;
}

/* Registered here, and not in libvirt. */
static int
compare_registry(const struct work_env *env, virConnectPtr conn,
    const struct registry_entry *entries, size_t n, struct reconcile_result *res, struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		_domain_ virDomainPtr domain = NULL;

		if (!str_equal(entries[i].host, env->host) || is_unfinished(res, entries[i].uuid))
			continue;
		if (hypervisor_look_up(conn, entries[i].uuid, &domain, err) < 0)
			return -1;
		if (domain)
			continue;
		add_problem(res, "not-in-libvirt", entries[i].uuid,
		    xasprintf("%s/xml/%s/%s.xml", env->root, env->host, entries[i].uuid),
		    "the VM is registered under this host, and its libvirt does not know it");
	}
	return 0;
}

/* The VM's entry under this host, or under another one. */
static const struct registry_entry *
find_entry(const struct orphan_knowledge *knowledge, const char *uuid, const char *host, bool own)
{
	for (size_t i = 0; i < knowledge->n_entries; i++) {
		const struct registry_entry *entry = &knowledge->entries[i];

		if (str_equal(entry->uuid, uuid) && str_equal(entry->host, host) == own)
			return entry;
	}
	return NULL;
}

static void
add_uuid(struct work_uuid **list, size_t *n, const char *uuid)
{
	model_append(list, n)->uuid = xstrdup(uuid);
}

static void
add_elsewhere(const struct work_env *env, const char *uuid, const char *host, bool on,
    struct reconcile_result *res)
{
	_free_ char *detail = xasprintf("libvirt %s the VM here%s, and it is registered under host "
					"'%s'",
	    on ? "runs" : "has", on ? " without the leases of its disks" : "", host);

	add_problem(res, "registered-elsewhere", uuid,
	    xasprintf("%s/xml/%s/%s.xml", env->root, host, uuid), detail);
}

/* In libvirt here, and seen in the registry under another host alone: vm-heal registers here what
 * has arrived and runs, and undefines what is left of one that is there. */
static int
compare_elsewhere(const struct work_env *env, virDomainPtr domain, const struct domain_info *info,
    struct reconcile_result *res, struct error *err)
{
	struct vm_owner owner;
	bool held;

	if (vm_owner_find(env, info->uuid, &owner, err) < 0)
		return -1;
	if (owner.place != VM_PLACE_COMING && owner.place != VM_PLACE_ELSEWHERE)
		return 0;
	if (vm_owner_is_leftover(env, domain, info, &owner)) {
		add_uuid(&res->leftovers, &res->n_leftovers, info->uuid);
		return 0;
	}
	if (virDomainIsActive(domain) != 1)
		return 0;
	add_uuid(&res->unfinished, &res->n_unfinished, info->uuid);
	if (owner.place == VM_PLACE_COMING)
		return 0;
	if (vm_leases_are_held(env, domain, info, &held, err) < 0)
		return -1;
	if (!held)
		add_elsewhere(env, info->uuid, owner.host, true, res);
	return 0;
}

static void
compare_here(const struct work_env *env, virDomainPtr domain, const struct registry_entry *entry,
    const struct domain_info *info, struct orphan_knowledge *knowledge,
    struct reconcile_result *res)
{
	const struct registry_entry *other = find_entry(knowledge, info->uuid, env->host, false);
	_free_ char *detail = NULL;
	struct error ignored = { 0 };

	damaged_files_check_registry(env, info->uuid, res);
	/* Of one that cannot be read now nothing is told. */
	if (!info->foreign)
		(void)orphans_expect(
		    knowledge, domain, env->root, entry->uuid, &info->def, &ignored);
	if (!other)
		return;
	detail = xasprintf("the VM is registered under this host and under host '%s'", other->host);
	add_problem(res, "registered-twice", info->uuid,
	    xasprintf("%s/xml/%s/%s.xml", env->root, other->host, info->uuid), detail);
}

/* Runs on without a definition, and is gone when it stops. One that was deleted, and restored from
 * what was saved of it, may have the disk of another VM by now. */
static void
add_transient(const struct work_env *env, const struct domain_info *info,
    const struct registry_entry *entry, struct reconcile_result *res)
{
	_free_ char *detail = xstrdup("the VM runs, and libvirt has no definition of it (it was "
				      "undefined): it is gone when it stops");
	struct error why = { 0 };

	if (!info->foreign &&
	    vm_owner_check_disks(env, info->uuid, &info->def, VM_WANT_RUN, &why) < 0 &&
	    error_is(&why, ERROR_BUSY)) {
		free(detail);
		detail =
		    xasprintf("the VM runs, and libvirt has no definition of it, and %s, which "
			      "it changes: end it with force",
			why.detail);
	}
	add_problem(res, "transient", info->uuid,
	    entry ? xasprintf("%s/xml/%s/%s.xml", env->root, entry->host, info->uuid) : xstrdup(""),
	    detail);
}

/* In libvirt, and not registered, or under another host. Domains that VirtX did not make are
 * nobody's business. */
static int
compare_libvirt(const struct work_env *env, virConnectPtr conn, struct orphan_knowledge *knowledge,
    struct reconcile_result *res, struct error *err)
{
	_free_ virDomainPtr *domains = NULL;
	int r = 0, n_domains = virConnectListAllDomains(conn, &domains, 0);

	if (n_domains < 0)
		return hypervisor_error(err, 424, "cannot list the VMs");
	for (int i = 0; i < n_domains; i++) {
		_domain_ virDomainPtr domain = domains[i];
		_domain_info_ struct domain_info info = { 0 };
		struct error cause = { 0 };
		const struct registry_entry *entry;
		bool transient = virDomainIsPersistent(domain) == 0;

		if (r < 0 || hypervisor_info(domain, env->root, &info, &cause) < 0 ||
		    is_unfinished(res, info.uuid) || !hypervisor_counts(domain, env->root))
			continue;
		entry = find_entry(knowledge, info.uuid, env->host, true);
		/* One that has gone meanwhile has no disks. */
		(void)bare_disks_find(env, domain, res, &cause);
		if (transient)
			add_transient(env, &info, entry, res);
		if (entry)
			compare_here(env, domain, entry, &info, knowledge, res);
		else if (find_entry(knowledge, info.uuid, env->host, false))
			r = compare_elsewhere(env, domain, &info, res, err);
		else if (!info.foreign && !transient)
			add_problem(res, "not-registered", info.uuid, xstrdup(""),
			    "libvirt has the VM, and no host has it in the registry");
	}
	return r;
}

/* Those that run and whose leases are not recorded: that may be all, where virtxd is new. Without
 * sanlock that cannot be told. */
static int
find_unrecorded(const struct reconcile_request *req, virConnectPtr conn,
    struct reconcile_result *res, struct error *err)
{
	_free_ virDomainPtr *domains = NULL;
	int n = 0;

	if (req->sanlock)
		n = virConnectListAllDomains(conn, &domains, VIR_CONNECT_LIST_DOMAINS_RUNNING);
	if (n < 0)
		return hypervisor_error(err, 424, "cannot list the VMs that run");
	for (int i = 0; i < n; i++) {
		_domain_ virDomainPtr domain = domains[i];
		char uuid[VIR_UUID_STRING_BUFLEN];

		if (virDomainGetUUIDString(domain, uuid) == 0 && !is_unfinished(res, uuid) &&
		    vm_leases_are_unrecorded(domain))
			add_uuid(&res->unfinished, &res->n_unfinished, uuid);
	}
	return 0;
}

/* Before the first host has joined there is no lockspace. */
static int
look_at_storage(const struct reconcile_request *req, virConnectPtr conn,
    const struct orphan_knowledge *knowledge, struct reconcile_result *res, struct error *err)
{
	_free_ char *lock = xasprintf("%s/lock", req->env.root);
	struct error cause = { 0 };
	struct stat st;

	if (stat(lock, &st) < 0)
		return 0;
	if (orphans_find(req, conn, knowledge, res, err) < 0 ||
	    lost_leases_find(req, conn, knowledge, res, err) < 0)
		return -1;
	/* Only told: where a VM's definition cannot be read, any image may be its own. */
	if (req->loose &&
	    loose_images_find(&req->env, knowledge->entries, knowledge->n_entries, res, &cause) < 0)
		log_warning("job", "which images are nobody's is not known: %s", cause.detail);
	return 0;
}

int
work_reconcile(const void *request, void *result, struct error *err)
{
	const struct reconcile_request *req = request;
	struct reconcile_result *res = result;
	_connect_ virConnectPtr conn = NULL;
	_free_ struct registry_entry *entries = NULL;
	struct orphan_knowledge knowledge = { 0 };
	size_t n = 0;
	int r;

	if (hypervisor_open(req->env.uri, &conn, err) < 0 ||
	    protection_find(conn, req->sanlock, req->kill, &res->problems, &res->n_problems, err) <
		0 ||
	    registry_sweep(req->env.root, req->env.host, err) < 0 ||
	    find_unfinished(&req->env, res, err) < 0 ||
	    registry_list(req->env.root, NULL, &entries, &n, err) < 0 ||
	    compare_registry(&req->env, conn, entries, n, res, err) < 0)
		return -1;
	damaged_files_check_maintenance(&req->env, res);
	knowledge.entries = entries;
	knowledge.n_entries = n;
	r = compare_libvirt(&req->env, conn, &knowledge, res, err);
	if (r == 0)
		r = look_at_storage(req, conn, &knowledge, res, err);
	if (r == 0)
		r = find_unrecorded(req, conn, res, err);
	free(knowledge.expected);
	return r;
}
