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
	lose_leases();
	must_fail(WORK_VM_BOOT, &request, 507, "has no lease");
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_SHUTOFF);
}

/* Boots one from before VMs had a lease of their own; the warning must have these words. */
static void
expect_older(const char *warning, bool leased)
{
	struct vm_boot_request request = request_of();
	_domain_ virDomainPtr domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	_domain_info_ struct domain_info info = { 0 };
	struct vm_result result = { 0 };

	must_run(WORK_VM_BOOT, &request, &result);
	if (*warning ? !strstr(str_or_empty(result.warning), warning) : !str_empty(result.warning))
		fail_msg("the warning is '%s'", str_or_empty(result.warning));
	assert_int_equal(result.vm.leased, leased);
	read_domain(TEST_VM, &info);
	assert_int_equal(info.leased, leased);
	model_clear(&vm_result_model, &result);
	assert_int_equal(virDomainDestroy(domain), 0);
}

static void
test_it_gets_a_lease_of_its_own(void **state)
{
	_free_ char *xml = NULL;

	create_small_vm();
	take_vm_lease();
	expect_older("", true);
	assert_string_equal(vm_lease_owner(), TEST_VM);
	assert_int_equal(registry_load(disk_root, HOST1, TEST_VM, &xml, &failure), 0);
	assert_non_null(strstr(xml, "<key>vm-" TEST_VM "</key>"));
	expect_older("", true);
}

/* What a boot leaves that is killed on the way: half a lease, one that the definition does not name
 * yet, and one that came to harm meanwhile. */
static void
test_a_lease_of_its_own_that_was_cut_off(void **state)
{
	create_small_vm();
	take_vm_lease();
	assert_int_equal(mkdir(at("lock/.vm-" TEST_VM "." TEST_VM), 0750), 0);
	expect_older("", true);
	assert_false(exists("lock/.vm-" TEST_VM "." TEST_VM));
	take_vm_lease();
	assert_int_equal(lease_create(disk_root, "vm-" TEST_VM, TEST_VM, &failure), 0);
	expect_older("", true);
	take_vm_lease();
	assert_int_equal(mkdir(at("lock/vm-" TEST_VM), 0750), 0);
	write_file(at("lock/vm-" TEST_VM "/vm-" TEST_VM), "noise", 5);
	expect_older("", true);
	assert_string_equal(vm_lease_owner(), TEST_VM);
}

/* It starts as it is. */
static void
test_a_lease_of_its_own_that_is_anothers(void **state)
{
	create_small_vm();
	take_vm_lease();
	assert_int_equal(lease_create(disk_root, "vm-" TEST_VM, TEST_OTHER, &failure), 0);
	expect_older("has no lease of its own yet", false);
	assert_string_equal(vm_lease_owner(), TEST_OTHER);
}

/* It is named, and is not there: that is nobody's to make anew without a look. */
static void
test_a_lease_of_its_own_that_is_gone(void **state)
{
	struct vm_boot_request request = request_of();

	create_small_vm();
	assert_int_equal(lease_discard(disk_root, "vm-" TEST_VM, TEST_VM, &failure), 0);
	must_fail(WORK_VM_BOOT, &request, 507, "lease 'vm-" TEST_VM "' of VM '" TEST_VM "' itself");
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_SHUTOFF);
	assert_null(vm_lease_owner());
}

/* Another VM, with a managed ROOT/ds/aaaa.raw. */
static void
create_theirs(void)
{
	struct vm_create_request theirs = { .env = env, .uuid = (char *)TEST_OTHER };
	struct vm_result result = { 0 };

	small_vm(&theirs.def);
	str_set(&theirs.def.name, "theirs");
	str_set(&theirs.def.osdisk.path, at("ds/aaaa.raw"));
	must_run(WORK_VM_CREATE, &theirs, &result);
	model_clear(&vm_result_model, &result);
	model_clear(&vmdef_model, &theirs.def);
}

