/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two and more hosts' gossip in one process: events and answers go from one to the other by hand,
 * and the clock moves when told to. */
#include "serf/gossip.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/binary.h"
#include "proto/log.h"
#include "serf/news.h"
#include "serf/pacer.h"

#define HOSTS_MAX 4

struct packet {
	char name[4];
	char data[SERF_PAYLOAD_MAX];
	size_t len;
};

struct side {
	char uuid[UUID_TEXT_SIZE];
	char name[8];
	struct inventory *inventory;
	struct members *members;
	struct gossip *gossip;
	struct cluster *cluster;
	int64_t wake_at;
	struct packet *out; /* sent, and not taken by deliver() */
	size_t n_out;
	int send_error;
	char pulls[64][UUID_TEXT_SIZE]; /* asked for, and not answered yet */
	size_t n_pulls;
};

struct cluster {
	int64_t now;
	size_t n;
	struct side sides[HOSTS_MAX];
};

static const char *
vm_uuid(unsigned int n)
{
	static char texts[8][UUID_TEXT_SIZE];
	static unsigned int next;
	char *text = texts[next++ % ARRAY_SIZE(texts)];

	snprintf(text, UUID_TEXT_SIZE, "00000000-0000-4000-8000-%012x", n);
	return text;
}

static int
on_send(void *arg, const char *name, const void *payload, size_t len)
{
	struct side *side = arg;
	struct packet *packet;

	if (side->send_error)
		return side->send_error;
	assert_true(strlen(name) + len <= SERF_PAYLOAD_MAX);
	packet = model_append(&side->out, &side->n_out);
	snprintf(packet->name, sizeof(packet->name), "%s", name);
	memcpy(packet->data, payload, len);
	packet->len = len;
	return 0;
}

static void
on_pull(void *arg, const struct member_host *host)
{
	struct side *side = arg;

	assert_true(side->n_pulls < ARRAY_SIZE(side->pulls));
	memcpy(side->pulls[side->n_pulls++], host->uuid, UUID_TEXT_SIZE);
}

static int64_t
on_now(void *arg)
{
	return ((struct side *)arg)->cluster->now;
}

static void
on_wake(void *arg, int64_t ms)
{
	struct side *side = arg;

	side->wake_at = side->cluster->now + ms;
}

static const struct gossip_ops ops = {
	.send = on_send,
	.pull = on_pull,
	.now = on_now,
	.wake = on_wake,
};

static void
on_host(void *arg, const struct member_host *host)
{
	struct side *side = arg;

	inventory_set_host(side->inventory, host->uuid, host->name, host->cstate);
	if (side->gossip)
		gossip_set_member(side->gossip, host);
}

static void
set_member(struct side *side, const struct side *other, enum cstate cstate, bool go)
{
	char uuid_key[] = "uuid", virtx_key[] = "virtx", virtx[] = "c/1";
	char uuid[UUID_TEXT_SIZE], name[8];
	struct serf_tag tags[] = { { uuid_key, uuid }, { virtx_key, virtx } };
	struct serf_member member = { .name = name,
		.addr = "10.0.0.1",
		.cstate = cstate,
		.tags = tags,
		.n_tags = go ? 1 : 2 };

	memcpy(uuid, other->uuid, sizeof(uuid));
	memcpy(name, other->name, sizeof(name));
	members_set(side->members, &member);
}

static void
report_host(struct side *side)
{
	struct host_report report = { .uuid = side->uuid, .has_def = true, .mhz = 1000 };

	report.def.name = side->name;
	inventory_report_host(side->inventory, &report);
}

static void
report_vm(struct side *side, unsigned int n, enum vmrunstate runstate, const char *name)
{
	struct vm_report report = { .runstate = runstate, .has_def = true };
	_free_ char *uuid = xstrdup(vm_uuid(n)), *title = xstrdup(name);

	report.uuid = uuid;
	report.def.name = title;
	report.def.cpudef = (struct cpudef){ .nodes = 1, .sockets = 1, .cores = 2, .threads = 1 };
	inventory_report_vm(side->inventory, UINT64_MAX, true, &report);
}

