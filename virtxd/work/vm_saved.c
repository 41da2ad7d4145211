/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/vm_saved.h"

#include "proto/vmdef.h"
#include "work/hypervisor.h"

bool
vm_is_saved(virDomainPtr domain)
{
	return virDomainHasManagedSaveImage(domain, 0) == 1;
}

int
vm_saved_refuse(virDomainPtr domain, const char *uuid, const char *what, struct error *err)
{
	if (!vm_is_saved(domain))
		return 0;
	return error_set(err, 422,
	    "VM '%s' is not %s: it was saved, and its memory on this host belongs to its disks as "
	    "they are; boot it and shut it down, or discard its memory with `virsh "
	    "managedsave-remove %s`",
	    uuid, what, uuid);
}

int
vm_saved_check_boot(virDomainPtr domain, const char *uuid, const char *root,
    const struct vmdef *def, struct error *err)
{
	_domain_info_ struct domain_info saved = { 0 };
	const struct disk *disk, *was = NULL;
	_free_ char *xml = NULL;

	if (!vm_is_saved(domain))
		return 0;
	xml = virDomainManagedSaveGetXMLDesc(domain, 0);
	if (!xml)
		return hypervisor_error(err, 424, "cannot read how VM '%s' was saved", uuid);
	if (domain_xml_read(xml, root, &saved, err) < 0)
		return -1;
	for (size_t i = 0; (disk = vmdef_disk(def, i)); i++) {
		was = vmdef_disk(&saved.def, i);
		if (!was || !str_equal(was->path, disk->path))
			break;
		was = vmdef_disk(&saved.def, i + 1);
	}
	if (!disk && !was)
		return 0;
	return error_set(err, 422,
	    "VM '%s' is not booted: it was saved with other disks than it has (%s); give them "
	    "back, or "
	    "discard its memory with `virsh managedsave-remove %s`",
	    uuid, disk ? disk->path : was->path, uuid);
}
