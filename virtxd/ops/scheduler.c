/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host that is asked chooses by what it has heard; the one that is chosen knows what it has,
 * and has the last word. With the request goes what it was thought to have (X-VirtX-Placed: VMs and
 * MiB): where it has more VMs or clearly less memory by now, others have chosen it meanwhile, and
 * it refuses, so that VMs that are created on many hosts at once are spread as well as those of
 * one. A refusal (X-VirtX-Refused: VMs, vCPUs, MiB of memory and of hugepages) means that nothing
 * was done, and by its figures the next choice is better.
 */
#include "ops/scheduler.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ops/admission.h"
#include "ops/context.h"
#include "ops/task.h"
#include "proto/json.h"
#include "proto/log.h"
#include "proto/problem.h"
#include "proto/uuid.h"
#include "proto/vmdef.h"
#include "state/reservation.h"

#define HOSTS_MAX    8	 /* that may refuse for good until the request is given up */
#define STALE_MAX    24	 /* refusals by news; after these the host is asked to overlook them */
#define ATTEMPTS_MAX 32	 /* all together, whoever refuses and however */
#define WHY_MAX	     500 /* bytes of a reason that is passed on */

struct scheduling {
	struct context *ctx;
	struct request *req;
	struct vm_create_options options;
	scheduler_create_here here;
	char host[UUID_TEXT_SIZE]; /* that is asked now */
	uint64_t reservation;
	unsigned int attempts, stale;
	bool overlooks;	      /* it is asked to take the VM whatever it has by now */
	int64_t deadline;     /* monotonic ms, for another attempt to begin */
	struct error last;    /* why the host that was asked does not take it */
	struct error unready; /* why this host cannot, status 0 where it can */
	struct placement_excluded excluded[HOSTS_MAX];
	size_t n_excluded;
};

static void
scheduling_free(struct scheduling *run)
{
	for (size_t i = 0; i < run->n_excluded; i++) {
		free((char *)run->excluded[i].host);
		free((char *)run->excluded[i].why);
	}
	model_clear(&vm_create_options_model, &run->options);
	free(run);
}

char *
scheduler_text(const struct placement *placement)
{
	if (placement->n_candidates < 2)
		return xstrdup("");
	return xasprintf("placed on %s", placement->reason);
}

void
scheduler_explain(struct context *ctx, struct request *req, const struct placement_need *need)
{
	scheduler_explain_stay(ctx, req, need, NULL);
}

void
scheduler_explain_stay(
    struct context *ctx, struct request *req, const struct placement_need *need, const char *why)
{
	struct planner *planner = planner_new(ctx->inventory);
	struct placement placement = { 0 };

	planner_place(planner, need, &placement, NULL);
	if (why) {
		str_set(&placement.host, "");
		str_set(&placement.reason, why);
	}
	request_reply_model(req, 200, &placement_model, &placement);
	model_clear(&placement_model, &placement);
	planner_free(planner);
}

int
scheduler_choose(struct context *ctx, const struct placement_need *need, struct placement *ret,
    struct error *err)
{
	struct planner *planner = planner_new(ctx->inventory);
	int r = planner_place(planner, need, ret, err);

	planner_free(planner);
	return r;
}

/* What goes into a header: printable ASCII, and not too much. */
static char *
header_text(const char *text)
{
	char *out = xstrndup(text, WHY_MAX);

	for (char *p = out; *p; p++) {
		if (*p < ' ' || *p > '~')
			*p = '?';
	}
	return out;
}

static void
exclude(struct scheduling *run, const char *host, const char *why)
{
	run->excluded[run->n_excluded++] =
	    (struct placement_excluded){ xstrdup(host), xstrdup(why) };
}

void
scheduler_take_refusal(struct context *ctx, const char *host, const char *refused)
{
	struct host_figures figures;

	if (admission_read_refusal(refused, &figures))
		inventory_take_figures(ctx->inventory, host, &figures);
}

/* The host said no, and what it has. */
static void
take_refusal(struct scheduling *run, const struct request_answer *answer)
{
	_free_ char *why = NULL;

	scheduler_take_refusal(run->ctx, run->host, answer->refused);
	problem_decode(&run->last, answer->status, answer->body, answer->len);
	log_debug("ops", "host '%s' refuses a VM: %s", run->host, run->last.detail);
	if (error_is(&run->last, ERROR_BUSY) && !run->overlooks) {
		run->stale++;
		return;
	}
	why = xasprintf("it refused: %.300s", run->last.detail);
	exclude(run, run->host, why);
}

/* The VM that the answer is about, "" where it does not tell. */
static char *
created_vm(const struct request_answer *answer)
{
	struct operation operation = { 0 };
	struct error ignored;
	char *vm = NULL;

	if (answer->status == 201) {
		if (json_decode_string(answer->body, answer->len, &vm, &ignored) == 0)
			return vm;
	} else if (answer->status == 202) {
		if (json_decode(
			&operation_model, answer->body, answer->len, &operation, &ignored) == 0)
			vm = steal_ptr(operation.vm);
		model_clear(&operation_model, &operation);
	}
	return vm ? vm : xstrdup("");
}

