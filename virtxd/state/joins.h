/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The secrets by which other hosts may join the cluster, each of them once. They are in memory
 * alone, as hashes: when virtxd has stopped, nobody gets in by them any more.
 */
#ifndef STATE_JOINS_H
#define STATE_JOINS_H

#include "proto/token.h"
#include "proto/uuid.h"

#define JOINS_MAX    32 /* at once */
#define JOIN_ID_SIZE 17 /* names one in the log; tells nothing of its secret */

struct joins;

struct joins *joins_new(void);
void joins_free(struct joins *joins);
/* What one is for. */
struct join_terms {
	const char *host; /* the one that it is for, "" for any */
	int64_t expires;  /* ms since the epoch */
	bool gives_ca;	  /* it may have the key of the CA, too */
};
/* One more secret; -1 with a 503 where there are too many. */
int joins_add(
    struct joins *joins, const char *secret, const struct join_terms *terms, struct error *err);

enum join_match {
	JOIN_WRONG,
	JOIN_EXPIRED,
	JOIN_ENDED, /* by joins_end_all() */
	JOIN_USED,
	JOIN_GOOD,
};
/* Looks for the one with this secret; for how long it takes tells nothing of it. */
enum join_match joins_find(const struct joins *joins, const char *secret, char ret[JOIN_ID_SIZE]);
/* Whether it was made for this host, and no other. */
bool joins_is_for(struct joins *joins, const char *id, const char *host);
/* Whether who joins by it may have the key of the CA. */
bool joins_gives_ca(struct joins *joins, const char *id);
/* The host of this uuid and name uses one up: 0, or -1 where somebody else has (401), where it has
 * expired, is for another host (403), or where one of this uuid or name has used another one that
 * is not over yet (409). One that was ended is over. */
int joins_take(
    struct joins *joins, const char *id, const char *host, const char *name, struct error *err);
/* None that there is now is good any more, as a host was put out that may know them. */
void joins_end_all(struct joins *joins);
/* It was of no use to who took it, and may be tried again. */
void joins_give_back(struct joins *joins, const char *id);

#endif
