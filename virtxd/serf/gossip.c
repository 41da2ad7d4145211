/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serf/gossip.h"

#include <errno.h>
#include <string.h>

#include "proto/binary.h"
#include "proto/log.h"
#include "serf/anti_entropy.h"
#include "serf/gossip_inbox.h"
#include "serf/gossip_outbox.h"
#include "serf/pacer.h"

#define COALESCE_MS 50	 /* changes of one moment are told together */
#define WAITING_MAX 8	 /* changes; more are told by one digest */
#define GO_MAX	    1000 /* the same while some do not understand digests */
#define HELLO_MS    3500 /* after connecting: serf tells members up to 3 s late, events at once */
#define QUIET_MS    300	 /* without a change, after which a digest is worth telling */
#define HOLD_MAX_MS 2000 /* that it waits for that */
#define CONFIRM_MS  2000 /* after news, a digest tells those whom it did not reach */
#define DECIDE_MS   500	 /* that an undecided VM has until the others are told of it */
#define RETRY_MS    1000 /* after serf refused an event */
#define TOKENS_MS   200	 /* between two that say that the tokens have changed */
#define LOG_BURST   5	 /* lines a minute */

struct gossip {
	struct inventory *inventory;
	struct members *members;
	const struct gossip_ops *ops;
	void *arg;
	uint64_t random;
	struct outbox *outbox;
	struct anti_entropy *anti_entropy;
	struct pacer pacer;
	bool connected;
	int64_t wake_at;     /* as asked for */
	bool running;	     /* in gossip_run */
	int64_t next_hi;     /* 0: as soon as can be */
	int64_t retry_at;    /* nothing is sent before */
	int64_t confirm_at;  /* 0: there is nothing to confirm */
	bool confirm_digest; /* that, and not an event */
	int64_t changed_at;
	bool tokens_changed;  /* and that is still to be told */
	int64_t tokens_at;    /* before which it is not */
	int64_t undecided_at; /* when VMs that are undecided then are told; 0: there are none */
	uint64_t undecided;   /* of those that were told */
	int64_t crowded_at; /* since when there are too many changes for events; 0: there are not */
	/* While some run the Go virtx: all VMs in turn */
	char **round;
	size_t n_round, round_at;
	int64_t round_start, round_ms;
	struct gossip_stats stats;
};

static int64_t
now_of(const struct gossip *gossip)
{
	return gossip->ops->now(gossip->arg);
}

/* 0.9 to 1.1 times ms. */
static int64_t
jittered(struct gossip *gossip, int64_t ms)
{
	gossip->random ^= gossip->random << 13;
	gossip->random ^= gossip->random >> 7;
	gossip->random ^= gossip->random << 17;
	return ms - ms / 10 + (int64_t)(gossip->random % (uint64_t)(ms / 5 + 1));
}

/* Sees to it that gossip_run is called in that time, or before. */
static void
wake(struct gossip *gossip, int64_t ms)
{
	int64_t at = now_of(gossip) + ms;

	if (gossip->running || at >= gossip->wake_at)
		return;
	gossip->wake_at = at;
	gossip->ops->wake(gossip->arg, ms);
}

static size_t
waiting_max(const struct gossip *gossip)
{
	return members_any_go(gossip->members) ? GO_MAX : WAITING_MAX;
}

static void
vm_observed(void *arg, const struct inventory_vm *vm, bool gone)
{
	struct gossip *gossip = arg;
	int64_t now = now_of(gossip);

	outbox_add(gossip->outbox, vm, gone, now);
	if (gone) {
		anti_entropy_make_room(gossip->anti_entropy);
		wake(gossip, COALESCE_MS);
	}
	if (!vm->local || outbox_count(gossip->outbox, NULL) == 0)
		return;
	gossip->changed_at = now;
	if (!gossip->crowded_at && outbox_count(gossip->outbox, NULL) > waiting_max(gossip))
		gossip->crowded_at = now;
	/* Nobody will be told of these one by one. */
	if (gossip->crowded_at)
		outbox_forget(gossip->outbox);
	wake(gossip, COALESCE_MS);
}

