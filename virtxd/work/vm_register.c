/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/seed.h"
#include "domain/cloud_init_xml.h"
#include "domain/journal.h"
#include "domain/registry.h"
#include "proto/log.h"
#include "proto/vmdef.h"
#include "work/hypervisor.h"
#include "work/storage.h"
#include "work/vm_owner.h"
#include "work/vm_session.h"
#include "work/vm_steps.h"
#include "work/works.h"

/* A VM whose operation is not over is not touched, wherever that is. */
static int
check_journal(const struct vm_request *req, struct error *err)
{
	char host[37];

	if (journal_find(req->env.root, req->uuid, host, err) < 0)
		return -1;
	if (host[0])
		return error_set(err, 409,
		    "VM '%s' has an operation on host '%s' that is not over: its journal is there",
		    req->uuid, host);
	return 0;
}

/* The registry's file, or what a running domain is, without the CD of its boot; the caller's. */
static char *
find_definition(const struct vm_request *req, virDomainPtr running, struct error *err)
{
	_free_ char *xml = NULL, *path = NULL, *without = NULL;

	if (registry_load(req->env.root, req->env.host, req->uuid, &xml, err) < 0)
		return NULL;
	if (xml)
		return steal_ptr(xml);
	if (!running) {
		error_set_type(err, ERROR_NOT_FOUND,
		    "no VM '%s' is in libvirt or in the registry of this host", req->uuid);
		return NULL;
	}
	path = seed_path(req->env.root, req->uuid);
	xml = vm_xml(running, req->uuid, err);
	if (!xml || cloud_init_xml_remove(xml, req->env.root, path, &without, err) < 0)
		return NULL;
	return without ? steal_ptr(without) : steal_ptr(xml);
}

/* Makes libvirt know the VM of the registry's file, or that runs without a definition. */
static int
define(const struct vm_request *req, virConnectPtr conn, virDomainPtr running, virDomainPtr *ret,
    struct error *err)
{
	_domain_info_ struct domain_info info = { 0 };
	_free_ char *xml = find_definition(req, running, err);
	struct error cause = { 0 };

	if (!xml)
		return -1;
	if (domain_xml_read(xml, req->env.root, &info, &cause) < 0)
		return error_set(err, 424, "the registry's file of VM '%s' cannot be used: %s",
		    req->uuid, cause.detail);
	if (!str_equal(info.uuid, req->uuid))
		return error_set(err, 424, "the registry's file of VM '%s' is of another VM ('%s')",
		    req->uuid, info.uuid);
	if (vm_owner_check_leases(&req->env, &info, VM_WANT_REGISTER, err) < 0)
		return -1;
	*ret = virDomainDefineXMLFlags(conn, xml, 0);
	if (!*ret)
		return hypervisor_error(err, 424, "libvirt refuses VM '%s'", req->uuid);
	return 0;
}

/* The sizes, which the XML does not tell. A disk that cannot be read is no reason not to register:
 * the next inspection tries again. */
static void
measure(const struct work_env *env, struct vm_report *report)
{
	const struct disk *disk;

	for (size_t i = 0; !report->foreign && (disk = vmdef_disk(&report->def, i)); i++) {
		struct disk_report measured = { .index = (int32_t)i };
		struct error cause = { 0 };

		if (storage_inspect(env, disk, &measured, &cause) == 0)
			*model_append(&report->disks, &report->n_disks) = measured;
		else
			log_debug("job", "disk '%s': %s", disk->path, cause.detail);
	}
}

int
work_vm_register(const void *request, void *result, struct error *err)
{
	const struct vm_request *req = request;
	struct vm_result *res = result;
	_vm_session_ struct vm_session session = VM_SESSION_CLOSED;
	_domain_ virDomainPtr running = NULL;

	/* It may have no domain yet, and what was cut off is not carried out but refused. */
	if (vm_session_open(&session, &req->env, req->uuid, err) < 0 ||
	    vm_owner_check_place(&req->env, req->uuid, false, VM_WANT_REGISTER, err) < 0 ||
	    check_journal(req, err) < 0 ||
	    hypervisor_look_up(session.conn, req->uuid, &session.domain, err) < 0)
		return -1;
	if (!session.domain) {
		if (define(req, session.conn, NULL, &session.domain, err) < 0)
			return -1;
		res->defined = true;
	} else if (!hypervisor_counts(session.domain, req->env.root)) {
		return error_set(err, 424,
		    "VM '%s' is transient in libvirt: a migration that comes in", req->uuid);
	} else if (virDomainIsPersistent(session.domain) != 1) {
		running = steal_ptr(session.domain);
		if (define(req, session.conn, running, &session.domain, err) < 0)
			return -1;
		res->defined = true;
	}
	if (vm_owner_check(&req->env, session.domain, req->uuid, VM_WANT_REGISTER, err) < 0 ||
	    vm_register(&req->env, session.domain, req->uuid, err) < 0)
		return -1;
	if (hypervisor_report(session.domain, req->env.root, &res->vm, err) < 0)
		return -1;
	measure(&req->env, &res->vm);
	return 0;
}
