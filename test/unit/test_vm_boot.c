/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work_host.h"

static struct vm_boot_request
request_of(void)
{
	return (struct vm_boot_request){ .env = env, .uuid = (char *)TEST_VM };
}

static void
test_it_runs(void **state)
{
	struct vm_boot_request request = request_of();
	struct vm_result result = { 0 };

	create_small_vm();
	must_run(WORK_VM_BOOT, &request, &result);
	assert_int_equal(result.vm.runstate, VMRUNSTATE_RUNNING);
	assert_false(result.nothing);
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_RUNNING);
	expect_logged("VmBoot", "completed");
	model_clear(&vm_result_model, &result);

	must_fail(WORK_VM_BOOT, &request, 424, "is running already");
	request.if_needed = true;
	must_run(WORK_VM_BOOT, &request, &result);
	assert_true(result.nothing);
	model_clear(&vm_result_model, &result);
}

static void
test_a_disk_that_is_gone(void **state)
{
	struct vm_boot_request request = request_of();

	create_small_vm();
	assert_int_equal(unlink(at("ds/os.qcow2")), 0);
	must_fail(WORK_VM_BOOT, &request, 422, "os.qcow2': there is no such file");
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_SHUTOFF);
	expect_logged("VmBoot", "");
}

static void
test_a_lease_that_is_gone(void **state)
{
	struct vm_boot_request request = request_of();

	create_small_vm();
	assert_int_equal(rename(at("lock"), at("away")), 0);
	assert_int_equal(mkdir(at("lock"), 0750), 0);
	write_file(at("lock/" LEASE_LOCKSPACE), "x", 1);
	must_fail(WORK_VM_BOOT, &request, 507, "has no lease");
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_SHUTOFF);
}

/* More than any machine has; 1 GiB pages where the definition asks for them. */
static void
test_hugepages_that_are_not_there(void **state)
{
	struct vm_boot_request request = request_of();
	struct vmdef def = { 0 };

	small_vm(&def);
	def.memory.hp = true;
	def.memory.total = INT32_MAX;
	create_vm(&def);
	model_clear(&vmdef_model, &def);
	must_fail(WORK_VM_BOOT, &request, 422, "hugepages");
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_SHUTOFF);
}

static void
test_it_is_registered_elsewhere(void **state)
{
	struct vm_boot_request request = request_of();

	create_small_vm();
	assert_int_equal(registry_move(disk_root, HOST1, HOST2, TEST_VM, &failure), 0);
	must_fail(
	    WORK_VM_BOOT, &request, 422, "is registered under host '" HOST2 "', not '" HOST1 "'");
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_SHUTOFF);
}

/* An earlier update was cut off before it had changed the definition. */
static void
test_what_was_cut_off_is_settled_first(void **state)
{
	struct vm_boot_request request = request_of();
	struct disk made = { .path = at("ds/more.qcow2"),
		.man = DISK_MAN_MODE_MANAGED,
		.prov = DISK_PROV_MODE_THIN,
		.size = 1 };
	struct journal journal = {
		.op = (char *)"VmUpdate", .uuid = (char *)TEST_VM, .made = &made, .n_made = 1
	};
	struct vm_result result = { 0 };
	char lease[LEASE_NAME_SIZE];

	create_small_vm();
	assert_int_equal(journal_save(disk_root, HOST1, &journal, &failure), 0);
	assert_int_equal(disk_resource_name(&made, disk_root, lease, &failure), 0);
	assert_int_equal(lease_create(disk_root, lease, TEST_VM, &failure), 0);
	must_run(WORK_VM_BOOT, &request, &result);
	assert_int_equal(result.vm.runstate, VMRUNSTATE_RUNNING);
	assert_null(lease_of("more.qcow2"));
	assert_false(has_journal(TEST_VM));
	model_clear(&vm_result_model, &result);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WORK_TEST(test_it_runs),
		WORK_TEST(test_a_disk_that_is_gone),
		WORK_TEST(test_a_lease_that_is_gone),
		WORK_TEST(test_hugepages_that_are_not_there),
		WORK_TEST(test_it_is_registered_elsewhere),
		WORK_TEST(test_what_was_cut_off_is_settled_first),
	};

	return cmocka_run_group_tests_name("vm_boot", tests, NULL, NULL);
}
