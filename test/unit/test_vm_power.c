/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pause, resume, reset and shutdown: what is done to a VM that is on. */
#include "work_host.h"

/* A VM that runs: one from before VMs had a lease of their own with a disk that is nobody's, and so
 * without any, or one with a managed disk. */
static void
run_vm(bool managed)
{
	_domain_ virDomainPtr domain = NULL;
	struct vmdef def = { 0 };

	small_vm(&def);
	if (!managed) {
		write_file(at("ds/os.qcow2"), "x", 1);
		str_set(&def.osdisk.path, at("ds/os.raw"));
		assert_int_equal(rename(at("ds/os.qcow2"), at("ds/os.raw")), 0);
		assert_int_equal(truncate(at("ds/os.raw"), 1 << 20), 0);
		def.osdisk.man = DISK_MAN_MODE_UNMANAGED;
		def.osdisk.prov = DISK_PROV_MODE_NONE;
	}
	create_vm(&def);
	model_clear(&vmdef_model, &def);
	if (!managed)
		take_vm_lease();
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	assert_int_equal(virDomainCreate(domain), 0);
}

static struct vm_request
request_of(void)
{
	return (struct vm_request){ .env = env, .uuid = (char *)TEST_VM };
}

/* Runs it, and the VM must be so then. */
static void
expect(enum work_id id, const void *request, enum vmrunstate wanted, const char *warning)
{
	struct vm_result result = { 0 };

	must_run(id, request, &result);
	assert_int_equal(result.vm.runstate, wanted);
	if (*warning ? !strstr(result.warning, warning) : !str_empty(result.warning))
		fail_msg("the warning is '%s'", str_or_empty(result.warning));
	model_clear(&vm_result_model, &result);
}

static void
test_pause_and_resume(void **state)
{
	struct vm_request request = request_of();

	run_vm(false);
	must_fail(WORK_VM_RESUME, &request, 424, "is running");
	assert_int_equal(error_get_type(&failure), ERROR_ALREADY_RUNNING);
	expect(WORK_VM_PAUSE, &request, VMRUNSTATE_PAUSED, "");
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_PAUSED);
	expect_logged("VmPause", "completed");
	must_fail(WORK_VM_PAUSE, &request, 424, "is paused");
	assert_int_equal(error_get_type(&failure), ERROR_ALREADY_PAUSED);
	request.if_needed = true;
	expect(WORK_VM_PAUSE, &request, VMRUNSTATE_PAUSED, "");
	expect(WORK_VM_RESUME, &request, VMRUNSTATE_RUNNING, "");
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_RUNNING);
	expect_logged("VmResume", "completed");
}

/* The test driver has no QEMU process that could hold a lease: a VM is paused all the same, and
 * resumed only where its leases are held. */
static void
test_a_paused_vm_without_its_leases_stays_paused(void **state)
{
	struct vm_request request = request_of();

	run_vm(true);
	expect(WORK_VM_PAUSE, &request, VMRUNSTATE_PAUSED, "does not hold its leases");
	must_fail(WORK_VM_RESUME, &request, 409, "sanlock does not know the process of VM");
	assert_int_equal(last_stage(), WORK_STAGE_NONE);
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_PAUSED);
	expect_logged("VmResume", "failed");
}

static void
test_one_that_is_off_is_not_paused(void **state)
{
	struct vm_request request = request_of();

	create_small_vm();
	must_fail(WORK_VM_PAUSE, &request, 424, "it is poweroff, not running");
	must_fail(WORK_VM_RESUME, &request, 424, "it is poweroff, not paused");
	assert_int_equal(last_stage(), -1);
}

static bool reset_fails;
static unsigned int n_resets;

int
virDomainReset(virDomainPtr domain, unsigned int flags)
{
	int (*next)(virDomainPtr, unsigned int) =
	    (int (*)(virDomainPtr, unsigned int))dlsym(RTLD_NEXT, "virDomainReset");

	n_resets++;
	assert_int_equal(flags, 0);
	return next(domain, reset_fails ? ~0U : 0);
}

static enum want
want_of(void)
{
	_domain_info_ struct domain_info info = { 0 };
	_domain_ virDomainPtr domain = virDomainLookupByUUIDString(libvirt, TEST_VM);

	assert_int_equal(hypervisor_info(domain, disk_root, &info, &failure), 0);
	return info.want;
}

/* Whatever it comes to, it is done once, and what the VM is wanted to be stays. */
static void
test_reset(void **state)
{
	struct vm_request request = request_of();

	run_vm(true);
	reset_fails = false;
	n_resets = 0;
	expect(WORK_VM_RESET, &request, VMRUNSTATE_RUNNING, "");
	assert_int_equal(last_stage(), WORK_STAGE_DONE);
	expect_logged("VmReset", "completed");
	assert_int_equal(n_resets, 1);
	reset_fails = true;
	must_fail(WORK_VM_RESET, &request, 424, "cannot reset VM '" TEST_VM "': ");
	assert_int_equal(last_stage(), -1);
	expect_logged("VmReset", "failed");
	assert_int_equal(n_resets, 2);
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_RUNNING);
}

