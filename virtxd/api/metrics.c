/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/metrics.h"

#include <inttypes.h>

#include "api/events.h"
#include "api/handlers.h"
#include "api/loop_lag.h"
#include "ops/context.h"

#define TYPE "text/plain; version=0.0.4; charset=utf-8"

static void
family(struct buffer *out, const char *name, const char *type, const char *help)
{
	buffer_printf(out, "# HELP virtx_%s %s\n# TYPE virtx_%s %s\n", name, help, name, type);
}

/* One figure alone. */
static void
single(struct buffer *out, const char *name, const char *type, const char *help, uint64_t value)
{
	family(out, name, type, help);
	buffer_printf(out, "virtx_%s %" PRIu64 "\n", name, value);
}

/* One of several, told apart by one label. */
static void
sample(struct buffer *out, const char *name, const char *label, const char *word, uint64_t value)
{
	buffer_printf(out, "virtx_%s{%s=\"%s\"} %" PRIu64 "\n", name, label, word, value);
}

static void
add_up(struct context *ctx, struct buffer *out)
{
	struct ready ready = { 0 };

	ctx->host_ops->ready(ctx->host_arg, &ready);
	family(out, "up", "gauge", "Whether a part is joined: 1, or 0.");
	sample(out, "up", "part", "libvirt", str_empty(ready.libvirt));
	sample(out, "up", "part", "serf", str_empty(ready.serf));
	sample(out, "up", "part", "lockspace", str_empty(keeper_lockspace_why(ctx->keeper)));
	sample(out, "up", "part", "storage", str_empty(keeper_storage_why(ctx->keeper)));
	single(out, "watchdog", "gauge", "Whether a watchdog protects this host: 1, or 0.",
	    str_empty(keeper_watchdog_why(ctx->keeper)));
	model_clear(&ready_model, &ready);
}

static void
add_inventory(struct context *ctx, struct buffer *out)
{
	struct inventory_counts counts;

	inventory_count(ctx->inventory, &counts);
	family(out, "hosts", "gauge", "Hosts of the cluster by the state that serf sees.");
	for (unsigned int i = 0; i < cstate_enum.n_words; i++)
		sample(out, "hosts", "cstate", cstate_enum.words[i], counts.hosts[i]);
	single(out, "hosts_maintenance", "gauge", "Hosts that are in maintenance.",
	    counts.hosts_maintenance);
	family(out, "vms", "gauge", "VMs by run state: those of this host, and all that it knows.");
	for (unsigned int i = 0; i < vmrunstate_enum.n_words; i++) {
		const char *word = vmrunstate_enum.words[i];

		buffer_printf(out, "virtx_vms{scope=\"host\",runstate=\"%s\"} %u\n", word,
		    counts.local_vms[i]);
		buffer_printf(
		    out, "virtx_vms{scope=\"cluster\",runstate=\"%s\"} %u\n", word, counts.vms[i]);
	}
}

static void
add_work(struct context *ctx, struct buffer *out)
{
	struct operations_stats operations;
	struct jobs_stats jobs;

	operations_get_stats(ctx->operations, &operations);
	family(out, "operations", "gauge", "Operations of this host that are kept, by state.");
	sample(out, "operations", "state", "started", operations.started);
	sample(out, "operations", "state", "completed", operations.completed);
	sample(out, "operations", "state", "failed", operations.failed);

	jobs_get_stats(ctx->jobs, &jobs);
	family(out, "jobs", "gauge", "Jobs: children, or waiting to be; stuck ones outlived KILL.");
	sample(out, "jobs", "state", "running", jobs.running);
	sample(out, "jobs", "state", "queued", jobs.queued);
	sample(out, "jobs", "state", "stuck", jobs.stuck);
	single(out, "jobs_started_total", "counter", "Jobs that were started.", jobs.started);
	single(out, "jobs_failed_total", "counter", "Jobs that failed.", jobs.failed);
	single(
	    out, "jobs_killed_total", "counter", "Jobs that ran into their deadline.", jobs.killed);
}

