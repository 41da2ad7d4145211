/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tasks whose owner looks for a host: one that refuses before anything was done is not the last. */
#include "task_host.h"

#include "state/reservation.h"

static struct owner_log {
	struct task *task;
	unsigned int refused, ended;
	bool again; /* the owner has another host */
	int status; /* that it ended with */
} owner_log;

static bool
on_refused(void *arg, const struct error *err)
{
	owner_log.refused++;
	return owner_log.again;
}

static void
on_ended(void *arg, const struct error *err)
{
	owner_log.ended++;
	owner_log.status = err ? err->status : 0;
}

static const struct task_owner owner = { on_refused, on_ended };

static struct task *
open_migration(struct request *req)
{
	struct error err = { 0 };

	owner_log = (struct owner_log){ 0 };
	return owner_log.task =
		   task_open(&here.ctx, ROUTE_VM_MIGRATE, req, "me", VM1, &owner, NULL, &err);
}

static int
migrate_with(const char *host, uint64_t reservation)
{
	char vm[] = VM1, target[37];
	struct vm_migrate_request request = { .uuid = vm, .target = target };
	struct task_place place = { .reservation = reservation, .why = "" };
	struct error err = { 0 };

	snprintf(target, sizeof(target), "%s", host);
	return task_work(owner_log.task, WORK_VM_MIGRATE, &request, &place, &err);
}

static int
migrate_to(const char *host)
{
	return migrate_with(host, 0);
}

/* Answered when the work begins, and over when the new host has told. */
static void
test_moved(void **state)
{
	const struct vm_result res = { .moved = true };
	char operation[37];

	ops_add_host(H2, "h2", 4096);
	snprintf(operation, sizeof(operation), "%s",
	    task_operation(open_migration(ops_request(ROUTE_VM_MIGRATE, VM1, "{}"))));
	assert_int_equal(migrate_to(H2), 0);
	assert_int_equal(here.replies, 0);
	ops_progress(WORK_VM_MIGRATE, 0, WORK_STAGE_BEGUN);
	assert_int_equal(here.status, 202);
	ops_end_job(WORK_VM_MIGRATE, &res);
	ops_advance(1000);
	assert_string_equal(ops_state(operation), "started");
	assert_int_equal(owner_log.ended, 0);
	ops_add_remote(VM1, H2, VMRUNSTATE_POWEROFF);
	ops_advance(100);
	assert_string_equal(ops_state(operation), "completed");
	assert_int_equal(owner_log.ended, 1);
	assert_int_equal(owner_log.status, 0);
}

/* That the new host had the VM before is no word of it. */
static void
test_moved_to_where_it_was(void **state)
{
	static const struct vmdef def = { .memory = { .total = 1024 } };
	const struct vm_result res = { .moved = true };
	struct vm_info info = { .uuid = (char[]){ VM1 },
		.host = (char[]){ H2 },
		.name = (char[]){ "vm1" },
		.runstate = VMRUNSTATE_POWEROFF,
		.ts = 1 };
	struct vm_info_list list = { .host = info.host, .items = &info, .n_items = 1 };
	struct inventory *inventory = here.ctx.inventory;
	char operation[37];

	ops_add_host(H2, "h2", 4096);
	inventory_take_list(inventory, inventory_mark(inventory), &list);
	snprintf(operation, sizeof(operation), "%s", task_operation(open_migration(NULL)));
	migrate_with(H2, reservation_add(inventory, H2, VM1, &def));
	ops_end_job(WORK_VM_MIGRATE, &res);
	ops_advance(1000);
	assert_string_equal(ops_state(operation), "started");
	inventory_take_list(inventory, inventory_mark(inventory), &list);
	ops_advance(100);
	assert_string_equal(ops_state(operation), "completed");
}

/* The new host says nothing: after half a minute the operation ends all the same. */
static void
test_moved_untold(void **state)
{
	const struct vm_result res = { .moved = true };
	char operation[37];

	ops_add_host(H2, "h2", 4096);
	snprintf(operation, sizeof(operation), "%s", task_operation(open_migration(NULL)));
	migrate_to(H2);
	ops_end_job(WORK_VM_MIGRATE, &res);
	ops_advance(29000);
	assert_string_equal(ops_state(operation), "started");
	ops_advance(2000);
	assert_string_equal(ops_state(operation), "completed");
	assert_string_equal(operations_find(here.ctx.operations, operation)->msg,
	    "its new host has not told of it yet");
}

/* The target refuses before anything was done: the task is open for the next one. */
static void
test_next_host(void **state)
{
	char operation[37];

	snprintf(operation, sizeof(operation), "%s", task_operation(open_migration(NULL)));
	owner_log.again = true;
	migrate_to(H2);
	ops_fail_job(WORK_VM_MIGRATE, 422, "it is full");
	assert_int_equal(owner_log.refused, 1);
	assert_int_equal(owner_log.ended, 0);
	/* It waits for a host: the VM is not free. */
	boot(boot_request());
	assert_int_equal(here.status, 409);
	assert_non_null(strstr(here.body, "it waits for a host"));

	owner_log.again = false;
	migrate_to(H3);
	assert_string_equal(
	    ((const struct vm_migrate_request *)ops_request_of(WORK_VM_MIGRATE))->target, H3);
	ops_fail_job(WORK_VM_MIGRATE, 422, "it is full, too");
	assert_int_equal(owner_log.refused, 2);
	assert_int_equal(owner_log.ended, 1);
	assert_int_equal(owner_log.status, 422);
	assert_string_equal(ops_state(operation), "failed");
}

static void
test_open_is_busy(void **state)
{
	boot(boot_request());
	assert_null(open_migration(ops_request(ROUTE_VM_MIGRATE, VM1, "{}")));
	assert_int_equal(here.status, 409);
	assert_int_equal(owner_log.ended, 0);
	assert_string_equal(ops_latest()->state, "failed");
}

static void
test_open_has_no_job(void **state)
{
	struct error err = { 0 };

	open_migration(NULL);
	here.no_jobs = true;
	assert_int_equal(migrate_to(H2), -1);
	error_set(&err, 503, "too many jobs wait");
	task_fail(owner_log.task, &err);
	assert_int_equal(owner_log.ended, 1);
	assert_int_equal(owner_log.status, 503);
	assert_null(here.ctx.tasks);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TASK(test_moved),
		TASK(test_moved_to_where_it_was),
		TASK(test_moved_untold),
		TASK(test_next_host),
		TASK(test_open_is_busy),
		TASK(test_open_has_no_job),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
