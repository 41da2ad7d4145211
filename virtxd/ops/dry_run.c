/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/dry_run.h"

#include <stdio.h>
#include <string.h>

#include "loop/timer.h"
#include "ops/context.h"
#include "ops/scheduler.h"
#include "proto/json.h"
#include "proto/uuid.h"
#include "proto/vmdef.h"

#define HOSTS_MAX 64 /* that are asked: the best; the others are judged by what they have told */
#define WAIT_S	  10

struct dry_run {
	LIST_ENTRY(dry_run) link;
	struct context *ctx;
	struct request *req; /* NULL once it is answered */
	struct vm_create_options options;
	char target[UUID_TEXT_SIZE]; /* the host that was named, "" for none */
	struct placement_excluded excluded[HOSTS_MAX + 1];
	size_t n_excluded;
	struct asked {
		struct peer_ask ask;
		struct dry_run *run;
		char host[UUID_TEXT_SIZE];
	} asked[HOSTS_MAX];
	unsigned int n_waiting;
	struct timer *late;
};

static void
dry_run_free(struct dry_run *run)
{
	LIST_REMOVE(run, link);
	timer_free(run->late);
	for (size_t i = 0; i < run->n_excluded; i++) {
		free((char *)run->excluded[i].host);
		free((char *)run->excluded[i].why);
	}
	model_clear(&vm_create_options_model, &run->options);
	free(run);
}

void
dry_runs_free(struct context *ctx)
{
	struct dry_run *run;
	struct error err = { 0 };

	error_set(&err, 503, "virtxd stops");
	while ((run = LIST_FIRST(&ctx->dry_runs))) {
		if (run->req)
			request_reply_error(run->req, &err);
		dry_run_free(run);
	}
}

static void
exclude(struct dry_run *run, const char *host, const char *why)
{
	run->excluded[run->n_excluded++] =
	    (struct placement_excluded){ xstrdup(host), xstrdup(why) };
}

static struct placement_need
need_of(const struct dry_run *run)
{
	return (struct placement_need){ .vm = "",
		.from = "",
		.target = run->target,
		.def = &run->options.vmdef,
		.excluded = run->excluded,
		.n_excluded = run->n_excluded };
}

/* With what is known by now. */
static void
explain(struct dry_run *run)
{
	struct placement_need need = need_of(run);

	if (run->req)
		scheduler_explain(run->ctx, steal_ptr(run->req), &need);
}

static void
on_answered(struct peer_ask *ask, int status, const char *body, size_t len, const struct error *err)
{
	struct asked *asked = ask->arg;
	struct dry_run *run = asked->run;
	struct placement placement = { 0 };
	struct error ignored;

	if (status == 200 && json_decode(&placement_model, body, len, &placement, &ignored) == 0 &&
	    str_empty(placement.host) && placement.n_candidates == 1)
		exclude(run, asked->host, str_or_empty(placement.candidates[0].reason));
	model_clear(&placement_model, &placement);
	if (--run->n_waiting > 0)
		return;
	explain(run);
	dry_run_free(run);
}

static void
on_late(void *arg)
{
	explain(arg);
}

static void
ask_host(struct dry_run *run, const char *host, const char *user)
{
	struct asked *asked = &run->asked[run->n_waiting];
	struct vm_create_options options = run->options;
	_free_ char *path = xasprintf("%s?dry_run=true", routes[ROUTE_VM_CREATE].path);
	_free_ char *body = NULL;
	struct error ignored = { 0 };

	snprintf(asked->host, sizeof(asked->host), "%s", host);
	options.host = asked->host;
	body = json_encode(&vm_create_options_model, &options, NULL);
	asked->run = run;
	asked->ask = (struct peer_ask){ .answered = on_answered, .arg = asked };
	if (run->ctx->host_ops->ask(run->ctx->host_arg, &asked->ask, host, METHOD_POST, path, user,
		body, &ignored) == 0)
		run->n_waiting++;
}

/* Asks those that could have it by what is known of them. */
static void
ask_hosts(struct dry_run *run)
{
	const struct inventory *inventory = run->ctx->inventory;
	struct placement_need need = need_of(run);
	struct placement placement = { 0 };

	scheduler_choose(run->ctx, &need, &placement, NULL);
	for (size_t i = 0; i < placement.n_candidates && run->n_waiting < HOSTS_MAX; i++) {
		const struct placement_candidate *candidate = &placement.candidates[i];

		/* The Go virtx would create it. */
		if (candidate->feasible && !str_equal(candidate->host, inventory_self(inventory)) &&
		    inventory_tells_digest(inventory, candidate->host))
			ask_host(run, candidate->host, run->req->user);
	}
	model_clear(&placement_model, &placement);
}

void
dry_run_start(struct context *ctx, struct request *req, const struct vm_create_options *options,
    const struct error *lack)
{
	struct dry_run *run = xcalloc(1, sizeof(*run));

	run->ctx = ctx;
	run->req = req;
	LIST_INSERT_HEAD(&ctx->dry_runs, run, link);
	model_copy(&vm_create_options_model, &run->options, options);
	uuid_normalize(str_or_empty(options->host), run->target);
	run->late = timer_new(ctx->base, on_late, run);
	if (lack)
		exclude(run, inventory_self(ctx->inventory), lack->detail);
	/* What a host can see beyond what it has told is its networks, and CPU models. */
	if (!req->looped && (options->vmdef.n_nets > 0 || vmdef_names_model(&options->vmdef)))
		ask_hosts(run);
	if (run->n_waiting > 0) {
		timer_start(run->late, WAIT_S * 1000);
		return;
	}
	explain(run);
	dry_run_free(run);
}
