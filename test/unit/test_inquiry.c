/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vm-heal is asked how an operation ended until it can tell, or a minute is over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <event2/event.h>

#include "ops/inquiry.h"

#define VM "11111111-0000-4000-8000-000000000000"

/* What the stand-in for a job says, run by run. */
struct run {
	int status;    /* 0: it can tell */
	int64_t takes; /* ms */
};

static struct fixture {
	struct event_base *base;
	struct inquiries *inquiries;
	const struct run *runs;
	int n_runs, n_healed, n_found;
	bool able, told;
	struct error why;
} fixture;

static int64_t clock_ms;

int64_t __wrap_monotonic_ms(void);
struct job *__wrap_job_start(struct jobs *jobs, enum work_id id, const void *request,
    const char *vm, const char *operation, job_progress progress, job_done done, void *arg,
    struct error *err);

int64_t
__wrap_monotonic_ms(void)
{
	return clock_ms;
}

struct ended {
	job_done done;
	void *arg;
};

static void
end_job(evutil_socket_t fd, short what, void *arg)
{
	struct ended *ended = arg, copy = *ended;
	const struct run *run = fixture.runs++;
	struct vm_result res = { .done = true };
	struct error err = { 0 };

	free(ended);
	clock_ms += run->takes;
	if (run->status)
		error_set(&err, run->status, "cannot tell");
	copy.done(copy.arg, run->status ? NULL : &res, run->status ? &err : NULL);
}

struct job *
__wrap_job_start(struct jobs *jobs, enum work_id id, const void *request, const char *vm,
    const char *operation, job_progress progress, job_done done, void *arg, struct error *err)
{
	static const struct timeval at_once = { 0 };
	const struct vm_heal_request *req = request;
	struct ended *ended = xcalloc(1, sizeof(*ended));

	assert_int_equal(id, WORK_VM_HEAL);
	assert_string_equal(vm, VM);
	assert_string_equal(req->op, "VmDelete");
	*ended = (struct ended){ done, arg };
	fixture.n_runs++;
	event_base_once(fixture.base, -1, EV_TIMEOUT, end_job, ended, &at_once);
	return (struct job *)ended;
}

static bool
able(void *arg, uint64_t *mark)
{
	*mark = 7;
	return fixture.able;
}

static void
healed(void *arg, uint64_t mark, void *result, const struct error *err)
{
	assert_int_equal(mark, 7);
	fixture.n_healed++;
}

static const struct inquiry_ops ops = { .able = able, .healed = healed };

static void
found(void *arg, struct vm_result *res, const struct error *err)
{
	fixture.n_found++;
	fixture.told = res && res->done;
	if (err)
		fixture.why = *err;
	event_base_loopbreak(fixture.base);
}

static void
ask(const struct run *runs)
{
	fixture = (struct fixture){ .base = event_base_new(), .runs = runs, .able = true };
	fixture.inquiries = inquiries_new(fixture.base, NULL, &ops, NULL);
	inquiry_start(fixture.inquiries, VM, "VmDelete", "", found, NULL);
	assert_true(inquiry_is_under_way(fixture.inquiries, VM));
	assert_int_equal(fixture.n_runs, 0);
}

static void
end(int n_runs, bool told)
{
	event_base_dispatch(fixture.base);
	assert_int_equal(fixture.n_found, 1);
	assert_int_equal(fixture.n_runs, n_runs);
	assert_int_equal(fixture.n_healed, n_runs);
	assert_int_equal(fixture.told, told);
	assert_false(inquiry_is_under_way(fixture.inquiries, VM));
	inquiries_free(fixture.inquiries);
	event_base_free(fixture.base);
}

static void
test_until_it_can_tell(void **state)
{
	static const struct run runs[] = { { 503, 0 }, { 0, 0 } };

	ask(runs);
	end(2, true);
}

static void
test_a_minute_at_most(void **state)
{
	static const struct run runs[] = { { 424, 59000 }, { 424, 1000 } };

	ask(runs);
	end(2, false);
	assert_string_equal(fixture.why.detail, "cannot tell");
}

/* A migration that goes on is no failure to find out. */
static void
test_what_goes_on_is_waited_for(void **state)
{
	static const struct run runs[] = { { 409, 59000 }, { 409, 59000 }, { 0, 0 } };

	ask(runs);
	end(3, true);
}

static void
test_without_libvirt_nothing_is_tried(void **state)
{
	ask(NULL);
	fixture.able = false;
	clock_ms += 60000;
	end(0, false);
	assert_int_equal(fixture.why.status, 503);
}

static void
test_stop(void **state)
{
	ask(NULL);
	inquiries_free(fixture.inquiries);
	event_base_free(fixture.base);
	assert_int_equal(fixture.n_found, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_until_it_can_tell),
		cmocka_unit_test(test_a_minute_at_most),
		cmocka_unit_test(test_what_goes_on_is_waited_for),
		cmocka_unit_test(test_without_libvirt_nothing_is_tried),
		cmocka_unit_test(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
