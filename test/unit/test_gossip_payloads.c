/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an event has in it: too much, nonsense, cut short, of another version. */
#include "gossip_fixture.h"

#include <errno.h>
#include <string.h>

#include "proto/binary.h"
#include "proto/gossip.h"
#include "proto/log.h"

/* A VM whose fields fill more than an event goes by the digest. */
static void
test_too_long_for_an_event(void **state)
{
	struct cluster *cluster = cluster_new(2);
	char name[1500];

	pass(cluster, 3000, false);
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	report_vm(&cluster->sides[0], 1, VMRUNSTATE_POWEROFF, name);
	pass(cluster, 3000, false);
	assert_true(equal_views(cluster));
	cluster_free(cluster);
}

/* Each other host is told, none that runs the Go virtx, and nothing that is malformed is one. */
static void
test_tokens(void **state)
{
	struct cluster *cluster = cluster_new(3);
	struct side *a = &cluster->sides[0], *b = &cluster->sides[1];

	pass(cluster, 3000, false);
	gossip_tell_tokens(a->gossip);
	pass(cluster, 100, false);
	assert_int_equal(a->n_tokens, 0);
	assert_int_equal(b->n_tokens, 1);
	assert_int_equal(cluster->sides[2].n_tokens, 1);
	gossip_receive(b->gossip, GOSSIP_TOKENS, "", 0);
	gossip_receive(b->gossip, GOSSIP_TOKENS, "\1\0", 2);
	gossip_receive(b->gossip, GOSSIP_TOKENS, "\1\0xy", 4);
	assert_int_equal(b->n_tokens, 1);
	assert_int_equal(stats_of(b).malformed, 3);
	set_member(a, b, CSTATE_ACTIVE, true);
	gossip_tell_tokens(a->gossip);
	pass(cluster, 100, false);
	assert_int_equal(cluster->sides[2].n_tokens, 1);
	cluster_free(cluster);
}

/* Changes that come fast are told at a pace, the last one too, and as soon as serf takes it; and
 * who is no member tells of none. */
static void
test_tokens_paced(void **state)
{
	static const char stranger[] = "22222222-0000-4000-8000-000000000000";
	struct tokens_event event = { .host = (char *)stranger };
	struct cluster *cluster = cluster_new(3);
	struct side *a = &cluster->sides[0], *b = &cluster->sides[1];
	_buffer_ struct buffer out = { 0 };
	unsigned int n;

	pass(cluster, 5000, false);
	for (int i = 0; i < 500; i++) {
		gossip_tell_tokens(a->gossip);
		pass(cluster, 10, false);
		if (i == 9)
			assert_int_equal(b->n_tokens, 1);
	}
	n = b->n_tokens;
	assert_in_range(n, 3, 26);
	pass(cluster, 3000, false);
	assert_true(b->n_tokens > 0 && b->n_tokens <= n + 1);

	n = b->n_tokens;
	a->send_error = -EAGAIN;
	gossip_tell_tokens(a->gossip);
	pass(cluster, 500, false);
	a->send_error = 0;
	pass(cluster, 3000, false);
	assert_int_equal(b->n_tokens, n + 1);

	gossip_set_connected(a->gossip, false);
	gossip_tell_tokens(a->gossip);
	pass(cluster, 500, false);
	assert_int_equal(b->n_tokens, n + 1);
	gossip_set_connected(a->gossip, true);
	pass(cluster, 3000, false);
	assert_int_equal(b->n_tokens, n + 2);

	assert_int_equal(binary_encode(&tokens_event_model, &event, &out), 0);
	gossip_receive(b->gossip, GOSSIP_TOKENS, out.data, out.len);
	assert_int_equal(b->n_tokens, n + 2);
	assert_int_equal(stats_of(b).refused, 1);
	assert_int_equal(b->n_strangers, 1);
	cluster_free(cluster);
}

