/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What changes on one host is told to the others; what is lost on the way is made up for. */
#include "gossip_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/binary.h"
#include "proto/gossip.h"

static void
test_changes_are_told(void **state)
{
	struct cluster *cluster = cluster_new(3);
	struct side *a = &cluster->sides[0], *b = &cluster->sides[1];
	const struct inventory_vm *vm;
	struct gossip_stats before, after;

	pass(cluster, 3000, false);
	assert_string_equal(inventory_find_host(b->inventory, a->uuid)->def.name, "h0");
	before = stats_of(a);
	report_vm(a, 1, VMRUNSTATE_POWEROFF, "one");
	pass(cluster, 200, false);
	vm = inventory_find_vm(b->inventory, vm_uuid(1));
	assert_non_null(vm);
	assert_false(vm->local);
	assert_int_equal(vm->vcpus, 2);
	assert_string_equal(vm->vm.runinfo.host, a->uuid);
	assert_true(equal_views(cluster));

	inventory_set_runstate(a->inventory, vm_uuid(1), VMRUNSTATE_RUNNING);
	pass(cluster, 200, false);
	assert_int_equal(
	    inventory_find_vm(b->inventory, vm_uuid(1))->vm.runinfo.runstate, VMRUNSTATE_RUNNING);
	/* The same again is no news. */
	inventory_set_runstate(a->inventory, vm_uuid(1), VMRUNSTATE_RUNNING);
	report_vm(a, 1, VMRUNSTATE_RUNNING, "one");
	pass(cluster, 200, false);
	inventory_remove_vm(a->inventory, vm_uuid(1));
	pass(cluster, 200, false);
	assert_null(inventory_find_vm(b->inventory, vm_uuid(1)));
	after = stats_of(a);
	assert_int_equal(after.sent_vi - before.sent_vi, 1);
	assert_int_equal(after.sent_ve - before.sent_ve, 2);
	assert_int_equal(after.pulls, before.pulls);
	assert_int_equal(after.malformed + after.refused, 0);
	cluster_free(cluster);
}

/* A VM of which a host finds out whether it is its own is told soon, where it is not decided at
 * once.
 */
static void
test_undecided_is_told(void **state)
{
	struct cluster *cluster = cluster_new(2);
	struct side *a = &cluster->sides[0], *b = &cluster->sides[1];
	char uuid[UUID_TEXT_SIZE];
	struct undecided_vm vm = { .uuid = uuid };
	struct gossip_stats before;

	memcpy(uuid, vm_uuid(1), sizeof(uuid));
	pass(cluster, 20000, false);
	before = stats_of(a);
	inventory_set_undecided(a->inventory, &vm, 1);
	pass(cluster, 200, false);
	inventory_set_undecided(a->inventory, NULL, 0);
	pass(cluster, 1000, false);
	assert_int_equal(stats_of(a).sent_hi, before.sent_hi);
	inventory_set_undecided(a->inventory, &vm, 1);
	pass(cluster, 1500, false);
	assert_int_equal(stats_of(a).sent_hi, before.sent_hi + 1);
	assert_string_equal(inventory_find_undecided(b->inventory, uuid), a->uuid);
	/* Once. */
	inventory_set_undecided(a->inventory, &vm, 1);
	pass(cluster, 1500, false);
	assert_int_equal(stats_of(a).sent_hi, before.sent_hi + 1);
	cluster_free(cluster);
}

