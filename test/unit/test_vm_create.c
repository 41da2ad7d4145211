/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work_host.h"

/* All that a VM with these two disks has anywhere. */
static void
expect_nothing_left(void)
{
	assert_int_equal(domain_state(TEST_VM), -1);
	assert_false(is_registered(HOST1, TEST_VM));
	assert_false(has_journal(TEST_VM));
	assert_null(lease_of("os.qcow2"));
	assert_null(lease_of("more.qcow2"));
	assert_null(vm_lease_owner());
	assert_false(exists("ds/os.qcow2"));
	assert_false(exists("ds/more.qcow2"));
	assert_int_equal(fake_sanlock_held(), 0);
}

static void
test_all_of_it_is_made(void **state)
{
	struct vm_create_request request = { .env = env, .uuid = (char *)TEST_VM };
	_domain_info_ struct domain_info info = { 0 };
	struct vm_result result = { 0 };

	small_vm(&request.def);
	add_disk(&request.def, "more.qcow2", DISK_MAN_MODE_MANAGED, DISK_PROV_MODE_THIN);
	must_run(WORK_VM_CREATE, &request, &result);
	assert_int_equal(last_stage(), WORK_STAGE_DONE);
	assert_string_equal(result.vm.uuid, TEST_VM);
	assert_int_equal(result.vm.runstate, VMRUNSTATE_POWEROFF);
	assert_int_equal(result.vm.n_disks, 2);
	assert_int_equal(result.vm.disks[1].index, 1);
	assert_int_equal(result.vm.disks[1].capacity, 1 << 20);
	assert_string_equal(str_or_empty(result.warning), "");
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_SHUTOFF);
	read_domain(TEST_VM, &info);
	assert_false(info.foreign);
	assert_string_equal(info.def.disks[0].path, request.def.disks[0].path);
	assert_true(is_registered(HOST1, TEST_VM));
	assert_false(has_journal(TEST_VM));
	assert_string_equal(lease_of("os.qcow2"), TEST_VM);
	assert_string_equal(lease_of("more.qcow2"), TEST_VM);
	assert_true(info.leased);
	assert_true(result.vm.leased);
	assert_string_equal(vm_lease_owner(), TEST_VM);
	assert_true(exists("ds/os.qcow2"));
	assert_true(exists("ds/more.qcow2"));
	assert_int_equal(fake_sanlock_held(), 0);
	model_clear(&vmdef_model, &request.def);
	model_clear(&vm_result_model, &result);
}

/* The second disk is no image. */
static void
test_a_failure_leaves_nothing(void **state)
{
	struct vm_create_request request = { .env = env, .uuid = (char *)TEST_VM };

	small_vm(&request.def);
	add_disk(&request.def, "missing.raw", DISK_MAN_MODE_UNMANAGED, DISK_PROV_MODE_NONE);
	must_fail(WORK_VM_CREATE, &request, 404, "missing.raw");
	assert_int_equal(last_stage(), WORK_STAGE_NONE);
	expect_nothing_left();
	model_clear(&vmdef_model, &request.def);
}

static void
test_without_sanlock_nothing_is_made(void **state)
{
	struct vm_create_request request = { .env = env, .uuid = (char *)TEST_VM };

	small_vm(&request.def);
	fake_sanlock_stop();
	must_fail(WORK_VM_CREATE, &request, 507, "sanlock cannot write");
	expect_nothing_left();
	model_clear(&vmdef_model, &request.def);
}

/* A VM without managed disks has its own lease alone. */
static void
test_without_managed_disks(void **state)
{
	struct vm_create_request request = { .env = env, .uuid = (char *)TEST_VM };
	_domain_info_ struct domain_info info = { 0 };
	struct vm_result result = { 0 };
	_free_ char *data = xcalloc(1, 1 << 20);

	write_file(at("ds/free.raw"), data, 1 << 20);
	small_vm(&request.def);
	str_set(&request.def.osdisk.path, at("ds/free.raw"));
	request.def.osdisk.man = DISK_MAN_MODE_UNMANAGED;
	request.def.osdisk.prov = DISK_PROV_MODE_NONE;
	must_run(WORK_VM_CREATE, &request, &result);
	read_domain(TEST_VM, &info);
	assert_true(info.leased);
	assert_ptr_equal(domain_info_leased(&info, 0), &info.lease);
	assert_null(domain_info_leased(&info, 1));
	assert_string_equal(vm_lease_owner(), TEST_VM);
	model_clear(&vmdef_model, &request.def);
	model_clear(&vm_result_model, &result);
}

