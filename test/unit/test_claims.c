/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An event about another host's VM is not believed until the hosts were asked. */
#include <string.h>

#include "gossip_fixture.h"
#include "proto/binary.h"

/* Anybody may send a VE in the name of a host. */
static void
forge(struct cluster *cluster, unsigned int vm, const struct side *as, enum vmrunstate runstate,
    int64_t ts)
{
	_free_ char *uuid = xstrdup(vm_uuid(vm)), *host = xstrdup(as->uuid);
	struct vm_event event = { uuid, host, runstate, ts };
	_buffer_ struct buffer out = { 0 };

	assert_int_equal(binary_encode(&vm_event_model, &event, &out), 0);
	for (size_t i = 0; i < cluster->n; i++)
		gossip_receive(cluster->sides[i].gossip, GOSSIP_VM_EVENT, out.data, out.len);
}

static void
expect(const struct cluster *cluster, unsigned int vm, const struct side *host,
    enum vmrunstate runstate)
{
	for (size_t i = 0; i < cluster->n; i++) {
		const struct inventory_vm *view =
		    inventory_find_vm(cluster->sides[i].inventory, vm_uuid(vm));

		assert_non_null(view);
		assert_string_equal(view->vm.runinfo.host, host->uuid);
		assert_int_equal(view->vm.runinfo.runstate, runstate);
	}
}

static void
expect_none(const struct cluster *cluster, unsigned int vm)
{
	for (size_t i = 0; i < cluster->n; i++)
		assert_null(inventory_find_vm(cluster->sides[i].inventory, vm_uuid(vm)));
}

/* Three hosts, and VM 1 on the first. */
static int
setup(void **state)
{
	struct cluster *cluster = cluster_new(3);

	pass(cluster, 5000, false);
	report_vm(&cluster->sides[0], 1, VMRUNSTATE_RUNNING, "web");
	pass(cluster, 5000, false);
	expect(cluster, 1, &cluster->sides[0], VMRUNSTATE_RUNNING);
	*state = cluster;
	return 0;
}

static int
teardown(void **state)
{
	cluster_free(*state);
	return 0;
}

/* What somebody tells in the owner's own name, the owner answers at once: also an end, after which
 * the others know nothing of the VM. However often that goes on, it does not ask them to ask. */
static void
test_forged_in_own_name(void **state)
{
	struct cluster *cluster = *state;
	struct side *owner = &cluster->sides[0], *other = &cluster->sides[1];
	struct gossip_stats before = stats_of(owner), after;
	uint64_t pulls = stats_of(other).pulls;
	int64_t now = now_ms();

	forge(cluster, 1, owner, VMRUNSTATE_DELETED, now + 1000);
	assert_null(inventory_find_vm(other->inventory, vm_uuid(1)));
	pass(cluster, 300, false);
	expect(cluster, 1, owner, VMRUNSTATE_RUNNING);
	after = stats_of(owner);
	assert_int_equal(after.sent_vi, before.sent_vi + 1);
	assert_int_equal(stats_of(other).pulls, pulls);
	/* Too soon for another answer of that kind: the next digest is. */
	for (unsigned int i = 0; i < 20; i++)
		forge(cluster, 1, owner, VMRUNSTATE_DELETED, now + 2000 + i);
	pass(cluster, 4000, false);
	expect(cluster, 1, owner, VMRUNSTATE_RUNNING);
	assert_int_equal(stats_of(owner).sent_vi, after.sent_vi);
	/* One that it does not have. */
	forge(cluster, 2, owner, VMRUNSTATE_RUNNING, now + 1000);
	forge(cluster, 1, owner, VMRUNSTATE_POWEROFF, now + 100000);
	pass(cluster, 4000, false);
	expect(cluster, 1, owner, VMRUNSTATE_RUNNING);
	expect_none(cluster, 2);
}

