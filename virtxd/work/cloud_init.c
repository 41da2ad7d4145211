/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/cloud_init.h"

#include <time.h>

#include "disk/lease.h"
#include "disk/seed.h"
#include "domain/cloud_init_xml.h"
#include "domain/metadata.h"
#include "proto/vmdef.h"
#include "work/hypervisor.h"
#include "work/storage.h"
#include "work/vm_saved.h"

#define _lease_ __attribute__((cleanup(lease_release)))

/* Until sanlock has noticed that a VM's process ended. */
#define RELEASE_MS 10000
#define RETRY_MS   100

int
cloud_init_check(virDomainPtr domain, const struct domain_info *info, struct error *err)
{
	if (info->foreign)
		return error_set(err, 422, "VM '%s' cannot have a cloud-init CD: %s", info->uuid,
		    info->foreign_why);
	if (vm_is_saved(domain))
		return error_set(err, 422,
		    "VM '%s' cannot have a cloud-init CD: it was saved, and will run on from there",
		    info->uuid);
	return 0;
}

static char *
inactive_xml(virDomainPtr domain, const char *uuid, struct error *err)
{
	char *xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE);

	if (!xml)
		hypervisor_error(err, 424, "cannot read the XML of VM '%s'", uuid);
	return xml;
}

static int
redefine(virConnectPtr conn, const char *uuid, const char *xml, struct error *err)
{
	_domain_ virDomainPtr domain = virDomainDefineXMLFlags(conn, xml, 0);

	if (!domain)
		return hypervisor_error(err, 424, "cannot change the definition of VM '%s'", uuid);
	return 0;
}

/* The resource and, under its lease, the file. */
static int
make(const struct work_env *env, const char *uuid, char *path,
    const struct cloud_init_option *options, size_t n, struct error *err)
{
	const struct disk disk = cloud_init_disk(path);
	_lease_ struct lease lease = LEASE_INIT;
	char name[LEASE_NAME_SIZE];

	if (disk_resource_name(&disk, env->root, name, err) < 0 ||
	    lease_create(env->root, name, uuid, err) < 0 ||
	    lease_acquire(env->root, name, uuid, &lease, err) < 0)
		return error_wrap(err, "cloud-init CD '%s'", path);
	return seed_build(env->root, env->run_dir, uuid, options, n, err);
}

int
cloud_init_start(const struct work_env *env, virDomainPtr domain, const char *uuid,
    const struct cloud_init_option *options, size_t n, struct error *err)
{
	_free_ char *path = seed_path(env->root, uuid);
	_free_ char *old = NULL, *xml = NULL, *mark = metadata_cd_build();
	_domain_ virDomainPtr started = NULL;

	if (make(env, uuid, path, options, n, err) < 0)
		return -1;
	old = inactive_xml(domain, uuid, err);
	if (!old || cloud_init_xml_add(old, env->root, path, &xml, err) < 0)
		return -1;
	if (virDomainSetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, mark, METADATA_CD_KEY,
		METADATA_CD_KEY, VIR_DOMAIN_AFFECT_CONFIG) < 0)
		return hypervisor_error(err, 424, "cannot mark the CD in VM '%s'", uuid);
	/* The definition stays beside it. */
	started = virDomainCreateXML(virDomainGetConnect(domain), xml, 0);
	return started ? 0 : hypervisor_error(err, 424, "libvirt refuses to start it with its CD");
}

static int
drop_resource(const struct work_env *env, const char *uuid, char *path, struct error *err)
{
	const struct timespec pause = { .tv_nsec = RETRY_MS * 1000000L };
	const struct disk disk = cloud_init_disk(path);
	int64_t deadline = monotonic_ms() + RELEASE_MS;

	while (storage_drop(env, uuid, &disk, false, NULL, err) < 0) {
		if (!error_is(err, ERROR_BUSY) || monotonic_ms() >= deadline)
			return -1;
		nanosleep(&pause, NULL);
	}
	return 0;
}

int
cloud_init_drop(const struct work_env *env, virConnectPtr conn, virDomainPtr domain,
    const char *uuid, struct error *err)
{
	_free_ char *path = seed_path(env->root, uuid);
	_free_ char *old = NULL, *xml = NULL;

	/* Its memory may have the CD. */
	if (vm_is_saved(domain))
		return 0;
	/* The definition goes last: it tells those who come after a crash that there is one. */
	if (drop_resource(env, uuid, path, err) < 0 ||
	    seed_undo(env->root, env->run_dir, uuid, err) < 0)
		return -1;
	old = inactive_xml(domain, uuid, err);
	if (!old || cloud_init_xml_remove(old, env->root, path, &xml, err) < 0)
		return -1;
	return xml ? redefine(conn, uuid, xml, err) : 0;
}

int
cloud_init_delete(const struct work_env *env, const char *uuid, struct error *err)
{
	_free_ char *path = seed_path(env->root, uuid);

	if (drop_resource(env, uuid, path, err) < 0 ||
	    seed_undo(env->root, env->run_dir, uuid, err) < 0)
		return -1;
	return seed_delete(env->root, uuid, err);
}