/* A host whose clock is far ahead tells of a VM while it is being asked: it is asked again. */
static void
test_ahead_while_asked(void **state)
{
	struct cluster *cluster = cluster_new(2);
	struct side *a = &cluster->sides[0], *b = &cluster->sides[1];
	struct vm_info_list list = { 0 };
	struct vm_event event = { .uuid = (char *)vm_uuid(1),
		.host = a->uuid,
		.runstate = VMRUNSTATE_POWEROFF,
		.ts = INT64_MAX / 2 };
	_buffer_ struct buffer out = { 0 };

	pass(cluster, 20000, false);
	set_member(b, a, CSTATE_FAILED, false);
	set_member(b, a, CSTATE_ACTIVE, false);
	for (int i = 0; b->n_pulls == 0; i++) {
		assert_true(i < 100);
		cluster->now += 10;
		gossip_run(b->gossip);
	}
	b->n_pulls = 0;
	inventory_get_list(a->inventory, a->uuid, "", 0, &list);
	assert_int_equal(binary_encode(&vm_event_model, &event, &out), 0);
	gossip_receive(b->gossip, "VE", out.data, out.len);
	report_vm(a, 1, VMRUNSTATE_POWEROFF, "one");
	a->n_out = 0;
	gossip_pulled(b->gossip, a->uuid, &list);
	model_clear(&vm_info_list_model, &list);
	assert_null(inventory_find_vm(b->inventory, vm_uuid(1)));
	pass(cluster, 15500, true);
	assert_non_null(inventory_find_vm(b->inventory, vm_uuid(1)));
	cluster_free(cluster);
}

/* From the digest that tells of something to the answer of who has told it. */
static void
test_behind(void **state)
{
	struct cluster *cluster = cluster_new(2);
	struct side *a = &cluster->sides[0], *b = &cluster->sides[1];
	_buffer_ struct buffer before = { 0 }, names = { 0 }, away = { 0 }, after = { 0 };

	pass(cluster, 20000, false);
	gossip_behind(b->gossip, &before);
	assert_int_equal(before.len, 0);
	for (unsigned int i = 0; i < 100; i++)
		report_vm(a, i, VMRUNSTATE_POWEROFF, "vm");
	for (int i = 0; names.len == 0; i++) {
		assert_true(i < 500);
		pass(cluster, 10, false);
		gossip_behind(b->gossip, &names);
	}
	assert_string_equal(names.data, "'h0'");
	assert_false(equal_views(cluster));
	/* Who has it is away by now. */
	set_member(b, a, CSTATE_FAILED, false);
	pass(cluster, 1000, true);
	gossip_behind(b->gossip, &away);
	assert_string_equal(away.data, "'h0'");
	set_member(b, a, CSTATE_ACTIVE, false);
	pass(cluster, 1000, false);
	assert_true(equal_views(cluster));
	gossip_behind(b->gossip, &after);
	assert_int_equal(after.len, 0);
	cluster_free(cluster);
}

static void
test_latest_wins(void **state)
{
	struct cluster *cluster = cluster_new(2);
	struct side *a = &cluster->sides[0], *b = &cluster->sides[1];

	report_vm(a, 1, VMRUNSTATE_POWEROFF, "one");
	pass(cluster, 3000, false);
	for (int i = 0; i < 20; i++) {
		inventory_set_runstate(a->inventory, vm_uuid(1), VMRUNSTATE_RUNNING);
		inventory_set_runstate(a->inventory, vm_uuid(1), VMRUNSTATE_PAUSED);
	}
	assert_int_equal(pass(cluster, 500, false), 1);
	assert_int_equal(
	    inventory_find_vm(b->inventory, vm_uuid(1))->vm.runinfo.runstate, VMRUNSTATE_PAUSED);
	cluster_free(cluster);
}

static void
test_many_changes_are_one_digest(void **state)
{
	struct cluster *cluster = cluster_new(3);
	struct side *a = &cluster->sides[0];
	struct gossip_stats before, after;
	char name[16];

	pass(cluster, 3000, false);
	before = stats_of(a);
	for (unsigned int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "vm%u", i);
		report_vm(a, i, VMRUNSTATE_POWEROFF, name);
	}
	pass(cluster, 1500, false);
	assert_true(equal_views(cluster));
	after = stats_of(a);
	assert_int_equal(after.sent_vi + after.sent_ve, before.sent_vi + before.sent_ve);
	assert_int_equal(after.sent_hi, before.sent_hi + 1);
	/* What came by the digest is known to be told: the next change is small. */
	inventory_set_runstate(a->inventory, vm_uuid(5), VMRUNSTATE_RUNNING);
	pass(cluster, 500, false);
	assert_int_equal(stats_of(a).sent_ve, after.sent_ve + 1);
	assert_true(equal_views(cluster));
	cluster_free(cluster);
}