static struct cluster *
cluster_new(size_t n)
{
	struct cluster *cluster = xcalloc(1, sizeof(*cluster));

	cluster->now = 1000000;
	cluster->n = n;
	for (size_t i = 0; i < n; i++) {
		struct side *side = &cluster->sides[i];

		side->cluster = cluster;
		side->wake_at = INT64_MAX;
		snprintf(side->uuid, sizeof(side->uuid), "11111111-0000-4000-8000-%012zx", i);
		snprintf(side->name, sizeof(side->name), "h%zu", i);
		side->inventory = inventory_new();
		side->members = members_new(side->uuid, on_host, side);
		side->gossip = gossip_new(side->inventory, side->members, 7 + i * 99, &ops, side);
		report_host(side);
	}
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < n; k++)
			set_member(&cluster->sides[i], &cluster->sides[k], CSTATE_ACTIVE, false);
		gossip_set_connected(cluster->sides[i].gossip, true);
	}
	return cluster;
}

static void
cluster_free(struct cluster *cluster)
{
	for (size_t i = 0; i < cluster->n; i++) {
		struct side *side = &cluster->sides[i];

		gossip_free(side->gossip);
		members_free(side->members);
		inventory_free(side->inventory);
		free(side->out);
	}
	free(cluster);
}

/* Answers what one has asked of another. */
static void
answer(struct side *side)
{
	while (side->n_pulls > 0) {
		struct vm_info_list list = { 0 };
		char host[UUID_TEXT_SIZE];

		memcpy(host, side->pulls[--side->n_pulls], sizeof(host));
		for (size_t i = 0; i < side->cluster->n; i++) {
			if (strcmp(side->cluster->sides[i].uuid, host) == 0)
				inventory_get_list(side->cluster->sides[i].inventory, host, &list);
		}
		gossip_pulled(side->gossip, host, &list);
		model_clear(&vm_info_list_model, &list);
	}
}

/* Lets time pass; events are delivered to all unless lost. Returns how many side 0 sent. */
static size_t
pass(struct cluster *cluster, int64_t ms, bool lose)
{
	int64_t end = cluster->now + ms;
	size_t n = 0;

	for (; cluster->now < end; cluster->now += 10) {
		for (size_t i = 0; i < cluster->n; i++) {
			struct side *side = &cluster->sides[i];

			if (side->wake_at <= cluster->now) {
				side->wake_at = INT64_MAX;
				gossip_run(side->gossip);
			}
			answer(side);
			n += i == 0 ? side->n_out : 0;
			for (size_t p = 0; p < side->n_out; p++) {
				for (size_t k = 0; k < cluster->n && !lose; k++)
					gossip_receive(cluster->sides[k].gossip, side->out[p].name,
					    side->out[p].data, side->out[p].len);
			}
			side->n_out = 0;
		}
	}
	return n;
}

static bool
equal_views(const struct cluster *cluster)
{
	struct vm_list_fields all = { 0 };
	struct vm_list first = { 0 }, other;
	bool equal = true;

	inventory_list_vms(cluster->sides[0].inventory, &all, 0, 0, &first);
	for (size_t i = 1; i < cluster->n; i++) {
		other = (struct vm_list){ 0 };
		inventory_list_vms(cluster->sides[i].inventory, &all, 0, 0, &other);
		if (!model_equal(&vm_list_model, &first, &other))
			equal = false;
		model_clear(&vm_list_model, &other);
	}
	model_clear(&vm_list_model, &first);
	return equal;
}

