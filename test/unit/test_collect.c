/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What looks at VMs and changes none: collect, refresh, whose, inspect, probe. */
#include "work_host.h"

static const struct vm_report *
find_report(const struct vm_report *vms, size_t n, const char *uuid)
{
	for (size_t i = 0; i < n; i++) {
		if (str_equal(vms[i].uuid, uuid))
			return &vms[i];
	}
	return NULL;
}

static void
start(const char *uuid)
{
	_domain_ virDomainPtr domain = virDomainLookupByUUIDString(libvirt, uuid);

	assert_int_equal(virDomainCreate(domain), 0);
}

/* The uuid of the test driver's own domain. */
static const char *
own_domain(void)
{
	_domain_ virDomainPtr domain = virDomainLookupByName(libvirt, "test");
	static char uuid[VIR_UUID_STRING_BUFLEN];

	assert_int_equal(virDomainGetUUIDString(domain, uuid), 0);
	return uuid;
}

/* QEMU has stopped a VM that runs, as it could not write: what the test driver never does. */
static bool stopped;

int
virDomainGetState(virDomainPtr domain, int *state, int *reason, unsigned int flags)
{
	int (*next)(virDomainPtr, int *, int *, unsigned int) = (int (*)(
	    virDomainPtr, int *, int *, unsigned int))dlsym(RTLD_NEXT, "virDomainGetState");
	int r = next(domain, state, reason, flags);

	if (r == 0 && stopped && *state == VIR_DOMAIN_RUNNING) {
		*state = VIR_DOMAIN_PAUSED;
		*reason = VIR_DOMAIN_PAUSED_IOERROR;
	}
	return r;
}

int
virDomainGetDiskErrors(
    virDomainPtr domain, virDomainDiskErrorPtr errors, unsigned int max, unsigned int flags)
{
	assert_true(max >= 2);
	errors[0] = (virDomainDiskError){ strdup("vda"), VIR_DOMAIN_DISK_ERROR_UNSPEC };
	errors[1] = (virDomainDiskError){ strdup("vdb"), VIR_DOMAIN_DISK_ERROR_NO_SPACE };
	return 2;
}

static void
test_probe(void **state)
{
	struct probe_request request = { env.uri };
	struct probe_result result = { 0 };

	must_run(WORK_PROBE, &request, &result);
	assert_string_equal(result.uuid, HOST1);
	model_clear(&probe_result_model, &result);
	request.uri = (char *)"test:///there/is/no/such/file";
	must_fail(WORK_PROBE, &request, 503, "cannot connect to libvirt at 'test:///there");
}

static void
test_collect(void **state)
{
	struct work_uuid known = { (char *)TEST_VM };
	struct collect_request request = { .env = env, .host = true };
	struct collect_result result = { 0 };
	const struct vm_report *vm;

	create_small_vm();
	start(TEST_VM);
	must_run(WORK_COLLECT, &request, &result);
	assert_string_equal(result.host.uuid, HOST1);
	assert_true(result.host.has_def);
	assert_string_equal(result.host.def.cpuarch.arch, "x86_64");
	/* Of the test driver: 3 GiB, 2 nodes, 2 sockets, 2 cores, 2 threads, 1400 MHz. */
	assert_int_equal(result.host.memory_total, 3145728);
	assert_int_equal(result.host.def.cpudef.nodes, 2);
	assert_int_equal(result.host.def.cpudef.threads, 2);
	assert_true(result.host.cpu_ns > 0);
	assert_int_equal(result.n_vms, 2);
	vm = find_report(result.vms, result.n_vms, TEST_VM);
	assert_non_null(vm);
	assert_int_equal(vm->runstate, VMRUNSTATE_RUNNING);
	assert_true(vm->has_def);
	assert_string_equal(vm->def.name, "vm");
	assert_false(vm->foreign);
	assert_true(vm->leased && vm->recorded);
	vm = find_report(result.vms, result.n_vms, own_domain());
	assert_non_null(vm);
	assert_true(vm->foreign && !vm->leased);
	assert_string_equal(vm->foreign_why, "it has no metadata of VirtX");
	model_clear(&collect_result_model, &result);

	/* A definition that is known is not read again. */
	request.known = &known;
	request.n_known = 1;
	request.host = false;
	must_run(WORK_COLLECT, &request, &result);
	assert_false(result.host.has_def);
	assert_false(find_report(result.vms, result.n_vms, TEST_VM)->has_def);
	assert_true(find_report(result.vms, result.n_vms, own_domain())->has_def);
	model_clear(&collect_result_model, &result);
}

static void
test_refresh(void **state)
{
	struct work_uuid vms[] = { { (char *)TEST_OTHER }, { (char *)TEST_VM } };
	struct refresh_request request = { env, vms, ARRAY_SIZE(vms) };
	struct refresh_result result = { 0 };

	create_small_vm();
	must_run(WORK_REFRESH, &request, &result);
	assert_int_equal(result.n_gone, 1);
	assert_string_equal(result.gone[0].uuid, TEST_OTHER);
	assert_int_equal(result.n_vms, 1);
	assert_string_equal(result.vms[0].uuid, TEST_VM);
	assert_int_equal(result.vms[0].runstate, VMRUNSTATE_POWEROFF);
	model_clear(&refresh_result_model, &result);
}

