/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serf/members.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <uthash.h>

#include "proto/log.h"

#define HOSTS_MAX    1024 /* a member may change its uuid without end */
#define RECORDS_MAX  4096 /* members; it may come under one name after the other, too */
#define PORT_DEFAULT 8080 /* the Go virtx has no tag for it */

/* A member; its name is what tells it from others. */
struct record {
	UT_hash_handle hh;
	char name[MEMBERS_NAME_MAX + 1];
	char uuid[UUID_TEXT_SIZE]; /* "": no host of ours */
	char addr[46];
	uint16_t port;
	uint16_t serf_port;
	bool tls;
	bool go;
	bool maintenance;
	enum watchdog watchdog;
	struct host_ha ha;
	bool ha_off;
	enum cstate cstate;
};

/* A host, and the member that it is at present. */
struct bound {
	UT_hash_handle hh;
	struct member_host host;
	struct record *record;
	struct record *last; /* that it was, while it is none */
	bool known;	     /* it was this member while there was no other */
	bool forgotten;
	bool no_trailer; /* came with its last HI */
};

struct members {
	char self[UUID_TEXT_SIZE];
	members_changed changed;
	void *arg;
	struct record *records;
	struct bound *hosts;
	bool complete; /* all that serf has were told once */
	char twin[MEMBERS_NAME_MAX + 1];
};

struct members *
members_new(const char *self, members_changed changed, void *arg)
{
	struct members *members = xcalloc(1, sizeof(*members));

	uuid_normalize(self, members->self);
	members->changed = changed;
	members->arg = arg;
	return members;
}

void
members_free(struct members *members)
{
	struct record *record, *next_record;
	struct bound *bound, *next_bound;

	if (!members)
		return;
	HASH_ITER (hh, members->records, record, next_record) {
		HASH_DEL(members->records, record);
		free(record);
	}
	HASH_ITER (hh, members->hosts, bound, next_bound) {
		HASH_DEL(members->hosts, bound);
		free(bound);
	}
	free(members);
}

/* PORT/SCHEME, as the tag `api` has it. */
static void
read_api(const char *text, struct record *record)
{
	char scheme[8] = "";
	unsigned int port = 0;
	int end = 0;

	record->port = PORT_DEFAULT;
	record->tls = false;
	if (!text || sscanf(text, "%5u/%7[a-z]%n", &port, scheme, &end) != 2 || text[end] ||
	    port == 0 || port > UINT16_MAX)
		return;
	record->port = (uint16_t)port;
	record->tls = strcmp(scheme, "https") == 0;
}

/* No member has the host any more. One that its member only has no uuid for is another matter: an
 * agent that was started anew has none at first, and then the same. */
static bool
is_gone(const struct bound *bound)
{
	return !bound->record &&
	       (!bound->last ||
		   (bound->last->uuid[0] && strcmp(bound->last->uuid, bound->host.uuid) != 0));
}

/* Where nobody was told of the host, nobody is told of its end. */
static void
drop_bound(struct members *members, struct bound *bound)
{
	struct member_host host = bound->host;
	bool told = host.cstate != CSTATE_INVALID && !bound->forgotten;

	HASH_DEL(members->hosts, bound);
	free(bound);
	host.cstate = CSTATE_INVALID;
	if (told)
		members->changed(members->arg, &host);
}

/* One of the members that are not active makes room, the one that came first; NULL for none. */
static struct record *
find_inactive(const struct members *members)
{
	struct record *record, *next;

	HASH_ITER (hh, members->records, record, next) {
		if (record->cstate != CSTATE_ACTIVE)
			break;
	}
	return record;
}

static void
drop_record(struct members *members, struct record *record)
{
	struct bound *bound, *next;

	HASH_ITER (hh, members->hosts, bound, next) {
		if (bound->record == record || bound->last == record)
			drop_bound(members, bound);
	}
	HASH_DEL(members->records, record);
	free(record);
}

