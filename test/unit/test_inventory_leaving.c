/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VM that goes to another host is not taken for ended, however late that host tells of it, and
 * whatever the two hosts' clocks say. */
#include "state/inventory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "state/reservation.h"

#define SELF  "aaaaaaaa-0000-4000-8000-000000000000"
#define OTHER "bbbbbbbb-0000-4000-8000-000000000000"
#define VM    "11111111-0000-4000-8000-000000000000"

static char self[] = SELF, other[] = OTHER, uuid[] = VM, name[] = "web";
static int64_t clock_ms = 1000000, ahead_ms;

int64_t __wrap_monotonic_ms(void);
int64_t __wrap_now_ms(void);

int64_t
__wrap_monotonic_ms(void)
{
	return clock_ms;
}

int64_t
__wrap_now_ms(void)
{
	return clock_ms + ahead_ms;
}

struct cluster {
	struct inventory *here, *there;
	int ended; /* VMs of this host, as its observers were told */
};

static void
on_vm(void *arg, const struct inventory_vm *vm, bool gone)
{
	struct cluster *cluster = arg;

	cluster->ended += gone;
}

static const struct inventory_observer observer = { .vm = on_vm };

static struct inventory *
make(const char *as, const char *peer)
{
	struct inventory *inventory = inventory_new();
	struct host_report report = {
		.uuid = xstrdup(as), .has_def = true, .def = { .name = name }
	};

	inventory_report_host(inventory, &report);
	inventory_set_host(inventory, peer, "peer", CSTATE_ACTIVE);
	free(report.uuid);
	return inventory;
}

/* A job saw the VM: op, which has this status and message, is in its record. */
static void
report(struct inventory *inventory, char *op, char *status, char *msg)
{
	struct oplog_item item = { .op = op, .status = status, .msg = msg };
	struct vm_report seen = { .uuid = uuid,
		.runstate = VMRUNSTATE_POWEROFF,
		.has_def = true,
		.def = { .name = name, .cpudef = { NULL, 1, 1, 2, 1 } },
		.oplog = { .items = &item, .n_items = 1 } };

	inventory_report_vm(inventory, inventory_mark(inventory), true, &seen);
}

static void
report_idle(struct inventory *inventory)
{
	report(inventory, (char[]){ "VmCreate" }, (char[]){ "completed" }, (char[]){ "" });
}

static void
collect_none(struct inventory *inventory)
{
	inventory_report_vms(inventory, inventory_mark(inventory), NULL, 0);
}

/* One host asks another one for its VMs. */
static void
pull_from(struct inventory *from, const char *host, struct inventory *to)
{
	struct vm_info_list list = { 0 };
	uint64_t mark = inventory_mark(to);

	inventory_get_list(from, host, "", 0, &list);
	assert_int_equal(inventory_take_list(to, mark, &list), INVENTORY_TAKEN);
	model_clear(&vm_info_list_model, &list);
}

/* The other host asks this one. */
static void
pull(struct cluster *cluster)
{
	pull_from(cluster->here, SELF, cluster->there);
}

static int
setup(void **state)
{
	struct cluster *cluster = xcalloc(1, sizeof(*cluster));

	cluster->here = make(SELF, OTHER);
	cluster->there = make(OTHER, SELF);
	inventory_observe(cluster->here, &observer, cluster);
	report_idle(cluster->here);
	pull(cluster);
	*state = cluster;
	return 0;
}

static int
teardown(void **state)
{
	struct cluster *cluster = *state;

	inventory_free(cluster->here);
	inventory_free(cluster->there);
	free(cluster);
	return 0;
}

static void
expect_host(const struct inventory *inventory, const char *host)
{
	const struct inventory_vm *view = inventory_find_vm(inventory, VM);

	assert_non_null(view);
	assert_string_equal(view->vm.runinfo.host, host);
}

static void
expect_gone(struct cluster *cluster)
{
	assert_null(inventory_find_vm(cluster->here, VM));
	assert_int_equal(cluster->ended, 1);
	pull(cluster);
	assert_null(inventory_find_vm(cluster->there, VM));
}