static struct gossip_stats
stats_of(const struct side *side)
{
	struct gossip_stats stats;

	gossip_get_stats(side->gossip, &stats);
	return stats;
}

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
	gossip_receive(b->gossip, "HI", out.data, out.len);
	assert_int_equal(inventory_match(b->inventory, a->uuid, &its), INVENTORY_MATCH_DIFFERS);
	assert_int_equal(its, 1);
	/* A later version is no fault, and none at all is the Go virtx's. */
	info.fields.ts++;
	digest.version = 2;
	out.len = 0;
	binary_encode(&host_info_model, &info, &out);
	binary_encode(&host_digest_model, &digest, &out);
	buffer_add(&out, "more", 4);
	gossip_receive(b->gossip, "HI", out.data, out.len);
	assert_int_equal(inventory_match(b->inventory, a->uuid, &its), INVENTORY_MATCH_UNKNOWN);
	info.fields.ts++;
	out.len = 0;
	binary_encode(&host_info_model, &info, &out);
	assert_int_equal(out.len, bare);
	gossip_receive(b->gossip, "HI", out.data, out.len);
	assert_int_equal(stats_of(b).malformed, 1);
	assert_int_equal(stats_of(b).refused, 0);
	cluster_free(cluster);
}

static void
test_rates(void **state)
{
	struct pacer pacer;

	pacer_init(&pacer, 0);
	pacer_set_size(&pacer, 100, 100, 0);
	assert_int_equal(pacer_wait(&pacer, 2, 0), 0);
	pacer_take(&pacer, 2, 0);
	/* Not its own, but nobody else needs it; and then one at a time. */
	assert_false(pacer_has(&pacer, 1, 0));
	assert_int_equal(pacer_wait(&pacer, 1, 0), 0);
	pacer_take(&pacer, 1, 0);
	assert_int_equal(pacer_wait(&pacer, 1, 0), 2000);
	assert_int_equal(pacer_wait(&pacer, 1, 2000), 0);
	/* The others have been told much: 36 tokens are missing, at 5 a second. */
	pacer_hear(&pacer, 100, 2000);
	assert_in_range(pacer_wait(&pacer, 1, 2000), 7200, 7201);
	pacer_hear(&pacer, 100, 2000);
	assert_in_range(pacer_wait(&pacer, 1, 2000), 27200, 27201);
	assert_in_range(pacer_wait_calm(&pacer, 2000), 27200, 27201);
	/* Its own come whatever the others do. */
	pacer_hear(&pacer, 1000, 2000);
	assert_in_range(pacer_wait(&pacer, 1, 2000), 38000, 38001);
	assert_int_equal(pacer_wait(&pacer, 1, 40001), 0);
	assert_true(pacer_has(&pacer, 1, 40001));
	assert_true(pacer_cost(111) == 1 && pacer_cost(600) == 4 && pacer_cost(1020) == 8);
	assert_int_equal(pacer_period(32), 15000);
	assert_int_equal(pacer_period(33), 30000);
	assert_int_equal(pacer_period(100), 60000);
	/* The HIs alone must leave room for news. */
	for (unsigned int n = 2; n <= 300; n++)
		assert_true(
		    n * 1000.0 / (double)pacer_period(n) <= pacer_cluster_rate(n) / 2 * 0.6);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes_are_told),
		cmocka_unit_test(test_latest_wins),
		cmocka_unit_test(test_many_changes_are_one_digest),
		cmocka_unit_test(test_lost_digest_is_told_again),
		cmocka_unit_test(test_busy_host_uses_what_others_leave),
		cmocka_unit_test(test_lost_events_are_repaired),
		cmocka_unit_test(test_partition),
		cmocka_unit_test(test_failed_pulls_are_tried_again),
		cmocka_unit_test(test_pacing),
		cmocka_unit_test(test_storm_keeps_the_share),
		cmocka_unit_test(test_go_members_get_every_vm),
		cmocka_unit_test(test_what_serf_refuses_waits),
		cmocka_unit_test(test_too_long_for_an_event),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_trailer),
		cmocka_unit_test(test_rates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
