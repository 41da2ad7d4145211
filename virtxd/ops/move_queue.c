/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/move_queue.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "proto/log.h"

static const char *const state_names[MOVE_STATE_N] = { "waiting", "under way", "done", "stays" };

/* As in the header. */
static const unsigned int transitions[MOVE_STATE_N] = {
	[MOVE_WAITING] = 1 << MOVE_WAITING | 1 << MOVE_UNDER_WAY | 1 << MOVE_DONE | 1 << MOVE_STAYS,
	[MOVE_UNDER_WAY] = 1 << MOVE_WAITING | 1 << MOVE_DONE | 1 << MOVE_STAYS,
};

struct move_queue {
	const struct move_queue_ops *ops;
	void *arg;
	int max;
	bool stopped;
	int64_t now;
	struct move **items; /* each stays where it is */
	size_t n_items;
};

struct move_queue *
move_queue_new(int max, const struct move_queue_ops *ops, void *arg)
{
	struct move_queue *moves = xcalloc(1, sizeof(*moves));

	moves->max = max;
	moves->ops = ops;
	moves->arg = arg;
	return moves;
}

void
move_queue_free(struct move_queue *moves)
{
	if (!moves)
		return;
	for (size_t i = 0; i < moves->n_items; i++) {
		free(moves->items[i]->reason);
		free(moves->items[i]->failure);
		free(moves->items[i]);
	}
	free(moves->items);
	free(moves);
}

void
move_queue_add(struct move_queue *moves, const char *vm)
{
	struct move *move;

	for (size_t i = 0; i < moves->n_items; i++) {
		if (strcmp(moves->items[i]->vm, vm) == 0)
			return;
	}
	move = xcalloc(1, sizeof(*move));
	move->moves = moves;
	snprintf(move->vm, sizeof(move->vm), "%s", vm);
	*model_append(&moves->items, &moves->n_items) = move;
}

static size_t
count(const struct move_queue *moves, enum move_state state)
{
	size_t n = 0;

	for (size_t i = 0; i < moves->n_items; i++)
		n += moves->items[i]->state == state;
	return n;
}

void
move_queue_run(struct move_queue *moves, int64_t now)
{
	moves->now = now;
	for (size_t i = 0; i < moves->n_items; i++) {
		struct move *move = moves->items[i];

		if (move->state == MOVE_UNDER_WAY && moves->ops->follow)
			moves->ops->follow(moves->arg, move);
	}
	for (size_t i = 0; i < moves->n_items && !moves->stopped; i++) {
		struct move *move = moves->items[i];

		if (move->state == MOVE_WAITING && now >= move->next &&
		    count(moves, MOVE_UNDER_WAY) < (size_t)moves->max)
			moves->ops->start(moves->arg, move);
	}
}

void
move_queue_stop(struct move_queue *moves)
{
	moves->stopped = true;
}

bool
move_queue_over(const struct move_queue *moves)
{
	return count(moves, MOVE_UNDER_WAY) == 0 &&
	       (moves->stopped || count(moves, MOVE_WAITING) == 0);
}

int
move_queue_percent(const struct move_queue *moves)
{
	size_t sum = 0;

	for (size_t i = 0; i < moves->n_items; i++) {
		const struct move *move = moves->items[i];

		if (move->state == MOVE_DONE || move->state == MOVE_STAYS)
			sum += 100;
		else if (move->state == MOVE_UNDER_WAY && move->percent > 0)
			sum += (size_t)move->percent;
	}
	return moves->n_items ? (int)(sum / moves->n_items) : 100;
}

void
move_queue_each_under_way(
    const struct move_queue *moves, void (*each)(void *arg, const struct move *move), void *arg)
{
	for (size_t i = 0; i < moves->n_items; i++) {
		if (moves->items[i]->state == MOVE_UNDER_WAY)
			each(arg, moves->items[i]);
	}
}

size_t
move_queue_count(const struct move_queue *moves, size_t *ret_left)
{
	*ret_left = moves->n_items - count(moves, MOVE_DONE);
	return moves->n_items;
}

char *
move_queue_explain(const struct move_queue *moves, size_t max)
{
	struct buffer out = { 0 };
	size_t left = moves->n_items - count(moves, MOVE_DONE), told = 0;

	for (size_t i = 0; i < moves->n_items; i++) {
		const struct move *move = moves->items[i];
		const char *reason = str_empty(move->reason) ? "it was not tried" : move->reason;

		if (move->state == MOVE_DONE)
			continue;
		if (told > 0 && out.len + strlen(reason) + 64 > max)
			break;
		buffer_printf(&out, "%sVM '%s': %s", told ? "; " : "", move->vm, reason);
		told++;
	}
	if (told < left)
		buffer_printf(&out, "; and %zu more", left - told);
	return buffer_steal(&out, NULL);
}

static void
set_state(struct move *move, enum move_state state)
{
	assert(transitions[move->state] & 1U << state);
	log_debug("ops", "move of VM '%s': %s, then %s", move->vm, state_names[move->state],
	    state_names[state]);
	move->state = state;
}

void
move_begin(struct move *move, const char *host)
{
	set_state(move, MOVE_UNDER_WAY);
	move->percent = 0;
	snprintf(move->host, sizeof(move->host), "%s", host);
}

static void
end(struct move *move, enum move_state state)
{
	set_state(move, state);
	move->moves->ops->ended(move->moves->arg, move);
}

void
move_wait(struct move *move, const char *reason)
{
	int64_t now = move->moves->now, waited;

	str_set(&move->reason, reason);
	if (!move->due)
		move->due = now + MOVE_QUEUE_PATIENCE_MS;
	if (now >= move->due) {
		end(move, MOVE_STAYS);
		return;
	}
	waited = now - (move->due - MOVE_QUEUE_PATIENCE_MS);
	set_state(move, MOVE_WAITING);
	move->next = now + MOVE_QUEUE_RETRY_MS + waited / 8;
}

void
move_again(struct move *move, const char *reason)
{
	str_set(&move->reason, reason);
	set_state(move, MOVE_WAITING);
	move->next = move->moves->now + MOVE_QUEUE_RETRY_MS;
}

void
move_done(struct move *move, const char *host)
{
	if (host != move->host)
		snprintf(move->host, sizeof(move->host), "%s", str_or_empty(host));
	str_set(&move->reason, "");
	end(move, MOVE_DONE);
}

void
move_stay(struct move *move, const char *reason)
{
	str_set(&move->reason, reason);
	end(move, MOVE_STAYS);
}