static void
test_malformed(void **state)
{
	static const char *const names[] = { "HI", "VI", "VE" };
	struct cluster *cluster = cluster_new(2);
	struct side *a = &cluster->sides[0];
	unsigned int seed = 1;
	struct gossip_stats stats;
	char data[300];

	report_vm(a, 1, VMRUNSTATE_POWEROFF, "one");
	pass(cluster, 3000, false);
	log_init(LOG_LEVEL_ERROR, NULL);
	for (int i = 0; i < 100000; i++) {
		size_t len = (size_t)rand_r(&seed) % sizeof(data);

		for (size_t k = 0; k < len; k++)
			data[k] = (char)(rand_r(&seed) % 3 ? 0 : rand_r(&seed));
		gossip_receive(a->gossip, names[i % 3], data, len);
	}
	log_init(LOG_LEVEL_WARNING, NULL);
	stats = stats_of(a);
	assert_in_range(stats.malformed + stats.refused, 99000, 100000);
	assert_true(equal_views(cluster));
	cluster_free(cluster);
}

/* Whole and true to form, but cut, or longer than they should be. */
static void
test_lengths(void **state)
{
	struct cluster *cluster = cluster_new(2);
	struct side *a = &cluster->sides[0], *b = &cluster->sides[1];
	struct vm_info info = { .runstate = VMRUNSTATE_RUNNING, .ts = 5, .vcpus = 1 };
	_free_ char *uuid = xstrdup(vm_uuid(9));
	_buffer_ struct buffer out = { 0 };
	char name[] = "name", zero = 0;

	info.uuid = uuid;
	info.host = a->uuid;
	info.name = name;
	assert_int_equal(binary_encode(&vm_info_model, &info, &out), 0);
	for (size_t len = 0; len < out.len; len++)
		gossip_receive(b->gossip, "VI", out.data, len);
	buffer_add(&out, &zero, 1);
	gossip_receive(b->gossip, "VI", out.data, out.len);
	assert_null(inventory_find_vm(b->inventory, uuid));
	assert_int_equal(stats_of(b).malformed, out.len);
	gossip_receive(b->gossip, "VI", out.data, out.len - 1);
	assert_non_null(inventory_find_vm(b->inventory, uuid));
	/* Others' events are none of ours. */
	gossip_receive(b->gossip, "deploy", "x", 1);
	assert_int_equal(stats_of(b).malformed, out.len);
	cluster_free(cluster);
}

static void
report_needs(struct side *side, unsigned int n, int32_t mib, enum want want)
{
	struct vm_report report = { .runstate = VMRUNSTATE_POWEROFF,
		.has_def = true,
		.recorded = want != WANT_UNKNOWN,
		.want = want };
	_free_ char *uuid = xstrdup(vm_uuid(n));

	report.uuid = uuid;
	report.def.name = (char[]){ "one" };
	report.def.memory = (struct vmdef_memory){ mib, true };
	inventory_report_vm(side->inventory, UINT64_MAX, true, &report);
}

static void
check_needs(const struct side *side, unsigned int n, int32_t mib, enum want want)
{
	const struct inventory_vm *view = inventory_find_vm(side->inventory, vm_uuid(n));

	assert_non_null(view);
	assert_int_equal(view->vm.def.memory.total, mib);
	assert_int_equal(view->vm.def.memory.hp, mib > 0);
	assert_int_equal(view->vm.want, want);
}

/* What a VM needs, and whether it is wanted on, comes with the news of it and counts in the digest;
 * what tells nothing of it takes nothing away. */
