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

#include "api/context.h"
#include "api/events.h"
#include "api/lag.h"

#define SELF "00000000-0000-4000-8000-000000000001"

struct fixture {
	struct config config;
	struct api api;
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

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	struct jobs_limits limits = { .running_max = 1, .queue_max = 1, .stuck_max = 1 };
	struct api *api = &f->api;
	char self[] = SELF;
	struct host_report host = { .uuid = self };

	config_init(&f->config);
	api->base = event_base_new();
	api->config = &f->config;
	api->inventory = inventory_new();
	api->operations = operations_new();
	api->jobs = jobs_new(api->base, &limits);
	api->keeper = keeper_new(
	    api->base, &f->config, api->jobs, api->inventory, api->operations, on_probed, NULL);
	f->events = events_new(api->inventory, api->operations);
	api->streams = event_streams_new(api->base, f->events);
	api->lag = lag_new(api->base);
	api->ready = on_ready;
	inventory_report_host(api->inventory, &host);
	inventory_set_host(
	    api->inventory, "00000000-0000-4000-8000-000000000002", "h2", CSTATE_FAILED);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	struct api *api = &f->api;

	lag_free(api->lag);
	event_streams_free(api->streams);
	events_free(f->events);
	keeper_free(api->keeper);
	jobs_free(api->jobs);
	operations_free(api->operations);
	inventory_free(api->inventory);
	event_base_free(api->base);
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

	inventory_report_vm(f->api.inventory, inventory_mark(f->api.inventory), true, &report);
	operations_start(f->api.operations, "VmBoot", vm, SELF, "u");
	error_set(&err, 500, "x");
	operations_finish(f->api.operations,
	    operations_start(f->api.operations, "VmPause", vm, SELF, "u"), NULL, &err);
	text = metrics_format(&f->api, &outside, &len);
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
	struct lag *lag = lag_new(base);
	struct event *block = evtimer_new(base, on_block, base);
	struct timeval soon = { 0, 30000 }, end = { 0, 50000 };
	struct lag_stats stats = { 0 };

	event_add(block, &soon);
	event_base_dispatch(base);
	event_base_loopexit(base, &end);
	event_base_dispatch(base);
	lag_get_stats(lag, &stats);
	assert_in_range(stats.total, 1, 2);
	assert_in_range(stats.max_us, 100000, 2000000);
	event_free(block);
	lag_free(lag);
	event_base_free(base);

	stats = (struct lag_stats){ 0 };
	lag_stats_add(&stats, 0);
	lag_stats_add(&stats, 1000);
	lag_stats_add(&stats, 1001);
	lag_stats_add(&stats, 5000000);
	lag_stats_add(&stats, 5000001);
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
