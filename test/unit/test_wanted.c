/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a VM is wanted to be: what boot and shutdown write, and what vm-heal makes of the rest. */
#include "work_host.h"

#include "domain/metadata.h"
#include "state/reason.h"
#include "work/host_down.h"
#include "work/oplog.h"

static bool no_starts; /* libvirt starts nothing */
static bool full;      /* the registry takes nothing */

int __real_registry_save(
    const char *root, const char *host, const char *uuid, const char *xml, struct error *err);
int __wrap_registry_save(
    const char *root, const char *host, const char *uuid, const char *xml, struct error *err);

int
__wrap_registry_save(
    const char *root, const char *host, const char *uuid, const char *xml, struct error *err)
{
	if (full)
		return error_set(err, 507, "no space left");
	return __real_registry_save(root, host, uuid, xml, err);
}

static enum want seen_at_start; /* by the registry, as libvirt was told to start it */

static enum want
registered(void)
{
	_domain_info_ struct domain_info info = { 0 };
	_free_ char *xml = NULL;
	struct error err = { 0 };

	assert_int_equal(registry_load(disk_root, HOST1, TEST_VM, &xml, &err), 0);
	assert_non_null(xml);
	assert_int_equal(domain_xml_read(xml, disk_root, &info, &err), 0);
	return info.want;
}

int
virDomainCreate(virDomainPtr domain)
{
	int (*next)(virDomainPtr) = (int (*)(virDomainPtr))dlsym(RTLD_NEXT, "virDomainCreate");

	seen_at_start = registered();
	return no_starts ? -1 : next(domain);
}

static enum { ENDS, REFUSES, WENT_BEFORE } destroy; /* what libvirt does when it is to end it */

int
virDomainDestroyFlags(virDomainPtr domain, unsigned int flags)
{
	int (*next)(virDomainPtr, unsigned int) =
	    (int (*)(virDomainPtr, unsigned int))dlsym(RTLD_NEXT, "virDomainDestroyFlags");

	if (destroy == WENT_BEFORE)
		assert_int_equal(virDomainShutdown(domain), 0);
	return destroy == ENDS ? next(domain, flags) : -1;
}

/* The definition, which has VirtX's own element of the metadata first, and the registry say so. */
static void
expect_want(enum want want, bool excused)
{
	_domain_ virDomainPtr domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	_domain_info_ struct domain_info info = { 0 };
	_free_ char *xml = NULL;
	struct error err = { 0 };

	assert_non_null(domain);
	xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
	assert_int_equal(domain_xml_read(xml, disk_root, &info, &err), 0);
	assert_int_equal(info.want, want);
	assert_int_equal(info.excused, excused);
	assert_int_equal(registered(), want);
	if (strstr(xml, METADATA_WANT))
		assert_true(strstr(xml, "virtx-vm") < strstr(xml, METADATA_WANT));
}

/* By hand, into libvirt's definition alone. */
static void
write_want(enum want want, bool excused)
{
	_domain_ virDomainPtr domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	_free_ char *xml = metadata_want_build(want, excused);
	unsigned int flags = VIR_DOMAIN_AFFECT_CONFIG;

	if (virDomainIsActive(domain) == 1)
		flags |= VIR_DOMAIN_AFFECT_LIVE;
	assert_int_equal(virDomainSetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, xml,
			     METADATA_WANT, METADATA_WANT, flags),
	    0);
}

static void
write_log(const char *op, const char *msg)
{
	_domain_ virDomainPtr domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	int64_t ts;

	assert_int_equal(oplog_begin(domain, op, msg, &ts, &failure), 0);
}

