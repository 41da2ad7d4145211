/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serf/anti_entropy.h"

#include <string.h>

#include <uthash.h>

#include "proto/log.h"

#define MOMENT_MS     500 /* within which the difference is looked at again */
#define RUNNING_MAX   8	  /* pulls at once */
#define RETRY_MS      1000
#define RETRY_MAX_MS  30000
#define REPEAT_MS     60000  /* until a digest that one pull did not bring about is pulled again */
#define REPEAT_MAX_MS 900000 /* it doubles up to this */
#define POLL_MS	      15000
#define DISPUTE_MS    250   /* until both sides of a dispute are asked again */
#define DISPUTE_MAX   30000 /* it doubles up to this */
#define DOUBT_MS      60000 /* after which it is at first again, of an event in doubt */
#define ROOM_MS	      5000  /* until hosts are asked again that there was no room for */
#define SPREAD_MS     5	    /* for each host that may ask */
#define GO_TRIES      3	    /* until a Go virtx's own events have to do */
#define NAMES_MAX     500   /* bytes of a text */
#define NEVER	      INT64_MAX

struct target {
	UT_hash_handle hh;
	char uuid[UUID_TEXT_SIZE];
	int64_t due;  /* NEVER: nothing to do */
	bool needed;  /* whatever the digests say */
	bool welcome; /* it came, and has not answered since */
	bool running;
	uint64_t mark;	    /* of the inventory, when it was asked */
	unsigned int fails; /* in a row */
	bool pulled;	    /* the digest below */
	uint64_t digest;
	int64_t repeat_at;
	int64_t repeat_ms;
	int64_t asked_at;
	unsigned int doubts; /* how often it was asked because of an event that may be none of it */
	unsigned int disputes; /* how often it was asked because of one */
	bool disputed;	       /* it still is */
	bool heard;	       /* it has answered once */
};

struct anti_entropy {
	struct inventory *inventory;
	const struct members *members;
	uint64_t random;
	anti_entropy_ask ask;
	void *arg;
	struct target *targets;
	unsigned int n_running;
	bool disputes; /* they have to be looked at */
	bool room;     /* a VM is gone, which may have made some */
	int64_t room_at;
	uint64_t n_done, n_failed;
};

struct anti_entropy *
anti_entropy_new(struct inventory *inventory, const struct members *members, uint64_t seed,
    anti_entropy_ask ask, void *arg)
{
	struct anti_entropy *anti_entropy = xcalloc(1, sizeof(*anti_entropy));

	anti_entropy->inventory = inventory;
	anti_entropy->members = members;
	anti_entropy->random = seed | 1;
	anti_entropy->ask = ask;
	anti_entropy->arg = arg;
	return anti_entropy;
}

void
anti_entropy_free(struct anti_entropy *anti_entropy)
{
	struct target *target, *next;

	if (!anti_entropy)
		return;
	HASH_ITER (hh, anti_entropy->targets, target, next) {
		HASH_DEL(anti_entropy->targets, target);
		free(target);
	}
	free(anti_entropy);
}

/* Xorshift: enough to spread hosts over a moment. */
static int64_t
random_below(struct anti_entropy *anti_entropy, int64_t limit)
{
	anti_entropy->random ^= anti_entropy->random << 13;
	anti_entropy->random ^= anti_entropy->random >> 7;
	anti_entropy->random ^= anti_entropy->random << 17;
	return (int64_t)(anti_entropy->random % (uint64_t)limit);
}

static struct target *
find(const struct anti_entropy *anti_entropy, const char *host)
{
	struct target *target;

	HASH_FIND_STR(anti_entropy->targets, host, target);
	return target;
}

/* Only hosts that can be asked have a target. */
static struct target *
need(struct anti_entropy *anti_entropy, const char *host)
{
	const struct member_host *member = members_find(anti_entropy->members, host);
	struct target *target = find(anti_entropy, host);

	if (!target && member) {
		target = xcalloc(1, sizeof(*target));
		memcpy(target->uuid, member->uuid, sizeof(target->uuid));
		target->due = NEVER;
		HASH_ADD_STR(anti_entropy->targets, uuid, target);
	}
	return target;
}