/* No event tells of them, and who asks for this host's VMs has them only by chance before the next
 * digest. */
static void
undecided_observed(void *arg)
{
	struct gossip *gossip = arg;

	if (!gossip->undecided_at)
		gossip->undecided_at = now_of(gossip) + DECIDE_MS;
	wake(gossip, DECIDE_MS);
}

static const struct inventory_observer observer = {
	.vm = vm_observed,
	.undecided = undecided_observed,
};

static void
on_ask(void *arg, const struct member_host *host)
{
	struct gossip *gossip = arg;

	gossip->ops->pull(gossip->arg, host);
}

struct gossip *
gossip_new(struct inventory *inventory, struct members *members, uint64_t seed,
    const struct gossip_ops *ops, void *arg)
{
	struct gossip *gossip = xcalloc(1, sizeof(*gossip));

	gossip->inventory = inventory;
	gossip->members = members;
	gossip->ops = ops;
	gossip->arg = arg;
	gossip->random = seed | 1;
	gossip->wake_at = INT64_MAX;
	gossip->outbox = outbox_new();
	gossip->anti_entropy = anti_entropy_new(inventory, members, seed, on_ask, gossip);
	pacer_init(&gossip->pacer, now_of(gossip));
	inventory_observe(inventory, &observer, gossip);
	return gossip;
}

static void
drop_round(struct gossip *gossip)
{
	for (size_t i = 0; i < gossip->n_round; i++)
		free(gossip->round[i]);
	free(gossip->round);
	gossip->round = NULL;
	gossip->n_round = gossip->round_at = 0;
}

void
gossip_free(struct gossip *gossip)
{
	if (!gossip)
		return;
	inventory_unobserve(gossip->inventory, &observer, gossip);
	drop_round(gossip);
	outbox_free(gossip->outbox);
	anti_entropy_free(gossip->anti_entropy);
	free(gossip);
}

/* Sends one event, whatever the tokens; false when it did not go out. */
static bool
send_event(struct gossip *gossip, const char *name, const struct buffer *payload, int64_t now)
{
	static struct log_limit limit;
	int rc = gossip->ops->send(gossip->arg, name, payload->data, payload->len);

	if (rc == 0) {
		pacer_take(&gossip->pacer, pacer_cost(payload->len), now);
		return true;
	}
	if (rc != -EMSGSIZE) {
		gossip->retry_at = now + RETRY_MS;
		log_limited(&limit, LOG_BURST, "gossip", "cannot send %s: %s", name, strerror(-rc));
	}
	return false;
}

/* Tells this host and the digest of its VMs; false when that cannot be, for now. */
static bool
send_host(struct gossip *gossip, int64_t now)
{
	static struct log_limit limit;
	_buffer_ struct buffer out = { 0 };
	struct host_digest digest;
	struct host_info info;

	if (!inventory_get_self(gossip->inventory, &info, &digest))
		return false;
	gossip->next_hi =
	    now + jittered(gossip, pacer_period(members_count_active(gossip->members)));
	if (binary_encode(&host_info_model, &info, &out) < 0 ||
	    binary_encode(&host_digest_model, &digest, &out) < 0 ||
	    out.len + strlen(GOSSIP_HOST_INFO) > SERF_PAYLOAD_MAX) {
		log_limited(&limit, LOG_BURST, "gossip",
		    "this host cannot be told: its names take more than %d bytes",
		    SERF_PAYLOAD_MAX);
		gossip->crowded_at = 0;
		return true;
	}
	if (!send_event(gossip, GOSSIP_HOST_INFO, &out, now)) {
		gossip->next_hi = 0;
		return false;
	}
	gossip->stats.sent_hi++;
	gossip->undecided = inventory_undecided_digest(gossip->inventory);
	gossip->undecided_at = 0;
	if (gossip->crowded_at)
		outbox_told_all(gossip->outbox, gossip->inventory);
	gossip->confirm_digest = gossip->crowded_at != 0;
	gossip->confirm_at = gossip->crowded_at ? now + jittered(gossip, CONFIRM_MS) : 0;
	gossip->crowded_at = 0;
	return true;
}

