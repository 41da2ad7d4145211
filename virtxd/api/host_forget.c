/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A host is forgotten by this one and, asked by it, by all others that are active. */
#include <string.h>

#include "api/handlers.h"
#include "ops/context.h"
#include "ops/known.h"
#include "ops/token_keeper.h"
#include "proto/problem.h"

struct asked {
	struct peer_ask ask;
	struct forgetting *forgetting;
	char *name;
};

struct forgetting {
	LIST_ENTRY(forgetting) link;
	struct request *req; /* NULL once it is answered */
	struct asked *asked;
	size_t n, n_open;
	struct buffer failed; /* who did not forget it, or takes it still, and why */
};

static void
forgetting_free(struct forgetting *forgetting)
{
	LIST_REMOVE(forgetting, link);
	for (size_t i = 0; i < forgetting->n; i++)
		free(forgetting->asked[i].name);
	free(forgetting->asked);
	buffer_clear(&forgetting->failed);
	free(forgetting);
}

static void
reply(struct forgetting *forgetting)
{
	struct request_header header = { "Warning", NULL };
	_free_ char *value = NULL;

	if (!forgetting->req)
		return;
	if (forgetting->failed.len == 0) {
		request_reply(steal_ptr(forgetting->req), 204);
		return;
	}
	header.value = value = request_warning(forgetting->failed.data);
	request_reply_json(steal_ptr(forgetting->req), 200, NULL, 0, &header, 1);
}

static void
on_gone(void *arg)
{
	static const struct error none = { .status = 499 };
	struct forgetting *forgetting = arg;

	request_reply_error(steal_ptr(forgetting->req), &none);
}

static const struct request_watch watch = { .gone = on_gone };

static void
note_failure(struct forgetting *forgetting, const char *name, const struct error *err)
{
	buffer_printf(&forgetting->failed, "%shost '%s' does not forget it: %.200s",
	    forgetting->failed.len ? "; " : "", name, err->detail);
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
	if (--forgetting->n_open > 0)
		return;
	reply(forgetting);
	forgetting_free(forgetting);
}

static void
ask_others(struct context *ctx, struct forgetting *forgetting, const char *path, const char *user)
{
	const struct host_list_fields active = { .cstate = CSTATE_ACTIVE };
	const char *self = inventory_self(ctx->inventory);
	struct host_list list = { 0 };

	inventory_list_hosts(ctx->inventory, &active, NULL, &list);
	forgetting->asked = xcalloc(list.n_items + 1, sizeof(*forgetting->asked));
	for (size_t i = 0; i < list.n_items; i++) {
		const struct host_list_item *item = &list.items[i];
		struct asked *asked = &forgetting->asked[forgetting->n];
		struct error err = { 0 };

		/* The Go virtx forgets nobody. */
		if (str_equal(item->uuid, self) || inventory_is_out(ctx->inventory, item->uuid) ||
		    !inventory_tells_digest(ctx->inventory, item->uuid))
			continue;
		*asked = (struct asked){ .ask = { .answered = on_answered, .arg = asked },
			.forgetting = forgetting,
			.name = xstrdup(item->fields.name) };
		forgetting->n++;
		if (ctx->host_ops->ask(ctx->host_arg, &asked->ask, item->uuid, METHOD_DELETE, path,
			user, NULL, &err) == 0)
			forgetting->n_open++;
		else
			note_failure(forgetting, asked->name, &err);
	}
	model_clear(&host_list_model, &list);
}

static void
note_text(struct forgetting *forgetting, const char *text)
{
	if (text)
		buffer_printf(
		    &forgetting->failed, "%s%s", forgetting->failed.len ? "; " : "", text);
}

/* out: it was put out before; forced: also while it is active; taken: why it is not everywhere,
 * NULL where it is. One that is active stays known, with its VMs: they run on there. */
static void
forget(struct context *ctx, struct request *req, bool out, bool forced, const char *taken)
{
	_free_ char *left = forced ? inventory_out_text(ctx->inventory, req->param) : NULL;
	_free_ char *one = route_path(ROUTE_HOST_FORGET, req->param);
	_free_ char *path = xasprintf("%s%s", one, left ? "?put_out=true" : "");
	struct forgetting *forgetting;
	struct error err = { 0 };

	if (!left && inventory_forget_host(ctx->inventory, req->param, &err) < 0) {
		/* Somebody else has had it forgotten meanwhile. */
		if (out && error_is(&err, ERROR_NOT_FOUND)) {
			request_reply(req, 204);
			return;
		}
		if (out)
			error_append(&err,
			    "it has come back since, and its certificate is not taken any more: "
			    "where it is to stay, remove 'auth/.out.%s' of the storage",
			    req->param);
		request_reply_error(req, &err);
		return;
	}
	if (!left)
		ctx->host_ops->forgotten(ctx->host_arg, req->param);
	if (req->looped) {
		request_reply(req, 204);
		return;
	}
	forgetting = xcalloc(1, sizeof(*forgetting));
	forgetting->req = req;
	note_text(forgetting, left);
	note_text(forgetting, taken);
	LIST_INSERT_HEAD(&ctx->forgettings, forgetting, link);
	ask_others(ctx, forgetting, path, req->user);
	if (forgetting->n_open > 0) {
		request_set_watch(req, &watch, forgetting);
		return;
	}
	reply(forgetting);
	forgetting_free(forgetting);
}