/* What the result of a boot warns of. */
static void
boot(bool if_needed, const char *warning)
{
	struct vm_boot_request request = {
		.env = env, .uuid = (char *)TEST_VM, .if_needed = if_needed
	};
	struct vm_result result = { 0 };

	must_run(WORK_VM_BOOT, &request, &result);
	assert_int_equal(result.vm.runstate, VMRUNSTATE_RUNNING);
	assert_int_equal(result.vm.want, WANT_ON);
	assert_true(result.vm.recorded);
	if (*warning ? !strstr(str_or_empty(result.warning), warning) : !str_empty(result.warning))
		fail_msg("the warning is '%s'", str_or_empty(result.warning));
	model_clear(&vm_result_model, &result);
}

static void
shut(int16_t force, bool storage, bool nothing)
{
	struct vm_shutdown_request request = { .env = env,
		.uuid = (char *)TEST_VM,
		.force = force,
		.if_needed = true,
		.storage = storage };
	struct vm_result result = { 0 };

	must_run(WORK_VM_SHUTDOWN, &request, &result);
	assert_int_equal(result.vm.want, WANT_OFF);
	assert_int_equal(result.nothing, nothing);
	model_clear(&vm_result_model, &result);
}

static void
heal(const char *op, bool ended)
{
	struct vm_heal_request request = {
		.env = env, .uuid = (char *)TEST_VM, .op = (char *)op, .ended = ended
	};
	struct vm_result result = { 0 };

	must_run(WORK_VM_HEAL, &request, &result);
	model_clear(&vm_result_model, &result);
}

/* What somebody else does to it: its guest goes off, or its process is ended. */
static void
power_off(bool of_its_own)
{
	_domain_ virDomainPtr domain = virDomainLookupByUUIDString(libvirt, TEST_VM);

	assert_int_equal(of_its_own ? virDomainShutdown(domain) : virDomainDestroy(domain), 0);
}

/* libvirt does not know any more why it is off. */
static void
define_anew(void)
{
	_domain_ virDomainPtr domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	_domain_ virDomainPtr anew = NULL;
	_free_ char *xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
	int state, reason;

	assert_int_equal(virDomainUndefine(domain), 0);
	anew = virDomainDefineXML(libvirt, xml);
	assert_non_null(anew);
	assert_int_equal(virDomainGetState(anew, &state, &reason, 0), 0);
	assert_int_equal(state, VIR_DOMAIN_SHUTOFF);
	assert_int_equal(reason, VIR_DOMAIN_SHUTOFF_UNKNOWN);
}

static void
test_boot_and_shutdown(void **state)
{
	create_small_vm();
	expect_want(WANT_UNKNOWN, false);
	for (int16_t force = 0; force <= 2; force++) {
		boot(false, "");
		assert_int_equal(seen_at_start, WANT_ON);
		expect_want(WANT_ON, false);
		shut(force, true, false);
		expect_want(WANT_OFF, false);
		heal("", false);
		expect_want(WANT_OFF, false);
	}
	shut(0, true, true);
}

/* It was asked to shut down, and has not obeyed. */
static void
test_one_that_is_to_stay_on(void **state)
{
	const struct vm_boot_request request = { .env = env, .uuid = (char *)TEST_VM };

	create_small_vm();
	boot(false, "");
	write_want(WANT_OFF, false);
	write_log("VmShutdown", "");
	heal("", false);
	expect_want(WANT_OFF, false);
	must_fail(WORK_VM_BOOT, &request, 424, "is running already");
	expect_want(WANT_OFF, false);
	boot(true, "");
	expect_want(WANT_ON, false);
	expect_logged("VmShutdown", "failed");
}

/* It is wanted on before it starts, and as it was before where it does not. */
static void
test_one_that_does_not_start(void **state)
{
	const struct vm_boot_request request = { .env = env, .uuid = (char *)TEST_VM };

	create_small_vm();
	no_starts = true;
	must_fail(WORK_VM_BOOT, &request, 424, "cannot boot VM");
	assert_int_equal(seen_at_start, WANT_ON);
	assert_int_equal(last_stage(), WORK_STAGE_NONE);
	expect_want(WANT_OFF, false);
	write_want(WANT_ON, true);
	must_fail(WORK_VM_BOOT, &request, 424, "cannot boot VM");
	no_starts = false;
	expect_want(WANT_ON, true);
}

