/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A dry run of a create asks the hosts that could have the VM for what only they can see. */
#include "ops_host.h"

#include "ops/dry_run.h"
#include "proto/json.h"

static int
setup_up(void **state)
{
	ops_setup(state);
	ops_up();
	ops_add_host(H2, "h2", 60000);
	ops_add_host(H3, "h3", 50000);
	return 0;
}

#define HOSTS(function) cmocka_unit_test_setup_teardown(function, setup_up, ops_teardown)

/* nets: it has one, which only the host itself can look for. */
static void
start(bool nets, bool looped, const char *host, const struct error *lack)
{
	struct request *req = ops_request(ROUTE_VM_CREATE, "", "{}");
	struct vm_create_options options = { .host = xstrdup(host) };
	struct vm_report report;

	req->looped = looped;
	ops_report(VM1, VMRUNSTATE_POWEROFF, &report);
	options.vmdef = report.def;
	if (nets)
		model_append(&options.vmdef.nets, &options.vmdef.n_nets)->name = xstrdup("br7");
	dry_run_start(&here.ctx, req, &options, lack);
	report.def = (struct vmdef){ 0 };
	model_clear(&vm_report_model, &report);
	model_clear(&vm_create_options_model, &options);
}

/* The host that the reply names, "" for none. */
static const char *
placed_on(void)
{
	static char host[37];
	struct placement placement = { 0 };
	struct error err = { 0 };

	assert_int_equal(here.replies, 1);
	assert_int_equal(here.status, 200);
	assert_int_equal(
	    json_decode(&placement_model, here.body, strlen(here.body), &placement, &err), 0);
	snprintf(host, sizeof(host), "%s", placement.host);
	model_clear(&placement_model, &placement);
	return host;
}

/* What a host says of itself that cannot have the VM. */
#define REFUSAL                                                                             \
	"{\"vm\":\"\",\"host\":\"\",\"reason\":\"no host\",\"candidates\":[{\"host\":\"" H2 \
	"\",\"feasible\":false,\"reason\":\"it has no bridge 'br7'\"}]}"

static void
test_from_memory(void **state)
{
	start(false, false, "", NULL);
	assert_int_equal(here.asks, 0);
	assert_string_equal(placed_on(), SELF);
	assert_true(LIST_EMPTY(&here.ctx.dry_runs));
}

/* Another host asks this one, which asks nobody. */
static void
test_asked_itself(void **state)
{
	struct error lack = { 0 };

	error_set(&lack, 422, "it has no bridge 'br7'");
	start(true, true, SELF, &lack);
	assert_int_equal(here.asks, 0);
	assert_string_equal(placed_on(), "");
	assert_non_null(strstr(here.body, "it has no bridge 'br7'"));
}

static void
test_asks_the_others(void **state)
{
	struct error lack = { 0 };

	error_set(&lack, 422, "it has no bridge 'br7'");
	start(true, false, "", &lack);
	assert_int_equal(here.n_asked, 2);
	assert_string_equal(here.asked[0].host, H2);
	assert_string_equal(here.asked[0].path, "/vms?dry_run=true");
	assert_non_null(strstr(here.asked[0].body, "\"host\":\"" H2 "\""));
	ops_answer(200, REFUSAL);
	assert_int_equal(here.replies, 0);
	ops_answer(200, "{\"host\":\"" H3 "\",\"candidates\":[{\"host\":\"" H3 "\"}]}");
	assert_string_equal(placed_on(), H3);
	assert_non_null(strstr(here.body, "it has no bridge 'br7'"));
	assert_true(LIST_EMPTY(&here.ctx.dry_runs));
}

/* One that says nothing, or what is no placement, is judged by what it has told before. */
static void
test_no_answer(void **state)
{
	struct error lack = { 0 };

	error_set(&lack, 422, "it has no bridge 'br7'");
	start(true, false, "", &lack);
	ops_answer(0, "no answer");
	ops_answer(200, "{");
	assert_string_equal(placed_on(), H2);
}

/* The client does not wait for longer than ten seconds; who answers later is heard, and no more. */
static void
test_late(void **state)
{
	struct error lack = { 0 };

	error_set(&lack, 422, "it has no bridge 'br7'");
	start(true, false, "", &lack);
	ops_answer(200, REFUSAL);
	ops_advance(9900);
	assert_int_equal(here.replies, 0);
	ops_advance(200);
	assert_string_equal(placed_on(), H3);
	ops_answer(200, "{}");
	assert_int_equal(here.replies, 1);
	assert_true(LIST_EMPTY(&here.ctx.dry_runs));
}

static void
test_unreachable(void **state)
{
	here.unreachable = true;
	start(true, false, H2, NULL);
	assert_string_equal(placed_on(), H2);
}

static void
test_stop(void **state)
{
	start(true, false, "", NULL);
	assert_int_equal(here.replies, 0);
	dry_runs_free(&here.ctx);
	assert_int_equal(here.status, 503);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		HOSTS(test_from_memory),
		HOSTS(test_asked_itself),
		HOSTS(test_asks_the_others),
		HOSTS(test_no_answer),
		HOSTS(test_late),
		HOSTS(test_unreachable),
		HOSTS(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
