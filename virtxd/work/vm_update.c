/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/works.h"

#include <inttypes.h>

#include "disk/lease.h"
#include "domain/registry.h"
#include "proto/vmdef.h"
#include "work/cloud_init.h"
#include "work/cpu_model.h"
#include "work/folders.h"
#include "work/hypervisor.h"
#include "work/nets.h"
#include "work/storage.h"
#include "work/vm_own_lease.h"
#include "work/vm_owner.h"
#include "work/vm_saved.h"
#include "work/vm_session.h"
#include "work/vm_steps.h"
#include "work/work.h"

/* By another name it would be made and dropped at once, and its lease with it. */
static int
refuse_renamed(const struct vm_update_request *req, const struct disk *disk,
    const struct vmdef *old, struct error *err)
{
	char name[LEASE_NAME_SIZE], other[LEASE_NAME_SIZE];
	struct error ignored = { 0 };
	const struct disk *was;

	for (size_t i = 0; (was = vmdef_disk(old, i)); i++) {
		if (disk_resource_name(disk, req->env.root, name, &ignored) == 0 &&
		    disk_resource_name(was, req->env.root, other, &ignored) == 0 &&
		    str_equal(name, other))
			return error_set(err, 422,
			    "disk '%s' is disk '%s' by another name, which an update does not "
			    "change",
			    disk->path, was->path);
	}
	return 0;
}

/* Of a size that is given, as no 0 and none that GET shows. A LUN may be larger than it was asked
 * for. What cannot be measured now is not compared. */
static int
check_size(const struct vm_update_request *req, const struct disk *disk, const char *where,
    struct error *err)
{
	struct disk_report measured = { 0 };
	struct error ignored = { 0 };
	int64_t size;

	if (disk->size == 0 || storage_inspect(&req->env, disk, &measured, &ignored) < 0)
		return 0;
	size = measured.capacity >> 20;
	if (disk->size == size || (disk->device == DISK_DEVICE_LUN && disk->size < size))
		return 0;
	return error_set(err, 422,
	    "%s.size: disk '%s' has %" PRId64 " MiB, which an update does not change (0 leaves "
	    "it as it is)",
	    where, disk->path, size);
}

static int
check_kept(const struct vm_update_request *req, size_t index, const struct disk *disk,
    const struct disk *kept, struct error *err)
{
	_free_ char *where =
	    index == 0 ? xstrdup("vmdef.osdisk") : xasprintf("vmdef.disks[%zu]", index - 1);

	if (disk->prov != DISK_PROV_MODE_NONE && disk->prov != kept->prov)
		return error_set(err, 422,
		    "%s.prov: disk '%s' is provisioned %s, which an update does not change", where,
		    disk->path, enum_word(&disk_prov_mode_enum, kept->prov));
	return check_size(req, disk, where, err);
}

/* A disk that is kept stays as it was made: its mode does not change under it. */
static int
keep_disks(const struct vm_update_request *req, struct vmdef *def, const struct vmdef *old,
    struct error *err)
{
	for (size_t i = 0; i < def->n_disks + 1; i++) {
		struct disk *disk = i == 0 ? &def->osdisk : &def->disks[i - 1];
		const struct disk *kept = vmdef_find_disk(old, disk->path);

		if (!kept && refuse_renamed(req, disk, old, err) < 0)
			return -1;
		if (!kept)
			continue;
		if (disk->man != kept->man)
			return error_set(err, 422,
			    "disk '%s' is %s, which an update does not change", disk->path,
			    enum_word(&disk_man_mode_enum, kept->man));
		if ((disk->device == DISK_DEVICE_LUN) != (kept->device == DISK_DEVICE_LUN))
			return error_set(err, 422,
			    "disk '%s' is a %s, which an update does not change", disk->path,
			    enum_word(&disk_device_enum, kept->device));
		if (check_kept(req, i, disk, kept, err) < 0)
			return -1;
		disk->prov = kept->prov;
	}
	return 0;
}

/* Of its own; one that had none gets it where there is room, as edited tells. */
static int
plan_lease(const struct vm_update_request *req, const struct domain_info *info, const char *edited,
    struct journal *journal, char **warning, struct error *err)
{
	_domain_info_ struct domain_info now = { 0 };
	_free_ char *lack = NULL;

	if (info->leased)
		return 0;
	if (domain_xml_read(edited, req->env.root, &now, err) < 0)
		return -1;
	lack = vm_own_lease_lack(&now);
	if (lack)
		vm_add_warning(warning, "%s", lack);
	return now.leased ? vm_plan_disk(&req->env, journal, &now.lease, err) : 0;
}

static int
plan(const struct vm_update_request *req, const struct domain_info *info, const char *edited,
    struct journal *journal, char **warning, struct error *err)
{
	const struct vmdef *old = &info->def;
	const struct disk *disk;

	journal->op = xstrdup("VmUpdate");
	journal->uuid = xstrdup(req->uuid);
	journal->deletestorage = req->deletestorage;
	journal->ts = now_ms();
	if (plan_lease(req, info, edited, journal, warning, err) < 0)
		return -1;
	for (size_t i = 0; (disk = vmdef_disk(&req->def, i)); i++) {
		if (!vmdef_find_disk(old, disk->path) &&
		    vm_plan_disk(&req->env, journal, disk, err) < 0)
			return -1;
	}
	for (size_t i = 0; (disk = vmdef_disk(old, i)); i++) {
		if (!vmdef_find_disk(&req->def, disk->path))
			model_copy(&disk_model,
			    model_append(&journal->dropped, &journal->n_dropped), disk);
	}
	vm_carry_over(&req->env, journal, &req->def, warning);
	return 0;
}