static void
test_needs(void **state)
{
	struct cluster *cluster = cluster_new(2);
	struct side *a = &cluster->sides[0], *b = &cluster->sides[1];
	struct vm_info_list list = { 0 };
	uint64_t pulls;

	report_needs(a, 1, 512, WANT_OFF);
	pass(cluster, 3000, false);
	check_needs(b, 1, 512, WANT_OFF);
	pulls = stats_of(b).pulls;
	report_needs(a, 1, 512, WANT_ON);
	pass(cluster, 3000, false);
	check_needs(b, 1, 512, WANT_ON);
	report_needs(a, 1, 1024, WANT_ON);
	pass(cluster, 3000, false);
	check_needs(b, 1, 1024, WANT_ON);
	assert_int_equal(stats_of(b).pulls, pulls);
	assert_int_equal(stats_of(b).malformed, 0);
	inventory_get_list(a->inventory, a->uuid, "", 0, &list);
	assert_int_equal(list.n_items, 1);
	assert_int_equal(list.items[0].memory, 1024);
	assert_true(list.items[0].hp);
	assert_int_equal(list.items[0].want, WANT_ON);
	/* What is lost is found by the digest. */
	report_needs(a, 1, 1024, WANT_OFF);
	pass(cluster, 3000, true);
	check_needs(b, 1, 1024, WANT_ON);
	pass(cluster, 60000, false);
	check_needs(b, 1, 1024, WANT_OFF);
	report_needs(a, 1, 1024, WANT_ON);
	pass(cluster, 3000, false);
	/* As an older one lists it. */
	list.items[0].memory = 0;
	list.items[0].want = WANT_UNKNOWN;
	inventory_take_list(b->inventory, UINT64_MAX, &list);
	check_needs(b, 1, 1024, WANT_ON);
	model_clear(&vm_info_list_model, &list);

	/* A Go virtx is told of nothing but what it knows: others find the rest by the digest. */
	set_member(a, b, CSTATE_ACTIVE, true);
	report_needs(a, 2, 2048, WANT_ON);
	pass(cluster, 3000, false);
	check_needs(b, 2, 2048, WANT_ON);
	assert_int_equal(stats_of(b).malformed, 0);
	cluster_free(cluster);
}

static void
test_trailer_of_a_vm(void **state)
{
	struct cluster *cluster = cluster_new(2);
	struct side *a = &cluster->sides[0], *b = &cluster->sides[1];
	_free_ char *uuid = xstrdup(vm_uuid(9));
	struct vm_info info = { .uuid = uuid,
		.host = a->uuid,
		.name = (char[]){ "name" },
		.runstate = VMRUNSTATE_RUNNING,
		.ts = 5,
		.vcpus = 1 };
	struct vm_needs needs = { VM_NEEDS_VERSION, 4096, true, WANT_ON };
	_buffer_ struct buffer out = { 0 };
	size_t bare;

	binary_encode(&vm_info_model, &info, &out);
	bare = out.len;
	binary_encode(&vm_needs_model, &needs, &out);
	for (size_t len = bare + 1; len < out.len; len++)
		gossip_receive(b->gossip, "VI", out.data, len);
	assert_int_equal(stats_of(b).malformed, out.len - bare - 1);
	assert_null(inventory_find_vm(b->inventory, uuid));
	gossip_receive(b->gossip, "VI", out.data, out.len);
	check_needs(b, 9, 4096, WANT_ON);
	/* Nobody has that little. */
	needs.memory = -1;
	needs.want = WANT_OFF;
	info.ts++;
	out.len = 0;
	binary_encode(&vm_info_model, &info, &out);
	binary_encode(&vm_needs_model, &needs, &out);
	gossip_receive(b->gossip, "VI", out.data, out.len);
	check_needs(b, 9, 4096, WANT_ON);
	/* A later version is no fault. */
	needs.version = VM_NEEDS_VERSION + 1;
	info.ts++;
	info.name = (char[]){ "later" };
	out.len = 0;
	binary_encode(&vm_info_model, &info, &out);
	binary_encode(&vm_needs_model, &needs, &out);
	buffer_add(&out, "more", 4);
	gossip_receive(b->gossip, "VI", out.data, out.len);
	assert_string_equal(inventory_find_vm(b->inventory, uuid)->vm.def.name, "later");
	check_needs(b, 9, 4096, WANT_ON);
	cluster_free(cluster);
}

