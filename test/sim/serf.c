/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Takes the place of serf/serf.c: the agents of all hosts, and the client of each. */
#include "serf/serf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agents.h"
#include "clock.h"
#include "dice.h"
#include "host.h"
#include "net.h"
#include "world.h"

#define TAGS_MAX  8
#define LOOK_MS	  1000
#define FAILED_MS 6000	/* until a member that is not heard has failed */
#define RETRY_MS  30000 /* between attempts to find it again */
#define REREAD_MS 60000
#define GOSSIP_MS 200

struct tag {
	char key[16], value[64];
};

/* serf itself, which outlives its client. */
struct agent {
	struct serf *client;
	struct tag tags[TAGS_MAX];
	size_t n_tags;
	enum cstate seen[WORLD_HOSTS]; /* of the others */
	int64_t unheard[WORLD_HOSTS];  /* since when, ms; 0: heard */
};

struct serf {
	int host;
	uint64_t id;
	const struct serf_ops *ops;
	void *arg;
	bool connected;
	struct timer *timer;
};

static struct agent agents[WORLD_HOSTS];
static uint64_t last_id;

static void
set_tag(struct agent *agent, const char *key, const char *value)
{
	size_t at = 0;

	while (at < agent->n_tags && strcmp(agent->tags[at].key, key) != 0)
		at++;
	if (!value && at < agent->n_tags)
		agent->tags[at] = agent->tags[--agent->n_tags];
	if (!value)
		return;
	snprintf(agent->tags[at].key, sizeof(agent->tags[at].key), "%s", key);
	snprintf(agent->tags[at].value, sizeof(agent->tags[at].value), "%s", value);
	agent->n_tags += at == agent->n_tags;
}

/* Tells a client of a member as its agent has it. */
static void
tell_member(struct serf *serf, int of)
{
	struct agent *agent = &agents[of];
	struct serf_tag tags[TAGS_MAX];
	char name[16];
	struct serf_member member = {
		.name = name,
		.port = 7946,
		.cstate = of == serf->host ? CSTATE_ACTIVE : agents[serf->host].seen[of],
		.tags = tags,
		.n_tags = agent->n_tags,
	};
	int before = clock_enter(serf->host);

	snprintf(name, sizeof(name), "h%d", of + 1);
	snprintf(member.addr, sizeof(member.addr), "10.0.0.%d", of + 1);
	for (size_t i = 0; i < agent->n_tags; i++)
		tags[i] = (struct serf_tag){ agent->tags[i].key, agent->tags[i].value };
	serf->ops->member(serf->arg, &member);
	clock_enter(before);
}

static void
tell_members(struct serf *serf)
{
	for (int i = 0; i < world.n_hosts; i++) {
		if (i == serf->host || agents[serf->host].seen[i] != CSTATE_INVALID)
			tell_member(serf, i);
	}
}

/* A change of a member is heard by the others' clients. */
struct change {
	int of, by;
};

static void
on_change(void *arg)
{
	struct change *change = arg;
	struct serf *serf = agents[change->by].client;

	if (serf && serf->connected && host_is_powered(change->by))
		tell_member(serf, change->of);
	free(change);
}

static void
tell_change(int of, int by)
{
	struct change *change = xcalloc(1, sizeof(*change));

	*change = (struct change){ of, by };
	clock_after(net_delay(GOSSIP_MS), on_change, change);
}

static void
tell_all(int of)
{
	for (int i = 0; i < world.n_hosts; i++) {
		if (i == of || net_is_open(i, of))
			tell_change(of, i);
	}
}

/* How an agent sees another one. */
static void
look_at(int by, int of)
{
	struct agent *agent = &agents[by];
	bool heard = net_is_open(by, of) && agents[of].n_tags > 0;

	if (heard) {
		agent->unheard[of] = 0;
		if (agent->seen[of] == CSTATE_ACTIVE ||
		    (agent->seen[of] == CSTATE_FAILED && !dice_permille(1000 * LOOK_MS / RETRY_MS)))
			return;
		agent->seen[of] = CSTATE_ACTIVE;
	} else {
		if (!agent->unheard[of])
			agent->unheard[of] = clock_now();
		if (agent->seen[of] != CSTATE_ACTIVE ||
		    clock_now() - agent->unheard[of] < FAILED_MS)
			return;
		agent->seen[of] = CSTATE_FAILED;
	}
	/* serf swallows a change now and then. */
	if (!net_loses())
		tell_change(of, by);
}

