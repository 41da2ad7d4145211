/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/vm_steps.h"

#include <libvirt/virterror.h>

#include "domain/domain_xml.h"
#include "domain/registry.h"
#include "proto/vmdef.h"
#include "work/cloud_init.h"
#include "work/hypervisor.h"
#include "work/storage.h"

void
journal_clear(struct journal *journal)
{
	model_clear(&journal_model, journal);
}

int
vm_undefine(virConnectPtr conn, const char *uuid, struct error *err)
{
	_domain_ virDomainPtr domain = NULL;
	struct error cause = { 0 };

	if (hypervisor_find(conn, uuid, &domain, &cause) < 0) {
		if (cause.status == 404)
			return 0;
		*err = cause;
		return -1;
	}
	if (virDomainIsActive(domain) == 1)
		return error_set(err, 422, "VM '%s' is not powered off", uuid);
	if (virDomainUndefineFlags(domain,
		VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
		    VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | VIR_DOMAIN_UNDEFINE_NVRAM) < 0)
		return hypervisor_error(err, 424, "cannot undefine VM '%s'", uuid);
	return 0;
}

int
vm_make_disks(const struct work_env *env, const char *uuid, struct vmdef *def,
    const struct vmdef *skip, struct vm_report *report, struct error *err)
{
	size_t n = def->n_disks + 1;

	for (size_t i = 0; i < n; i++) {
		struct disk *disk = i == 0 ? &def->osdisk : &def->disks[i - 1];
		struct disk_report *measured;

		if (skip && vmdef_find_disk(skip, disk->path))
			continue;
		measured = model_append(&report->disks, &report->n_disks);
		measured->index = (int32_t)i;
		storage_progress(i, n);
		if (storage_make(env, uuid, disk, measured, err) < 0)
			return -1;
	}
	return 0;
}

int
vm_define(const struct work_env *env, virConnectPtr conn, const char *uuid, const struct vmdef *def,
    struct error *err)
{
	_domain_caps_ struct domain_caps caps = { 0 };
	_domain_ virDomainPtr domain = NULL;
	_free_ char *xml = NULL, *processed = NULL;
	struct domain_env domain_env = { .root = env->root };

	if (hypervisor_caps(conn, &caps, err) < 0)
		return -1;
	domain_env.arch = caps.arch;
	domain_env.kvm = caps.kvm;
	if (domain_xml_build(def, uuid, &domain_env, &xml, err) < 0)
		return -1;
	domain = virDomainDefineXMLFlags(conn, xml, 0);
	if (!domain)
		return hypervisor_error(err, 424, "libvirt refuses the VM");
	processed = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE);
	if (!processed)
		return hypervisor_error(err, 424, "cannot read back the VM's XML");
	return registry_save(env->root, env->host, uuid, processed, err);
}

static void
add_warning(char **warning, const struct error *cause)
{
	char *text = str_empty(*warning) ? xstrdup(cause->detail)
					 : xasprintf("%s; %s", *warning, cause->detail);

	free(*warning);
	*warning = text;
}

int
vm_finish(const struct work_env *env, virConnectPtr conn, const struct journal *journal,
    char **warning, struct error *err)
{
	bool delete = str_equal(journal->op, "VmDelete");
	struct error left = { 0 };

	if (delete &&vm_undefine(conn, journal->uuid, err) < 0)
		return -1;
	for (size_t i = 0; i < journal->n_made; i++) {
		if (storage_commit(env, journal->uuid, &journal->made[i], err) < 0)
			return -1;
	}
	for (size_t i = 0; i < journal->n_dropped; i++) {
		struct error cause = { 0 };

		storage_progress(i, journal->n_dropped);
		if (storage_drop(env, journal->uuid, &journal->dropped[i], journal->deletestorage,
			&cause) < 0)
			add_warning(warning, &cause);
	}
	if (delete &&cloud_init_delete(env, journal->uuid, &left) < 0)
		add_warning(warning, &left);
	if (delete &&registry_remove(env->root, env->host, journal->uuid, err) < 0)
		return -1;
	return journal_remove(env->root, env->host, journal->uuid, err);
}

int
vm_undo(const struct work_env *env, virConnectPtr conn, const struct journal *journal,
    struct error *err)
{
	struct error left = { 0 };

	if (str_equal(journal->op, "VmCreate") &&
	    (vm_undefine(conn, journal->uuid, err) < 0 ||
		registry_remove(env->root, env->host, journal->uuid, err) < 0))
		return -1;
	for (size_t i = 0; i < journal->n_made; i++) {
		struct error cause = { 0 };

		if (storage_undo(env, journal->uuid, &journal->made[i], &cause) == 0)
			continue;
		if (left.status)
			error_append(&left, "%s", cause.detail);
		else
			left = cause;
	}
	if (left.status) {
		*err = left;
		return -1;
	}
	return journal_remove(env->root, env->host, journal->uuid, err);
}
