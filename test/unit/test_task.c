/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the client of a mutating request is told and when, and what is known when its operation has
 * ended. */
#include "task_host.h"

#include "state/reservation.h"

static void
test_done(void **state)
{
	struct vm_result res = ops_result(VM1, VMRUNSTATE_RUNNING);
	const char *operation = boot(boot_request());

	assert_non_null(operation);
	assert_string_equal(ops_find_job(WORK_VM_BOOT)->vm, VM1);
	assert_string_equal(ops_find_job(WORK_VM_BOOT)->operation, operation);
	assert_string_equal(ops_state(operation), "started");
	ops_progress(WORK_VM_BOOT, 40, WORK_STAGE_BEGUN);
	assert_int_equal(operations_find(here.ctx.operations, operation)->progress, 40);
	assert_int_equal(here.replies, 0);

	ops_end_job(WORK_VM_BOOT, &res);
	/* Who is answered sees what was done. */
	assert_int_equal(here.status, 204);
	assert_int_equal(ops_runstate(VM1), VMRUNSTATE_RUNNING);
	assert_string_equal(ops_state(operation), "completed");
	assert_null(here.ctx.tasks);
	model_clear(&vm_result_model, &res);
}

static void
test_warning(void **state)
{
	struct vm_result res = ops_result(VM1, VMRUNSTATE_RUNNING);
	const char *operation = boot(boot_request());

	res.warning = xstrdup("a lease is left");
	ops_end_job(WORK_VM_BOOT, &res);
	assert_int_equal(here.status, 200);
	assert_non_null(strstr(here.headers, "Warning: "));
	assert_non_null(strstr(here.headers, "a lease is left"));
	assert_string_equal(
	    operations_find(here.ctx.operations, operation)->msg, "a lease is left");
	model_clear(&vm_result_model, &res);
}

/* It was so already: nothing is made of it. */
static void
test_nothing(void **state)
{
	struct vm_result res = ops_result(VM1, VMRUNSTATE_RUNNING);
	const char *operation = boot(boot_request());

	res.nothing = true;
	ops_end_job(WORK_VM_BOOT, &res);
	assert_int_equal(here.status, 204);
	assert_string_equal(
	    operations_find(here.ctx.operations, operation)->msg, "it was so already");
	model_clear(&vm_result_model, &res);
}

static void
test_created(void **state)
{
	char vm[] = VM2;
	struct vm_create_request request = { .uuid = vm };
	struct vm_result res = ops_result(VM2, VMRUNSTATE_POWEROFF);
	struct task_place place = { .why = "placed on h1: it is the best" };
	const char *operation;

	place.reservation = reservation_add(here.ctx.inventory, SELF, VM2, &res.vm.def);
	operation = kept(task_start_placed(&here.ctx, ops_request(ROUTE_VM_CREATE, "", "{}"),
	    WORK_VM_CREATE, &request, VM2, 201, &place));
	assert_true(task_is_under_way(&here.ctx, ROUTE_VM_CREATE));
	assert_false(task_is_under_way(&here.ctx, ROUTE_VM_BOOT));
	ops_end_job(WORK_VM_CREATE, &res);
	assert_int_equal(here.status, 201);
	assert_string_equal(here.body, "\"" VM2 "\"");
	assert_int_equal(reservation_count(here.ctx.inventory), 0);
	assert_string_equal(operations_find(here.ctx.operations, operation)->msg, place.why);
	assert_false(task_is_under_way(&here.ctx, ROUTE_VM_CREATE));
	model_clear(&vm_result_model, &res);
}

static void
test_deleted(void **state)
{
	char vm[] = VM1;
	struct vm_delete_request request = { .uuid = vm };
	const struct vm_result res = { .gone = true };

	task_start(
	    &here.ctx, ops_request(ROUTE_VM_DELETE, VM1, ""), WORK_VM_DELETE, &request, VM1, 204);
	ops_end_job(WORK_VM_DELETE, &res);
	assert_int_equal(here.status, 204);
	assert_null(inventory_find_vm(here.ctx.inventory, VM1));
}

static void
test_registered(void **state)
{
	char vm[] = VM1;
	struct vm_request request = { .uuid = vm };
	struct vm_result res = ops_result(VM1, VMRUNSTATE_POWEROFF);

	res.defined = true;
	task_start(&here.ctx, ops_request(ROUTE_VM_REGISTER, VM1, "{}"), WORK_VM_REGISTER, &request,
	    VM1, 200);
	ops_end_job(WORK_VM_REGISTER, &res);
	assert_int_equal(here.status, 201);
	assert_string_equal(here.body, "");
	model_clear(&vm_result_model, &res);
}