static void
add_gossip(const struct metrics_outside *outside, struct buffer *out)
{
	const struct gossip_stats *gossip = &outside->gossip;

	single(out, "serf_members", "gauge", "Members that serf knows, in any state.",
	    outside->members);
	family(out, "gossip_sent_total", "counter", "User events that were sent.");
	sample(out, "gossip_sent_total", "event", "HI", gossip->sent_hi);
	sample(out, "gossip_sent_total", "event", "VI", gossip->sent_vi);
	sample(out, "gossip_sent_total", "event", "VE", gossip->sent_ve);
	single(out, "gossip_received_total", "counter",
	    "User events that came, own ones among them.", gossip->received);
	family(out, "gossip_dropped_total", "counter", "User events that were not taken.");
	sample(out, "gossip_dropped_total", "reason", "malformed", gossip->malformed);
	sample(out, "gossip_dropped_total", "reason", "refused", gossip->refused);
	sample(out, "gossip_dropped_total", "reason", "ahead", gossip->ahead);
	sample(out, "gossip_dropped_total", "reason", "full", gossip->full);
	single(out, "gossip_waiting", "gauge", "VMs whose change is still to be sent.",
	    gossip->waiting);
	single(out, "gossip_pulls_total", "counter", "Other hosts' lists that were asked for.",
	    gossip->pulls);
	single(out, "gossip_pulls_failed_total", "counter", "Those that did not come.",
	    gossip->pulls_failed);
}

static void
add_requests(const struct metrics_outside *outside, struct buffer *out)
{
	family(out, "http_requests_total", "counter",
	    "Requests that were answered, by route and class of status.");
	for (unsigned int i = 0; outside->requests && i <= ROUTE_N; i++) {
		for (unsigned int class = 1; class < METRICS_CLASSES; class ++) {
			if (outside->requests[i][class] == 0)
				continue;
			buffer_printf(out,
			    "virtx_http_requests_total{method=\"%s\",route=\"%s\",class=\"%uxx\"} "
			    "%" PRIu64 "\n",
			    i < ROUTE_N ? method_word(routes[i].method) : "",
			    i < ROUTE_N ? routes[i].path : "", class, outside->requests[i][class]);
		}
	}
}

static void
add_http(struct context *ctx, const struct metrics_outside *outside, struct buffer *out)
{
	add_requests(outside, out);
	single(out, "http_connections", "gauge", "Open connections.", outside->connections);
	single(out, "http_connections_refused_total", "counter",
	    "Connections that were over the bound.", outside->refused);
	single(out, "event_streams", "gauge", "Readers of GET /events.",
	    event_streams_count(ctx->streams));
	single(out, "peer_calls", "gauge", "Requests to other hosts that are under way.",
	    outside->peer_calls);
	single(out, "peer_connections", "gauge", "Connections to other hosts.",
	    outside->peer_connections);
	single(out, "peer_requests_total", "counter", "Requests to other hosts.",
	    outside->peer_started);
	single(out, "peer_failures_total", "counter", "Those that got no answer.",
	    outside->peer_failed);
}

static void
add_lag(struct context *ctx, struct buffer *out)
{
	struct loop_lag_stats lag;
	uint64_t n = 0;

	loop_lag_get_stats(ctx->lag, &lag);
	family(out, "loop_lag_seconds", "histogram", "How late a timer of the main loop runs.");
	for (size_t i = 0; i < LAG_BUCKETS; i++) {
		n += lag.counts[i];
		buffer_printf(out, "virtx_loop_lag_seconds_bucket{le=\"%g\"} %" PRIu64 "\n",
		    loop_lag_bounds[i] / 1000.0, n);
	}
	buffer_printf(out,
	    "virtx_loop_lag_seconds_bucket{le=\"+Inf\"} %" PRIu64 "\n"
	    "virtx_loop_lag_seconds_sum %" PRIu64 ".%06" PRIu64 "\n"
	    "virtx_loop_lag_seconds_count %" PRIu64 "\n",
	    lag.total, lag.sum_us / 1000000, lag.sum_us % 1000000, lag.total);
	family(out, "loop_lag_max_seconds", "gauge", "The latest that it ever was.");
	buffer_printf(out, "virtx_loop_lag_max_seconds %" PRIu64 ".%06" PRIu64 "\n",
	    lag.max_us / 1000000, lag.max_us % 1000000);
}

char *
metrics_format(struct context *ctx, const struct metrics_outside *outside, size_t *len)
{
	struct buffer out = { 0 };

	family(&out, "build_info", "gauge", "Always 1; the labels say what runs.");
	buffer_printf(&out, "virtx_build_info{version=\"" VIRTX_VERSION "\",host=\"%s\"} 1\n",
	    inventory_self(ctx->inventory));
	add_up(ctx, &out);
	add_inventory(ctx, &out);
	add_work(ctx, &out);
	add_gossip(outside, &out);
	add_http(ctx, outside, &out);
	add_lag(ctx, &out);
	return buffer_steal(&out, len);
}

void
api_metrics(struct context *ctx, struct request *req)
{
	struct metrics_outside outside = { 0 };
	size_t len;
	char *text;

	ctx->host_ops->outside(ctx->host_arg, &outside);
	text = metrics_format(ctx, &outside, &len);
	request_reply_text(req, 200, TYPE, text, len);
}
