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

/* The ETag that comes when its sizes have been waited for. */
static char *
get_tag(void)
{
	static const char name[] = "ETag: ";

	get();
	ops_advance(3100);
	assert_int_equal(strncmp(here.headers, name, strlen(name)), 0);
	return xstrndup(here.headers + strlen(name), strcspn(here.headers, "\n") - strlen(name));
}

/* With this If-Match, which gets into the job only where it is met. */
static void
update(const char *if_match, bool done)
{
	struct request *req = ops_request(ROUTE_VM_UPDATE, VM1,
	    "{\"vmdef\":{\"name\":\"web\",\"cpudef\":{\"model\":\"qemu64\",\"sockets\":1,"
	    "\"cores\":1,\"threads\":1},\"memory\":{\"total\":16},"
	    "\"osdisk\":{\"path\":\"/vms/ds/os.iso\",\"device\":1,\"bus\":1}}}");
	_free_ char *copy = if_match ? xstrdup(if_match) : NULL;

	req->if_match = copy;
	here.status = 0;
	api_vm_update(&here.ctx, req);
	if (done && here.status)
		fail_msg("%s", here.body);
	assert_int_equal(ops_find_job(WORK_VM_UPDATE) != NULL, done);
	assert_int_equal(here.status, done ? 0 : 412);
	if (done)
		ops_fail_job(WORK_VM_UPDATE, 424, "it was tried");
	else
		assert_non_null(strstr(here.body, "/problems/changed"));
}

static void
test_update_of_what_was_read(void **state)
{
	struct inventory *inventory = here.ctx.inventory;
	_free_ char *before = NULL, *after = NULL, *list = NULL, *weak = NULL;
	struct vm_report report;

	ops_add_vm(VM1, VMRUNSTATE_POWEROFF);
	before = get_tag();
	update(NULL, true);
	update(before, true);
	update("*", true);
	/* What runs on it is nothing of the definition. */
	inventory_set_runstate(inventory, VM1, VMRUNSTATE_RUNNING);
	inventory_set_runstate(inventory, VM1, VMRUNSTATE_POWEROFF);
	update(before, true);

	ops_report(VM1, VMRUNSTATE_POWEROFF, &report);
	report.def.vlanid = 7;
	inventory_report_vm(inventory, inventory_mark(inventory), true, &report);
	model_clear(&vm_report_model, &report);
	after = get_tag();
	assert_string_not_equal(before, after);
	update(before, false);
	assert_non_null(strstr(here.body, "has changed since it was read"));
	update("", false);
	weak = xasprintf("W/%s", after);
	update(weak, false);
	list = xasprintf("%s ,\t%s", before, after);
	update(list, true);
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
		UP(test_update_of_what_was_read),
		UP(test_sizes_that_cannot_be_read),
		UP(test_definition_that_is_late),
	};

	return cmocka_run_group_tests_name("vm_get", tests, NULL, NULL);
}
