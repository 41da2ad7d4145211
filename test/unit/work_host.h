/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host for the works: libvirt's own test driver, a storage as `virtx storage init` has made it,
 * and a sanlock daemon of fake_sanlock.c. Each test begins with a new one. What libvirt and the
 * storage have is looked at by their own ways, not by what a work tells.
 */
#ifndef TEST_UNIT_WORK_HOST_H
#define TEST_UNIT_WORK_HOST_H

#include "disk_root.h"

#include <dlfcn.h>
#include <libvirt/libvirt.h>

#include "disk/lease.h"
#include "domain/journal.h"
#include "domain/marker.h"
#include "domain/registry.h"
#include "fake_sanlock.h"
#include "golden.h"
#include "proto/vmdef.h"
#include "work/folders.h"
#include "work/hypervisor.h"
#include "work/requests.h"
#include "work/vm_lock.h"
#include "work/vm_steps.h"
#include "work/work.h"

#define HOST1 "11111111-1111-4111-8111-111111111111"
#define HOST2 "22222222-2222-4222-8222-222222222222"

static struct work_env env;
static virConnectPtr libvirt; /* what keeps the test driver's domains */
static virConnectPtr other;   /* that of HOST2, where a test has one */
static struct error failure;  /* of the last work */
static struct buffer frames;  /* what it told meanwhile */

/* The test driver's own are of an i686, of which VirtX makes no VMs. */
char *
virConnectGetCapabilities(virConnectPtr conn)
{
	char *xml = golden_read("domain/read/capabilities.xml");
	char *uuid = strstr(xml, "<uuid>");

	memcpy(uuid + strlen("<uuid>"), conn == other ? HOST2 : HOST1, strlen(HOST1));
	return xml;
}

static unsigned int undefined; /* the flags with which a domain was undefined last */

/* The test driver knows neither checkpoints nor UEFI variables, and refuses what asks for them. */
int
virDomainUndefineFlags(virDomainPtr domain, unsigned int flags)
{
	const unsigned int known =
	    VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA;
	int (*next)(virDomainPtr, unsigned int) =
	    (int (*)(virDomainPtr, unsigned int))dlsym(RTLD_NEXT, "virDomainUndefineFlags");

	undefined = flags;
	return next(domain, flags & known);
}

static bool deaf_guests;	  /* they do not obey */
static unsigned int guests_asked; /* how often one was asked to shut down */

/* Its guests obey at once, by whatever way they are asked. */
int
virDomainShutdownFlags(virDomainPtr domain, unsigned int flags)
{
	guests_asked++;
	return deaf_guests ? 0 : virDomainShutdown(domain);
}

/* Of a test that failed, and kept the driver open. */
static inline void
forget_domains(void)
{
	virDomainPtr *domains = NULL;
	int n = virConnectListAllDomains(libvirt, &domains, 0);

	for (int i = 0; i < n; i++) {
		if (strcmp(virDomainGetName(domains[i]), "test") != 0) {
			if (virDomainIsActive(domains[i]) == 1)
				virDomainDestroy(domains[i]);
			virDomainUndefine(domains[i]);
		}
		virDomainFree(domains[i]);
	}
	free(domains);
}

static inline int
work_host_setup(void **state)
{
	struct error err = { 0 };
	struct marker storage;
	size_t marked;

	deaf_guests = false;
	guests_asked = 0;
	fake_sanlock_start();
	if (disk_root_setup(state) < 0 || mkdir(at("run"), 0700) < 0 ||
	    marker_make(disk_root, "", &storage, &err) < 0 || mkdir(at("lock"), 0750) < 0 ||
	    mkdir(at("xml/" HOST1), 0750) < 0)
		return -1;
	write_file(at("lock/" LEASE_LOCKSPACE), "x", 1);
	env = (struct work_env){ .root = disk_root, .host = (char *)HOST1, .io_timeout = 10 };
	env.uri = (char *)"test:///default";
	env.run_dir = xstrdup(at("run"));
	libvirt = virConnectOpen(env.uri);
	if (!libvirt)
		return -1;
	forget_domains();
	return folders_mark(&env, &storage, &marked, &err);
}

static inline int
work_host_teardown(void **state)
{
	virConnectClose(libvirt);
	fake_sanlock_stop();
	buffer_clear(&frames);
	free(env.run_dir);
	return disk_root_teardown(state);
}

#define WORK_TEST(f) cmocka_unit_test_setup_teardown(f, work_host_setup, work_host_teardown)

