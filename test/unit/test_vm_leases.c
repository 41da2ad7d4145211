/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The leases of a VM that is on: who may take them while it stands still. */
#include "work_host.h"

#include "work/protection.h"
#include "work/vm_process.h"

/* Of QEMU, which the test driver has not. */
#define QEMU 4711

static bool has_process;
static bool refuses;	/* libvirt, to resume a VM */
static bool ends_first; /* another who ends the VM */

/* Takes the place of the real one, which looks into libvirt's own files. */
int
vm_process_find(virDomainPtr domain, pid_t *ret, struct error *err)
{
	*ret = QEMU;
	if (has_process)
		return 0;
	error_set(err, 404, "there is no process");
	return 1;
}

/* The leases of the small VM's disk, and of the VM. */
static struct lease_set
small_set(void)
{
	const struct disk disk = { .path = at("ds/os.qcow2") };
	struct lease_set set = { .items[1].name = "vm-" TEST_VM, .n = 2 };

	assert_int_equal(disk_resource_name(&disk, disk_root, set.items[0].name, &failure), 0);
	return set;
}

static bool
holds(void)
{
	const struct lease_set set = small_set();
	struct lease_set held;

	return lease_held_by(QEMU, &held, &failure) == 0 && held.n == 2 &&
	       lease_set_find(&held, set.items[0].name) && lease_set_find(&held, set.items[1].name);
}

/* libvirt's plugin lets go of the leases of a VM whose CPUs stop, and takes them before they run.
 */
static int
call_next(const char *name, virDomainPtr domain)
{
	int (*next)(virDomainPtr) = (int (*)(virDomainPtr))dlsym(RTLD_NEXT, name);

	return next(domain);
}

int
virDomainSuspend(virDomainPtr domain)
{
	const struct lease_set set = small_set();

	(void)lease_release_for(disk_root, QEMU, &set, &failure);
	return call_next("virDomainSuspend", domain);
}

int
virDomainResume(virDomainPtr domain)
{
	const struct lease_set set = small_set();

	if (refuses || lease_acquire_for(disk_root, QEMU, &set, &failure) < 0)
		return -1;
	return call_next("virDomainResume", domain);
}

int
virDomainDestroy(virDomainPtr domain)
{
	if (ends_first)
		assert_int_equal(call_next("virDomainDestroy", domain), 0);
	return call_next("virDomainDestroy", domain);
}

/* The small VM runs, and its process holds its lease. */
static void
run_vm(void)
{
	const struct lease_set set = small_set();
	_domain_ virDomainPtr domain = NULL;

	create_small_vm();
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	has_process = true;
	refuses = false;
	fake_sanlock_know(QEMU);
	assert_int_equal(lease_acquire_for(disk_root, QEMU, &set, &failure), 0);
	assert_int_equal(virDomainCreate(domain), 0);
	assert_true(holds());
}

/* By `virsh suspend`. */
static void
suspend(void)
{
	_domain_ virDomainPtr domain = virDomainLookupByUUIDString(libvirt, TEST_VM);

	assert_int_equal(virDomainSuspend(domain), 0);
	assert_false(holds());
}

/* The lease of its disk, or its own. */
static void
use_elsewhere(int which)
{
	_free_ char *path = lease_path(disk_root, small_set().items[which].name);

	fake_sanlock_use(path);
}

/* Runs the work; the warning must have these words, or there must be none. */
static void
power(enum work_id id, const char *warning)
{
	struct vm_request request = { .env = env, .uuid = (char *)TEST_VM };
	struct vm_result result = { 0 };

	must_run(id, &request, &result);
	if (*warning ? !strstr(result.warning, warning) : !str_empty(result.warning))
		fail_msg("the warning is '%s'", str_or_empty(result.warning));
	model_clear(&vm_result_model, &result);
}

static void
heal(void)
{
	struct vm_heal_request request = { .env = env, .uuid = (char *)TEST_VM };
	struct vm_result result = { 0 };

	must_run(WORK_VM_HEAL, &request, &result);
	model_clear(&vm_result_model, &result);
}

static void
expect_stays_paused(int status, const char *words)
{
	struct vm_request request = { .env = env, .uuid = (char *)TEST_VM };

	must_fail(WORK_VM_RESUME, &request, status, words);
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_PAUSED);
}

/* No other host can take them meanwhile. */
static void
test_they_are_held_while_it_is_paused(void **state)
{
	run_vm();
	power(WORK_VM_PAUSE, "");
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_PAUSED);
	assert_true(holds());
	power(WORK_VM_RESUME, "");
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_RUNNING);
	assert_true(holds());
}