static int
encode_vm(const struct gossip *gossip, const struct vm_info *info, enum news_kind kind,
    struct buffer *out)
{
	struct vm_event event = { info->uuid, info->host, info->runstate, info->ts };
	struct vm_needs needs = { VM_NEEDS_VERSION, info->memory, info->hp, info->want };
	_buffer_ struct buffer trailer = { 0 };

	if (kind == NEWS_EVENT)
		return binary_encode(&vm_event_model, &event, out);
	if (binary_encode(&vm_info_model, info, out) < 0 ||
	    out->len + strlen(GOSSIP_VM_INFO) > SERF_PAYLOAD_MAX)
		return -EMSGSIZE;
	/* Where there is no room for it, it is for lists and answers. */
	if (info->memory > 0 && !members_any_go(gossip->members) &&
	    binary_encode(&vm_needs_model, &needs, &trailer) == 0 &&
	    out->len + trailer.len + strlen(GOSSIP_VM_INFO) <= SERF_PAYLOAD_MAX)
		buffer_add(out, trailer.data, trailer.len);
	return 0;
}

static bool
send_vm(struct gossip *gossip, enum news_kind kind, const struct buffer *payload, int64_t now)
{
	if (!send_event(
		gossip, kind == NEWS_EVENT ? GOSSIP_VM_EVENT : GOSSIP_VM_INFO, payload, now))
		return false;
	if (kind == NEWS_EVENT)
		gossip->stats.sent_ve++;
	else
		gossip->stats.sent_vi++;
	return true;
}

/* Tells the VM that has waited longest. Returns when to go on: now for at once. */
static int64_t
send_first(struct gossip *gossip, int64_t now)
{
	_buffer_ struct buffer out = { 0 };
	struct vm_info info;
	enum news_kind kind;
	int64_t since, wait;

	if (outbox_count(gossip->outbox, &since) == 0)
		return INT64_MAX;
	if (since + COALESCE_MS > now)
		return since + COALESCE_MS;
	kind = outbox_first(gossip->outbox, gossip->inventory, &info);
	if (kind == NEWS_NONE)
		return now;
	if (encode_vm(gossip, &info, kind, &out) < 0) {
		/* An event has no room for it; an answer over HTTP has. */
		outbox_told(gossip->outbox, &info);
		gossip->crowded_at = now;
		return now;
	}
	wait = pacer_wait(&gossip->pacer, pacer_cost(out.len), now);
	if (wait > 0)
		return now + wait;
	if (!send_vm(gossip, kind, &out, now))
		return gossip->retry_at;
	outbox_told(gossip->outbox, &info);
	if (!gossip->confirm_at)
		gossip->confirm_at = now + jittered(gossip, CONFIRM_MS);
	return now;
}

/*
 * One digest more after news, if that is not at the expense of the next. Serf does not reach every
 * member with every event; who was not told of a storm is too wrong to wait for the next HI. But
 * while a storm of all hosts is still on its way, more would only hold it up.
 */
static int64_t
send_confirmation(struct gossip *gossip, int64_t now)
{
	double tokens = gossip->pacer.burst / 2;
	int64_t wait;

	if (!gossip->confirm_at)
		return INT64_MAX;
	if (now < gossip->confirm_at)
		return gossip->confirm_at;
	wait = gossip->confirm_digest ? pacer_wait_calm(&gossip->pacer, now) : 0;
	if (wait > 0)
		return now + wait;
	gossip->confirm_at = 0;
	if (gossip->confirm_digest || pacer_has(&gossip->pacer, tokens, now))
		send_host(gossip, now);
	return INT64_MAX;
}

