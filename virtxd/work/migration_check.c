/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "domain/registry.h"
#include "proto/vmdef.h"
#include "work/hypervisor.h"
#include "work/migration.h"
#include "work/nets.h"

/* Both hosts write to the registry: the target's part must be seen from here. */
static int
check_storage(const struct vm_migrate_request *req, struct error *err)
{
	int lockid;

	if (registry_load_lockid(req->env.root, req->target, &lockid, err) < 0)
		return -1;
	if (lockid == 0)
		return error_set(err, 422,
		    "host '%s' does not share the storage: there is no '%s/xml/%s/lockid'",
		    req->target, req->env.root, req->target);
	return 0;
}

static int
check_identity(const struct vm_migrate_request *req, const struct domain_caps *here,
    const struct domain_caps *there, struct error *err)
{
	if (!str_equal(there->host_uuid, req->target))
		return error_set(err, 422, "'%s' is host '%s', not '%s'", req->target_uri,
		    str_or_empty(there->host_uuid), req->target);
	if (!str_equal(there->arch, here->arch))
		return error_set(err, 422, "host '%s' is of architecture '%s', not '%s'",
		    req->target, str_or_empty(there->arch), str_or_empty(here->arch));
	if (here->kvm && !there->kvm)
		return error_set(err, 422, "host '%s' has no KVM", req->target);
	return 0;
}

/* The `cpu` element of the running VM, or of the host's capabilities; the caller's. */
static char *
cut_cpu(const char *xml)
{
	const char *begin = xml ? strstr(xml, "<cpu") : NULL;
	const char *end = begin ? strstr(begin, "</cpu>") : NULL;

	return end ? xstrndup(begin, (size_t)(end - begin) + strlen("</cpu>")) : NULL;
}

/* Under software emulation QEMU makes the CPU. */
static int
check_cpu(const struct vm_migrate_request *req, virConnectPtr conn, virDomainPtr domain,
    virConnectPtr target, struct error *err)
{
	_free_ char *xml = virDomainGetXMLDesc(domain, 0), *caps = virConnectGetCapabilities(conn);
	_free_ char *vm = cut_cpu(xml), *host = cut_cpu(caps);
	bool custom = vm && strstr(vm, "mode='custom'");
	const char *wanted = custom ? vm : host;
	int r;

	if (!wanted)
		return 0;
	r = custom ? virConnectCompareHypervisorCPU(target, NULL, NULL, NULL, NULL, vm, 0)
		   : virConnectCompareCPU(target, host, 0);
	if (r == VIR_CPU_COMPARE_IDENTICAL || r == VIR_CPU_COMPARE_SUPERSET)
		return 0;
	if (r == VIR_CPU_COMPARE_INCOMPATIBLE)
		return error_set(err, 422, "host '%s' lacks features of the CPU of VM '%s'",
		    req->target, req->uuid);
	return hypervisor_error(
	    err, 422, "cannot compare the CPU of VM '%s' with host '%s'", req->uuid, req->target);
}

/* Hugepages are there or not; of other memory the accounting decides, which the API has asked. */
static int
check_hugepages(const struct vm_migrate_request *req, const struct vmdef *def, virConnectPtr target,
    struct error *err)
{
	unsigned int size;
	unsigned long long pages = 0;
	_free_ char *caps = NULL;
	const char *at;

	if (!def->memory.hp)
		return 0;
	caps = virConnectGetCapabilities(target);
	at = caps ? strstr(caps, "<pages unit='KiB' size='2048'>") : NULL;
	size = at ? 2048 : 0;
	if (size && virNodeGetFreePages(target, 1, &size, -1, 1, &pages, 0) < 0)
		return hypervisor_error(
		    err, 424, "cannot read the hugepages of host '%s'", req->target);
	if ((int64_t)pages * (size / 1024) < def->memory.total)
		return error_set(err, 422,
		    "host '%s' has %llu MiB of free hugepages, and VM '%s' needs %d MiB",
		    req->target, pages * (size / 1024), req->uuid, def->memory.total);
	return 0;
}

static int
check_absent(const struct vm_migrate_request *req, virConnectPtr target, struct error *err)
{
	_domain_ virDomainPtr domain = NULL;
	struct error cause = { 0 };

	if (hypervisor_find(target, req->uuid, &domain, &cause) == 0)
		return error_set(err, 422, "host '%s' has VM '%s' in its libvirt already",
		    req->target, req->uuid);
	if (cause.status == 404)
		return 0;
	*err = cause;
	return -1;
}

static int
check_target(const struct vm_migrate_request *req, virDomainPtr domain,
    const struct domain_info *info, struct error *err)
{
	virConnectPtr conn = virDomainGetConnect(domain);
	_connect_ virConnectPtr target = NULL;
	_domain_caps_ struct domain_caps here = { 0 }, there = { 0 };

	if (check_storage(req, err) < 0)
		return -1;
	if (hypervisor_open(req->target_uri, &target, err) < 0)
		return error_wrap(err, "host '%s'", req->target);
	if (hypervisor_caps(conn, &here, err) < 0 || hypervisor_caps(target, &there, err) < 0 ||
	    check_identity(req, &here, &there, err) < 0 || check_absent(req, target, err) < 0 ||
	    nets_check(target, req->target, &info->def, NULL, err) < 0)
		return -1;
	if (!req->live)
		return 0;
	if (check_hugepages(req, &info->def, target, err) < 0)
		return -1;
	return str_equal(info->type, "kvm") ? check_cpu(req, conn, domain, target, err) : 0;
}

int
migration_check(const struct vm_migrate_request *req, virDomainPtr domain, struct error *err)
{
	_domain_info_ struct domain_info info = { 0 };

	if (hypervisor_info(domain, req->env.root, &info, err) < 0)
		return -1;
	if (check_target(req, domain, &info, err) == 0)
		return 0;
	/* Another one may do. */
	snprintf(err->host, sizeof(err->host), "%s", req->target);
	return -1;
}
