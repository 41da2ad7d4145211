/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/operations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define HOST "00000000-0000-4000-8000-000000000001"
#define VM   "10000000-0000-4000-8000-000000000001"

static int64_t now; /* ms, on both clocks */

int64_t __wrap_monotonic_ms(void);
int64_t __wrap_now_ms(void);

int64_t
__wrap_monotonic_ms(void)
{
	return now;
}

int64_t
__wrap_now_ms(void)
{
	return now;
}

static void
run_one(struct operations *operations, const char *op, int64_t ms, const struct error *err)
{
	const char *id = operations_start(operations, op, VM, HOST, "u");

	now += ms;
	operations_finish(operations, id, NULL, err);
}

static const struct operation_count *
count_of(const struct operations *operations, const char *op)
{
	const struct operation_counts *counts = operations_get_counts(operations);

	for (size_t i = 0; i < counts->n; i++) {
		if (strcmp(counts->items[i].op, op) == 0)
			return &counts->items[i];
	}
	fail_msg("no '%s' was counted", op);
	return NULL;
}

static void
test_counts(void **state)
{
	struct operations *operations = operations_new();
	const struct operation_durations *completed;
	const struct operation_count *count;
	struct error err = { 0 };

	error_set(&err, 500, "x");
	run_one(operations, "VmBoot", operation_bounds[0], NULL);
	run_one(operations, "VmBoot", operation_bounds[0] + 1, NULL);
	run_one(operations, "VmBoot", operation_bounds[OPERATION_BUCKETS - 1] + 1, NULL);
	run_one(operations, "VmBoot", 7, &err);
	run_one(operations, "VmPause", 0, NULL);
	operations_start(operations, "VmBoot", VM, HOST, "u");
	assert_int_equal(operations_get_counts(operations)->n, 2);

	count = count_of(operations, "VmBoot");
	assert_int_equal(count->started, 5);
	completed = &count->ended[OPERATION_COMPLETED];
	assert_int_equal(completed->total, 3);
	assert_int_equal(completed->counts[0], 1);
	assert_int_equal(completed->counts[1], 1);
	assert_int_equal(completed->counts[OPERATION_BUCKETS - 1], 0);
	assert_int_equal(completed->sum_ms,
	    2 * operation_bounds[0] + operation_bounds[OPERATION_BUCKETS - 1] + 2);
	assert_int_equal(count->ended[OPERATION_FAILED].total, 1);
	assert_int_equal(count->ended[OPERATION_FAILED].sum_ms, 7);
	assert_int_equal(count_of(operations, "VmPause")->ended[OPERATION_COMPLETED].counts[0], 1);
	operations_free(operations);
}

/* One that ends with its VM, or a second time. */
static void
test_ends_once(void **state)
{
	struct operations *operations = operations_new();
	const char *id = operations_start(operations, "VmShutdown", VM, HOST, "u");
	const struct operation_count *count = count_of(operations, "VmShutdown");
	struct error err = { 0 };

	operations_leave(operations, id);
	now += 3000;
	operations_finish_vm(operations, VM, "it is off");
	error_set(&err, 500, "x");
	operations_finish(operations, id, NULL, &err);
	assert_int_equal(count->ended[OPERATION_COMPLETED].total, 1);
	assert_int_equal(count->ended[OPERATION_COMPLETED].sum_ms, 3000);
	assert_int_equal(count->ended[OPERATION_FAILED].total, 0);
	operations_free(operations);
}

/* What is not kept any more is counted all the same. */
static void
test_counts_what_is_dropped(void **state)
{
	struct operations *operations = operations_new();
	struct operations_stats kept;

	for (int i = 0; i < OPERATIONS_MAX + 10; i++)
		run_one(operations, "VmPause", 1, NULL);
	operations_get_stats(operations, &kept);
	assert_int_equal(kept.completed, OPERATIONS_MAX);
	assert_int_equal(
	    count_of(operations, "VmPause")->ended[OPERATION_COMPLETED].total, OPERATIONS_MAX + 10);
	operations_free(operations);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_ends_once),
		cmocka_unit_test(test_counts_what_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
