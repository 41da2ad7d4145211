/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is told of a VM is all of it, or to come again: never a size that was not read. */
#include "ops_host.h"

#include "api/handlers.h"

static int
setup_up(void **state)
{
	ops_setup(state);
	ops_up();
	return 0;
}

#define UP(function) cmocka_unit_test_setup_teardown(function, setup_up, ops_teardown)

static void
get(void)
{
	api_vm_get(&here.ctx, ops_request(ROUTE_VM_GET, VM1, ""));
}

static void
expect_later(const char *text)
{
	assert_int_equal(here.status, 503);
	assert_string_equal(here.headers, "Retry-After: 1\n");
	assert_non_null(strstr(here.body, text));
}

/* It has a disk, of which the size is not told with the definition. */
static void
add_vm(void)
{
	struct inventory *inventory = here.ctx.inventory;
	struct vm_report report;

	ops_report(VM1, VMRUNSTATE_RUNNING, &report);
	report.def.osdisk.path = xstrdup("/vms/ds/os.qcow2");
	inventory_report_vm(inventory, inventory_mark(inventory), true, &report);
	model_clear(&vm_report_model, &report);
}

/* Has the definition read again; the job that reads the sizes is under way then. */
static void
look_again(void)
{
	keeper_vm_changed(here.ctx.keeper, VM2, VMRUNSTATE_NONE, false);
	ops_advance(50);
	ops_end_job(WORK_REFRESH, NULL);
	assert_non_null(ops_find_job(WORK_INSPECT));
}

static void
test_sizes_that_are_late(void **state)
{
	struct disk_report size = { 0, DISK_PROV_MODE_THIN, 1 << 30, 4096, 8192 };
	char vm[] = VM1;
	struct vm_report report = { .uuid = vm, .disks = &size, .n_disks = 1 };
	const struct inspect_result res = { &report, 1 };

	add_vm();
	look_again();
	get();
	ops_advance(2900);
	assert_int_equal(here.replies, 0);
	ops_advance(200);
	assert_int_equal(here.replies, 1);
	expect_later("the sizes of the disks of VM '" VM1 "' are not known yet");

	get();
	ops_end_job(WORK_INSPECT, &res);
	ops_advance(20);
	assert_int_equal(here.replies, 2);
	assert_int_equal(here.status, 200);
	assert_non_null(strstr(here.body, "\"size\":1024"));

	/* Those of before it was changed are told meanwhile. */
	inventory_set_runstate(here.ctx.inventory, VM1, VMRUNSTATE_POWEROFF);
	inventory_set_runstate(here.ctx.inventory, VM1, VMRUNSTATE_RUNNING);
	get();
	ops_advance(3100);
	assert_int_equal(here.replies, 3);
	assert_int_equal(here.status, 200);
	assert_non_null(strstr(here.body, "\"size\":1024"));
}

/* They cannot be told: the rest is, at once. */
static void
test_sizes_that_cannot_be_read(void **state)
{
	add_vm();
	look_again();
	get();
	ops_fail_job(WORK_INSPECT, 507, "the storage does not answer");
	ops_advance(20);
	assert_int_equal(here.status, 200);
	get();
	assert_int_equal(here.replies, 2);
	assert_int_equal(here.status, 200);
}

static void
test_definition_that_is_late(void **state)
{
	struct inventory *inventory = here.ctx.inventory;
	struct vm_report report;

	ops_report(VM1, VMRUNSTATE_RUNNING, &report);
	report.has_def = false;
	inventory_report_vm(inventory, inventory_mark(inventory), true, &report);
	model_clear(&vm_report_model, &report);
	get();
	ops_advance(3100);
	expect_later("the definition of VM '" VM1 "' is not known yet");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		UP(test_sizes_that_are_late),
		UP(test_sizes_that_cannot_be_read),
		UP(test_definition_that_is_late),
	};

	return cmocka_run_group_tests_name("vm_get", tests, NULL, NULL);
}