/* A disk that is full keeps no VM from starting or stopping; the registry is told later. */
static void
test_a_registry_that_takes_nothing(void **state)
{
	create_small_vm();
	full = true;
	boot(false, "the registry does not tell that VM '" TEST_VM "' is wanted on");
	full = false;
	assert_int_equal(registered(), WANT_UNKNOWN);
	heal("", false);
	expect_want(WANT_ON, false);
	full = true;
	shut(2, true, false);
	full = false;
	assert_int_equal(registered(), WANT_ON);
	heal("", false);
	expect_want(WANT_OFF, false);
}

/* Whether a reconciliation has vm-heal look at it. */
static bool
is_unfinished(void)
{
	struct reconcile_request request = { .env = env };
	struct reconcile_result result = { 0 };
	bool found;

	must_run(WORK_RECONCILE, &request, &result);
	found = result.n_unfinished > 0 && str_equal(result.unfinished[0].uuid, TEST_VM);
	model_clear(&reconcile_result_model, &result);
	return found;
}

/* Storage that is not there is not waited for, and told when it is. */
static void
test_a_shutdown_without_the_storage(void **state)
{
	create_small_vm();
	boot(false, "");
	assert_false(is_unfinished());
	shut(1, false, false);
	assert_int_equal(registered(), WANT_ON);
	assert_true(is_unfinished());
	heal("", false);
	assert_false(is_unfinished());
	expect_want(WANT_OFF, false);
}

/* The other way to be off: what is asked for then is news. */
static void
test_a_shutdown_of_one_that_has_crashed(void **state)
{
	create_small_vm();
	boot(false, "");
	power_off(false);
	heal("", false);
	expect_want(WANT_ON, false);
	shut(0, true, false);
	expect_want(WANT_OFF, false);
	shut(0, true, true);
}

static void
test_a_guest_that_powers_itself_off(void **state)
{
	create_small_vm();
	boot(false, "");
	power_off(true);
	/* As an interrupted pause looks for its end: that is its own matter. */
	heal("VmPause", false);
	expect_want(WANT_ON, false);
	heal("", false);
	expect_want(WANT_OFF, false);
}

/* Nor is it the guest's wish to stay off where it was asked to reboot; a shutdown since is one. */
static void
test_a_guest_that_reboots(void **state)
{
	struct vm_request request = { .env = env, .uuid = (char *)TEST_VM };
	struct vm_result result = { 0 };

	create_small_vm();
	boot(false, "");
	must_run(WORK_VM_REBOOT, &request, &result);
	assert_int_equal(result.vm.want, WANT_ON);
	model_clear(&vm_result_model, &result);
	expect_logged("VmReboot", "started");
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_SHUTOFF);
	heal("", false);
	expect_want(WANT_ON, true);
	expect_logged("VmReboot", "started");
	/* The boot after it is cut off, and once more where libvirt was started since. */
	for (int i = 0; i < 2; i++) {
		write_log("VmBoot", "");
		heal("", false);
		expect_want(WANT_ON, true);
		expect_logged("VmBoot", "failed");
		expect_logged("VmReboot", "started");
		heal("", false);
		expect_logged("VmReboot", "started");
		define_anew();
	}
	boot(false, "");
	heal("", false);
	expect_want(WANT_ON, false);
	expect_logged("VmReboot", "completed");

	/* It has not obeyed yet. */
	deaf_guests = true;
	must_run(WORK_VM_REBOOT, &request, &result);
	model_clear(&vm_result_model, &result);
	heal("", false);
	expect_logged("VmReboot", "started");
	deaf_guests = false;
	shut(0, true, false);
	heal("", false);
	expect_want(WANT_OFF, false);
	expect_logged("VmReboot", "failed");

	/* One that goes off in another way does not do so to reboot. */
	boot(false, "");
	deaf_guests = true;
	must_run(WORK_VM_REBOOT, &request, &result);
	model_clear(&vm_result_model, &result);
	power_off(false);
	heal("", false);
	expect_want(WANT_ON, false);
	expect_logged("VmReboot", "failed");
}

