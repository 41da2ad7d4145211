/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/vm_variables.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "disk/nvram.h"
#include "proto/log.h"
#include "proto/uuid.h"
#include "work/oplog.h"

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

static bool
is_missing(const char *path)
{
	return access(path, F_OK) < 0 && errno == ENOENT;
}

bool
vm_variables_are_lost(const struct work_env *env, const struct domain_info *info)
{
	_free_ char *shared = nvram_path(env->root, info->uuid);
	_free_ char *local = nvram_local_path(info->uuid);
	const char *named = info->variables ? info->variables : local;

	return info->def.firmware == FIRMWARE_TYPE_UEFI && !info->foreign && named[0] == '/' &&
	       oplog_was_on(&info->oplog) && is_missing(named) && is_missing(shared);
}

/* Named after another VM, beside where this one's are. */
static bool
is_anothers(const char *path, const char *own)
{
	size_t at = (size_t)(strrchr(own, '/') + 1 - own), suffix = at + UUID_TEXT_SIZE - 1;

	return strlen(path) == strlen(own) && strncmp(path, own, at) == 0 &&
	       strcmp(path + suffix, own + suffix) == 0 && strcmp(path, own) != 0;
}

int
vm_variables_check(const struct work_env *env, const struct domain_info *info, struct error *err)
{
	_free_ char *shared = nvram_path(env->root, info->uuid);
	_free_ char *local = nvram_local_path(info->uuid);
	const char *named = info->variables ? info->variables : local;

	if (info->def.firmware != FIRMWARE_TYPE_UEFI || named[0] != '/')
		return 0;
	if (is_anothers(named, shared))
		return error_set(err, 422,
		    "VM '%s' names '%s' for its UEFI variables, which are another's: take the "
		    "element <nvram> out with 'virsh edit %s', and the VM starts with new ones",
		    info->uuid, named, info->uuid);
	if (nvram_check(is_missing(named) ? shared : named, err) == 0)
		return 0;
	error_wrap(err, "the UEFI variables of VM '%s'", info->uuid);
	error_append(
	    err, "put a copy of them there, or remove the file, and the VM starts with new ones");
	return -1;
}

void
vm_forget_local_variables(const char *uuid)
{
	_free_ char *local = nvram_local_path(uuid);

	if (unlink(local) < 0 && errno != ENOENT)
		log_warning("job", "cannot remove '%s': %s", local, strerror(errno));
}

void
vm_forget_moved_variables(const struct work_env *env, const char *uuid)
{
	_free_ char *shared = nvram_path(env->root, uuid);

	if (access(shared, F_OK) == 0)
		vm_forget_local_variables(uuid);
}

int
vm_forget_variables(const struct work_env *env, const char *uuid, struct error *err)
{
	vm_forget_local_variables(uuid);
	return nvram_delete(env->root, uuid, err);
}
