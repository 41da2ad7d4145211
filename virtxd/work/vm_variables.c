/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/vm_variables.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "disk/nvram.h"
#include "proto/log.h"

bool
vm_variables_are_local(const struct work_env *env, const struct domain_info *info)
{
	size_t n = strlen(env->root);

	if (info->def.firmware != FIRMWARE_TYPE_UEFI)
		return false;
	return !info->variables ||
	       (info->variables[0] == '/' &&
		   (strncmp(info->variables, env->root, n) != 0 || info->variables[n] != '/'));
}

void
vm_forget_local_variables(const char *uuid)
{
	_free_ char *local = nvram_local_path(uuid);

	if (unlink(local) < 0 && errno != ENOENT)
		log_warning("job", "cannot remove '%s': %s", local, strerror(errno));
}

int
vm_forget_variables(const struct work_env *env, const char *uuid, struct error *err)
{
	vm_forget_local_variables(uuid);
	return nvram_delete(env->root, uuid, err);
}
