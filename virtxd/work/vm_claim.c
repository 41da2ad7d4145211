/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who holds all leases of a VM knows that it runs nowhere: under them the registry's file becomes
 * this host's, and the VM with it. It is not started. */
#include "work/works.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "disk/lease.h"
#include "domain/registry.h"
#include "proto/vmdef.h"
#include "work/claim_steps.h"
#include "work/hypervisor.h"
#include "work/storage.h"
#include "work/vm_owner.h"
#include "work/vm_recover.h"
#include "work/vm_session.h"
#include "work/vm_steps.h"
#include "work/vm_variables.h"
#include "work/work.h"

/* A VM is ended on another host within four of its io_timeouts and some seconds. */
#define RECALL_MS(io_timeout) (4 * (int64_t)(io_timeout)*1000 + 14000)
#define RECALL_LOOK_MS	      200

struct claim {
	const struct vm_claim_request *req;
	struct vm_claim_result *res;
	struct vm_session session;
	char from[37];		 /* the host that has it */
	struct domain_info info; /* by the registry's file */
	struct lease *leases;
	size_t n_leases;
};

#define _claim_ __attribute__((cleanup(claim_end)))

static void
release(struct claim *claim)
{
	while (claim->n_leases > 0)
		lease_release(&claim->leases[--claim->n_leases]);
	free(steal_ptr(claim->leases));
}

static void
claim_end(struct claim *claim)
{
	release(claim);
	domain_info_clear(&claim->info);
	vm_session_end(&claim->session);
}

/* Why it is not claimed is for who asked to judge, not a failure of the work. */
static int
decide(struct claim *claim, enum claim_outcome outcome)
{
	claim->res->outcome = outcome;
	return -1;
}

/* Where the registry has it now; it is not under from any more. */
static int
lose(struct claim *claim, const struct vm_owner *owner, struct error *err)
{
	if (owner->place == VM_PLACE_NOWHERE)
		error_set_type(
		    err, ERROR_NOT_FOUND, "VM '%s' is registered under no host", claim->req->uuid);
	else
		error_set(err, 409, "VM '%s' is registered under host '%s' by now, not '%s'",
		    claim->req->uuid, owner->host, claim->from);
	return decide(claim, CLAIM_LOST);
}

static bool
is_away(const struct claim *claim)
{
	for (size_t i = 0; i < claim->req->n_away; i++) {
		if (str_equal(claim->req->away[i].uuid, claim->from))
			return true;
	}
	return false;
}

