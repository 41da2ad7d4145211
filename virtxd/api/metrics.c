/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/metrics.h"

#include "api/events.h"
#include "api/handlers.h"
#include "api/limits.h"
#include "api/loop_lag.h"
#include "api/metric.h"
#include "api/metrics_host.h"
#include "ops/context.h"
#include "ops/failover.h"
#include "ops/loss_plan.h"
#include "ops/token_keeper.h"
#include "state/operation_counts.h"

#define TYPE "text/plain; version=0.0.4; charset=utf-8"

static void
add_failovers(const struct failover_count *count, struct buffer *out)
{
	metric_family(out, METRIC_FAILOVERS);
	for (unsigned int i = FAILOVER_WAITS + 1; i < FAILOVER_RESULT_N; i++)
		metric_labelled(out, METRIC_FAILOVERS, "result",
		    enum_word(&failover_result_enum, i), (double)count->results[i]);
	metric_single(out, METRIC_FAILOVER_SECONDS, (double)count->booted_ms / 1000);
}

static void
add_outlook(struct loss_outlook outlook, struct buffer *out)
{
	if (!outlook.known)
		return;
	metric_single(out, METRIC_HA_LOSS_POSSIBLE, outlook.possible);
	metric_single(out, METRIC_HA_STRANDED, (double)outlook.stranded);
}

static void
add_up(struct context *ctx, struct buffer *out)
{
	struct ready ready = { 0 };

	ctx->host_ops->ready(ctx->host_arg, &ready);
	metric_family(out, METRIC_UP);
	metric_labelled(out, METRIC_UP, "part", "libvirt", str_empty(ready.libvirt));
	metric_labelled(out, METRIC_UP, "part", "serf", str_empty(ready.serf));
	metric_labelled(
	    out, METRIC_UP, "part", "lockspace", str_empty(keeper_lockspace_why(ctx->keeper)));
	metric_labelled(
	    out, METRIC_UP, "part", "storage", str_empty(keeper_storage_why(ctx->keeper)));
	metric_single(out, METRIC_WATCHDOG, str_empty(keeper_watchdog_why(ctx->keeper)));
	metric_single(out, METRIC_HA_ENABLED, ctx->config->ha_enabled);
	metric_single(out, METRIC_HA_ARMED, arming_is_armed(keeper_arming(ctx->keeper)));
	if (ctx->failover)
		add_failovers(failover_count(ctx->failover), out);
	if (ctx->loss_planner)
		add_outlook(loss_planner_outlook(ctx->loss_planner), out);
	if (ctx->tokens)
		metric_single(out, METRIC_TOKENS_KNOWN, str_empty(token_keeper_wrong(ctx->tokens)));
	model_clear(&ready_model, &ready);
}

static void
add_inventory(struct context *ctx, const struct custom_field *only, struct buffer *out)
{
	struct inventory_counts counts;

	inventory_count(ctx->inventory, only, &counts);
	metric_family(out, METRIC_HOSTS);
	for (unsigned int i = 0; i < cstate_enum.n_words; i++)
		metric_labelled(out, METRIC_HOSTS, "cstate", cstate_enum.words[i], counts.hosts[i]);
	metric_single(out, METRIC_HOSTS_MAINTENANCE, counts.hosts_maintenance);
	metric_family(out, METRIC_VMS);
	for (unsigned int i = 0; i < vmrunstate_enum.n_words; i++) {
		const char *word = vmrunstate_enum.words[i];

		metric_sample(out, METRIC_VMS,
		    (struct metric_label[]){ { "scope", "host" }, { "runstate", word } }, 2,
		    counts.local_vms[i]);
		metric_sample(out, METRIC_VMS,
		    (struct metric_label[]){ { "scope", "cluster" }, { "runstate", word } }, 2,
		    counts.vms[i]);
	}
}

/* Both results of a kind are there as soon as one has ended, so that a rate can be had of each. */
static void
add_ended(struct buffer *out, enum metric_id id, const struct operation_count *count)
{
	for (size_t i = 0; i < OPERATION_RESULTS; i++) {
		const struct operation_durations *ended = &count->ended[i];
		const struct metric_label labels[] = {
			{ "op", count->op },
			{ "result", operation_results[i] },
		};
		const struct metric_histogram histogram = {
			.bounds = operation_bounds,
			.counts = ended->counts,
			.n = OPERATION_BUCKETS,
			.total = ended->total,
			.sum_us = ended->sum_ms * 1000,
		};

		if (id == METRIC_OPERATION_DURATION)
			metric_histogram(out, id, labels, ARRAY_SIZE(labels), &histogram);
		else
			metric_sample(out, id, labels, ARRAY_SIZE(labels), (double)ended->total);
	}
}