/* It is gone here by now, and the other host has not looked yet. */
static void
expect_left(struct cluster *cluster)
{
	assert_int_equal(cluster->ended, 0);
	assert_false(inventory_find_vm(cluster->here, VM)->local);
	expect_host(cluster->here, SELF);
	pull(cluster);
	expect_host(cluster->there, SELF);
}

static int64_t
ts_of(const struct inventory *inventory)
{
	return inventory_find_vm(inventory, VM)->vm.ts;
}

/* One tells the other of the VM, which it has. */
static enum inventory_news
tell(struct inventory *from, struct inventory *to)
{
	const struct inventory_vm *view = inventory_find_vm(from, VM);
	struct vm_info info = { .uuid = uuid,
		.host = view->vm.runinfo.host,
		.runstate = view->vm.runinfo.runstate,
		.ts = view->vm.ts,
		.name = name,
		.vcpus = 2 };

	assert_true(view->local);
	return inventory_take_info(to, &info);
}

static void
arrive(struct cluster *cluster)
{
	report_idle(cluster->there);
	assert_int_equal(tell(cluster->there, cluster->here), INVENTORY_TAKEN);
	expect_host(cluster->here, OTHER);
	pull(cluster);
	expect_host(cluster->there, OTHER);
	assert_int_equal(cluster->ended, 0);
}

static void
test_job_tells(void **state)
{
	struct cluster *cluster = *state;

	inventory_release_vm(cluster->here, VM);
	expect_left(cluster);
	arrive(cluster);
}

/* The other host never tells. */
static void
test_lost(void **state)
{
	struct cluster *cluster = *state;

	inventory_release_vm(cluster->here, VM);
	clock_ms += 60000;
	collect_none(cluster->here);
	expect_left(cluster);
	clock_ms++;
	collect_none(cluster->here);
	expect_gone(cluster);
}

static void
wait_a_minute(struct cluster *cluster)
{
	clock_ms += 60001;
	collect_none(cluster->here);
}

/* The host that it went to lost its power before it told of it, and has not told of its VMs since;
 * then it still finds out whose the VM is; and then it does not have it. */
static void
test_awaited(void **state)
{
	struct cluster *cluster = *state;
	struct vmdef def = { .name = name };
	struct undecided_vm vm = { .uuid = uuid };

	pull_from(cluster->there, OTHER, cluster->here);
	reservation_add(cluster->here, OTHER, VM, &def);
	inventory_release_vm(cluster->here, VM);
	inventory_set_host(cluster->here, OTHER, "peer", CSTATE_FAILED);
	wait_a_minute(cluster);
	expect_left(cluster);
	inventory_set_undecided(cluster->there, &vm, 1);
	pull_from(cluster->there, OTHER, cluster->here);
	wait_a_minute(cluster);
	expect_left(cluster);
	inventory_set_undecided(cluster->there, NULL, 0);
	pull_from(cluster->there, OTHER, cluster->here);
	wait_a_minute(cluster);
	expect_gone(cluster);
}

/* It was deleted there at once, which this host has not heard: later digests have what is known. */
static void
test_awaited_by_digest(void **state)
{
	struct cluster *cluster = *state;
	struct vmdef def = { .name = name };
	struct host_digest digest;
	struct host_info info;

	pull_from(cluster->there, OTHER, cluster->here);
	reservation_add(cluster->here, OTHER, VM, &def);
	inventory_release_vm(cluster->here, VM);
	/* Sent before it came. */
	clock_ms++;
	assert_true(inventory_get_self(cluster->there, &info, &digest));
	assert_int_equal(inventory_take_host(cluster->here, &info, &digest), INVENTORY_TAKEN);
	wait_a_minute(cluster);
	expect_left(cluster);
	assert_true(inventory_get_self(cluster->there, &info, &digest));
	assert_int_equal(inventory_take_host(cluster->here, &info, &digest), INVENTORY_TAKEN);
	wait_a_minute(cluster);
	expect_gone(cluster);
}

/* What another host has no more may be here, as who looks since before that sees. What has left,
 * and has ended there since, is not. */