/* That the tokens have changed: once for what changes at short intervals. */
static int64_t
send_tokens(struct gossip *gossip, int64_t now)
{
	struct tokens_event event = { .host = (char *)inventory_self(gossip->inventory) };
	_buffer_ struct buffer out = { 0 };
	int64_t wait;

	if (!gossip->tokens_changed)
		return INT64_MAX;
	if (now < gossip->tokens_at)
		return gossip->tokens_at;
	/* A Go virtx does not know the event: where there are some, nobody is told. */
	if (members_any_go(gossip->members) ||
	    binary_encode(&tokens_event_model, &event, &out) < 0) {
		gossip->tokens_changed = false;
		return INT64_MAX;
	}
	wait = pacer_wait(&gossip->pacer, pacer_cost(out.len), now);
	if (wait > 0)
		return now + wait;
	if (!send_event(gossip, GOSSIP_TOKENS, &out, now) && gossip->retry_at > now)
		return gossip->retry_at;
	gossip->tokens_changed = false;
	gossip->tokens_at = now + TOKENS_MS;
	return INT64_MAX;
}

/* Too many changes: tells the new digest, once it seems to last. */
static int64_t
send_digest(struct gossip *gossip, int64_t now)
{
	int64_t quiet = gossip->changed_at + QUIET_MS, latest = gossip->crowded_at + HOLD_MAX_MS;
	int64_t due = quiet < latest ? quiet : latest, wait;

	if (now < due)
		return due;
	/* The one that ends a storm must not wait for long: what it takes early, others pay. */
	wait = pacer_wait(&gossip->pacer, -1, now);
	if (wait > 0)
		return now + wait;
	if (!send_host(gossip, now))
		return now + RETRY_MS;
	return now;
}

/* The digest, where VMs have become undecided and still are: most are decided at once, and an event
 * tells of them. */
static int64_t
send_undecided(struct gossip *gossip, int64_t now)
{
	uint64_t digest;
	int64_t wait;

	if (!gossip->undecided_at || now < gossip->undecided_at)
		return gossip->undecided_at ? gossip->undecided_at : INT64_MAX;
	digest = inventory_undecided_digest(gossip->inventory);
	wait = digest && digest != gossip->undecided ? pacer_wait(&gossip->pacer, 1, now) : 0;
	if (wait > 0)
		return now + wait;
	gossip->undecided_at = 0;
	if (!digest || digest == gossip->undecided || send_host(gossip, now))
		return INT64_MAX;
	return gossip->undecided_at = now + RETRY_MS;
}

static void
add_to_round(void *arg, const struct inventory_vm *vm, bool def_known, bool disks_known)
{
	struct gossip *gossip = arg;

	gossip->round = xrealloc(gossip->round, gossip->n_round + 1, sizeof(*gossip->round));
	gossip->round[gossip->n_round++] = xstrdup(vm->vm.uuid);
}

/* For the Go virtx: each VM again in each period, evenly spread. */
static int64_t
send_round(struct gossip *gossip, int64_t now)
{
	const struct inventory_vm *vm;
	struct vm_info info;
	int64_t due;

	if (!members_any_go(gossip->members)) {
		drop_round(gossip);
		return INT64_MAX;
	}
	if (gossip->round_at >= gossip->n_round) {
		if (now < gossip->round_start + gossip->round_ms)
			return gossip->round_start + gossip->round_ms;
		drop_round(gossip);
		inventory_each_local(gossip->inventory, add_to_round, gossip);
		gossip->round_start = now;
		gossip->round_ms = pacer_period(members_count_active(gossip->members));
		return gossip->n_round ? now : now + gossip->round_ms;
	}
	due = gossip->round_start +
	      gossip->round_ms * (int64_t)gossip->round_at / (int64_t)gossip->n_round;
	if (now < due)
		return due;
	vm = inventory_find_vm(gossip->inventory, gossip->round[gossip->round_at]);
	if (vm && vm->local) {
		_buffer_ struct buffer out = { 0 };

		info = inventory_vm_info(vm);
		if (encode_vm(gossip, &info, NEWS_INFO, &out) == 0 &&
		    !send_vm(gossip, NEWS_INFO, &out, now) && gossip->retry_at > now)
			return gossip->retry_at;
	}
	gossip->round_at++;
	return now;
}

