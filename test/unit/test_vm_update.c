/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work_host.h"

/* A request that changes nothing of the small VM yet. */
static struct vm_update_request
begin(void)
{
	struct vm_update_request request = { .env = env, .uuid = (char *)TEST_VM };

	create_small_vm();
	small_vm(&request.def);
	return request;
}

static void
end(struct vm_update_request *request)
{
	assert_false(has_journal(TEST_VM));
	assert_int_equal(fake_sanlock_held(), 0);
	model_clear(&vmdef_model, &request->def);
}

static void
test_disks_come_and_go(void **state)
{
	struct vm_update_request request = begin();
	_domain_info_ struct domain_info info = { 0 };
	struct vm_result result = { 0 };

	add_disk(&request.def, "more.qcow2", DISK_MAN_MODE_MANAGED, DISK_PROV_MODE_THIN);
	must_run(WORK_VM_UPDATE, &request, &result);
	assert_int_equal(last_stage(), WORK_STAGE_DONE);
	model_clear(&vm_result_model, &result);
	assert_string_equal(lease_of("more.qcow2"), TEST_VM);
	assert_true(exists("ds/more.qcow2"));
	read_domain(TEST_VM, &info);
	assert_int_equal(info.def.n_disks, 1);
	domain_info_clear(&info);

	/* It goes, and its image stays, and may come again. */
	for (int delete = 0; delete < 2; delete ++) {
		model_clear(&vmdef_model, &request.def);
		small_vm(&request.def);
		request.deletestorage = delete;
		must_run(WORK_VM_UPDATE, &request, &result);
		model_clear(&vm_result_model, &result);
		assert_null(lease_of("more.qcow2"));
		assert_int_equal(exists("ds/more.qcow2"), !delete);
		read_domain(TEST_VM, &info);
		assert_int_equal(info.def.n_disks, 0);
		domain_info_clear(&info);
		if (delete)
			break;
		add_disk(&request.def, "more.qcow2", DISK_MAN_MODE_MANAGED, DISK_PROV_MODE_NONE);
		must_run(WORK_VM_UPDATE, &request, &result);
		model_clear(&vm_result_model, &result);
		assert_string_equal(lease_of("more.qcow2"), TEST_VM);
	}
	assert_string_equal(lease_of("os.qcow2"), TEST_VM);
	end(&request);
}

static void
test_the_machine_changes(void **state)
{
	struct vm_update_request request = begin();
	_domain_info_ struct domain_info info = { 0 };
	struct vm_result result = { 0 };

	str_set(&request.def.name, "renamed");
	request.def.memory.total = 128;
	must_run(WORK_VM_UPDATE, &request, &result);
	assert_string_equal(result.vm.def.name, "renamed");
	read_domain(TEST_VM, &info);
	assert_int_equal(info.def.memory.total, 128);
	model_clear(&vm_result_model, &result);
	end(&request);
}

/* One disk was made already when the other fails. */
static void
test_a_failure_changes_nothing(void **state)
{
	struct vm_update_request request = begin();
	_domain_info_ struct domain_info info = { 0 };

	request.def.memory.total = 128;
	add_disk(&request.def, "more.qcow2", DISK_MAN_MODE_MANAGED, DISK_PROV_MODE_THIN);
	add_disk(&request.def, "missing.raw", DISK_MAN_MODE_UNMANAGED, DISK_PROV_MODE_NONE);
	must_fail(WORK_VM_UPDATE, &request, 404, "missing.raw");
	assert_int_equal(last_stage(), WORK_STAGE_NONE);
	assert_null(lease_of("more.qcow2"));
	assert_false(exists("ds/more.qcow2"));
	read_domain(TEST_VM, &info);
	assert_int_equal(info.def.memory.total, 64);
	assert_int_equal(info.def.n_disks, 0);
	end(&request);
}

