/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "gossip_fixture.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

const char *
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

static void
on_stranger(void *arg)
{
	((struct side *)arg)->n_strangers++;
}

static void
on_tokens(void *arg)
{
	((struct side *)arg)->n_tokens++;
}

static const struct gossip_ops ops = {
	.tokens = on_tokens,
	.send = on_send,
	.pull = on_pull,
	.stranger = on_stranger,
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

void
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

void
report_vm(struct side *side, unsigned int n, enum vmrunstate runstate, const char *name)
{
	struct vm_report report = { .runstate = runstate, .has_def = true };
	_free_ char *uuid = xstrdup(vm_uuid(n)), *title = xstrdup(name);

	report.uuid = uuid;
	report.def.name = title;
	report.def.cpudef = (struct cpudef){ .nodes = 1, .sockets = 1, .cores = 2, .threads = 1 };
	inventory_report_vm(side->inventory, UINT64_MAX, true, &report);
}

struct cluster *
cluster_new(size_t n)
{
	struct cluster *cluster = xcalloc(1, sizeof(*cluster));

	assert(n <= HOSTS_MAX);
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

void
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
				inventory_get_list(
				    side->cluster->sides[i].inventory, host, "", 0, &list);
		}
		gossip_pulled(side->gossip, host, &list);
		model_clear(&vm_info_list_model, &list);
	}
}

size_t
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

bool
equal_views(const struct cluster *cluster)
{
	struct vm_list_fields all = { 0 };
	struct vm_list first = { 0 }, other;
	bool equal = true;

	inventory_list_vms(cluster->sides[0].inventory, &all, NULL, &first);
	for (size_t i = 1; i < cluster->n; i++) {
		other = (struct vm_list){ 0 };
		inventory_list_vms(cluster->sides[i].inventory, &all, NULL, &other);
		if (!model_equal(&vm_list_model, &first, &other))
			equal = false;
		model_clear(&vm_list_model, &other);
	}
	model_clear(&vm_list_model, &first);
	return equal;
}

struct gossip_stats
stats_of(const struct side *side)
{
	struct gossip_stats stats;

	gossip_get_stats(side->gossip, &stats);
	return stats;
}
