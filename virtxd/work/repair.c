/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Puts in order what a reconciliation finds, or tells what it would do. Whatever is deleted is
 * deleted under its lease, after it was looked at again, and an image only when that was asked for.
 */
#include <string.h>

#include "disk/image.h"
#include "disk/lease.h"
#include "disk/nvram.h"
#include "domain/journal.h"
#include "work/damaged_files.h"
#include "work/hypervisor.h"
#include "work/lost_leases.h"
#include "work/orphans.h"
#include "work/storage_check.h"
#include "work/vm_owner.h"
#include "work/vm_presence.h"
#include "work/vm_session.h"
#include "work/vm_steps.h"
#include "work/work.h"
#include "work/works.h"

#define _lease_ __attribute__((cleanup(lease_release)))

struct repair {
	const struct repair_request *req;
	virConnectPtr conn;
	const struct reconcile_result *found;
	struct repair_list *list; /* an item for each problem found, in the same order */
};

/* What can be done about a kind of problem. */
struct remedy {
	const char *kind;
	const char *action;
	/* Why it is not done, or NULL. */
	const char *(*refuses)(const struct repair *repair, const struct host_problem *problem);
	int (*act)(
	    const struct repair *repair, const struct host_problem *problem, struct error *err);
};

static const struct repair_vm *
find_elsewhere(const struct repair *repair, const char *uuid)
{
	for (size_t i = 0; i < repair->req->n_elsewhere; i++) {
		if (str_equal(repair->req->elsewhere[i].uuid, uuid))
			return &repair->req->elsewhere[i];
	}
	return NULL;
}

/* It was found without holding anything: is it still so? */
static int
check_gone(const struct repair *repair, const char *uuid, struct error *err)
{
	bool found;

	if (vm_presence(&repair->req->env, repair->conn, uuid, &found, err) < 0)
		return -1;
	return found ? error_set(err, 409, "VM '%s' is there after all", uuid) : 0;
}

static const char *
refuse_unowned(const struct repair *repair, const struct host_problem *problem)
{
	return str_empty(problem->vm)
		   ? "nobody can take a lease without an owner: the host of the VM that has its "
		     "disk makes it anew; where none has, delete its directory by hand"
		   : NULL;
}

static const char *
refuse_image(const struct repair *repair, const struct host_problem *problem)
{
	return repair->req->options.deletestorage
		   ? NULL
		   : "it is deleted with the option deletestorage only";
}

static int
delete_image(const struct repair *repair, const struct host_problem *problem, struct error *err)
{
	const struct work_env *env = &repair->req->env;
	_lease_ struct lease lease = LEASE_INIT;
	struct disk disk = { .path = problem->path };
	char name[LEASE_NAME_SIZE];

	if (orphan_image_lease(env->root, problem->path, name, err) < 0 ||
	    lease_acquire(env->root, name, problem->vm, &lease, err) < 0 ||
	    check_gone(repair, problem->vm, err) < 0 ||
	    image_check_unused(env->root, &disk, err) < 0)
		return -1;
	return image_delete(env->root, &disk, err);
}

/* A lease goes after its image: without it nobody would know whose image that is. */
static int
check_image_gone(const struct repair *repair, const struct host_problem *lease, struct error *err)
{
	const char *root = repair->req->env.root;

	for (size_t i = 0; i < repair->found->n_problems; i++) {
		const struct host_problem *problem = &repair->found->problems[i];
		char name[LEASE_NAME_SIZE];

		if (str_equal(problem->kind, ORPHAN_IMAGE) &&
		    orphan_image_lease(root, problem->path, name, err) == 0 &&
		    strcmp(name, orphan_lease_name(lease)) == 0 && !repair->list->items[i].done)
			return error_set(
			    err, 409, "its image '%s' could not be deleted", problem->path);
	}
	return 0;
}

static int
delete_lease(const struct repair *repair, const struct host_problem *problem, struct error *err)
{
	const struct work_env *env = &repair->req->env;
	const char *name = orphan_lease_name(problem);
	_lease_ struct lease lease = LEASE_INIT;

	if (repair->req->options.deletestorage && check_image_gone(repair, problem, err) < 0)
		return -1;
	if (lease_acquire(env->root, name, problem->vm, &lease, err) < 0 ||
	    check_gone(repair, problem->vm, err) < 0)
		return -1;
	return lease_delete(env->root, &lease, err);
}

/* Under the VM's lock no operation of this host gives it the disk meanwhile, and no other host has
 * the VM. */
