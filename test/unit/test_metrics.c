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
#include "api/metric.h"
#include "ops/context.h"
#include "ops/token_keeper.h"

#define SELF "00000000-0000-4000-8000-000000000001"

static const struct custom_field all;

struct fixture {
	struct config config;
	struct context ctx;
	struct events *events;
	struct tokens *tokens;
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

static void
on_tokens_changed(void *arg)
{
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
	ctx->jobs = jobs_new(ctx->base, &limits, &(struct work_env){ 0 });
	ctx->keeper = keeper_new(
	    ctx->base, &f->config, ctx->jobs, ctx->inventory, ctx->operations, on_probed, NULL);
	f->tokens = tokens_new();
	ctx->tokens =
	    token_keeper_new(ctx->base, &f->config, ctx->jobs, f->tokens, on_tokens_changed, NULL);
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
	token_keeper_free(ctx->tokens);
	tokens_free(f->tokens);
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
	text = metrics_format(&f->ctx, &outside, &all, false, &len);
	assert_int_equal(strlen(text), len);
	assert_line(text, "virtx_build_info{version=\"" VIRTX_VERSION "\",host=\"" SELF "\"} 1");
	assert_line(text, "virtx_up{part=\"libvirt\"} 1");
	assert_line(text, "virtx_up{part=\"serf\"} 0");
	assert_line(text, "virtx_up{part=\"lockspace\"} 0");
	assert_line(text, "virtx_up{part=\"storage\"} 0");
	assert_line(text, "virtx_watchdog 0");
	assert_line(text, "virtx_ha_enabled 0");
	assert_line(text, "virtx_ha_armed 0");
	assert_line(text, "virtx_tokens_known 0");
	assert_line(text, "virtx_hosts{cstate=\"active\"} 1");
	assert_line(text, "virtx_hosts{cstate=\"failed\"} 1");
	assert_line(text, "virtx_vms{scope=\"host\",runstate=\"running\"} 1");
	assert_line(text, "virtx_vms{scope=\"cluster\",runstate=\"running\"} 1");
	assert_line(text, "virtx_vms{scope=\"cluster\",runstate=\"paused\"} 0");
	assert_line(text, "virtx_operations{state=\"started\"} 1");
	assert_line(text, "virtx_operations{state=\"failed\"} 1");
	assert_line(text, "virtx_operations_started_total{op=\"VmBoot\"} 1");
	assert_line(text, "virtx_operations_ended_total{op=\"VmPause\",result=\"failed\"} 1");
	assert_line(text, "virtx_operations_ended_total{op=\"VmPause\",result=\"completed\"} 0");
	assert_line(text, "# TYPE virtx_operation_duration_seconds histogram");
	assert_line(text, "virtx_operation_duration_seconds_bucket{op=\"VmPause\","
			  "result=\"failed\",le=\"+Inf\"} 1");
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

/* The figures of this host, in the units that Prometheus wants. */
static void
test_host(void **state)
{
	struct fixture *f = *state;
	char self[] = SELF;
	struct host_report host = {
		.uuid = self,
		.has_def = true,
		.def.cpudef = { .nodes = 1, .sockets = 2, .cores = 4, .threads = 2 },
		.mhz = 1000,
		.memory_total = 8 << 20,
		.memory_free = 3 << 20,
		.hp_total = 2 << 20,
		.hp_free = 1 << 20,
		.cpu_ns = 1250000000,
	};
	char vm[] = "10000000-0000-4000-8000-000000000001";
	struct vm_report report = {
		.uuid = vm,
		.runstate = VMRUNSTATE_POWEROFF,
		.has_def = true,
		.def = { .cpudef = { .sockets = 1, .cores = 3, .threads = 1 },
		    .memory.total = 1024 },
	};
	struct metrics_outside outside = { 0 };
	_free_ char *text = NULL;
	size_t len;

	inventory_report_host(f->ctx.inventory, &host);
	inventory_report_vm(f->ctx.inventory, inventory_mark(f->ctx.inventory), true, &report);
	text = metrics_format(&f->ctx, &outside, &all, false, &len);
	assert_line(text, "virtx_host_cpus 16");
	assert_line(text, "virtx_host_cpu_seconds_total 1.25");
	assert_line(text, "virtx_host_vcpus 3");
	assert_line(text, "virtx_host_memory_size_bytes{pages=\"normal\"} 6442450944");
	assert_line(text, "virtx_host_memory_size_bytes{pages=\"huge\"} 2147483648");
	assert_line(text, "virtx_host_memory_free_bytes{pages=\"normal\"} 3221225472");
	assert_line(text, "virtx_host_memory_reserved_bytes{pages=\"normal\"} 1073741824");
	assert_line(text, "virtx_host_memory_available_bytes{pages=\"normal\"} 2147483648");
	/* The storage was not looked at. */
	assert_null(strstr(text, "virtx_storage_size_bytes{"));
	assert_null(strstr(text, "virtx_vm_"));
}

/* Those of the problems that are of this kind. */
static void
test_unprotected(void **state)
{
	struct fixture *f = *state;
	struct metrics_outside outside = { 0 };
	const struct host_problem problems[] = {
		{ .kind = (char *)"unprotected", .vm = (char *)"1" },
		{ .kind = (char *)"left-over", .vm = (char *)"2" },
		{ .kind = (char *)"unprotected", .vm = (char *)"3" },
	};
	size_t len;

	f->config.ha_enabled = true;
	for (size_t n = 0; n <= ARRAY_SIZE(problems); n++) {
		_free_ char *text = NULL;
		_free_ char *line = xasprintf("virtx_vms_unprotected %zu", (n + 1) / 2);

		inventory_set_problems(f->ctx.inventory, problems, n);
		text = metrics_format(&f->ctx, &outside, &all, false, &len);
		assert_line(text, line);
		assert_line(text, "virtx_ha_enabled 1");
	}
}

static void
test_vms(void **state)
{
	struct fixture *f = *state;
	char on[] = "10000000-0000-4000-8000-000000000001";
	char off[] = "10000000-0000-4000-8000-000000000002";
	char name[] = "a\"b\\c\nd";
	struct disk_report disk = {
		.capacity = 8 << 20, .allocation = 3 << 20, .physical = 2 << 20
	};
	struct vm_report report = {
		.uuid = on,
		.runstate = VMRUNSTATE_RUNNING,
		.has_def = true,
		.def = { .name = name,
		    .cpudef = { .sockets = 2, .cores = 1, .threads = 1 },
		    .memory.total = 64 },
		.has_stats = true,
		.cpu_ns = 2500000000,
		.memory_rss = 1024,
		.rx_bytes = 11,
		.tx_bytes = 12,
		.disks = &disk,
		.n_disks = 1,
	};
	struct metrics_outside outside = { 0 };
	struct custom_field owner = { (char *)"owner", (char *)"alice" };
	_free_ char *text = NULL, *some = NULL;
	size_t len;

	inventory_report_vm(f->ctx.inventory, inventory_mark(f->ctx.inventory), true, &report);
	report.uuid = off;
	report.runstate = VMRUNSTATE_POWEROFF;
	report.def.custom = &owner;
	report.def.n_custom = 1;
	inventory_report_vm(f->ctx.inventory, inventory_mark(f->ctx.inventory), true, &report);
	text = metrics_format(&f->ctx, &outside, &all, true, &len);
#define VM_LINE(figure, rest) \
	assert_line(text, "virtx_vm_" figure "{vm=\"10000000-0000-4000-8000-000000000001\"" rest)
	VM_LINE("info", ",name=\"a\\\"b\\\\c\\nd\"} 1");
	VM_LINE("runstate", ",runstate=\"running\"} 1");
	VM_LINE("vcpus", "} 2");
	VM_LINE("cpu_seconds_total", "} 2.5");
	VM_LINE("memory_size_bytes", "} 67108864");
	VM_LINE("memory_used_bytes", "} 1048576");
	VM_LINE("disk_capacity_bytes", "} 8388608");
	VM_LINE("disk_allocation_bytes", "} 3145728");
	VM_LINE("disk_physical_bytes", "} 2097152");
	VM_LINE("network_received_bytes_total", "} 11");
	VM_LINE("network_sent_bytes_total", "} 12");
	assert_line(text, "virtx_vm_runstate{vm=\"10000000-0000-4000-8000-000000000002\","
			  "runstate=\"poweroff\"} 1");
	assert_null(
	    strstr(text, "virtx_vm_cpu_seconds_total{vm=\"10000000-0000-4000-8000-000000000002\""));
	/* For somebody who is limited the other VM is not there, nor what was done on any. */
	some = metrics_format(&f->ctx, &outside, &owner, true, &len);
	assert_non_null(strstr(some, "vm=\"10000000-0000-4000-8000-000000000002\""));
	assert_null(strstr(some, "10000000-0000-4000-8000-000000000001"));
	assert_line(some, "virtx_vms{scope=\"cluster\",runstate=\"running\"} 0");
	assert_line(text, "virtx_vms{scope=\"cluster\",runstate=\"running\"} 1");
	assert_line(some, "virtx_vms{scope=\"host\",runstate=\"poweroff\"} 1");
	assert_null(strstr(some, "virtx_operations"));
	assert_non_null(strstr(text, "virtx_operations"));
}

/* How numbers are written, and that each row of the table is whole. */
static void
test_samples(void **state)
{
	static const struct {
		double value;
		const char *text;
	} cases[] = {
		{ 0, "virtx_up 0\n" },
		{ -3, "virtx_up -3\n" },
		{ 9007199254740991.0, "virtx_up 9007199254740991\n" },
		{ 0.25, "virtx_up 0.25\n" },
		{ 1e19, "virtx_up 1e+19\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_buffer_ struct buffer out = { 0 };

		metric_sample(&out, METRIC_UP, NULL, 0, cases[i].value);
		assert_string_equal(out.data, cases[i].text);
	}
	for (size_t i = 0; i < METRIC_N; i++) {
		assert_non_null(metrics[i].name);
		assert_int_equal(strncmp(metrics[i].name, "virtx_", 6), 0);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(metrics[i].name, metrics[j].name);
	}
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
		cmocka_unit_test_setup_teardown(test_host, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unprotected, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vms, setup, teardown),
		cmocka_unit_test(test_samples),
		cmocka_unit_test(test_lag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