/* A VE about a VM that is not known has its host asked: ever more rarely. */
static void
test_forged_unknown(void **state)
{
	struct cluster *cluster = *state;
	struct side *owner = &cluster->sides[0], *other = &cluster->sides[1];
	uint64_t pulls = stats_of(other).pulls;

	for (unsigned int i = 0; i < 60; i++) {
		forge(cluster, 10 + i, owner, VMRUNSTATE_RUNNING, now_ms() + 1000 + i);
		pass(cluster, 1000, false);
	}
	assert_in_range(stats_of(other).pulls - pulls, 2, 12);
	expect(cluster, 1, owner, VMRUNSTATE_RUNNING);
}

/* An HI of a time to come, with the digest of what is known: the host's own are older. */
static void
test_forged_host(void **state)
{
	struct cluster *cluster = *state;
	struct side *owner = &cluster->sides[0], *other = &cluster->sides[1];
	struct host_info info = { .uuid = owner->uuid };
	struct host_digest digest = { HOST_DIGEST_VERSION, 1, 0 };
	struct vm_info_list list = { 0 };
	_buffer_ struct buffer out = { 0 };

	inventory_get_list(other->inventory, owner->uuid, "", 0, &list);
	digest.digest = list.digest;
	model_clear(&vm_info_list_model, &list);
	info.fields.name = owner->name;
	info.fields.ts = now_ms() + 200000;
	assert_int_equal(binary_encode(&host_info_model, &info, &out), 0);
	assert_int_equal(binary_encode(&host_digest_model, &digest, &out), 0);
	gossip_receive(other->gossip, GOSSIP_HOST_INFO, out.data, out.len);
	report_vm(owner, 5, VMRUNSTATE_POWEROFF, "missed");
	pass(cluster, 1000, true);
	assert_null(inventory_find_vm(other->inventory, vm_uuid(5)));
	pass(cluster, 20000, false);
	expect(cluster, 5, owner, VMRUNSTATE_POWEROFF);
}

/* Anybody may send an HI in the name of a host: one of this kind with a digest, or as the Go virtx
 * has it. */
static void
forge_host(struct cluster *cluster, struct side *as, const struct host_digest *digest, int64_t ts)
{
	struct host_info info = { .uuid = as->uuid,
		.fields = { .name = (char[]){ "evil" }, .ts = ts } };
	_buffer_ struct buffer out = { 0 };

	assert_int_equal(binary_encode(&host_info_model, &info, &out), 0);
	if (digest)
		assert_int_equal(binary_encode(&host_digest_model, digest, &out), 0);
	for (size_t i = 0; i < cluster->n; i++)
		gossip_receive(cluster->sides[i].gossip, GOSSIP_HOST_INFO, out.data, out.len);
}

static void
expect_name(const struct cluster *cluster, const struct side *host, const char *name)
{
	for (size_t i = 1; i < cluster->n; i++)
		assert_string_equal(
		    inventory_find_host(cluster->sides[i].inventory, host->uuid)->def.name, name);
}

/* The host's next HI is soon, and later: nobody has to ask. */
static void
test_forged_fields(void **state)
{
	struct cluster *cluster = *state;
	struct side *owner = &cluster->sides[0], *other = &cluster->sides[1];
	struct host_digest digest = { HOST_DIGEST_VERSION, 1, 0 };
	uint64_t pulls = stats_of(other).pulls;
	struct vm_info_list list = { 0 };

	inventory_get_list(other->inventory, owner->uuid, "", 0, &list);
	digest.digest = list.digest;
	model_clear(&vm_info_list_model, &list);
	for (unsigned int i = 0; i < 3; i++) {
		forge_host(cluster, owner, &digest, now_ms() + 290000 + i * 100);
		expect_name(cluster, owner, "evil");
		pass(cluster, 5000, false);
		expect_name(cluster, owner, owner->name);
		expect(cluster, 1, owner, VMRUNSTATE_RUNNING);
	}
	assert_int_equal(stats_of(other).pulls, pulls);
	/* What nobody believes does not put the host's own time off. */
	forge_host(cluster, owner, &digest, now_ms() + 10000000);
	pass(cluster, 20000, false);
	forge_host(cluster, owner, &digest, now_ms() + 295000);
	pass(cluster, 5000, false);
	expect_name(cluster, owner, owner->name);
}

/* A host that tells its digest does not become one that runs the Go virtx, whose VMs anybody ends.
 */
