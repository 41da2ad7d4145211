/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serf/pulls.h"

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

struct pulls {
	struct inventory *inventory;
	const struct members *members;
	uint64_t random;
	pulls_ask ask;
	void *arg;
	struct target *targets;
	unsigned int n_running;
	bool disputes; /* they have to be looked at */
	bool room;     /* a VM is gone, which may have made some */
	int64_t room_at;
	uint64_t n_done, n_failed;
};

struct pulls *
pulls_new(struct inventory *inventory, const struct members *members, uint64_t seed, pulls_ask ask,
    void *arg)
{
	struct pulls *pulls = xcalloc(1, sizeof(*pulls));

	pulls->inventory = inventory;
	pulls->members = members;
	pulls->random = seed | 1;
	pulls->ask = ask;
	pulls->arg = arg;
	return pulls;
}

void
pulls_free(struct pulls *pulls)
{
	struct target *target, *next;

	if (!pulls)
		return;
	HASH_ITER (hh, pulls->targets, target, next) {
		HASH_DEL(pulls->targets, target);
		free(target);
	}
	free(pulls);
}

/* Xorshift: enough to spread hosts over a moment. */
static int64_t
random_below(struct pulls *pulls, int64_t limit)
{
	pulls->random ^= pulls->random << 13;
	pulls->random ^= pulls->random >> 7;
	pulls->random ^= pulls->random << 17;
	return (int64_t)(pulls->random % (uint64_t)limit);
}

static struct target *
find(const struct pulls *pulls, const char *host)
{
	struct target *target;

	HASH_FIND_STR(pulls->targets, host, target);
	return target;
}

/* Only hosts that can be asked have a target. */
static struct target *
need(struct pulls *pulls, const char *host)
{
	const struct member_host *member = members_find(pulls->members, host);
	struct target *target = find(pulls, host);

	if (!target && member) {
		target = xcalloc(1, sizeof(*target));
		memcpy(target->uuid, member->uuid, sizeof(target->uuid));
		target->due = NEVER;
		HASH_ADD_STR(pulls->targets, uuid, target);
	}
	return target;
}

static void
schedule(struct pulls *pulls, struct target *target, int64_t now)
{
	int64_t due = now + 1 + random_below(pulls, MOMENT_MS);

	if (due < target->due)
		target->due = due;
}

void
pulls_check(struct pulls *pulls, const char *host, int64_t now)
{
	struct target *target = find(pulls, host);
	enum inventory_match match = inventory_match(pulls->inventory, host, NULL);

	if (match == INVENTORY_MATCH_EQUAL && target)
		target->pulled = false;
	if (match != INVENTORY_MATCH_DIFFERS)
		return;
	target = need(pulls, host);
	if (target)
		schedule(pulls, target, now);
}

void
pulls_need(struct pulls *pulls, const char *host, int64_t now)
{
	struct target *target = need(pulls, host);

	if (!target)
		return;
	target->needed = true;
	target->fails = 0;
	schedule(pulls, target, now);
}

void
pulls_welcome(struct pulls *pulls, const char *host, int64_t now)
{
	struct target *target = need(pulls, host);

	if (target)
		target->welcome = true;
	pulls_need(pulls, host, now);
}