/* It has ten minutes; what it does later is its own wish. */
static void
test_a_guest_that_does_not_reboot(void **state)
{
	_domain_ virDomainPtr domain = NULL;

	create_small_vm();
	boot(false, "");
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	assert_int_equal(
	    oplog_begin_at(domain, "VmBoot", "", now_ms() - 2 * REASON_REBOOT_MS, &failure), 0);
	assert_int_equal(
	    oplog_begin_at(domain, "VmReboot", "", now_ms() - REASON_REBOOT_MS, &failure), 0);
	heal("", false);
	expect_logged("VmReboot", "failed");
	power_off(true);
	heal("", false);
	expect_want(WANT_OFF, false);
}

/* Whoever reboots a host wants to have its VMs back. */
static void
test_a_guest_that_goes_with_its_host(void **state)
{
	create_small_vm();
	boot(false, "");
	assert_int_equal(host_down_begin_guests(env.run_dir, &failure), 0);
	power_off(true);
	heal("", false);
	expect_want(WANT_ON, true);
	/* libvirt-guests was only restarted: that stays so. */
	assert_int_equal(unlink(at("run/guests")), 0);
	heal("", false);
	expect_want(WANT_ON, true);
	boot(false, "");
	expect_want(WANT_ON, false);
	/* One that somebody has asked for by then is off all the same. */
	assert_int_equal(host_down_begin_guests(env.run_dir, &failure), 0);
	write_log("VmShutdown", "");
	power_off(true);
	heal("", false);
	expect_want(WANT_OFF, false);
}

/* sanlock, say, by a signal, after which libvirt says that the guest shut down. */
static void
test_one_that_was_ended(void **state)
{
	create_small_vm();
	boot(false, "");
	power_off(true);
	heal("", true);
	expect_want(WANT_ON, true);
	boot(false, "");
	write_log("VmShutdown", REASON_UNPROTECTED ": why");
	power_off(false);
	heal("", false);
	expect_want(WANT_ON, false);
}

/* By another program, or before an update of virtxd. */
static void
test_one_that_runs_is_wanted_on(void **state)
{
	_domain_ virDomainPtr domain = NULL;

	create_small_vm();
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	assert_int_equal(virDomainCreate(domain), 0);
	heal("", false);
	expect_want(WANT_ON, false);
	write_want(WANT_ON, true);
	heal("", false);
	expect_want(WANT_ON, false);
	assert_int_equal(virDomainSuspend(domain), 0);
	write_want(WANT_OFF, false);
	heal("", false);
	expect_want(WANT_ON, false);
}

/* A shutdown that libvirt refuses changes nothing; where the VM went by itself it is none. */
static void
test_a_shutdown_that_is_refused(void **state)
{
	const struct vm_shutdown_request request = {
		.env = env, .uuid = (char *)TEST_VM, .force = 2, .storage = true
	};

	create_small_vm();
	boot(false, "");
	destroy = REFUSES;
	must_fail(WORK_VM_SHUTDOWN, &request, 424, "cannot shut down VM");
	assert_int_equal(last_stage(), WORK_STAGE_NONE);
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_RUNNING);
	expect_want(WANT_ON, false);
	expect_logged("VmShutdown", "failed");
	destroy = WENT_BEFORE;
	must_fail(WORK_VM_SHUTDOWN, &request, 424, "cannot shut down VM");
	destroy = ENDS;
	assert_int_equal(last_stage(), WORK_STAGE_BEGUN);
	heal("VmShutdown", false);
	expect_want(WANT_OFF, false);
	expect_logged("VmShutdown", "completed");
}