static void
test_why_it_stands_still(void **state)
{
	struct work_uuid vm = { (char *)TEST_VM };
	struct refresh_request request = { env, &vm, 1 };
	struct refresh_result result = { 0 };

	create_small_vm();
	start(TEST_VM);
	must_run(WORK_REFRESH, &request, &result);
	assert_string_equal(result.vms[0].reason, "");
	model_clear(&refresh_result_model, &result);
	stopped = true;
	must_run(WORK_REFRESH, &request, &result);
	stopped = false;
	assert_int_equal(result.vms[0].runstate, VMRUNSTATE_PAUSED);
	assert_string_equal(
	    result.vms[0].reason, "I/O error on disk 'vda', disk 'vdb': no space left");
	model_clear(&refresh_result_model, &result);
}

/* By the registry: this host's, nobody's, and another's, of which what is left here goes. */
static void
test_whose(void **state)
{
	struct work_uuid vms[] = { { (char *)TEST_VM } };
	struct whose_request request = { env, vms, ARRAY_SIZE(vms) };
	struct journal journal = { .op = (char *)"VmMigrate",
		.uuid = (char *)TEST_VM,
		.target = (char *)HOST2,
		.target_uri = env.uri };
	struct whose_result result = { 0 };

	create_small_vm();
	must_run(WORK_WHOSE, &request, &result);
	assert_int_equal(result.n_vms, 1);
	assert_int_equal(result.n_unregistered, 0);
	model_clear(&whose_result_model, &result);

	/* Where a migration of it was cut off that is for vm-heal to find out. */
	assert_int_equal(journal_save(disk_root, HOST1, &journal, &failure), 0);
	must_run(WORK_WHOSE, &request, &result);
	assert_int_equal(result.n_vms + result.n_unregistered, 0);
	assert_int_equal(result.n_leaving, 1);
	assert_string_equal(result.leaving[0].uuid, TEST_VM);
	model_clear(&whose_result_model, &result);
	assert_int_equal(journal_remove(disk_root, HOST1, TEST_VM, &failure), 0);

	assert_int_equal(rename(at("xml/" HOST1 "/" TEST_VM ".xml"), at("xml/" HOST1 "/away")), 0);
	must_run(WORK_WHOSE, &request, &result);
	assert_int_equal(result.n_vms, 0);
	assert_int_equal(result.n_unregistered, 1);
	assert_string_equal(result.unregistered[0].uuid, TEST_VM);
	model_clear(&whose_result_model, &result);

	assert_int_equal(registry_save(disk_root, HOST2, TEST_VM, "<domain/>", &failure), 0);
	must_run(WORK_WHOSE, &request, &result);
	assert_int_equal(result.n_vms + result.n_unregistered, 0);
	assert_int_equal(domain_state(TEST_VM), -1);
	assert_true(exists("ds/os.qcow2"));
	model_clear(&whose_result_model, &result);
}

static void
test_inspect(void **state)
{
	struct disk disks[] = { { .path = at("ds/os.qcow2") }, { .path = at("ds/none.raw") },
		{ .path = NULL } };
	struct inspect_vm vm = { (char *)TEST_VM, disks, ARRAY_SIZE(disks) };
	struct inspect_request request = { env, &vm, 1 };
	struct inspect_result result = { 0 };

	create_small_vm();
	must_run(WORK_INSPECT, &request, &result);
	assert_int_equal(result.n_vms, 1);
	assert_int_equal(result.vms[0].n_disks, 3);
	assert_int_equal(result.vms[0].disks[0].capacity, 1 << 20);
	assert_int_equal(result.vms[0].disks[0].prov, DISK_PROV_MODE_THIN);
	/* What cannot be measured is there with no size. */
	assert_int_equal(result.vms[0].disks[1].index, 1);
	assert_int_equal(result.vms[0].disks[1].capacity, 0);
	assert_int_equal(result.vms[0].disks[2].capacity, 0);
	model_clear(&inspect_result_model, &result);
}

static void
test_what_keeps_a_vm(void **state)
{
	struct work_uuid vms[] = { { (char *)TEST_VM }, { (char *)TEST_OTHER } };
	struct vm_stays_request request = { .env = env, .vms = vms, .n_vms = ARRAY_SIZE(vms) };
	struct vm_stays_result result = { 0 };

	create_small_vm();
	must_run(WORK_VM_STAYS, &request, &result);
	assert_int_equal(result.n_vms, 0);
	request.live = true;
	must_run(WORK_VM_STAYS, &request, &result);
	assert_int_equal(result.n_vms, 1);
	assert_string_equal(result.vms[0].uuid, TEST_VM);
	assert_non_null(strstr(result.vms[0].why, "a live migration needs it running or paused"));
	model_clear(&vm_stays_result_model, &result);
	request.as_it_is = true;
	must_run(WORK_VM_STAYS, &request, &result);
	assert_int_equal(result.n_vms, 0);
	model_clear(&vm_stays_result_model, &result);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WORK_TEST(test_probe),
		WORK_TEST(test_collect),
		WORK_TEST(test_refresh),
		WORK_TEST(test_why_it_stands_still),
		WORK_TEST(test_whose),
		WORK_TEST(test_inspect),
		WORK_TEST(test_what_keeps_a_vm),
	};

	return cmocka_run_group_tests_name("collect", tests, NULL, NULL);
}