/* Gives libvirt and the registry the old definition back. */
static int
restore(const struct vm_update_request *req, virConnectPtr conn, const char *xml, struct error *err)
{
	_domain_ virDomainPtr domain = virDomainDefineXMLFlags(conn, xml, 0);

	if (!domain)
		return hypervisor_error(
		    err, 424, "cannot restore the definition of VM '%s'", req->uuid);
	return registry_save(req->env.root, req->env.host, req->uuid, xml, err);
}

/* The definition with the change; *ret is the caller's. */
static int
edit(const struct vm_update_request *req, virConnectPtr conn, const struct vmdef *def,
    const char *old_xml, char **ret, struct error *err)
{
	_domain_caps_ struct domain_caps caps = { 0 };
	struct domain_env env = { .root = req->env.root };

	if (hypervisor_caps(conn, &caps, err) < 0)
		return -1;
	env.arch = caps.arch;
	env.kvm = caps.kvm;
	return domain_xml_edit(old_xml, def, &env, req->force, ret, err);
}

/* Disks that are taken over tell only then how they are provisioned. */
static int
redefine(const struct vm_update_request *req, virConnectPtr conn, const struct vmdef *def,
    const char *old_xml, struct error *err)
{
	_free_ char *xml = NULL;

	if (edit(req, conn, def, old_xml, &xml, err) < 0 ||
	    (def->firmware == FIRMWARE_TYPE_UEFI && folders_make_nvram(&req->env, err) < 0))
		return -1;
	return vm_define_xml(&req->env, conn, req->uuid, xml, err);
}

static int
change(const struct vm_update_request *req, virConnectPtr conn, struct vmdef *def,
    const char *old_xml, const struct journal *journal, struct vm_result *res, struct error *err)
{
	struct error left = { 0 };

	if (vm_make_disks(&req->env, journal, req->admin, def, &res->vm, err) == 0) {
		if (redefine(req, conn, def, old_xml, err) == 0) {
			work_stage(WORK_STAGE_DONE);
			return vm_roll_forward(&req->env, conn, journal, &res->warning, err);
		}
		if (restore(req, conn, old_xml, &left) < 0) {
			error_append(err, "%s", left.detail);
			return -1;
		}
	}
	if (vm_roll_back(&req->env, conn, journal, &left) == 0)
		work_stage(WORK_STAGE_NONE);
	else
		error_append(err, "not all is undone yet, which is tried again: %s", left.detail);
	return -1;
}

int
work_vm_update(const void *request, void *result, struct error *err)
{
	const struct vm_update_request *req = request;
	struct vm_result *res = result;
	_vm_session_ struct vm_session session = VM_SESSION_CLOSED;
	_domain_info_ struct domain_info info = { 0 };
	_journal_ struct journal journal = { 0 };
	_free_ char *xml = NULL, *edited = NULL;
	struct vmdef def;
	int r;

	if (vm_session_open_storage(&session, &req->env, req->uuid, err) < 0 ||
	    vm_session_recover(&session, &res->warning, err) < 0)
		return -1;
	if (virDomainIsActive(session.domain) == 1)
		return error_set_type(err, ERROR_NOT_OFF, "VM '%s' is not powered off", req->uuid);
	if (vm_owner_check(&req->env, session.domain, req->uuid, VM_WANT_CHANGE, err) < 0 ||
	    vm_saved_refuse(session.domain, req->uuid, "updated", err) < 0 ||
	    cloud_init_drop(&req->env, session.conn, session.domain, req->uuid, err) < 0 ||
	    hypervisor_info(session.domain, req->env.root, &info, err) < 0)
		return -1;
	if (info.foreign)
		return error_set(
		    err, 422, "VM '%s' cannot be updated: %s", req->uuid, info.foreign_why);
	xml = vm_xml(session.domain, req->uuid, err);
	if (!xml)
		return -1;
	model_copy(&vmdef_model, &def, &req->def);
	r = cpu_model_check(session.conn, req->env.host, &def, &info.def, err);
	if (r < 0)
		error_wrap(err, "vmdef.cpudef.model");
	if (r == 0)
		r = keep_disks(req, &def, &info.def, err);
	if (r == 0)
		r = nets_check(session.conn, req->env.host, &def, &info.def, err);
	/* What is refused is refused before the first disk is made. */
	if (r == 0)
		r = edit(req, session.conn, &def, xml, &edited, err);
	if (r == 0)
		r = plan(req, &info, edited, &journal, &res->warning, err);
	if (r == 0) {
		work_stage(WORK_STAGE_BEGUN);
		r = journal_save(req->env.root, req->env.host, &journal, err);
	}
	if (r == 0)
		r = change(req, session.conn, &def, xml, &journal, res, err);
	model_clear(&vmdef_model, &def);
	return r < 0 ? -1 : hypervisor_report(session.domain, req->env.root, &res->vm, err);
}