/* Its guest was asked, and has not obeyed; that it cannot be ended by force takes nothing back. */
static void
test_a_shutdown_that_is_refused_after_another(void **state)
{
	const struct vm_shutdown_request request = {
		.env = env, .uuid = (char *)TEST_VM, .force = 1, .storage = true
	};

	create_small_vm();
	boot(false, "");
	deaf_guests = true;
	shut(0, true, false);
	destroy = REFUSES;
	must_fail(WORK_VM_SHUTDOWN, &request, 424, "cannot shut down VM");
	destroy = ENDS;
	assert_int_equal(last_stage(), WORK_STAGE_NONE);
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_RUNNING);
	expect_logged("VmShutdown", "started");
	heal("", false);
	expect_want(WANT_OFF, false);
	power_off(false);
	heal("", false);
	expect_want(WANT_OFF, false);
	expect_logged("VmShutdown", "completed");
}

/* Killed at each instruction that matters; vm-heal finds what was written by then. */
static void
test_a_boot_that_was_cut_off(void **state)
{
	create_small_vm();
	/* Before, and after it has written what is wanted; its guest was off before. */
	boot(false, "");
	power_off(true);
	heal("", false);
	write_log("VmBoot", "");
	heal("", false);
	expect_want(WANT_OFF, false);
	expect_logged("VmBoot", "failed");
	write_log("VmBoot", "");
	write_want(WANT_ON, false);
	heal("", false);
	expect_want(WANT_ON, true);
	expect_logged("VmBoot", "failed");
	/* Also where virtxd was not killed, and looks for its end. */
	write_want(WANT_OFF, false);
	write_log("VmBoot", "");
	write_want(WANT_ON, false);
	heal("VmBoot", false);
	heal("", false);
	expect_want(WANT_ON, true);
	expect_logged("VmBoot", "failed");
}

/* What a shutdown that was killed has written by then, and what becomes of the VM. */
struct cut_off {
	const char *msg;
	bool wanted_off, off; /* was written; libvirt has done it */
	const char *op;	      /* virtxd looks for its end */
	/* then: */
	enum want want;
	const char *status;
	bool done;
	unsigned int asked;
};

static void
cut_off(const struct cut_off *row)
{
	struct vm_heal_request request = {
		.env = env, .uuid = (char *)TEST_VM, .op = (char *)row->op
	};
	struct vm_result result = { 0 };
	bool on;

	boot(false, "");
	write_log("VmShutdown", row->msg);
	if (row->wanted_off)
		write_want(WANT_OFF, false);
	if (row->off)
		power_off(false);
	assert_int_equal(registered(), WANT_ON);
	guests_asked = 0;
	must_run(WORK_VM_HEAL, &request, &result);
	on = domain_state(TEST_VM) == VIR_DOMAIN_RUNNING;
	assert_int_equal(on, !row->off);
	expect_want(row->want, false);
	expect_logged("VmShutdown", row->status);
	assert_int_equal(result.done, row->done);
	assert_int_equal(guests_asked, row->asked);
	model_clear(&vm_result_model, &result);
	/* That was all there is to heal. */
	heal("", false);
	expect_want(row->want, false);
	expect_logged("VmShutdown", row->status);
	if (on)
		power_off(false);
	heal("", false);
	expect_want(row->want, false);
}

static void
test_a_shutdown_that_was_cut_off(void **state)
{
	static const struct cut_off rows[] = {
		{ "", false, false, "", WANT_ON, "failed", false, 0 },
		{ "", false, false, "VmShutdown", WANT_ON, "failed", false, 0 },
		{ "forced shutdown", false, false, "", WANT_ON, "failed", false, 0 },
		{ "forced shutdown", true, false, "", WANT_ON, "failed", false, 0 },
		{ "forced shutdown", true, false, "VmShutdown", WANT_ON, "failed", false, 0 },
		/* Its guest may have been asked, or not. */
		{ "", true, false, "", WANT_OFF, "started", false, 0 },
		{ "", true, false, "VmShutdown", WANT_OFF, "started", true, 1 },
		/* libvirt has done it. */
		{ "forced shutdown", true, true, "", WANT_OFF, "completed", false, 0 },
		{ "forced shutdown", true, true, "VmShutdown", WANT_OFF, "completed", true, 0 },
		{ "", true, true, "", WANT_OFF, "completed", false, 0 },
	};

	create_small_vm();
	deaf_guests = true;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cut_off(&rows[i]);
		shut(2, true, rows[i].want == WANT_OFF);
	}
}

