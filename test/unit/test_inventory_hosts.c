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

int64_t __wrap_now_ms(void);

int64_t
__wrap_now_ms(void)
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
tell_of(struct inventory *inventory, const char *host, unsigned int n)
{
	char uuid[UUID_TEXT_SIZE], its_host[UUID_TEXT_SIZE];
	struct vm_info info = { .uuid = uuid,
		.host = its_host,
		.name = (char[]){ "vm" },
		.runstate = VMRUNSTATE_RUNNING,
		.ts = 1 };

	snprintf(uuid, sizeof(uuid), "00000000-0000-4000-8000-%012x", n);
	snprintf(its_host, sizeof(its_host), "%s", host);
	return inventory_take_info(inventory, &info);
}

static enum inventory_news
tell(struct inventory *inventory, unsigned int n)
{
	return tell_of(inventory, OTHER, n);
}

/* The uuid of the n-th host of many; valid until the next call. */
static const char *
one_of_many(unsigned int n)
{
	static char uuid[UUID_TEXT_SIZE];

	snprintf(uuid, sizeof(uuid), "11111111-0000-4000-8000-%012x", n);
	return uuid;
}

/* Hosts that have all the VMs that are taken. */
static void
fill(struct inventory *inventory)
{
	char name[32];

	for (unsigned int i = 0; i < INVENTORY_VMS; i++) {
		snprintf(name, sizeof(name), "many%u", i / INVENTORY_HOST_VMS);
		if (i % INVENTORY_HOST_VMS == 0)
			inventory_set_host(
			    inventory, one_of_many(i / INVENTORY_HOST_VMS), name, CSTATE_ACTIVE);
		assert_int_equal(tell_of(inventory, one_of_many(i / INVENTORY_HOST_VMS), 1000 + i),
		    INVENTORY_TAKEN);
	}
}

static void
assert_full_text(const struct inventory *inventory, const char *text)
{
	_free_ char *full = inventory_full_text(inventory);

	assert_string_equal(full, text);
}

static void
on_short(void *arg, const char *host)
{
	assert_string_equal(host, OTHER);
	++*(unsigned int *)arg;
}

static unsigned int
count_short(const struct inventory *inventory)
{
	unsigned int n = 0;

	inventory_each_short(inventory, on_short, &n);
	return n;
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
		assert_int_equal(tell(inventory, INVENTORY_HOST_VMS + i), INVENTORY_FULL);
	inventory_set_problems(inventory, NULL, 0);
	self = inventory_find_host(inventory, SELF);
	assert_int_equal(self->n_problems, 1);
	assert_string_equal(self->problems[0].kind, "vms");
	assert_string_equal(self->problems[0].detail,
	    "known are only 2000 VMs of host 'other', which has more: no more than 2000 are taken "
	    "of one host");
	assert_int_equal(count_short(inventory), 0);
}

/* The host tells of two VMs by its list. */
static void
list_two(struct inventory *inventory)
{
	char host[] = OTHER, name[] = "vm", uuids[2][UUID_TEXT_SIZE];
	struct vm_info items[2];
	struct vm_info_list list = { .host = host, .items = items, .n_items = 2, .digest = 5 };

	for (unsigned int i = 0; i < 2; i++) {
		snprintf(uuids[i], UUID_TEXT_SIZE, "00000000-0000-4000-8000-%012x", i);
		items[i] = (struct vm_info){ .uuid = uuids[i],
			.host = host,
			.name = name,
			.runstate = VMRUNSTATE_RUNNING,
			.ts = 1 };
	}
	list.fields.name = (char[]){ "other" };
	list.fields.ts = 1;
	assert_int_equal(
	    inventory_take_list(inventory, inventory_mark(inventory), &list), INVENTORY_TAKEN);
}

/* Who has taken all places is told, and who is short of some is asked again once there are any. */
static void
test_all_places(void **state)
{
	struct vm_event event = { .uuid = (char[]){ "00000000-0000-4000-8000-000000000000" },
		.host = (char[]){ OTHER },
		.runstate = VMRUNSTATE_RUNNING,
		.ts = 2 };
	struct inventory *inventory = *state;

	assert_full_text(inventory, "");
	fill(inventory);
	assert_int_equal(inventory_take_event(inventory, &event), INVENTORY_MISSING);
	assert_int_equal(tell(inventory, 0), INVENTORY_FULL);
	assert_int_equal(inventory_take_event(inventory, &event), INVENTORY_FULL);
	list_two(inventory);
	assert_full_text(inventory,
	    "known are only 0 of the 2 VMs of host 'other': there are 50000 of 50000 in all, most "
	    "of host 'many0' (2000), 'many1' (2000), 'many2' (2000)");
	assert_int_equal(count_short(inventory), 0);
	/* Its member has another uuid. */
	inventory_set_host(inventory, one_of_many(3), "many3", CSTATE_INVALID);
	assert_null(inventory_find_host(inventory, one_of_many(3)));
	assert_int_equal(count_short(inventory), 1);
	list_two(inventory);
	assert_full_text(inventory, "");
	assert_int_equal(count_short(inventory), 0);
}