static void
test_forged_kind(void **state)
{
	static const struct side nobody = { .uuid = "" };
	struct cluster *cluster = *state;
	struct side *owner = &cluster->sides[0], *other = &cluster->sides[1];
	uint64_t pulls = stats_of(other).pulls;

	forge_host(cluster, owner, NULL, now_ms() + 290000);
	expect_name(cluster, owner, owner->name);
	assert_false(members_find(other->members, owner->uuid)->go);
	forge(cluster, 1, &nobody, VMRUNSTATE_DELETED, now_ms() + 280000);
	expect(cluster, 1, owner, VMRUNSTATE_RUNNING);
	pass(cluster, 2000, false);
	assert_true(stats_of(other).pulls > pulls);
	pass(cluster, 20000, false);
	expect_name(cluster, owner, owner->name);
	expect(cluster, 1, owner, VMRUNSTATE_RUNNING);
}

static void
test_forged(void **state)
{
	struct cluster *cluster = *state;
	struct side *owner = &cluster->sides[0], *other = &cluster->sides[1];
	int64_t now = now_ms();

	forge(cluster, 1, other, VMRUNSTATE_POWEROFF, now + 1000);
	expect(cluster, 1, owner, VMRUNSTATE_RUNNING);
	pass(cluster, 22000, false);
	forge(cluster, 1, other, VMRUNSTATE_RUNNING, now + 200000);
	pass(cluster, 2000, false);
	expect(cluster, 1, owner, VMRUNSTATE_RUNNING);
	/* It is changed and deleted as any other. */
	report_vm(owner, 1, VMRUNSTATE_POWEROFF, "web");
	pass(cluster, 2000, false);
	expect(cluster, 1, owner, VMRUNSTATE_POWEROFF);
	forge(cluster, 1, other, VMRUNSTATE_RUNNING, now + 210000);
	inventory_remove_vm(owner->inventory, vm_uuid(1));
	pass(cluster, 2000, false);
	expect_none(cluster, 1);
}

/* A VM that is leaving is not with whoever says so, but with who lists it, too. */
static void
test_forged_in_a_migration(void **state)
{
	struct cluster *cluster = *state;
	struct side *owner = &cluster->sides[0], *other = &cluster->sides[1];

	report_vm(owner, 1, VMRUNSTATE_MIGRATING, "web");
	pass(cluster, 500, false);
	forge(cluster, 1, other, VMRUNSTATE_RUNNING, now_ms() + 1000);
	for (unsigned int i = 0; i < 40; i++) {
		expect(cluster, 1, owner, VMRUNSTATE_MIGRATING);
		pass(cluster, 50, false);
	}
}

/* An end that no host is named of is not believed either. */
static void
test_forged_end(void **state)
{
	static const struct side nobody = { .uuid = "" };
	struct cluster *cluster = *state;

	forge(cluster, 1, &nobody, VMRUNSTATE_DELETED, now_ms() + 1000);
	expect(cluster, 1, &cluster->sides[0], VMRUNSTATE_RUNNING);
}

/* What a host answers is about itself: another one's VM is not its to take. */
static void
test_forged_news(void **state)
{
	struct cluster *cluster = *state;
	struct side *other = &cluster->sides[1], *asker = &cluster->sides[2];
	struct host_news news = { 0 };
	struct vm_info *item;

	assert_true(inventory_get_news(other->inventory, "", &news));
	item = model_append(&news.items, &news.n_items);
	item->uuid = xstrdup(vm_uuid(1));
	item->host = xstrdup(other->uuid);
	item->name = xstrdup("web");
	item->runstate = VMRUNSTATE_RUNNING;
	item->ts = now_ms() + 1000;
	inventory_take_news(asker->inventory, 0, &news);
	expect(cluster, 1, &cluster->sides[0], VMRUNSTATE_RUNNING);
	model_clear(&host_news_model, &news);
}

static void
test_ahead(void **state)
{
	struct cluster *cluster = *state;
	struct side *owner = &cluster->sides[0];

	forge(cluster, 1, owner, VMRUNSTATE_PAUSED, now_ms() + 10000000);
	expect(cluster, 1, owner, VMRUNSTATE_RUNNING);
	assert_int_equal(stats_of(&cluster->sides[1]).ahead, 1);
	/* Within what is believed the host itself puts it right. */
	forge(cluster, 1, owner, VMRUNSTATE_PAUSED, now_ms() + 100000);
	pass(cluster, 20000, false);
	expect(cluster, 1, owner, VMRUNSTATE_RUNNING);
}

