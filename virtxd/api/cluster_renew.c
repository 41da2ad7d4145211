/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hosts renew their certificates: root of a host asks its own virtxd, and that a host which has the
 * key of the CA, to which it shows the present one. */
#include <string.h>
#include <sys/random.h>

#include "api/handlers.h"
#include "ops/context.h"
#include "ops/signing.h"
#include "ops/task.h"
#include "ops/token_keeper.h"
#include "proto/cluster.h"
#include "proto/json.h"
#include "proto/pem.h"
#include "proto/pki.h"
#include "proto/problem.h"
#include "state/caller.h"

#define ASKED_MAX 64			       /* hosts, one after the other */
#define GOOD_MS	  (INT64_C(30) * 86400 * 1000) /* certificates last for more */

/* One that is looked for a host with the key. */
struct renewing {
	LIST_ENTRY(renewing) link;
	struct context *ctx;
	struct request *req;
	struct peer_ask ask;
	char *body;
	char hosts[ASKED_MAX][UUID_TEXT_SIZE];
	size_t n, next;
	struct buffer failed; /* what those said that were asked */
};

static void
renewed(struct context *ctx, struct request *req, const struct cluster_sign_result *result,
    const struct error *cause, void *arg)
{
	struct cluster_certificates certificates = { 0 };

	if (!result) {
		request_reply_error(req, cause);
		return;
	}
	certificates = (struct cluster_certificates){ result->certificate, result->qemu_certificate,
		result->ca };
	request_reply_model(req, 200, &cluster_certificates_model, &certificates);
}

static void
renewing_free(struct renewing *renewing)
{
	LIST_REMOVE(renewing, link);
	buffer_clear(&renewing->failed);
	free(renewing->body);
	free(renewing);
}

static void
fail(struct renewing *renewing)
{
	struct error err = { 0 };

	error_set(&err, 503, "no active host has the key of the cluster's CA%s%s",
	    renewing->failed.len ? ": " : "", str_or_empty(renewing->failed.data));
	request_reply_error(renewing->req, &err);
	renewing_free(renewing);
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
			&err) == 0)
			return;
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

	if (!pki_host(text, host) || strcmp(host, inventory_self(renewing->ctx->inventory)) != 0)
		return error_set(err, 502, "what it answered is no certificate of this host");
	if (pki_end(text, &ignored) <= now_ms())
		return error_set(err, 502, "the certificate that it answered has ended");
	return 0;
}

static void
on_answered(
    struct peer_ask *ask, int status, const char *body, size_t len, const struct error *cause)
{
	struct renewing *renewing = ask->arg;
	struct cluster_certificates certificates = { 0 };
	struct error err = { 0 };

	if (cause)
		err = *cause;
	else if (status != 200)
		problem_decode(&err, status, body, len);
	else
		(void)json_decode(&cluster_certificates_model, body, len, &certificates, &err);
	if (!err.status && check_answer(renewing, &certificates, &err) == 0) {
		memcpy(renewing->ctx->renewed_by, renewing->hosts[renewing->next - 1],
		    sizeof(renewing->ctx->renewed_by));
		renewing->ctx->renewed_at = monotonic_ms();
		request_reply_model(renewing->req, 200, &cluster_certificates_model, &certificates);
		renewing_free(renewing);
	} else {
		note(renewing, &err);
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

static void
ask_others(struct context *ctx, struct request *req)
{
	const struct host_list_fields active = { .cstate = CSTATE_ACTIVE };
	struct renewing *renewing = xcalloc(1, sizeof(*renewing));
	struct host_list list = { 0 };

	renewing->ctx = ctx;
	renewing->req = req;
	renewing->body = xmemdup(req->body, req->body_len);
	renewing->ask = (struct peer_ask){ .answered = on_answered, .arg = renewing };
	LIST_INSERT_HEAD(&ctx->renewings, renewing, link);
	inventory_list_hosts(ctx->inventory, &active, NULL, &list);
	for (size_t i = 0; i < list.n_items && renewing->n < ASKED_MAX; i++) {
		if (!str_equal(list.items[i].uuid, inventory_self(ctx->inventory)) &&
		    !inventory_is_out(ctx->inventory, list.items[i].uuid) &&
		    strlen(list.items[i].uuid) == UUID_TEXT_SIZE - 1)
			memcpy(renewing->hosts[renewing->n++], list.items[i].uuid, UUID_TEXT_SIZE);
	}
	model_clear(&host_list_model, &list);
	order_hosts(renewing);
	ask_next(renewing);
}

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
		return error_set(err, 400, "request: is not one request in PEM and nothing else");
	if (!str_empty(renewal->qemu_request) && !pem_is_alone(renewal->qemu_request))
		return error_set(
		    err, 400, "qemu_request: is not one request in PEM and nothing else");
	return 0;
}

/* A host gets what it is by the certificate that it shows, not by what it says. */
void
api_cluster_renew(struct context *ctx, struct request *req)
{
	bool root = is_root_here(req);
	bool asks = root && str_empty(ctx->config->tls_ca_key);
	const char *host = root ? inventory_self(ctx->inventory) : req->shown;
	struct cluster_renewal renewal = { 0 };
	struct signing_order order = { .uuid = host };
	struct error err = { 0 };

	if (task_read_exact(req, &renewal) < 0)
		return;
	if (str_empty(host)) {
		error_set_type(&err, ERROR_ROLE,
		    "a host renews its certificates by showing the present one, and none was "
		    "shown");
		request_reply_error(req, &err);
	} else if (check_alone(&renewal, &err) < 0 ||
		   (!asks && check_requests(ctx, req, &renewal, &err) < 0)) {
		request_reply_error(req, &err);
	} else if (asks) {
		ask_others(ctx, req);
	} else {
		/* "" would be a question for the CA alone. */
		order.request = str_empty(renewal.request) ? "none" : renewal.request;
		order.qemu_request = str_or_empty(renewal.qemu_request);
		signing_start(ctx, req, &order, renewed, NULL);
	}
	model_clear(&cluster_renewal_model, &renewal);
}

void
renewings_free(struct context *ctx)
{
	while (!LIST_EMPTY(&ctx->renewings))
		fail(LIST_FIRST(&ctx->renewings));
}
