/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How much a host tells, and when: its share of what serf carries. */
#include "gossip_fixture.h"

#include <stdio.h>

static void
test_busy_host_uses_what_others_leave(void **state)
{
	struct cluster *cluster = cluster_new(3);
	struct side *a = &cluster->sides[0];
	char name[8];

	/* Many members that tell little; each has a twentieth of an event a second. */
	for (unsigned int i = 3; i < 100; i++) {
		struct side other = { 0 };

		snprintf(other.uuid, sizeof(other.uuid), "11111111-0000-4000-8000-%012x", i);
		snprintf(other.name, sizeof(other.name), "h%u", i);
		for (size_t k = 0; k < cluster->n; k++)
			set_member(&cluster->sides[k], &other, CSTATE_ACTIVE, false);
	}
	for (unsigned int i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "vm%u", i);
		report_vm(a, i, VMRUNSTATE_POWEROFF, name);
	}
	pass(cluster, 60000, false);
	for (unsigned int i = 0; i < 8; i++) {
		inventory_set_runstate(a->inventory, vm_uuid(i), VMRUNSTATE_RUNNING);
		pass(cluster, 3000, false);
		assert_true(equal_views(cluster));
	}
	cluster_free(cluster);
}

/* Whatever happens, no more than the share goes out. */
static void
test_pacing(void **state)
{
	struct cluster *cluster = cluster_new(3);
	struct side *a = &cluster->sides[0];
	size_t n;

	for (unsigned int i = 0; i < 5; i++)
		report_vm(a, i, VMRUNSTATE_POWEROFF, "vm");
	pass(cluster, 5000, false);
	n = 0;
	for (int i = 0; i < 600; i++) {
		for (unsigned int k = 0; k < 5; k++)
			inventory_set_runstate(a->inventory, vm_uuid(k),
			    i % 2 ? VMRUNSTATE_RUNNING : VMRUNSTATE_PAUSED);
		n += pass(cluster, 100, false);
	}
	/* 60 s at 20 / 2 / 3 events a second, and a burst. */
	assert_in_range(n, 150, 60 * 20 / 2 / 3 + 8);
	pass(cluster, 20000, false);
	assert_true(equal_views(cluster));
	cluster_free(cluster);
}

static void
test_storm_keeps_the_share(void **state)
{
	struct cluster *cluster = cluster_new(3);
	struct side *a = &cluster->sides[0];
	size_t n = 0;

	for (unsigned int i = 0; i < 50; i++)
		report_vm(a, i, VMRUNSTATE_POWEROFF, "vm");
	pass(cluster, 5000, false);
	for (int i = 0; i < 300; i++) {
		for (unsigned int k = 0; k < 50; k++)
			inventory_set_runstate(a->inventory, vm_uuid(k),
			    i % 2 ? VMRUNSTATE_RUNNING : VMRUNSTATE_PAUSED);
		n += pass(cluster, 100, false);
	}
	assert_in_range(n, 5, 30 * 20 / 2 / 3 + 8);
	/* The digest knows states, not times. */
	for (unsigned int k = 0; k < 50; k++)
		inventory_set_runstate(a->inventory, vm_uuid(k), VMRUNSTATE_PMSUSPENDED);
	pass(cluster, 2500, false);
	assert_true(equal_views(cluster));
	cluster_free(cluster);
}

static void
test_go_members_get_every_vm(void **state)
{
	struct cluster *cluster = cluster_new(2);
	struct side *a = &cluster->sides[0], *b = &cluster->sides[1];
	struct gossip_stats before;
	uint64_t sent;

	for (unsigned int i = 0; i < 30; i++)
		report_vm(a, i, VMRUNSTATE_POWEROFF, "vm");
	pass(cluster, 3000, false);
	set_member(a, b, CSTATE_ACTIVE, true);
	pass(cluster, 15000, false);
	before = stats_of(a);
	pass(cluster, 30000, false);
	sent = stats_of(a).sent_vi - before.sent_vi;
	assert_in_range(sent, 58, 62);
	/* Evenly: two a second, never a burst. */
	for (int i = 0; i < 10; i++) {
		sent = stats_of(a).sent_vi;
		pass(cluster, 1000, false);
		assert_in_range(stats_of(a).sent_vi - sent, 1, 3);
	}
	set_member(a, b, CSTATE_ACTIVE, false);
	pass(cluster, 1000, false);
	sent = stats_of(a).sent_vi;
	pass(cluster, 30000, false);
	assert_int_equal(stats_of(a).sent_vi, sent);
	cluster_free(cluster);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_busy_host_uses_what_others_leave),
		cmocka_unit_test(test_pacing),
		cmocka_unit_test(test_storm_keeps_the_share),
		cmocka_unit_test(test_go_members_get_every_vm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
