/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/forget.h"

#include <assert.h>
#include <stdio.h>

#include "ops/context.h"
#include "ops/known.h"
#include "ops/token_keeper.h"
#include "proto/log.h"
#include "proto/problem.h"

enum state {
	STATE_BEGUN,
	STATE_PUTTING_OUT, /* the token keeper has the request */
	STATE_ASKING,	   /* the others */
	STATE_ENDED,
	STATE_N,
};

static const char *const state_names[STATE_N] = { "begun", "putting out", "asking", "ended" };

/* As in the header. */
static const unsigned int transitions[STATE_N] = {
	[STATE_BEGUN] = 1 << STATE_PUTTING_OUT | 1 << STATE_ASKING | 1 << STATE_ENDED,
	[STATE_PUTTING_OUT] = 1 << STATE_ASKING | 1 << STATE_ENDED,
	[STATE_ASKING] = 1 << STATE_ENDED,
};

struct asked {
	struct peer_ask ask;
	struct forgetting *forgetting;
	char *name;
};

struct forgetting {
	LIST_ENTRY(forgetting) link; /* of the context's while it asks */
	struct context *ctx;
	enum state state;
	struct request *req; /* NULL once it is answered */
	forget_done done;
	char host[UUID_TEXT_SIZE];
	bool put_out; /* also while it is active */
	struct asked *asked;
	size_t n, n_open;
	struct buffer left; /* who did not forget it, or takes it still, and why */
};

static void
set_state(struct forgetting *forgetting, enum state state)
{
	assert(transitions[forgetting->state] & 1U << state);
	log_debug("ops", "host '%s' is forgotten: %s, then %s", forgetting->host,
	    state_names[forgetting->state], state_names[state]);
	forgetting->state = state;
}

static void
answer(struct forgetting *forgetting, const struct error *err, bool later)
{
	const struct forget_outcome outcome = { err, later,
		!err && forgetting->left.len > 0 ? forgetting->left.data : NULL };

	if (forgetting->req)
		forgetting->done(steal_ptr(forgetting->req), &outcome);
}

static void
forgetting_free(struct forgetting *forgetting)
{
	if (forgetting->state == STATE_ASKING)
		LIST_REMOVE(forgetting, link);
	set_state(forgetting, STATE_ENDED);
	for (size_t i = 0; i < forgetting->n; i++)
		free(forgetting->asked[i].name);
	free(forgetting->asked);
	buffer_clear(&forgetting->left);
	free(forgetting);
}

static void
end(struct forgetting *forgetting, const struct error *err)
{
	answer(forgetting, err, false);
	forgetting_free(forgetting);
}

static void
note(struct forgetting *forgetting, const char *text)
{
	if (text)
		buffer_printf(&forgetting->left, "%s%s", forgetting->left.len ? "; " : "", text);
}

/* The others */

static void
on_gone(void *arg)
{
	static const struct error none = { .status = 499 };

	answer(arg, &none, false);
}

static const struct request_watch watch = { .gone = on_gone };

static void
note_failure(struct forgetting *forgetting, const char *name, const struct error *err)
{
	_free_ char *text = xasprintf("host '%s' does not forget it: %.200s", name, err->detail);

	note(forgetting, text);
}

static void
on_answered(
    struct peer_ask *ask, int status, const char *body, size_t len, const struct error *cause)
{
	struct asked *asked = ask->arg;
	struct forgetting *forgetting = asked->forgetting;
	struct error err = { 0 };

	if (cause)
		err = *cause;
	else if (status / 100 != 2)
		problem_decode(&err, status, body, len);
	/* One that does not know it has nothing to forget. */
	if (err.status && !error_is(&err, ERROR_NOT_FOUND))
		note_failure(forgetting, asked->name, &err);
	if (--forgetting->n_open == 0)
		end(forgetting, NULL);
}

static void
ask_one(struct forgetting *forgetting, const struct host_list_item *item, const char *path)
{
	struct context *ctx = forgetting->ctx;
	struct asked *asked = &forgetting->asked[forgetting->n++];
	struct error err = { 0 };

	*asked = (struct asked){ .ask = { .answered = on_answered, .arg = asked },
		.forgetting = forgetting,
		.name = xstrdup(item->fields.name) };
	if (ctx->host_ops->ask(ctx->host_arg, &asked->ask, item->uuid, METHOD_DELETE, path,
		forgetting->req->user, NULL, &err) == 0)
		forgetting->n_open++;
	else
		note_failure(forgetting, asked->name, &err);
}

/* active: the host is, and stays known. */
static void
ask_others(struct forgetting *forgetting, bool active)
{
	const struct host_list_fields fields = { .cstate = CSTATE_ACTIVE };
	struct context *ctx = forgetting->ctx;
	_free_ char *one = route_path(ROUTE_HOST_FORGET, forgetting->host);
	_free_ char *path = xasprintf("%s%s", one, active ? "?put_out=true" : "");
	struct host_list list = { 0 };

	set_state(forgetting, STATE_ASKING);
	LIST_INSERT_HEAD(&ctx->forgettings, forgetting, link);
	inventory_list_hosts(ctx->inventory, &fields, NULL, &list);
	forgetting->asked = xcalloc(list.n_items + 1, sizeof(*forgetting->asked));
	for (size_t i = 0; i < list.n_items; i++) {
		const char *uuid = list.items[i].uuid;

		/* The Go virtx forgets nobody. */
		if (!str_equal(uuid, inventory_self(ctx->inventory)) &&
		    !inventory_is_out(ctx->inventory, uuid) &&
		    inventory_tells_digest(ctx->inventory, uuid))
			ask_one(forgetting, &list.items[i], path);
	}
	model_clear(&host_list_model, &list);
	if (forgetting->n_open > 0)
		request_set_watch(forgetting->req, &watch, forgetting);
	else
		end(forgetting, NULL);
}

