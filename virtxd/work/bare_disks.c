/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/bare_disks.h"

#include "disk/image.h"
#include "disk/lease.h"
#include "domain/domain_xml.h"
#include "proto/vmdef.h"
#include "work/hypervisor.h"
#include "work/orphans.h"

#define LEVELS_MAX 32 /* of images that stand on one another: they may do so in a circle */

/* Whether the image has a lease of the VM's; its name is left in name. */
static bool
has_lease(
    const struct work_env *env, const char *path, const char *uuid, char name[LEASE_NAME_SIZE])
{
	const struct disk disk = { .man = DISK_MAN_MODE_MANAGED, .path = (char *)path };
	struct error ignored = { 0 };
	char owner[37];

	return disk_resource_name(&disk, env->root, name, &ignored) == 0 &&
	       lease_owner(env->root, name, owner, &ignored) == 0 && str_equal(owner, uuid);
}

char *
bare_disks_base(const struct work_env *env, virDomainPtr domain, const char *uuid, const char *path)
{
	_free_ char *above = xstrdup(path);

	for (int i = 0; i < LEVELS_MAX; i++) {
		_free_ char *base = NULL;
		char name[LEASE_NAME_SIZE];
		struct error ignored = { 0 };
		bool named;

		if (image_base(env->root, above, &base, &ignored) < 0 || !base)
			return NULL;
		if (has_lease(env, base, uuid, name) &&
		    orphans_is_named(domain, name, &named, &ignored) == 0 && named)
			return steal_ptr(base);
		free(above);
		above = steal_ptr(base);
	}
	return NULL;
}

static char *
heal_snapshot(const struct bare_disk *disk, const char *base, const char *uuid, bool on)
{
	if (on)
		return xasprintf("it is a snapshot of '%s' that VirtX did not make: while the VM "
				 "is on, 'virsh blockcommit %s %s --active --pivot' puts it back",
		    base, uuid, disk->target);
	return xasprintf("it is a snapshot of '%s' that VirtX did not make: while the VM is off, "
			 "'qemu-img commit -f qcow2 -b %s %s' puts it back, and then the path of "
			 "its disk '%s' with 'virsh edit %s'",
	    base, base, disk->path, disk->target, uuid);
}

/* What heals it, as the VM is; the caller's. */
static char *
heal(
    const struct work_env *env, virDomainPtr domain, const struct bare_disk *disk, const char *uuid)
{
	const bool on = virDomainIsActive(domain) == 1;
	_free_ char *found = disk->base ? NULL : bare_disks_base(env, domain, uuid, disk->path);
	char name[LEASE_NAME_SIZE];

	if (disk->ours && has_lease(env, disk->path, uuid, name))
		return xasprintf("the VM's definition has lost it: `virtx update vm %s`, with what "
				 "`virtx get vm` shows of it, puts it back while the VM is off",
		    uuid);
	if (disk->base || found)
		return heal_snapshot(disk, disk->base ? disk->base : found, uuid, on);
	if (disk->ours && on)
		return xasprintf("another program has put it in the place of a disk: copy it back "
				 "to that one's path with 'virsh blockcopy %s %s --pivot'",
		    uuid, disk->target);
	if (disk->ours)
		return xasprintf("another program has put it in the place of a disk, and it may "
				 "have what the VM has written since: while the VM is off, copy it "
				 "over that one's image ('qemu-img convert -n'), and put that path "
				 "back with 'virsh edit %s', where its disk '%s' is",
		    uuid, disk->target);
	return xasprintf("VirtX did not attach it: take it out with 'virsh detach-disk %s %s', and "
			 "add it with 'virtx update vm' while the VM is off",
	    uuid, disk->target);
}

int
bare_disks_check(
    const struct work_env *env, virDomainPtr domain, const char *uuid, struct error *err)
{
	_free_ char *xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
	struct bare_disk *disks = NULL;
	size_t n = 0, i = 0;

	if (!xml)
		return hypervisor_error(err, 424, "cannot read the XML of VM '%s'", uuid);
	if (domain_bare_disks_read(xml, env->root, &disks, &n, err) < 0)
		return -1;
	while (i < n && !disks[i].ours)
		i++;
	if (i < n) {
		_free_ char *what = heal(env, domain, &disks[i], uuid);

		error_set(
		    err, 507, "disk '%s' of VM '%s' has no lease: %s", disks[i].path, uuid, what);
	}
	domain_bare_disks_free(disks, n);
	return i < n ? -1 : 0;
}

int
bare_disks_find(const struct work_env *env, virDomainPtr domain, struct reconcile_result *res,
    struct error *err)
{
	_free_ char *xml = virDomainGetXMLDesc(domain, 0);
	char uuid[VIR_UUID_STRING_BUFLEN];
	struct bare_disk *disks = NULL;
	size_t n = 0;
	int r;

	if (!xml || virDomainGetUUIDString(domain, uuid) < 0)
		return hypervisor_error(
		    err, 424, "cannot read the disks of VM '%s'", virDomainGetName(domain));
	r = domain_bare_disks_read(xml, env->root, &disks, &n, err);
	for (size_t i = 0; i < n; i++) {
		_free_ char *what = heal(env, domain, &disks[i], uuid);
		struct host_problem *problem = model_append(&res->problems, &res->n_problems);

		problem->kind = xstrdup(BARE_DISK_PROBLEM);
		problem->vm = xstrdup(uuid);
		problem->path = xstrdup(disks[i].path);
		problem->detail = xasprintf("disk '%s' has no lease, so that nothing keeps another "
					    "VM from using it: %s",
		    disks[i].path, what);
	}
	domain_bare_disks_free(disks, n);
	return r;
}