static void
test_trailer(void **state)
{
	struct cluster *cluster = cluster_new(2);
	struct side *a = &cluster->sides[0], *b = &cluster->sides[1];
	struct host_info info = { .uuid = a->uuid };
	struct host_digest digest = { HOST_DIGEST_VERSION, 0, 1 };
	_buffer_ struct buffer out = { 0 };
	size_t bare;
	uint64_t its;

	info.fields.name = a->name;
	info.fields.ts = now_ms() + 1000;
	binary_encode(&host_info_model, &info, &out);
	bare = out.len;
	binary_encode(&host_digest_model, &digest, &out);
	gossip_receive(b->gossip, "HI", out.data, out.len - 1);
	assert_int_equal(stats_of(b).malformed, 1);
	/* A later version is no fault, and none at all is the Go virtx's. */
	digest.version = 2;
	out.len = bare;
	binary_encode(&host_digest_model, &digest, &out);
	buffer_add(&out, "more", 4);
	gossip_receive(b->gossip, "HI", out.data, out.len);
	assert_int_equal(inventory_match(b->inventory, a->uuid, &its), INVENTORY_MATCH_UNKNOWN);
	info.fields.ts++;
	out.len = 0;
	binary_encode(&host_info_model, &info, &out);
	assert_int_equal(out.len, bare);
	assert_false(members_find(b->members, a->uuid)->go);
	gossip_receive(b->gossip, "HI", out.data, out.len);
	assert_true(members_find(b->members, a->uuid)->go);
	/* After one that has it, those that lack it are somebody else's. */
	info.fields.ts++;
	digest.version = HOST_DIGEST_VERSION;
	out.len = 0;
	binary_encode(&host_info_model, &info, &out);
	binary_encode(&host_digest_model, &digest, &out);
	gossip_receive(b->gossip, "HI", out.data, out.len);
	assert_int_equal(inventory_match(b->inventory, a->uuid, &its), INVENTORY_MATCH_DIFFERS);
	assert_int_equal(its, 1);
	info.fields.ts++;
	out.len = 0;
	binary_encode(&host_info_model, &info, &out);
	gossip_receive(b->gossip, "HI", out.data, out.len);
	assert_false(members_find(b->members, a->uuid)->go);
	assert_int_equal(inventory_match(b->inventory, a->uuid, &its), INVENTORY_MATCH_DIFFERS);
	assert_int_equal(stats_of(b).malformed, 1);
	assert_int_equal(stats_of(b).refused, 0);
	assert_int_equal(b->n_strangers, 0);
	info.uuid = (char[]){ "99999999-0000-4000-8000-000000000000" };
	out.len = 0;
	binary_encode(&host_info_model, &info, &out);
	gossip_receive(b->gossip, "HI", out.data, out.len);
	assert_int_equal(stats_of(b).refused, 1);
	assert_int_equal(b->n_strangers, 1);
	cluster_free(cluster);
}

/* What a host tells beyond what a request may have is not kept, and has no part in the digest. */
static void
test_trimmed(void **state)
{
	_free_ char *large = xasprintf("%*s", VMDEF_CUSTOM_BYTES_MAX + 1, "");
	struct vm_info info = { .uuid = xstrdup(vm_uuid(1)), .name = xasprintf("%*s", 5000, "") };
	struct custom_field fit[VMDEF_CUSTOM_MAX];
	uint64_t digest;

	for (int i = 0; i < 3 * VMDEF_CUSTOM_MAX; i++)
		*(struct custom_field *)model_append(&info.custom, &info.n_custom) =
		    (struct custom_field){ xasprintf("%d", i),
			    xstrdup(i % 2 == 0 ? large : large + 1) };
	assert_int_equal(vm_info_custom(&info, fit), VMDEF_CUSTOM_MAX);
	assert_string_equal(fit[VMDEF_CUSTOM_MAX - 1].name, "63");
	str_set(&info.name, "web");
	digest = vm_info_digest(&info);
	vm_info_trim(&info);
	assert_int_equal(info.n_custom, VMDEF_CUSTOM_MAX);
	assert_string_equal(info.custom[0].name, "1");
	assert_string_equal(info.name, "web");
	assert_int_equal(vm_info_digest(&info), digest);
	str_set(&info.name, large);
	vm_info_trim(&info);
	assert_string_equal(info.name, "");
	model_clear(&vm_info_model, &info);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_too_long_for_an_event),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_tokens_paced),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_trailer),
		cmocka_unit_test(test_needs),
		cmocka_unit_test(test_trailer_of_a_vm),
		cmocka_unit_test(test_trimmed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
