/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/lun_rules.h"

#include <fnmatch.h>
#include <string.h>

#include "disk/image.h"
#include "disk/lun_name.h"
#include "proto/vmdef.h"

static bool
is_listed(const char *patterns, const char *path, const char *by_id)
{
	_free_ char *copy = xstrdup(patterns);
	char *rest = NULL;

	for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		if (fnmatch(word, path, FNM_PATHNAME) == 0 ||
		    fnmatch(word, by_id, FNM_PATHNAME) == 0)
			return true;
	}
	return false;
}

static int
check_listed(const struct work_env *env, const struct disk *disk, struct error *err)
{
	_free_ char *by_id = NULL;
	char lease[49];

	if (str_empty(env->luns))
		return 0;
	if (lun_identify(LUN_HOST, disk, &by_id, lease, err) < 0)
		return -1;
	if (is_listed(env->luns, disk->path, by_id))
		return 0;
	return error_set(err, 422,
	    "lun '%s' is none of those that this host leaves to VMs: [storage] luns of its "
	    "configuration is '%s'",
	    disk->path, env->luns);
}

static int
check_content(const struct work_env *env, const struct disk *disk, bool admin, struct error *err)
{
	_free_ char *content = NULL;

	if (lun_content(disk, &content, err) < 0)
		return -1;
	if (!content)
		return 0;
	if (disk->prov != DISK_PROV_MODE_NONE)
		return error_set(err, 422,
		    "lun '%s' is not empty: this host finds on it: %s. Nothing was changed. With "
		    "'prov' 0 the VM gets it as it is; if nobody needs what is on it, 'wipefs -a "
		    "%s' "
		    "on the host empties it",
		    disk->path, content, disk->path);
	if (admin || !str_empty(env->luns))
		return 0;
	return error_set_type(err, ERROR_ROLE,
	    "lun '%s' is not empty: this host finds on it: %s. Nothing was changed. A managed LUN "
	    "is "
	    "emptied when its VM is deleted with its storage, so that one which is not empty "
	    "becomes "
	    "managed by an admin alone, or where [storage] luns of the host's configuration names "
	    "it",
	    disk->path, content);
}

int
lun_rules_check(const struct work_env *env, const struct disk *disk, bool admin, struct error *err)
{
	if (check_listed(env, disk, err) < 0 || lun_check_unused(disk, err) < 0)
		return -1;
	return disk->man == DISK_MAN_MODE_MANAGED ? check_content(env, disk, admin, err) : 0;
}