/* Runs a work as its job would, with what it tells in frames; 0 or -1 with failure. */
static inline int
run(enum work_id id, const void *request, void *result)
{
	char path[] = "/tmp/virtx-frames-XXXXXX";
	int file = mkstemp(path), out = dup(STDOUT_FILENO), r;

	assert_true(file >= 0 && out >= 0);
	unlink(path);
	fflush(stdout);
	dup2(file, STDOUT_FILENO);
	failure = (struct error){ 0 };
	r = works[id].run(request, result, &failure);
	dup2(out, STDOUT_FILENO);
	close(out);
	lseek(file, 0, SEEK_SET);
	buffer_clear(&frames);
	assert_int_equal(read_all(file, &frames, 1 << 16), 0);
	buffer_add(&frames, "", 1);
	close(file);
	return r;
}

/* Another job has the VM, until the caller closes what this returns. */
static inline int
take_vm(const char *uuid)
{
	int fd = -1;

	assert_int_equal(vm_lock(env.run_dir, uuid, &fd, &failure), 0);
	return fd;
}

/* Runs it, and it must come to its end. */
static inline void
must_run(enum work_id id, const void *request, void *result)
{
	if (run(id, request, result) < 0)
		fail_msg("%s: %d %s", works[id].name, failure.status, failure.detail);
}

/* Runs it, and it must fail with this status, and these words among its own. */
static inline void
must_fail(enum work_id id, const void *request, int status, const char *words)
{
	_free_ void *result = xcalloc(1, works[id].result ? works[id].result->size : 1);

	if (run(id, request, result) == 0)
		fail_msg("%s did not fail with '%s'", works[id].name, words);
	if (!strstr(failure.detail, words))
		fail_msg("no '%s' in '%s'", words, failure.detail);
	assert_int_equal(failure.status, status);
	if (works[id].result)
		model_clear(works[id].result, result);
}

/* The stage that it told last; -1 for none. */
static inline int
last_stage(void)
{
	int stage = -1;

	for (const char *at = frames.data; (at = strstr(at, "stage ")); at++)
		stage = atoi(at + strlen("stage "));
	return stage;
}

/* Fills a zero Vmdef: a small VM with a managed osdisk of 1 MiB, ROOT/ds/os.qcow2, that is to be
 * made. */
static inline void
small_vm(struct vmdef *def)
{
	def->name = xstrdup("vm");
	def->cpudef = (struct cpudef){ xstrdup("maximum"), 0, 1, 1, 1 };
	def->memory.total = 64;
	def->osdisk = (struct disk){ .path = xstrdup(at("ds/os.qcow2")),
		.bus = DISK_BUS_VIRTIO_BLK,
		.man = DISK_MAN_MODE_MANAGED,
		.prov = DISK_PROV_MODE_THIN,
		.size = 1 };
}

/* Appends a disk below ROOT/ds. */
static inline struct disk *
add_disk(struct vmdef *def, const char *name, enum disk_man_mode man, enum disk_prov_mode prov)
{
	_free_ char *below = xasprintf("ds/%s", name);
	struct disk *disk = model_append(&def->disks, &def->n_disks);

	*disk = (struct disk){ .path = xstrdup(at(below)),
		.bus = DISK_BUS_VIRTIO_BLK,
		.man = man,
		.prov = prov,
		.size = prov ? 1 : 0 };
	return disk;
}

/* Creates it as TEST_VM. */
static inline void
create_vm(const struct vmdef *def)
{
	const struct vm_create_request request = {
		.env = env, .uuid = (char *)TEST_VM, .def = *def
	};
	struct vm_result result = { 0 };

	must_run(WORK_VM_CREATE, &request, &result);
	model_clear(&vm_result_model, &result);
}

/* Creates the small VM. */
static inline void
create_small_vm(void)
{
	struct vmdef def = { 0 };

	small_vm(&def);
	create_vm(&def);
	model_clear(&vmdef_model, &def);
}

/* TEST_VM, with ROOT/ds/free.raw, which nobody manages. */
static inline void
create_unmanaged_vm(void)
{
	struct vmdef def = { 0 };

	write_file(at("ds/free.raw"), "x", 1);
	assert_int_equal(truncate(at("ds/free.raw"), 1 << 20), 0);
	small_vm(&def);
	str_set(&def.osdisk.path, at("ds/free.raw"));
	def.osdisk.man = DISK_MAN_MODE_UNMANAGED;
	def.osdisk.prov = DISK_PROV_MODE_NONE;
	create_vm(&def);
	model_clear(&vmdef_model, &def);
}