/* The lease is another's by now: the VM loses the disk all the same, and it is tried again. */
static void
test_what_cannot_be_let_go_of_is_tried_again(void **state)
{
	struct vm_update_request request = begin();
	struct vm_heal_request heal = { .env = env, .uuid = (char *)TEST_VM };
	struct vm_result result = { 0 };
	char lease[LEASE_NAME_SIZE];

	add_disk(&request.def, "more.qcow2", DISK_MAN_MODE_MANAGED, DISK_PROV_MODE_THIN);
	must_run(WORK_VM_UPDATE, &request, &result);
	model_clear(&vm_result_model, &result);
	assert_int_equal(disk_resource_name(&request.def.disks[0], disk_root, lease, NULL), 0);
	fake_sanlock_occupy(lease, true);
	model_clear(&vmdef_model, &request.def);
	small_vm(&request.def);
	must_run(WORK_VM_UPDATE, &request, &result);
	assert_non_null(strstr(result.warning, "is held by host_id 7"));
	assert_non_null(strstr(result.warning, "it is tried again for 5 minutes"));
	assert_true(has_journal(TEST_VM));
	assert_string_equal(lease_of("more.qcow2"), TEST_VM);
	model_clear(&vm_result_model, &result);

	fake_sanlock_occupy(lease, false);
	must_run(WORK_VM_HEAL, &heal, &result);
	assert_null(lease_of("more.qcow2"));
	model_clear(&vm_result_model, &result);
	end(&request);
}

/* One from before VMs had a lease of their own gets it; not where the update fails. */
static void
test_it_gets_a_lease_of_its_own(void **state)
{
	struct vm_update_request request = begin();
	_domain_info_ struct domain_info info = { 0 };
	struct vm_result result = { 0 };

	take_vm_lease();
	add_disk(&request.def, "missing.raw", DISK_MAN_MODE_UNMANAGED, DISK_PROV_MODE_NONE);
	must_fail(WORK_VM_UPDATE, &request, 404, "missing.raw");
	assert_null(vm_lease_owner());
	read_domain(TEST_VM, &info);
	assert_false(info.leased);
	domain_info_clear(&info);
	model_clear(&vmdef_model, &request.def);
	small_vm(&request.def);
	for (int i = 0; i < 2; i++) {
		must_run(WORK_VM_UPDATE, &request, &result);
		assert_string_equal(str_or_empty(result.warning), "");
		assert_true(result.vm.leased);
		assert_string_equal(vm_lease_owner(), TEST_VM);
		model_clear(&vm_result_model, &result);
	}
	end(&request);
}

/* What it had before the update stays its own when that fails. */
static void
test_a_lease_that_is_adopted_stays(void **state)
{
	struct vm_update_request request = begin();
	struct vm_result result = { 0 };

	take_vm_lease();
	assert_int_equal(lease_create(disk_root, "vm-" TEST_VM, TEST_VM, &failure), 0);
	add_disk(&request.def, "missing.raw", DISK_MAN_MODE_UNMANAGED, DISK_PROV_MODE_NONE);
	must_fail(WORK_VM_UPDATE, &request, 404, "missing.raw");
	assert_string_equal(vm_lease_owner(), TEST_VM);
	model_clear(&vmdef_model, &request.def);
	small_vm(&request.def);
	must_run(WORK_VM_UPDATE, &request, &result);
	assert_true(result.vm.leased);
	model_clear(&vm_result_model, &result);
	end(&request);
}

/* What a boot has left that was killed as it made the lease: half of it, or one that came to harm.
 */
static void
test_a_lease_that_was_cut_off(void **state)
{
	static const char *const dirs[] = { "lock/.vm-" TEST_VM "." TEST_VM, "lock/vm-" TEST_VM };
	struct vm_update_request request = begin();
	struct vm_result result = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		_free_ char *file = xasprintf("%s/vm-" TEST_VM, dirs[i]);

		take_vm_lease();
		assert_int_equal(mkdir(at(dirs[i]), 0750), 0);
		write_file(at(file), "", 0);
		assert_int_equal(truncate(at(file), 1 << 20), 0);
		must_run(WORK_VM_UPDATE, &request, &result);
		assert_true(result.vm.leased);
		assert_string_equal(vm_lease_owner(), TEST_VM);
		assert_false(exists("lock/.vm-" TEST_VM "." TEST_VM));
		model_clear(&vm_result_model, &result);
	}
	end(&request);
}

/* With all leases that libvirt allows on its disks there is none left, and that is told. */
static void
test_one_with_too_many_disks(void **state)
{
	struct vm_update_request request = begin();
	struct vm_result result = { 0 };

	take_vm_lease();
	for (int i = 1; i < VMDEF_LEASES_MAX; i++) {
		_free_ char *name = xasprintf("more%d.raw", i);

		add_disk(&request.def, name, DISK_MAN_MODE_MANAGED, DISK_PROV_MODE_THIN);
	}
	must_run(WORK_VM_UPDATE, &request, &result);
	assert_non_null(strstr(result.warning, "has no lease of its own: its 7 managed disks"));
	assert_false(result.vm.leased);
	assert_null(vm_lease_owner());
	model_clear(&vm_result_model, &result);
	model_clear(&vmdef_model, &request.def);
	small_vm(&request.def);
	must_run(WORK_VM_UPDATE, &request, &result);
	assert_true(result.vm.leased);
	assert_string_equal(vm_lease_owner(), TEST_VM);
	model_clear(&vm_result_model, &result);
	end(&request);
}