static void
test_lost_digest_is_told_again(void **state)
{
	struct cluster *cluster = cluster_new(3);
	struct side *a = &cluster->sides[0];
	struct gossip_stats before;

	pass(cluster, 10000, false);
	before = stats_of(a);
	for (unsigned int i = 0; i < 100; i++)
		report_vm(a, i, VMRUNSTATE_POWEROFF, "vm");
	assert_int_equal(pass(cluster, 1000, true), 1);
	assert_false(equal_views(cluster));
	assert_int_equal(pass(cluster, 3000, false), 1);
	assert_true(equal_views(cluster));
	assert_int_equal(stats_of(a).sent_hi, before.sent_hi + 2);
	cluster_free(cluster);
}

static void
test_lost_events_are_repaired(void **state)
{
	struct cluster *cluster = cluster_new(3);
	struct side *a = &cluster->sides[0], *b = &cluster->sides[1];

	report_vm(a, 1, VMRUNSTATE_POWEROFF, "one");
	report_vm(a, 2, VMRUNSTATE_POWEROFF, "two");
	pass(cluster, 3000, false);
	inventory_set_runstate(a->inventory, vm_uuid(1), VMRUNSTATE_RUNNING);
	inventory_remove_vm(a->inventory, vm_uuid(2));
	report_vm(a, 3, VMRUNSTATE_POWEROFF, "three");
	pass(cluster, 500, true);
	assert_false(equal_views(cluster));
	pass(cluster, 18000, false);
	assert_true(equal_views(cluster));
	assert_null(inventory_find_vm(b->inventory, vm_uuid(2)));
	/* Once per digest. */
	assert_int_equal(stats_of(b).pulls, 3);
	pass(cluster, 60000, false);
	assert_int_equal(stats_of(b).pulls, 3);
	cluster_free(cluster);
}

static void
test_partition(void **state)
{
	struct cluster *cluster = cluster_new(2);
	struct side *a = &cluster->sides[0], *b = &cluster->sides[1];

	report_vm(a, 1, VMRUNSTATE_POWEROFF, "one");
	report_vm(b, 2, VMRUNSTATE_POWEROFF, "two");
	pass(cluster, 3000, false);
	assert_true(equal_views(cluster));
	set_member(a, b, CSTATE_FAILED, false);
	set_member(b, a, CSTATE_FAILED, false);
	inventory_remove_vm(a->inventory, vm_uuid(1));
	report_vm(a, 3, VMRUNSTATE_RUNNING, "three");
	inventory_set_runstate(b->inventory, vm_uuid(2), VMRUNSTATE_RUNNING);
	pass(cluster, 30000, true);
	assert_int_equal(inventory_find_host(a->inventory, b->uuid)->cstate, CSTATE_FAILED);
	assert_non_null(inventory_find_vm(a->inventory, vm_uuid(2)));
	set_member(a, b, CSTATE_ACTIVE, false);
	set_member(b, a, CSTATE_ACTIVE, false);
	pass(cluster, 600, true);
	assert_true(equal_views(cluster));
	cluster_free(cluster);
}