static void
on_look(void *arg)
{
	if (clock_is_ending())
		return;
	for (int by = 0; by < world.n_hosts; by++) {
		for (int of = 0; of < world.n_hosts && host_is_powered(by); of++) {
			if (of != by)
				look_at(by, of);
		}
	}
	clock_after(LOOK_MS, on_look, NULL);
}

void
agents_reset(void)
{
	memset(agents, 0, sizeof(agents));
	last_id = 0;
	for (int i = 0; i < WORLD_HOSTS; i++) {
		for (int k = 0; k < WORLD_HOSTS; k++)
			agents[i].seen[k] = CSTATE_INVALID;
	}
	clock_after(LOOK_MS, on_look, NULL);
}

static void
on_timer(void *arg)
{
	struct serf *serf = arg;

	tell_members(serf);
	if (!serf->connected) {
		serf->connected = true;
		serf->ops->connected(serf->arg);
		tell_all(serf->host);
	}
	timer_start(serf->timer, REREAD_MS);
}

struct serf *
serf_new(struct event_base *base, const char *addr, uint16_t port, const char *key, int retry,
    const struct serf_tag *tags, size_t n_tags, const struct serf_ops *ops, void *arg)
{
	struct serf *serf = xcalloc(1, sizeof(*serf));

	serf->host = clock_host();
	serf->id = ++last_id;
	serf->ops = ops;
	serf->arg = arg;
	for (size_t i = 0; i < n_tags; i++)
		set_tag(&agents[serf->host], tags[i].key, tags[i].value);
	serf->timer = timer_new(base, on_timer, serf);
	timer_start(serf->timer, dice_between(5, 300));
	agents[serf->host].client = serf;
	return serf;
}

void
serf_free(struct serf *serf)
{
	if (!serf)
		return;
	agents[serf->host].client = NULL;
	timer_free(serf->timer);
	free(serf);
}

void
serf_set_tag(struct serf *serf, const char *key, const char *value)
{
	set_tag(&agents[serf->host], key, value);
	if (serf->connected)
		tell_all(serf->host);
}

void
serf_leave_tags(
    struct serf *serf, const char *const *keys, size_t n, void (*done)(void *arg), void *arg)
{
	for (size_t i = 0; i < n; i++)
		set_tag(&agents[serf->host], keys[i], NULL);
	tell_all(serf->host);
	clock_after(5, done, arg);
}

void
serf_read_members(struct serf *serf)
{
	if (serf->connected)
		timer_start(serf->timer, 5);
}

bool
serf_is_connected(const struct serf *serf)
{
	return serf->connected;
}

const char *
serf_why(const struct serf *serf)
{
	return serf->connected ? "" : "not connected yet";
}

struct message {
	int to;
	uint64_t id; /* of the client */
	char name[32];
	size_t len;
	char payload[SERF_PAYLOAD_MAX];
};

static void
on_message(void *arg)
{
	struct message *message = arg;
	struct serf *serf = agents[message->to].client;
	int before = clock_enter(message->to);

	if (serf && serf->connected && serf->id == message->id)
		serf->ops->event(serf->arg, message->name, message->payload, message->len, 0);
	clock_enter(before);
	free(message);
}

int
serf_event(struct serf *serf, const char *name, const void *payload, size_t len)
{
	if (strlen(name) + len > SERF_PAYLOAD_MAX)
		return -EMSGSIZE;
	if (!serf->connected)
		return -ENOTCONN;
	for (int i = 0; i < world.n_hosts; i++) {
		struct message *message;

		if (!agents[i].client ||
		    (i != serf->host && (!net_is_open(serf->host, i) || net_loses())))
			continue;
		message = xcalloc(1, sizeof(*message));
		message->to = i;
		message->id = agents[i].client->id;
		snprintf(message->name, sizeof(message->name), "%s", name);
		memcpy(message->payload, payload, len);
		message->len = len;
		clock_after(net_delay(GOSSIP_MS), on_message, message);
	}
	return 0;
}

int
serf_join(struct serf *serf, const char *addr, uint16_t port)
{
	struct agent *agent = &agents[serf->host];
	int of = 0;

	if (!serf->connected)
		return -ENOTCONN;
	if (sscanf(addr, "10.0.0.%d", &of) != 1 || of < 1 || of > world.n_hosts)
		return 0;
	of--;
	if (net_is_open(serf->host, of) && agent->seen[of] == CSTATE_FAILED) {
		agent->seen[of] = CSTATE_ACTIVE;
		tell_change(of, serf->host);
	}
	return 0;
}

const char *
serf_member_tag(const struct serf_member *member, const char *key)
{
	for (size_t i = 0; i < member->n_tags; i++) {
		if (strcmp(member->tags[i].key, key) == 0)
			return member->tags[i].value;
	}
	return NULL;
}
