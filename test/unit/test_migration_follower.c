/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A migration's progress is read each second, and what takes too long is ended or stopped. */
#include "ops_host.h"

#include "ops/migration_follower.h"

static int
setup_up(void **state)
{
	ops_setup(state);
	ops_up();
	return 0;
}

#define HOST(function) cmocka_unit_test_setup_teardown(function, setup_up, ops_teardown)

/* timeout in seconds, 0 for none. */
static const char *
follow(int32_t timeout, enum migration_timeout action)
{
	const struct vm_migrate_options options = { .timeout = timeout, .timeout_action = action };
	const char *operation = operations_start(here.ctx.operations, "VmMigrate", VM1, SELF, "me");

	migration_follow(&here.ctx, VM1, operation, &options);
	/* Once for each operation. */
	migration_follow(&here.ctx, VM1, operation, &options);
	return operation;
}

static void
tell(enum migration_state state, int64_t total, int64_t remaining)
{
	const struct migration_info info = { .state = state,
		.progress = { .total = total, .remaining = remaining } };

	ops_end_job(WORK_MIGRATION_INFO, &info);
}

static int
progress_of(const char *operation)
{
	return operations_find(here.ctx.operations, operation)->progress;
}

static void
test_progress(void **state)
{
	const char *operation = follow(0, MIGRATION_TIMEOUT_ABORT);

	ops_advance(1000);
	assert_string_equal(
	    ((const struct vm_request *)ops_request_of(WORK_MIGRATION_INFO))->uuid, VM1);
	/* One at a time. */
	ops_advance(3000);
	tell(MIGRATION_STATE_ACTIVE, 1000, 400);
	assert_null(ops_find_job(WORK_MIGRATION_INFO));
	assert_int_equal(progress_of(operation), 59);
	/* What tells nothing changes nothing. */
	ops_advance(1000);
	tell(MIGRATION_STATE_SETUP, 1000, 0);
	ops_advance(1000);
	tell(MIGRATION_STATE_ACTIVE, 0, 0);
	ops_advance(1000);
	tell(MIGRATION_STATE_ACTIVE, 1000, 2000);
	ops_advance(1000);
	ops_fail_job(WORK_MIGRATION_INFO, 424, "there is no migration");
	assert_int_equal(progress_of(operation), 59);

	operations_finish(here.ctx.operations, operation, NULL, NULL);
	ops_advance(2000);
	assert_null(ops_find_job(WORK_MIGRATION_INFO));
	assert_true(LIST_EMPTY(&here.ctx.migration_followers));
}

static void
test_timeout(void **state)
{
	const struct migration_control_request *asked;

	follow(10, MIGRATION_TIMEOUT_PAUSE);
	for (int i = 0; i < 9; i++) {
		ops_advance(1000);
		tell(MIGRATION_STATE_ACTIVE, 1000, 400);
	}
	assert_null(ops_find_job(WORK_MIGRATION_CONTROL));
	ops_advance(1000);
	asked = ops_request_of(WORK_MIGRATION_CONTROL);
	assert_string_equal(asked->uuid, VM1);
	assert_int_equal(asked->action, MIGRATION_TIMEOUT_PAUSE);
	/* The migration may not have begun yet: again in five seconds. */
	ops_fail_job(WORK_MIGRATION_CONTROL, 424, "there is no migration");
	ops_advance(4000);
	assert_null(ops_find_job(WORK_MIGRATION_CONTROL));
	ops_advance(1000);
	ops_end_job(WORK_MIGRATION_CONTROL, NULL);
	/* It was done: once is enough. */
	ops_advance(20000);
	assert_null(ops_find_job(WORK_MIGRATION_CONTROL));
	ops_end_job(WORK_MIGRATION_INFO, NULL);
}

/* A job that was asked for outlives what it was asked for. */
static void
test_ends_meanwhile(void **state)
{
	const char *operation = follow(1, MIGRATION_TIMEOUT_ABORT);

	ops_advance(1000);
	assert_non_null(ops_find_job(WORK_MIGRATION_CONTROL));
	ops_advance(1000);
	assert_non_null(ops_find_job(WORK_MIGRATION_INFO));
	operations_finish(here.ctx.operations, operation, NULL, NULL);
	ops_advance(1000);
	assert_true(LIST_EMPTY(&here.ctx.migration_followers));
	tell(MIGRATION_STATE_ACTIVE, 1000, 400);
	ops_fail_job(WORK_MIGRATION_CONTROL, 424, "there is no migration");
	assert_string_equal(ops_state(operation), "completed");
}

static void
test_no_job(void **state)
{
	follow(5, MIGRATION_TIMEOUT_ABORT);
	here.no_jobs = true;
	ops_advance(6000);
	here.no_jobs = false;
	ops_advance(1000);
	assert_non_null(ops_find_job(WORK_MIGRATION_INFO));
	/* What could not be ended is tried again. */
	ops_advance(5000);
	ops_end_job(WORK_MIGRATION_CONTROL, NULL);
	ops_end_job(WORK_MIGRATION_INFO, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		HOST(test_progress),
		HOST(test_timeout),
		HOST(test_ends_meanwhile),
		HOST(test_no_job),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