/* Its guest has obeyed, and it was booted before anybody saw that. */
static void
test_one_that_was_booted_since(void **state)
{
	int64_t then;

	create_small_vm();
	boot(false, "");
	write_log("VmShutdown", "");
	then = now_ms();
	power_off(true);
	while (now_ms() == then)
		;
	boot(false, "");
	expect_logged("VmShutdown", "started");
	heal("", false);
	expect_want(WANT_ON, false);
	expect_logged("VmShutdown", "completed");
}

/* The clock was set back since what came before: what comes after it is still the later. */
static void
test_a_clock_that_was_ahead(void **state)
{
	_domain_ virDomainPtr domain = NULL;
	int64_t ahead = now_ms() + 3600000;

	create_small_vm();
	boot(false, "");
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	assert_int_equal(oplog_complete(domain, "VmBoot", ahead, "", &failure), 0);
	deaf_guests = true;
	shut(0, true, false);
	heal("", false);
	expect_want(WANT_OFF, false);
	expect_logged("VmShutdown", "started");
	/* And booted before anybody saw that it had obeyed. */
	power_off(true);
	boot(false, "");
	heal("", false);
	expect_want(WANT_ON, false);
	expect_logged("VmShutdown", "completed");
}

/* The Go virtx takes the first element of the metadata for its own. */
static void
test_one_that_is_not_ours(void **state)
{
	_domain_ virDomainPtr domain = NULL;
	_free_ char *definition = NULL, *after = NULL;
	struct vm_boot_request request = { .env = env, .uuid = (char *)TEST_OTHER };
	struct vm_result result = { 0 };

	definition = xstrdup("<domain type='test'><name>theirs</name><uuid>" TEST_OTHER
			     "</uuid><memory>8192</memory><os><type>hvm</type></os></domain>");
	domain = virDomainDefineXML(libvirt, definition);
	assert_non_null(domain);
	seen_at_start = WANT_UNKNOWN;
	create_small_vm();
	must_run(WORK_VM_BOOT, &request, &result);
	assert_false(result.vm.recorded);
	after = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
	assert_null(strstr(after, METADATA_WANT));
	model_clear(&vm_result_model, &result);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WORK_TEST(test_boot_and_shutdown),
		WORK_TEST(test_one_that_is_to_stay_on),
		WORK_TEST(test_one_that_does_not_start),
		WORK_TEST(test_a_registry_that_takes_nothing),
		WORK_TEST(test_a_shutdown_without_the_storage),
		WORK_TEST(test_a_shutdown_of_one_that_has_crashed),
		WORK_TEST(test_a_guest_that_powers_itself_off),
		WORK_TEST(test_a_guest_that_reboots),
		WORK_TEST(test_a_guest_that_does_not_reboot),
		WORK_TEST(test_a_guest_that_goes_with_its_host),
		WORK_TEST(test_one_that_was_ended),
		WORK_TEST(test_one_that_runs_is_wanted_on),
		WORK_TEST(test_a_shutdown_that_is_refused),
		WORK_TEST(test_a_shutdown_that_is_refused_after_another),
		WORK_TEST(test_a_boot_that_was_cut_off),
		WORK_TEST(test_a_shutdown_that_was_cut_off),
		WORK_TEST(test_one_that_was_booted_since),
		WORK_TEST(test_a_clock_that_was_ahead),
		WORK_TEST(test_one_that_is_not_ours),
	};

	return cmocka_run_group_tests_name("wanted", tests, NULL, NULL);
}
