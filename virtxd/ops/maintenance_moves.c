/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/maintenance_moves.h"

#include <stdio.h>

#include "ops/evacuation.h"
#include "ops/failback.h"
#include "ops/task.h"
#include "proto/log.h"

#define SETTLE_MS 60000 /* that hosts have to tell of themselves after a start of virtxd */
#define CREATE_MS 60000 /* that an evacuation waits for VMs that are being created */
#define MSG_MAX	  1500	/* bytes of an operation's message */

static const struct {
	enum route_id route;
	const char *begun; /* what is logged */
	const char *left;  /* said of VMs that have not moved */
} directions[MAINTENANCE_DIRECTION_N] = {
	[MAINTENANCE_LEAVE] = { ROUTE_MAINTENANCE_BEGIN,
	    "maintenance: the VMs of this host move away", "stay" },
	[MAINTENANCE_RETURN] = { ROUTE_MAINTENANCE_END,
	    "maintenance: the VMs of this host come back", "did not come back" },
};

struct maintenance_moves {
	struct maintenance_moves_owner owner;
	enum maintenance_direction direction;
	struct move_queue *queue;
	bool stopped;
	int64_t began;	    /* monotonic ms */
	int64_t open_since; /* monotonic ms */
	char operation[UUID_TEXT_SIZE];
	struct error outcome; /* when they are over; set where VMs are left */
};

static const char *
user_of(const struct maintenance_moves *moves)
{
	return str_or_empty(moves->owner.record->now.user);
}

static void
start_move(void *arg, struct move *move)
{
	struct maintenance_moves *moves = arg;
	struct context *ctx = moves->owner.ctx;

	if (moves->direction == MAINTENANCE_LEAVE)
		evacuation_start(ctx, user_of(moves), move);
	else
		failback_start(ctx, user_of(moves), moves->open_since, move);
}

static void
follow_move(void *arg, struct move *move)
{
	struct maintenance_moves *moves = arg;
	struct context *ctx = moves->owner.ctx;
	const struct operation *operation;

	if (moves->direction == MAINTENANCE_RETURN) {
		failback_follow(ctx, user_of(moves), move);
		return;
	}
	operation = operations_find(ctx->operations, move->operation);
	if (operation)
		move->percent = operation->progress;
}

static void
move_ended(void *arg, struct move *move)
{
	struct maintenance_moves *moves = arg;
	struct maintenance_record *record = moves->owner.record;
	bool left = move->state == MOVE_DONE && moves->direction == MAINTENANCE_LEAVE;

	if (move->state == MOVE_STAYS)
		log_info("ops", "maintenance: VM '%s' stays: %s", move->vm, move->reason);
	/* A return that was stopped is of another time. */
	if (maintenance_record_find(record, move->vm))
		maintenance_record_set(record, move->vm, left ? move->host : "", move->reason);
	moves->owner.moved(moves->owner.arg);
}

static const struct move_queue_ops move_queue_ops = { start_move, follow_move, move_ended };

/* The operation that was begun for these moves, or one for those that nobody asked for now. */
static void
begin_operation(struct maintenance_moves *moves, const char *user)
{
	struct context *ctx = moves->owner.ctx;
	struct maintenance_record *record = moves->owner.record;
	const struct operation *operation =
	    operations_find(ctx->operations, str_or_empty(record->now.operation));

	if (!operation || !str_equal(operation->state, "started")) {
		str_set(&record->now.operation,
		    operations_start(ctx->operations, routes[directions[moves->direction].route].op,
			"", inventory_self(ctx->inventory), user));
		record->dirty = true;
	}
	snprintf(moves->operation, sizeof(moves->operation), "%s", record->now.operation);
	operations_progress(ctx->operations, moves->operation, 0);
}

struct maintenance_moves *
maintenance_moves_new(const struct maintenance_moves_owner *owner,
    enum maintenance_direction direction, const char *user, int64_t open_since)
{
	struct maintenance_moves *moves = xcalloc(1, sizeof(*moves));
	const struct maintenance *record = &owner->record->now;