static int
delete_stale_lease(
    const struct repair *repair, const struct host_problem *problem, struct error *err)
{
	const struct work_env *env = &repair->req->env;
	const char *name = orphan_lease_name(problem);
	struct orphan_knowledge knowledge = { 0 };
	_lease_ struct lease lease = LEASE_INIT;
	_domain_info_ struct domain_info info = { 0 };
	_vm_session_ struct vm_session session = VM_SESSION_CLOSED;
	char host[37];
	bool told, expected;

	if (vm_session_open_on(&session, env, repair->conn, problem->vm, err) < 0 ||
	    vm_session_find(&session, err) < 0 ||
	    hypervisor_info(session.domain, env->root, &info, err) < 0 ||
	    vm_owner_check_place(env, problem->vm, info.foreign, VM_WANT_CHANGE, err) < 0 ||
	    orphans_expect(&knowledge, session.domain, env->root, problem->vm, &info.def, err) < 0)
		return -1;
	expected = orphans_is_expected(&knowledge, problem->vm, name, &told);
	free(knowledge.expected);
	if (expected || info.foreign)
		return error_set(err, 409, "VM '%s' has the disk after all", problem->vm);
	if (journal_find(env->root, problem->vm, host, err) < 0)
		return -1;
	if (host[0])
		return error_set(
		    err, 409, "VM '%s' has an operation that is not over", problem->vm);
	if (lease_acquire(env->root, name, problem->vm, &lease, err) < 0)
		return -1;
	return lease_delete(env->root, &lease, err);
}