static struct record *
need_record(struct members *members, const char *name)
{
	static struct log_limit limit;
	struct record *record;

	HASH_FIND_STR(members->records, name, record);
	if (record)
		return record;
	if (HASH_COUNT(members->records) >= RECORDS_MAX && (record = find_inactive(members)))
		drop_record(members, record);
	if (strlen(name) > MEMBERS_NAME_MAX || HASH_COUNT(members->records) >= RECORDS_MAX) {
		log_limited(&limit, 5, "serf", "member '%.128s' is passed over: %s", name,
		    strlen(name) > MEMBERS_NAME_MAX ? "its name is too long"
						    : "there are too many members");
		return NULL;
	}
	record = xcalloc(1, sizeof(*record));
	memcpy(record->name, name, strlen(name));
	HASH_ADD_STR(members->records, name, record);
	return record;
}

/* A Go virtx, or an earlier one of this kind, has no tag for it. */
static enum watchdog
read_watchdog(const char *text)
{
	int value = text ? enum_parse(&watchdog_enum, text) : -1;

	return value < 0 ? WATCHDOG_UNKNOWN : (enum watchdog)value;
}

/* The member that the host is: the one it was, unless another took over. *ret_twin becomes another
 * one that is active as well, or NULL. */
static struct record *
choose(struct members *members, const struct bound *bound, struct record **ret_twin)
{
	struct record *record, *next, *other = NULL, *old = bound->record;
	bool stays = old && strcmp(old->uuid, bound->host.uuid) == 0;

	*ret_twin = NULL;
	HASH_ITER (hh, members->records, record, next) {
		if (record == old || strcmp(record->uuid, bound->host.uuid) != 0)
			continue;
		if (other && other->cstate == CSTATE_ACTIVE && record->cstate == CSTATE_ACTIVE)
			*ret_twin = other;
		if (!other || record->cstate == CSTATE_ACTIVE)
			other = record;
	}
	if (!stays || !other)
		return stays ? old : other;
	if (old->cstate != CSTATE_ACTIVE)
		return other->cstate == CSTATE_ACTIVE ? other : old;
	if (other->cstate == CSTATE_ACTIVE)
		*ret_twin = other;
	return old;
}

static void
warn_of_twin(const char *uuid, const char *name, const char *twin)
{
	static struct log_limit limit;

	log_limited(&limit, 5, "serf",
	    "members '%s' and '%s' both have the uuid '%s' in their tags", name, twin, uuid);
}

static struct bound *
find_inactive_bound(const struct members *members)
{
	struct bound *bound, *next;

	HASH_ITER (hh, members->hosts, bound, next) {
		if (!bound->record || bound->record->cstate != CSTATE_ACTIVE)
			break;
	}
	return bound;
}

/* A new host; NULL where there are too many. One that is not active makes room. */
static struct bound *
add_bound(struct members *members, const char *uuid)
{
	static struct log_limit limit;
	struct bound *bound;

	if (HASH_COUNT(members->hosts) >= HOSTS_MAX) {
		bound = find_inactive_bound(members);
		if (!bound) {
			log_limited(&limit, 5, "serf", "host '%s' is passed over: there are %d",
			    uuid, HOSTS_MAX);
			return NULL;
		}
		drop_bound(members, bound);
	}
	bound = xcalloc(1, sizeof(*bound));
	memcpy(bound->host.uuid, uuid, UUID_TEXT_SIZE);
	HASH_ADD_KEYPTR(hh, members->hosts, bound->host.uuid, strlen(bound->host.uuid), bound);
	return bound;
}

