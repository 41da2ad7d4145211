/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/token_keeper.h"

#include <string.h>
#include <sys/queue.h>

#include "loop/timer.h"
#include "proto/log.h"
#include "proto/token_secret.h"

#define WHOLE_MS    (600 * 1000) /* after which they are read even where nothing seems to change */
#define TOLD_MS	    200		 /* until what others tell makes them be read */
#define WAITING_MAX 64		 /* requests */

/* A request that makes or revokes one, until its job is done. */
struct change {
	LIST_ENTRY(change) entry;
	struct token_keeper *keeper;
	struct request *req;
	struct token_record record; /* of one that is revoked, the name */
	char secret[TOKEN_SECRET_SIZE];
};

struct token_keeper {
	const struct config *config;
	struct jobs *jobs;
	const struct work_env *env;
	struct tokens *tokens;
	struct timer *timer, *told;
	void (*changed)(void *arg);
	void *arg;
	LIST_HEAD(, change) changes;
	unsigned int n_changes;
	bool running; /* a job reads them */
	bool again;   /* what it reads may be old */
	uint64_t mark;
	int64_t whole_due; /* monotonic ms */
	char *stamp;
	char *why;
	char *damaged;
};

/* Reading */

static void look(struct token_keeper *keeper);

static void
load_done(void *arg, void *result, const struct error *err)
{
	struct token_keeper *keeper = arg;
	struct token_set *set = result;
	bool again = keeper->again || keeper->mark != tokens_mark(keeper->tokens);

	keeper->running = keeper->again = false;
	if (!set) {
		if (!str_equal(keeper->why, err->detail))
			log_warning("ops", "the tokens cannot be read: %s", err->detail);
		str_set(&keeper->why, err->detail);
		return;
	}
	/* One that was revoked meanwhile must not come back. */
	if (again) {
		look(keeper);
		return;
	}
	str_set(&keeper->why, "");
	if (set->same)
		return;
	if (!str_equal(keeper->damaged, set->damaged) && !str_empty(set->damaged))
		log_warning("ops", "tokens that are no good to anybody: %s", set->damaged);
	str_set(&keeper->damaged, set->damaged);
	str_set(&keeper->stamp, set->stamp);
	tokens_replace(keeper->tokens, set);
}

static void
look(struct token_keeper *keeper)
{
	int64_t now = monotonic_ms();
	bool whole = now >= keeper->whole_due || keeper->mark != tokens_mark(keeper->tokens);
	struct tokens_load_request req = { .env = *keeper->env,
		.stamp = whole ? NULL : keeper->stamp };
	struct error err = { 0 };

	if (keeper->running) {
		keeper->again = true;
		return;
	}
	if (whole)
		keeper->whole_due = now + WHOLE_MS;
	keeper->mark = tokens_mark(keeper->tokens);
	keeper->running = true;
	if (!job_start(
		keeper->jobs, WORK_TOKENS_LOAD, &req, NULL, "", NULL, load_done, keeper, &err))
		load_done(keeper, NULL, &err);
}

static void
on_period(void *arg)
{
	struct token_keeper *keeper = arg;

	if (!keeper->running)
		look(keeper);
}

static void
on_told(void *arg)
{
	look(arg);
}

void
token_keeper_told(struct token_keeper *keeper)
{
	if (!timer_is_started(keeper->told))
		timer_start(keeper->told, TOLD_MS);
}

/* Changing */

static void
change_free(struct change *change)
{
	LIST_REMOVE(change, entry);
	change->keeper->n_changes--;
	model_clear(&token_record_model, &change->record);
	explicit_bzero(change->secret, sizeof(change->secret));
	free(change);
}

static void
refuse(struct change *change, const struct error *err)
{
	request_reply_error(change->req, err);
	change_free(change);
}

/* NULL where too many wait, who are told so. */
static struct change *
change_new(struct token_keeper *keeper, struct request *req)
{
	struct change *change;
	struct error err = { 0 };

	if (keeper->n_changes >= WAITING_MAX) {
		error_set(
		    &err, 503, "%d others make or revoke tokens already: ask again", WAITING_MAX);
		request_reply_error(req, &err);
		return NULL;
	}
	change = xcalloc(1, sizeof(*change));
	change->keeper = keeper;
	change->req = req;
	LIST_INSERT_HEAD(&keeper->changes, change, entry);
	keeper->n_changes++;
	return change;
}

