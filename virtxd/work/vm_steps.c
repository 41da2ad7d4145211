/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/vm_steps.h"

#include <libvirt/virterror.h>

#include "disk/nvram.h"
#include "domain/domain_xml.h"
#include "domain/registry.h"
#include "proto/vmdef.h"
#include "work/cloud_init.h"
#include "work/folders.h"
#include "work/hypervisor.h"
#include "work/storage.h"
#include "work/vm_leases.h"
#include "work/vm_variables.h"

#define RETRY_MS (5 * 60 * 1000)

void
journal_clear(struct journal *journal)
{
	model_clear(&journal_model, journal);
}

/* Variables on the shared storage are the VM's, wherever it is; those that libvirt did not name
 * after the domain may be another's. */
static unsigned int
undefine_flags(const struct work_env *env, virDomainPtr domain, const struct domain_info *info)
{
	_free_ char *own = nvram_local_path(virDomainGetName(domain));
	unsigned int flags = VIR_DOMAIN_UNDEFINE_MANAGED_SAVE |
			     VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
			     VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA;

	if (vm_variables_are_local(env, info) &&
	    (!info->variables || str_equal(info->variables, own)))
		return flags | VIR_DOMAIN_UNDEFINE_NVRAM;
	return flags | VIR_DOMAIN_UNDEFINE_KEEP_NVRAM;
}

int
vm_undefine(const struct work_env *env, virConnectPtr conn, const char *uuid, struct error *err)
{
	_domain_info_ struct domain_info info = { 0 };
	_domain_ virDomainPtr domain = NULL;

	if (hypervisor_look_up(conn, uuid, &domain, err) < 0)
		return -1;
	if (!domain)
		return 0;
	if (virDomainIsActive(domain) == 1)
		return error_set_type(err, ERROR_NOT_OFF, "VM '%s' is not powered off", uuid);
	if (hypervisor_info(domain, env->root, &info, err) < 0)
		return -1;
	if (virDomainUndefineFlags(domain, undefine_flags(env, domain, &info)) < 0)
		return hypervisor_error(err, 424, "cannot undefine VM '%s'", uuid);
	return 0;
}

int
vm_plan_disk(
    const struct work_env *env, struct journal *journal, const struct disk *disk, struct error *err)
{
	bool adopted;

	if (storage_find_adopted(env, journal->uuid, disk, &adopted, err) < 0)
		return -1;
	model_copy(&disk_model, model_append(&journal->made, &journal->n_made), disk);
	if (adopted)
		model_copy(&disk_model, model_append(&journal->adopted, &journal->n_adopted), disk);
	return 0;
}

static bool
has_path(const struct disk *disks, size_t n, const char *path)
{
	for (size_t i = 0; i < n; i++) {
		if (str_equal(disks[i].path, path))
			return true;
	}
	return false;
}

static bool
is_made(const struct journal *journal, const struct disk *disk)
{
	return has_path(journal->made, journal->n_made, disk->path);
}

static bool
is_adopted(const struct journal *journal, const struct disk *disk)
{
	return has_path(journal->adopted, journal->n_adopted, disk->path);
}

/* The VM's own, which is there before its disks are. A boot that was cut off may have left half of
 * it. */
static int
make_lease(const struct work_env *env, const struct journal *journal, struct error *err)
{
	for (size_t i = 0; i < journal->n_made; i++) {
		if (disk_is_vm_lease(&journal->made[i]) &&
		    storage_mend_lease(env, journal->uuid, &journal->made[i], err) < 0)
			return -1;
	}
	return 0;
}

int
vm_make_disks(const struct work_env *env, const struct journal *journal, bool admin,
    struct vmdef *def, struct vm_report *report, struct error *err)
{
	size_t n = def->n_disks + 1;
	const struct disk *wanted;

	for (size_t i = 0; (wanted = vmdef_disk(def, i)); i++) {
		if (is_made(journal, wanted) &&
		    storage_check(env, journal->uuid, wanted, admin, err) < 0)
			return -1;
	}
	if (make_lease(env, journal, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct disk *disk = i == 0 ? &def->osdisk : &def->disks[i - 1];
		struct disk_report *measured;

		if (!is_made(journal, disk))
			continue;
		measured = model_append(&report->disks, &report->n_disks);
		measured->index = (int32_t)i;
		storage_progress(i, n);
		if (storage_make(
			env, journal->uuid, disk, is_adopted(journal, disk), measured, err) < 0)
			return -1;
	}
	return 0;
}

char *
vm_xml(virDomainPtr domain, const char *uuid, struct error *err)
{
	char *xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE);

	if (!xml)
		hypervisor_error(err, 424, "cannot read the XML of VM '%s'", uuid);
	return xml;
}

int
vm_register(const struct work_env *env, virDomainPtr domain, const char *uuid, struct error *err)
{
	_free_ char *xml = vm_xml(domain, uuid, err);

	return xml ? registry_save(env->root, env->host, uuid, xml, err) : -1;
}

int
vm_define_xml(const struct work_env *env, virConnectPtr conn, const char *uuid, const char *xml,
    struct error *err)
{
	_domain_ virDomainPtr domain = virDomainDefineXMLFlags(conn, xml, 0);

	if (!domain)
		return hypervisor_error(err, 424, "libvirt refuses the VM");
	return vm_register(env, domain, uuid, err);
}

int
vm_define(const struct work_env *env, virConnectPtr conn, const char *uuid, const struct vmdef *def,
    struct error *err)
{
	_domain_caps_ struct domain_caps caps = { 0 };
	_free_ char *xml = NULL;
	struct domain_env domain_env = { .root = env->root };

