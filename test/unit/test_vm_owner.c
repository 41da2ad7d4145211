/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk_root.h"

#include "disk/lease.h"
#include "domain/journal.h"
#include "domain/registry.h"
#include "proto/vmdef.h"
#include "work/vm_owner.h"

#define HOST1 "11111111-1111-4111-8111-111111111111"
#define HOST2 "22222222-2222-4222-8222-222222222222"

static struct work_env env;

/* Each test begins with a storage on which no VM is. */
static int
setup(void **state)
{
	if (disk_root_setup(state) < 0)
		return -1;
	env = (struct work_env){ .root = disk_root, .host = (char *)HOST1 };
	return mkdir(at("lock"), 0750) == 0 ? disk_root_mark() : -1;
}

static void
put_file(const char *host)
{
	struct error err = { 0 };

	assert_int_equal(registry_save(disk_root, host, TEST_VM, "<domain/>", &err), 0);
}

static void
put_journal(const char *host, const char *op, const char *target)
{
	struct journal journal = {
		.op = (char *)op,
		.uuid = (char *)TEST_VM,
		.target = (char *)target,
	};
	struct error err = { 0 };

	assert_int_equal(journal_save(disk_root, host, &journal, &err), 0);
}

static void
expect_place(enum vm_place place, const char *host, const char *busy)
{
	struct error err = { 0 };
	struct vm_owner owner;

	assert_int_equal(vm_owner_find(&env, TEST_VM, &owner, &err), 0);
	assert_int_equal(owner.place, place);
	assert_string_equal(owner.host, host);
	assert_string_equal(owner.busy, busy);
}

static void
test_registry(void **state)
{
	expect_place(VM_PLACE_NOWHERE, "", "");
	put_file(HOST1);
	expect_place(VM_PLACE_HERE, "", "");
	/* Another's journal is of no account where the file is here. */
	put_journal(HOST2, "VmMigrate", HOST1);
	expect_place(VM_PLACE_HERE, "", "");
	put_file(HOST2);
	expect_place(VM_PLACE_HERE, HOST2, "");
}

static void
test_elsewhere(void **state)
{
	put_file(HOST2);
	expect_place(VM_PLACE_ELSEWHERE, HOST2, "");
	put_journal(HOST2, "VmMigrate", HOST1);
	expect_place(VM_PLACE_COMING, HOST2, "");
	put_journal(HOST2, "VmMigrate", TEST_OTHER);
	expect_place(VM_PLACE_ELSEWHERE, HOST2, "");
	put_journal(HOST2, "VmUpdate", HOST1);
	expect_place(VM_PLACE_ELSEWHERE, HOST2, "");
}

static void
test_journal(void **state)
{
	put_journal(HOST1, "VmCreate", "");
	expect_place(VM_PLACE_NOWHERE, "", "");
	assert_int_equal(unlink(at("xml/" HOST1 "/" TEST_VM ".journal")), 0);
	put_journal(HOST2, "VmCreate", "");
	expect_place(VM_PLACE_NOWHERE, "", HOST2);
}

static void
expect_touched(enum vm_want want, bool foreign, int status, const char *words)
{
	struct error err = { 0 };

	assert_int_equal(vm_owner_check_place(&env, TEST_VM, foreign, want, &err), status ? -1 : 0);
	assert_int_equal(err.status, status);
	if (!strstr(err.detail, words))
		fail_msg("'%s' is not in '%s'", words, err.detail);
}

static void
test_who_may_touch_it(void **state)
{
	static const enum vm_want wants[] = { VM_WANT_RUN, VM_WANT_CHANGE, VM_WANT_DELETE,
		VM_WANT_REGISTER };

	expect_touched(VM_WANT_RUN, false, 422, "is registered under no host");
	expect_touched(VM_WANT_CHANGE, false, 422, "is registered under no host");
	expect_touched(VM_WANT_RUN, true, 0, "");
	expect_touched(VM_WANT_REGISTER, false, 0, "");
	expect_touched(VM_WANT_DELETE, false, 0, "");
	for (size_t i = 0; i < ARRAY_SIZE(wants); i++) {
		put_journal(HOST2, "VmCreate", "");
		expect_touched(wants[i], false, 409, "has an operation on host '" HOST2 "'");
		put_file(HOST2);
		expect_touched(wants[i], false, 422, "is registered under host '" HOST2 "'");
		put_journal(HOST2, "VmMigrate", HOST1);
		expect_touched(wants[i], false, 409, "is on its way from host '" HOST2 "'");
		put_file(HOST1);
		expect_touched(wants[i], false, 409, "is registered under two hosts");
		assert_int_equal(unlink(at("xml/" HOST2 "/" TEST_VM ".xml")), 0);
		expect_touched(wants[i], false, 0, "");
		assert_int_equal(unlink(at("xml/" HOST1 "/" TEST_VM ".xml")), 0);
	}
}

