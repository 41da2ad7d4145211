/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/migration_follower.h"

#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "loop/timer.h"
#include "ops/context.h"
#include "proto/log.h"
#include "proto/uuid.h"

#define WATCH_MS 1000
#define AGAIN_MS 5000
#define TURN_MS	 500 /* that another's answer is waited for */

/* Follows a migration from its start to its end: its progress, and its timeout. */
struct migration_follower {
	LIST_ENTRY(migration_follower) link;
	struct context *ctx;
	struct timer *timer;
	char vm[UUID_TEXT_SIZE];
	char operation[UUID_TEXT_SIZE];
	int64_t due; /* monotonic ms, 0 for never */
	enum migration_timeout action;
	bool asking;   /* a job reads how far it is */
	int64_t asked; /* monotonic ms, the last time */
	bool waits;    /* for its turn to have it read */
};

/* Jobs outlive what asked for them. */
struct migration_question {
	LIST_ENTRY(migration_question) link;
	struct context *ctx;
	char operation[UUID_TEXT_SIZE];
};

static void
question_free(struct migration_question *asked)
{
	LIST_REMOVE(asked, link);
	free(asked);
}

static void
follower_free(struct migration_follower *follower)
{
	LIST_REMOVE(follower, link);
	timer_free(follower->timer);
	free(follower);
}

void
migration_followers_free(struct context *ctx)
{
	struct migration_follower *follower;
	struct migration_question *asked;

	while ((follower = LIST_FIRST(&ctx->migration_followers)))
		follower_free(follower);
	while ((asked = LIST_FIRST(&ctx->migration_questions)))
		question_free(asked);
}

static struct migration_follower *
find(struct context *ctx, const char *operation)
{
	struct migration_follower *follower;

	LIST_FOREACH (follower, &ctx->migration_followers, link) {
		if (str_equal(follower->operation, operation))
			return follower;
	}
	return NULL;
}

/* All are due at the same moment, and one child stays for them: whoever waits for the answer to the
 * one before is answered by it, without a new one. A question that is not answered in time is
 * waited for no more. */
static bool
is_taken(const struct context *ctx)
{
	const struct migration_follower *follower;

	LIST_FOREACH (follower, &ctx->migration_followers, link) {
		if (follower->asking && monotonic_ms() - follower->asked < TURN_MS)
			return true;
	}
	return false;
}

static void start_info(struct migration_follower *follower);

static void
pass_turn(struct context *ctx)
{
	struct migration_follower *follower, *next = NULL;

	if (is_taken(ctx))
		return;
	/* Where there are more than a second has answers for, each has its turn. */
	LIST_FOREACH (follower, &ctx->migration_followers, link) {
		if (follower->waits && (!next || follower->asked < next->asked))
			next = follower;
	}
	if (next)
		start_info(next);
}

static void
on_info(void *arg, void *result, const struct error *err)
{
	struct migration_question *asked = arg;
	struct context *ctx = asked->ctx;
	struct migration_follower *follower = find(ctx, asked->operation);
	const struct migration_info *info = result;
	const struct transfer_progress *progress = info ? &info->progress : NULL;

	if (follower)
		follower->asking = false;
	/* What the guest changes is sent again: the share that is left tells more than what was
	 * sent. */
	if (follower && info && info->state == MIGRATION_STATE_ACTIVE && progress->total > 0 &&
	    progress->remaining <= progress->total)
		operations_progress(ctx->operations, asked->operation,
		    (int)((progress->total - progress->remaining) * 99 / progress->total));
	question_free(asked);
	pass_turn(ctx);
}

static void
on_control(void *arg, void *result, const struct error *err)
{
	struct migration_question *asked = arg;
	struct migration_follower *follower = find(asked->ctx, asked->operation);

	if (!result) {
		log_warning("ops", "migration %s took too long: %s", asked->operation, err->detail);
		/* Its job may not have begun yet. */
		if (follower)
			follower->due = monotonic_ms() + AGAIN_MS;
	}
	question_free(asked);
}

static struct migration_question *
ask(const struct migration_follower *follower)
{
	struct migration_question *asked = xcalloc(1, sizeof(*asked));

	asked->ctx = follower->ctx;
	memcpy(asked->operation, follower->operation, sizeof(asked->operation));
	LIST_INSERT_HEAD(&asked->ctx->migration_questions, asked, link);
	return asked;
}

static void
start_action(struct migration_follower *follower)
{
	struct migration_control_request req = {
		.uuid = follower->vm,
		.action = follower->action,
	};
	struct migration_question *asked = ask(follower);
	struct error err = { 0 };

	log_info("ops", "the migration of VM '%s' takes too long: %s", follower->vm,
	    enum_word(&migration_timeout_enum, follower->action));
	follower->due = 0;
	if (!job_start(follower->ctx->jobs, WORK_MIGRATION_CONTROL, &req, NULL, "", NULL,
		on_control, asked, &err))
		on_control(asked, NULL, &err);
}

static void
start_info(struct migration_follower *follower)
{
	struct vm_request req = { .uuid = follower->vm };
	struct migration_question *asked = ask(follower);
	struct error err = { 0 };

	follower->waits = false;
	follower->asking = true;
	follower->asked = monotonic_ms();
	if (!job_start(follower->ctx->jobs, WORK_MIGRATION_INFO, &req, NULL, "", NULL, on_info,
		asked, &err))
		on_info(asked, NULL, &err);
}

static void
on_timer(void *arg)
{
	struct migration_follower *follower = arg;
	const struct operation *operation =
	    operations_find(follower->ctx->operations, follower->operation);

	if (!operation || !str_equal(operation->state, "started")) {
		follower_free(follower);
		return;
	}
	if (follower->due && monotonic_ms() >= follower->due)
		start_action(follower);
	else if (!follower->asking && is_taken(follower->ctx))
		follower->waits = true;
	else if (!follower->asking)
		start_info(follower);
}

void
migration_follow(struct context *ctx, const char *vm, const char *operation,
    const struct vm_migrate_options *options)
{
	struct migration_follower *follower;

	if (find(ctx, operation))
		return;
	follower = xcalloc(1, sizeof(*follower));
	follower->ctx = ctx;
	snprintf(follower->vm, sizeof(follower->vm), "%s", vm);
	snprintf(follower->operation, sizeof(follower->operation), "%s", operation);
	follower->action = options->timeout_action;
	if (options->timeout > 0)
		follower->due = monotonic_ms() + options->timeout * INT64_C(1000);
	follower->timer = timer_new(ctx->base, on_timer, follower);
	timer_every(follower->timer, WATCH_MS);
	LIST_INSERT_HEAD(&ctx->migration_followers, follower, link);
}
