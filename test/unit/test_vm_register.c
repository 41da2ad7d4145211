/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work_host.h"

static struct vm_request
request_of(void)
{
	return (struct vm_request){ .env = env, .uuid = (char *)TEST_VM };
}

static void
undefine(void)
{
	_domain_ virDomainPtr domain = virDomainLookupByUUIDString(libvirt, TEST_VM);

	assert_int_equal(virDomainUndefine(domain), 0);
}

/* Registers it; defined tells whether libvirt did not have it. */
static void
expect_registered(bool defined)
{
	struct vm_request request = request_of();
	struct vm_result result = { 0 };

	must_run(WORK_VM_REGISTER, &request, &result);
	assert_int_equal(result.defined, defined);
	assert_int_equal(result.vm.n_disks, 1);
	assert_int_equal(result.vm.disks[0].capacity, 1 << 20);
	assert_true(is_registered(HOST1, TEST_VM));
	model_clear(&vm_result_model, &result);
}

static void
test_libvirt_gets_it_from_the_registry(void **state)
{
	_domain_info_ struct domain_info info = { 0 };

	create_small_vm();
	undefine();
	expect_registered(true);
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_SHUTOFF);
	read_domain(TEST_VM, &info);
	assert_string_equal(info.def.name, "vm");
}

static void
test_the_registry_gets_it_from_libvirt(void **state)
{
	create_small_vm();
	assert_int_equal(registry_remove(disk_root, HOST1, TEST_VM, &failure), 0);
	expect_registered(false);
}

/* It runs on after `virsh undefine`. */
static void
test_one_that_runs_without_a_definition(void **state)
{
	_domain_ virDomainPtr domain = NULL;

	create_small_vm();
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	assert_int_equal(virDomainCreate(domain), 0);
	undefine();
	assert_int_equal(registry_remove(disk_root, HOST1, TEST_VM, &failure), 0);
	expect_registered(true);
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_RUNNING);
	assert_int_equal(virDomainIsPersistent(domain), 1);
}

static void
test_who_is_refused(void **state)
{
	struct journal journal = { .op = (char *)"VmMigrate", .uuid = (char *)TEST_VM };
	struct vm_request request = request_of();
	int busy;

	busy = take_vm(TEST_VM);
	must_fail(WORK_VM_REGISTER, &request, 409, "another operation on VM '" TEST_VM "'");
	close(busy);
	must_fail(WORK_VM_REGISTER, &request, 404, "is in libvirt or in the registry");
	create_small_vm();
	assert_int_equal(journal_save(disk_root, HOST1, &journal, &failure), 0);
	must_fail(WORK_VM_REGISTER, &request, 409, "its journal is there");
	assert_int_equal(journal_remove(disk_root, HOST1, TEST_VM, &failure), 0);
	assert_int_equal(registry_move(disk_root, HOST1, HOST2, TEST_VM, &failure), 0);
	must_fail(WORK_VM_REGISTER, &request, 422, "is registered under host '" HOST2 "'");
}

/* It was deleted elsewhere, and its disk's path is another VM's by now. */
static void
test_what_is_left_of_a_deleted_vm(void **state)
{
	const struct disk disk = { .path = at("ds/os.qcow2") };
	struct vm_request request = request_of();
	_free_ char *path = NULL;
	char lease[LEASE_NAME_SIZE], owner[512] = TEST_OTHER;
	int fd;

	create_small_vm();
	assert_int_equal(disk_resource_name(&disk, disk_root, lease, &failure), 0);
	path = lease_path(disk_root, lease);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, owner, sizeof(owner), 2002 * 512), sizeof(owner));
	close(fd);
	undefine();
	must_fail(WORK_VM_REGISTER, &request, 409, "belongs to VM '" TEST_OTHER "'");
	assert_int_equal(domain_state(TEST_VM), -1);
}

static void
test_a_file_that_cannot_be_used(void **state)
{
	static const struct {
		const char *text, *words;
	} rows[] = {
		{ "<domain", "cannot be used" },
		{ "<domain><uuid>" TEST_OTHER "</uuid></domain>",
		    "is of another VM ('" TEST_OTHER },
		{ "<domain><uuid>" TEST_VM "</uuid></domain>", "libvirt refuses VM" },
	};
	struct vm_request request = request_of();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(
		    registry_save(disk_root, HOST1, TEST_VM, rows[i].text, &failure), 0);
		must_fail(WORK_VM_REGISTER, &request, 424, rows[i].words);
		assert_int_equal(domain_state(TEST_VM), -1);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WORK_TEST(test_libvirt_gets_it_from_the_registry),
		WORK_TEST(test_the_registry_gets_it_from_libvirt),
		WORK_TEST(test_one_that_runs_without_a_definition),
		WORK_TEST(test_who_is_refused),
		WORK_TEST(test_what_is_left_of_a_deleted_vm),
		WORK_TEST(test_a_file_that_cannot_be_used),
	};

	return cmocka_run_group_tests_name("vm_register", tests, NULL, NULL);
}