/* The job has failed, and changed nothing: libvirt's event of its start is not the last word. */
static void
test_refused(void **state)
{
	const char *operation = boot(boot_request());

	inventory_set_runstate(here.ctx.inventory, VM1, VMRUNSTATE_STARTUP);
	ops_fail_job(WORK_VM_BOOT, 422, "there is no memory");
	assert_int_equal(ops_runstate(VM1), VMRUNSTATE_POWEROFF);
	assert_int_equal(here.status, 422);
	assert_non_null(strstr(here.body, "there is no memory"));
	assert_non_null(strstr(here.body, VM1));
	assert_non_null(strstr(here.body, operation));
	assert_string_equal(ops_state(operation), "failed");
	/* Nothing is to be healed. */
	ops_advance(1000);
	assert_null(ops_find_job(WORK_VM_HEAL));
}

/* A job without a word may have been killed anywhere. */
static void
test_died_at_first(void **state)
{
	boot(boot_request());
	ops_fail_job(WORK_VM_BOOT, 500, "it was killed by signal 9");
	assert_int_equal(here.status, 500);
	ops_advance(1000);
	assert_string_equal(
	    ((const struct vm_heal_request *)ops_request_of(WORK_VM_HEAL))->uuid, VM1);
}

/* It has left something half done: the client waits until it is known how that ended. */
static void
died_in_the_middle(bool done)
{
	struct vm_result res = ops_result(VM1, done ? VMRUNSTATE_RUNNING : VMRUNSTATE_POWEROFF);
	const char *operation = boot(boot_request());
	const struct vm_heal_request *heal;

	ops_progress(WORK_VM_BOOT, -1, WORK_STAGE_BEGUN);
	ops_fail_job(WORK_VM_BOOT, 500, "it was killed by signal 9");
	assert_int_equal(here.replies, 0);
	assert_non_null(strstr(operations_find(here.ctx.operations, operation)->msg, "found out"));

	/* Nobody begins anything else meanwhile. */
	boot(boot_request());
	assert_int_equal(here.status, 409);
	assert_non_null(strstr(here.body, operation));

	ops_advance(100);
	heal = ops_request_of(WORK_VM_HEAL);
	assert_string_equal(heal->op, "VmBoot");
	res.done = done;
	ops_end_job(WORK_VM_HEAL, &res);
	assert_int_equal(here.replies, 2);
	assert_int_equal(here.status, done ? 204 : 500);
	if (!done)
		assert_non_null(strstr(here.body, "it was not done, and the VM is poweroff"));
	assert_string_equal(ops_state(operation), done ? "completed" : "failed");
	assert_int_equal(ops_runstate(VM1), res.vm.runstate);
	model_clear(&vm_result_model, &res);
}

static void
test_died_and_done(void **state)
{
	died_in_the_middle(true);
}

static void
test_died_and_not_done(void **state)
{
	died_in_the_middle(false);
}

/* How it ended cannot be found out within a minute: it is healed later. */
static void
test_died_unknown(void **state)
{
	const char *operation = boot(boot_request());

	ops_progress(WORK_VM_BOOT, -1, WORK_STAGE_BEGUN);
	ops_fail_job(WORK_VM_BOOT, 500, "it was killed by signal 9");
	for (int i = 0; i < 100 && strcmp(ops_state(operation), "started") == 0; i++) {
		ops_advance(1000);
		if (ops_find_job(WORK_VM_HEAL))
			ops_fail_job(WORK_VM_HEAL, 503, "libvirt is away");
	}
	assert_string_equal(ops_state(operation), "failed");
	assert_int_equal(here.replies, 1);
	assert_int_equal(here.status, 500);
	assert_non_null(strstr(here.body, "it is not known yet how that ended"));
	ops_advance(1000);
	assert_non_null(ops_find_job(WORK_VM_HEAL));
}

static void
test_async(void **state)
{
	struct request *req = boot_request();
	struct vm_result res = ops_result(VM1, VMRUNSTATE_RUNNING);
	const char *operation;

	req->respond_async = true;
	operation = boot(req);
	assert_int_equal(here.status, 202);
	assert_non_null(strstr(here.headers, "Location: /operations/"));
	assert_non_null(strstr(here.headers, operation));
	assert_non_null(strstr(here.body, "\"started\""));
	ops_end_job(WORK_VM_BOOT, &res);
	assert_int_equal(here.replies, 1);
	assert_string_equal(ops_state(operation), "completed");
	model_clear(&vm_result_model, &res);
}