static void
make_done(void *arg, void *result, const struct error *err)
{
	struct change *change = arg;
	struct token_made made = { .token = change->record.token, .secret = change->secret };

	if (!result) {
		refuse(change, err);
		return;
	}
	tokens_add(change->keeper->tokens, &change->record);
	change->keeper->changed(change->keeper->arg);
	log_info("ops", "token '%s' (%s) made by %s", made.token.name, role_name(made.token.role),
	    made.token.user);
	request_reply_model(change->req, 200, &token_made_model, &made);
	change_free(change);
}

void
token_keeper_make(
    struct token_keeper *keeper, struct request *req, const struct token_options *options)
{
	struct change *change = change_new(keeper, req);
	struct token_save_request save = { .env = *keeper->env };
	char hash[TOKEN_HASH_LEN + 1];
	struct error err = { 0 };
	struct token *token;

	if (!change)
		return;
	token = &change->record.token;
	token->name = xstrdup(options->name);
	token->role = options->role;
	token->created = now_ms();
	token->expires = options->lifetime ? token->created + options->lifetime * 1000 : 0;
	token->user = xstrdup(req->user);
	token_secret_make(change->secret);
	token_secret_hash(change->secret, hash);
	change->record.hash = xstrdup(hash);
	save.record = change->record;
	if (!job_start(
		keeper->jobs, WORK_TOKEN_SAVE, &save, NULL, "", NULL, make_done, change, &err))
		refuse(change, &err);
}

static void
revoke_done(void *arg, void *result, const struct error *err)
{
	struct change *change = arg;
	const char *name = change->record.token.name;
	if (!result) {
		refuse(change, err);
		return;
	}
	tokens_drop(change->keeper->tokens, name);
	change->keeper->changed(change->keeper->arg);
	log_info("ops", "token '%s' revoked by %s", name, change->req->user);
	request_reply(change->req, 204);
	change_free(change);
}

void
token_keeper_revoke(struct token_keeper *keeper, struct request *req, const char *name)
{
	struct change *change = change_new(keeper, req);
	struct token_revoke_request revoke = { .env = *keeper->env };
	struct error err = { 0 };

	if (!change)
		return;
	change->record.token.name = xstrdup(name);
	revoke.name = change->record.token.name;
	if (!job_start(keeper->jobs, WORK_TOKEN_REVOKE, &revoke, NULL, "", NULL, revoke_done,
		change, &err))
		refuse(change, &err);
}

/* Its life */

struct tokens *
token_keeper_tokens(struct token_keeper *keeper)
{
	return keeper->tokens;
}

const char *
token_keeper_why(const struct token_keeper *keeper)
{
	return keeper->why;
}

const char *
token_keeper_wrong(const struct token_keeper *keeper)
{
	return str_empty(keeper->why) ? str_or_empty(keeper->damaged) : keeper->why;
}

void
token_keeper_reload(struct token_keeper *keeper)
{
	timer_every(keeper->timer, keeper->config->collect_period * INT64_C(1000));
}

struct token_keeper *
token_keeper_new(struct event_base *base, const struct config *config, struct jobs *jobs,
    const struct work_env *env, struct tokens *tokens, void (*changed)(void *arg), void *arg)
{
	struct token_keeper *keeper = xcalloc(1, sizeof(*keeper));

	keeper->config = config;
	keeper->jobs = jobs;
	keeper->env = env;
	keeper->tokens = tokens;
	keeper->why = xstrdup("they were not read yet");
	keeper->changed = changed;
	keeper->arg = arg;
	keeper->timer = timer_new(base, on_period, keeper);
	keeper->told = timer_new(base, on_told, keeper);
	LIST_INIT(&keeper->changes);
	token_keeper_reload(keeper);
	look(keeper);
	return keeper;
}

void
token_keeper_free(struct token_keeper *keeper)
{
	struct error err = { 0 };

	if (!keeper)
		return;
	error_set(&err, 503, "virtxd stops");
	while (!LIST_EMPTY(&keeper->changes))
		refuse(LIST_FIRST(&keeper->changes), &err);
	timer_free(keeper->timer);
	timer_free(keeper->told);
	free(keeper->stamp);
	free(keeper->why);
	free(keeper->damaged);
	free(keeper);
}