/* A host that is asked lists another's VM as of long after now, or long before: the owner's own
 * clock stays what it is, and what it tells next is taken. */
static void
test_listed_ahead(void **state)
{
	static const int64_t lies[] = { INT64_MAX, 4000000000000, INT64_MIN };
	struct cluster *cluster = *state;
	struct side *owner = &cluster->sides[0], *liar = &cluster->sides[1];

	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		struct vm_info_list list = { .host = xstrdup(liar->uuid) };
		struct vm_info *item = model_append(&list.items, &list.n_items);

		*item = (struct vm_info){ .uuid = xstrdup(vm_uuid(1)),
			.host = xstrdup(liar->uuid),
			.runstate = VMRUNSTATE_POWEROFF,
			.ts = lies[i] };
		for (size_t side = 0; side < cluster->n; side++)
			inventory_take_list(cluster->sides[side].inventory,
			    inventory_mark(cluster->sides[side].inventory), &list);
		model_clear(&vm_info_list_model, &list);
		report_vm(owner, 1, VMRUNSTATE_RUNNING, "web");
		pass(cluster, 20000, false);
		assert_in_range(inventory_find_vm(owner->inventory, vm_uuid(1))->vm.ts,
		    now_ms() - 60000, now_ms() + 60000);
		report_vm(owner, 1, VMRUNSTATE_PAUSED, "web");
		pass(cluster, 1000, false);
		expect(cluster, 1, owner, VMRUNSTATE_PAUSED);
	}
	assert_int_equal(stats_of(&cluster->sides[2]).ahead, 0);
}

/* The other host runs it before the first one has done with it. */
static void
test_live_migration(void **state)
{
	struct cluster *cluster = *state;
	struct side *from = &cluster->sides[0], *to = &cluster->sides[1];

	report_vm(from, 1, VMRUNSTATE_MIGRATING, "web");
	pass(cluster, 200, false);
	report_vm(to, 1, VMRUNSTATE_RUNNING, "web");
	pass(cluster, 500, false);
	assert_string_equal(
	    inventory_find_vm(cluster->sides[2].inventory, vm_uuid(1))->vm.runinfo.host, to->uuid);
	inventory_release_vm(from->inventory, vm_uuid(1));
	pass(cluster, 500, false);
	expect(cluster, 1, to, VMRUNSTATE_RUNNING);
	pass(cluster, 20000, false);
	assert_true(equal_views(cluster));
}

/* A Go virtx cannot be asked: what it says of a VM that is on its way is believed at once, and what
 * its former host has said before comes too late. */
static void
test_migration_to_go(void **state)
{
	struct cluster *cluster = *state;
	struct side *from = &cluster->sides[0];
	const struct side to = { .uuid = "11111111-0000-4000-8000-00000000000f", .name = "go" };

	for (size_t i = 0; i < cluster->n; i++)
		set_member(&cluster->sides[i], &to, CSTATE_ACTIVE, true);
	/* Of one that stays where it is, it is not. */
	forge(cluster, 1, &to, VMRUNSTATE_RUNNING, now_ms() + 1000);
	pass(cluster, 1000, false);
	expect(cluster, 1, from, VMRUNSTATE_RUNNING);

	report_vm(from, 1, VMRUNSTATE_MIGRATING, "web");
	pass(cluster, 200, false);
	/* serf need not keep the order of what it has told. */
	forge(cluster, 1, &to, VMRUNSTATE_RUNNING, now_ms() + 3000);
	forge(cluster, 1, &to, VMRUNSTATE_MIGRATING, now_ms() + 2500);
	pass(cluster, 1000, false);
	forge(cluster, 1, from, VMRUNSTATE_MIGRATING, now_ms() + 2000);
	for (size_t i = 1; i < cluster->n; i++) {
		const struct inventory_vm *view =
		    inventory_find_vm(cluster->sides[i].inventory, vm_uuid(1));

		assert_string_equal(view->vm.runinfo.host, to.uuid);
		assert_int_equal(view->vm.runinfo.runstate, VMRUNSTATE_RUNNING);
	}
	inventory_release_vm(from->inventory, vm_uuid(1));
	pass(cluster, 1000, false);
	expect(cluster, 1, &to, VMRUNSTATE_RUNNING);
}

