/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work_host.h"

static struct vm_delete_request
request_of(bool deletestorage)
{
	return (struct vm_delete_request){ env, (char *)TEST_VM, deletestorage };
}

/* The warning is the caller's. */
static char *
delete_vm(bool deletestorage)
{
	struct vm_delete_request request = request_of(deletestorage);
	struct vm_result result = { 0 };
	char *warning;

	must_run(WORK_VM_DELETE, &request, &result);
	assert_true(result.gone);
	assert_int_equal(domain_state(TEST_VM), -1);
	assert_false(is_registered(HOST1, TEST_VM));
	assert_false(has_journal(TEST_VM));
	assert_null(vm_lease_owner());
	warning = xstrdup(str_or_empty(result.warning));
	model_clear(&vm_result_model, &result);
	return warning;
}

static void
test_with_its_storage(void **state)
{
	_free_ char *warning = NULL;

	create_small_vm();
	warning = delete_vm(true);
	assert_string_equal(warning, "");
	assert_null(lease_of("os.qcow2"));
	assert_false(exists("ds/os.qcow2"));
}

static void
test_without_its_storage(void **state)
{
	_free_ char *warning = NULL;

	create_small_vm();
	warning = delete_vm(false);
	assert_string_equal(warning, "");
	assert_null(lease_of("os.qcow2"));
	assert_true(exists("ds/os.qcow2"));
}

/* What somebody has made who was cut off before the definition named it. */
static void
test_a_lease_that_the_definition_does_not_name(void **state)
{
	_free_ char *warning = NULL;

	for (int whole = 0; whole < 2; whole++) {
		create_small_vm();
		take_vm_lease();
		if (whole)
			assert_int_equal(
			    lease_create(disk_root, "vm-" TEST_VM, TEST_VM, &failure), 0);
		else
			assert_int_equal(mkdir(at("lock/.vm-" TEST_VM "." TEST_VM), 0750), 0);
		free(warning);
		warning = delete_vm(true);
		assert_string_equal(warning, "");
		assert_false(exists("lock/.vm-" TEST_VM "." TEST_VM));
	}
}

/* Of one that is registered nowhere nothing tells whose it is, and its lease is its own. */
static void
test_one_without_managed_disks_that_is_registered_nowhere(void **state)
{
	struct vm_delete_request request = request_of(true);

	create_unmanaged_vm();
	assert_int_equal(registry_remove(disk_root, HOST1, TEST_VM, &failure), 0);
	must_fail(WORK_VM_DELETE, &request, 422, "its lease 'vm-" TEST_VM "' is its own");
	assert_string_equal(vm_lease_owner(), TEST_VM);
}

/* What is not managed is nobody's. */
static void
test_an_unmanaged_disk_stays(void **state)
{
	_free_ char *warning = NULL;
	struct vmdef def = { 0 };

	write_file(at("ds/shared.raw"), "x", 1);
	assert_int_equal(truncate(at("ds/shared.raw"), 1 << 20), 0);
	small_vm(&def);
	add_disk(&def, "shared.raw", DISK_MAN_MODE_UNMANAGED, DISK_PROV_MODE_NONE);
	create_vm(&def);
	model_clear(&vmdef_model, &def);
	warning = delete_vm(true);
	assert_true(exists("ds/shared.raw"));
	assert_false(exists("ds/os.qcow2"));
}

/* Somebody has written another owner into the lease. */
static void
test_the_disk_of_another_vm_stays(void **state)
{
	_free_ char *warning = NULL, *path = NULL;
	char lease[LEASE_NAME_SIZE], owner[512] = TEST_OTHER;
	const struct disk disk = { .path = at("ds/os.qcow2") };
	int fd;

	create_small_vm();
	assert_int_equal(disk_resource_name(&disk, disk_root, lease, NULL), 0);
	path = lease_path(disk_root, lease);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, owner, sizeof(owner), 2002 * 512), sizeof(owner));
	close(fd);
	warning = delete_vm(true);
	assert_non_null(strstr(warning, "belongs to VM '" TEST_OTHER "', and is left"));
	assert_true(exists("ds/os.qcow2"));
	assert_string_equal(lease_of("os.qcow2"), TEST_OTHER);
}

/* Nobody can prove whose the image is by now. */
static void
test_an_image_without_a_lease_stays(void **state)
{
	_free_ char *warning = NULL;
	char lease[LEASE_NAME_SIZE], below[LEASE_NAME_SIZE + 8];
	const struct disk disk = { .path = at("ds/os.qcow2") };

	create_small_vm();
	assert_int_equal(disk_resource_name(&disk, disk_root, lease, NULL), 0);
	snprintf(below, sizeof(below), "lock/%s", lease);
	assert_int_equal(rename(at(below), at("lease-away")), 0);
	warning = delete_vm(true);
	assert_non_null(strstr(warning, "ds/os.qcow2' is left: its lease '"));
	assert_true(exists("ds/os.qcow2"));
}