static void
test_failed_pulls_are_tried_again(void **state)
{
	struct cluster *cluster = cluster_new(2);
	struct side *a = &cluster->sides[0], *b = &cluster->sides[1];
	unsigned int n = 0;

	report_vm(a, 1, VMRUNSTATE_POWEROFF, "one");
	a->send_error = -ENOTCONN;
	for (int64_t end = cluster->now + 20000; cluster->now < end; cluster->now += 10) {
		gossip_run(b->gossip);
		if (b->n_pulls == 0)
			continue;
		b->n_pulls = 0;
		n++;
		gossip_pulled(b->gossip, a->uuid, NULL);
	}
	assert_in_range(n, 3, 8);
	assert_int_equal(stats_of(b).pulls_failed, n);
	pass(cluster, 32000, false);
	assert_true(equal_views(cluster));
	cluster_free(cluster);
}

/* Who was not asked, or has not answered, is named; who cannot answer is not waited for. */
static void
test_missing(void **state)
{
	struct cluster *cluster = cluster_new(2);
	struct side *a = &cluster->sides[0], *b = &cluster->sides[1];
	_buffer_ struct buffer names = { 0 };

	assert_true(gossip_missing(a->gossip, &names));
	assert_string_equal(names.data, "'h1'");
	while (a->n_pulls == 0) {
		cluster->now += 10;
		gossip_run(a->gossip);
	}
	a->n_pulls = 0;
	gossip_pulled(a->gossip, b->uuid, NULL);
	buffer_clear(&names);
	assert_false(gossip_missing(a->gossip, &names));
	assert_string_equal(names.data, "'h1'");
	pass(cluster, 5000, false);
	buffer_clear(&names);
	assert_false(gossip_missing(a->gossip, &names));
	assert_int_equal(names.len, 0);
	cluster_free(cluster);
}

/* One that was away from the start is named, and not waited for; what was heard of it before it
 * went is known. */
static void
test_missing_away(void **state)
{
	struct cluster *cluster = cluster_new(3);
	struct side *a = &cluster->sides[0], *b = &cluster->sides[1], *c = &cluster->sides[2];
	_buffer_ struct buffer names = { 0 };

	set_member(a, b, CSTATE_FAILED, false);
	set_member(a, c, CSTATE_LEFT, false);
	assert_false(gossip_missing(a->gossip, &names));
	assert_string_equal(names.data, "'h1' (failed), 'h2' (left)");
	buffer_clear(&names);
	members_forget(a->members, b->uuid);
	assert_false(gossip_missing(a->gossip, &names));
	assert_string_equal(names.data, "'h2' (left)");
	buffer_clear(&names);
	set_member(a, b, CSTATE_ACTIVE, false);
	set_member(a, c, CSTATE_ACTIVE, false);
	pass(cluster, 5000, false);
	set_member(a, b, CSTATE_FAILED, false);
	set_member(a, c, CSTATE_LEFT, false);
	assert_false(gossip_missing(a->gossip, &names));
	assert_int_equal(names.len, 0);
	cluster_free(cluster);
}

static void
run_for(struct side *side, int64_t ms)
{
	for (int64_t end = side->cluster->now + ms; side->cluster->now < end;
	     side->cluster->now += 10)
		gossip_run(side->gossip);
}

static void
receive_info(struct side *side, const struct side *of, unsigned int n, int64_t ts, const char *name)
{
	struct custom_field custom = { (char[]){ "owner" }, (char[]){ "ops" } };
	struct vm_info info = { .host = (char *)of->uuid,
		.runstate = VMRUNSTATE_RUNNING,
		.ts = ts,
		.vlanid = 7,
		.custom = &custom,
		.n_custom = 1,
		.vcpus = 4 };
	_free_ char *uuid = xstrdup(vm_uuid(n)), *title = xstrdup(name);
	_buffer_ struct buffer out = { 0 };

	info.uuid = uuid;
	info.name = title;
	binary_encode(&vm_info_model, &info, &out);
	gossip_receive(side->gossip, GOSSIP_VM_INFO, out.data, out.len);
}

