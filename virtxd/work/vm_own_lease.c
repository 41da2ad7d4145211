/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/vm_own_lease.h"

#include "disk/lease.h"
#include "proto/vmdef.h"
#include "work/storage.h"
#include "work/vm_steps.h"

char *
vm_own_lease_lack(const struct domain_info *info)
{
	if (info->leased || info->has_room)
		return NULL;
	return xasprintf("VM '%s' has no lease of its own: its %u managed disks and what others "
			 "have added take the %d that libvirt takes for a VM; with at most %d "
			 "managed disks it gets one",
	    info->uuid, vmdef_leases(&info->def), VMDEF_LEASES_MAX, VMDEF_MANAGED_MAX);
}

bool
vm_own_lease_make(const struct work_env *env, const struct domain_info *info, char **warning)
{
	_free_ char *lack = vm_own_lease_lack(info);
	struct error err = { 0 };

	if (info->leased)
		return false;
	if (lack)
		vm_add_warning(warning, "%s", lack);
	else if (storage_mend_lease(env, info->uuid, &info->lease, &err) < 0)
		vm_add_warning(warning,
		    "VM '%s' has no lease of its own yet, which is tried again when it is next "
		    "booted: %s",
		    info->uuid, err.detail);
	else
		return true;
	return false;
}

/* One with leases of its disks is kept from running twice by these. */
void
vm_own_lease_find(const struct work_env *env, virDomainPtr domain, const struct domain_info *info,
    struct reconcile_result *res)
{
	_free_ char *detail = vm_own_lease_lack(info);
	struct host_problem *problem;

	if (!detail && !domain_info_leased(info, 0) && virDomainIsActive(domain) == 1)
		detail = xstrdup("the VM is on without any lease, so that nothing keeps another "
				 "host from running it, too: it gets one of its own when it is "
				 "shut down and booted");
	if (!detail)
		return;
	problem = model_append(&res->problems, &res->n_problems);
	problem->kind = xstrdup(OWN_LEASE_PROBLEM);
	problem->vm = xstrdup(info->uuid);
	problem->path = lease_path(env->root, info->lease.path);
	problem->detail = steal_ptr(detail);
}