/* The VMs of a host that is away, of several those of the largest, make room. */
static void
test_away_makes_room(void **state)
{
	struct inventory *inventory = *state;

	tell(inventory, 0);
	inventory_set_host(inventory, OTHER, "other", CSTATE_FAILED);
	inventory_set_host(inventory, one_of_many(99), "late", CSTATE_ACTIVE);
	for (unsigned int i = 0; i < INVENTORY_VMS - 1; i++) {
		const char *host = one_of_many(i / INVENTORY_HOST_VMS);

		if (i % INVENTORY_HOST_VMS == 0)
			inventory_set_host(inventory, host, "liar", CSTATE_ACTIVE);
		assert_int_equal(tell_of(inventory, host, 1000 + i), INVENTORY_TAKEN);
		if (i % INVENTORY_HOST_VMS == INVENTORY_HOST_VMS - 1)
			inventory_set_host(inventory, host, "liar", CSTATE_LEFT);
	}
	assert_int_equal(tell_of(inventory, one_of_many(99), 1), INVENTORY_TAKEN);
	assert_full_text(inventory, "");
	assert_null(inventory_find_host(inventory, one_of_many(0)));
	assert_non_null(inventory_find_host(inventory, one_of_many(1)));
	assert_non_null(inventory_find_vm(inventory, "00000000-0000-4000-8000-000000000000"));
}

/* Events of a time to come put off the look at a digest, and not for ever. */
static void
test_events_ahead(void **state)
{
	struct host_info info = { .uuid = (char[]){ OTHER } };
	struct host_digest digest = { HOST_DIGEST_VERSION, 1, 5 };
	struct vm_event event = { .uuid = (char[]){ "00000000-0000-4000-8000-000000000001" },
		.host = (char[]){ OTHER },
		.runstate = VMRUNSTATE_RUNNING };
	struct inventory *inventory = *state;
	int64_t now = now_ms();

	info.fields.name = (char[]){ "other" };
	for (unsigned int i = 0; i < 7; i++) {
		event.ts = now + 50000 + i;
		assert_int_equal(inventory_take_event(inventory, &event), INVENTORY_MISSING);
		info.fields.ts = now + i;
		assert_int_equal(inventory_take_host(inventory, &info, &digest), INVENTORY_TAKEN);
		assert_int_equal(inventory_match(inventory, OTHER, NULL),
		    i < 6 ? INVENTORY_MATCH_UNKNOWN : INVENTORY_MATCH_DIFFERS);
		clock_ms += 10000;
	}
}

/* What ended long ago is not remembered for ever. */
static void
test_ends_without_end(void **state)
{
	char uuid[UUID_TEXT_SIZE];
	struct vm_event event = {
		.uuid = uuid, .host = (char[]){ OTHER }, .runstate = VMRUNSTATE_DELETED, .ts = 1
	};
	struct inventory *inventory = *state;

	for (unsigned int i = 0; i <= INVENTORY_VMS; i++) {
		assert_int_equal(tell(inventory, i), INVENTORY_TAKEN);
		snprintf(uuid, sizeof(uuid), "00000000-0000-4000-8000-%012x", i);
		assert_int_equal(inventory_take_event(inventory, &event), INVENTORY_TAKEN);
	}
	assert_int_equal(tell(inventory, INVENTORY_VMS), INVENTORY_OLD);
	assert_int_equal(tell(inventory, 1), INVENTORY_OLD);
	assert_int_equal(tell(inventory, 0), INVENTORY_TAKEN);
}