/* The client has waited for long enough; the work goes on. */
static void
test_out_of_time(void **state)
{
	struct vm_result res = ops_result(VM1, VMRUNSTATE_RUNNING);
	const char *operation = boot(boot_request());

	ops_advance((here.config.reply_timeout - 1) * 1000);
	assert_int_equal(here.replies, 0);
	ops_advance(1000);
	assert_int_equal(here.status, 504);
	assert_non_null(strstr(here.body, operation));
	assert_string_equal(ops_state(operation), "started");
	ops_end_job(WORK_VM_BOOT, &res);
	assert_int_equal(here.replies, 1);
	assert_string_equal(ops_state(operation), "completed");
	model_clear(&vm_result_model, &res);
}

/* The VM is busy, or no job can be started: the operation ends at once. */
static void
test_cannot_start(void **state)
{
	const char *first = boot(boot_request());

	assert_null(boot(boot_request()));
	assert_int_equal(here.status, 409);
	assert_non_null(strstr(here.body, first));
	assert_string_equal(ops_latest()->state, "failed");
	assert_string_equal(ops_state(first), "started");

	ops_fail_job(WORK_VM_BOOT, 422, "no");
	here.no_jobs = true;
	assert_null(boot(boot_request()));
	assert_int_equal(here.status, 503);
	assert_string_equal(ops_latest()->state, "failed");
	assert_null(here.ctx.tasks);
}

/* The job has asked the guest; the operation ends when it is off. */
static void
test_shutdown(void **state)
{
	char vm[] = VM2;
	struct vm_shutdown_request request = { .uuid = vm };
	struct vm_result res = ops_result(VM2, VMRUNSTATE_RUNNING);
	const char *operation;

	ops_add_vm(VM2, VMRUNSTATE_RUNNING);
	operation = kept(task_start(&here.ctx, ops_request(ROUTE_VM_SHUTDOWN, VM2, "{}"),
	    WORK_VM_SHUTDOWN, &request, VM2, 202));
	ops_end_job(WORK_VM_SHUTDOWN, &res);
	assert_int_equal(here.status, 202);
	assert_string_equal(ops_state(operation), "started");
	keeper_vm_changed(here.ctx.keeper, VM2, VMRUNSTATE_POWEROFF, false);
	assert_string_equal(ops_state(operation), "completed");
	assert_string_equal(operations_find(here.ctx.operations, operation)->msg, "the VM is off");
	model_clear(&vm_result_model, &res);
}

/* What is of the host, and what only looks */

static void
test_of_the_host(void **state)
{
	struct storage_request request = { 0 };
	char uuid[] = VM3, root[] = "/vms";
	const struct storage storage = { uuid, root };

	task_start(&here.ctx, ops_request(ROUTE_STORAGE_INIT, "", "{}"), WORK_STORAGE_INIT,
	    &request, "", 200);
	ops_end_job(WORK_STORAGE_INIT, &storage);
	assert_int_equal(here.status, 200);
	assert_non_null(strstr(here.body, VM3));
	assert_string_equal(ops_latest()->state, "completed");
	/* Registry and libvirt are compared again. */
	assert_non_null(ops_find_job(WORK_RECONCILE));

	task_start(&here.ctx, ops_request(ROUTE_STORAGE_INIT, "", "{}"), WORK_STORAGE_INIT,
	    &request, "", 200);
	ops_fail_job(WORK_STORAGE_INIT, 409, "there is one");
	assert_int_equal(here.status, 409);
	assert_string_equal(ops_latest()->state, "failed");
}

static void
look(task_looked looked)
{
	char vm[] = VM1;
	struct vm_request request = { .uuid = vm };
	struct request *req = ops_request(ROUTE_MIGRATION_GET, VM1, "");

	if (looked)
		task_look(&here.ctx, req, WORK_MIGRATION_INFO, &request, looked);
	else
		task_ask(&here.ctx, req, WORK_MIGRATION_INFO, &request);
}

static void
on_looked(struct context *ctx, struct request *req, const void *result, const struct error *err)
{
	const struct migration_info *info = result;

	if (err)
		request_reply_error(req, err);
	else
		request_reply(req, info->state == MIGRATION_STATE_ACTIVE ? 202 : 204);
}