static void
add_operations(const struct operations *operations, struct buffer *out)
{
	const struct operation_counts *counts = operations_get_counts(operations);
	struct operations_stats kept;

	operations_get_stats(operations, &kept);
	metric_family(out, METRIC_OPERATIONS);
	metric_labelled(out, METRIC_OPERATIONS, "state", "started", (double)kept.started);
	metric_labelled(out, METRIC_OPERATIONS, "state", "completed", (double)kept.completed);
	metric_labelled(out, METRIC_OPERATIONS, "state", "failed", (double)kept.failed);
	metric_family(out, METRIC_OPERATIONS_STARTED);
	for (size_t i = 0; i < counts->n; i++)
		metric_labelled(out, METRIC_OPERATIONS_STARTED, "op", counts->items[i].op,
		    (double)counts->items[i].started);
	metric_family(out, METRIC_OPERATIONS_ENDED);
	for (size_t i = 0; i < counts->n; i++)
		add_ended(out, METRIC_OPERATIONS_ENDED, &counts->items[i]);
	metric_family(out, METRIC_OPERATION_DURATION);
	for (size_t i = 0; i < counts->n; i++)
		add_ended(out, METRIC_OPERATION_DURATION, &counts->items[i]);
}

static void
add_jobs(const struct jobs *of, struct buffer *out)
{
	struct jobs_stats jobs;

	jobs_get_stats(of, &jobs);
	metric_family(out, METRIC_JOBS);
	metric_labelled(out, METRIC_JOBS, "state", "running", (double)jobs.running);
	metric_labelled(out, METRIC_JOBS, "state", "queued", (double)jobs.queued);
	metric_labelled(out, METRIC_JOBS, "state", "stuck", (double)jobs.stuck);
	metric_single(out, METRIC_JOBS_STARTED, (double)jobs.started);
	metric_single(out, METRIC_JOBS_FAILED, (double)jobs.failed);
	metric_single(out, METRIC_JOBS_KILLED, (double)jobs.killed);
}

static void
add_gossip(const struct metrics_outside *outside, struct buffer *out)
{
	const struct gossip_stats *gossip = &outside->gossip;

	metric_single(out, METRIC_SERF_MEMBERS, outside->members);
	metric_family(out, METRIC_GOSSIP_SENT);
	metric_labelled(out, METRIC_GOSSIP_SENT, "event", "HI", gossip->sent_hi);
	metric_labelled(out, METRIC_GOSSIP_SENT, "event", "VI", gossip->sent_vi);
	metric_labelled(out, METRIC_GOSSIP_SENT, "event", "VE", gossip->sent_ve);
	metric_single(out, METRIC_GOSSIP_RECEIVED, gossip->received);
	metric_family(out, METRIC_GOSSIP_DROPPED);
	metric_labelled(out, METRIC_GOSSIP_DROPPED, "reason", "malformed", gossip->malformed);
	metric_labelled(out, METRIC_GOSSIP_DROPPED, "reason", "refused", gossip->refused);
	metric_labelled(out, METRIC_GOSSIP_DROPPED, "reason", "ahead", gossip->ahead);
	metric_labelled(out, METRIC_GOSSIP_DROPPED, "reason", "full", gossip->full);
	metric_single(out, METRIC_GOSSIP_WAITING, gossip->waiting);
	metric_single(out, METRIC_GOSSIP_PULLS, gossip->pulls);
	metric_single(out, METRIC_GOSSIP_PULLS_FAILED, gossip->pulls_failed);
}

static void
add_route(struct buffer *out, unsigned int id, const uint64_t classes[METRICS_CLASSES])
{
	bool known = id < ROUTE_N;

	for (unsigned int class = 1; class < METRICS_CLASSES; class ++) {
		const char digits[] = { (char)('0' + class), 'x', 'x', '\0' };
		const struct metric_label labels[] = {
			{ "method", known ? method_word(routes[id].method) : "" },
			{ "route", known ? routes[id].path : "" },
			{ "class", digits },
		};

		if (classes[class] > 0)
			metric_sample(out, METRIC_HTTP_REQUESTS, labels, ARRAY_SIZE(labels),
			    (double)classes[class]);
	}
}

