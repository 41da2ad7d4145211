/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/vm_files.h"

#include <errno.h>
#include <string.h>

#include "disk/access.h"
#include "disk/image.h"
#include "disk/nvram.h"
#include "disk/seed.h"
#include "proto/log.h"
#include "proto/vmdef.h"
#include "work/hypervisor.h"

void
vm_files_for_host(const struct work_env *env, const struct domain_caps *caps)
{
	struct access_user user = {
		.uid = (uid_t)caps->qemu_uid,
		.gid = (gid_t)caps->qemu_gid,
		.group = ACCESS_NOBODY,
	};

	if (caps->qemu_uid < 0)
		return;
	if (env->qemu_group > 0)
		user.group = (gid_t)env->qemu_group;
	else if (caps->qemu_uid > 0)
		user.group = user.gid;
	access_set(&user);
}

int
vm_files_for(const struct work_env *env, virConnectPtr conn, struct error *err)
{
	_domain_caps_ struct domain_caps caps = { 0 };

	if (hypervisor_caps(conn, &caps, err) < 0)
		return -1;
	vm_files_for_host(env, &caps);
	return 0;
}

/* Mends the file at path if QEMU cannot open it; the first that stays closed is told. */
static void
open_file(const char *path, bool write, int (*mend)(void *arg, struct error *err), void *arg,
    char **closed)
{
	_free_ char *before = access_why(path, write), *after = NULL, *whose = NULL, *opens = NULL;
	struct error err = { 0 };

	if (!before)
		return;
	if (mend && mend(arg, &err) < 0)
		log_warning("job", "cannot open '%s' to QEMU: %s", path, err.detail);
	after = access_why(path, write);
	if (!after) {
		log_info("job", "'%s' is open to QEMU, which until now %s", path, before);
		return;
	}
	if (*closed)
		return;
	whose = access_whose();
	opens = access_remedy(path, write);
	*closed = xasprintf("%s, and %s%s%s%s%s%s", whose, after, *err.detail ? ": " : "",
	    err.detail, opens ? "; `" : "", str_or_empty(opens), opens ? "` opens it" : "");
}

struct file {
	const struct work_env *env;
	const char *uuid;
	const struct disk *disk;
};

static int
mend_image(void *arg, struct error *err)
{
	const struct file *file = arg;
	struct error ignored;

	/* Of one that is not the VM's own only the folders are ours to open. */
	if (file->disk->man == DISK_MAN_MODE_MANAGED)
		return image_mend(file->env->root, file->disk, err);
	image_mend(file->env->root, file->disk, &ignored);
	return 0;
}

static int
mend_seed(void *arg, struct error *err)
{
	const struct file *file = arg;

	return seed_mend(file->env->root, file->uuid, err);
}

static int
mend_variables(void *arg, struct error *err)
{
	const struct file *file = arg;

	return nvram_mend(file->env->root, file->uuid, err);
}

void
vm_files_open(const struct work_env *env, const char *uuid, const struct vmdef *def, char **closed)
{
	_free_ char *seed = seed_path(env->root, uuid), *variables = nvram_path(env->root, uuid);
	struct file file = { env, uuid, NULL };

	*closed = NULL;
	if (!access_matters())
		return;
	for (size_t i = 0; (file.disk = vmdef_disk(def, i)); i++) {
		const struct disk *disk = file.disk;

		if (!str_empty(disk->path))
			open_file(disk->path, disk->device != DISK_DEVICE_CDROM,
			    strncmp(disk->path, "/dev/", 5) == 0 ? NULL : mend_image, &file,
			    closed);
	}
	open_file(seed, false, mend_seed, &file, closed);
	open_file(variables, true, mend_variables, &file, closed);
}

void
vm_files_explain(const char *closed, struct error *err)
{
	if (!closed || !strstr(err->detail, strerror(EACCES)))
		return;
	error_wrap(err, "%s", closed);
	err->status = 422;
}
