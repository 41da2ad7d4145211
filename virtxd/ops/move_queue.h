/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The moves of several VMs, of which at most so many are under way at a time. It knows which VMs
 * wait and why, and which stay. Its owner starts and follows the moves, and tells it the time.
 *
 *   waiting   -> waiting     it cannot start yet
 *   waiting   -> under way   it has started
 *   waiting   -> done        the VM is there already
 *   waiting   -> stays       the VM cannot move, or has waited for too long
 *   under way -> waiting     it has failed, and is tried again
 *   under way -> done        the VM is on the other host
 *   under way -> stays       it has failed for good
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
	int64_t next;		   /* of the next attempt, monotonic ms */
	int64_t due;		   /* of the last attempt, monotonic ms; 0 until it waits */
	char host[UUID_TEXT_SIZE]; /* the other one: the target, or of a failback the source */
	char *reason;		   /* why it waits or stays */
	/* The owner's. */
	char operation[UUID_TEXT_SIZE]; /* that moves the VM */
	char failed[UUID_TEXT_SIZE];	/* the host to which the first attempt failed */
	char *failure;			/* and why */
	int percent;			/* of the move */
	int64_t told_due;		/* until then the source may have old news, monotonic ms */
	bool asking;			/* another host is asked */
	struct peer_ask ask;		/* with this */
};

struct move_queue_ops {
	/* Starts a move, and calls one of move_begin, move_wait, move_done and move_stay. */
	void (*start)(void *arg, struct move *move);
	/* Asks how far a move is; NULL where its end is told. */
	void (*follow)(void *arg, struct move *move);
	/* A move is done, or its VM stays. */
	void (*ended)(void *arg, struct move *move);
};

#define MOVE_QUEUE_RETRY_MS    1000
#define MOVE_QUEUE_PATIENCE_MS 600000 /* that its VM may be busy, or the host away */

/* ops is borrowed. */
struct move_queue *move_queue_new(int max, const struct move_queue_ops *ops, void *arg);
/* No move_done or move_stay may come after it. */
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

/* The move to or from this host is under way. */
void move_begin(struct move *move, const char *host);
/* The move cannot start yet. It is tried again, after waits that grow, until
 * MOVE_QUEUE_PATIENCE_MS are over. */
void move_wait(struct move *move, const char *reason);
/* The move has failed, and is tried again a little later; reason is why. */
void move_again(struct move *move, const char *reason);
void move_done(struct move *move, const char *host);
/* The VM stays. */
void move_stay(struct move *move, const char *reason);

#endif