	moves->owner = *owner;
	moves->direction = direction;
	moves->began = monotonic_ms();
	moves->open_since = open_since;
	moves->queue = move_queue_new(owner->ctx->config->evacuations, &move_queue_ops, moves);
	begin_operation(moves, user);
	if (direction == MAINTENANCE_LEAVE)
		maintenance_moves_add_vms(owner->ctx, owner->record, moves);
	for (size_t i = 0; i < record->n_vms && direction == MAINTENANCE_RETURN; i++)
		move_queue_add(moves->queue, record->vms[i].vm);
	log_info("ops", "%s", directions[direction].begun);
	return moves;
}

void
maintenance_moves_free(struct maintenance_moves *moves)
{
	if (!moves)
		return;
	move_queue_free(moves->queue);
	free(moves);
}

enum maintenance_direction
maintenance_moves_direction(const struct maintenance_moves *moves)
{
	return moves->direction;
}

const char *
maintenance_moves_operation(const struct maintenance_moves *moves)
{
	return moves->operation;
}

bool
maintenance_moves_are_settled(const struct maintenance_moves *moves)
{
	return failback_is_settled(moves->owner.ctx, moves->direction == MAINTENANCE_RETURN) ||
	       monotonic_ms() - moves->began > SETTLE_MS;
}

/* That a VM was here must be known before it leaves. */
static bool
is_held_up(const struct maintenance_moves *moves)
{
	return moves->owner.record->dirty_vms && !moves->stopped;
}

void
maintenance_moves_run(struct maintenance_moves *moves)
{
	int percent;

	if (moves->direction == MAINTENANCE_LEAVE && !moves->stopped)
		maintenance_moves_add_vms(moves->owner.ctx, moves->owner.record, moves);
	if (!is_held_up(moves))
		move_queue_run(moves->queue, monotonic_ms());
	percent = move_queue_percent(moves->queue);
	operations_progress(
	    moves->owner.ctx->operations, moves->operation, percent < 100 ? percent : 99);
}

void
maintenance_moves_stop(struct maintenance_moves *moves)
{
	move_queue_stop(moves->queue);
	moves->stopped = true;
}

bool
maintenance_moves_are_over(const struct maintenance_moves *moves)
{
	if (is_held_up(moves) || !move_queue_over(moves->queue))
		return false;
	/* What is being created here will have to leave, too. */
	return moves->stopped || moves->direction == MAINTENANCE_RETURN ||
	       !task_is_under_way(moves->owner.ctx, ROUTE_VM_CREATE) ||
	       monotonic_ms() - moves->began > CREATE_MS;
}

void
maintenance_moves_sum_up(struct maintenance_moves *moves)
{
	_free_ char *reasons = NULL;
	size_t left, n = move_queue_count(moves->queue, &left);

	if (left > 0) {
		reasons = move_queue_explain(moves->queue, MSG_MAX);
		error_set(&moves->outcome, 424, "%s%zu of %zu VMs %s: %s",
		    moves->stopped ? "it was ended before it was done: " : "", left, n,
		    directions[moves->direction].left, reasons);
	}
	log_info("ops", "maintenance: %s", left > 0 ? moves->outcome.detail : "all VMs have moved");
}

void
maintenance_moves_finish(struct maintenance_moves *moves)
{
	const struct error *err = moves->outcome.status ? &moves->outcome : NULL;

	operations_finish(moves->owner.ctx->operations, moves->operation, NULL, err);
}

void
maintenance_moves_add_vms(
    struct context *ctx, struct maintenance_record *record, struct maintenance_moves *moves)
{
	size_t n;
	_free_ char(*vms)[UUID_TEXT_SIZE] = evacuation_vms(ctx, &n);

	for (size_t i = 0; i < n; i++) {
		if (moves)
			move_queue_add(moves->queue, vms[i]);
		if (!moves || !maintenance_record_find(record, vms[i]))
			maintenance_record_set(record, vms[i], "", "");
	}
}