static void
add_exposed(const struct config *config, struct buffer *out)
{
	unsigned int plain, open;

	config_count_exposed(config, &plain, &open);
	metric_family(out, METRIC_HTTP_EXPOSED);
	metric_labelled(out, METRIC_HTTP_EXPOSED, "how", "plain", plain);
	metric_labelled(out, METRIC_HTTP_EXPOSED, "how", "open", open);
}

static void
add_http(struct context *ctx, const struct metrics_outside *outside, struct buffer *out)
{
	metric_family(out, METRIC_HTTP_REQUESTS);
	for (unsigned int i = 0; outside->requests && i <= ROUTE_N; i++)
		add_route(out, i, outside->requests[i]);
	metric_single(out, METRIC_HTTP_CONNECTIONS, outside->connections);
	metric_single(out, METRIC_HTTP_CONNECTIONS_REFUSED, outside->refused);
	metric_family(out, METRIC_HTTP_UNAUTHORIZED);
	for (unsigned int i = 0; i < outside->n_unauthorized; i++)
		metric_labelled(out, METRIC_HTTP_UNAUTHORIZED, "why",
		    outside->unauthorized_words[i], (double)outside->unauthorized[i]);
	add_exposed(ctx->config, out);
	metric_single(out, METRIC_TLS_HANDSHAKES_FAILED, outside->handshakes_failed);
	if (outside->certificate_end)
		metric_single(
		    out, METRIC_TLS_CERTIFICATE_END, (double)outside->certificate_end / 1000);
	metric_single(out, METRIC_EVENT_STREAMS, event_streams_count(ctx->streams));
	metric_single(out, METRIC_PEER_CALLS, outside->peer_calls);
	metric_single(out, METRIC_PEER_CONNECTIONS, outside->peer_connections);
	metric_single(out, METRIC_PEER_REQUESTS, outside->peer_started);
	metric_single(out, METRIC_PEER_FAILURES, outside->peer_failed);
}

static void
add_lag(struct context *ctx, struct buffer *out)
{
	struct loop_lag_stats lag;
	struct metric_histogram histogram = {
		.bounds = loop_lag_bounds,
		.counts = lag.counts,
		.n = LAG_BUCKETS,
	};

	loop_lag_get_stats(ctx->lag, &lag);
	histogram.total = lag.total;
	histogram.sum_us = lag.sum_us;
	metric_family(out, METRIC_LOOP_LAG);
	metric_histogram(out, METRIC_LOOP_LAG, NULL, 0, &histogram);
	metric_single(out, METRIC_LOOP_LAG_MAX, (double)lag.max_us / 1000000.0);
}

char *
metrics_format(struct context *ctx, const struct metrics_outside *outside,
    const struct custom_field *only, bool vms, size_t *len)
{
	bool limited = !str_empty(only->name);
	struct buffer out = { 0 };
	const struct metric_label build[] = {
		{ "version", VIRTX_VERSION },
		{ "host", inventory_self(ctx->inventory) },
	};

	metric_family(&out, METRIC_BUILD_INFO);
	metric_sample(&out, METRIC_BUILD_INFO, build, ARRAY_SIZE(build), 1);
	add_up(ctx, &out);
	add_inventory(ctx, only, &out);
	metrics_add_host(ctx, &out);
	if (!limited)
		add_operations(ctx->operations, &out);
	add_jobs(ctx->jobs, &out);
	add_gossip(outside, &out);
	add_http(ctx, outside, &out);
	add_lag(ctx, &out);
	if (vms)
		metrics_add_vms(ctx->inventory, only, &out);
	return buffer_steal(&out, len);
}

void
api_metrics(struct context *ctx, struct request *req)
{
	const struct custom_field only = limits_field(req);
	struct metrics_outside outside = { 0 };
	struct error err = { 0 };
	size_t len;
	char *text;
	bool vms;

	if (request_flag(req, "vms", &vms, &err) < 0) {
		request_reply_error(req, &err);
		return;
	}
	ctx->host_ops->outside(ctx->host_arg, &outside);
	text = metrics_format(ctx, &outside, &only, vms, &len);
	request_reply_text(req, 200, TYPE, text, len);
}
