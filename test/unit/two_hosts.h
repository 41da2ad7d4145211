/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two hosts for the works, each with a test driver of libvirt. These cannot migrate by themselves:
 * what libvirt does when it is asked to move a VM that runs is done here, or a part of it.
 */
#ifndef TEST_UNIT_TWO_HOSTS_H
#define TEST_UNIT_TWO_HOSTS_H

#include "work_host.h"

#define OTHER_URI "test:///other"

/* What becomes of a live migration. */
static enum {
	ARRIVES,
	FAILS,
	STAYS_PAUSED, /* and the target never had it */
} outcome;

static inline virConnectPtr
open_other(const char *uri)
{
	virConnectPtr (*next)(const char *) =
	    (virConnectPtr(*)(const char *))dlsym(RTLD_NEXT, "virConnectOpen");

	return next(uri);
}

/* The other host's domains stay while it is kept open. */
virConnectPtr
virConnectOpen(const char *uri)
{
	if (!other || strcmp(uri, OTHER_URI) != 0)
		return open_other(uri);
	virConnectRef(other);
	return other;
}

int
virDomainMigrateToURI3(virDomainPtr domain, const char *uri, virTypedParameterPtr params,
    unsigned int n, unsigned int flags)
{
	_domain_ virDomainPtr there = NULL;
	const char *xml = NULL;

	assert_string_equal(uri, OTHER_URI);
	assert_true(flags & VIR_MIGRATE_LIVE);
	assert_true(flags & VIR_MIGRATE_UNDEFINE_SOURCE);
	assert_int_equal(
	    virTypedParamsGetString(params, (int)n, VIR_MIGRATE_PARAM_PERSIST_XML, &xml), 1);
	if (outcome == STAYS_PAUSED)
		virDomainSuspend(domain);
	if (outcome != ARRIVES)
		return -1;
	there = virDomainDefineXML(other, xml);
	assert_non_null(there);
	assert_int_equal(virDomainCreate(there), 0);
	assert_int_equal(virDomainDestroy(domain), 0);
	return virDomainUndefine(domain);
}

/* The test driver knows one reason to stand still. */
int
virDomainGetState(virDomainPtr domain, int *state, int *reason, unsigned int flags)
{
	int (*next)(virDomainPtr, int *, int *, unsigned int) = (int (*)(
	    virDomainPtr, int *, int *, unsigned int))dlsym(RTLD_NEXT, "virDomainGetState");
	int r = next(domain, state, reason, flags);

	if (r == 0 && outcome == STAYS_PAUSED && *state == VIR_DOMAIN_PAUSED)
		*reason = VIR_DOMAIN_PAUSED_MIGRATION;
	return r;
}

/* No migration is under way. */
int
virDomainGetJobInfo(virDomainPtr domain, virDomainJobInfoPtr info)
{
	*info = (virDomainJobInfo){ .type = VIR_DOMAIN_JOB_NONE };
	return 0;
}

/* QEMU lets go of a channel at once. */
int
virDomainDetachDeviceFlags(virDomainPtr domain, const char *xml, unsigned int flags)
{
	return 0;
}

/* The CPUs of both hosts are alike; what is compared is kept. */
static char *compared;

int
virConnectCompareCPU(virConnectPtr conn, const char *xml, unsigned int flags)
{
	str_set(&compared, xml);
	return VIR_CPU_COMPARE_IDENTICAL;
}

int
virConnectCompareHypervisorCPU(virConnectPtr conn, const char *emulator, const char *arch,
    const char *machine, const char *type, const char *xml, unsigned int flags)
{
	str_set(&compared, xml);
	return VIR_CPU_COMPARE_SUPERSET;
}

/* The other host has three pages of 1 GiB, and none of 2 MiB. */
int
virNodeGetFreePages(virConnectPtr conn, unsigned int n, unsigned int *sizes, int cell,
    unsigned int cells, unsigned long long *counts, unsigned int flags)
{
	assert_ptr_equal(conn, other);
	assert_int_equal(n, 1);
	counts[0] = sizes[0] == 1048576 ? 3 : 0;
	return 1;
}

/* For cmocka: as of work_host.h, with the other host. */
static inline int
two_hosts_setup(void **state)
{
	static const char node[] = "<node><cpu><nodes>1</nodes></cpu></node>";
	_free_ char *uri = NULL;
	struct error err = { 0 };

	outcome = ARRIVES;
	str_set(&compared, NULL);
	if (work_host_setup(state) < 0)
		return -1;
	write_file(at("run/node.xml"), node, strlen(node));
	uri = xasprintf("test://%s", at("run/node.xml"));
	other = open_other(uri);
	return other && mkdir(at("xml/" HOST2), 0750) == 0
		   ? registry_save_lockid(disk_root, HOST2, 7, &err)
		   : -1;
}

static inline int
two_hosts_teardown(void **state)
{
	virConnectClose(other);
	other = NULL;
	str_set(&compared, NULL);
	return work_host_teardown(state);
}

/* Its state on the other host; -1 for no domain. */
static inline int
state_there(void)
{
	_domain_ virDomainPtr domain = virDomainLookupByUUIDString(other, TEST_VM);
	int state, reason;

	if (!domain)
		return -1;
	assert_int_equal(virDomainGetState(domain, &state, &reason, 0), 0);
	return state;
}

#endif