/* One that is off or paused, or whose guest is about to go down. */
static void
test_what_is_not_reset(void **state)
{
	struct vm_shutdown_request shutdown = { .env = env, .uuid = (char *)TEST_VM };
	struct vm_boot_request boot = { .env = env, .uuid = (char *)TEST_VM, .if_needed = true };
	struct vm_request request = request_of();
	_domain_ virDomainPtr domain = NULL;

	n_resets = 0;
	reset_fails = false;
	create_small_vm();
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	must_fail(WORK_VM_REBOOT, &request, 424, "it is poweroff, not running");
	must_fail(WORK_VM_RESET, &request, 424, "it is poweroff, not running");
	assert_int_equal(error_get_type(&failure), ERROR_NOT_RUNNING);
	expect(WORK_VM_BOOT, &boot, VMRUNSTATE_RUNNING, "");
	expect(WORK_VM_PAUSE, &request, VMRUNSTATE_PAUSED, "does not hold its leases");
	must_fail(WORK_VM_RESET, &request, 424, "it is paused, not running");
	assert_int_equal(virDomainResume(domain), 0);
	deaf_guests = true;
	expect(WORK_VM_SHUTDOWN, &shutdown, VMRUNSTATE_RUNNING, "");
	must_fail(
	    WORK_VM_RESET, &request, 409, "its guest was asked to shut down, and has not yet");
	must_fail(
	    WORK_VM_REBOOT, &request, 409, "its guest was asked to shut down, and has not yet");
	assert_int_equal(want_of(), WANT_OFF);
	assert_int_equal(n_resets, 0);
	expect(WORK_VM_BOOT, &boot, VMRUNSTATE_RUNNING, "");
	expect(WORK_VM_RESET, &request, VMRUNSTATE_RUNNING, "");
	assert_int_equal(want_of(), WANT_ON);
	assert_int_equal(n_resets, 1);
}

/* Nobody would boot it again. */
static void
test_one_that_is_not_known_to_be_wanted_is_not_rebooted(void **state)
{
	struct vm_request request = request_of();

	run_vm(true);
	must_fail(WORK_VM_REBOOT, &request, 422, "does not tell that it is wanted on");
	assert_int_equal(last_stage(), -1);
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_RUNNING);
}

static void
test_shutdown(void **state)
{
	struct vm_shutdown_request request = { .env = env, .uuid = (char *)TEST_VM, .force = 2 };

	run_vm(true);
	expect(WORK_VM_SHUTDOWN, &request, VMRUNSTATE_POWEROFF, "");
	assert_int_equal(last_stage(), WORK_STAGE_DONE);
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_SHUTOFF);
	expect_logged("VmShutdown", "completed");
	must_fail(WORK_VM_SHUTDOWN, &request, 424, "is off already");
	assert_int_equal(error_get_type(&failure), ERROR_ALREADY_OFF);
	request.if_needed = true;
	expect(WORK_VM_SHUTDOWN, &request, VMRUNSTATE_POWEROFF, "");
}

/* Nobody knows when the guest obeys: its end is written down by vm-heal. */
static void
test_a_guest_that_is_asked(void **state)
{
	struct vm_shutdown_request request = { .env = env, .uuid = (char *)TEST_VM };
	struct vm_heal_request heal = { .env = env, .uuid = (char *)TEST_VM };

	run_vm(true);
	expect(WORK_VM_SHUTDOWN, &request, VMRUNSTATE_POWEROFF, "");
	expect_logged("VmShutdown", "started");
	expect(WORK_VM_HEAL, &heal, VMRUNSTATE_POWEROFF, "");
	expect_logged("VmShutdown", "completed");
}

/* libvirt forgets one that has no definition. */
static void
test_a_transient_one_is_gone(void **state)
{
	struct vm_shutdown_request request = { .env = env, .uuid = (char *)TEST_VM, .force = 1 };
	_domain_ virDomainPtr domain = NULL;
	struct vm_result result = { 0 };

	run_vm(true);
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	assert_int_equal(virDomainUndefine(domain), 0);
	assert_int_equal(virDomainIsPersistent(domain), 0);
	must_run(WORK_VM_SHUTDOWN, &request, &result);
	assert_true(result.gone);
	assert_int_equal(domain_state(TEST_VM), -1);
	model_clear(&vm_result_model, &result);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WORK_TEST(test_pause_and_resume),
		WORK_TEST(test_a_paused_vm_without_its_leases_stays_paused),
		WORK_TEST(test_one_that_is_off_is_not_paused),
		WORK_TEST(test_reset),
		WORK_TEST(test_what_is_not_reset),
		WORK_TEST(test_one_that_is_not_known_to_be_wanted_is_not_rebooted),
		WORK_TEST(test_shutdown),
		WORK_TEST(test_a_guest_that_is_asked),
		WORK_TEST(test_a_transient_one_is_gone),
	};

	return cmocka_run_group_tests_name("vm_power", tests, NULL, NULL);
}