/* What cannot be read is never taken for "nowhere". */
static void
test_unreadable(void **state)
{
	struct error err = { 0 };
	struct vm_owner owner;
	char away[PATH_MAX + 8];

	snprintf(away, sizeof(away), "%s.away", disk_root);
	assert_int_equal(rename(disk_root, away), 0);
	assert_int_equal(vm_owner_find(&env, TEST_VM, &owner, &err), -1);
	assert_int_equal(err.status, 507);
	assert_int_equal(rename(away, disk_root), 0);

	mkdir(at("xml"), 0750);
	write_file(at("xml/" HOST2), "x", 1);
	put_journal(HOST1, "VmCreate", "");
	err = (struct error){ 0 };
	assert_int_equal(mkdir(at("xml/" HOST1 "/" TEST_VM ".xml"), 0750), 0);
	assert_int_equal(vm_owner_find(&env, TEST_VM, &owner, &err), -1);
	assert_int_equal(err.status, 507);
}

/* A resource of the disk with this owner. */
static void
put_lease(const struct disk *disk, const char *owner)
{
	_free_ char *data = xcalloc(1, 1 << 20), *path = NULL;
	char name[LEASE_NAME_SIZE], below[LEASE_NAME_SIZE + 8];
	struct error err = { 0 };

	assert_int_equal(disk_resource_name(disk, disk_root, name, &err), 0);
	snprintf(below, sizeof(below), "lock/%s", name);
	mkdir(at(below), 0750);
	path = lease_path(disk_root, name);
	memcpy(data + 2002 * 512, owner, strlen(owner));
	write_file(path, data, 1 << 20);
}

static void
expect_leases(const struct domain_info *info, enum vm_want want, int status, const char *words)
{
	struct error err = { 0 };

	assert_int_equal(vm_owner_check_leases(&env, info, want, &err), status ? -1 : 0);
	if (status) {
		assert_int_equal(err.status, status);
		if (!strstr(err.detail, words))
			fail_msg("'%s' is not in '%s'", words, err.detail);
	}
}

static void
test_disks(void **state)
{
	_free_ char *path = xasprintf("%s/ds/data.qcow2", disk_root);
	struct disk data = { .path = path, .man = DISK_MAN_MODE_MANAGED };
	const struct domain_info info = { .uuid = (char *)TEST_VM, .def = { .osdisk = data } };

	/* No lease. */
	expect_leases(&info, VM_WANT_RUN, 507, "has no lease");
	expect_leases(&info, VM_WANT_CHANGE, 507, "data.qcow2");
	expect_leases(&info, VM_WANT_REGISTER, 0, NULL);
	expect_leases(&info, VM_WANT_DELETE, 0, NULL);
	/* Its own: such a VM is not deleted as one that is registered nowhere. */
	put_lease(&data, TEST_VM);
	expect_leases(&info, VM_WANT_RUN, 0, NULL);
	expect_leases(&info, VM_WANT_CHANGE, 0, NULL);
	expect_leases(&info, VM_WANT_REGISTER, 0, NULL);
	expect_leases(&info, VM_WANT_DELETE, 422, "register it first");
	/* Another VM's. */
	put_lease(&data, TEST_OTHER);
	expect_leases(&info, VM_WANT_RUN, 409, "belongs to VM '" TEST_OTHER "'");
	expect_leases(&info, VM_WANT_CHANGE, 409, "belongs to VM '" TEST_OTHER "'");
	expect_leases(&info, VM_WANT_REGISTER, 409, "belongs to VM '" TEST_OTHER "'");
	expect_leases(&info, VM_WANT_DELETE, 0, NULL);
	/* Nobody's. */
	put_lease(&data, "");
	expect_leases(&info, VM_WANT_RUN, 507, "without an owner");
	/* Damaged. */
	put_lease(&data, "noise");
	expect_leases(&info, VM_WANT_RUN, 507, "its owner is no uuid");
}

/* A VM whose disk is not managed has its own at most. */
static void
test_vm_lease(void **state)
{
	_free_ char *path = xasprintf("%s/ds/data.qcow2", disk_root);
	char name[VM_LEASE_SIZE];
	struct domain_info info = { .uuid = (char *)TEST_VM,
		.def = { .osdisk = { .path = path } },
		.lease = vm_lease_disk(name) };

	vm_lease_name(TEST_VM, name);
	expect_leases(&info, VM_WANT_RUN, 0, NULL);
	info.leased = true;
	expect_leases(&info, VM_WANT_RUN, 507, "lease 'vm-" TEST_VM "' of VM '" TEST_VM "'");
	expect_leases(&info, VM_WANT_REGISTER, 0, NULL);
	expect_leases(&info, VM_WANT_DELETE, 0, NULL);
	put_lease(&info.lease, TEST_VM);
	expect_leases(&info, VM_WANT_RUN, 0, NULL);
	expect_leases(&info, VM_WANT_DELETE, 422, "its lease 'vm-" TEST_VM "' is its own");
	put_lease(&info.lease, TEST_OTHER);
	expect_leases(&info, VM_WANT_RUN, 409, "belongs to VM '" TEST_OTHER "'");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_registry, setup, disk_root_teardown),
		cmocka_unit_test_setup_teardown(test_elsewhere, setup, disk_root_teardown),
		cmocka_unit_test_setup_teardown(test_journal, setup, disk_root_teardown),
		cmocka_unit_test_setup_teardown(test_who_may_touch_it, setup, disk_root_teardown),
		cmocka_unit_test_setup_teardown(test_unreadable, setup, disk_root_teardown),
		cmocka_unit_test_setup_teardown(test_disks, setup, disk_root_teardown),
		cmocka_unit_test_setup_teardown(test_vm_lease, setup, disk_root_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