static void
test_looks(void **state)
{
	const struct migration_info active = { .state = MIGRATION_STATE_ACTIVE };

	look(NULL);
	ops_end_job(WORK_MIGRATION_INFO, &active);
	assert_int_equal(here.status, 200);
	assert_non_null(strstr(here.body, "\"state\":4"));
	look(NULL);
	ops_fail_job(WORK_MIGRATION_INFO, 424, "libvirt says no");
	assert_int_equal(here.status, 424);
	look(on_looked);
	ops_end_job(WORK_MIGRATION_INFO, &active);
	assert_int_equal(here.status, 202);
	look(on_looked);
	ops_fail_job(WORK_MIGRATION_INFO, 424, "libvirt says no");
	assert_int_equal(here.status, 424);
	/* None of them is an operation. */
	assert_null(ops_latest());
}

/* Each is a process, and none waits: there is a bound. */
static void
test_too_many_look(void **state)
{
	for (int i = 0; i < 32; i++)
		look(NULL);
	assert_int_equal(here.replies, 0);
	look(NULL);
	assert_int_equal(here.status, 503);
	ops_end_job(WORK_MIGRATION_INFO, NULL);
	here.replies = 0;
	look(NULL);
	assert_int_equal(here.replies, 0);
}

static void
test_stop(void **state)
{
	boot(boot_request());
	tasks_free(&here.ctx);
	assert_int_equal(here.status, 503);
	assert_non_null(strstr(here.body, "virtxd stops"));
}

/* Its job finds that the VM is not here: by then... */
static void
lose_vm(const char *missing)
{
	const struct error err = {
		.status = 404, .type = ERROR_NOT_FOUND, .detail = "no VM '" VM1 "' on this host"
	};

	here.missing = missing;
	ops_fail_job_as(WORK_VM_BOOT, &err);
	assert_non_null(strstr(here.body, "no VM '" VM1 "' on this host"));
}

/* Who is told that there is no VM where this host had one may rely on it. */
static void
test_lost(void **state)
{
	const char *operation;

	ops_add_host(H2, "h2", 4096);
	/* ... libvirt's event has not come; */
	boot(boot_request());
	lose_vm("");
	assert_int_equal(here.status, 503);
	assert_non_null(strstr(here.body, "whether another host has it is not known yet"));
	assert_non_null(strstr(here.headers, "Retry-After: 1"));
	/* ... another host is known to have it; */
	boot(boot_request());
	inventory_release_vm(here.ctx.inventory, VM1);
	ops_advance(100);
	ops_add_remote(VM1, H2, VMRUNSTATE_POWEROFF);
	lose_vm("");
	assert_int_equal(here.status, 503);
	assert_non_null(strstr(here.body, "it is with host '" H2 "'"));
	/* ... it has left; */
	ops_add_vm(VM1, VMRUNSTATE_POWEROFF);
	boot(boot_request());
	inventory_release_vm(here.ctx.inventory, VM1);
	lose_vm("");
	assert_int_equal(here.status, 503);
	assert_non_null(strstr(here.body, "it has left"));
	/* ... it is gone, and not all hosts' VMs are known; */
	ops_add_vm(VM1, VMRUNSTATE_POWEROFF);
	boot(boot_request());
	inventory_remove_vm(here.ctx.inventory, VM1);
	lose_vm("not known are the VMs of 'h3'");
	assert_int_equal(here.status, 503);
	assert_non_null(strstr(here.body, "h3"));
	/* ... it is gone. */
	ops_add_vm(VM1, VMRUNSTATE_POWEROFF);
	operation = boot(boot_request());
	inventory_remove_vm(here.ctx.inventory, VM1);
	lose_vm("");
	assert_int_equal(here.status, 404);
	assert_string_equal(ops_state(operation), "failed");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TASK(test_done),
		TASK(test_warning),
		TASK(test_nothing),
		TASK(test_created),
		TASK(test_deleted),
		TASK(test_registered),
		TASK(test_refused),
		TASK(test_lost),
		TASK(test_died_at_first),
		TASK(test_died_and_done),
		TASK(test_died_and_not_done),
		TASK(test_died_unknown),
		TASK(test_async),
		TASK(test_out_of_time),
		TASK(test_cannot_start),
		TASK(test_shutdown),
		TASK(test_of_the_host),
		TASK(test_looks),
		TASK(test_too_many_look),
		TASK(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