/* Finds out anew what is known of a host. */
static void
rebind(struct members *members, const char *uuid)
{
	struct bound *bound;
	struct member_host fresh = { 0 };
	struct record *twin;

	if (!uuid[0] || strcmp(uuid, members->self) == 0)
		return;
	HASH_FIND(hh, members->hosts, uuid, strlen(uuid), bound);
	if (!bound)
		bound = add_bound(members, uuid);
	if (!bound)
		return;
	bound->record = choose(members, bound, &twin);
	if (bound->record)
		bound->last = bound->record;
	if (is_gone(bound)) {
		drop_bound(members, bound);
		return;
	}
	memcpy(fresh.uuid, uuid, sizeof(fresh.uuid));
	if (bound->record) {
		fresh.name = bound->record->name;
		memcpy(fresh.addr, bound->record->addr, sizeof(fresh.addr));
		fresh.port = bound->record->port;
		fresh.serf_port = bound->record->serf_port;
		fresh.tls = bound->record->tls;
		fresh.go = bound->record->go || bound->no_trailer;
		fresh.maintenance = bound->record->maintenance;
		fresh.watchdog = bound->record->watchdog;
		if (!fresh.go && !twin)
			fresh.ha = bound->record->ha;
		fresh.ha_off = bound->record->ha_off;
		fresh.cstate = bound->record->cstate;
	} else {
		/* Its member lost the tag, as its agent was started anew. A host that was active
		 * has not said that it leaves; one that had left has not come back before it is
		 * named. */
		fresh = bound->host;
		if (fresh.cstate == CSTATE_ACTIVE)
			fresh.cstate = CSTATE_FAILED;
		fresh.twin[0] = '\0';
	}
	if (bound->record && twin) {
		memcpy(fresh.twin, twin->name, sizeof(fresh.twin));
		warn_of_twin(uuid, fresh.name, fresh.twin);
		/* After a start of virtxd: either may be the one that was cloned. */
		if (!bound->known)
			fresh.addr[0] = '\0';
	}
	if (members->complete && !fresh.twin[0] && fresh.cstate == CSTATE_ACTIVE)
		bound->known = true;
	if (str_equal(fresh.name, bound->host.name) && strcmp(fresh.addr, bound->host.addr) == 0 &&
	    fresh.port == bound->host.port && fresh.tls == bound->host.tls &&
	    fresh.serf_port == bound->host.serf_port && fresh.go == bound->host.go &&
	    fresh.maintenance == bound->host.maintenance &&
	    fresh.watchdog == bound->host.watchdog && host_ha_equal(&fresh.ha, &bound->host.ha) &&
	    fresh.ha_off == bound->host.ha_off && fresh.cstate == bound->host.cstate &&
	    strcmp(fresh.twin, bound->host.twin) == 0)
		return;
	bound->host = fresh;
	bound->forgotten &= fresh.cstate != CSTATE_ACTIVE;
	if (!bound->forgotten)
		members->changed(members->arg, &bound->host);
}

/* The member has another uuid. That of the host which it was is no more: it cannot come back, as a
 * host that has left or failed may, and a member that takes ever new ones must not leave a host
 * with its VMs behind each time. */
static void
change_uuid(struct members *members, struct record *record, const char *before)
{
	struct bound *bound, *next;

	rebind(members, before);
	HASH_ITER (hh, members->hosts, bound, next) {
		if (!bound->record && bound->last == record && is_gone(bound))
			drop_bound(members, bound);
	}
}

/* Of the members that have this host's uuid the first is taken for its own. */
static void
look_for_own_twin(struct members *members)
{
	struct record *record, *next, *first = NULL;

	members->twin[0] = '\0';
	HASH_ITER (hh, members->records, record, next) {
		if (record->cstate != CSTATE_ACTIVE || strcmp(record->uuid, members->self) != 0)
			continue;
		if (!first) {
			first = record;
			continue;
		}
		memcpy(members->twin, record->name, sizeof(members->twin));
		warn_of_twin(members->self, first->name, record->name);
	}
}

void
members_set(struct members *members, const struct serf_member *member)
{
	struct record *record = need_record(members, member->name);
	const char *uuid = serf_member_tag(member, "uuid");
	const char *virtx = serf_member_tag(member, "virtx");
	char before[UUID_TEXT_SIZE];

	if (!record)
		return;
	memcpy(before, record->uuid, sizeof(before));
	/* What is no uuid makes no host. */
	uuid_normalize(str_or_empty(uuid), record->uuid);
	memcpy(record->addr, member->addr, sizeof(record->addr));
	read_api(serf_member_tag(member, "api"), record);
	record->go = str_empty(virtx);
	record->maintenance = serf_member_tag(member, MEMBERS_MAINTENANCE) != NULL;
	record->watchdog = read_watchdog(serf_member_tag(member, MEMBERS_WATCHDOG));
	(void)host_ha_parse(serf_member_tag(member, MEMBERS_HA), &record->ha);
	record->ha_off = serf_member_tag(member, MEMBERS_HA_OFF) != NULL;
	record->serf_port = member->port;
	record->cstate = member->cstate;
	if (strcmp(before, record->uuid) != 0)
		change_uuid(members, record, before);
	rebind(members, record->uuid);
	if (strcmp(before, members->self) == 0 || strcmp(record->uuid, members->self) == 0)
		look_for_own_twin(members);
}