static int
delete_leftover(const struct repair *repair, const struct host_problem *problem, struct error *err)
{
	const struct work_env *env = &repair->req->env;
	_free_ struct lease_leftover *leftovers = NULL;
	_vm_session_ struct vm_session session = VM_SESSION_CLOSED;
	char uuid[37];
	size_t n = 0;

	if (vm_session_open_on(&session, env, repair->conn, problem->vm, err) < 0 ||
	    check_gone(repair, problem->vm, err) < 0)
		return -1;
	if (image_staged(problem->path, uuid))
		return image_drop_staged(env->root, problem->path, err);
	if (lease_list_leftovers(env->root, &leftovers, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		_free_ char *path = lease_leftover_path(env->root, &leftovers[i]);

		if (str_equal(path, problem->path))
			return lease_undo(env->root, leftovers[i].name, leftovers[i].uuid, err);
	}
	return 0;
}

static int
delete_nvram(const struct repair *repair, const struct host_problem *problem, struct error *err)
{
	const struct work_env *env = &repair->req->env;
	_vm_session_ struct vm_session session = VM_SESSION_CLOSED;

	if (vm_session_open_on(&session, env, repair->conn, problem->vm, err) < 0 ||
	    check_gone(repair, problem->vm, err) < 0)
		return -1;
	return nvram_delete(env->root, problem->vm, err);
}

static const char *
refuse_elsewhere(const struct repair *repair, const struct host_problem *problem)
{
	return find_elsewhere(repair, problem->vm) ? "another host has the VM" : NULL;
}

/* Where nothing but the others' silence says that the VM is none of theirs: a host that was not
 * heard of since the start may have it. */
static const char *
refuse_unheard(const struct repair *repair, const struct host_problem *problem)
{
	const char *why = refuse_elsewhere(repair, problem);

	return why || str_empty(repair->req->missing) ? why : repair->req->missing;
}

/* A lease that is nobody's is no other host's VM either. */
static const char *
refuse(const struct repair *repair, const struct remedy *remedy, const struct host_problem *problem)
{
	const char *why = NULL;

	if (problem_is_orphan(problem) && !str_empty(problem->vm))
		why = refuse_unheard(repair, problem);
	return why || !remedy->refuses ? why : remedy->refuses(repair, problem);
}

static const char *
refuse_define(const struct repair *repair, const struct host_problem *problem)
{
	if (find_elsewhere(repair, problem->vm))
		return "another host has the VM";
	return repair->req->options.define
		   ? NULL
		   : "it is defined from the registry with the option define only";
}

static int
make_lease(const struct repair *repair, const struct host_problem *problem, struct error *err)
{
	return lost_lease_make(&repair->req->env, repair->conn, problem, err);
}

/* Both ways. */
static int
register_vm(const struct repair *repair, const struct host_problem *problem, struct error *err)
{
	struct vm_request request = { .env = repair->req->env, .uuid = problem->vm };
	struct vm_result result = { 0 };
	int r = work_vm_register(&request, &result, err);

	model_clear(&vm_result_model, &result);
	return r;
}

/* One that is left over, a VM that was deleted elsewhere, has no disk of its own any more. */
static int
register_again(const struct repair *repair, const struct host_problem *problem, struct error *err)
{
	const struct work_env *env = &repair->req->env;
	_domain_info_ struct domain_info info = { 0 };
	_domain_ virDomainPtr domain = NULL;

	if (hypervisor_find(repair->conn, problem->vm, &domain, err) < 0 ||
	    hypervisor_info(domain, env->root, &info, err) < 0 ||
	    vm_owner_check_leases(env, &info, VM_WANT_RUN, err) < 0)
		return -1;
	return register_vm(repair, problem, err);
}

static const char *
refuse_running(const struct repair *repair, const struct host_problem *problem)
{
	return "end it here; then its definition goes by itself";
}

static const char *
refuse_twice(const struct repair *repair, const struct host_problem *problem)
{
	return "remove the file of the host that does not have it";
}

static const char *
refuse_journal(const struct repair *repair, const struct host_problem *problem)
{
	return "nothing is done by itself";
}

/* In the order in which they are done. */
static const struct remedy remedies[] = {
	{ ORPHAN_IMAGE, "delete-image", refuse_image, delete_image },
	{ ORPHAN_LEASE, "delete-lease", refuse_unowned, delete_lease },
	{ ORPHAN_STALE, "delete-lease", NULL, delete_stale_lease },
	{ ORPHAN_LEFTOVER, "delete-leftover", NULL, delete_leftover },
	{ ORPHAN_NVRAM, "delete-nvram", NULL, delete_nvram },
	{ LOST_MISSING, "make-lease", refuse_elsewhere, make_lease },
	{ LOST_DAMAGED, "make-lease", refuse_elsewhere, make_lease },
	{ "not-registered", "register", refuse_unheard, register_again },
	{ DAMAGED_REGISTRY, "register", refuse_elsewhere, register_again },
	{ DAMAGED_JOURNAL, "none", refuse_journal, NULL },
	{ "not-in-libvirt", "define", refuse_define, register_vm },
	{ "transient", "define", refuse_elsewhere, register_vm },
	{ "registered-elsewhere", "none", refuse_running, NULL },
	{ "registered-twice", "none", refuse_twice, NULL },
};

static void
apply(const struct repair *repair, const struct remedy *remedy, size_t index)
{
	const struct host_problem *problem = &repair->found->problems[index];
	struct repair_item *item = &repair->list->items[index];
	const char *why = refuse(repair, remedy, problem);
	struct error err = { 0 };

	if (why) {
		_free_ char *detail = xasprintf("%s; %s", problem->detail, why);

		str_set(&item->detail, detail);
		return;
	}
	str_set(&item->action, remedy->action);
	if (!repair->req->options.apply)
		return;
	item->done = remedy->act(repair, problem, &err) == 0;
	if (!item->done) {
		_free_ char *detail = xasprintf("%s; not done: %s", problem->detail, err.detail);

		str_set(&item->detail, detail);
	}
}

static void
repair_all(const struct repair_request *req, virConnectPtr conn, struct reconcile_result *found,
    struct repair_list *list)
{
	struct repair repair = { .req = req, .conn = conn, .found = found, .list = list };
	size_t done = 0;

	for (size_t i = 0; i < found->n_problems; i++) {
		struct repair_item *item = model_append(&list->items, &list->n_items);

		item->kind = xstrdup(found->problems[i].kind);
		item->vm = xstrdup(found->problems[i].vm);
		item->path = xstrdup(found->problems[i].path);
		item->action = xstrdup("none");
		item->detail = xstrdup(found->problems[i].detail);
	}
	for (size_t r = 0; r < ARRAY_SIZE(remedies); r++) {
		for (size_t i = 0; i < found->n_problems; i++) {
			if (!str_equal(found->problems[i].kind, remedies[r].kind))
				continue;
			apply(&repair, &remedies[r], i);
			work_progress((int)(++done * 100 / found->n_problems));
		}
	}
}

int
work_repair(const void *request, void *result, struct error *err)
{
	const struct repair_request *req = request;
	struct reconcile_request look = {
		.env = req->env, .deep = true, .loose = true, .sanlock = req->sanlock
	};
	struct reconcile_result found = { 0 };
	_connect_ virConnectPtr conn = NULL;
	int r;

	if (hypervisor_open(req->env.uri, &conn, err) < 0 || storage_look(&req->env, err) < 0)
		return -1;
	r = work_reconcile(&look, &found, err);
	if (r == 0)
		repair_all(req, conn, &found, result);
	model_clear(&reconcile_result_model, &found);
	return r;
}