static void
test_ended_there(void **state)
{
	struct cluster *cluster = *state;
	struct vm_report seen = { .uuid = uuid, .runstate = VMRUNSTATE_RUNNING };
	struct vm_event end = { uuid, self, VMRUNSTATE_DELETED, 0 };
	uint64_t mark = inventory_mark(cluster->there);

	end.ts = ts_of(cluster->there);
	assert_int_equal(inventory_take_event(cluster->there, &end), INVENTORY_TAKEN);
	inventory_report_vms(cluster->there, mark, &seen, 1);
	assert_non_null(inventory_find_vm(cluster->there, VM));
	assert_true(inventory_find_vm(cluster->there, VM)->local);

	mark = inventory_mark(cluster->here);
	inventory_release_vm(cluster->here, VM);
	clock_ms++;
	assert_int_equal(tell(cluster->there, cluster->here), INVENTORY_TAKEN);
	end = (struct vm_event){ uuid, other, VMRUNSTATE_DELETED, ts_of(cluster->here) };
	assert_int_equal(inventory_take_event(cluster->here, &end), INVENTORY_TAKEN);
	inventory_report_vms(cluster->here, mark, &seen, 1);
	assert_null(inventory_find_vm(cluster->here, VM));
}

/* Nobody waits for a host that was forgotten. */
static void
test_awaited_in_vain(void **state)
{
	struct cluster *cluster = *state;
	struct vmdef def = { .name = name };
	struct error err;

	pull_from(cluster->there, OTHER, cluster->here);
	reservation_add(cluster->here, OTHER, VM, &def);
	inventory_release_vm(cluster->here, VM);
	inventory_set_host(cluster->here, OTHER, "peer", CSTATE_FAILED);
	wait_a_minute(cluster);
	expect_left(cluster);
	assert_int_equal(inventory_forget_host(cluster->here, OTHER, &err), 0);
	wait_a_minute(cluster);
	expect_gone(cluster);
}

/* libvirt has it no more, which a collection sees before the migration's job ends. */
static void
test_collected(void **state)
{
	struct cluster *cluster = *state;
	struct vmdef def = { .name = name };
	uint64_t id = reservation_add(cluster->here, OTHER, VM, &def);

	collect_none(cluster->here);
	expect_left(cluster);
	reservation_settle(cluster->here, id, VM);
	inventory_release_vm(cluster->here, VM);
	expect_left(cluster);
	arrive(cluster);
	/* Back, and deleted here: that is its end. */
	report_idle(cluster->here);
	collect_none(cluster->here);
	assert_int_equal(cluster->ended, 1);
}

/* virtxd was started meanwhile: only the VM's record tells. */
static void
test_recorded(void **state)
{
	struct cluster *cluster = *state;

	report(cluster->here, (char[]){ "VmMigrate" }, (char[]){ "started" }, other);
	collect_none(cluster->here);
	expect_left(cluster);
	arrive(cluster);
}

/* libvirt tells that its definition is gone before the job tells that it has moved. */
static void
test_undefined(void **state)
{
	struct cluster *cluster = *state;

	report(cluster->here, (char[]){ "VmMigrate" }, (char[]){ "started" }, other);
	inventory_remove_vm(cluster->here, VM);
	expect_left(cluster);
	inventory_release_vm(cluster->here, VM);
	expect_left(cluster);
	arrive(cluster);
}

/* What has come here and was deleted at once has ended, though its record still says that it
 * comes; and so has what failed to leave. */
static void
test_ends(void **state)
{
	struct cluster *cluster = *state;

	report(cluster->here, (char[]){ "VmMigrate" }, (char[]){ "started" }, self);
	collect_none(cluster->here);
	expect_gone(cluster);
	report(cluster->here, (char[]){ "VmMigrate" }, (char[]){ "failed" }, other);
	collect_none(cluster->here);
	assert_int_equal(cluster->ended, 2);
}