static void attempt(struct scheduling *run);

static bool
on_answered(void *arg, struct request *req, const struct request_answer *answer)
{
	struct scheduling *run = arg;
	struct inventory *inventory = run->ctx->inventory;
	bool refused = answer->refused && answer->status >= 400;
	bool again = !answer->gone && (refused || answer->unsent);
	_free_ char *vm = created_vm(answer);

	/* One whose end is not known may yet be there. */
	if (again || (answer->status >= 400 && answer->status != 504))
		reservation_cancel(inventory, run->reservation);
	else
		reservation_settle(inventory, run->reservation, vm);
	if (!again) {
		scheduling_free(run);
		return false;
	}
	if (refused) {
		take_refusal(run, answer);
	} else {
		run->last = *answer->err;
		exclude(run, run->host, run->last.detail);
	}
	attempt(run);
	return true;
}

static void
ask_host(struct scheduling *run, const struct placement *placement, const char *placed)
{
	_free_ char *text = scheduler_text(placement), *why = header_text(text);
	struct request_header headers[] = { { "X-VirtX-Placement", why },
		{ "X-VirtX-Placed", placed } };
	struct request_forward more = { headers, ARRAY_SIZE(headers), on_answered, run };

	snprintf(run->host, sizeof(run->host), "%s", placement->host);
	run->reservation = reservation_add(run->ctx->inventory, run->host, "", &run->options.vmdef);
	run->ctx->host_ops->forward_chosen(run->ctx->host_arg, run->req, run->host, &more);
}

/* Whether hosts have refused for long enough. */
static int
check_attempts(struct scheduling *run, struct error *err)
{
	const char *name = str_or_empty(run->options.vmdef.name);

	if (run->n_excluded == HOSTS_MAX)
		return error_set_type(err, ERROR_NO_HOST,
		    "%d hosts do not take VM '%s'; the last: %s", HOSTS_MAX, name,
		    run->excluded[HOSTS_MAX - 1].why);
	if (run->attempts < ATTEMPTS_MAX && monotonic_ms() < run->deadline) {
		run->attempts++;
		return 0;
	}
	return error_set(err, 503,
	    "after %u attempts no host has taken VM '%s'; the last, '%s': %s", run->attempts, name,
	    run->host, run->last.detail);
}

/* Chooses anew, and asks that host. */
static void
attempt(struct scheduling *run)
{
	struct context *ctx = run->ctx;
	const char *self = inventory_self(ctx->inventory);
	const struct vmdef *def = &run->options.vmdef;
	struct placement_need need = {
		.vm = "",
		.from = "",
		.target = "",
		.def = def,
		.excluded = run->excluded,
		.n_excluded = run->n_excluded,
	};
	struct planner *planner = planner_new(ctx->inventory);
	struct host_figures before = { 0 };
	struct placement placement = { 0 };
	struct error err = { 0 };
	char placed[64] = "";
	bool given_up = check_attempts(run, &err) < 0;

	run->overlooks = run->stale >= STALE_MAX;
	if (!given_up && planner_place(planner, &need, &placement, &err) == 0) {
		planner_figures(planner, placement.host, &before);
		/* As it was before this VM. */
		if (!run->overlooks)
			snprintf(placed, sizeof(placed), "%" PRId64 " %" PRId64, before.vms - 1,
			    (def->memory.hp ? before.hp : before.memory) + def->memory.total);
	}
	planner_free(planner);
	if (err.status) {
		/* Where there is no other host this one's reason is the answer. */
		request_reply_error(run->req,
		    run->unready.status && !given_up && placement.n_candidates < 2 ? &run->unready
										   : &err);
		scheduling_free(run);
	} else if (str_equal(placement.host, self)) {
		_free_ char *why = scheduler_text(&placement);

		run->here(ctx, run->req, &run->options, why);
		scheduling_free(run);
	} else {
		ask_host(run, &placement, placed);
	}
	model_clear(&placement_model, &placement);
}

void
scheduler_create(struct context *ctx, struct request *req, const struct vm_create_options *options,
    scheduler_create_here here, const struct error *lack)
{
	struct scheduling *run = xcalloc(1, sizeof(*run));

	run->ctx = ctx;
	run->req = req;
	run->here = here;
	run->deadline = monotonic_ms() + ctx->config->reply_timeout * INT64_C(1000);
	model_copy(&vm_create_options_model, &run->options, options);
	if (lack)
		run->unready = *lack;
	if (lack || task_ready(ctx, TASK_NEEDS_LOCKSPACE, &run->unready) < 0)
		exclude(run, inventory_self(ctx->inventory), run->unready.detail);
	attempt(run);
}
