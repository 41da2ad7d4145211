/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/works.h"

#include "proto/vmdef.h"
#include "work/bare_disks.h"
#include "work/hypervisor.h"
#include "work/storage.h"
#include "work/storage_check.h"
#include "work/vm_owner.h"
#include "work/vm_session.h"
#include "work/vm_steps.h"
#include "work/work.h"

static void
drop_disk(struct journal *journal, const struct disk *disk)
{
	model_copy(&disk_model, model_append(&journal->dropped, &journal->n_dropped), disk);
}

/* Unless it is another VM's: of that the definition alone goes. */
static void
drop_own(const struct vm_delete_request *req, const struct disk *disk, struct journal *journal,
    char **warning)
{
	struct error ignored = { 0 };
	char owner[37];

	if (vm_owner_of_disk(&req->env, req->uuid, disk, owner, &ignored) == 0 && owner[0])
		vm_add_warning(warning, "%s '%s' belongs to VM '%s', and is left", disk_noun(disk),
		    disk->path, owner);
	else
		drop_disk(journal, disk);
}

/* What a snapshot stands on is no disk of the definition, and the VM's all the same. Where images
 * stay its lease goes; else it stays as the snapshot does, which has no lease that proves whose it
 * is. */
static void
drop_base(const struct vm_delete_request *req, virDomainPtr domain, const struct disk *disk,
    struct journal *journal, char **warning)
{
	struct disk below = *disk;
	_free_ char *base = NULL;

	if (disk->man == DISK_MAN_MODE_MANAGED && disk->device != DISK_DEVICE_LUN)
		base = bare_disks_base(&req->env, domain, req->uuid, disk->path);
	below.path = base;
	if (base && !req->deletestorage)
		drop_disk(journal, &below);
	else if (base)
		vm_add_warning(warning,
		    "image '%s', of which disk '%s' is a snapshot, is left with its lease: 'virtx "
		    "repair' shows both",
		    base, disk->path);
}

/* All disks, and the VM's own lease, which may be there where the definition does not name it. */
static void
plan(const struct vm_delete_request *req, virDomainPtr domain, const struct domain_info *info,
    struct journal *journal, char **warning)
{
	const struct disk *disk;

	journal->op = xstrdup("VmDelete");
	journal->uuid = xstrdup(req->uuid);
	journal->deletestorage = req->deletestorage;
	journal->ts = now_ms();
	vm_carry_over(&req->env, journal, NULL, warning);
	for (size_t i = 0; !info->foreign && (disk = vmdef_disk(&info->def, i)); i++) {
		drop_own(req, disk, journal, warning);
		drop_base(req, domain, disk, journal, warning);
	}
	if (!info->foreign || info->leased)
		drop_own(req, &info->lease, journal, warning);
}

/* Begins the session. 1 where there is nothing left to do: an earlier deletion, no less thorough,
 * was cut off and has now been carried to its end. */
static int
begin(const struct vm_delete_request *req, struct vm_session *session, char **warning,
    struct error *err)
{
	_journal_ struct journal earlier = { 0 };
	bool same;

	if (vm_session_open(session, &req->env, req->uuid, err) < 0 ||
	    storage_look(&req->env, err) < 0 ||
	    journal_load(req->env.root, req->env.host, req->uuid, &earlier, err) < 0)
		return -1;
	same = str_equal(earlier.op, "VmDelete") && (earlier.deletestorage || !req->deletestorage);
	if (same)
		work_stage(WORK_STAGE_BEGUN);
	if (vm_session_recover(session, warning, err) == 0)
		return 0;
	return same && session->carried && error_is(err, ERROR_NOT_FOUND) ? 1 : -1;
}

int
work_vm_delete(const void *request, void *result, struct error *err)
{
	const struct vm_delete_request *req = request;
	struct vm_result *res = result;
	_vm_session_ struct vm_session session = VM_SESSION_CLOSED;
	_domain_info_ struct domain_info info = { 0 };
	_journal_ struct journal journal = { 0 };
	int r = begin(req, &session, &res->warning, err);

	if (r < 0)
		return -1;
	res->gone = r == 1;
	if (res->gone)
		return 0;
	if (virDomainIsActive(session.domain) == 1)
		return error_set_type(err, ERROR_NOT_OFF, "VM '%s' is not powered off", req->uuid);
	if (vm_owner_check(&req->env, session.domain, req->uuid, VM_WANT_DELETE, err) < 0 ||
	    hypervisor_info(session.domain, req->env.root, &info, err) < 0)
		return -1;
	if (info.foreign && req->deletestorage)
		return error_set(err, 422, "VM '%s' is not deleted with its storage: %s", req->uuid,
		    info.foreign_why);
	plan(req, session.domain, &info, &journal, &res->warning);
	work_stage(WORK_STAGE_BEGUN);
	/* Deleting is the way out of a full disk. What a crash leaves of it then, a repair finds.
	 */
	if (journal_save(req->env.root, req->env.host, &journal, err) < 0 &&
	    !storage_is_full(&req->env))
		return -1;
	res->gone = true;
	return vm_roll_forward(&req->env, session.conn, &journal, &res->warning, err);
}