static void
expect_vm(struct side *side, unsigned int n, const char *name, size_t n_custom, int16_t vcpus)
{
	const struct inventory_vm *vm = inventory_find_vm(side->inventory, vm_uuid(n));

	assert_non_null(vm);
	assert_string_equal(vm->vm.def.name, name);
	assert_int_equal(vm->vm.def.n_custom, n_custom);
	assert_int_equal(vm->vcpus, vcpus);
}

static void
list_item(struct vm_list_item *item, unsigned int n, const char *host, int64_t ts, const char *name)
{
	*item = (struct vm_list_item){ .uuid = xstrdup(vm_uuid(n)) };
	item->fields.name = xstrdup(name);
	item->fields.host = xstrdup(host);
	item->fields.runstate = VMRUNSTATE_PAUSED;
	item->fields.vlanid = 7;
	item->fields.ts = ts;
}

/* A Go virtx tells its VMs one by one in a period: one that comes is asked for all of them, once.
 */
static void
test_go_host_is_asked_for_its_list(void **state)
{
	struct cluster *cluster = cluster_new(3);
	struct side *a = &cluster->sides[0], *b = &cluster->sides[1], *c = &cluster->sides[2];
	struct vm_list list = { .items = xcalloc(4, sizeof(*list.items)), .n_items = 4 };
	_buffer_ struct buffer names = { 0 };
	int64_t ts = now_ms();

	pass(cluster, 3000, false);
	set_member(a, b, CSTATE_ACTIVE, true);
	receive_info(a, b, 1, ts, "newer");
	receive_info(a, b, 2, ts - 2000, "older");
	run_for(a, 600);
	assert_int_equal(a->n_pulls, 1);
	assert_string_equal(a->pulls[0], b->uuid);
	a->n_pulls = 0;
	list_item(&list.items[0], 1, b->uuid, ts - 1000, "stale");
	list_item(&list.items[1], 2, b->uuid, ts - 1000, "renamed");
	list_item(&list.items[2], 3, b->uuid, ts - 1000, "three");
	list_item(&list.items[3], 4, c->uuid, ts - 1000, "not its own");
	gossip_listed(a->gossip, b->uuid, &list);
	expect_vm(a, 1, "newer", 1, 4);
	expect_vm(a, 2, "renamed", 1, 4);
	expect_vm(a, 3, "three", 0, 0);
	assert_string_equal(inventory_find_vm(a->inventory, vm_uuid(3))->vm.runinfo.host, b->uuid);
	assert_null(inventory_find_vm(a->inventory, vm_uuid(4)));
	/* The rest comes with its event, which may be of the same time; an older one does not. */
	receive_info(a, b, 3, ts - 1001, "older");
	expect_vm(a, 3, "three", 0, 0);
	receive_info(a, b, 3, ts - 1000, "three");
	expect_vm(a, 3, "three", 1, 4);
	receive_info(a, b, 3, ts - 1000, "again");
	expect_vm(a, 3, "three", 1, 4);
	run_for(a, 60000);
	assert_int_equal(a->n_pulls, 0);
	/* It comes back, and cannot answer: its events have to do. */
	set_member(a, b, CSTATE_FAILED, true);
	set_member(a, b, CSTATE_ACTIVE, true);
	for (unsigned int i = 0; i < 3; i++) {
		run_for(a, 5000);
		assert_int_equal(a->n_pulls, 1);
		a->n_pulls = 0;
		gossip_pulled(a->gossip, b->uuid, NULL);
	}
	run_for(a, 60000);
	assert_int_equal(a->n_pulls, 0);
	gossip_missing(a->gossip, &names);
	assert_int_equal(names.len, 0);
	model_clear(&vm_list_model, &list);
	cluster_free(cluster);
}