/* The last word of the host that it has left is the later one, by that host's clock. */
static void
test_clock_ahead(void **state)
{
	struct cluster *cluster = *state;

	report_idle(cluster->there);
	ahead_ms = 5000;
	inventory_set_runstate(cluster->here, VM, VMRUNSTATE_MIGRATING);
	ahead_ms = 0;
	assert_int_equal(tell(cluster->here, cluster->there), INVENTORY_CLAIM);
	inventory_release_vm(cluster->here, VM);
	assert_int_equal(tell(cluster->there, cluster->here), INVENTORY_OLD);
	report_idle(cluster->there);
	assert_int_equal(tell(cluster->there, cluster->here), INVENTORY_TAKEN);
	expect_host(cluster->here, OTHER);
}

/* While it leaves, the other host's word stands; when it has failed to, it does not. */
static void
test_fails_to_leave(void **state)
{
	struct cluster *cluster = *state;
	struct vmdef def = { .name = name };
	uint64_t id = reservation_add(cluster->here, OTHER, VM, &def);
	int64_t ts;

	report_idle(cluster->there);
	ts = ts_of(cluster->there);
	assert_int_equal(tell(cluster->there, cluster->here), INVENTORY_CLAIM);
	report_idle(cluster->here);
	assert_true(ts_of(cluster->here) < ts);
	reservation_cancel(cluster->here, id);
	report_idle(cluster->here);
	assert_int_equal(ts_of(cluster->here), ts + 1);
}

/* Two that both have it do not go on for ever. */
static void
test_both_have_it(void **state)
{
	struct cluster *cluster = *state;
	int64_t before;
	int rounds = 0;

	do {
		before = ts_of(cluster->here) + ts_of(cluster->there);
		report_idle(cluster->there);
		tell(cluster->there, cluster->here);
		report_idle(cluster->here);
		tell(cluster->here, cluster->there);
		assert_true(++rounds < 5);
	} while (ts_of(cluster->here) + ts_of(cluster->there) != before);
	assert_true(inventory_find_vm(cluster->here, VM)->local);
	assert_true(inventory_find_vm(cluster->there, VM)->local);
}

/* What the host that it has left listed in the last moment is no conflict for ever. */
static void
test_listed_late(void **state)
{
	struct cluster *cluster = *state;
	struct host_digest digest;
	struct host_info info;

	report_idle(cluster->there);
	pull(cluster);
	inventory_release_vm(cluster->here, VM);
	clock_ms += 31000;
	inventory_set_problems(cluster->there, NULL, 0);
	assert_int_equal(inventory_find_host(cluster->there, OTHER)->n_problems, 1);
	assert_int_equal(tell(cluster->there, cluster->here), INVENTORY_TAKEN);
	assert_true(inventory_get_self(cluster->here, &info, &digest));
	assert_int_equal(inventory_take_host(cluster->there, &info, &digest), INVENTORY_TAKEN);
	inventory_set_problems(cluster->there, NULL, 0);
	assert_int_equal(inventory_find_host(cluster->there, OTHER)->n_problems, 0);
}

/* Whoever lists it as one that has left does not say that it is there. */
static void
test_listed_as_left(void **state)
{
	struct cluster *cluster = *state;

	inventory_release_vm(cluster->here, VM);
	report_idle(cluster->there);
	pull(cluster);
	clock_ms += 31000;
	inventory_set_problems(cluster->there, NULL, 0);
	assert_int_equal(inventory_find_host(cluster->there, OTHER)->n_problems, 0);
	/* Nor, once it has ended on its new host, that there still is one. */
	inventory_end_vm(cluster->there, VM);
	pull(cluster);
	assert_null(inventory_find_vm(cluster->there, VM));
}

/* Away, and straight back: that the first host had it before it left proves nothing. */
static void
test_straight_back(void **state)
{
	static const struct vmdef def = { .memory = { .total = 1024 } };
	struct cluster *cluster = *state;
	uint64_t reservation;

	report_idle(cluster->there);
	pull(cluster);
	inventory_release_vm(cluster->here, VM);
	reservation = reservation_add(cluster->there, SELF, VM, &def);
	inventory_release_vm(cluster->there, VM);
	expect_host(cluster->there, OTHER);
	pull(cluster);
	expect_host(cluster->there, OTHER);
	reservation_settle(cluster->there, reservation, VM);
	assert_int_equal(cluster->ended, 0);
	/* It is there again. */
	pull_from(cluster->there, OTHER, cluster->here);
	report_idle(cluster->here);
	pull(cluster);
	expect_host(cluster->there, SELF);
	assert_false(inventory_find_vm(cluster->there, VM)->local);
}

