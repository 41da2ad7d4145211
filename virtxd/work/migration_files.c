/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether all that a VM reads and writes is the same on every host. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disk/lun_name.h"
#include "disk/nvram.h"
#include "domain/domain_files.h"
#include "work/hypervisor.h"
#include "work/migration_steps.h"
#include "work/vm_variables.h"

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
check_file(const struct vm_migrate_request *req, const struct domain_file *file, struct error *err)
{
	const struct work_env *env = &req->env;
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
	case DOMAIN_FILE_STATE:
		if (req->live)
			return 0;
		return error_set(err, 422,
		    "the state of its %s is in '%s' of this host, and goes along only while it "
		    "runs: boot it and migrate it live",
		    file->what, file->path);
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
		r = check_file(req, &files[i], err);
	domain_files_free(files, n);
	return r < 0 ? error_wrap(err, "VM '%s' cannot leave this host", req->uuid) : 0;
}

/* Those that are there, in a file of this host. What QEMU has read of them it sends along. */
static int
check_variables(
    const struct vm_migrate_request *req, virDomainPtr domain, bool renewed, struct error *err)
{
	_domain_info_ struct domain_info info = { 0 };
	_free_ char *unnamed = nvram_local_path(virDomainGetName(domain));
	const char *path;

	if (req->live)
		return 0;
	if (hypervisor_info(domain, req->env.root, &info, err) < 0)
		return -1;
	path = info.variables ? info.variables : unnamed;
	if ((!renewed && !info.foreign) || !vm_variables_are_local(&req->env, &info) ||
	    (access(path, F_OK) < 0 && errno == ENOENT))
		return 0;
	return error_set(err, 422,
	    "VM '%s' cannot leave this host: its UEFI variables are in '%s', and go along only "
	    "while it runs: boot it and migrate it live",
	    req->uuid, path);
}

/* What libvirt of this host knows of the VM, and no definition tells. */
static int
check_kept(const struct vm_migrate_request *req, virDomainPtr domain, struct error *err)
{
	int counts[] = {
		virDomainSnapshotNum(domain, 0),
		virDomainListAllCheckpoints(domain, NULL, 0),
	};
	static const char *const words[ARRAY_SIZE(counts)] = { "snapshot", "checkpoint" };

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		if (counts[i] < 0)
			return hypervisor_error(
			    err, 424, "cannot count the %ss of VM '%s'", words[i], req->uuid);
		if (counts[i] > 0)
			return error_set(err, 422,
			    "VM '%s' cannot leave this host: what libvirt knows of its %ss (%d) "
			    "would be lost; delete them with `virsh %s-delete`",
			    req->uuid, words[i], counts[i], words[i]);
	}
	return 0;
}

int
migration_check_files(
    const struct vm_migrate_request *req, virDomainPtr domain, bool renewed, struct error *err)
{
	if (check_kept(req, domain, err) < 0 || check_variables(req, domain, renewed, err) < 0)
		return -1;
	/* What it has now, and what it has when it is started again. */
	if (check_xml(req, domain, 0, err) < 0)
		return -1;
	return check_xml(req, domain, VIR_DOMAIN_XML_INACTIVE, err);
}
