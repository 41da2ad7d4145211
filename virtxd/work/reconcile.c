/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/works.h"

#include <stdlib.h>
#include <string.h>
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
#include "work/seen_domains.h"
#include "work/vm_leases.h"
#include "work/vm_own_lease.h"
#include "work/vm_owner.h"
#include "work/work.h"

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

/* The domains that libvirt has. */
struct domains {
	virDomainPtr *items;
	char (*uuids)[37]; /* sorted */
	size_t n;
	char (*transient)[37]; /* those without a definition, sorted */
	size_t n_transient;
};

static int
compare_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int
compare_entries(const void *a, const void *b)
{
	const struct registry_entry *one = a, *other = b;
	int order = strcmp(one->uuid, other->uuid);

	return order ? order : strcmp(one->host, other->host);
}

static bool
has_uuid(char (*uuids)[37], size_t n, const char *uuid)
{
	return n > 0 && bsearch(uuid, uuids, n, sizeof(*uuids), compare_text);
}

static char (*sorted_uuids(virDomainPtr *items, size_t n))[37]
{
	char(*uuids)[37] = xcalloc(n + 1, sizeof(*uuids));

	for (size_t i = 0; i < n; i++)
		virDomainGetUUIDString(items[i], uuids[i]);
	qsort(uuids, n, sizeof(*uuids), compare_text);
	return uuids;
}

static void
domains_free(virDomainPtr *items, size_t n)
{
	for (size_t i = 0; i < n; i++)
		virDomainFree(items[i]);
	free(items);
}

static void
domains_clear(struct domains *domains)
{
	domains_free(domains->items, domains->n);
	free(domains->uuids);
	free(domains->transient);
}

static int
domains_list(virConnectPtr conn, struct domains *ret, struct error *err)
{
	virDomainPtr *transient = NULL;
	int n = virConnectListAllDomains(conn, &ret->items, 0);
	int n_transient =
	    virConnectListAllDomains(conn, &transient, VIR_CONNECT_LIST_DOMAINS_TRANSIENT);

	ret->n = n < 0 ? 0 : (size_t)n;
	ret->n_transient = n_transient < 0 ? 0 : (size_t)n_transient;
	ret->uuids = sorted_uuids(ret->items, ret->n);
	ret->transient = sorted_uuids(transient, ret->n_transient);
	domains_free(transient, ret->n_transient);
	return n < 0 || n_transient < 0 ? hypervisor_error(err, 424, "cannot list the VMs") : 0;
}

/* Registered here, and not in libvirt. */
static int
compare_registry(const struct work_env *env, virConnectPtr conn, const struct domains *domains,
    const struct registry_entry *entries, size_t n, struct reconcile_result *res, struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		_domain_ virDomainPtr domain = NULL;

		if (!str_equal(entries[i].host, env->host) ||
		    has_uuid(domains->uuids, domains->n, entries[i].uuid) ||
		    is_unfinished(res, entries[i].uuid))
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
	const struct registry_entry *entries = knowledge->entries;
	size_t low = 0, high = knowledge->n_entries;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(entries[middle].uuid, uuid) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < knowledge->n_entries && str_equal(entries[low].uuid, uuid); low++) {
		if (str_equal(entries[low].host, host) == own)
			return &entries[low];
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
	    on ? "runs" : "has", on ? " without its leases" : "", host);

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

/* False where not all could be read. */
static bool
compare_here(const struct work_env *env, virDomainPtr domain, const struct registry_entry *entry,
    const struct domain_info *info, struct orphan_knowledge *knowledge,
    struct reconcile_result *res)
{
	const struct registry_entry *other = find_entry(knowledge, info->uuid, env->host, false);
	_free_ char *detail = NULL;
	struct error ignored = { 0 };
	enum want want = info->want;
	bool read = damaged_files_check_registry(env, info->uuid, &want, res);

	/* Of one that cannot be read now nothing is told. */
	if (!info->foreign &&
	    orphans_expect(knowledge, domain, env->root, entry->uuid, &info->def, &ignored) < 0)
		read = false;
	/* Whoever has written it down could not tell the registry. */
	if (want != info->want && info->recorded) {
		add_uuid(&res->unfinished, &res->n_unfinished, info->uuid);
		read = false;
	}
	if (!info->foreign)
		vm_own_lease_find(env, domain, info, res);
	if (!other)
		return read;
	detail = xasprintf("the VM is registered under this host and under host '%s'", other->host);
	add_problem(res, "registered-twice", info->uuid,
	    xasprintf("%s/xml/%s/%s.xml", env->root, other->host, info->uuid), detail);
	return read;
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

