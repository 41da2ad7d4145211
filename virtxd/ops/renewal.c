/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/renewal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "ops/context.h"
#include "ops/signing.h"
#include "ops/token_keeper.h"
#include "proto/json.h"
#include "proto/log.h"
#include "proto/pem.h"
#include "proto/pki.h"
#include "proto/problem.h"
#include "state/caller.h"

#define ASKED_MAX 64			       /* hosts, one after the other */
#define GOOD_MS	  (INT64_C(30) * 86400 * 1000) /* certificates last for more */

enum state {
	STATE_BEGUN,
	STATE_SIGNING,	/* a job of this host's signs */
	STATE_CHOOSING, /* the next host that is asked */
	STATE_ASKING,
	STATE_ENDED,
	STATE_N,
};

static const char *const state_names[STATE_N] = { "begun", "signing", "choosing", "asking",
	"ended" };

/* As in the header. */
static const unsigned int transitions[STATE_N] = {
	[STATE_BEGUN] = 1 << STATE_SIGNING | 1 << STATE_CHOOSING | 1 << STATE_ENDED,
	[STATE_SIGNING] = 1 << STATE_ENDED,
	[STATE_CHOOSING] = 1 << STATE_ASKING | 1 << STATE_ENDED,
	[STATE_ASKING] = 1 << STATE_CHOOSING | 1 << STATE_ENDED,
};

struct renewing {
	LIST_ENTRY(renewing) link; /* of the context's while other hosts are asked */
	struct context *ctx;
	enum state state;
	struct request *req;
	renewal_done done;
	char host[UUID_TEXT_SIZE]; /* whose they are, "" while that is not known */
	struct peer_ask ask;
	char *body;
	char hosts[ASKED_MAX][UUID_TEXT_SIZE];
	size_t n, next;
	struct buffer failed; /* what those said that were asked */
};

static void
set_state(struct renewing *renewing, enum state state)
{
	assert(transitions[renewing->state] & 1U << state);
	log_debug("ops", "the certificates of host '%s' are renewed: %s, then %s", renewing->host,
	    state_names[renewing->state], state_names[state]);
	renewing->state = state;
}

static void
end(struct renewing *renewing, const struct cluster_certificates *certificates,
    const struct error *err)
{
	renewing->done(renewing->req, certificates, err);
	if (renewing->state == STATE_CHOOSING || renewing->state == STATE_ASKING)
		LIST_REMOVE(renewing, link);
	set_state(renewing, STATE_ENDED);
	buffer_clear(&renewing->failed);
	free(renewing->body);
	free(renewing);
}

/* Another host signs */

static void
fail(struct renewing *renewing)
{
	struct error err = { 0 };

	error_set_type(&err, ERROR_UNAVAILABLE,
	    "no active host has the key of the cluster's CA%s%s", renewing->failed.len ? ": " : "",
	    str_or_empty(renewing->failed.data));
	end(renewing, NULL, &err);
}

static void
note(struct renewing *renewing, const struct error *err)
{
	buffer_printf(&renewing->failed, "%shost '%s': %.200s", renewing->failed.len ? "; " : "",
	    renewing->hosts[renewing->next - 1], err->detail);
}

/* Asks the next host; where there is none left, it has failed. */
static void
ask_next(struct renewing *renewing)
{
	struct context *ctx = renewing->ctx;
	struct error err = { 0 };

	while (renewing->next < renewing->n) {
		const char *host = renewing->hosts[renewing->next++];

		if (ctx->host_ops->ask(ctx->host_arg, &renewing->ask, host, METHOD_POST,
			routes[ROUTE_CLUSTER_RENEW].path, renewing->req->user, renewing->body,
			&err) == 0) {
			set_state(renewing, STATE_ASKING);
			return;
		}
		note(renewing, &err);
	}
	fail(renewing);
}

/* What virtxd can tell without the CA; who asked looks at the rest. */
static int
check_answer(const struct renewing *renewing, const struct cluster_certificates *certificates,
    struct error *err)
{
	const char *text = str_or_empty(certificates->certificate);
	char host[UUID_TEXT_SIZE];
	int64_t ignored;