/* Its record is still that of its coming here. */
static void
test_straight_back_by_its_record(void **state)
{
	static const struct vmdef def = { .memory = { .total = 1024 } };
	struct cluster *cluster = *state;

	report(cluster->here, (char[]){ "VmMigrate" }, (char[]){ "started" }, self);
	reservation_add(cluster->here, OTHER, VM, &def);
	collect_none(cluster->here);
	expect_left(cluster);
}

/* What its new host has said since is believed at once. */
static void
test_told_before_it_left(void **state)
{
	static const struct vmdef def = { .memory = { .total = 1024 } };
	struct cluster *cluster = *state;

	reservation_add(cluster->here, OTHER, VM, &def);
	pull(cluster);
	report_idle(cluster->there);
	pull_from(cluster->there, OTHER, cluster->here);
	assert_true(inventory_find_vm(cluster->here, VM)->local);
	inventory_release_vm(cluster->here, VM);
	expect_host(cluster->here, OTHER);
}

/* It has told of the VM, and its list, as it was a moment before, does not have it. */
static void
test_not_listed_yet(void **state)
{
	struct cluster *cluster = *state;
	struct vm_info info = { .uuid = uuid,
		.host = other,
		.runstate = VMRUNSTATE_POWEROFF,
		.ts = clock_ms + 1000,
		.name = name };
	struct vm_info_list list = { .host = other };

	report(cluster->here, (char[]){ "VmMigrate" }, (char[]){ "started" }, other);
	inventory_take_list(cluster->here, inventory_mark(cluster->here), &list);
	assert_int_equal(inventory_take_info(cluster->here, &info), INVENTORY_CLAIM);
	inventory_release_vm(cluster->here, VM);
	inventory_take_list(cluster->here, inventory_mark(cluster->here), &list);
	expect_left(cluster);
	arrive(cluster);
}

/* What the host that it came from told of it while it was here is older than its end. */
static void
test_ends_after_old_news(void **state)
{
	struct cluster *cluster = *state;
	struct vm_info info = { .uuid = uuid,
		.host = self,
		.runstate = VMRUNSTATE_POWEROFF,
		.ts = clock_ms + 60000,
		.name = name };

	report_idle(cluster->there);
	assert_int_equal(inventory_take_info(cluster->there, &info), INVENTORY_CLAIM);
	inventory_end_vm(cluster->there, VM);
	assert_int_equal(inventory_take_info(cluster->there, &info), INVENTORY_OLD);
	assert_null(inventory_find_vm(cluster->there, VM));
}

/* It came from a third host, which has told so late; where it goes is known. */
static void
test_claimed_by_a_third(void **state)
{
	struct cluster *cluster = *state;
	char third[] = "cccccccc-0000-4000-8000-000000000000";
	struct vm_info info = {
		.uuid = uuid, .host = third, .runstate = VMRUNSTATE_POWEROFF, .ts = 1, .name = name
	};
	struct vm_info_list list = { .host = third, .items = &info, .n_items = 1 };

	inventory_set_host(cluster->here, third, "third", CSTATE_ACTIVE);
	inventory_take_list(cluster->here, inventory_mark(cluster->here), &list);
	report(cluster->here, (char[]){ "VmMigrate" }, (char[]){ "started" }, other);
	inventory_release_vm(cluster->here, VM);
	list.n_items = 0;
	inventory_take_list(cluster->here, inventory_mark(cluster->here), &list);
	expect_left(cluster);
	arrive(cluster);
}

/* A third host lists the VM, and is not heard of again; its own host has told of it since, and is
 * slow to answer. */