/* This host */

/* It could not be forgotten here. */
static void
fail_here(struct forgetting *forgetting, struct error *err)
{
	bool out = forgetting->state == STATE_PUTTING_OUT;

	/* Somebody else has had it forgotten meanwhile. */
	if (out && error_is(err, ERROR_NOT_FOUND)) {
		end(forgetting, NULL);
		return;
	}
	if (out)
		error_append(err,
		    "it has come back since, and its certificate is not taken any more: where it "
		    "is to stay, remove 'auth/.out.%s' of the storage",
		    forgetting->host);
	end(forgetting, err);
}

/* taken: why it is not out everywhere, NULL where it is. */
static void
forget(struct forgetting *forgetting, const char *taken)
{
	struct context *ctx = forgetting->ctx;
	bool forced = forgetting->put_out && forgetting->state == STATE_PUTTING_OUT;
	_free_ char *left = forced ? inventory_out_text(ctx->inventory, forgetting->host) : NULL;
	struct error err = { 0 };

	if (!left && inventory_forget_host(ctx->inventory, forgetting->host, &err) < 0) {
		fail_here(forgetting, &err);
		return;
	}
	if (!left)
		ctx->host_ops->forgotten(ctx->host_arg, forgetting->host);
	if (forgetting->req->looped) {
		end(forgetting, NULL);
		return;
	}
	note(forgetting, left);
	note(forgetting, taken);
	ask_others(forgetting, left != NULL);
}

/* Putting out */

static void
on_put_out(void *arg, struct request *req, const struct error *err, const char *taken)
{
	if (err)
		end(arg, err);
	else
		forget(arg, taken);
}

static void
on_unknown_put_out(void *arg, struct request *req, const struct error *err, const char *taken)
{
	struct forgetting *forgetting = arg;
	_free_ char *text =
	    xasprintf("no host '%s' is known: where there is one, it is put out%s%s",
		forgetting->host, taken ? "; " : "", str_or_empty(taken));

	note(forgetting, text);
	end(forgetting, err);
}

static void
put_out(struct forgetting *forgetting, token_keeper_kept kept)
{
	set_state(forgetting, STATE_PUTTING_OUT);
	token_keeper_put_out(
	    forgetting->ctx->tokens, forgetting->req, forgetting->host, true, kept, forgetting);
}

/* Whether a host that is active would be known here; *ret_why becomes why not. */
static bool
are_hosts_known(struct context *ctx, struct error *ret_why)
{
	_free_ char *missing = NULL;
	struct ready ready = { 0 };
	bool known = known_check(ctx, &missing, ret_why) == 0;

	ctx->host_ops->ready(ctx->host_arg, &ready);
	if (known && !str_empty(ready.serf)) {
		known = false;
		error_set_type(ret_why, ERROR_UNAVAILABLE,
		    "which hosts are active is not known: %s", ready.serf);
	}
	model_clear(&ready_model, &ready);
	return known;
}

/* One that was away for long, or whose member has taken another UUID, is forgotten by itself, and
 * has its certificate all the same. */
static void
put_out_unknown(struct forgetting *forgetting)
{
	struct error err = { 0 };

	if (are_hosts_known(forgetting->ctx, &err)) {
		put_out(forgetting, on_unknown_put_out);
		return;
	}
	answer(forgetting, &err, true);
	forgetting_free(forgetting);
}

static bool
is_active(const struct context *ctx, const char *uuid)
{
	const struct host *host = inventory_find_host(ctx->inventory, uuid);

	return host && host->cstate == CSTATE_ACTIVE;
}

/* certified: hosts are known by certificates here. */
static int
check(const struct forgetting *forgetting, bool certified, struct error *err)
{
	const struct context *ctx = forgetting->ctx;
	const char *host = forgetting->host;

	if (!forgetting->put_out || !is_active(ctx, host))
		return inventory_check_forget(ctx->inventory, host, err);
	if (str_equal(host, inventory_self(ctx->inventory)))
		return error_set_type(err, ERROR_BUSY,
		    "put_out: host '%s' is this one: ask another one, which goes on without it",
		    host);
	if (!certified)
		return error_set_type(err, ERROR_BUSY,
		    "put_out: hosts have no certificates here ('certificate' of section [tls]) by "
		    "which host '%s' could be refused while it is active: stop it, and forget it "
		    "then",
		    host);
	return 0;
}

/* Of one that is active the others are told where that is written, and read it there. */
void
forget_start(struct context *ctx, struct request *req, bool put_out_active, forget_done done)
{
	bool certified = ctx->tokens && config_has_tls(ctx->config);
	struct forgetting *forgetting = xcalloc(1, sizeof(*forgetting));
	struct error err = { 0 };
	int r;

	*forgetting =
	    (struct forgetting){ .ctx = ctx, .req = req, .done = done, .put_out = put_out_active };
	snprintf(forgetting->host, sizeof(forgetting->host), "%.36s", req->param);
	r = check(forgetting, certified, &err);
	if (r < 0 && error_is(&err, ERROR_NOT_FOUND) && certified && !req->looped) {
		put_out_unknown(forgetting);
	} else if (r < 0) {
		end(forgetting, &err);
	} else if (certified && !req->looped) {
		put_out(forgetting, on_put_out);
	} else if (is_active(ctx, forgetting->host)) {
		token_keeper_told(ctx->tokens);
		end(forgetting, NULL);
	} else {
		forget(forgetting, NULL);
	}
}

void
forgettings_free(struct context *ctx)
{
	while (!LIST_EMPTY(&ctx->forgettings))
		end(LIST_FIRST(&ctx->forgettings), NULL);
}
