/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which VMs run without their leases, and the end of their process. */
#include "work_host.h"

#include <signal.h>
#include <sys/wait.h>

#include "disk/process.h"
#include "work/vm_process.h"

#define OTHER_VM "33333333-3333-4333-8333-333333333333" /* its process is this one */

/* Takes the place of QEMU, which the test driver has not; 0 for none. */
static pid_t qemu;
static int64_t began;

/* Takes the place of the real one, which looks into libvirt's own files. */
int
vm_process_find(virDomainPtr domain, pid_t *ret, struct error *err)
{
	char uuid[VIR_UUID_STRING_BUFLEN];

	assert_int_equal(virDomainGetUUIDString(domain, uuid), 0);
	*ret = strcmp(uuid, OTHER_VM) == 0 ? getpid() : qemu;
	if (*ret)
		return 0;
	error_set(err, 404, "there is no process");
	return 1;
}

static bool pauses; /* what libvirt lists as running stands still a moment later */

int
virDomainGetState(virDomainPtr domain, int *state, int *reason, unsigned int flags)
{
	int (*next)(virDomainPtr, int *, int *, unsigned int) = (int (*)(
	    virDomainPtr, int *, int *, unsigned int))dlsym(RTLD_NEXT, "virDomainGetState");
	int r = next(domain, state, reason, flags);

	if (pauses && r == 0)
		*state = VIR_DOMAIN_PAUSED;
	return r;
}

static struct lease_set
small_set(void)
{
	const struct disk disk = { .path = at("ds/os.qcow2") };
	struct lease_set set = { .items[1].name = "vm-" TEST_VM, .n = 2 };

	assert_int_equal(disk_resource_name(&disk, disk_root, set.items[0].name, &failure), 0);
	return set;
}

static void
start_qemu(void)
{
	qemu = fork();
	assert_true(qemu >= 0);
	while (qemu == 0)
		pause();
	began = process_start(qemu);
	assert_true(began > 0);
}

static int
teardown(void **state)
{
	if (qemu) {
		kill(qemu, SIGKILL);
		waitpid(qemu, NULL, 0);
	}
	qemu = 0;
	pauses = false;
	return work_host_teardown(state);
}

/* The small VM runs, and its process holds its leases. */
static void
run_vm(void)
{
	const struct lease_set set = small_set();
	_domain_ virDomainPtr domain = NULL;

	create_small_vm();
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	start_qemu();
	fake_sanlock_know(qemu);
	assert_int_equal(lease_acquire_for(disk_root, qemu, &set, &failure), 0);
	assert_int_equal(virDomainCreate(domain), 0);
}

/* Looks, and is told to end that process (start 0: none). */
static struct self_fence_result
look(int64_t pid, int64_t start)
{
	struct fence_process victim = { .uuid = (char *)TEST_VM, .pid = pid, .start = start };
	const struct self_fence_request request = {
		.env = env, .victims = &victim, .n_victims = start != 0
	};
	struct self_fence_result result = { 0 };

	must_run(WORK_SELF_FENCE, &request, &result);
	return result;
}

static void
expect(int64_t pid, int64_t start, size_t loose, size_t ended, const char *why)
{
	struct self_fence_result res = look(pid, start);
	const struct fence_process *found = loose ? res.loose : res.ended;

	assert_int_equal(res.n_loose, loose);
	assert_int_equal(res.n_ended, ended);
	if (loose || ended) {
		assert_string_equal(found->uuid, TEST_VM);
		assert_int_equal(found->pid, qemu);
		assert_int_equal(found->start, began);
		if (!strstr(found->why, why))
			fail_msg("'%s', not '%s'", found->why, why);
	}
	model_clear(&self_fence_result_model, &res);
}

static bool
lives(void)
{
	return process_start(qemu) == began;
}

static void
test_held(void **state)
{
	run_vm();
	expect(0, 0, 0, 0, "");
	/* Whoever says so: it has its leases. */
	expect(qemu, began, 0, 0, "");
	assert_true(lives());
}

static void
test_unknown_process(void **state)
{
	run_vm();
	fake_sanlock_know(0);
	expect(0, 0, 1, 0, "sanlock does not know its process ");
	/* That was told of another one. */
	expect(qemu, began + 1, 1, 0, "sanlock does not know its process ");
	expect(qemu + 1, began, 1, 0, "sanlock does not know its process ");
	assert_true(lives());
	expect(qemu, began, 0, 1, "sanlock does not know its process ");
	assert_int_equal(waitpid(qemu, NULL, 0), qemu);
	/* libvirt has not noticed yet. */
	expect(qemu, began, 0, 0, "");
	qemu = 0;
}