/* Each time that the lease is taken its version grows; the record follows. */
static void
test_it_is_paused_again_and_again(void **state)
{
	run_vm();
	for (int i = 0; i < 3; i++) {
		power(WORK_VM_PAUSE, "");
		heal();
		power(WORK_VM_RESUME, "");
	}
	assert_true(holds());
}

/* After virtxd has seen it run. */
static void
test_somebody_else_has_paused_it(void **state)
{
	run_vm();
	heal();
	suspend();
	power(WORK_VM_RESUME, "");
	assert_true(holds());
}

static void
test_another_has_used_the_disk(void **state)
{
	run_vm();
	heal();
	suspend();
	use_elsewhere(0);
	expect_stays_paused(409, "was taken by another since VM '" TEST_VM "' was seen");
	assert_false(holds());
	/* Nor does it help to ask twice. */
	heal();
	expect_stays_paused(409, "os.qcow2' was taken by another");
}

/* One whose disks are nobody's is kept by its own alone. */
static void
test_another_has_run_it(void **state)
{
	run_vm();
	heal();
	suspend();
	use_elsewhere(1);
	expect_stays_paused(409, "the lease of the VM itself was taken by another");
	assert_false(holds());
}

/* The process has the lease again, after another had it: that is no record of what its disk is. */
static void
test_a_lease_that_it_takes_again(void **state)
{
	const struct lease_set set = small_set();

	run_vm();
	heal();
	suspend();
	use_elsewhere(0);
	assert_int_equal(lease_acquire_for(disk_root, QEMU, &set, &failure), 0);
	heal();
	expect_stays_paused(409, "was taken by another");
}

/* Each try takes the lease anew, and nobody else has it in between. */
static void
test_a_resume_that_fails_is_tried_again(void **state)
{
	run_vm();
	power(WORK_VM_PAUSE, "");
	refuses = true;
	for (int i = 0; i < 3; i++) {
		expect_stays_paused(424, "cannot resume VM");
		assert_true(holds());
	}
	refuses = false;
	power(WORK_VM_RESUME, "");
	assert_true(holds());
}

static void
test_nothing_is_recorded(void **state)
{
	run_vm();
	suspend();
	expect_stays_paused(409, "nothing is recorded of the lease of disk '");
}

/* Its record is of a time at which it did not hold what it holds now. */
static void
test_a_record_is_not_made_of_a_vm_that_stands_still(void **state)
{
	run_vm();
	suspend();
	heal();
	expect_stays_paused(409, "nothing is recorded");
}

static void
test_sanlock_does_not_know_the_process(void **state)
{
	run_vm();
	power(WORK_VM_PAUSE, "");
	fake_sanlock_know(0);
	expect_stays_paused(409, "sanlock does not know the process of VM");
}

/* Another host was quicker between the two steps: the VM is paused all the same. */
static void
test_another_takes_it_when_it_is_paused(void **state)
{
	run_vm();
	fake_sanlock_occupy(small_set().items[0].name, true);
	power(WORK_VM_PAUSE, "does not hold its leases while it is paused");
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_PAUSED);
	assert_false(holds());
}

/* A VM that runs here and is registered elsewhere is this host's where it holds its leases. */
static void
test_they_prove_whose_it_is(void **state)
{
	const struct lease_set set = small_set();

	run_vm();
	assert_int_equal(registry_move(disk_root, HOST1, HOST2, TEST_VM, &failure), 0);
	has_process = false;
	heal();
	assert_true(is_registered(HOST2, TEST_VM));
	/* It holds nothing. */
	has_process = true;
	fake_sanlock_know(QEMU);
	heal();
	assert_true(is_registered(HOST2, TEST_VM));
	assert_int_equal(lease_acquire_for(disk_root, QEMU, &set, &failure), 0);
	heal();
	assert_true(is_registered(HOST1, TEST_VM));
	assert_false(is_registered(HOST2, TEST_VM));
}

/* sanlock refuses what is asked for a process while it serves another request for it. */
static void
test_sanlock_is_busy_with_the_process(void **state)
{
	const struct lease_set set = small_set();

	run_vm();
	fake_sanlock_serve(3);
	assert_true(holds());
	fake_sanlock_serve(3);
	assert_int_equal(lease_release_for(disk_root, QEMU, &set, &failure), 0);
	assert_false(holds());
	fake_sanlock_serve(3);
	assert_int_equal(lease_acquire_for(disk_root, QEMU, &set, &failure), 0);
	assert_true(holds());
}

