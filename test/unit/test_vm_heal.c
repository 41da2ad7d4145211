/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a job left that was cut off: its journal is written by hand, and vm-heal finds the rest. */
#include "work_host.h"

#include "proto/routes.h"
#include "work/oplog.h"
#include "work/vm_verdict.h"

/* Heals it after that operation; the answer is for model_clear. */
static struct vm_result
heal(const char *op)
{
	const struct vm_heal_request request = {
		.env = env, .uuid = (char *)TEST_VM, .op = (char *)op, .target = (char *)HOST2
	};
	struct vm_result result = { 0 };

	must_run(WORK_VM_HEAL, &request, &result);
	return result;
}

static void
put_journal(const char *op, const struct disk *made, const struct disk *dropped)
{
	struct journal journal = { .op = (char *)op, .uuid = (char *)TEST_VM, .ts = now_ms() };

	journal.deletestorage = true;
	journal.made = (struct disk *)made;
	journal.n_made = made != NULL;
	journal.dropped = (struct disk *)dropped;
	journal.n_dropped = dropped != NULL;
	assert_int_equal(journal_save(disk_root, HOST1, &journal, &failure), 0);
}

/* What the small VM's disk is; its path is the caller's. */
static struct disk
small_disk(void)
{
	return (struct disk){ .path = xstrdup(at("ds/os.qcow2")),
		.man = DISK_MAN_MODE_MANAGED,
		.prov = DISK_PROV_MODE_THIN,
		.size = 1 };
}

/* As somebody asks for it. */
static void
delete_all(void)
{
	struct vm_delete_request request = { env, (char *)TEST_VM, true };
	struct vm_result result = { 0 };

	must_run(WORK_VM_DELETE, &request, &result);
	model_clear(&vm_result_model, &result);
}

static void
test_a_create_without_a_definition_is_undone(void **state)
{
	struct disk disk = small_disk();
	char lease[LEASE_NAME_SIZE];
	struct vm_result result;

	put_journal("VmCreate", &disk, NULL);
	assert_int_equal(disk_resource_name(&disk, disk_root, lease, &failure), 0);
	assert_int_equal(lease_create(disk_root, lease, TEST_VM, &failure), 0);
	result = heal("VmCreate");
	assert_true(result.gone);
	assert_false(result.done);
	assert_null(lease_of("os.qcow2"));
	assert_false(has_journal(TEST_VM));
	model_clear(&vm_result_model, &result);
	free(disk.path);
}

/* Of each step that makes or names the VM's own lease. */
static void
test_a_lease_of_the_vm_is_undone_or_stays(void **state)
{
	static const char half[] = "lock/.vm-" TEST_VM "." TEST_VM;
	const struct disk lease = vm_lease_disk((char *)"vm-" TEST_VM);
	struct vm_result result;

	put_journal("VmCreate", &lease, NULL);
	assert_int_equal(mkdir(at(half), 0750), 0);
	result = heal("VmCreate");
	assert_false(exists(half));
	model_clear(&vm_result_model, &result);
	put_journal("VmCreate", &lease, NULL);
	assert_int_equal(lease_create(disk_root, "vm-" TEST_VM, TEST_VM, &failure), 0);
	result = heal("VmCreate");
	assert_null(vm_lease_owner());
	model_clear(&vm_result_model, &result);

	create_small_vm();
	take_vm_lease();
	put_journal("VmUpdate", &lease, NULL);
	assert_int_equal(lease_create(disk_root, "vm-" TEST_VM, TEST_VM, &failure), 0);
	result = heal("VmUpdate");
	assert_false(result.done);
	assert_null(vm_lease_owner());
	model_clear(&vm_result_model, &result);
	delete_all();
	create_small_vm();
	put_journal("VmUpdate", &lease, NULL);
	result = heal("VmUpdate");
	assert_true(result.done);
	assert_string_equal(vm_lease_owner(), TEST_VM);
	model_clear(&vm_result_model, &result);
	put_journal("VmDelete", NULL, &lease);
	result = heal("VmDelete");
	assert_true(result.gone);
	assert_null(vm_lease_owner());
	assert_false(has_journal(TEST_VM));
	model_clear(&vm_result_model, &result);
}

static void
test_a_create_with_its_definition_is_finished(void **state)
{
	struct disk disk = small_disk();
	struct vm_result result;

	create_small_vm();
	put_journal("VmCreate", &disk, NULL);
	result = heal("VmCreate");
	assert_true(result.done);
	assert_string_equal(lease_of("os.qcow2"), TEST_VM);
	assert_true(exists("ds/os.qcow2"));
	assert_false(has_journal(TEST_VM));
	model_clear(&vm_result_model, &result);
	free(disk.path);
}

/* libvirt had it, and the registry not yet. */
static void
test_a_create_before_the_registry_is_undone(void **state)
{
	struct disk disk = small_disk();
	struct vm_result result;

	create_small_vm();
	assert_int_equal(registry_remove(disk_root, HOST1, TEST_VM, &failure), 0);
	put_journal("VmCreate", &disk, NULL);
	result = heal("VmCreate");
	assert_true(result.gone);
	assert_int_equal(domain_state(TEST_VM), -1);
	assert_null(lease_of("os.qcow2"));
	assert_false(has_journal(TEST_VM));
	model_clear(&vm_result_model, &result);
	free(disk.path);
}