static void
on_put_out(void *arg, struct request *req, const struct error *err, const char *taken)
{
	if (err)
		request_reply_error(req, err);
	else
		forget(arg, req, true, false, taken);
}

static void
on_forced_out(void *arg, struct request *req, const struct error *err, const char *taken)
{
	if (err)
		request_reply_error(req, err);
	else
		forget(arg, req, true, true, taken);
}

static void
on_unknown_put_out(void *arg, struct request *req, const struct error *err, const char *taken)
{
	struct request_header header = { "Warning", NULL };
	_free_ char *text = NULL, *value = NULL;

	if (err) {
		request_reply_error(req, err);
		return;
	}
	text = xasprintf("no host '%s' is known: where there is one, it is put out%s%s", req->param,
	    taken ? "; " : "", str_or_empty(taken));
	header.value = value = request_warning(text);
	request_reply_json(req, 200, NULL, 0, &header, 1);
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
		error_set(ret_why, 503, "which hosts are active is not known: %s", ready.serf);
	}
	model_clear(&ready_model, &ready);
	return known;
}

/* One that was away for long, or whose member has taken another UUID, is forgotten by itself, and
 * has its certificate all the same. */
static void
put_out_unknown(struct context *ctx, struct request *req)
{
	struct error err = { 0 };

	if (are_hosts_known(ctx, &err))
		token_keeper_put_out(ctx->tokens, req, req->param, true, on_unknown_put_out, ctx);
	else
		known_refuse(req, &err);
}

static bool
is_active(const struct context *ctx, const char *uuid)
{
	const struct host *host = inventory_find_host(ctx->inventory, uuid);

	return host && host->cstate == CSTATE_ACTIVE;
}

/* Whether it can be done as the request says; certified: hosts are known by certificates here. */
static int
check(const struct context *ctx, const struct request *req, bool certified, bool *ret_forced,
    struct error *err)
{
	bool forced;

	if (request_flag(req, "put_out", &forced, err) < 0)
		return -1;
	*ret_forced = forced;
	if (!forced || !is_active(ctx, req->param))
		return inventory_check_forget(ctx->inventory, req->param, err);
	if (str_equal(req->param, inventory_self(ctx->inventory)))
		return error_set(err, 409,
		    "put_out: host '%s' is this one: ask another one, which goes on without it",
		    req->param);
	if (!certified)
		return error_set(err, 409,
		    "put_out: hosts have no certificates here ('certificate' of section [tls]) by "
		    "which host '%s' could be refused while it is active: stop it, and forget it "
		    "then",
		    req->param);
	return 0;
}

/* Where hosts are known by certificates, this one's is good until it ends, and it may still have
 * what it takes to be a member of serf: it is put out for good before it is forgotten. Of one that
 * is active the others are told where that is written. */
void
api_host_forget(struct context *ctx, struct request *req)
{
	bool certified = ctx->tokens && config_has_tls(ctx->config);
	struct error err = { 0 };
	bool forced = false;
	int r = check(ctx, req, certified, &forced, &err);

	if (r < 0 && error_is(&err, ERROR_NOT_FOUND) && certified && !req->looped) {
		put_out_unknown(ctx, req);
	} else if (r < 0) {
		request_reply_error(req, &err);
	} else if (certified && !req->looped) {
		token_keeper_put_out(
		    ctx->tokens, req, req->param, true, forced ? on_forced_out : on_put_out, ctx);
	} else if (is_active(ctx, req->param)) {
		token_keeper_told(ctx->tokens);
		request_reply(req, 204);
	} else {
		forget(ctx, req, false, false, NULL);
	}
}

void
forgettings_free(struct context *ctx)
{
	struct forgetting *forgetting;

	while ((forgetting = LIST_FIRST(&ctx->forgettings))) {
		reply(forgetting);
		forgetting_free(forgetting);
	}
}