/* Both have it for a while, and neither runs it. */
static void
test_cold_migration(void **state)
{
	struct cluster *cluster = *state;
	struct side *from = &cluster->sides[0], *to = &cluster->sides[1];

	report_vm(from, 1, VMRUNSTATE_POWEROFF, "web");
	pass(cluster, 2000, false);
	report_vm(to, 1, VMRUNSTATE_POWEROFF, "web");
	pass(cluster, 500, false);
	assert_string_equal(
	    inventory_find_vm(cluster->sides[2].inventory, vm_uuid(1))->vm.runinfo.host,
	    from->uuid);
	inventory_release_vm(from->inventory, vm_uuid(1));
	pass(cluster, 2000, false);
	expect(cluster, 1, to, VMRUNSTATE_POWEROFF);
	/* Deleted right after. */
	inventory_remove_vm(to->inventory, vm_uuid(1));
	pass(cluster, 1000, false);
	expect_none(cluster, 1);
}

/* Of two that list it the one that has it: whatever the other says, until it lists it no more. */
static void
test_listed_by_two(void **state)
{
	struct cluster *cluster = *state;
	struct side *owner = &cluster->sides[0], *other = &cluster->sides[1];
	static const enum vmrunstate states[] = { VMRUNSTATE_RUNNING, VMRUNSTATE_PAUSED,
		VMRUNSTATE_POWEROFF };
	const struct inventory *third = cluster->sides[2].inventory;

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		report_vm(owner, 1, states[i], "web");
		report_vm(other, 1, i == 0 ? VMRUNSTATE_POWEROFF : VMRUNSTATE_RUNNING, "web");
		pass(cluster, 60000, false);
		assert_string_equal(
		    inventory_find_vm(third, vm_uuid(1))->vm.runinfo.host, owner->uuid);
	}
	inventory_release_vm(owner->inventory, vm_uuid(1));
	pass(cluster, 60000, false);
	expect(cluster, 1, other, VMRUNSTATE_RUNNING);
}

/* It ends where it was while another host claims it: nothing stays behind there. */
static void
test_no_ghost(void **state)
{
	struct cluster *cluster = *state;
	struct side *owner = &cluster->sides[0], *other = &cluster->sides[1];

	forge(cluster, 1, other, VMRUNSTATE_RUNNING, now_ms() + 1000);
	inventory_end_vm(owner->inventory, vm_uuid(1));
	assert_null(inventory_find_vm(owner->inventory, vm_uuid(1)));
	pass(cluster, 3000, false);
	expect_none(cluster, 1);
}

/* The host that has it went away with it, and another one starts it. */
static void
test_owner_failed(void **state)
{
	struct cluster *cluster = *state;
	struct side *failed = &cluster->sides[0], *heir = &cluster->sides[1];

	set_member(heir, failed, CSTATE_FAILED, false);
	set_member(&cluster->sides[2], failed, CSTATE_FAILED, false);
	report_vm(heir, 1, VMRUNSTATE_RUNNING, "web");
	pass(cluster, 2000, false);
	assert_string_equal(
	    inventory_find_vm(cluster->sides[2].inventory, vm_uuid(1))->vm.runinfo.host,
	    heir->uuid);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_forged_in_own_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forged_unknown, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forged_host, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forged_fields, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forged_kind, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forged_in_a_migration, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forged_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forged_news, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ahead, setup, teardown),
		cmocka_unit_test_setup_teardown(test_listed_ahead, setup, teardown),
		cmocka_unit_test_setup_teardown(test_live_migration, setup, teardown),
		cmocka_unit_test_setup_teardown(test_migration_to_go, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cold_migration, setup, teardown),
		cmocka_unit_test_setup_teardown(test_listed_by_two, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_ghost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_owner_failed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