void
pulls_poll(struct pulls *pulls, const char *host, int64_t now)
{
	struct target *target = need(pulls, host);
	int64_t due;

	if (!target || target->running || target->due != NEVER)
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
pulls_doubt(struct pulls *pulls, const char *host, int64_t now)
{
	struct target *target = need(pulls, host);
	int64_t due;

	if (!target || (target->needed && target->due != NEVER))
		return;
	if (now - target->asked_at > DOUBT_MS)
		target->doubts = 0;
	due = now + 1 + random_below(pulls, MOMENT_MS);
	if (target->doubts > 0 && due < target->asked_at + doubled_wait(target->doubts))
		due = target->asked_at + doubled_wait(target->doubts);
	target->doubts++;
	target->needed = true;
	if (due < target->due)
		target->due = due;
}

/* One that everybody hears of at once is not to be asked by everybody at once. */
static int64_t
dispute_wait(struct pulls *pulls, const struct target *target)
{
	int64_t spread = SPREAD_MS * members_count_active(pulls->members);

	if (target->disputes == 0)
		return 1 + random_below(pulls, spread < MOMENT_MS ? spread : MOMENT_MS);
	return doubled_wait(target->disputes);
}

static void
dispute(void *arg, const char *host)
{
	struct pulls *pulls = arg;
	struct target *target = need(pulls, host);

	if (target)
		target->disputed = true;
}

void
pulls_dispute(struct pulls *pulls)
{
	pulls->disputes = true;
}

static void
run_disputes(struct pulls *pulls, int64_t now)
{
	struct target *target, *next;
	int64_t due;

	pulls->disputes = false;
	inventory_each_dispute(pulls->inventory, dispute, pulls);
	HASH_ITER (hh, pulls->targets, target, next) {
		if (!target->disputed) {
			target->disputes = 0;
		} else if (!target->running && !(target->needed && target->due != NEVER)) {
			due = now + dispute_wait(pulls, target);
			if (due < target->due)
				target->due = due;
			target->needed = true;
			target->disputes++;
		}
		target->disputed = false;
	}
}

void
pulls_make_room(struct pulls *pulls)
{
	pulls->room = true;
}

struct room {
	struct pulls *pulls;
	int64_t now;
};

static void
use_room(void *arg, const char *host)
{
	struct room *room = arg;

	pulls_need(room->pulls, host, room->now);
}

/* Returns when to call again. */
static int64_t
run_room(struct pulls *pulls, int64_t now)
{
	struct room room = { pulls, now };

	if (!pulls->room)
		return NEVER;
	if (now < pulls->room_at)
		return pulls->room_at;
	pulls->room = false;
	pulls->room_at = now + ROOM_MS;
	inventory_each_short(pulls->inventory, use_room, &room);
	return NEVER;
}

/* Whether the host's digest calls for a pull at last. */
static bool
differs(struct pulls *pulls, struct target *target, int64_t now)
{
	uint64_t digest;

	if (inventory_match(pulls->inventory, target->uuid, &digest) != INVENTORY_MATCH_DIFFERS)
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
pull(struct pulls *pulls, struct target *target, int64_t now)
{
	const struct member_host *member = members_find(pulls->members, target->uuid);

	target->due = NEVER;
	if (!member || member->cstate != CSTATE_ACTIVE || !member->addr[0] ||
	    (member->go && !target->welcome))
		return;
	if (!target->needed && !differs(pulls, target, now))
		return;
	target->needed = false;
	target->running = true;
	target->asked_at = now;
	target->mark = inventory_mark(pulls->inventory);
	pulls->n_running++;
	pulls->ask(pulls->arg, member);
}

static void
failed(struct pulls *pulls, struct target *target, int64_t now)
{
	const struct member_host *member = members_find(pulls->members, target->uuid);
	int64_t wait = (int64_t)RETRY_MS << (target->fails < 5 ? target->fails : 5);

	pulls->n_failed++;
	target->fails++;
	if (member && member->go && target->fails >= GO_TRIES)
		target->welcome = false;
	target->needed = true;
	target->due =
	    now + (wait < RETRY_MAX_MS ? wait : RETRY_MAX_MS) + random_below(pulls, MOMENT_MS);
}

/* What was asked of the host ends; NULL where nothing was. */
static struct target *
end(struct pulls *pulls, const char *host)
{
	struct target *target = find(pulls, host);

	if (!target || !target->running)
		return NULL;
	target->running = false;
	pulls->n_running--;
	return target;
}

static void
answered(struct pulls *pulls, struct target *target)
{
	pulls->n_done++;
	target->heard = true;
	target->welcome = false;
	target->fails = 0;
}

void
pulls_listed(struct pulls *pulls, const char *host, const struct vm_list *list, int64_t now)
{
	struct target *target = end(pulls, host);

	if (!target)
		return;
	answered(pulls, target);
	if (inventory_take_listed(pulls->inventory, host, list) == INVENTORY_CLAIM)
		pulls_dispute(pulls);
}

void
pulls_done(struct pulls *pulls, const char *host, const struct vm_info_list *list, int64_t now)
{
	static struct log_limit limit;
	struct target *target = end(pulls, host);

	if (!target)
		return;
	if (!list) {
		failed(pulls, target, now);
		return;
	}
	if (!str_equal(list->host, target->uuid)) {
		log_limited(&limit, 5, "gossip", "host '%s' answers in the name of host '%.36s'",
		    target->uuid, str_or_empty(list->host));
		failed(pulls, target, now);
		return;
	}
	answered(pulls, target);
	if (target->repeat_ms == 0)
		target->repeat_ms = REPEAT_MS;
	target->pulled = true;
	target->digest = (uint64_t)list->digest;
	target->repeat_at = now + target->repeat_ms;
	inventory_take_list(pulls->inventory, target->mark, list);
	pulls_check(pulls, host, now);
	pulls_dispute(pulls);
}

struct missing {
	const struct pulls *pulls;
	struct buffer *out;
	bool open;
};

static void
add_missing(void *arg, const struct member_host *host)
{
	struct missing *missing = arg;
	const struct target *target = find(missing->pulls, host->uuid);

	if ((target && target->heard) ||
	    (host->go && !(target && target->welcome) &&
		inventory_has_told(missing->pulls->inventory, host->uuid)))
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
pulls_missing(const struct pulls *pulls, struct buffer *out)
{
	struct missing missing = { pulls, out, false };

	members_each(pulls->members, add_missing, &missing);
	return missing.open;
}

int64_t
pulls_run(struct pulls *pulls, int64_t now)
{
	struct target *target, *next;
	int64_t due = run_room(pulls, now);

	if (pulls->disputes)
		run_disputes(pulls, now);
	HASH_ITER (hh, pulls->targets, target, next) {
		if (target->running)
			continue;
		if (!members_find(pulls->members, target->uuid)) {
			HASH_DEL(pulls->targets, target);
			free(target);
			continue;
		}
		if (target->due == NEVER)
			continue;
		/* What finds no room is looked at again when one of those has ended. */
		if (target->due <= now && pulls->n_running < RUNNING_MAX)
			pull(pulls, target, now);
		else if (target->due > now && target->due < due)
			due = target->due;
	}
	return due;
}

uint64_t
pulls_count(const struct pulls *pulls)
{
	return pulls->n_done;
}

uint64_t
pulls_count_failed(const struct pulls *pulls)
{
	return pulls->n_failed;
}
