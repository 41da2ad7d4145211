/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/vm_already.h"

#include "work/hypervisor.h"

int
vm_already(virDomainPtr domain, const struct work_env *env, const char *uuid, bool enough,
    enum error_type type, struct vm_result *res, struct error *err)
{
	const char *state = type == ERROR_ALREADY_OFF	   ? "off"
			    : type == ERROR_ALREADY_PAUSED ? "paused"
							   : "running";

	if (!enough)
		return error_set_type(err, type, "VM '%s' is %s already", uuid, state);
	res->nothing = true;
	return hypervisor_report(domain, env->root, &res->vm, err);
}
