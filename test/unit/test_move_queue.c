/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "ops/move_queue.h"

#define MAX 2

/* What the next start of a VM comes to, by the first letter of its name. */
struct fixture {
	struct move_queue *moves;
	struct move *last; /* that was started */
	unsigned int started, followed, ended;
	int64_t now;
};

static void
start(void *arg, struct move *move)
{
	struct fixture *f = arg;

	f->started++;
	f->last = move;
	if (move->vm[0] == 'b')
		move_wait(move, "it is busy");
	else if (move->vm[0] == 's')
		move_stay(move, "it is too large");
	else if (move->vm[0] == 'd')
		move_done(move, "there");
	else
		move_begin(move, "host");
}

static void
follow(void *arg, struct move *move)
{
	struct fixture *f = arg;

	f->followed++;
	move->percent = 50;
}

static void
ended(void *arg, struct move *move)
{
	struct fixture *f = arg;

	f->ended++;
}

static const struct move_queue_ops ops = { start, follow, ended };

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	f->moves = move_queue_new(MAX, &ops, f);
	f->now = 1000;
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	move_queue_free(f->moves);
	free(f);
	return 0;
}

static void
run(struct fixture *f, int64_t later)
{
	f->now += later;
	move_queue_run(f->moves, f->now);
}

static void
test_empty(void **state)
{
	struct fixture *f = *state;
	size_t left;

	assert_true(move_queue_over(f->moves));
	assert_int_equal(move_queue_percent(f->moves), 100);
	assert_int_equal(move_queue_count(f->moves, &left), 0);
	assert_int_equal(left, 0);
}

/* So many at once, and a VM once. */
static void
test_bounded(void **state)
{
	struct fixture *f = *state;
	struct move *first;

	move_queue_add(f->moves, "go1");
	move_queue_add(f->moves, "go1");
	run(f, 0);
	first = f->last;
	move_queue_add(f->moves, "go2");
	move_queue_add(f->moves, "go3");
	run(f, 0);
	run(f, 0);
	assert_int_equal(f->started, MAX);
	assert_int_equal(f->followed, 3);
	assert_false(move_queue_over(f->moves));
	assert_int_equal(move_queue_percent(f->moves), 33);
	move_done(first, first->host);
	assert_string_equal(first->host, "host");
	assert_int_equal(f->ended, 1);
	run(f, 0);
	assert_int_equal(f->started, 3);
	assert_string_equal(f->last->vm, "go3");
}

/* What waits is tried again, ever more rarely, and given up after the patience. */
static void
test_wait(void **state)
{
	struct fixture *f = *state;
	_free_ char *why = NULL;
	size_t left;

	move_queue_add(f->moves, "busy");
	run(f, 0);
	run(f, MOVE_QUEUE_RETRY_MS - 1);
	assert_int_equal(f->started, 1);
	run(f, 1);
	assert_int_equal(f->started, 2);
	run(f, MOVE_QUEUE_RETRY_MS);
	assert_int_equal(f->started, 2);
	run(f, MOVE_QUEUE_RETRY_MS / 8);
	assert_int_equal(f->started, 3);
	assert_false(move_queue_over(f->moves));
	run(f, MOVE_QUEUE_PATIENCE_MS);
	assert_int_equal(f->ended, 1);
	assert_true(move_queue_over(f->moves));
	assert_int_equal(move_queue_count(f->moves, &left), 1);
	assert_int_equal(left, 1);
	why = move_queue_explain(f->moves, 1000);
	assert_string_equal(why, "VM 'busy': it is busy");
}

static void
test_again(void **state)
{
	struct fixture *f = *state;

	move_queue_add(f->moves, "go");
	run(f, 0);
	move_again(f->last, "the host refused it");
	run(f, MOVE_QUEUE_RETRY_MS - 1);
	assert_int_equal(f->started, 1);
	run(f, 1);
	assert_int_equal(f->started, 2);
	assert_int_equal(f->last->state, MOVE_UNDER_WAY);
	assert_int_equal(f->ended, 0);
}

/* What is under way ends, and what waits is not tried. */
static void
test_stop(void **state)
{
	struct fixture *f = *state;
	_free_ char *why = NULL;

	for (int i = 0; i < 4; i++) {
		_free_ char *name = xasprintf("go%d", i);

		move_queue_add(f->moves, name);
	}
	run(f, 0);
	move_queue_stop(f->moves);
	run(f, MOVE_QUEUE_PATIENCE_MS);
	assert_int_equal(f->started, MAX);
	assert_false(move_queue_over(f->moves));
	move_again(f->last, "no");
	assert_false(move_queue_over(f->moves));
	why = move_queue_explain(f->moves, 1000);
	assert_string_equal(why,
	    "VM 'go0': it was not tried; VM 'go1': no; VM 'go2': it was not tried; "
	    "VM 'go3': it was not tried");
}

static void
test_explain(void **state)
{
	struct fixture *f = *state;
	_free_ char *all = NULL, *some = NULL;
	size_t left;

	move_queue_add(f->moves, "done");
	move_queue_add(f->moves, "s1");
	move_queue_add(f->moves, "s2");
	move_queue_add(f->moves, "s3");
	run(f, 0);
	assert_true(move_queue_over(f->moves));
	assert_int_equal(move_queue_percent(f->moves), 100);
	assert_int_equal(move_queue_count(f->moves, &left), 4);
	assert_int_equal(left, 3);
	all = move_queue_explain(f->moves, 1000);
	assert_string_equal(
	    all, "VM 's1': it is too large; VM 's2': it is too large; VM 's3': it is too large");
	/* One at least, whatever its length. */
	some = move_queue_explain(f->moves, 1);
	assert_string_equal(some, "VM 's1': it is too large; and 2 more");
}

int
main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(test_empty),
		TEST(test_bounded),
		TEST(test_wait),
		TEST(test_again),
		TEST(test_stop),
		TEST(test_explain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
