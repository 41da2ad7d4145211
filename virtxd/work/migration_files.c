/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether all that a VM reads and writes is the same on every host. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "disk/lun_name.h"
#include "disk/nvram.h"
#include "domain/domain_files.h"
#include "work/hypervisor.h"
#include "work/migration.h"

#define INSTALLATION "/usr"

/* Where a path leads must be below directory, both without their links. */
static int
check_below(const struct domain_file *file, const char *directory, struct error *err)
{
	_free_ char *real = realpath(file->path, NULL);
	_free_ char *top = realpath(directory, NULL);
	size_t n = strlen(str_or_empty(top));

	if (!real)
		return error_errno(err, 422, errno, "its %s is '%s', which cannot be found",
		    file->what, file->path);
	if (top && strncmp(real, top, n) == 0 && real[n] == '/')
		return 0;
	if (str_equal(real, file->path))
		return error_set(err, 422,
		    "its %s is '%s', which is of this host: it is not under '%s'", file->what,
		    file->path, directory);
	return error_set(err, 422,
	    "its %s is '%s', which leads to '%s' of this host: that is not under '%s'", file->what,
	    file->path, real, directory);
}

static int
check_device(const struct domain_file *file, struct error *err)
{
	struct disk disk = { .path = file->path, .device = DISK_DEVICE_LUN };
	char lease[49];

	if (lun_check_path(LUN_HOST, &disk, lease, err) == 0)
		return 0;
	err->status = 422;
	return error_wrap(err, "its %s", file->what);
}

static bool
is_under(const char *path, const char *directory)
{
	size_t n = strlen(directory);

	return strncmp(path, directory, n) == 0 && path[n] == '/';
}

static int
check_file(const struct work_env *env, const struct domain_file *file, struct error *err)
{
	_free_ char *shared = xasprintf("%s/nvram", env->root);

	switch (file->kind) {
	case DOMAIN_FILE_DEVICE:
		return check_device(file, err);
	case DOMAIN_FILE_OTHER:
		return error_set(err, 422,
		    "its %s is of the type '%s', which this host alone knows", file->what,
		    file->path);
	case DOMAIN_FILE_FIRMWARE:
		if (is_under(file->path, INSTALLATION))
			return 0;
		break;
	case DOMAIN_FILE_VARIABLES:
		/* libvirt makes those that are not there yet. */
		if (is_under(file->path, NVRAM_LOCAL) || is_under(file->path, shared))
			return 0;
		break;
	case DOMAIN_FILE_DATA:
		break;
	}
	return check_below(file, env->root, err);
}

static int
check_xml(const struct vm_migrate_request *req, virDomainPtr domain, unsigned int flags,
    struct error *err)
{
	_free_ char *xml = virDomainGetXMLDesc(domain, flags);
	struct domain_file *files = NULL;
	size_t n = 0;
	int r = 0;

	if (!xml)
		return hypervisor_error(err, 424, "cannot read the XML of VM '%s'", req->uuid);
	if (domain_files_read(xml, &files, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n && r == 0; i++)
		r = check_file(&req->env, &files[i], err);
	domain_files_free(files, n);
	return r < 0 ? error_wrap(err, "VM '%s' cannot leave this host", req->uuid) : 0;
}

int
migration_check_files(const struct vm_migrate_request *req, virDomainPtr domain, struct error *err)
{
	/* What it has now, and what it has when it is started again. */
	if (check_xml(req, domain, 0, err) < 0)
		return -1;
	return check_xml(req, domain, VIR_DOMAIN_XML_INACTIVE, err);
}
