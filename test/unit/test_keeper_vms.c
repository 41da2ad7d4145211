/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keeper with a time of the test's own, see ../sim/clock.c, and no job that starts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "../sim/clock.h"
#include "ops/keeper.h"
#include "proto/log.h"

#define SELF  "11111111-1111-4111-8111-111111111111"
#define OTHER "22222222-2222-4222-8222-222222222222"
#define THIRD "33333333-3333-4333-8333-333333333333"
#define VM    "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
#define VM2   "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"

static struct fixture {
	struct config config;
	struct inventory *inventory;
	struct operations *operations;
	struct keeper *keeper;
	char operation[UUID_TEXT_SIZE];
} fixture;

struct sanlock_link;

struct job *__wrap_job_start(struct jobs *jobs, enum work_id id, const void *request,
    const char *vm, const char *operation, job_progress progress, job_done done, void *arg,
    struct error *err);
int __wrap_sanlock_link_check(struct sanlock_link *link, struct error *err);

struct job *
__wrap_job_start(struct jobs *jobs, enum work_id id, const void *request, const char *vm,
    const char *operation, job_progress progress, job_done done, void *arg, struct error *err)
{
	error_set(err, 503, "none is started");
	return NULL;
}

int
__wrap_sanlock_link_check(struct sanlock_link *link, struct error *err)
{
	return 0;
}

static void
on_probed(void *arg, const char *host, const struct error *err)
{
}

/* A host tells of the VM, or that it has it no more. */
static void
tell(struct fixture *f, const char *host, bool has)
{
	struct vm_info info = { .host = (char *)host,
		.uuid = (char *)VM,
		.name = (char *)"vm",
		.runstate = VMRUNSTATE_RUNNING,
		.ts = now_ms() };
	struct vm_info_list list = {
		.host = (char *)host, .fields = { .ts = now_ms() }, .items = &info, .n_items = has
	};

	inventory_take_list(f->inventory, inventory_mark(f->inventory), &list);
}

/* A VM of another host, and an operation of this one that waits until it is off. */
static int
setup(void **state)
{
	struct fixture *f = &fixture;
	struct host_report self = { .uuid = (char *)SELF };

	log_set_level(LOG_LEVEL_ERROR);
	clock_reset();
	config_init(&f->config);
	f->inventory = inventory_new();
	f->operations = operations_new();
	f->keeper = keeper_new(NULL, &f->config, NULL, f->inventory, f->operations, on_probed, f);
	inventory_report_host(f->inventory, &self);
	inventory_set_host(f->inventory, OTHER, "other", CSTATE_ACTIVE);
	inventory_set_host(f->inventory, THIRD, "third", CSTATE_ACTIVE);
	tell(f, OTHER, true);
	snprintf(f->operation, sizeof(f->operation), "%s",
	    operations_start(f->operations, "VmShutdown", VM, SELF, "user"));
	keeper_end_when_off(f->keeper, VM, f->operation);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	keeper_free(f->keeper);
	operations_free(f->operations);
	inventory_free(f->inventory);
	config_clear(&f->config);
	return 0;
}

static void
pass(int64_t ms)
{
	while (clock_run_next(ms))
		;
}

static const char *
state_of(const struct fixture *f)
{
	return operations_find(f->operations, f->operation)->state;
}

/* It has gone on to a host that has not told of it yet. */
static void
test_a_vm_between_two_hosts_is_not_gone(void **state)
{
	struct fixture *f = *state;

	pass(1000);
	tell(f, OTHER, false);
	assert_null(inventory_find_vm(f->inventory, VM));
	pass(10000);
	assert_string_equal(state_of(f), "started");
	tell(f, THIRD, true);
	pass(200000);
	assert_string_equal(state_of(f), "started");
}

static void
test_a_vm_of_nobody_is_off(void **state)
{
	struct fixture *f = *state;

	pass(1000);
	tell(f, OTHER, false);
	pass(200000);
	assert_string_equal(state_of(f), "completed");
	assert_string_equal(
	    operations_find(f->operations, f->operation)->msg, "no host has the VM any more");
}

/* One of this host's, of which another one says that it has it. */
static void
claim(struct fixture *f)
{
	struct vm_report report = { .uuid = (char *)VM2, .runstate = VMRUNSTATE_POWEROFF };
	struct vm_event event = {
		.host = (char *)OTHER, .uuid = (char *)VM2, .runstate = VMRUNSTATE_RUNNING
	};

	inventory_report_vm(f->inventory, inventory_mark(f->inventory), true, &report);
	event.ts = inventory_find_vm(f->inventory, VM2)->vm.ts + 1;
	assert_int_equal(inventory_take_event(f->inventory, &event), INVENTORY_CLAIM);
}

static void
test_a_claim_on_what_is_deleted(void **state)
{
	struct fixture *f = *state;

	claim(f);
	operations_start(f->operations, "VmDelete", VM2, SELF, "user");
	keeper_vm_changed(f->keeper, VM2, VMRUNSTATE_DELETED, false);
	assert_null(inventory_find_vm(f->inventory, VM2));
}

/* Somebody has undefined it: it may well be there. */
static void
test_a_claim_on_what_is_undefined(void **state)
{
	struct fixture *f = *state;

	claim(f);
	keeper_vm_changed(f->keeper, VM2, VMRUNSTATE_DELETED, false);
	assert_non_null(inventory_find_vm(f->inventory, VM2));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    test_a_vm_between_two_hosts_is_not_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_vm_of_nobody_is_off, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_claim_on_what_is_deleted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_claim_on_what_is_undefined, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