	if (!pki_host(text, host) || strcmp(host, renewing->host) != 0)
		return error_set_type(
		    err, ERROR_NO_ANSWER, "what it answered is no certificate of this host");
	if (pki_end(text, &ignored) <= now_ms())
		return error_set_type(
		    err, ERROR_NO_ANSWER, "the certificate that it answered has ended");
	return 0;
}

static void
on_answered(
    struct peer_ask *ask, int status, const char *body, size_t len, const struct error *cause)
{
	struct renewing *renewing = ask->arg;
	struct context *ctx = renewing->ctx;
	struct cluster_certificates certificates = { 0 };
	struct error err = { 0 };

	if (cause)
		err = *cause;
	else if (status != 200)
		problem_decode(&err, status, body, len);
	else
		(void)json_decode(&cluster_certificates_model, body, len, &certificates, &err);
	if (!err.status && check_answer(renewing, &certificates, &err) == 0) {
		memcpy(
		    ctx->renewed_by, renewing->hosts[renewing->next - 1], sizeof(ctx->renewed_by));
		ctx->renewed_at = monotonic_ms();
		end(renewing, &certificates, NULL);
	} else {
		note(renewing, &err);
		set_state(renewing, STATE_CHOOSING);
		ask_next(renewing);
	}
	model_clear(&cluster_certificates_model, &certificates);
}

static size_t
random_below(size_t n)
{
	uint32_t number;

	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != sizeof(number))
		number = 0;
	return number % n;
}

static void
swap_hosts(struct renewing *renewing, size_t i, size_t k)
{
	char kept[UUID_TEXT_SIZE];

	memcpy(kept, renewing->hosts[i], sizeof(kept));
	memmove(renewing->hosts[i], renewing->hosts[k], sizeof(kept));
	memcpy(renewing->hosts[k], kept, sizeof(kept));
}

/* Who has signed before comes first, and of the others a different one each time: one that accepts
 * and does not answer keeps nobody off for days. Where it is asked for again so soon, what was
 * signed was no good: who has done that comes last. */
static void
order_hosts(struct renewing *renewing)
{
	const struct context *ctx = renewing->ctx;
	bool was_good = monotonic_ms() - ctx->renewed_at > GOOD_MS;

	for (size_t left = renewing->n; left > 1; left--)
		swap_hosts(renewing, left - 1, random_below(left));
	for (size_t i = 0; i < renewing->n; i++) {
		if (strcmp(renewing->hosts[i], ctx->renewed_by) != 0)
			continue;
		swap_hosts(renewing, was_good ? 0 : renewing->n - 1, i);
		return;
	}
}

/* All that are active, but not those that were put out. */
static void
find_hosts(struct renewing *renewing)
{
	const struct host_list_fields active = { .cstate = CSTATE_ACTIVE };
	const struct inventory *inventory = renewing->ctx->inventory;
	struct host_list list = { 0 };

	inventory_list_hosts(inventory, &active, NULL, &list);
	for (size_t i = 0; i < list.n_items && renewing->n < ASKED_MAX; i++) {
		const char *uuid = list.items[i].uuid;

		if (!str_equal(uuid, inventory_self(inventory)) &&
		    !inventory_is_out(inventory, uuid) && strlen(uuid) == UUID_TEXT_SIZE - 1)
			memcpy(renewing->hosts[renewing->n++], uuid, UUID_TEXT_SIZE);
	}
	model_clear(&host_list_model, &list);
}

static void
ask_others(struct renewing *renewing)
{
	const struct request *req = renewing->req;

	set_state(renewing, STATE_CHOOSING);
	LIST_INSERT_HEAD(&renewing->ctx->renewings, renewing, link);
	renewing->body = xmemdup(req->body, req->body_len);
	renewing->ask = (struct peer_ask){ .answered = on_answered, .arg = renewing };
	find_hosts(renewing);
	order_hosts(renewing);
	ask_next(renewing);
}

/* This host signs */