static void
test_lease_is_missing(void **state)
{
	struct lease_set set = small_set();

	run_vm();
	set.n = 1;
	assert_int_equal(lease_release_for(disk_root, qemu, &set, &failure), 0);
	expect(0, 0, 1, 0, " holds 1 of its 2 leases");
	assert_int_equal(lease_acquire_for(disk_root, qemu, &set, &failure), 0);
	expect(0, 0, 0, 0, "");
}

/* libvirt lets go of them, as of one that is being moved. */
static void
test_stands_still(void **state)
{
	const struct lease_set set = small_set();
	_domain_ virDomainPtr domain = NULL;

	run_vm();
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	assert_int_equal(lease_release_for(disk_root, qemu, &set, &failure), 0);
	assert_int_equal(virDomainSuspend(domain), 0);
	expect(0, 0, 0, 0, "");
	expect(qemu, began, 0, 0, "");
	fake_sanlock_know(0);
	expect(qemu, began, 0, 0, "");
	assert_true(lives());
	assert_int_equal(virDomainResume(domain), 0);
	expect(0, 0, 1, 0, "sanlock does not know its process ");
}

static void
test_stands_still_by_now(void **state)
{
	run_vm();
	fake_sanlock_know(0);
	pauses = true;
	expect(qemu, began, 0, 0, "");
	assert_true(lives());
	pauses = false;
	expect(0, 0, 1, 0, "sanlock does not know its process ");
}

/* Which process it is is not known, or it has no leases. */
static void
test_no_process(void **state)
{
	pid_t pid;

	run_vm();
	fake_sanlock_know(0);
	pid = qemu;
	qemu = 0;
	expect(0, 0, 0, 0, "");
	qemu = pid;
	expect(0, 0, 1, 0, "sanlock does not know its process ");
}

/* A daemon that is gone keeps nothing; one that does not answer may. */
static void
test_no_daemon(void **state)
{
	run_vm();
	fake_sanlock_stop();
	expect(0, 0, 1, 0, "sanlock does not run: nobody keeps its 2 leases");
	expect(qemu, began, 0, 1, "sanlock does not run");
	assert_int_equal(waitpid(qemu, NULL, 0), qemu);
	qemu = 0;
}

static void
test_daemon_hangs(void **state)
{
	const struct self_fence_request request = { .env = env };

	run_vm();
	fake_sanlock_hang(true);
	must_fail(WORK_SELF_FENCE, &request, 503, "cannot ask sanlock for the leases of process");
	fake_sanlock_hang(false);
	assert_true(lives());
	expect(0, 0, 0, 0, "");
}

static void
run_other_vm(void)
{
	struct vm_create_request request = { .env = env, .uuid = (char *)OTHER_VM };
	_domain_ virDomainPtr domain = NULL;
	struct vm_result result = { 0 };

	small_vm(&request.def);
	str_set(&request.def.name, "other");
	str_set(&request.def.osdisk.path, at("ds/other.qcow2"));
	must_run(WORK_VM_CREATE, &request, &result);
	domain = virDomainLookupByUUIDString(libvirt, OTHER_VM);
	assert_int_equal(virDomainCreate(domain), 0);
	model_clear(&vm_result_model, &result);
	model_clear(&vmdef_model, &request.def);
}

/* That sanlock is busy with one of them is no reason to let another one run on. */
static void
test_busy_with_another(void **state)
{
	const struct self_fence_request request = { .env = env };
	struct self_fence_result res = { 0 };

	run_vm();
	run_other_vm();
	fake_sanlock_serve(100000);
	must_run(WORK_SELF_FENCE, &request, &res);
	assert_int_equal(res.n_loose, 1);
	assert_string_equal(res.loose[0].uuid, OTHER_VM);
	model_clear(&self_fence_result_model, &res);
	fake_sanlock_serve(0);
	assert_true(lives());
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, work_host_setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_held),
		CASE(test_unknown_process),
		CASE(test_lease_is_missing),
		CASE(test_stands_still),
		CASE(test_stands_still_by_now),
		CASE(test_no_process),
		CASE(test_no_daemon),
		CASE(test_daemon_hangs),
		CASE(test_busy_with_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