static void
schedule(struct anti_entropy *anti_entropy, struct target *target, int64_t now)
{
	int64_t due = now + 1 + random_below(anti_entropy, MOMENT_MS);

	if (due < target->due)
		target->due = due;
}

void
anti_entropy_check(struct anti_entropy *anti_entropy, const char *host, int64_t now)
{
	struct target *target = find(anti_entropy, host);
	enum inventory_match match = inventory_match(anti_entropy->inventory, host, NULL);

	if (match == INVENTORY_MATCH_EQUAL && target)
		target->pulled = false;
	if (match != INVENTORY_MATCH_DIFFERS)
		return;
	target = need(anti_entropy, host);
	if (target)
		schedule(anti_entropy, target, now);
}

void
anti_entropy_need(struct anti_entropy *anti_entropy, const char *host, int64_t now)
{
	struct target *target = need(anti_entropy, host);

	if (!target)
		return;
	target->needed = true;
	target->fails = 0;
	schedule(anti_entropy, target, now);
}

void
anti_entropy_welcome(struct anti_entropy *anti_entropy, const char *host, int64_t now)
{
	struct target *target = need(anti_entropy, host);

	if (target)
		target->welcome = true;
	anti_entropy_need(anti_entropy, host, now);
}

void
anti_entropy_poll(struct anti_entropy *anti_entropy, const char *host, int64_t now)
{
	struct target *target = need(anti_entropy, host);
	int64_t due;

	/* What it is being asked may be older. */
	if (!target || target->due != NEVER)
		return;
	due = target->asked_at + POLL_MS;
	target->needed = true;
	target->due = due > now ? due : now + 1;
}

/* Before the host is asked once more, after n times: ms. */
static int64_t
doubled_wait(unsigned int n)
{
	int64_t wait = DISPUTE_MS;

	for (unsigned int i = 1; i < n && wait < DISPUTE_MAX; i++)
		wait *= 2;
	return wait < DISPUTE_MAX ? wait : DISPUTE_MAX;
}

void
anti_entropy_doubt(struct anti_entropy *anti_entropy, const char *host, int64_t now)
{
	struct target *target = need(anti_entropy, host);
	int64_t due;

	if (!target || (target->needed && target->due != NEVER))
		return;
	if (now - target->asked_at > DOUBT_MS)
		target->doubts = 0;
	due = now + 1 + random_below(anti_entropy, MOMENT_MS);
	if (target->doubts > 0 && due < target->asked_at + doubled_wait(target->doubts))
		due = target->asked_at + doubled_wait(target->doubts);
	target->doubts++;
	target->needed = true;
	if (due < target->due)
		target->due = due;
}

/* One that everybody hears of at once is not to be asked by everybody at once. */
static int64_t
dispute_wait(struct anti_entropy *anti_entropy, const struct target *target)
{
	int64_t spread = SPREAD_MS * members_count_active(anti_entropy->members);

	if (target->disputes == 0)
		return 1 + random_below(anti_entropy, spread < MOMENT_MS ? spread : MOMENT_MS);
	return doubled_wait(target->disputes);
}

static void
dispute(void *arg, const char *host)
{
	struct anti_entropy *anti_entropy = arg;
	struct target *target = need(anti_entropy, host);

	if (target)
		target->disputed = true;
}

void
anti_entropy_dispute(struct anti_entropy *anti_entropy)
{
	anti_entropy->disputes = true;
}

static void
run_disputes(struct anti_entropy *anti_entropy, int64_t now)
{
	struct target *target, *next;
	int64_t due;

	anti_entropy->disputes = false;
	inventory_each_dispute(anti_entropy->inventory, dispute, anti_entropy);
	HASH_ITER (hh, anti_entropy->targets, target, next) {
		if (!target->disputed) {
			target->disputes = 0;
		} else if (!target->running && !(target->needed && target->due != NEVER)) {
			due = now + dispute_wait(anti_entropy, target);
			if (due < target->due)
				target->due = due;
			target->needed = true;
			target->disputes++;
		}
		target->disputed = false;
	}
}

