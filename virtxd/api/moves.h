/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Several VMs that move, so many at once: which wait, which are under way, and why some do not go.
 * How a VM is moved is the owner's business, and so is the time.
 */
#ifndef API_MOVES_H
#define API_MOVES_H

#include "api/context.h"
#include "proto/uuid.h"

enum move_state {
	MOVE_WAITING,
	MOVE_UNDER_WAY,
	MOVE_DONE,
	MOVE_STAYS,
};

struct move {
	struct moves *moves;
	char vm[UUID_TEXT_SIZE];
	enum move_state state;
	int64_t next;		   /* monotonic ms: it waits until then */
	int64_t due;		   /* when it has waited long enough, 0: it did not yet */
	char host[UUID_TEXT_SIZE]; /* that it goes to (or comes from), or went */
	char *reason;		   /* why it waits or stays */
	/* The owner's. */
	char operation[UUID_TEXT_SIZE];
	char failed[UUID_TEXT_SIZE]; /* the host that did not do */
	char *failure;		     /* and why */
	int percent;		     /* of what is under way */
	int64_t told_due;
	bool asking;
	struct api_ask ask;
};

struct moves_ops {
	/* Begins, by one of move_begin, move_wait, move_done, move_stay. */
	void (*start)(void *arg, struct move *move);
	/* Looks after one that is under way; NULL where that ends by itself. */
	void (*follow)(void *arg, struct move *move);
	/* One has ended: done, or it stays. */
	void (*ended)(void *arg, struct move *move);
};

#define MOVES_RETRY_MS	  1000
#define MOVES_PATIENCE_MS 600000 /* that a VM may be busy or its host may not answer */

/* ops is borrowed. */
struct moves *moves_new(int max, const struct moves_ops *ops, void *arg);
/* What is under way must not end any more. */
void moves_free(struct moves *moves);
/* Adds a VM; one that is there already stays as it is. */
void moves_add(struct moves *moves, const char *vm);
/* Starts and follows what is to be; to be called again and again until moves_over(). */
void moves_run(struct moves *moves, int64_t now);
/* Starts nothing more. */
void moves_stop(struct moves *moves);
/* Nothing is under way, and nothing is to be started. */
bool moves_over(const struct moves *moves);
/* Of all, 0..100. */
int moves_percent(const struct moves *moves);
/* Calls back for each that is under way. */
void moves_each_under_way(
    const struct moves *moves, void (*each)(void *arg, const struct move *move), void *arg);
/* How many there are in all, and how many of them have not moved. */
size_t moves_count(const struct moves *moves, size_t *ret_left);
/* Says of those that have not moved why, as many as fit into max bytes; the caller frees. */
char *moves_explain(const struct moves *moves, size_t max);

/* It is under way, with this host. */
void move_begin(struct move *move, const char *host);
/* It cannot go yet: it is tried again, the longer it has waited the later, until that is too long.
 */
void move_wait(struct move *move, const char *reason);
/* It has failed, and is tried again a little later; reason is why. */
void move_again(struct move *move, const char *reason);
void move_done(struct move *move, const char *host);
/* It does not go. */
void move_stay(struct move *move, const char *reason);

#endif
