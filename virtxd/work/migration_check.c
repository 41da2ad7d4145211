/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

#include <libvirt/virterror.h>

#include "domain/journal.h"
#include "domain/migration_xml.h"
#include "domain/registry.h"
#include "proto/vmdef.h"
#include "work/cpu_model.h"
#include "work/hugepages.h"
#include "work/hypervisor.h"
#include "work/migration_steps.h"
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

/* An earlier migration may have taken the VM away from the target, and what that left is not over:
 * whoever ends it there would take what arrives for what is left. */
static int
check_journal(const struct vm_migrate_request *req, struct error *err)
{
	struct journal journal = { 0 };
	int r = journal_load(req->env.root, req->target, req->uuid, &journal, err);

	if (r == 0 && !str_empty(journal.op))
		r = error_set(err, 503,
		    "an earlier operation on VM '%s' is not over on host '%s': its journal is "
		    "there",
		    req->uuid, req->target);
	model_clear(&journal_model, &journal);
	return r;
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

/* The XML of the running VM, the caller's. */
static int
read_xml(virDomainPtr domain, const char *uuid, char **ret, struct error *err)
{
	*ret = virDomainGetXMLDesc(domain, 0);
	if (*ret)
		return 0;
	return hypervisor_error(err, 424, "cannot read the XML of VM '%s'", uuid);
}

/* Whether the target lacks more than this host, where it runs. Of a model that has not all from the
 * host libvirt misses what QEMU does by itself, such as topoext of an EPYC, on this host as well.
 */
static bool
lacks_more(virConnectPtr conn, const char *vm, const struct error *there, unsigned int flags)
{
	return virConnectCompareHypervisorCPU(conn, NULL, NULL, NULL, "kvm", vm, flags) !=
		   VIR_CPU_COMPARE_ERROR ||
	       virGetLastErrorCode() != VIR_ERR_CPU_INCOMPATIBLE ||
	       cpu_model_lacks_more(there->detail, virGetLastErrorMessage());
}

/* A VM with the CPU of the host goes where all of that is. Under software emulation QEMU makes the
 * CPU, and nobody asks this. */
static int
check_cpu(const struct vm_migrate_request *req, const char *host, virDomainPtr domain,
    virConnectPtr target, struct error *err)
{
	_free_ char *xml = NULL, *vm = NULL;
	unsigned int flags = VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE; /* with the features */
	bool custom;
	int r;

	if (read_xml(domain, req->uuid, &xml, err) < 0 ||
	    migration_xml_cpu(xml, &vm, &custom, err) < 0)
		return -1;
	r = custom ? virConnectCompareHypervisorCPU(target, NULL, NULL, NULL, "kvm", vm, flags)
		   : virConnectCompareCPU(target, host, flags);
	if (r == VIR_CPU_COMPARE_IDENTICAL || r == VIR_CPU_COMPARE_SUPERSET)
		return 0;
	if (virGetLastErrorCode() != VIR_ERR_CPU_INCOMPATIBLE)
		return hypervisor_error(err, 422,
		    "cannot compare the CPU of VM '%s' with host '%s'", req->uuid, req->target);
	hypervisor_error(
	    err, 422, "host '%s' lacks features of the CPU of VM '%s'", req->target, req->uuid);
	if (!custom || lacks_more(virDomainGetConnect(domain), vm, err, flags))
		return -1;
	*err = (struct error){ 0 };
	return 0;
}

/* Whether the VM fits into the free pages of one size: libvirt does not tell which is the default
 * of the host, by which its virtxd counts. */
static int
find_pages(const struct vm_migrate_request *req, const struct vmdef *def, unsigned int wanted,
    const struct domain_caps *there, virConnectPtr target, struct error *err)
{
	_buffer_ struct buffer found = { 0 };

	for (size_t i = 0; i < there->n_hugepages; i++) {
		unsigned int size = there->hugepages[i];
		unsigned long long n;

		if (wanted && size != wanted)
			continue;
		if (virNodeGetFreePages(target, 1, &size, -1, 1, &n, 0) < 0)
			return hypervisor_error(
			    err, 424, "cannot read the hugepages of host '%s'", req->target);
		if (hugepages_fit(size, (int64_t)n, def->memory.total))
			return 0;
		buffer_printf(&found, "%s%llu of %u KiB", found.len ? ", " : "", n, size);
	}
	return error_set(err, 422,
	    "host '%s' has no free hugepages that add up to the %d MiB of VM '%s', but %s",
	    req->target, def->memory.total, req->uuid,
	    found.len ? found.data : "none of that size");
}

/* Hugepages are there or not; of other memory the accounting decides, which the API has asked. */
static int
check_hugepages(const struct vm_migrate_request *req, const struct vmdef *def, virDomainPtr domain,
    const struct domain_caps *there, virConnectPtr target, struct error *err)
{
	_free_ char *xml = NULL;
	struct migration_pages pages;

	if (!def->memory.hp)
		return 0;
	if (read_xml(domain, req->uuid, &xml, err) < 0 || migration_xml_pages(xml, &pages, err) < 0)
		return -1;
	return pages.mixed ? 0 : find_pages(req, def, pages.size, there, target, err);
}

static int
check_absent(const struct vm_migrate_request *req, virConnectPtr target, struct error *err)
{
	_domain_ virDomainPtr domain = NULL;

	if (hypervisor_look_up(target, req->uuid, &domain, err) < 0)
		return -1;
	if (domain)
		return error_set(err, 422, "host '%s' has VM '%s' in its libvirt already",
		    req->target, req->uuid);
	return 0;
}

static int
check_target(const struct vm_migrate_request *req, virDomainPtr domain,
    const struct domain_info *info, struct domain_caps *there, struct error *err)
{
	virConnectPtr conn = virDomainGetConnect(domain);
	_connect_to_ virConnectPtr target = NULL;
	_domain_caps_ struct domain_caps here = { 0 };

	if (check_storage(req, err) < 0 || check_journal(req, err) < 0)
		return -1;
	if (hypervisor_open_to(req->target, req->target_uri, &target, err) < 0)
		return -1;
	if (hypervisor_caps(conn, &here, err) < 0 || hypervisor_caps(target, there, err) < 0 ||
	    check_identity(req, &here, there, err) < 0 || check_absent(req, target, err) < 0 ||
	    nets_check(target, req->target, &info->def, NULL, err) < 0 ||
	    (!info->foreign && cpu_model_check(target, req->target, &info->def, NULL, err) < 0))
		return -1;
	if (!req->live)
		return 0;
	if (check_hugepages(req, &info->def, domain, there, target, err) < 0)
		return -1;
	return str_equal(info->type, "kvm") ? check_cpu(req, here.cpu, domain, target, err) : 0;
}

int
migration_check(const struct vm_migrate_request *req, virDomainPtr domain,
    struct domain_caps *there, struct error *err)
{
	_domain_info_ struct domain_info info = { 0 };

	if (hypervisor_info(domain, req->env.root, &info, err) < 0)
		return -1;
	if (check_target(req, domain, &info, there, err) == 0)
		return 0;
	/* Another one may do. */
	snprintf(err->host, sizeof(err->host), "%s", req->target);
	return -1;
}
