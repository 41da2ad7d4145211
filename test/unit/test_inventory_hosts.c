/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How much others may have this host keep, and when it is forgotten. */
#include "state/inventory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SELF  "aaaaaaaa-0000-4000-8000-000000000000"
#define OTHER "bbbbbbbb-0000-4000-8000-000000000000"
#define DAY   INT64_C(86400000)

static int64_t clock_ms = 1000000;

int64_t __wrap_monotonic_ms(void);

int64_t
__wrap_monotonic_ms(void)
{
	return clock_ms;
}

struct seen {
	unsigned int gone, hosts;
	enum cstate last;
};

static void
on_vm(void *arg, const struct inventory_vm *vm, bool gone)
{
	((struct seen *)arg)->gone += gone;
}

static void
on_host(void *arg, const struct host *host)
{
	((struct seen *)arg)->hosts++;
	((struct seen *)arg)->last = host->cstate;
}

static const struct inventory_observer observer = { .vm = on_vm, .host = on_host };

static int
setup(void **state)
{
	struct inventory *inventory = inventory_new();
	struct host_report report = { .uuid = (char[]){ SELF }, .has_def = true };

	report.def.name = (char[]){ "self" };
	inventory_report_host(inventory, &report);
	inventory_set_host(inventory, OTHER, "other", CSTATE_ACTIVE);
	*state = inventory;
	return 0;
}

static int
teardown(void **state)
{
	inventory_free(*state);
	return 0;
}

static enum inventory_news
tell(struct inventory *inventory, unsigned int n)
{
	char uuid[UUID_TEXT_SIZE];
	struct vm_info info = { .uuid = uuid,
		.host = (char[]){ OTHER },
		.name = (char[]){ "vm" },
		.runstate = VMRUNSTATE_RUNNING,
		.ts = 1 };

	snprintf(uuid, sizeof(uuid), "00000000-0000-4000-8000-%012x", n);
	return inventory_take_info(inventory, &info);
}

static unsigned int
count_hosts(const struct inventory *inventory)
{
	const struct host_list_fields all = { 0 };
	struct host_list list = { 0 };
	unsigned int n;

	inventory_list_hosts(inventory, &all, NULL, &list);
	n = (unsigned int)list.n_items;
	model_clear(&host_list_model, &list);
	return n;
}

static void
test_vms_of_one_host(void **state)
{
	struct inventory *inventory = *state;
	const struct host *self;

	for (unsigned int i = 0; i < INVENTORY_HOST_VMS; i++)
		assert_int_equal(tell(inventory, i), INVENTORY_TAKEN);
	for (unsigned int i = 0; i < 100; i++)
		assert_int_equal(tell(inventory, INVENTORY_HOST_VMS + i), INVENTORY_REFUSED);
	inventory_set_problems(inventory, NULL, 0);
	self = inventory_find_host(inventory, SELF);
	assert_int_equal(self->n_problems, 1);
	assert_string_equal(self->problems[0].kind, "vms");
	assert_non_null(strstr(self->problems[0].detail, "'other'"));
}

static void
test_forget(void **state)
{
	struct inventory *inventory = *state;
	struct seen seen = { 0 };
	struct error err = { 0 };

	inventory_observe(inventory, &observer, &seen);
	tell(inventory, 1);
	tell(inventory, 2);
	assert_int_equal(inventory_forget_host(inventory, OTHER, &err), -1);
	assert_int_equal(err.status, 409);
	assert_int_equal(inventory_forget_host(inventory, SELF, &err), -1);
	assert_int_equal(err.status, 409);
	inventory_set_host(inventory, OTHER, "other", CSTATE_FAILED);
	assert_int_equal(inventory_forget_host(inventory, OTHER, &err), 0);
	assert_int_equal(seen.gone, 2);
	assert_int_equal(seen.last, CSTATE_INVALID);
	assert_null(inventory_find_host(inventory, OTHER));
	assert_int_equal(inventory_forget_host(inventory, OTHER, &err), -1);
	assert_int_equal(err.status, 404);
	/* It comes back with what it has. */
	inventory_set_host(inventory, OTHER, "other", CSTATE_ACTIVE);
	tell(inventory, 3);
	assert_int_equal(count_hosts(inventory), 2);
}

static void
test_away(void **state)
{
	struct inventory *inventory = *state;
	char uuid[UUID_TEXT_SIZE];

	clock_ms += 8 * DAY;
	assert_false(inventory_find_away(inventory, 7 * DAY, uuid));
	inventory_set_host(inventory, OTHER, "other", CSTATE_FAILED);
	clock_ms += 4 * DAY;
	inventory_set_host(inventory, OTHER, "other", CSTATE_LEFT);
	clock_ms += 3 * DAY - 1;
	assert_false(inventory_find_away(inventory, 7 * DAY, uuid));
	clock_ms++;
	assert_true(inventory_find_away(inventory, 7 * DAY, uuid));
	assert_string_equal(uuid, OTHER);
}

/* A member that takes one uuid after the other. */
static void
test_hosts_without_end(void **state)
{
	struct inventory *inventory = *state;
	char uuid[UUID_TEXT_SIZE];

	tell(inventory, 1);
	for (unsigned int i = 0; i < 5000; i++) {
		snprintf(uuid, sizeof(uuid), "11111111-0000-4000-8000-%012x", i);
		inventory_set_host(inventory, uuid, "liar", CSTATE_ACTIVE);
		inventory_set_host(inventory, uuid, "liar", CSTATE_FAILED);
	}
	assert_int_equal(count_hosts(inventory), 1024);
	assert_non_null(inventory_find_host(inventory, OTHER));
	assert_non_null(inventory_find_host(inventory, SELF));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_vms_of_one_host, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forget, setup, teardown),
		cmocka_unit_test_setup_teardown(test_away, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hosts_without_end, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
