/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMs come back to a host that was in maintenance: who is asked for them, and what becomes of what
 * the others answer. */
#include "maintenance_host.h"

/* This host comes out of maintenance, and VM1 is on H2. */
static void
start_return(enum vmrunstate runstate)
{
	load(true, VM1);
	ops_add_remote(VM1, H2, runstate);
	run(500);
}

static void
test_return_is_refused(void **state)
{
	start_return(VMRUNSTATE_POWEROFF);
	/* The other host may not have heard yet that this one takes VMs again. */
	ops_answer(422, "{\"status\":422,\"detail\":\"it is in maintenance\"}");
	run(2000);
	assert_int_equal(here.n_asked, 1);
	run(15000);
	ops_answer(422, "{\"status\":422,\"detail\":\"it is in maintenance\"}");
	run(1000);
	expect_failed(ops_latest()->id, "1 of 1 VMs did not come back");
	expect_failed(ops_latest()->id, "it is in maintenance");
	assert_int_equal(record()->since, 0);
}

static void
test_return_fails(void **state)
{
	start_return(VMRUNSTATE_RUNNING);
	ops_answer(202, "{\"id\":\"" OP "\",\"state\":\"started\"}");
	run(1000);
	ops_answer(200, "{\"id\":\"" OP "\",\"state\":\"failed\",\"msg\":\"no CPU does\"}");
	run(1000);
	expect_failed(ops_latest()->id, "no CPU does");
}

/* What another host says is nothing that moves the VM. */
static void
test_return_is_garbled(void **state)
{
	start_return(VMRUNSTATE_RUNNING);
	ops_answer(202, "{\"state\":\"started\"}");
	run(1000);
	expect_failed(ops_latest()->id, "did not say which operation");
}

/* Its virtxd was started anew: it does not know the operation, and the VM is asked for again. */
static void
test_sender_restarts(void **state)
{
	start_return(VMRUNSTATE_RUNNING);
	ops_answer(202, "{\"id\":\"" OP "\",\"state\":\"started\"}");
	run(1000);
	ops_answer(404, "{\"status\":404,\"detail\":\"no such operation\"}");
	run(2000);
	assert_int_equal(here.asked[0].method, METHOD_POST);
	/* It is under way by an operation that is known. */
	ops_answer(504, "{\"status\":504,\"detail\":\"it goes on\",\"operation\":\"" OP "\"}");
	run(1000);
	assert_string_equal(here.asked[0].path, "/operations/" OP);
	/* It does not answer, and is active: it is asked again. */
	ops_answer(0, "no answer");
	run(1000);
	ops_add_vm(VM1, VMRUNSTATE_RUNNING);
	ops_answer(0, "no answer");
	run(500);
	assert_string_equal(ops_latest()->state, "completed");
}

static void
test_sender_fails(void **state)
{
	start_return(VMRUNSTATE_RUNNING);
	ops_answer(202, "{\"id\":\"" OP "\",\"state\":\"started\"}");
	run(1000);
	inventory_set_host(here.ctx.inventory, H2, "h2", CSTATE_FAILED);
	ops_answer(0, "no answer");
	run(1000);
	expect_failed(ops_latest()->id, "no answer");
}

/* Who has the VM cannot be asked, is away, or nobody knows the VM. */
static void
test_cannot_return(void **state)
{
	here.unreachable = true;
	start_return(VMRUNSTATE_RUNNING);
	run(2000);
	assert_string_equal(ops_latest()->state, "started");
	inventory_set_host(here.ctx.inventory, H2, "h2", CSTATE_FAILED);
	run(5000);
	expect_failed(ops_latest()->id, "its host 'h2' (" H2 ") is not active");
}

static void
test_passing_state(void **state)
{
	start_return(VMRUNSTATE_MIGRATING);
	run(2000);
	assert_int_equal(here.n_asked, 0);
	ops_add_remote(VM1, H2, VMRUNSTATE_RUNNING);
	run(3000);
	assert_int_equal(here.n_asked, 1);
}

static void
test_unknown(void **state)
{
	here.missing = NULL;
	load(true, VM1);
	run(2000);
	assert_string_equal(ops_latest()->state, "started");
	here.missing = "the VMs of host 'h9' are not known";
	run(5000);
	expect_failed(ops_latest()->id, "h9");
}

static void
test_deleted_meanwhile(void **state)
{
	load(true, VM1);
	run(1000);
	assert_string_equal(ops_latest()->state, "completed");
	assert_int_equal(record()->since, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_return_is_refused),
		TEST(test_return_fails),
		TEST(test_return_is_garbled),
		TEST(test_sender_restarts),
		TEST(test_sender_fails),
		TEST(test_cannot_return),
		TEST(test_passing_state),
		TEST(test_unknown),
		TEST(test_deleted_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