	if (hypervisor_caps(conn, &caps, err) < 0)
		return -1;
	if (def->firmware == FIRMWARE_TYPE_UEFI && folders_make_nvram(env, err) < 0)
		return -1;
	domain_env.arch = caps.arch;
	domain_env.kvm = caps.kvm;
	if (domain_xml_build(def, uuid, &domain_env, &xml, err) < 0)
		return -1;
	return vm_define_xml(env, conn, uuid, xml, err);
}

void
vm_add_warning(char **warning, const char *fmt, ...)
{
	_free_ char *text = NULL, *old = *warning;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	*warning = str_empty(old) ? steal_ptr(text) : xasprintf("%s; %s", old, text);
}

/* What a delete or an update could not let go of is tried again for a while; then a repair finds
 * it. */
static int
keep_trying(const struct work_env *env, const struct journal *journal, struct disk *left,
    size_t n_left, char **warning, struct error *err)
{
	struct journal rest = *journal;
	struct error ignored = { 0 };

	if (now_ms() - journal->ts >= RETRY_MS)
		return journal_remove(env->root, env->host, journal->uuid, err);
	rest.made = NULL;
	rest.n_made = 0;
	rest.adopted = NULL;
	rest.n_adopted = 0;
	rest.dropped = left;
	rest.n_dropped = n_left;
	/* Where there is no room for it the journal stays as it is, or there is none. */
	(void)journal_save(env->root, env->host, &rest, &ignored);
	vm_add_warning(warning, "it is tried again for %d minutes", RETRY_MS / 60000);
	return 0;
}

int
vm_roll_forward(const struct work_env *env, virConnectPtr conn, const struct journal *journal,
    char **warning, struct error *err)
{
	bool delete = str_equal(journal->op, "VmDelete");
	_free_ struct disk *left = NULL; /* borrowed from the journal */
	size_t n_left = 0;
	struct error cause = { 0 };

	if (delete &&vm_undefine(env, conn, journal->uuid, err) < 0)
		return -1;
	for (size_t i = 0; i < journal->n_made; i++) {
		if (storage_commit(env, journal->uuid, &journal->made[i], err) < 0)
			return -1;
	}
	for (size_t i = 0; i < journal->n_dropped; i++) {
		_free_ char *stays = NULL;
		struct error why = { 0 };

		storage_progress(i, journal->n_dropped);
		if (storage_drop(env, journal->uuid, &journal->dropped[i], journal->deletestorage,
			&stays, &why) < 0) {
			vm_add_warning(warning, "%s", why.detail);
			*model_append(&left, &n_left) = journal->dropped[i];
		} else if (stays) {
			vm_add_warning(warning, "%s", stays);
		}
	}
	if (delete &&cloud_init_delete(env, journal->uuid, &cause) < 0)
		vm_add_warning(warning, "%s", cause.detail);
	if (delete &&vm_forget_variables(env, journal->uuid, &cause) < 0)
		vm_add_warning(warning, "%s", cause.detail);
	if (delete &&registry_remove(env->root, env->host, journal->uuid, err) < 0)
		return -1;
	if (n_left > 0 || cause.status)
		return keep_trying(env, journal, left, n_left, warning, err);
	return journal_remove(env->root, env->host, journal->uuid, err);
}

/* Nobody remembers it any more; what is said of its being tried again is so no longer. */
static void
tell_given_up(const struct journal *old, char **warning)
{
	str_set(warning, NULL);
	for (size_t i = 0; i < old->n_dropped; i++)
		vm_add_warning(warning,
		    "disk '%s', which an update took from the VM, could not be let go of yet, and "
		    "is left: 'virtx repair' shows it",
		    old->dropped[i].path);
}

void
vm_carry_over(
    const struct work_env *env, struct journal *journal, const struct vmdef *def, char **warning)
{
	_journal_ struct journal old = { 0 };
	struct error ignored = { 0 };

	if (journal_load(env->root, env->host, journal->uuid, &old, &ignored) < 0 ||
	    !str_equal(old.op, "VmUpdate") || old.n_dropped == 0)
		return;
	if (str_equal(journal->op, "VmMigrate") || old.deletestorage != journal->deletestorage) {
		tell_given_up(&old, warning);
		return;
	}
	for (size_t i = 0; i < old.n_dropped; i++) {
		if (!def || !vmdef_find_disk(def, old.dropped[i].path))
			model_copy(&disk_model,
			    model_append(&journal->dropped, &journal->n_dropped), &old.dropped[i]);
	}
}

int
vm_roll_back(const struct work_env *env, virConnectPtr conn, const struct journal *journal,
    struct error *err)
{
	struct error left = { 0 };

	if (str_equal(journal->op, "VmCreate") &&
	    (vm_undefine(env, conn, journal->uuid, err) < 0 ||
		vm_forget_variables(env, journal->uuid, err) < 0 ||
		registry_remove(env->root, env->host, journal->uuid, err) < 0))
		return -1;
	for (size_t i = 0; i < journal->n_made; i++) {
		const struct disk *disk = &journal->made[i];
		struct error cause = { 0 };

		if (storage_undo(env, journal->uuid, disk, is_adopted(journal, disk), &cause) == 0)
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

void
vm_record_leases(virDomainPtr domain, const char *uuid, char **warning)
{
	struct error err = { 0 };

	if (vm_leases_record(domain, &err) < 0)
		vm_add_warning(warning,
		    "VM '%s' runs, and its leases are not recorded, which is tried again: until "
		    "then it is not resumed once somebody else has paused it: %s",
		    uuid, err.detail);
}
