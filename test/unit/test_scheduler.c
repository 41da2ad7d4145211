/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How often hosts are asked to take a VM that they refuse. The asking is a stand-in. */
#include "ops/scheduler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ops/context.h"
#include "ops/task.h"
#include "state/reservation.h"

#define HOSTS 12 /* of the cluster; number 0 is this one */

static struct fixture {
	struct context ctx;
	struct config config;
	struct request req;
	/* How each host answers. */
	int status;
	const char *refused;
	bool unsent;
	bool once_only; /* each host but once, then it takes the VM */
	unsigned int wait_ms;
	unsigned int asked, overlooked;
	unsigned int here;
	/* The reply. */
	int replied;
	char *body;
} fixture;

int __wrap_task_ready(struct context *ctx, bool leases, struct error *err);

/* This host does not take it. */
int
__wrap_task_ready(struct context *ctx, bool leases, struct error *err)
{
	return error_set(err, 503, "the lockspace is not joined");
}

static void
send_reply(struct request *req, int status, const char *type, char *body, size_t len,
    const struct request_header *headers, size_t n_headers)
{
	fixture.replied = status;
	free(fixture.body);
	fixture.body = body;
}

static void
on_forward(void *arg, struct request *req, const char *host, const struct request_forward *more)
{
	static const char problem[] = "{\"title\":\"no\",\"status\":409,\"detail\":\"never\"}";
	struct error err = { 0 };
	struct request_answer answer = {
		.status = fixture.status,
		.refused = fixture.refused,
		.body = problem,
		.len = sizeof(problem) - 1,
	};

	assert_true(++fixture.asked < 1000);
	fixture.overlooked += more->headers[1].value[0] == '\0';
	usleep(fixture.wait_ms * 1000);
	if (fixture.unsent) {
		error_set(&err, 502, "cannot connect");
		answer = (struct request_answer){ .unsent = true, .err = &err };
	}
	if (!more->answered(more->arg, req, &answer))
		request_reply(req, answer.status);
}

static void
on_here(struct context *ctx, struct request *req, const struct vm_create_options *options,
    const char *why)
{
	fixture.here++;
	request_reply(req, 201);
}

static void
tell_host(int n)
{
	char uuid[37], name[8], x86[] = "x86_64", empty[] = "";
	struct host_info info = { .uuid = uuid,
		.fields = { .name = name,
		    .cpuarch = { x86, empty },
		    .cpudef = { empty, 1, 1, 4, 2 },
		    .memoryavailable = 64000 - n,
		    .ts = 1000 } };
	struct host_digest digest = { 0 };

	snprintf(uuid, sizeof(uuid), "a0000000-0000-4000-8000-%012d", n);
	snprintf(name, sizeof(name), "h%d", n);
	inventory_set_host(fixture.ctx.inventory, uuid, name, CSTATE_ACTIVE);
	assert_int_equal(
	    inventory_take_host(fixture.ctx.inventory, &info, &digest), INVENTORY_TAKEN);
}

static const struct host_ops host_ops = { .forward_chosen = on_forward };

static int
setup(void **state)
{
	char self[] = "a0000000-0000-4000-8000-000000000000", name[] = "h0", x86[] = "x86_64",
	     empty[] = "";
	struct host_report host = { .uuid = self,
		.has_def = true,
		.def = { .name = name, .cpuarch = { x86, empty }, .cpudef = { empty, 1, 1, 4, 2 } },
		.memory_total = INT64_C(1) << 26,
		.memory_free = INT64_C(1) << 26 };

	fixture = (struct fixture){ .req = { .send = send_reply } };
	fixture.config.reply_timeout = 30;
	fixture.ctx = (struct context){
		.inventory = inventory_new(), .config = &fixture.config, .host_ops = &host_ops
	};
	inventory_report_host(fixture.ctx.inventory, &host);
	for (int n = 1; n < HOSTS; n++)
		tell_host(n);
	return 0;
}

static int
teardown(void **state)
{
	assert_int_equal(reservation_count(fixture.ctx.inventory), 0);
	inventory_free(fixture.ctx.inventory);
	free(fixture.body);
	return 0;
}

static void
create(void)
{
	char name[] = "vm", empty[] = "";
	struct vm_create_options options = { .host = empty,
		.vmdef = {
		    .name = name, .memory = { 16, false }, .cpudef = { empty, 1, 1, 1, 1 } } };

	scheduler_create(&fixture.ctx, &fixture.req, &options, on_here, NULL);
	assert_int_equal(fixture.here, 0);
}

/* Refused as stale for ever, with figures that make them the best again each time. */
static void
test_always_stale(void **state)
{
	fixture.status = 409;
	fixture.refused = "0 0 64000 64000";
	create();
	assert_in_range(fixture.asked, 2, 32);
	assert_true(fixture.overlooked > 0);
	assert_in_range(fixture.replied, 422, 503);
	assert_non_null(strstr(fixture.body, "never"));
}

static void
test_refused_for_good(void **state)
{
	fixture.status = 422;
	fixture.refused = "0 0 64000 64000";
	create();
	assert_in_range(fixture.asked, 2, 8);
	assert_int_equal(fixture.replied, 422);
	assert_non_null(strstr(fixture.body, "never"));
}

static void
test_unreachable(void **state)
{
	fixture.unsent = true;
	create();
	assert_in_range(fixture.asked, 2, 8);
	assert_int_equal(fixture.replied, 422);
	assert_non_null(strstr(fixture.body, "cannot connect"));
}

/* Each takes its time to refuse: the client does not wait for all of them. */
static void
test_slow(void **state)
{
	fixture.status = 409;
	fixture.refused = "0 0 64000 64000";
	fixture.config.reply_timeout = 1;
	fixture.wait_ms = 400;
	create();
	assert_in_range(fixture.asked, 2, 4);
	assert_int_equal(fixture.replied, 503);
	assert_non_null(strstr(fixture.body, "attempts"));
	assert_non_null(strstr(fixture.body, "never"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_always_stale, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_for_good, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unreachable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