/* Whoever has the file of one that stands still may run it. */
static void
test_one_of_another_host_does_not_go_on(void **state)
{
	struct vm_request request = { .env = env, .uuid = (char *)TEST_VM };

	run_vm();
	heal();
	suspend();
	assert_int_equal(registry_move(disk_root, HOST1, HOST2, TEST_VM, &failure), 0);
	must_fail(WORK_VM_RESUME, &request, 422, "is registered under host '" HOST2 "'");
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_PAUSED);
	assert_false(holds());
}

static struct reconcile_result
reconcile(bool kill)
{
	struct reconcile_request request = { .env = env, .sanlock = true, .kill = kill };
	struct reconcile_result found = { 0 };

	must_run(WORK_RECONCILE, &request, &found);
	return found;
}

/* After sanlock has died nothing keeps another host from running it, too. */
static void
test_one_that_nobody_protects(void **state)
{
	struct reconcile_result found;

	run_vm();
	heal();
	found = reconcile(true);
	assert_int_equal(found.n_problems, 0);
	model_clear(&reconcile_result_model, &found);

	fake_sanlock_know(0);
	found = reconcile(false);
	assert_int_equal(found.n_problems, 1);
	assert_string_equal(found.problems[0].kind, PROTECTION_PROBLEM);
	assert_non_null(strstr(found.problems[0].detail, "does not know its process 4711"));
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_RUNNING);
	model_clear(&reconcile_result_model, &found);

	found = reconcile(true);
	assert_int_equal(found.n_problems, 0);
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_SHUTOFF);
	expect_logged("VmShutdown", "completed");
	model_clear(&reconcile_result_model, &found);
}

/* Both looks of one host, the reconciler's and the lockspace's, come to the same end. */
static void
test_one_that_two_end_at_once(void **state)
{
	struct reconcile_result found;

	run_vm();
	fake_sanlock_know(0);
	ends_first = true;
	found = reconcile(true);
	ends_first = false;
	assert_int_equal(found.n_problems, 0);
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_SHUTOFF);
	expect_logged("VmShutdown", "completed");
	model_clear(&reconcile_result_model, &found);
}

/* Joined beside it, the lockspace would let another host take its leases at once. */
static void
test_the_lockspace_is_not_joined_beside_one(void **state)
{
	struct lockspace_request request = { .env = env };
	struct lockspace_result result = { 0 };

	run_vm();
	fake_sanlock_know(0);
	must_fail(WORK_LOCKSPACE, &request, 503, "1 VM is on whose leases sanlock does not keep");
	assert_non_null(strstr(failure.detail, TEST_VM));
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_RUNNING);
	request.kill = true;
	must_run(WORK_LOCKSPACE, &request, &result);
	assert_int_equal(result.lockid, lockspace_default_id(HOST1));
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_SHUTOFF);
}

/* One that runs unrecorded is vm-heal's. */
static void
test_one_that_is_not_recorded_is_found(void **state)
{
	struct reconcile_result found;

	run_vm();
	found = reconcile(false);
	assert_int_equal(found.n_unfinished, 1);
	assert_string_equal(found.unfinished[0].uuid, TEST_VM);
	model_clear(&reconcile_result_model, &found);
	heal();
	found = reconcile(false);
	assert_int_equal(found.n_unfinished, 0);
	model_clear(&reconcile_result_model, &found);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WORK_TEST(test_they_are_held_while_it_is_paused),
		WORK_TEST(test_it_is_paused_again_and_again),
		WORK_TEST(test_somebody_else_has_paused_it),
		WORK_TEST(test_another_has_used_the_disk),
		WORK_TEST(test_another_has_run_it),
		WORK_TEST(test_a_lease_that_it_takes_again),
		WORK_TEST(test_a_resume_that_fails_is_tried_again),
		WORK_TEST(test_nothing_is_recorded),
		WORK_TEST(test_a_record_is_not_made_of_a_vm_that_stands_still),
		WORK_TEST(test_sanlock_does_not_know_the_process),
		WORK_TEST(test_another_takes_it_when_it_is_paused),
		WORK_TEST(test_they_prove_whose_it_is),
		WORK_TEST(test_sanlock_is_busy_with_the_process),
		WORK_TEST(test_one_of_another_host_does_not_go_on),
		WORK_TEST(test_one_that_nobody_protects),
		WORK_TEST(test_one_that_two_end_at_once),
		WORK_TEST(test_the_lockspace_is_not_joined_beside_one),
		WORK_TEST(test_one_that_is_not_recorded_is_found),
	};

	return cmocka_run_group_tests_name("vm_leases", tests, NULL, NULL);
}