static void
on_signed(struct context *ctx, struct request *req, const struct cluster_sign_result *result,
    const struct error *cause, void *arg)
{
	struct cluster_certificates certificates = { 0 };

	if (result)
		certificates = (struct cluster_certificates){ result->certificate,
			result->qemu_certificate, result->ca };
	end(arg, result ? &certificates : NULL, cause);
}

static void
sign_here(struct renewing *renewing, const struct cluster_renewal *renewal)
{
	const struct signing_order order = {
		.uuid = renewing->host,
		/* "" would be a question for the CA alone. */
		.request = str_empty(renewal->request) ? "none" : renewal->request,
		.qemu_request = str_or_empty(renewal->qemu_request),
	};

	set_state(renewing, STATE_SIGNING);
	signing_start(renewing->ctx, renewing->req, &order, on_signed, renewing);
}

/* Who asks */

/* Root of this host, whom the kernel has named: that it is so elsewhere, another host may state. */
static bool
is_root_here(const struct request *req)
{
	return str_equal(req->client, CALLER_UNIX) && req->caller->by == CALLER_SOCKET;
}

/* Root of this host has the CA's key. Any other host is for the names that it has now: whoever has
 * taken it over becomes nobody else by that. */
static int
check_requests(const struct context *ctx, const struct request *req,
    const struct cluster_renewal *renewal, struct error *err)
{
	const struct signing_names may = { str_or_empty(req->shown_names), "", "" };

	if (is_root_here(req))
		return 0;
	if (ctx->tokens && token_keeper_check_host(ctx->tokens, req->shown, err) < 0)
		return -1;
	if (!inventory_is_newest(ctx->inventory, req->shown, req->shown_begin))
		return error_set_type(err, ERROR_ROLE,
		    "host '%s' has shown a newer certificate than this one, by which it renews no "
		    "other: where the newer one is lost, the host joins again",
		    req->shown);
	if (signing_check_names(&may, str_or_empty(renewal->request), err) < 0)
		return -1;
	return signing_check_names(&may, str_or_empty(renewal->qemu_request), err);
}

/* Each is one request, and nothing else that somebody might read later. */
static int
check_alone(const struct cluster_renewal *renewal, struct error *err)
{
	if (!str_empty(renewal->request) && !pem_is_alone(renewal->request))
		return error_set_type(
		    err, ERROR_INVALID, "request: is not one request in PEM and nothing else");
	if (!str_empty(renewal->qemu_request) && !pem_is_alone(renewal->qemu_request))
		return error_set_type(
		    err, ERROR_INVALID, "qemu_request: is not one request in PEM and nothing else");
	return 0;
}

/* A host gets what it is by the certificate that it shows, not by what it says. */
static int
check(const struct renewing *renewing, const struct cluster_renewal *renewal, bool asks,
    struct error *err)
{
	if (str_empty(renewing->host))
		return error_set_type(err, ERROR_ROLE,
		    "a host renews its certificates by showing the present one, and none was "
		    "shown");
	if (check_alone(renewal, err) < 0)
		return -1;
	return asks ? 0 : check_requests(renewing->ctx, renewing->req, renewal, err);
}

void
renewal_start(struct context *ctx, struct request *req, const struct cluster_renewal *renewal,
    renewal_done done)
{
	bool root = is_root_here(req);
	bool asks = root && str_empty(ctx->config->tls_ca_key);
	const char *host = root ? inventory_self(ctx->inventory) : req->shown;
	struct renewing *renewing = xcalloc(1, sizeof(*renewing));
	struct error err = { 0 };

	renewing->ctx = ctx;
	renewing->req = req;
	renewing->done = done;
	snprintf(renewing->host, sizeof(renewing->host), "%s", str_or_empty(host));
	if (check(renewing, renewal, asks, &err) < 0)
		end(renewing, NULL, &err);
	else if (asks)
		ask_others(renewing);
	else
		sign_here(renewing, renewal);
}

void
renewings_free(struct context *ctx)
{
	while (!LIST_EMPTY(&ctx->renewings))
		fail(LIST_FIRST(&ctx->renewings));
}
