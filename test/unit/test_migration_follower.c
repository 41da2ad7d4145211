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

static const char *
follow_vm(const char *vm, const struct vm_migrate_options *options)
{
	const char *operation = operations_start(here.ctx.operations, "VmMigrate", vm, SELF, "me");

	migration_follow(&here.ctx, vm, operation, options);
	/* Once for each operation. */
	migration_follow(&here.ctx, vm, operation, options);
	return operation;
}

/* timeout in seconds, 0 for none. */
static const char *
follow(int32_t timeout, enum migration_timeout action)
{
	const struct vm_migrate_options options = { .timeout = timeout, .timeout_action = action };

	return follow_vm(VM1, &options);
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

/* Jobs that read how far a migration is; newest: the VM that was asked for last. */
static int
count_asked(char newest[37])
{
	int n = 0;

	for (const struct ops_job *job = here.jobs; job; job = job->next) {
		if (job->work != WORK_MIGRATION_INFO)
			continue;
		snprintf(newest, 37, "%s", ((const struct vm_request *)job->request)->uuid);
		n++;
	}
	return n;
}

/* All that migrate are due at once, and the child that stays is asked for one after the other. */
static void
test_one_after_the_other(void **state)
{
	const char *const vms[] = { VM1, VM2, VM3 };
	const struct vm_migrate_options options = { 0 };
	char asked[3][37];

	for (size_t i = 0; i < ARRAY_SIZE(vms); i++)
		follow_vm(vms[i], &options);
	for (int round = 0; round < 2; round++) {
		ops_advance(1000);
		for (size_t i = 0; i < ARRAY_SIZE(vms); i++) {
			assert_int_equal(count_asked(asked[i]), 1);
			tell(MIGRATION_STATE_ACTIVE, 1000, 400);
		}
		assert_null(ops_find_job(WORK_MIGRATION_INFO));
		assert_string_not_equal(asked[0], asked[1]);
		assert_string_not_equal(asked[0], asked[2]);
		assert_string_not_equal(asked[1], asked[2]);
	}
}

/* Answers that take so long that a second has not enough of them for all are shared out. */
static void
test_each_has_its_turn(void **state)
{
	const char *const vms[] = { VM1, VM2, VM3 };
	const struct vm_migrate_options options = { 0 };
	char asked[9][37];

	for (size_t i = 0; i < ARRAY_SIZE(vms); i++)
		follow_vm(vms[i], &options);
	ops_advance(1100);
	for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
		assert_int_equal(count_asked(asked[i]), 1);
		if (i >= ARRAY_SIZE(vms))
			assert_string_equal(asked[i], asked[i - ARRAY_SIZE(vms)]);
		ops_advance(500);
		tell(MIGRATION_STATE_ACTIVE, 1000, 400);
	}
	assert_int_equal(count_asked(asked[0]), 1);
	tell(MIGRATION_STATE_ACTIVE, 1000, 400);
}

/* One that is not answered holds up the others until the next second. */
static void
test_one_hangs(void **state)
{
	const char *const vms[] = { VM1, VM2, VM3 };
	const struct vm_migrate_options options = { 0 };
	char hangs[37], second[37], third[37];

	for (size_t i = 0; i < ARRAY_SIZE(vms); i++)
		follow_vm(vms[i], &options);
	ops_advance(1000);
	assert_int_equal(count_asked(hangs), 1);
	ops_advance(1000);
	assert_int_equal(count_asked(second), 2);
	/* It answers after all: the third has its turn behind the second. */
	tell(MIGRATION_STATE_ACTIVE, 1000, 400);
	assert_int_equal(count_asked(third), 1);
	assert_string_equal(third, second);
	tell(MIGRATION_STATE_ACTIVE, 1000, 400);
	assert_int_equal(count_asked(third), 1);
	assert_string_not_equal(third, second);
	assert_string_not_equal(third, hangs);
	tell(MIGRATION_STATE_ACTIVE, 1000, 400);
	assert_null(ops_find_job(WORK_MIGRATION_INFO));
}

/* Whose turn is not given on because its migration has ended holds up nobody either. */
static void
test_ends_in_its_turn(void **state)
{
	const struct vm_migrate_options options = { 0 };
	const char *operations[] = { follow_vm(VM1, &options), follow_vm(VM2, &options) };
	char asked[2][37];

	ops_advance(1000);
	assert_int_equal(count_asked(asked[0]), 1);
	operations_finish(
	    here.ctx.operations, operations[str_equal(asked[0], VM1) ? 0 : 1], NULL, NULL);
	tell(MIGRATION_STATE_ACTIVE, 1000, 400);
	assert_int_equal(count_asked(asked[1]), 1);
	assert_string_not_equal(asked[0], asked[1]);
	tell(MIGRATION_STATE_ACTIVE, 1000, 400);
	ops_advance(1000);
	assert_int_equal(count_asked(asked[0]), 1);
	assert_string_equal(asked[0], asked[1]);
	tell(MIGRATION_STATE_ACTIVE, 1000, 400);
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
		HOST(test_one_after_the_other),
		HOST(test_each_has_its_turn),
		HOST(test_one_hangs),
		HOST(test_ends_in_its_turn),
		HOST(test_ends_meanwhile),
		HOST(test_no_job),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
