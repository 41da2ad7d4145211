/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/vm_renew.h"

#include "disk/image.h"
#include "disk/nvram.h"
#include "proto/vmdef.h"
#include "work/folders.h"
#include "work/hypervisor.h"
#include "work/vm_own_lease.h"
#include "work/vm_saved.h"
#include "work/vm_steps.h"
#include "work/vm_variables.h"

/* A qcow2 image with a backing file is somebody's snapshot, which stays one. */
static bool
is_whole(const struct disk *disk, void *arg)
{
	const struct work_env *env = arg;
	struct image_info ignored;
	struct error err = { 0 };

	return vmdef_disk_format(disk->path) != DISK_FORMAT_QCOW2 ||
	       image_inspect(env->root, disk, &ignored, &err) == 0;
}

/* Those that the VM has used last, also after somebody has defined it as it once was. */
static int
share_variables(
    const struct work_env *env, const struct domain_info *info, char **warning, struct error *err)
{
	_free_ char *shared = nvram_path(env->root, info->uuid);
	_free_ char *kept = nvram_kept_path(env->root, info->uuid);
	_free_ char *local = nvram_local_path(info->uuid);
	const char *from = info->variables ? info->variables : local;
	enum nvram_copied copied;

	if (nvram_copy(env->root, info->uuid, from, &copied, err) < 0)
		return error_wrap(
		    err, "the UEFI variables of VM '%s' stay where they are", info->uuid);
	if (copied == NVRAM_REPLACED)
		vm_add_warning(warning,
		    "the UEFI variables of VM '%s' are those of '%s', which were changed last; "
		    "those of '%s' are kept as '%s'",
		    info->uuid, from, shared, kept);
	else if (copied == NVRAM_LATER)
		vm_add_warning(warning,
		    "the UEFI variables of VM '%s' are those of '%s', which were changed after "
		    "those of '%s', which are kept as '%s'",
		    info->uuid, shared, from, kept);
	return 0;
}

static int
renew(const struct work_env *env, virDomainPtr domain, const char *xml,
    const struct domain_info *info, char **warning, struct error *err)
{
	_free_ char *variables = nvram_path(env->root, info->uuid);
	_free_ char *renewed = NULL;
	bool moves = vm_variables_are_local(env, info);
	struct domain_renewal renewal = {
		.variables = moves ? variables : NULL,
		.whole = is_whole,
		.arg = (void *)env,
	};

	if (info->def.firmware == FIRMWARE_TYPE_UEFI && folders_make_nvram(env, err) < 0)
		return -1;
	if (moves && share_variables(env, info, warning, err) < 0)
		return -1;
	renewal.lease = vm_own_lease_make(env, info, warning);
	if (domain_xml_renew(xml, &renewal, env->root, &renewed, err) < 0 ||
	    (renewed &&
		vm_define_xml(env, virDomainGetConnect(domain), info->uuid, renewed, err) < 0))
		return -1;
	vm_forget_moved_variables(env, info->uuid);
	return 0;
}

int
vm_renew(const struct work_env *env, virDomainPtr domain, const char *uuid, char **warning,
    struct error *err)
{
	_domain_info_ struct domain_info info = { 0 };
	_free_ char *xml = vm_xml(domain, uuid, err);

	if (!xml || domain_xml_read(xml, env->root, &info, err) < 0)
		return -1;
	if (info.foreign || vm_is_saved(domain))
		return 0;
	return renew(env, domain, xml, &info, warning, err);
}