/* sanlock sees what it may be wrong about: that is no reason to claim a VM, but not to. */
static int
check_dead(struct claim *claim, struct error *err)
{
	const struct work_env *env = &claim->req->env;
	_free_ struct lockspace_host *hosts = NULL;
	int id = 0;
	size_t n = 0;

	if (!claim->req->doubt || is_away(claim))
		return 0;
	if (registry_load_lockid(env->root, claim->from, &id, err) < 0 ||
	    lockspace_hosts(&hosts, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (hosts[i].host_id == id && hosts[i].sight == LOCKSPACE_SIGHT_DEAD)
			return 0;
	}
	error_set(err, 409,
	    "serf sees host '%s', which has VM '%s', alive, and sanlock does not say that it "
	    "(host_id "
	    "%d) is dead",
	    claim->from, claim->req->uuid, id);
	return decide(claim, CLAIM_HELD);
}

/* *here: it is this host's already. */
static int
find(struct claim *claim, bool *here, struct error *err)
{
	const struct vm_claim_request *req = claim->req;
	struct vm_owner owner;

	*here = false;
	snprintf(claim->from, sizeof(claim->from), "%.36s", str_or_empty(req->from));
	if (str_equal(claim->from, req->env.host)) {
		error_set(err, 409, "host '%s' cannot claim a VM from itself", claim->from);
		return decide(claim, CLAIM_REFUSED);
	}
	if (vm_owner_find(&req->env, req->uuid, &owner, err) < 0)
		return journal_is_damaged(req->env.root, claim->from, req->uuid, err)
			   ? decide(claim, CLAIM_UNSETTLED)
			   : -1;
	if (vm_owner_check_one(&req->env, &owner, req->uuid, err) < 0)
		return decide(claim, CLAIM_REFUSED);
	*here = owner.place == VM_PLACE_HERE;
	if (*here)
		return 0;
	if (owner.place == VM_PLACE_NOWHERE ||
	    (claim->from[0] && !str_equal(owner.host, claim->from)))
		return lose(claim, &owner, err);
	memcpy(claim->from, owner.host, sizeof(claim->from));
	return check_dead(claim, err);
}

/* The registry's file of the other host; the caller's. */
static int
load(struct claim *claim, char **ret, struct error *err)
{
	const struct vm_claim_request *req = claim->req;
	struct vm_owner owner;

	if (registry_load(req->env.root, claim->from, req->uuid, ret, err) < 0)
		return -1;
	if (*ret)
		return 0;
	if (vm_owner_find(&req->env, req->uuid, &owner, err) < 0)
		return -1;
	return lose(claim, &owner, err);
}

/* One that is off takes nothing. */
static int
check_room(const struct claim *claim, struct error *err)
{
	const struct vm_claim_request *req = claim->req;
	const struct vmdef_memory *memory = &claim->info.def.memory;
	int64_t left = memory->hp ? req->hugepages : req->memory;

	if (!req->bounded || !claim->info.recorded || claim->info.want != WANT_ON ||
	    memory->total <= left)
		return 0;
	return error_set(err, 422,
	    "host '%s' has %lld MiB of %s for VMs, and VM '%s', which is wanted on, needs %d MiB",
	    req->env.host, (long long)left, memory->hp ? "hugepages" : "memory", req->uuid,
	    memory->total);
}

/* Whether it can be this host's, and has what keeps it from running on another one meanwhile. */
static int
check_vm(struct claim *claim, const char *xml, struct error *err)
{
	const struct vm_claim_request *req = claim->req;
	struct error cause = { 0 };

	if (domain_xml_read(xml, req->env.root, &claim->info, &cause) < 0)
		return error_set(err, 409, "the registry's file of VM '%s' cannot be used: %s",
		    req->uuid, cause.detail);
	if (!str_equal(claim->info.uuid, req->uuid))
		return error_set(err, 409, "the registry's file of VM '%s' is of another VM ('%s')",
		    req->uuid, claim->info.uuid);
	if (!domain_info_leased(&claim->info, 0))
		return error_set(err, 409,
		    "VM '%s' has no lease, neither of its own nor of a disk, so that nothing tells "
		    "whether it runs on host '%s'",
		    req->uuid, claim->from);
	if (check_room(claim, err) < 0 ||
	    vm_owner_check_leases(&req->env, &claim->info, VM_WANT_RUN, err) < 0)
		return -1;
	return storage_check_boot(&req->env, &claim->info, err);
}

/* libvirt of this host may know it from an earlier stay, but not have it on. */
static int
check_libvirt(struct claim *claim, struct error *err)
{
	_domain_ virDomainPtr domain = NULL;

	if (hypervisor_look_up(claim->session.conn, claim->req->uuid, &domain, err) < 0)
		return -1;
	if (!domain || virDomainIsActive(domain) == 0)
		return 0;
	error_set(err, 409, "libvirt of host '%s' has VM '%s' on", claim->req->env.host,
	    claim->req->uuid);
	return decide(claim, CLAIM_HELD);
}

/* Its holder is made to give it up; sanlock there needs a renewal or two to see that. */
static int
recall(const struct vm_claim_request *req, const char *name, struct lease *lease, struct error *err)
{
	int64_t due = monotonic_ms() + RECALL_MS(req->env.io_timeout);
	struct error held = *err;

	work_progress(0);
	if (lease_recall(req->env.root, name, req->recall == CLAIM_RECALL_KILL, err) < 0)
		return error_wrap(err, "%s", held.detail);
	while (lease_acquire(req->env.root, name, req->uuid, lease, err) < 0) {
		if (!error_is(err, ERROR_BUSY))
			return -1;
		if (monotonic_ms() >= due)
			return error_wrap(err, "it was asked back %lld s ago",
			    (long long)RECALL_MS(req->env.io_timeout) / 1000);
		usleep(RECALL_LOOK_MS * 1000);
	}
	return 0;
}

static int
acquire(struct claim *claim, const struct disk *disk, struct error *err)
{
	const struct vm_claim_request *req = claim->req;
	struct lease *lease;
	char name[LEASE_NAME_SIZE];
	int r;

	if (disk_resource_name(disk, req->env.root, name, err) < 0)
		return decide(claim, CLAIM_REFUSED);
	lease = model_append(&claim->leases, &claim->n_leases);
	r = lease_acquire(req->env.root, name, req->uuid, lease, err);
	if (r < 0 && error_is(err, ERROR_BUSY) && req->recall)
		r = recall(req, name, lease, err);
	if (r == 0)
		return 0;
	if (!error_is(err, ERROR_BUSY))
		return -1;
	error_wrap(err, "VM '%s'", req->uuid);
	return decide(claim, CLAIM_HELD);
}

static int
acquire_all(struct claim *claim, struct error *err)
{
	const struct disk *disk;

	for (size_t i = 0; (disk = domain_info_leased(&claim->info, i)); i++) {
		if (acquire(claim, disk, err) < 0)
			return -1;
	}
	return 0;
}

/* The leases are of what the file said before; that it is still there and says the same is asked
 * under them. */
static int
confirm(struct claim *claim, const char *xml, struct error *err)
{
	const struct vm_claim_request *req = claim->req;
	_free_ char *now = NULL;

	if (load(claim, &now, err) < 0)
		return -1;
	if (!str_equal(xml, now)) {
		error_set(err, 409, "host '%s' has just changed VM '%s'", claim->from, req->uuid);
		return decide(claim, CLAIM_HELD);
	}
	if (claim_check_journal(&req->env, claim->from, &claim->info, err) < 0)
		return decide(claim, CLAIM_UNSETTLED);
	for (size_t i = 0; i < claim->n_leases; i++) {
		if (lease_check(&claim->leases[i], err) < 0)
			return -1;
	}
	return 0;
}

/* All that comes before the first change, from which on the leases are held. */
static int
prepare(struct claim *claim, struct error *err)
{
	_free_ char *xml = NULL;

	if (load(claim, &xml, err) < 0)
		return -1;
	if (check_vm(claim, xml, err) < 0)
		return error_is(err, ERROR_UNAVAILABLE) ? -1 : decide(claim, CLAIM_REFUSED);
	if (check_libvirt(claim, err) < 0 || acquire_all(claim, err) < 0)
		return -1;
	return confirm(claim, xml, err);
}

/* Nothing of it may stay where it did not come about. */
static int
give_up(struct claim *claim, const struct journal *journal, enum claim_outcome outcome,
    struct error *err)
{
	struct error left = { 0 };

	if (claim_undo(&claim->req->env, journal, &left) < 0) {
		error_append(err, "not all is undone yet, which is tried again: %s", left.detail);
		return -1;
	}
	work_stage(WORK_STAGE_NONE);
	return decide(claim, outcome);
}

/* One rename wins, whoever else tries. */
static int
take(struct claim *claim, struct error *err)
{
	const struct vm_claim_request *req = claim->req;
	struct error left = { 0 };
	struct vm_owner owner;
	int r = registry_move(req->env.root, claim->from, req->env.host, req->uuid, err);

	if (vm_owner_find(&req->env, req->uuid, &owner, r < 0 ? &left : err) < 0)
		return -1;
	if (owner.place == VM_PLACE_HERE)
		return r < 0 ? -1 : vm_owner_check_one(&req->env, &owner, req->uuid, err);
	if (journal_remove(req->env.root, req->env.host, req->uuid, r < 0 ? &left : err) < 0)
		return -1;
	work_stage(WORK_STAGE_NONE);
	return r < 0 ? -1 : lose(claim, &owner, err);
}

static int
make(struct claim *claim, struct error *err)
{
	const struct vm_claim_request *req = claim->req;
	const struct work_env *env = &req->env;
	char op[] = "VmFailover";
	const struct journal journal = {
		.op = op, .uuid = req->uuid, .target = claim->from, .ts = now_ms()
	};
	virConnectPtr conn = claim->session.conn;

	work_stage(WORK_STAGE_BEGUN);
	if (journal_save(env->root, env->host, &journal, err) < 0 || take(claim, err) < 0)
		return -1;
	if (claim_define(env, conn, req->uuid, err) < 0)
		return give_up(claim, &journal, CLAIM_REFUSED, err);
	work_stage(WORK_STAGE_DONE);
	if (vm_variables_are_lost(env, &claim->info))
		vm_add_warning(&claim->res->result.warning,
		    "the UEFI variables of VM '%s' were in a file of host '%s', and it starts with "
		    "new ones",
		    req->uuid, claim->from);
	if (!str_empty(req->unproved))
		vm_add_warning(&claim->res->result.warning, "%s", req->unproved);
	claim_settle(env, conn, &journal, &claim->res->result.warning);
	release(claim);
	return journal_remove(env->root, env->host, req->uuid, err);
}

static int
report(struct claim *claim, struct error *err)
{
	struct vm_claim_result *res = claim->res;
	struct vm_report *vm = &res->result.vm;

	if (vm_session_find(&claim->session, err) < 0 ||
	    hypervisor_report(claim->session.domain, claim->req->env.root, vm, err) < 0)
		return -1;
	res->want_on = vm->recorded && vm->want == WANT_ON;
	return 0;
}

static int
run(struct claim *claim, struct error *err)
{
	const struct vm_claim_request *req = claim->req;
	struct vm_result *res = &claim->res->result;
	bool here;
	int r;

	if (vm_session_open_storage(&claim->session, &req->env, req->uuid, err) < 0)
		return -1;
	r = vm_recover(&req->env, claim->session.conn, req->uuid, &res->warning, err);
	if (r < 0) {
		error_wrap(
		    err, "an earlier operation on VM '%s' is not over yet on this host", req->uuid);
		return decide(claim, CLAIM_UNSETTLED);
	}
	if (find(claim, &here, err) < 0)
		return -1;
	if (here)
		res->nothing = r == 0;
	else if (prepare(claim, err) < 0 || make(claim, err) < 0)
		return -1;
	return report(claim, err);
}

int
work_vm_claim(const void *request, void *result, struct error *err)
{
	_claim_ struct claim claim = {
		.req = request, .res = result, .session = VM_SESSION_CLOSED
	};
	struct vm_claim_result *res = result;
	struct error why = { 0 };

	if (run(&claim, &why) == 0)
		return 0;
	/* By these others see that there is no such VM, or that another host may be able to have
	 * it. */
	if (claim.req->or_fail && res->outcome != CLAIM_CLAIMED &&
	    !error_is(&why, ERROR_NOT_FOUND) && !error_is(&why, ERROR_REFUSED) &&
	    !error_is(&why, ERROR_FAILED))
		return error_set(err, 409, "%s", why.detail);
	if (claim.req->or_fail || res->outcome == CLAIM_CLAIMED) {
		*err = why;
		return -1;
	}
	res->why = xstrdup(why.detail);
	return 0;
}