static void
test_claimed_before_the_news(void **state)
{
	struct cluster *cluster = *state;
	char third[] = "cccccccc-0000-4000-8000-000000000000";
	struct vm_info info = { .uuid = uuid,
		.host = third,
		.runstate = VMRUNSTATE_RUNNING,
		.ts = clock_ms + 1000,
		.name = name };
	struct vm_info_list list = { .host = third, .items = &info, .n_items = 1 };
	struct vm_info news = { .uuid = uuid,
		.host = self,
		.runstate = VMRUNSTATE_MIGRATING,
		.ts = clock_ms + 2000,
		.name = name };
	struct inventory *there = cluster->there;

	inventory_set_host(there, third, "third", CSTATE_ACTIVE);
	inventory_take_list(there, inventory_mark(there), &list);
	expect_host(there, SELF);
	clock_ms += 5000;
	assert_int_equal(inventory_take_info(there, &news), INVENTORY_TAKEN);
	clock_ms += 60000;
	list.host = (char[]){ "dddddddd-0000-4000-8000-000000000000" };
	list.n_items = 0;
	inventory_set_host(there, list.host, "fourth", CSTATE_ACTIVE);
	inventory_take_list(there, inventory_mark(there), &list);
	expect_host(there, SELF);

	/* It is where the third says when that says so anew, and its own host does not answer. */
	list = (struct vm_info_list){ .host = third, .items = &info, .n_items = 1 };
	info.ts = clock_ms;
	inventory_take_list(there, inventory_mark(there), &list);
	expect_host(there, SELF);
	clock_ms += 60000;
	inventory_take_list(there, inventory_mark(there), &list);
	expect_host(there, third);
}

/* The definition is told until the new host tells of the VM; there it is whole once it was read. */
static void
test_definition_stays(void **state)
{
	struct cluster *cluster = *state;
	struct vm_event event = { .uuid = uuid,
		.host = other,
		.runstate = VMRUNSTATE_POWEROFF,
		.ts = clock_ms + 100000 };
	struct vm_report arrived = { .uuid = uuid, .runstate = VMRUNSTATE_POWEROFF };
	const struct inventory_vm *view;

	inventory_release_vm(cluster->here, VM);
	view = inventory_find_vm(cluster->here, VM);
	assert_true(view->whole && !view->local);
	assert_int_equal(view->vm.def.cpudef.cores, 2);
	assert_int_equal(view->vcpus, 2);
	inventory_take_event(cluster->here, &event);
	view = inventory_find_vm(cluster->here, VM);
	assert_false(view->whole);
	assert_int_equal(view->vm.def.cpudef.cores, 0);
	assert_int_equal(view->vcpus, 2);
	assert_string_equal(view->vm.def.name, name);

	inventory_report_vm(cluster->there, inventory_mark(cluster->there), true, &arrived);
	view = inventory_find_vm(cluster->there, VM);
	assert_true(view->local && !view->whole);
	report_idle(cluster->there);
	view = inventory_find_vm(cluster->there, VM);
	assert_true(view->local && view->whole);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_job_tells, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_claimed_before_the_news, setup, teardown),
		cmocka_unit_test_setup_teardown(test_awaited, setup, teardown),
		cmocka_unit_test_setup_teardown(test_awaited_by_digest, setup, teardown),
		cmocka_unit_test_setup_teardown(test_awaited_in_vain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ended_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_collected, setup, teardown),
		cmocka_unit_test_setup_teardown(test_recorded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_undefined, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clock_ahead, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fails_to_leave, setup, teardown),
		cmocka_unit_test_setup_teardown(test_both_have_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_definition_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(test_listed_late, setup, teardown),
		cmocka_unit_test_setup_teardown(test_listed_as_left, setup, teardown),
		cmocka_unit_test_setup_teardown(test_straight_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_straight_back_by_its_record, setup, teardown),
		cmocka_unit_test_setup_teardown(test_told_before_it_left, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_listed_yet, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends_after_old_news, setup, teardown),
		cmocka_unit_test_setup_teardown(test_claimed_by_a_third, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