/* It is told before a reconciliation, which needs the storage, and after. */
static void
test_storage(void **state)
{
	struct inventory *inventory = *state;
	struct host_problem other = { .kind = (char[]){ "transient" }, .vm = (char[]){ "" } };
	const struct host *self = inventory_find_host(inventory, SELF);
	struct seen seen = { 0 };

	inventory_observe(inventory, &observer, &seen);
	inventory_set_storage(inventory, "gone");
	assert_int_equal(self->n_problems, 1);
	assert_string_equal(self->problems[0].kind, "storage");
	assert_int_equal(seen.hosts, 1);
	inventory_set_storage(inventory, "gone");
	assert_int_equal(self->n_problems, 1);
	assert_int_equal(seen.hosts, 1);
	inventory_set_problems(inventory, &other, 1);
	assert_int_equal(self->n_problems, 2);
	inventory_set_storage(inventory, "another one");
	assert_int_equal(self->n_problems, 2);
	assert_string_equal(self->problems[0].kind, "transient");
	assert_string_equal(self->problems[1].detail, "another one");
	inventory_set_storage(inventory, "");
	assert_int_equal(self->n_problems, 1);
	inventory_set_problems(inventory, NULL, 0);
	assert_int_equal(self->n_problems, 0);
	inventory_unobserve(inventory, &observer, &seen);
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

/* The other host tells of itself; its clock is so far ahead. */
static enum inventory_news
tell_host(struct inventory *inventory, int64_t ahead_ms)
{
	struct host_info info = { .uuid = (char[]){ OTHER } };

	info.fields.name = (char[]){ "other" };
	info.fields.ts = now_ms() + ahead_ms;
	return inventory_take_host(inventory, &info, NULL);
}

static void
expect_skew(struct inventory *inventory, const char *text, int64_t ms)
{
	_free_ char *found = inventory_skew_text(inventory);
	const struct host_list_fields all = { 0 };
	struct host_list list = { 0 };
	size_t other = 0;

	assert_string_equal(found, text);
	inventory_list_hosts(inventory, &all, NULL, &list);
	assert_int_equal(list.n_items, 2);
	other = str_equal(list.items[1].uuid, OTHER);
	assert_int_equal(list.items[other].skew, ms);
	assert_int_equal(list.items[!other].skew, 0);
	model_clear(&host_list_model, &list);
}

/* Another clock is told; one by which nothing can be believed is a problem. */
static void
test_clocks(void **state)
{
	struct inventory *inventory = *state;
	const struct host *self = inventory_find_host(inventory, SELF);

	assert_int_equal(tell_host(inventory, 0), INVENTORY_TAKEN);
	expect_skew(inventory, "", 0);
	assert_int_equal(tell_host(inventory, 60900), INVENTORY_TAKEN);
	expect_skew(inventory, "the clock of host 'other' is 60.9 s ahead", 60900);
	inventory_set_problems(inventory, NULL, 0);
	assert_int_equal(self->n_problems, 0);
	assert_int_equal(tell_host(inventory, INVENTORY_AHEAD_MS + 100900), INVENTORY_AHEAD);
	expect_skew(
	    inventory, "the clock of host 'other' is 400.9 s ahead", INVENTORY_AHEAD_MS + 100900);
	inventory_set_problems(inventory, NULL, 0);
	assert_int_equal(self->n_problems, 1);
	assert_string_equal(self->problems[0].kind, "clock");
	assert_non_null(strstr(self->problems[0].detail, "'other' is 400 s ahead"));
	/* Of one that is away it does not matter. */
	inventory_set_host(inventory, OTHER, "other", CSTATE_FAILED);
	inventory_set_problems(inventory, NULL, 0);
	assert_int_equal(self->n_problems, 0);
}

/* Two members of serf have one uuid: all hosts name both of them. */
static void
test_twins(void **state)
{
	struct inventory *inventory = *state;
	const struct host *self = inventory_find_host(inventory, SELF);
	struct error err = { 0 };

	assert_int_equal(inventory_check_twins(inventory, &err), 0);
	inventory_set_twin(inventory, OTHER, "clone");
	assert_int_equal(inventory_check_twins(inventory, &err), -1);
	assert_int_equal(err.status, 409);
	assert_non_null(strstr(err.detail, "'other' and member 'clone'"));
	inventory_set_problems(inventory, NULL, 0);
	assert_int_equal(self->n_problems, 1);
	assert_string_equal(self->problems[0].kind, "twin");
	assert_non_null(strstr(self->problems[0].detail, "'other' and member 'clone'"));
	inventory_set_twin(inventory, OTHER, "");
	assert_int_equal(inventory_check_twins(inventory, &err), 0);
	inventory_set_problems(inventory, NULL, 0);
	assert_int_equal(self->n_problems, 0);
	/* This host itself may be the one that was cloned. */
	inventory_set_twin(inventory, SELF, "clone");
	assert_int_equal(inventory_check_twins(inventory, &err), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_vms_of_one_host, setup, teardown),
		cmocka_unit_test_setup_teardown(test_storage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_places, setup, teardown),
		cmocka_unit_test_setup_teardown(test_away_makes_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends_without_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_events_ahead, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forget, setup, teardown),
		cmocka_unit_test_setup_teardown(test_away, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hosts_without_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clocks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_twins, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