static void
test_a_disk_does_not_change_under_the_vm(void **state)
{
	struct vm_update_request request = begin();
	struct disk *disk = &request.def.osdisk;

	disk->size = 2;
	must_fail(WORK_VM_UPDATE, &request, 422, "vmdef.osdisk.size: disk '");
	disk->size = 0;
	disk->prov = DISK_PROV_MODE_THICK;
	must_fail(WORK_VM_UPDATE, &request, 422, "is provisioned thin");
	disk->prov = DISK_PROV_MODE_NONE;
	disk->man = DISK_MAN_MODE_UNMANAGED;
	must_fail(WORK_VM_UPDATE, &request, 422, "is managed, which an update does not change");
	disk->man = DISK_MAN_MODE_MANAGED;
	disk->device = DISK_DEVICE_LUN;
	must_fail(WORK_VM_UPDATE, &request, 422, "is a disk, which an update does not change");
	assert_int_equal(last_stage(), -1);
	end(&request);
}

static void
test_a_disk_of_another_vm_is_refused(void **state)
{
	struct vm_update_request request = begin();
	struct vm_create_request theirs = { .env = env, .uuid = (char *)TEST_OTHER };
	struct vm_result result = { 0 };
	struct disk *disk;

	small_vm(&theirs.def);
	str_set(&theirs.def.name, "theirs");
	str_set(&theirs.def.osdisk.path, at("ds/theirs.qcow2"));
	must_run(WORK_VM_CREATE, &theirs, &result);
	model_clear(&vm_result_model, &result);
	disk = add_disk(&request.def, "theirs.qcow2", DISK_MAN_MODE_UNMANAGED, DISK_PROV_MODE_NONE);
	must_fail(WORK_VM_UPDATE, &request, 422, "is managed for VM '" TEST_OTHER "'");
	disk->man = DISK_MAN_MODE_MANAGED;
	must_fail(WORK_VM_UPDATE, &request, 507, "belongs to VM '" TEST_OTHER "'");
	assert_string_equal(lease_of("theirs.qcow2"), TEST_OTHER);
	assert_true(exists("ds/theirs.qcow2"));
	model_clear(&vmdef_model, &theirs.def);
	end(&request);
}

static void
test_who_is_refused(void **state)
{
	struct vm_update_request request = begin();
	_domain_ virDomainPtr domain = virDomainLookupByUUIDString(libvirt, TEST_VM);

	assert_int_equal(virDomainCreate(domain), 0);
	must_fail(WORK_VM_UPDATE, &request, 422, "is not powered off");
	assert_int_equal(virDomainDestroy(domain), 0);
	request.uuid = (char *)TEST_OTHER;
	must_fail(WORK_VM_UPDATE, &request, 404, "no VM '" TEST_OTHER "' on this host");
	request.uuid = (char *)TEST_VM;
	assert_int_equal(rename(at("xml/" HOST1 "/" TEST_VM ".xml"), at("xml/" HOST1 "/away")), 0);
	must_fail(WORK_VM_UPDATE, &request, 422, "registered under no host");
	assert_int_equal(registry_save(disk_root, HOST2, TEST_VM, "<domain/>", &failure), 0);
	must_fail(WORK_VM_UPDATE, &request, 422, "is registered under host '" HOST2 "'");
	assert_int_equal(last_stage(), -1);
	end(&request);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WORK_TEST(test_disks_come_and_go),
		WORK_TEST(test_the_machine_changes),
		WORK_TEST(test_a_failure_changes_nothing),
		WORK_TEST(test_what_cannot_be_let_go_of_is_tried_again),
		WORK_TEST(test_it_gets_a_lease_of_its_own),
		WORK_TEST(test_a_lease_that_is_adopted_stays),
		WORK_TEST(test_a_lease_that_was_cut_off),
		WORK_TEST(test_one_with_too_many_disks),
		WORK_TEST(test_a_disk_does_not_change_under_the_vm),
		WORK_TEST(test_a_disk_of_another_vm_is_refused),
		WORK_TEST(test_who_is_refused),
	};

	return cmocka_run_group_tests_name("vm_update", tests, NULL, NULL);
}