static int64_t
earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* What is to be sent by now; returns when there is more. */
static int64_t
send_due(struct gossip *gossip, int64_t now)
{
	int64_t next;

	do {
		if (now < gossip->retry_at)
			return gossip->retry_at;
		if (gossip->next_hi <= now && !send_host(gossip, now))
			return now + RETRY_MS;
		next = gossip->next_hi;
		next = earlier(next, send_tokens(gossip, now));
		next = earlier(
		    next, gossip->crowded_at ? send_digest(gossip, now) : send_first(gossip, now));
		next = earlier(next, send_undecided(gossip, now));
		next = earlier(next, send_confirmation(gossip, now));
		next = earlier(next, send_round(gossip, now));
	} while (next <= now);
	return next;
}

void
gossip_run(struct gossip *gossip)
{
	int64_t now = now_of(gossip), next;

	gossip->wake_at = INT64_MAX;
	gossip->running = true;
	pacer_set_size(&gossip->pacer, members_count(gossip->members),
	    members_count_active(gossip->members), now);
	next = anti_entropy_run(gossip->anti_entropy, now);
	if (gossip->connected)
		next = earlier(next, send_due(gossip, now));
	gossip->running = false;
	if (next != INT64_MAX)
		wake(gossip, next > now ? next - now : 0);
}

static void
need_host(void *arg, const struct member_host *host)
{
	struct gossip *gossip = arg;

	if (host->cstate == CSTATE_ACTIVE)
		anti_entropy_welcome(gossip->anti_entropy, host->uuid, now_of(gossip));
}

void
gossip_set_connected(struct gossip *gossip, bool connected)
{
	gossip->connected = connected;
	/* Either side may have missed the other's news meanwhile. */
	if (connected)
		members_each(gossip->members, need_host, gossip);
	gossip->next_hi = now_of(gossip) + HELLO_MS;
	gossip->retry_at = 0;
	wake(gossip, 0);
}

void
gossip_set_member(struct gossip *gossip, const struct member_host *host)
{
	need_host(gossip, host);
	wake(gossip, 0);
}

void
gossip_pulled(struct gossip *gossip, const char *host, const struct vm_info_list *list)
{
	anti_entropy_done(gossip->anti_entropy, host, list, now_of(gossip));
	wake(gossip, 0);
}

void
gossip_listed(struct gossip *gossip, const char *host, const struct vm_list *list)
{
	anti_entropy_listed(gossip->anti_entropy, host, list, now_of(gossip));
	wake(gossip, 0);
}

/* The VM, if it waits to be told: all of it, as others may hold it for ended; and the digest. */
static void
tell_anew(struct gossip *gossip, const char *vm)
{
	outbox_tell_whole(gossip->outbox, vm);
	if (!gossip->confirm_at)
		gossip->confirm_at = now_of(gossip) + jittered(gossip, CONFIRM_MS);
}

void
gossip_tell_tokens(struct gossip *gossip)
{
	gossip->tokens_changed = true;
	wake(gossip, 0);
}

static void
refuse_stranger(struct gossip *gossip, const char *name)
{
	static struct log_limit limit;

	gossip->stats.refused++;
	log_limited(&limit, LOG_BURST, "gossip",
	    "a %s is dropped: it names no member of the cluster, or no VM", name);
	gossip->ops->stranger(gossip->arg);
}