void
anti_entropy_make_room(struct anti_entropy *anti_entropy)
{
	anti_entropy->room = true;
}

struct room {
	struct anti_entropy *anti_entropy;
	int64_t now;
};

static void
use_room(void *arg, const char *host)
{
	struct room *room = arg;

	anti_entropy_need(room->anti_entropy, host, room->now);
}

/* Returns when to call again. */
static int64_t
run_room(struct anti_entropy *anti_entropy, int64_t now)
{
	struct room room = { anti_entropy, now };

	if (!anti_entropy->room)
		return NEVER;
	if (now < anti_entropy->room_at)
		return anti_entropy->room_at;
	anti_entropy->room = false;
	anti_entropy->room_at = now + ROOM_MS;
	inventory_each_short(anti_entropy->inventory, use_room, &room);
	return NEVER;
}

/* Whether the host's digest calls for a pull at last. */
static bool
differs(struct anti_entropy *anti_entropy, struct target *target, int64_t now)
{
	uint64_t digest;

	if (inventory_match(anti_entropy->inventory, target->uuid, &digest) !=
	    INVENTORY_MATCH_DIFFERS)
		return false;
	if (!target->pulled || target->digest != digest) {
		target->repeat_ms = REPEAT_MS;
		return true;
	}
	if (now < target->repeat_at)
		return false;
	target->repeat_ms *= 2;
	if (target->repeat_ms > REPEAT_MAX_MS)
		target->repeat_ms = REPEAT_MAX_MS;
	return true;
}

static void
pull(struct anti_entropy *anti_entropy, struct target *target, int64_t now)
{
	const struct member_host *member = members_find(anti_entropy->members, target->uuid);

	target->due = NEVER;
	if (!member || member->cstate != CSTATE_ACTIVE || !member->addr[0] ||
	    (member->go && !target->welcome))
		return;
	/* Nobody waits for one that was put out; once it is let in, it is asked. */
	if (inventory_is_out(anti_entropy->inventory, target->uuid)) {
		target->due = target->needed ? now + RETRY_MAX_MS : NEVER;
		return;
	}
	if (!target->needed && !differs(anti_entropy, target, now))
		return;
	target->needed = false;
	target->running = true;
	target->asked_at = now;
	target->mark = inventory_mark(anti_entropy->inventory);
	anti_entropy->n_running++;
	anti_entropy->ask(anti_entropy->arg, member);
}

static void
failed(struct anti_entropy *anti_entropy, struct target *target, int64_t now)
{
	const struct member_host *member = members_find(anti_entropy->members, target->uuid);
	int64_t wait = (int64_t)RETRY_MS << (target->fails < 5 ? target->fails : 5);

	anti_entropy->n_failed++;
	target->fails++;
	if (member && member->go && target->fails >= GO_TRIES)
		target->welcome = false;
	target->needed = true;
	target->due = now + (wait < RETRY_MAX_MS ? wait : RETRY_MAX_MS) +
		      random_below(anti_entropy, MOMENT_MS);
}

/* What was asked of the host ends; NULL where nothing was. */
static struct target *
end(struct anti_entropy *anti_entropy, const char *host)
{
	struct target *target = find(anti_entropy, host);

	if (!target || !target->running)
		return NULL;
	target->running = false;
	anti_entropy->n_running--;
	return target;
}

static void
answered(struct anti_entropy *anti_entropy, struct target *target)
{
	anti_entropy->n_done++;
	target->heard = true;
	target->welcome = false;
	target->fails = 0;
}

void
anti_entropy_listed(
    struct anti_entropy *anti_entropy, const char *host, const struct vm_list *list, int64_t now)
{
	struct target *target = end(anti_entropy, host);

	if (!target)
		return;
	answered(anti_entropy, target);
	if (inventory_take_listed(anti_entropy->inventory, host, list) == INVENTORY_CLAIM)
		anti_entropy_dispute(anti_entropy);
}