/* A member of this name and UUID, with as many VMs as one host may have; n makes them differ. */
static void
add_liar(struct side *side, const char *name, unsigned int n)
{
	struct vm_info_list list = { .n_items = INVENTORY_HOST_VMS };
	struct side liar = { 0 };

	snprintf(liar.name, sizeof(liar.name), "%s", name);
	snprintf(liar.uuid, sizeof(liar.uuid), "22222222-0000-4000-8000-%012x", n);
	set_member(side, &liar, CSTATE_ACTIVE, false);
	list.host = xstrdup(liar.uuid);
	list.fields.name = xstrdup(name);
	list.items = xcalloc(list.n_items, sizeof(*list.items));
	for (size_t i = 0; i < list.n_items; i++) {
		list.items[i].uuid =
		    xstrdup(vm_uuid(100000 + n * INVENTORY_HOST_VMS + (unsigned int)i));
		list.items[i].host = xstrdup(liar.uuid);
		list.items[i].name = xstrdup("lie");
		list.items[i].runstate = VMRUNSTATE_RUNNING;
	}
	inventory_take_list(side->inventory, inventory_mark(side->inventory), &list);
	model_clear(&vm_info_list_model, &list);
}

/* A member that takes one UUID after the other leaves none of its VMs behind. */
static void
test_uuids_without_end(void **state)
{
	struct cluster *cluster = cluster_new(2);
	struct side *a = &cluster->sides[0], *b = &cluster->sides[1];

	for (unsigned int n = 0; n < 30; n++)
		add_liar(a, "liar", n);
	report_vm(b, 1, VMRUNSTATE_POWEROFF, "one");
	pass(cluster, 500, false);
	assert_non_null(inventory_find_vm(a->inventory, vm_uuid(1)));
	cluster_free(cluster);
}

/* Where all places are taken, the VMs for which there was none are asked for once there is. */
static void
test_room_is_used(void **state)
{
	struct cluster *cluster = cluster_new(2);
	struct side *a = &cluster->sides[0], *b = &cluster->sides[1];
	char name[8];

	for (unsigned int n = 0; n < INVENTORY_VMS / INVENTORY_HOST_VMS; n++) {
		snprintf(name, sizeof(name), "l%u", n);
		add_liar(a, name, n);
	}
	report_vm(b, 1, VMRUNSTATE_POWEROFF, "one");
	pass(cluster, 30000, false);
	assert_null(inventory_find_vm(a->inventory, vm_uuid(1)));
	assert_int_equal(stats_of(a).full, 1);
	assert_int_equal(stats_of(a).refused, 0);
	add_liar(a, "l7", 100);
	add_liar(a, "l8", 100);
	pass(cluster, 6000, false);
	assert_non_null(inventory_find_vm(a->inventory, vm_uuid(1)));
	cluster_free(cluster);
}

static void
test_what_serf_refuses_waits(void **state)
{
	struct cluster *cluster = cluster_new(2);
	struct side *a = &cluster->sides[0];

	pass(cluster, 3000, false);
	a->send_error = -EAGAIN;
	report_vm(a, 1, VMRUNSTATE_POWEROFF, "one");
	pass(cluster, 3000, false);
	assert_false(equal_views(cluster));
	a->send_error = 0;
	pass(cluster, 2000, false);
	assert_true(equal_views(cluster));
	cluster_free(cluster);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes_are_told),
		cmocka_unit_test(test_undecided_is_told),
		cmocka_unit_test(test_ahead_while_asked),
		cmocka_unit_test(test_behind),
		cmocka_unit_test(test_latest_wins),
		cmocka_unit_test(test_many_changes_are_one_digest),
		cmocka_unit_test(test_lost_digest_is_told_again),
		cmocka_unit_test(test_lost_events_are_repaired),
		cmocka_unit_test(test_partition),
		cmocka_unit_test(test_failed_pulls_are_tried_again),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_missing_away),
		cmocka_unit_test(test_go_host_is_asked_for_its_list),
		cmocka_unit_test(test_uuids_without_end),
		cmocka_unit_test(test_room_is_used),
		cmocka_unit_test(test_what_serf_refuses_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
