/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/vm_luns.h"

#include "disk/lun_name.h"
#include "domain/domain_xml.h"
#include "domain/registry.h"
#include "proto/vmdef.h"
#include "work/hypervisor.h"

/* *ret stays NULL for a VM that is not there. */
static int
load(const struct work_env *env, const char *uuid, char **ret, struct error *err)
{
	char host[37];

	if (registry_find(env->root, uuid, host, err) < 0)
		return -1;
	return host[0] ? registry_load(env->root, host, uuid, ret, err) : 0;
}

int
vm_luns_check(const struct work_env *env, const char *uuid, struct error *err)
{
	_domain_info_ struct domain_info info = { 0 };
	_free_ char *xml = NULL;
	const struct disk *disk;
	char lease[49];

	if (load(env, uuid, &xml, err) < 0 ||
	    (xml && domain_xml_read(xml, env->root, &info, err) < 0))
		return -1;
	if (!xml)
		return 0;
	for (size_t i = 0; (disk = vmdef_disk(&info.def, i)); i++) {
		if (disk->device != DISK_DEVICE_LUN ||
		    lun_check_path(LUN_HOST, disk, lease, err) == 0)
			continue;
		/* 404 would mean the VM. */
		if (error_is(err, ERROR_NOT_FOUND))
			err->status = 422;
		return -1;
	}
	return 0;
}