/* Its definition was edited by others since; also where the lease of that disk is lost. */
static void
test_an_unmanaged_disk_of_another_vm(void **state)
{
	struct vm_boot_request request = request_of();
	_domain_ virDomainPtr domain = NULL, edited = NULL;
	_free_ char *xml = NULL;
	char *path;

	create_theirs();
	create_unmanaged_vm();
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
	path = strstr(xml, "ds/free.raw");
	assert_non_null(path);
	memcpy(path, "ds/aaaa.raw", strlen("ds/aaaa.raw"));
	edited = virDomainDefineXML(libvirt, xml);
	assert_non_null(edited);
	must_fail(WORK_VM_BOOT, &request, 422, "is managed for VM '" TEST_OTHER "'");
	lose_leases();
	assert_int_equal(lease_create(disk_root, "vm-" TEST_VM, TEST_VM, &failure), 0);
	must_fail(WORK_VM_BOOT, &request, 422, "belongs to VM '" TEST_OTHER "'");
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_SHUTOFF);
}

static void
test_a_link_to_the_disk_of_another_vm(void **state)
{
	struct vm_boot_request request = request_of();

	create_theirs();
	create_unmanaged_vm();
	assert_int_equal(unlink(at("ds/free.raw")), 0);
	assert_int_equal(link(at("ds/aaaa.raw"), at("ds/free.raw")), 0);
	must_fail(WORK_VM_BOOT, &request, 422, "is by another name (a link) disk '");
	assert_non_null(strstr(failure.detail, "of VM '" TEST_OTHER "'"));
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

#define SEED "ci/" TEST_VM "/seed.iso"

static void
test_it_runs_with_a_cd(void **state)
{
	struct cloud_init_option option = { (char *)"hostname", (char *)"web" };
	struct vm_boot_request request = request_of();
	struct vm_heal_request heal = { .env = env, .uuid = (char *)TEST_VM };
	_domain_ virDomainPtr domain = NULL;
	struct vm_result result = { 0 };
	_free_ char *xml = NULL;

	create_small_vm();
	request.cloud_init = &option;
	request.n_cloud_init = 1;
	must_run(WORK_VM_BOOT, &request, &result);
	assert_int_equal(result.vm.runstate, VMRUNSTATE_RUNNING);
	assert_string_equal(result.vm.cloud_init, at("ds/" SEED));
	assert_string_equal(lease_of(SEED), TEST_VM);
	assert_true(exists("ds/" SEED));
	model_clear(&vm_result_model, &result);
	/* Whoever boots it next has no CD in the definition. */
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
	assert_null(strstr(xml, SEED));

	/* Once it is off its lease goes, and no later boot has the CD. */
	assert_int_equal(virDomainDestroy(domain), 0);
	must_run(WORK_VM_HEAL, &heal, &result);
	assert_null(lease_of(SEED));
	assert_string_equal(str_or_empty(result.vm.cloud_init), "");
	model_clear(&vm_result_model, &result);
}

/* Another host holds the lease of the CD. */
static void
test_a_cd_goes_when_the_vm_does_not_start(void **state)
{
	struct cloud_init_option option = { (char *)"hostname", (char *)"web" };
	struct vm_boot_request request = request_of();
	const struct disk seed = { .path = at("ds/" SEED) };
	_domain_info_ struct domain_info info = { 0 };
	char lease[LEASE_NAME_SIZE];

	create_small_vm();
	request.cloud_init = &option;
	request.n_cloud_init = 1;
	assert_int_equal(disk_resource_name(&seed, disk_root, lease, &failure), 0);
	fake_sanlock_occupy(lease, true);
	must_fail(WORK_VM_BOOT, &request, 409, "is held by host_id 7");
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_SHUTOFF);
	read_domain(TEST_VM, &info);
	assert_null(info.cloud_init);
	assert_false(exists("ds/" SEED));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WORK_TEST(test_it_runs),
		WORK_TEST(test_a_disk_that_is_gone),
		WORK_TEST(test_a_lease_that_is_gone),
		WORK_TEST(test_it_gets_a_lease_of_its_own),
		WORK_TEST(test_a_lease_of_its_own_that_was_cut_off),
		WORK_TEST(test_a_lease_of_its_own_that_is_anothers),
		WORK_TEST(test_a_lease_of_its_own_that_is_gone),
		WORK_TEST(test_an_unmanaged_disk_of_another_vm),
		WORK_TEST(test_a_link_to_the_disk_of_another_vm),
		WORK_TEST(test_hugepages_that_are_not_there),
		WORK_TEST(test_it_is_registered_elsewhere),
		WORK_TEST(test_what_was_cut_off_is_settled_first),
		WORK_TEST(test_it_runs_with_a_cd),
		WORK_TEST(test_a_cd_goes_when_the_vm_does_not_start),
	};

	return cmocka_run_group_tests_name("vm_boot", tests, NULL, NULL);
}
