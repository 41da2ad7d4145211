/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/joins.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proto/token_secret.h"

#define KEPT_MS INT64_C(86400000) /* one that is over is told so for a day */

struct join {
	char hash[TOKEN_HASH_LEN + 1];
	char host[UUID_TEXT_SIZE];    /* whom it is for, "" for any */
	char user[UUID_TEXT_SIZE];    /* who has used it */
	char name[HOST_NAME_MAX + 1]; /* and by which name */
	int64_t expires;	      /* ms since the epoch */
	bool gives_ca;
	bool used;
	bool ended; /* before its time */
};

struct joins {
	struct join items[JOINS_MAX];
	size_t n;
};

struct joins *
joins_new(void)
{
	return xcalloc(1, sizeof(struct joins));
}

void
joins_free(struct joins *joins)
{
	free(joins);
}

static void
drop(struct joins *joins, size_t i)
{
	memmove(&joins->items[i], &joins->items[i + 1], (--joins->n - i) * sizeof(joins->items[0]));
}

/* What is over is forgotten, and earlier where there is no room for another. */
static void
make_room(struct joins *joins)
{
	int64_t now = now_ms();

	for (size_t i = joins->n; i-- > 0;) {
		if (joins->items[i].expires + KEPT_MS <= now)
			drop(joins, i);
	}
	for (size_t i = 0; i < joins->n && joins->n == JOINS_MAX; i++) {
		const struct join *join = &joins->items[i];

		if (join->used || join->ended || join->expires <= now)
			drop(joins, i);
	}
}

int
joins_add(
    struct joins *joins, const char *secret, const struct join_terms *terms, struct error *err)
{
	struct join *join;

	make_room(joins);
	if (joins->n == JOINS_MAX)
		return error_set(err, 503,
		    "%d tokens to join by are neither used nor over: wait until one is", JOINS_MAX);
	join = &joins->items[joins->n++];
	*join = (struct join){ .expires = terms->expires, .gives_ca = terms->gives_ca };
	snprintf(join->host, sizeof(join->host), "%s", terms->host);
	token_secret_hash(secret, join->hash);
	return 0;
}

enum join_match
joins_find(const struct joins *joins, const char *secret, char ret[JOIN_ID_SIZE])
{
	const struct join *found = NULL;
	char hash[TOKEN_HASH_LEN + 1];

	ret[0] = '\0';
	token_secret_hash(secret, hash);
	for (size_t i = 0; i < joins->n; i++) {
		if (token_secret_same(joins->items[i].hash, hash))
			found = &joins->items[i];
	}
	if (!found)
		return JOIN_WRONG;
	snprintf(ret, JOIN_ID_SIZE, "%.*s", JOIN_ID_SIZE - 1, found->hash);
	if (found->used)
		return JOIN_USED;
	if (found->ended)
		return JOIN_ENDED;
	return found->expires <= now_ms() ? JOIN_EXPIRED : JOIN_GOOD;
}

static struct join *
by_id(struct joins *joins, const char *id)
{
	for (size_t i = 0; i < joins->n && strlen(id) == JOIN_ID_SIZE - 1; i++) {
		if (strncmp(joins->items[i].hash, id, JOIN_ID_SIZE - 1) == 0)
			return &joins->items[i];
	}
	return NULL;
}

bool
joins_is_for(struct joins *joins, const char *id, const char *host)
{
	const struct join *join = by_id(joins, id);

	return join && strcmp(join->host, host) == 0;
}

bool
joins_gives_ca(struct joins *joins, const char *id)
{
	const struct join *join = by_id(joins, id);

	return join && join->gives_ca;
}

/* Serf may not have told yet that another host has joined which has this uuid, or this name. */
static int
check_others(
    const struct joins *joins, const char *host, const char *name, bool same, struct error *err)
{
	for (size_t i = 0; i < joins->n; i++) {
		const struct join *join = &joins->items[i];
		bool is_host = strcmp(join->user, host) == 0;

		if (!join->used || join->expires <= now_ms())
			continue;
		if (is_host && !same)
			return error_set(err, 409,
			    "a host with the UUID '%s' has joined a moment ago: where two boards "
			    "have the same, 'host_uuid' of libvirt's configuration gives one its "
			    "own; the same host joins again by a token for it alone, of 'virtx "
			    "cluster token --host'",
			    host);
		if (!is_host && strcasecmp(join->name, name) == 0)
			return error_set(err, 409,
			    "host '%s' has joined a moment ago by the name '%s': each host needs "
			    "one of its own",
			    join->user, join->name);
	}
	return 0;
}

int
joins_take(
    struct joins *joins, const char *id, const char *host, const char *name, struct error *err)
{
	struct join *join = by_id(joins, id);

	if (!join || join->used || join->ended || join->expires <= now_ms())
		return error_set_type(err, ERROR_WHO, "the token was used just now, or is over");
	if (join->host[0] && strcmp(join->host, host) != 0)
		return error_set_type(
		    err, ERROR_ROLE, "the token is for host '%s' alone", join->host);
	if (check_others(joins, host, name, join->host[0] != '\0', err) < 0)
		return -1;
	join->used = true;
	snprintf(join->user, sizeof(join->user), "%s", host);
	snprintf(join->name, sizeof(join->name), "%s", name);
	return 0;
}

void
joins_end_all(struct joins *joins)
{
	for (size_t i = 0; i < joins->n; i++)
		joins->items[i].ended = true;
}

void
joins_give_back(struct joins *joins, const char *id)
{
	struct join *join = by_id(joins, id);

	if (join)
		join->used = false;
}
