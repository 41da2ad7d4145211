/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/metrics.h"

#include <event2/event.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/events.h"
#include "api/loop_lag.h"
#include "ops/context.h"

#define SELF "00000000-0000-4000-8000-000000000001"

struct fixture {
	struct config config;
	struct context ctx;
	struct events *events;
};

static void
on_probed(void *arg, const char *host, const struct error *err)
{
}

static void
on_ready(void *arg, struct ready *ret)
{
	str_set(&ret->serf, "away");
}

static const struct host_ops host_ops = { .ready = on_ready };

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	struct jobs_limits limits = { .running_max = 1, .queue_max = 1, .stuck_max = 1 };
	struct context *ctx = &f->ctx;
	char self[] = SELF;
	struct host_report host = { .uuid = self };

	config_init(&f->config);
	ctx->base = event_base_new();
	ctx->config = &f->config;
	ctx->inventory = inventory_new();
	ctx->operations = operations_new();
	ctx->jobs = jobs_new(ctx->base, &limits);
	ctx->keeper = keeper_new(
	    ctx->base, &f->config, ctx->jobs, ctx->inventory, ctx->operations, on_probed, NULL);
	f->events = events_new(ctx->inventory, ctx->operations);
	ctx->streams = event_streams_new(ctx->base, f->events);
	ctx->lag = loop_lag_new(ctx->base);
	ctx->host_ops = &host_ops;
	inventory_report_host(ctx->inventory, &host);
	inventory_set_host(
	    ctx->inventory, "00000000-0000-4000-8000-000000000002", "h2", CSTATE_FAILED);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	struct context *ctx = &f->ctx;

	loop_lag_free(ctx->lag);
	event_streams_free(ctx->streams);
	events_free(f->events);
	keeper_free(ctx->keeper);
	jobs_free(ctx->jobs);
	operations_free(ctx->operations);
	inventory_free(ctx->inventory);
	event_base_free(ctx->base);
	config_clear(&f->config);
	free(f);
	return 0;
}

static void
assert_line(const char *text, const char *line)
{
	_free_ char *whole = xasprintf("\n%s\n", line);

	if (!strstr(text, whole))
		fail_msg("there is no line '%s' in\n%s", line, text);
}

static void
test_text(void **state)
{
	static const uint64_t requests[ROUTE_N + 1][METRICS_CLASSES] = {
		[ROUTE_VM_GET] = { [2] = 7, [4] = 1 },
		[ROUTE_N] = { [4] = 3 },
	};
	struct fixture *f = *state;
	struct metrics_outside outside = { .connections = 5,
		.requests = requests,
		.gossip = { .sent_hi = 11, .malformed = 2 },
		.members = 3 };
	char vm[] = "10000000-0000-4000-8000-000000000001";
	struct vm_report report = { .uuid = vm, .has_def = true, .runstate = VMRUNSTATE_RUNNING };
	struct error err = { 0 };
	_free_ char *text = NULL;
	size_t len;

	inventory_report_vm(f->ctx.inventory, inventory_mark(f->ctx.inventory), true, &report);
	operations_start(f->ctx.operations, "VmBoot", vm, SELF, "u");
	error_set(&err, 500, "x");
	operations_finish(f->ctx.operations,
	    operations_start(f->ctx.operations, "VmPause", vm, SELF, "u"), NULL, &err);
	text = metrics_format(&f->ctx, &outside, &len);
	assert_int_equal(strlen(text), len);
	assert_line(text, "virtx_build_info{version=\"" VIRTX_VERSION "\",host=\"" SELF "\"} 1");
	assert_line(text, "virtx_up{part=\"libvirt\"} 1");
	assert_line(text, "virtx_up{part=\"serf\"} 0");
	assert_line(text, "virtx_up{part=\"lockspace\"} 0");
	assert_line(text, "virtx_up{part=\"storage\"} 0");
	assert_line(text, "virtx_watchdog 0");
	assert_line(text, "virtx_hosts{cstate=\"active\"} 1");
	assert_line(text, "virtx_hosts{cstate=\"failed\"} 1");
	assert_line(text, "virtx_vms{scope=\"host\",runstate=\"running\"} 1");
	assert_line(text, "virtx_vms{scope=\"cluster\",runstate=\"running\"} 1");
	assert_line(text, "virtx_vms{scope=\"cluster\",runstate=\"paused\"} 0");
	assert_line(text, "virtx_operations{state=\"started\"} 1");
	assert_line(text, "virtx_operations{state=\"failed\"} 1");
	assert_line(text, "virtx_jobs{state=\"stuck\"} 0");
	assert_line(text, "virtx_gossip_sent_total{event=\"HI\"} 11");
	assert_line(text, "virtx_gossip_dropped_total{reason=\"malformed\"} 2");
	assert_line(text, "virtx_serf_members 3");
	assert_line(text, "virtx_http_connections 5");
	assert_line(text, "virtx_http_requests_total{method=\"GET\",route=\"/vms/{uuid}\","
			  "class=\"2xx\"} 7");
	assert_line(text, "virtx_http_requests_total{method=\"\",route=\"\",class=\"4xx\"} 3");
	assert_line(text, "# TYPE virtx_loop_lag_seconds histogram");
}

static void
on_block(evutil_socket_t fd, short what, void *arg)
{
	usleep(200000);
	event_base_loopbreak(arg);
}

/* What holds the loop up shows. */
static void
test_lag(void **state)
{
	struct event_base *base = event_base_new();
	struct loop_lag *lag = loop_lag_new(base);
	struct event *block = evtimer_new(base, on_block, base);
	struct timeval soon = { 0, 30000 }, end = { 0, 50000 };
	struct loop_lag_stats stats = { 0 };

	event_add(block, &soon);
	event_base_dispatch(base);
	event_base_loopexit(base, &end);
	event_base_dispatch(base);
	loop_lag_get_stats(lag, &stats);
	assert_in_range(stats.total, 1, 2);
	assert_in_range(stats.max_us, 100000, 2000000);
	event_free(block);
	loop_lag_free(lag);
	event_base_free(base);

	stats = (struct loop_lag_stats){ 0 };
	loop_lag_stats_add(&stats, 0);
	loop_lag_stats_add(&stats, 1000);
	loop_lag_stats_add(&stats, 1001);
	loop_lag_stats_add(&stats, 5000000);
	loop_lag_stats_add(&stats, 5000001);
	assert_int_equal(stats.counts[0], 2);
	assert_int_equal(stats.counts[1], 1);
	assert_int_equal(stats.counts[LAG_BUCKETS - 1], 1);
	assert_int_equal(stats.total, 5);
	assert_int_equal(stats.max_us, 5000001);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_text, setup, teardown),
		cmocka_unit_test(test_lag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
