/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The moves that this host's maintenance is for: all its VMs leave, or they come back. Their
 * operation tells how far that is, and in the end which VMs were left, and why.
 */
#ifndef OPS_MAINTENANCE_MOVES_H
#define OPS_MAINTENANCE_MOVES_H

#include "ops/maintenance_record.h"
#include "proto/uuid.h"

enum maintenance_direction {
	MAINTENANCE_LEAVE,  /* VMs leave this host */
	MAINTENANCE_RETURN, /* those of the record come back */
	MAINTENANCE_DIRECTION_N,
};

/* All is borrowed. */
struct maintenance_moves_owner {
	struct context *ctx;
	struct maintenance_record *record;
	/* One has ended; the record has it, and is to be saved. */
	void (*moved)(void *arg);
	void *arg;
};

/* Begins nothing yet. Their operation is the record's where that is under way, else a new one of
 * this user. open_since: monotonic ms since when this host takes VMs; it counts for a return. */
struct maintenance_moves *maintenance_moves_new(const struct maintenance_moves_owner *owner,
    enum maintenance_direction direction, const char *user, int64_t open_since);
/* What is under way goes on by itself. NULL is fine. */
void maintenance_moves_free(struct maintenance_moves *moves);

enum maintenance_direction maintenance_moves_direction(const struct maintenance_moves *moves);
/* The operation's id, borrowed. */
const char *maintenance_moves_operation(const struct maintenance_moves *moves);

/* Whether what has to be known before VMs are placed is known, or was waited for too long. */
bool maintenance_moves_are_settled(const struct maintenance_moves *moves);
/* Starts and follows them; to be called again and again until they are over. */
void maintenance_moves_run(struct maintenance_moves *moves);
/* No more are started: those that are under way come to their end. */
void maintenance_moves_stop(struct maintenance_moves *moves);
bool maintenance_moves_are_over(const struct maintenance_moves *moves);
/* Sums up what is over: the operation ends with that. */
void maintenance_moves_sum_up(struct maintenance_moves *moves);
/* The operation ends. */
void maintenance_moves_finish(struct maintenance_moves *moves);

/* The VMs that are here now have to leave: those that are new join the moves, and the record. moves
 * is NULL before they begin: then the record has all of them anew. */
void maintenance_moves_add_vms(
    struct context *ctx, struct maintenance_record *record, struct maintenance_moves *moves);

#endif
