/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Room that is held for VMs of other hosts. */
#include "state/reservation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "state/inventory.h"
#include "state/placement.h"

#define TOTAL 16384 /* MiB of this host */
#define SELF  "a0000000-0000-4000-8000-000000000000"
#define OTHER "a0000000-0000-4000-8000-000000000001"
#define VM    "10000000-0000-4000-8000-000000000001"
#define FROM  "10.0.0.2"
#define OP1   "b0000000-0000-4000-8000-000000000001"
#define OP2   "b0000000-0000-4000-8000-000000000002"

static int64_t clock_ms = 1000000;

int64_t __wrap_monotonic_ms(void);

int64_t
__wrap_monotonic_ms(void)
{
	return clock_ms;
}

static char name[] = "web";

static struct vmdef
vm(int32_t memory)
{
	return (struct vmdef){
		.name = name, .memory = { memory, false }, .cpudef = { NULL, 1, 1, 2, 1 }
	};
}

static int
setup(void **state)
{
	struct inventory *inventory = inventory_new();
	char self[] = SELF;
	struct host_report report = { .uuid = self,
		.has_def = true,
		.def = { .name = name, .cpudef = { NULL, 1, 1, 4, 2 } },
		.memory_total = INT64_C(1024) * TOTAL,
		.memory_free = INT64_C(1024) * TOTAL };

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

static struct host_figures
figures_of(const struct inventory *inventory, const char *host)
{
	struct planner *planner = planner_new(inventory);
	struct host_figures ret = { 0 };

	assert_true(planner_figures(planner, host, &ret));
	planner_free(planner);
	return ret;
}

static struct host_figures
figures(const struct inventory *inventory)
{
	return figures_of(inventory, SELF);
}

static void
hold(struct inventory *inventory, const char *uuid, const char *operation, int32_t memory)
{
	struct vmdef def = vm(memory);
	struct error err = { 0 };

	assert_int_equal(reservation_hold(inventory, FROM, uuid, operation, &def, &err), 0);
}

/* A VM of this host is seen. */
static void
report(struct inventory *inventory, int32_t memory)
{
	char uuid[] = VM;
	struct vm_report seen = { .uuid = uuid,
		.has_def = memory > 0,
		.def = vm(memory),
		.runstate = VMRUNSTATE_POWEROFF };

	inventory_report_vm(inventory, inventory_mark(inventory), true, &seen);
}

/* It counts, once for each VM, and in what is placed here, too. */
static void
test_counts(void **state)
{
	struct inventory *inventory = *state;
	struct vmdef def = vm(TOTAL - 999);
	struct placement_need need = {
		.vm = "", .from = "", .target = SELF, .def = &def, .brief = true
	};
	struct placement placement = { 0 };
	struct vmdef_memory memory = { 1000, false }, more = { 1001, false }, hp = { 10, true };
	struct planner *planner;
	struct error err = { 0 };

	hold(inventory, VM, OP1, 600);
	hold(inventory, VM, OP1, 1000);
	assert_int_equal(figures(inventory).memory, TOTAL - 1000);
	assert_int_equal(figures(inventory).vms, 1);
	assert_int_equal(figures(inventory).vcpus, 2);
	assert_true(reservation_is_held(inventory, VM, &memory));
	assert_false(reservation_is_held(inventory, VM, &more));
	assert_false(reservation_is_held(inventory, VM, &hp));
	assert_false(reservation_is_held(inventory, OP1, &memory));

	planner = planner_new(inventory);
	assert_int_equal(planner_place(planner, &need, &placement, &err), -1);
	assert_int_equal(err.status, 422);
	model_clear(&placement_model, &placement);
	planner_free(planner);
}

/* Who reserved it gives it up, and nobody else. */
static void
test_release(void **state)
{
	struct inventory *inventory = *state;

	hold(inventory, VM, OP1, 1000);
	reservation_release(inventory, VM, OP2);
	assert_int_equal(figures(inventory).memory, TOTAL - 1000);
	/* Another operation has it now. */
	hold(inventory, VM, OP2, 1000);
	reservation_release(inventory, VM, OP1);
	assert_int_equal(figures(inventory).memory, TOTAL - 1000);
	reservation_release(inventory, VM, OP2);
	reservation_release(inventory, VM, OP2);
	assert_int_equal(figures(inventory).memory, TOTAL);
	assert_int_equal(reservation_count(inventory), 0);
}

/* The sender has died: nobody renews it. */
static void
test_expires(void **state)
{
	struct inventory *inventory = *state;
	struct vmdef_memory memory = { 1000, false };

	hold(inventory, VM, OP1, 1000);
	clock_ms += RESERVATION_HELD_MS - 1;
	assert_int_equal(figures(inventory).memory, TOTAL - 1000);
	hold(inventory, VM, OP1, 1000);
	clock_ms += RESERVATION_HELD_MS - 1;
	assert_int_equal(figures(inventory).memory, TOTAL - 1000);
	assert_true(reservation_is_held(inventory, VM, &memory));
	clock_ms++;
	assert_int_equal(figures(inventory).memory, TOTAL);
	assert_false(reservation_is_held(inventory, VM, &memory));
	assert_int_equal(reservation_count(inventory), 0);
}

/* From its arrival on the VM counts by itself, and when it goes on, not at all. */
static void
test_arrives(void **state)
{
	struct inventory *inventory = *state;

	hold(inventory, VM, OP1, 1000);
	report(inventory, 0);
	assert_int_equal(figures(inventory).memory, TOTAL - 1000);
	assert_int_equal(figures(inventory).vms, 1);
	report(inventory, 1000);
	assert_int_equal(figures(inventory).memory, TOTAL - 1000);
	assert_int_equal(figures(inventory).vms, 1);
	assert_int_equal(reservation_count(inventory), 0);
	inventory_release_vm(inventory, VM);
	assert_int_equal(figures(inventory).memory, TOTAL);
	assert_int_equal(figures(inventory).vms, 0);
}

static void
tell_other(struct inventory *inventory)
{
	char other[] = OTHER;
	struct host_info info = { .uuid = other,
		.fields = { .name = name,
		    .cpudef = { NULL, 1, 1, 4, 2 },
		    .memoryavailable = TOTAL,
		    .ts = 1 } };

	assert_int_equal(inventory_take_host(inventory, &info, NULL), INVENTORY_TAKEN);
	assert_int_equal(figures_of(inventory, OTHER).memory, TOTAL);
}

/* What went to another host, and is back before that was looked at, is not counted there. */
static void
test_returns(void **state)
{
	struct inventory *inventory = *state;
	char uuid[] = VM, other[] = OTHER;
	struct vmdef def = vm(1000);
	struct vm_info seen = { .uuid = uuid,
		.host = other,
		.runstate = VMRUNSTATE_POWEROFF,
		.ts = now_ms() + 1000,
		.name = name };
	uint64_t id;

	tell_other(inventory);
	report(inventory, 1000);
	id = reservation_add(inventory, OTHER, VM, &def);
	assert_int_equal(figures_of(inventory, OTHER).memory, TOTAL - 1000);
	reservation_settle(inventory, id, VM);
	inventory_release_vm(inventory, VM);
	assert_int_equal(figures_of(inventory, OTHER).memory, TOTAL - 1000);
	assert_int_equal(inventory_take_info(inventory, &seen), INVENTORY_TAKEN);
	report(inventory, 1000);
	assert_int_equal(figures_of(inventory, OTHER).memory, TOTAL);
	assert_int_equal(reservation_count(inventory), 0);
}

/* What was made there, and is no more before it was ever seen: the host says so, or lists what it
 * has. */
static void
test_ends_unseen(void **state)
{
	struct inventory *inventory = *state;
	char uuid[] = VM, other[] = OTHER;
	struct vmdef def = vm(1000);
	struct vm_event end = {
		.uuid = uuid, .host = other, .runstate = VMRUNSTATE_DELETED, .ts = now_ms()
	};
	struct vm_info_list list = { .host = other,
		.fields = { .name = name,
		    .cpudef = { NULL, 1, 1, 4, 2 },
		    .memoryavailable = TOTAL,
		    .ts = 2 } };
	uint64_t id, early, mark;

	tell_other(inventory);
	id = reservation_add(inventory, OTHER, "", &def);
	reservation_settle(inventory, id, VM);
	assert_int_equal(figures_of(inventory, OTHER).memory, TOTAL - 1000);
	inventory_take_event(inventory, &end);
	assert_int_equal(figures_of(inventory, OTHER).memory, TOTAL);

	id = reservation_add(inventory, OTHER, "", &def);
	early = inventory_mark(inventory);
	reservation_settle(inventory, id, VM);
	mark = inventory_mark(inventory);
	assert_int_equal(inventory_take_list(inventory, early, &list), INVENTORY_TAKEN);
	assert_int_equal(figures_of(inventory, OTHER).memory, TOTAL - 1000);
	assert_int_equal(inventory_take_list(inventory, mark, &list), INVENTORY_TAKEN);
	assert_int_equal(figures_of(inventory, OTHER).memory, TOTAL);
	assert_int_equal(reservation_count(inventory), 0);
}

static int
hold_from(struct inventory *inventory, int host, int n, struct error *err)
{
	struct vmdef def = vm(1);
	char from[16], uuid[37];

	snprintf(from, sizeof(from), "10.0.1.%d", host);
	snprintf(uuid, sizeof(uuid), "10000000-0000-4000-8000-%012d", n);
	return reservation_hold(inventory, from, uuid, OP1, &def, err);
}

/* There is a bound to both kinds, and to each host, and none drives another out. */
static void
test_bound(void **state)
{
	struct inventory *inventory = *state;
	struct vmdef def = vm(1);
	struct error err = { 0 };
	int n = 0;

	for (int host = 0; n < RESERVATIONS_MAX; host++) {
		for (int i = 0; i < RESERVATIONS_OF_ONE; i++, n++)
			assert_int_equal(hold_from(inventory, host, n, &err), 0);
		if (n == RESERVATIONS_MAX)
			break;
		assert_int_equal(hold_from(inventory, host, n, &err), -1);
		assert_int_equal(err.status, 503);
		assert_non_null(strstr(err.detail, "of the host at '10.0.1."));
		/* What it has it can renew; what another has it cannot take over. */
		assert_int_equal(hold_from(inventory, host, n - 1, &err), 0);
		assert_int_equal(hold_from(inventory, host, 0, &err), host == 0 ? 0 : -1);
	}
	assert_int_equal(hold_from(inventory, 200, n, &err), -1);
	assert_int_equal(err.status, 503);
	assert_int_equal(hold_from(inventory, 200, n - 1, &err), 0);
	for (int i = 0; i < RESERVATIONS_MAX + 10; i++)
		reservation_add(inventory, OTHER, "", &def);
	assert_int_equal(reservation_count(inventory), 2 * RESERVATIONS_MAX);
	assert_int_equal(figures(inventory).memory, TOTAL - RESERVATIONS_MAX);
	clock_ms += RESERVATION_HELD_MS;
	assert_int_equal(hold_from(inventory, 0, n, &err), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_release, setup, teardown),
		cmocka_unit_test_setup_teardown(test_expires, setup, teardown),
		cmocka_unit_test_setup_teardown(test_arrives, setup, teardown),
		cmocka_unit_test_setup_teardown(test_returns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends_unseen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bound, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