static void
test_an_image_that_is_gone_is_told(void **state)
{
	_free_ char *warning = NULL;

	create_small_vm();
	assert_int_equal(unlink(at("ds/os.qcow2")), 0);
	warning = delete_vm(true);
	assert_non_null(strstr(warning, "there was no image '"));
	assert_null(lease_of("os.qcow2"));
}

static void
test_who_is_refused(void **state)
{
	struct vm_delete_request request = request_of(true);
	_domain_ virDomainPtr domain = NULL;

	must_fail(WORK_VM_DELETE, &request, 404, "no VM '" TEST_VM "'");
	create_small_vm();
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	assert_int_equal(virDomainCreate(domain), 0);
	must_fail(WORK_VM_DELETE, &request, 422, "is not powered off");
	assert_int_equal(last_stage(), -1);
	assert_int_equal(virDomainDestroy(domain), 0);
	/* Its file is under another host, too. */
	assert_int_equal(registry_save(disk_root, HOST2, TEST_VM, "<domain/>", &failure), 0);
	must_fail(WORK_VM_DELETE, &request, 409, "registered under two hosts");
	assert_int_equal(registry_remove(disk_root, HOST1, TEST_VM, &failure), 0);
	must_fail(WORK_VM_DELETE, &request, 422, "is registered under host '" HOST2 "'");
	assert_true(exists("ds/os.qcow2"));
	assert_string_equal(lease_of("os.qcow2"), TEST_VM);
}

/* The journal of one that was cut off. */
static void
begin_delete(bool deletestorage)
{
	_free_ char *path = xstrdup(at("ds/os.qcow2"));
	struct disk disks[] = {
		{ .path = path, .device = DISK_DEVICE_DISK, .man = DISK_MAN_MODE_MANAGED },
		vm_lease_disk((char *)"vm-" TEST_VM),
	};
	struct journal journal = { .op = (char *)"VmDelete",
		.uuid = (char *)TEST_VM,
		.deletestorage = deletestorage,
		.dropped = disks,
		.n_dropped = 2,
		.ts = now_ms() };

	assert_int_equal(journal_save(disk_root, HOST1, &journal, &failure), 0);
}

/* What is left to do of it is what this one was asked for, or not all of that. */
static void
test_one_that_was_cut_off(void **state)
{
	struct vm_delete_request request = request_of(true);
	_free_ char *warning = NULL;

	create_small_vm();
	begin_delete(true);
	warning = delete_vm(true);
	assert_string_equal(warning, "");
	assert_false(exists("ds/os.qcow2"));
	create_small_vm();
	begin_delete(false);
	must_fail(WORK_VM_DELETE, &request, 404, "no VM '" TEST_VM "'");
	assert_true(exists("ds/os.qcow2"));
}

/* libvirt's test driver has a domain of its own. */
static void
test_a_foreign_domain_keeps_its_storage(void **state)
{
	_domain_ virDomainPtr domain = virDomainLookupByName(libvirt, "test");
	struct vm_delete_request request = request_of(true);
	char uuid[VIR_UUID_STRING_BUFLEN];

	assert_int_equal(virDomainGetUUIDString(domain, uuid), 0);
	assert_int_equal(virDomainDestroy(domain), 0);
	request.uuid = uuid;
	must_fail(WORK_VM_DELETE, &request, 422, "it has no metadata of VirtX");
	assert_int_equal(domain_state(uuid), VIR_DOMAIN_SHUTOFF);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WORK_TEST(test_with_its_storage),
		WORK_TEST(test_without_its_storage),
		WORK_TEST(test_a_lease_that_the_definition_does_not_name),
		WORK_TEST(test_one_without_managed_disks_that_is_registered_nowhere),
		WORK_TEST(test_an_unmanaged_disk_stays),
		WORK_TEST(test_the_disk_of_another_vm_stays),
		WORK_TEST(test_an_image_without_a_lease_stays),
		WORK_TEST(test_an_image_that_is_gone_is_told),
		WORK_TEST(test_who_is_refused),
		WORK_TEST(test_one_that_was_cut_off),
		WORK_TEST(test_a_foreign_domain_keeps_its_storage),
	};

	return cmocka_run_group_tests_name("vm_delete", tests, NULL, NULL);
}