void
members_complete(struct members *members)
{
	struct bound *bound, *next;

	members->complete = true;
	HASH_ITER (hh, members->hosts, bound, next)
		bound->known |= !bound->host.twin[0] && bound->host.cstate == CSTATE_ACTIVE;
}

const char *
members_twin(const struct members *members)
{
	return members->twin;
}

void
members_note_trailer(struct members *members, const char *uuid, bool trailer)
{
	struct bound *bound;

	HASH_FIND(hh, members->hosts, uuid, strlen(uuid), bound);
	if (!bound || bound->no_trailer == !trailer)
		return;
	bound->no_trailer = !trailer;
	rebind(members, uuid);
}

void
members_forget(struct members *members, const char *uuid)
{
	struct bound *bound;

	HASH_FIND(hh, members->hosts, uuid, strlen(uuid), bound);
	if (bound)
		bound->forgotten = true;
}

const struct member_host *
members_find(const struct members *members, const char *uuid)
{
	const struct bound *bound;

	HASH_FIND(hh, members->hosts, uuid, strlen(uuid), bound);
	return bound ? &bound->host : NULL;
}

bool
members_has_host(const struct members *members, const char *uuid)
{
	struct bound *bound;

	if (strcmp(uuid, members->self) == 0)
		return true;
	HASH_FIND(hh, members->hosts, uuid, strlen(uuid), bound);
	return bound && !bound->forgotten;
}

bool
members_has_name(const struct members *members, const char *name)
{
	const struct record *record, *next;

	HASH_ITER (hh, members->records, record, next) {
		if (strcasecmp(record->name, name) == 0)
			return true;
	}
	return false;
}

const char *
members_other(const struct members *members, const char *which, const char *uuid, const char *addr)
{
	const struct record *record, *next;

	HASH_ITER (hh, members->records, record, next) {
		bool own = record->uuid[0] ? strcmp(record->uuid, uuid) == 0
					   : strcmp(record->addr, addr) == 0;

		if (!own &&
		    (strcasecmp(record->name, which) == 0 || strcmp(record->addr, which) == 0))
			return record->name;
	}
	return NULL;
}

bool
members_has_address(const struct members *members, const char *addr, const struct tokens *tokens)
{
	struct record *record, *next;

	HASH_ITER (hh, members->records, record, next) {
		if (record->cstate == CSTATE_ACTIVE && record->uuid[0] &&
		    strcmp(record->addr, addr) == 0 &&
		    !(tokens && tokens_is_out(tokens, record->uuid)))
			return true;
	}
	return false;
}

const char *
members_own_address(const struct members *members)
{
	struct record *record, *next;

	HASH_ITER (hh, members->records, record, next) {
		if (record->cstate == CSTATE_ACTIVE && strcmp(record->uuid, members->self) == 0)
			return record->addr;
	}
	return "";
}

static bool
is_lost(const struct bound *bound)
{
	return bound->host.cstate == CSTATE_FAILED && !bound->forgotten;
}

const struct member_host *
members_find_failed(const struct members *members, uint64_t pick)
{
	struct bound *bound, *next;
	unsigned int n = 0;

	HASH_ITER (hh, members->hosts, bound, next)
		n += is_lost(bound);
	if (n == 0)
		return NULL;
	pick %= n;
	HASH_ITER (hh, members->hosts, bound, next) {
		if (is_lost(bound) && pick-- == 0)
			return &bound->host;
	}
	return NULL;
}

void
members_each(const struct members *members, members_changed each, void *arg)
{
	struct bound *bound, *next;

	HASH_ITER (hh, members->hosts, bound, next) {
		if (!bound->forgotten)
			each(arg, &bound->host);
	}
}

unsigned int
members_count(const struct members *members)
{
	unsigned int n = HASH_COUNT(members->records);

	return n ? n : 1;
}

unsigned int
members_count_active(const struct members *members)
{
	struct bound *bound, *next;
	unsigned int n = 1;

	HASH_ITER (hh, members->hosts, bound, next)
		n += bound->host.cstate == CSTATE_ACTIVE;
	return n;
}

bool
members_any_go(const struct members *members)
{
	struct bound *bound, *next;

	HASH_ITER (hh, members->hosts, bound, next) {
		if (bound->host.cstate == CSTATE_ACTIVE && bound->host.go)
			return true;
	}
	return false;
}