void
anti_entropy_done(struct anti_entropy *anti_entropy, const char *host,
    const struct vm_info_list *list, int64_t now)
{
	static struct log_limit limit;
	struct target *target = end(anti_entropy, host);

	if (!target)
		return;
	if (!list) {
		failed(anti_entropy, target, now);
		return;
	}
	if (!str_equal(list->host, target->uuid)) {
		log_limited(&limit, 5, "gossip", "host '%s' answers in the name of host '%.36s'",
		    target->uuid, str_or_empty(list->host));
		failed(anti_entropy, target, now);
		return;
	}
	answered(anti_entropy, target);
	if (target->repeat_ms == 0)
		target->repeat_ms = REPEAT_MS;
	target->pulled = true;
	target->digest = (uint64_t)list->digest;
	target->repeat_at = now + target->repeat_ms;
	inventory_take_list(anti_entropy->inventory, target->mark, list);
	anti_entropy_check(anti_entropy, host, now);
	anti_entropy_dispute(anti_entropy);
}

struct missing {
	const struct anti_entropy *anti_entropy;
	struct buffer *out;
	bool open;
};

static void
add_missing(void *arg, const struct member_host *host)
{
	struct missing *missing = arg;
	const struct target *target = find(missing->anti_entropy, host->uuid);

	if ((target && target->heard) ||
	    inventory_is_out(missing->anti_entropy->inventory, host->uuid) ||
	    (host->go && !(target && target->welcome) &&
		inventory_has_told(missing->anti_entropy->inventory, host->uuid)))
		return;
	missing->open |=
	    host->cstate == CSTATE_ACTIVE && host->addr[0] && (!target || target->fails == 0);
	if (missing->out->len >= NAMES_MAX)
		return;
	buffer_printf(
	    missing->out, "%s'%s'", missing->out->len ? ", " : "", str_or_empty(host->name));
	if (host->cstate != CSTATE_ACTIVE)
		buffer_printf(missing->out, " (%s)", enum_word(&cstate_enum, host->cstate));
}

bool
anti_entropy_missing(const struct anti_entropy *anti_entropy, struct buffer *out)
{
	struct missing missing = { anti_entropy, out, false };

	members_each(anti_entropy->members, add_missing, &missing);
	return missing.open;
}

static void
add_behind(void *arg, const struct member_host *host)
{
	struct missing *missing = arg;
	const struct anti_entropy *anti_entropy = missing->anti_entropy;
	const struct target *target = find(anti_entropy, host->uuid);
	uint64_t digest;

	if (missing->out->len >= NAMES_MAX ||
	    inventory_is_out(anti_entropy->inventory, host->uuid) ||
	    inventory_match(anti_entropy->inventory, host->uuid, &digest) !=
		INVENTORY_MATCH_DIFFERS ||
	    (target && target->pulled && target->digest == digest))
		return;
	buffer_printf(
	    missing->out, "%s'%s'", missing->out->len ? ", " : "", str_or_empty(host->name));
}

void
anti_entropy_behind(const struct anti_entropy *anti_entropy, struct buffer *out)
{
	struct missing missing = { anti_entropy, out, false };

	members_each(anti_entropy->members, add_behind, &missing);
}

int64_t
anti_entropy_run(struct anti_entropy *anti_entropy, int64_t now)
{
	struct target *target, *next;
	int64_t due = run_room(anti_entropy, now);

	if (anti_entropy->disputes)
		run_disputes(anti_entropy, now);
	HASH_ITER (hh, anti_entropy->targets, target, next) {
		if (target->running)
			continue;
		if (!members_find(anti_entropy->members, target->uuid)) {
			HASH_DEL(anti_entropy->targets, target);
			free(target);
			continue;
		}
		if (target->due == NEVER)
			continue;
		/* What finds no room is looked at again when one of those has ended. */
		if (target->due <= now && anti_entropy->n_running < RUNNING_MAX)
			pull(anti_entropy, target, now);
		else if (target->due > now && target->due < due)
			due = target->due;
	}
	return due;
}

uint64_t
anti_entropy_count(const struct anti_entropy *anti_entropy)
{
	return anti_entropy->n_done;
}

uint64_t
anti_entropy_count_failed(const struct anti_entropy *anti_entropy)
{
	return anti_entropy->n_failed;
}
