/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is looked at before a task begins, and what the client is told where it cannot. */
#include "task_host.h"

static int
find_vm(const char *vm)
{
	struct request *req = ops_request(ROUTE_VM_BOOT, vm, "{}");
	int r = task_find_vm(&here.ctx, req);

	if (r == 0)
		request_reply(req, 204);
	return r;
}

static void
test_find_vm(void **state)
{
	assert_int_equal(find_vm(VM1), 0);
	assert_int_equal(find_vm(VM2), -1);
	assert_int_equal(here.status, 404);
	/* A host is away, whose VMs nobody knows. */
	here.missing = "the VMs of host 'h9' are not known";
	assert_int_equal(find_vm(VM2), -1);
	assert_int_equal(here.status, 503);
	assert_non_null(strstr(here.body, "h9"));
	assert_non_null(strstr(here.headers, "Retry-After: 1"));
	here.missing = NULL;
	assert_int_equal(find_vm(VM2), -1);
	assert_int_equal(here.status, 503);
	/* A host has told of a VM that is still to be asked for. */
	here.missing = "";
	here.behind = "not known yet is what has changed on 'h8'";
	assert_int_equal(find_vm(VM2), -1);
	assert_int_equal(here.status, 503);
	assert_non_null(strstr(here.body, "h8"));
	/* It is on its way. */
	inventory_release_vm(here.ctx.inventory, VM1);
	assert_int_equal(find_vm(VM1), -1);
	assert_int_equal(here.status, 503);
	assert_non_null(strstr(here.body, "has left this host"));
}

static int
check(enum task_need need, const char *word)
{
	struct request *req = ops_request(ROUTE_VM_BOOT, VM1, "{}");

	if (task_check_ready(&here.ctx, req, need) == 0) {
		request_reply(req, 204);
		return 0;
	}
	assert_int_equal(here.status, 503);
	assert_non_null(strstr(here.body, word));
	return -1;
}

static void
test_ready(void **state)
{
	assert_int_equal(task_need_of(0), TASK_NEEDS_STORAGE);
	assert_int_equal(task_need_of(1), TASK_NEEDS_LOCKSPACE);
	assert_int_equal(check(TASK_NEEDS_LOCKSPACE, ""), 0);
	here.libvirt = "it does not answer";
	assert_int_equal(check(TASK_NEEDS_LIBVIRT, "libvirt: it does not answer"), -1);
	here.libvirt = NULL;
	here.sanlock = "sanlock is stopped";
	ops_advance(1000);
	assert_int_equal(check(TASK_NEEDS_LOCKSPACE, "lockspace: sanlock is stopped"), -1);
	assert_int_equal(check(TASK_NEEDS_STORAGE, ""), 0);
}

static void
test_not_ready_at_first(void **state)
{
	assert_int_equal(check(TASK_NEEDS_LIBVIRT, "has not told this host's uuid"), -1);
}

static void
test_read(void **state)
{
	struct vm_boot_options options = { 0 };
	struct request *req = ops_request(ROUTE_VM_BOOT, VM1, "{\"nobody\": 1}");

	assert_int_equal(task_read(req, &options), 0);
	assert_int_equal(task_read_exact(req, &options), -1);
	assert_int_equal(here.status, 400);
	assert_non_null(strstr(here.body, "nobody"));
	assert_int_equal(task_read(ops_request(ROUTE_VM_BOOT, VM1, "{"), &options), -1);
	assert_int_equal(here.status, 400);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TASK(test_find_vm),
		TASK(test_ready),
		TEST(test_not_ready_at_first),
		TASK(test_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