static void
hear_tokens(struct gossip *gossip, const char *host)
{
	if (!members_find(gossip->members, host))
		refuse_stranger(gossip, GOSSIP_TOKENS);
	else if (gossip->ops->tokens)
		gossip->ops->tokens(gossip->arg);
}

static void
take_tokens(struct gossip *gossip, const void *payload, size_t len)
{
	struct tokens_event event = { 0 };
	struct error err = { 0 };

	gossip->stats.received++;
	pacer_hear(&gossip->pacer, pacer_cost(len), now_of(gossip));
	if (binary_decode(&tokens_event_model, payload, len, &event, &err) != (long)len)
		gossip->stats.malformed++;
	else if (!str_equal(event.host, inventory_self(gossip->inventory)))
		hear_tokens(gossip, event.host);
	model_clear(&tokens_event_model, &event);
}

void
gossip_receive(struct gossip *gossip, const char *name, const void *payload, size_t len)
{
	static struct log_limit malformed_limit, ahead_limit, forged_limit;
	struct inbox_event event;
	struct error err = { 0 };

	if (strcmp(name, GOSSIP_TOKENS) == 0) {
		take_tokens(gossip, payload, len);
		return;
	}
	if (!inbox_take(gossip->inventory, name, payload, len, &event, &err))
		return;
	gossip->stats.received++;
	pacer_hear(&gossip->pacer, pacer_cost(len), now_of(gossip));
	if (err.status) {
		gossip->stats.malformed++;
		log_limited(&malformed_limit, LOG_BURST, "gossip",
		    "a %s of %zu bytes is dropped: %s", name, len, err.detail);
		return;
	}
	switch (event.news) {
	case INVENTORY_REFUSED:
		refuse_stranger(gossip, name);
		return;
	case INVENTORY_FULL:
		gossip->stats.full++;
		return;
	case INVENTORY_OLD:
		return;
	case INVENTORY_AHEAD:
		gossip->stats.ahead++;
		log_limited(&ahead_limit, LOG_BURST, "gossip",
		    "a %s of host '%s' is dropped: its time is more than %d s ahead of this host's "
		    "clock",
		    name, event.host, INVENTORY_AHEAD_MS / 1000);
		anti_entropy_poll(gossip->anti_entropy, event.host, now_of(gossip));
		break;
	case INVENTORY_CLAIM:
		anti_entropy_dispute(gossip->anti_entropy);
		break;
	case INVENTORY_FORGED:
		log_limited(&forged_limit, LOG_BURST, "gossip",
		    "a %s in this host's name is later than all that it has told: it tells anew",
		    name);
		tell_anew(gossip, event.vm);
		break;
	case INVENTORY_DOUBTED:
	case INVENTORY_MISSING:
		anti_entropy_doubt(gossip->anti_entropy, event.host, now_of(gossip));
		break;
	case INVENTORY_TAKEN:
		if (event.is_host)
			members_note_trailer(gossip->members, event.host, event.has_trailer);
		if (event.is_host)
			anti_entropy_check(gossip->anti_entropy, event.host, now_of(gossip));
		break;
	}
	wake(gossip, 0);
}

bool
gossip_missing(const struct gossip *gossip, struct buffer *out)
{
	return anti_entropy_missing(gossip->anti_entropy, out);
}

void
gossip_behind(const struct gossip *gossip, struct buffer *out)
{
	anti_entropy_behind(gossip->anti_entropy, out);
}

void
gossip_get_stats(const struct gossip *gossip, struct gossip_stats *ret)
{
	*ret = gossip->stats;
	ret->pulls = anti_entropy_count(gossip->anti_entropy);
	ret->pulls_failed = anti_entropy_count_failed(gossip->anti_entropy);
	ret->waiting = outbox_count(gossip->outbox, NULL);
}