/* What libvirt has of it: -1 for no domain, else its virDomainState. */
static inline int
domain_state(const char *uuid)
{
	_domain_ virDomainPtr domain = virDomainLookupByUUIDString(libvirt, uuid);
	int state, reason;

	if (!domain)
		return -1;
	assert_int_equal(virDomainGetState(domain, &state, &reason, 0), 0);
	return state;
}

/* Its definition in libvirt, for domain_info_clear. */
static inline void
read_domain(const char *uuid, struct domain_info *ret)
{
	_domain_ virDomainPtr domain = virDomainLookupByUUIDString(libvirt, uuid);
	struct error err = { 0 };

	assert_non_null(domain);
	*ret = (struct domain_info){ 0 };
	assert_int_equal(hypervisor_info(domain, disk_root, ret, &err), 0);
}

/* The status of an operation in the VM's own log, the caller's; NULL where it is not there. */
static inline char *
logged(const char *uuid, const char *op)
{
	_domain_info_ struct domain_info info = { 0 };

	read_domain(uuid, &info);
	for (size_t i = 0; i < info.oplog.n_items; i++) {
		if (str_equal(info.oplog.items[i].op, op))
			return steal_ptr(info.oplog.items[i].status);
	}
	return NULL;
}

static inline void
expect_logged(const char *op, const char *status)
{
	_free_ char *found = logged(TEST_VM, op);

	assert_string_equal(str_or_empty(found), status);
}

/* Whether the registry has it under that host. */
static inline bool
is_registered(const char *host, const char *uuid)
{
	_free_ char *xml = NULL;
	struct error err = { 0 };

	return registry_load(disk_root, host, uuid, &xml, &err) == 0 && xml;
}

/* Whether an operation on it is not over on this host. */
static inline bool
has_journal(const char *uuid)
{
	_journal_ struct journal journal = { 0 };
	struct error err = { 0 };

	return journal_load(disk_root, HOST1, uuid, &journal, &err) == 0 && journal.op;
}

/* Who owns the lease of a disk below ROOT/ds: a VM, "" for nobody, NULL for no lease. Valid until
 * the next call. */
static inline const char *
lease_of(const char *name)
{
	_free_ char *below = xasprintf("ds/%s", name);
	const struct disk disk = { .path = at(below) };
	static char owner[37];
	struct error err = { 0 };
	char lease[LEASE_NAME_SIZE];

	assert_int_equal(disk_resource_name(&disk, disk_root, lease, &err), 0);
	return lease_owner(disk_root, lease, owner, &err) == 0 ? owner : NULL;
}

/* The same of the lease of TEST_VM itself. */
static inline const char *
vm_lease_owner(void)
{
	static char owner[37];
	struct error err = { 0 };

	return lease_owner(disk_root, "vm-" TEST_VM, owner, &err) == 0 ? owner : NULL;
}

/* Makes TEST_VM, which is off, one from before VMs had a lease of their own. */
static inline void
take_vm_lease(void)
{
	_domain_ virDomainPtr domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	_domain_ virDomainPtr changed = NULL;
	_free_ char *xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE), *without = NULL;
	char *key = strstr(xml, "<key>vm-" TEST_VM "</key>"), *begin = NULL, *end;

	assert_non_null(key);
	for (char *next = xml; (next = strstr(next, "<lease>")) && next < key; next++)
		begin = next;
	end = strstr(key, "</lease>");
	assert_true(begin && end);
	without = xasprintf("%.*s%s", (int)(begin - xml), xml, end + strlen("</lease>"));
	changed = virDomainDefineXML(libvirt, without);
	assert_non_null(changed);
	assert_int_equal(registry_save(disk_root, env.host, TEST_VM, without, &failure), 0);
	assert_int_equal(lease_discard(disk_root, "vm-" TEST_VM, TEST_VM, &failure), 0);
}

/* All of them are gone, and the lockspace stays. */
static inline void
lose_leases(void)
{
	assert_int_equal(rename(at("lock"), at("away")), 0);
	assert_int_equal(mkdir(at("lock"), 0750), 0);
	assert_int_equal(rename(at("away/" LEASE_LOCKSPACE), at("lock/" LEASE_LOCKSPACE)), 0);
}

static inline bool
exists(const char *below)
{
	return access(at(below), F_OK) == 0;
}

#endif