static void
test_a_delete_goes_on(void **state)
{
	struct disk disk = small_disk();
	struct vm_result result;

	create_small_vm();
	put_journal("VmDelete", NULL, &disk);
	result = heal("VmDelete");
	assert_true(result.gone);
	assert_true(result.done);
	assert_int_equal(domain_state(TEST_VM), -1);
	assert_false(exists("ds/os.qcow2"));
	assert_null(lease_of("os.qcow2"));
	assert_false(is_registered(HOST1, TEST_VM));
	model_clear(&vm_result_model, &result);
	free(disk.path);
}

/* Another host has it by now: nothing of it is this one's to undo. */
static void
test_an_update_of_a_vm_that_went_on_is_let_go(void **state)
{
	struct disk disk = small_disk();
	struct vm_result result;

	create_small_vm();
	assert_int_equal(registry_move(disk_root, HOST1, HOST2, TEST_VM, &failure), 0);
	put_journal("VmUpdate", &disk, NULL);
	result = heal("VmUpdate");
	assert_true(exists("ds/os.qcow2"));
	assert_string_equal(lease_of("os.qcow2"), TEST_VM);
	assert_false(has_journal(TEST_VM));
	model_clear(&vm_result_model, &result);
	free(disk.path);
}

/* By whether the definition has what was made for it. */
static void
test_an_update_is_finished_or_undone(void **state)
{
	static const struct {
		const char *path;
		bool done;
	} rows[] = { { "ds/os.qcow2", true }, { "ds/more.qcow2", false } };

	create_small_vm();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct disk disk = small_disk();
		struct vm_result result;

		str_set(&disk.path, at(rows[i].path));
		put_journal("VmUpdate", &disk, NULL);
		result = heal("VmUpdate");
		assert_int_equal(result.done, rows[i].done);
		assert_false(result.gone);
		assert_true(exists("ds/os.qcow2"));
		assert_false(has_journal(TEST_VM));
		model_clear(&vm_result_model, &result);
		free(disk.path);
	}
}

/* Each operation that is "started" in its log has ended, one way or the other. */
static void
test_the_log_tells_how_it_ended(void **state)
{
	static const struct {
		const char *op, *status;
		bool on, done;
	} rows[] = {
		{ "VmBoot", "completed", true, true },
		{ "VmBoot", "failed", false, false },
		{ "VmShutdown", "failed", true, false },
		{ "VmShutdown", "completed", false, true },
		{ "VmPause", "failed", true, false },
		{ "VmResume", "failed", true, true },
	};
	_domain_ virDomainPtr domain = NULL;

	create_small_vm();
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vm_result result;
		int64_t ts;

		if (rows[i].on)
			assert_int_equal(virDomainCreate(domain), 0);
		assert_int_equal(oplog_begin(domain, rows[i].op, "", &ts, &failure), 0);
		result = heal(rows[i].op);
		expect_logged(rows[i].op, rows[i].status);
		assert_int_equal(result.done, rows[i].done);
		model_clear(&vm_result_model, &result);
		if (rows[i].on)
			assert_int_equal(virDomainDestroy(domain), 0);
	}
}

/* Else one that a route has begun on a VM would have failed, whatever it did. */
static void
test_it_is_known_what_each_operation_wants(void **state)
{
	for (int i = 0; i < ROUTE_N; i++) {
		const char *op = routes[i].op;

		if (op && strncmp(op, "Vm", 2) == 0 && !vm_verdict_known(op))
			fail_msg("vm_verdict() does not know what %s wants", op);
	}
}

/* A definition that is off here, of a VM that is registered under another host. */
static void
test_a_leftover_is_undefined(void **state)
{
	struct vm_result result;

	create_small_vm();
	assert_int_equal(registry_move(disk_root, HOST1, HOST2, TEST_VM, &failure), 0);
	result = heal("");
	assert_true(result.gone);
	assert_int_equal(domain_state(TEST_VM), -1);
	assert_true(undefined & VIR_DOMAIN_UNDEFINE_KEEP_NVRAM);
	assert_true(is_registered(HOST2, TEST_VM));
	assert_true(exists("ds/os.qcow2"));
	model_clear(&vm_result_model, &result);
}

static void
test_a_vm_that_is_nowhere(void **state)
{
	struct vm_result result = heal("VmDelete");

	assert_true(result.gone);
	assert_true(result.done);
	model_clear(&vm_result_model, &result);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WORK_TEST(test_a_create_without_a_definition_is_undone),
		WORK_TEST(test_a_lease_of_the_vm_is_undone_or_stays),
		WORK_TEST(test_a_create_with_its_definition_is_finished),
		WORK_TEST(test_a_create_before_the_registry_is_undone),
		WORK_TEST(test_a_delete_goes_on),
		WORK_TEST(test_an_update_of_a_vm_that_went_on_is_let_go),
		WORK_TEST(test_an_update_is_finished_or_undone),
		WORK_TEST(test_the_log_tells_how_it_ended),
		cmocka_unit_test(test_it_is_known_what_each_operation_wants),
		WORK_TEST(test_a_leftover_is_undefined),
		WORK_TEST(test_a_vm_that_is_nowhere),
	};

	return cmocka_run_group_tests_name("vm_heal", tests, NULL, NULL);
}