	if (!info->foreign && vm_owner_check_leases(env, info, VM_WANT_RUN, &why) < 0 &&
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

/* What one domain and the registry tell of each other. Domains that VirtX did not make are nobody's
 * business. *plain: all of it was read, and follows from the domain and its own file. */
static int
compare_domain(const struct work_env *env, virDomainPtr domain, struct orphan_knowledge *knowledge,
    struct reconcile_result *res, bool *plain, struct error *err)
{
	_domain_info_ struct domain_info info = { 0 };
	bool transient = virDomainIsPersistent(domain) == 0;
	const struct registry_entry *entry;
	struct error cause = { 0 };
	bool read;

	*plain = false;
	if (hypervisor_info(domain, env->root, &info, &cause) < 0 ||
	    is_unfinished(res, info.uuid) || !hypervisor_counts(domain, env->root))
		return 0;
	entry = find_entry(knowledge, info.uuid, env->host, true);
	/* One that has gone meanwhile has no disks. */
	read = bare_disks_find(env, domain, res, &cause) == 0;
	if (transient)
		add_transient(env, &info, entry, res);
	if (entry)
		read &= compare_here(env, domain, entry, &info, knowledge, res);
	else if (find_entry(knowledge, info.uuid, env->host, false))
		return compare_elsewhere(env, domain, &info, res, err);
	else if (!info.foreign && !transient)
		add_problem(res, "not-registered", info.uuid, xstrdup(""),
		    "libvirt has the VM, and no host has it in the registry");
	*plain = read && !transient;
	return 0;
}

/* The same of one that may be as it was when nothing was to be told of it. */
static int
compare_again(const struct work_env *env, virDomainPtr domain, const char *uuid,
    struct orphan_knowledge *knowledge, struct reconcile_result *res, struct error *err)
{
	_domain_text_ struct domain_text text = { 0 };
	bool registered = find_entry(knowledge, uuid, env->host, true);
	size_t n_problems = res->n_problems, first = knowledge->n_expected;
	bool read, plain;
	int r;

	if (seen_domains_recall(env, uuid, registered, domain, &text, knowledge))
		return 0;
	read = text.definition || domain_text_read(env, domain, &text) == 0;
	r = compare_domain(env, domain, knowledge, res, &plain, err);
	if (r == 0 && read && plain && res->n_problems == n_problems)
		seen_domains_keep(env, uuid, registered, domain, &text, knowledge, first);
	return r;
}

static int
compare_libvirt(const struct reconcile_request *req, const struct domains *domains,
    struct orphan_knowledge *knowledge, struct reconcile_result *res, struct error *err)
{
	const struct work_env *env = &req->env;
	int r = 0;

	/* Once in a while what its files tell is not relied on. */
	seen_domains_begin(env, req->deep ? NULL : &libvirt_system);
	for (size_t i = 0; r == 0 && i < domains->n; i++) {
		char uuid[VIR_UUID_STRING_BUFLEN] = "";
		bool plain;

		virDomainGetUUIDString(domains->items[i], uuid);
		if (work_is_resident() && !is_unfinished(res, uuid) &&
		    !has_uuid(domains->transient, domains->n_transient, uuid) &&
		    !find_entry(knowledge, uuid, env->host, false))
			r = compare_again(env, domains->items[i], uuid, knowledge, res, err);
		else
			r = compare_domain(env, domains->items[i], knowledge, res, &plain, err);
	}
	seen_domains_end();
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

static int
compare(const struct reconcile_request *req, virConnectPtr conn, const struct domains *domains,
    struct orphan_knowledge *knowledge, struct reconcile_result *res, struct error *err)
{
	const struct work_env *env = &req->env;

	if (compare_registry(
		env, conn, domains, knowledge->entries, knowledge->n_entries, res, err) < 0)
		return -1;
	damaged_files_check_maintenance(env, res);
	if (compare_libvirt(req, domains, knowledge, res, err) < 0 ||
	    look_at_storage(req, conn, knowledge, res, err) < 0)
		return -1;
	return find_unrecorded(req, conn, res, err);
}

int
work_reconcile(const void *request, void *result, struct error *err)
{
	const struct reconcile_request *req = request;
	struct reconcile_result *res = result;
	_connect_ virConnectPtr conn = NULL;
	_free_ struct registry_entry *entries = NULL;
	struct orphan_knowledge knowledge = { 0 };
	struct domains domains = { 0 };
	size_t n = 0;
	int r;

	if (hypervisor_open(req->env.uri, &conn, err) < 0 ||
	    protection_find(conn, req->sanlock, req->kill, &res->problems, &res->n_problems, err) <
		0 ||
	    registry_sweep(req->env.root, req->env.host, err) < 0 ||
	    find_unfinished(&req->env, res, err) < 0 ||
	    registry_list(req->env.root, NULL, &entries, &n, err) < 0)
		return -1;
	if (n > 0)
		qsort(entries, n, sizeof(*entries), compare_entries);
	knowledge.entries = entries;
	knowledge.n_entries = n;
	r = domains_list(conn, &domains, err);
	if (r == 0)
		r = compare(req, conn, &domains, &knowledge, res, err);
	domains_clear(&domains);
	free(knowledge.expected);
	return r;
}
