/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Several VMs that move, so many at once: which wait, which are under way, and why some do not go.
 * How a VM is moved is the owner's business, and so is the time.
 */
#ifndef OPS_MOVE_QUEUE_H
#define OPS_MOVE_QUEUE_H

#include "ops/context.h"
#include "proto/uuid.h"

enum move_state {
	MOVE_WAITING,
	MOVE_UNDER_WAY,
	MOVE_DONE,
	MOVE_STAYS,
	MOVE_STATE_N,
};

struct move {
	struct move_queue *moves;
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
	struct peer_ask ask;
};

struct move_queue_ops {
	/* Begins, by one of move_begin, move_wait, move_done, move_stay. */
	void (*start)(void *arg, struct move *move);
	/* Looks after one that is under way; NULL where that ends by itself. */
	void (*follow)(void *arg, struct move *move);
	/* One has ended: done, or it stays. */
	void (*ended)(void *arg, struct move *move);
};

#define MOVE_QUEUE_RETRY_MS    1000
#define MOVE_QUEUE_PATIENCE_MS 600000 /* that a VM may be busy or its host may not answer */

/* ops is borrowed. */
struct move_queue *move_queue_new(int max, const struct move_queue_ops *ops, void *arg);
/* What is under way must not end any more. */
void move_queue_free(struct move_queue *moves);
/* Adds a VM; one that is there already stays as it is. */
void move_queue_add(struct move_queue *moves, const char *vm);
/* Starts and follows what is to be; to be called again and again until move_queue_over(). */
void move_queue_run(struct move_queue *moves, int64_t now);
/* Starts nothing more. */
void move_queue_stop(struct move_queue *moves);
/* Nothing is under way, and nothing is to be started. */
bool move_queue_over(const struct move_queue *moves);
/* Of all, 0..100. */
int move_queue_percent(const struct move_queue *moves);
/* Calls back for each that is under way. */
void move_queue_each_under_way(
    const struct move_queue *moves, void (*each)(void *arg, const struct move *move), void *arg);
/* How many there are in all, and how many of them have not moved. */
size_t move_queue_count(const struct move_queue *moves, size_t *ret_left);
/* Says of those that have not moved why, as many as fit into max bytes; the caller frees. */
char *move_queue_explain(const struct move_queue *moves, size_t max);

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