/* What was there before stays as it was. */
static void
test_the_disk_of_another_vm_is_refused(void **state)
{
	struct vm_create_request request = { .env = env, .uuid = (char *)TEST_OTHER };

	create_small_vm();
	small_vm(&request.def);
	must_fail(WORK_VM_CREATE, &request, 507, "belongs to VM '" TEST_VM "'");
	assert_int_equal(domain_state(TEST_OTHER), -1);
	assert_false(is_registered(HOST1, TEST_OTHER));
	assert_string_equal(lease_of("os.qcow2"), TEST_VM);
	assert_true(exists("ds/os.qcow2"));
	model_clear(&vmdef_model, &request.def);
}

/* Also where its lease is lost, and only the other VM's definition tells. */
static void
test_an_unmanaged_disk_of_another_vm_is_refused(void **state)
{
	struct vm_create_request request = { .env = env, .uuid = (char *)TEST_OTHER };

	create_small_vm();
	small_vm(&request.def);
	str_set(&request.def.osdisk.path, at("ds/other.qcow2"));
	add_disk(&request.def, "os.qcow2", DISK_MAN_MODE_UNMANAGED, DISK_PROV_MODE_NONE);
	must_fail(WORK_VM_CREATE, &request, 422, "is managed for VM '" TEST_VM "'");
	lose_leases();
	must_fail(WORK_VM_CREATE, &request, 422, "belongs to VM '" TEST_VM "'");
	assert_int_equal(domain_state(TEST_OTHER), -1);
	assert_null(lease_of("other.qcow2"));
	model_clear(&vmdef_model, &request.def);
}

static void
test_an_image_that_is_there_is_taken_over(void **state)
{
	struct vm_create_request request = { .env = env, .uuid = (char *)TEST_VM };
	_free_ char *data = xcalloc(3, 1 << 20);
	struct vm_result result = { 0 };

	write_file(at("ds/old.raw"), data, 3 << 20);
	small_vm(&request.def);
	add_disk(&request.def, "old.raw", DISK_MAN_MODE_MANAGED, DISK_PROV_MODE_NONE);
	must_run(WORK_VM_CREATE, &request, &result);
	assert_int_equal(result.vm.disks[1].capacity, 3 << 20);
	assert_string_equal(lease_of("old.raw"), TEST_VM);
	model_clear(&vmdef_model, &request.def);
	model_clear(&vm_result_model, &result);
}

static void
test_an_unknown_cpu_model_is_refused(void **state)
{
	struct vm_create_request request = { .env = env, .uuid = (char *)TEST_VM };

	small_vm(&request.def);
	str_set(&request.def.cpudef.model, "Abacus");
	must_fail(WORK_VM_CREATE, &request, 422, "knows no CPU model 'Abacus'");
	expect_nothing_left();
	model_clear(&vmdef_model, &request.def);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WORK_TEST(test_all_of_it_is_made),
		WORK_TEST(test_a_failure_leaves_nothing),
		WORK_TEST(test_without_sanlock_nothing_is_made),
		WORK_TEST(test_without_managed_disks),
		WORK_TEST(test_the_disk_of_another_vm_is_refused),
		WORK_TEST(test_an_unmanaged_disk_of_another_vm_is_refused),
		WORK_TEST(test_an_image_that_is_there_is_taken_over),
		WORK_TEST(test_an_unknown_cpu_model_is_refused),
	};

	return cmocka_run_group_tests_name("vm_create", tests, NULL, NULL);
}
