/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/lost_leases.h"

#include <string.h>

#include "disk/image.h"
#include "disk/lease.h"
#include "domain/journal.h"
#include "proto/vmdef.h"
#include "work/hypervisor.h"
#include "work/seen_leases.h"
#include "work/storage.h"
#include "work/vm_owner.h"
#include "work/vm_session.h"
#include "work/work.h"

#define FOUND_MAX 1000

struct search {
	const struct reconcile_request *req;
	virConnectPtr conn;
	struct reconcile_result *res;
	char (*names)[LEASE_NAME_SIZE]; /* of all resources, sorted */
	size_t n_names;
	size_t n_found;
};

static int
compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* The VM's managed disk with that lease, or the VM as vm_lease_disk(); NULL for none. */
static const struct disk *
find_disk(const struct work_env *env, const struct domain_info *info, const char *lease)
{
	const struct disk *disk;

	for (size_t i = 0; (disk = domain_info_leased(info, i)); i++) {
		struct error ignored = { 0 };
		char name[LEASE_NAME_SIZE];

		if (disk_resource_name(disk, env->root, name, &ignored) == 0 &&
		    strcmp(name, lease) == 0)
			return disk;
	}
	return NULL;
}

/* Whether it was damaged before. */
static bool
is_known(const struct reconcile_request *req, const char *name)
{
	for (size_t i = 0; i < req->n_known; i++) {
		if (str_equal(req->known[i].kind, LOST_DAMAGED) &&
		    strcmp(orphan_lease_name(&req->known[i]), name) == 0)
			return true;
	}
	return false;
}

/* Whether orphans_find has come by that name this time. */
static bool
is_due(const struct search *search, const char *name)
{
	const char *from = str_or_empty(search->req->cursor);
	const char *to = str_or_empty(search->res->cursor);

	if (!*to || is_known(search->req, name))
		return true;
	if (strcmp(from, to) < 0)
		return strcmp(name, from) > 0 && strcmp(name, to) <= 0;
	return strcmp(name, from) > 0 || strcmp(name, to) <= 0;
}

/* Its VM may have given the disk up since the leases were listed: libvirt knows that first. */
static void
tell(struct search *search, const struct orphan_expected *expected, const char *kind,
    const char *why)
{
	const struct work_env *env = &search->req->env;
	_domain_info_ struct domain_info info = { 0 };
	_domain_ virDomainPtr domain = NULL;
	struct error ignored = { 0 };
	struct host_problem *problem;
	const struct disk *disk;

	if (search->n_found == FOUND_MAX ||
	    hypervisor_find(search->conn, expected->vm, &domain, &ignored) < 0 ||
	    hypervisor_info(domain, env->root, &info, &ignored) < 0)
		return;
	disk = find_disk(env, &info, expected->lease);
	if (!disk)
		return;
	search->n_found++;
	problem = model_append(&search->res->problems, &search->res->n_problems);
	problem->kind = xstrdup(kind);
	problem->vm = xstrdup(expected->vm);
	problem->path = lease_path(env->root, expected->lease);
	problem->detail = xasprintf("%s '%s' cannot be used: %s", disk_noun(disk), disk->path, why);
}

static void
look_at(struct search *search, const struct orphan_expected *expected)
{
	const char *root = search->req->env.root;
	bool listed =
	    search->n_names > 0 && bsearch(expected->lease, search->names, search->n_names,
				       sizeof(search->names[0]), compare_names);
	enum lease_health health;
	struct error why = { 0 }, cause = { 0 };
	struct stat file = { 0 };
	char owner[37];

	if ((listed && !is_due(search, expected->lease)) ||
	    (work_is_resident() && seen_leases_recall(root, expected->lease, expected->vm, &file)))
		return;
	/* One that cannot be read now is told when it was before. */
	if (lease_health(root, expected->lease, &health, owner, &why, &cause) < 0) {
		if (is_known(search->req, expected->lease))
			tell(search, expected, LOST_DAMAGED, cause.detail);
		return;
	}
	/* One that names another VM is that VM's matter. */
	if (owner[0] && strcmp(owner, expected->vm) != 0)
		return;
	if (health != LEASE_SOUND)
		tell(search, expected, health == LEASE_MISSING ? LOST_MISSING : LOST_DAMAGED,
		    why.detail);
	else if (work_is_resident())
		seen_leases_keep(root, expected->lease, expected->vm, &file);
}

int
lost_leases_find(const struct reconcile_request *req, virConnectPtr conn,
    const struct orphan_knowledge *knowledge, struct reconcile_result *res, struct error *err)
{
	_free_ char(*names)[LEASE_NAME_SIZE] = NULL;
	struct search search = { .req = req, .conn = conn, .res = res };

	if (lease_list(req->env.root, &names, &search.n_names, err) < 0)
		return -1;
	if (search.n_names > 0)
		qsort(names, search.n_names, sizeof(names[0]), compare_names);
	search.names = names;
	if (req->deep)
		seen_leases_forget();
	for (size_t i = 0; i < knowledge->n_expected; i++) {
		const struct orphan_expected *expected = &knowledge->expected[i];

		if (!expected->comes_and_goes)
			look_at(&search, expected);
	}
	return 0;
}

static int
check_journal(const struct work_env *env, const char *uuid, struct error *err)
{
	char host[37];

	if (journal_find(env->root, uuid, host, err) < 0)
		return -1;
	if (host[0])
		return error_set(err, 409, "VM '%s' has an operation that is not over", uuid);
	return 0;
}

/* Nobody has the lease, so that the VM's own state, the registry and QEMU's lock on the image are
 * all that tells whether its disk is in use. */
static int
check_unused(const struct work_env *env, virDomainPtr domain, const char *uuid,
    const struct disk *disk, struct error *err)
{
	if (virDomainIsActive(domain) != 0)
		return error_set(err, 409, "VM '%s' is on: shut it down, and repair then", uuid);
	if (vm_owner_check_place(env, uuid, false, VM_WANT_CHANGE, err) < 0 ||
	    check_journal(env, uuid, err) < 0)
		return -1;
	return disk->device == DISK_DEVICE_LUN || disk_is_vm_lease(disk)
		   ? 0
		   : image_check_unused(env->root, disk, err);
}

int
lost_lease_make(const struct work_env *env, virConnectPtr conn, const struct host_problem *problem,
    struct error *err)
{
	const char *name = orphan_lease_name(problem), *uuid = problem->vm;
	_domain_info_ struct domain_info info = { 0 };
	_vm_session_ struct vm_session session = VM_SESSION_CLOSED;
	const struct disk *disk;
	bool named;

	if (vm_session_open_on(&session, env, conn, uuid, err) < 0 ||
	    vm_session_find(&session, err) < 0 ||
	    hypervisor_info(session.domain, env->root, &info, err) < 0)
		return -1;
	disk = find_disk(env, &info, name);
	if (!disk)
		return error_set(err, 409, "VM '%s' has no such disk after all", uuid);
	if (orphans_is_named(session.domain, name, &named, err) < 0)
		return -1;
	if (!named)
		return error_set(err, 409,
		    "the domain of VM '%s' has no lease for disk '%s', as after a snapshot: "
		    "nothing would take it",
		    uuid, disk->path);
	if (check_unused(env, session.domain, uuid, disk, err) < 0)
		return error_wrap(err, "%s '%s'", disk_noun(disk), disk->path);
	return storage_mend_lease(env, uuid, disk, err);
}
