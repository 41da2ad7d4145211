/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMs leave a host and come back: what is kept first, who is asked, and what is told of those that
 * stay. */
#include "maintenance_host.h"

#include <stdlib.h>
#include <unistd.h>

#include "domain/maintenance_file.h"
#include "ops/evacuation.h"
#include "work/host_down.h"

static int
setup_up(void **state)
{
	ops_setup(state);
	ops_up();
	ops_add_host(H2, "h2", 4096);
	return 0;
}

#define HOST(function) cmocka_unit_test_setup_teardown(function, setup_up, ops_teardown)

/* The VM that is under way is on the other host. */
static void
arrive(const char *vm, const char *host, enum vmrunstate runstate)
{
	const struct vm_result moved = { .moved = true };

	ops_answer(204, "");
	ops_end_job(WORK_VM_MIGRATE, &moved);
	ops_add_remote(vm, host, runstate);
}

static void
test_empty(void **state)
{
	struct error err = { 0 };
	char operation[37];

	assert_int_equal(host_maintenance_check_open(&here.ctx, &err), 0);
	begin();
	/* Nobody is told before it is kept. */
	assert_int_equal(here.replies, 0);
	assert_int_equal(here.announced, 0);
	keep();
	assert_int_equal(here.status, 202);
	assert_true(here.announced > 0);
	assert_int_equal(here.announced, record()->since);
	assert_int_equal(host_maintenance_check_open(&here.ctx, &err), -1);
	assert_int_equal(err.status, 503);
	assert_non_null(strstr(err.detail, "is in maintenance"));
	snprintf(operation, sizeof(operation), "%s", record()->operation);
	run(1000);
	assert_string_equal(ops_state(operation), "completed");

	end(false);
	assert_int_equal(here.replies, 1);
	keep();
	assert_int_equal(here.status, 204);
	assert_int_equal(here.announced, 0);
	assert_int_equal(record()->since, 0);
	assert_int_equal(host_maintenance_check_open(&here.ctx, &err), 0);
	/* There is none to end. */
	end(true);
	assert_int_equal(here.replies, 3);
	assert_int_equal(here.status, 204);
}

/* There and back. */
static void
test_evacuation_and_return(void **state)
{
	char out[37], back[37];

	ops_add_vm(VM1, VMRUNSTATE_RUNNING);
	begin();
	keep();
	snprintf(out, sizeof(out), "%s", record()->operation);
	run(200);
	assert_int_equal(here.n_asked, 1);
	assert_string_equal(here.asked[0].host, H2);
	assert_string_equal(here.asked[0].path, "/vms/" VM1 "/reservation");
	assert_string_equal(kept(VM1)->host, "");
	ops_answer(204, "");
	assert_true(((const struct vm_migrate_request *)ops_request_of(WORK_VM_MIGRATE))->live);
	ops_progress(WORK_VM_MIGRATE, 40, WORK_STAGE_BEGUN);
	run(200);
	assert_int_equal(operations_find(here.ctx.operations, out)->progress, 40);
	{
		const struct vm_result moved = { .moved = true };

		ops_end_job(WORK_VM_MIGRATE, &moved);
	}
	ops_add_remote(VM1, H2, VMRUNSTATE_RUNNING);
	run(1000);
	assert_string_equal(ops_state(out), "completed");
	assert_string_equal(kept(VM1)->host, H2);

	end(true);
	keep();
	assert_int_equal(here.status, 202);
	assert_int_equal(here.announced, 0);
	snprintf(back, sizeof(back), "%s", record()->operation);
	run(200);
	assert_int_equal(here.n_asked, 1);
	assert_int_equal(here.asked[0].method, METHOD_POST);
	assert_string_equal(here.asked[0].path, "/vms/" VM1 "/runstate/migrate");
	assert_non_null(strstr(here.asked[0].body, SELF));
	ops_answer(202, "{\"id\":\"" OP "\",\"state\":\"started\"}");
	run(1000);
	assert_string_equal(here.asked[0].path, "/operations/" OP);
	ops_answer(200, "{\"id\":\"" OP "\",\"state\":\"started\",\"progress\":30}");
	run(100);
	assert_int_equal(operations_find(here.ctx.operations, back)->progress, 30);
	ops_add_vm(VM1, VMRUNSTATE_RUNNING);
	run(1000);
	ops_answer(200, "{\"id\":\"" OP "\",\"state\":\"completed\",\"progress\":100}");
	run(500);
	assert_string_equal(ops_state(back), "completed");
	assert_int_equal(record()->since, 0);
	assert_int_equal(record()->n_vms, 0);
}

static void
test_nowhere_to_go(void **state)
{
	char operation[37];

	inventory_set_host(here.ctx.inventory, H2, "h2", CSTATE_FAILED);
	ops_add_vm(VM1, VMRUNSTATE_RUNNING);
	begin();
	keep();
	snprintf(operation, sizeof(operation), "%s", record()->operation);
	run(1000);
	expect_failed(operation, "1 of 1 VMs stay: VM '" VM1 "': ");
	assert_string_not_equal(kept(VM1)->reason, "");
	/* It is known: it does not begin anew by itself. */
	inventory_set_runstate(here.ctx.inventory, VM1, VMRUNSTATE_PAUSED);
	run(1000);
	assert_string_equal(ops_latest()->id, operation);
	/* One that turns up has to leave, too. */
	ops_add_vm(VM2, VMRUNSTATE_RUNNING);
	run(1000);
	assert_string_not_equal(ops_latest()->id, operation);
	expect_failed(ops_latest()->id, VM2);
}

/* The target refuses: another host is tried once, and then the VM stays with both reasons. */
static void
test_refused(void **state)
{
	static const char *const problems[] = { "{\"status\":422,\"detail\":\"it is full\"}",
		"{\"status\":422,\"detail\":\"it is too old\"}" };
	char operation[37];

	ops_add_vm(VM1, VMRUNSTATE_POWEROFF);
	begin();
	keep();
	snprintf(operation, sizeof(operation), "%s", record()->operation);
	for (int i = 0; i < 2; i++) {
		run(1500);
		assert_int_equal(here.n_asked, 1);
		ops_answer(422, problems[i]);
	}
	run(1000);
	expect_failed(operation, "it is full");
	expect_failed(operation, "it is too old");
	assert_int_equal(here.asks, 2);
}

/* A VM that is busy, or on its way somewhere, is waited for. */
static void
test_waits(void **state)
{
	static const enum vmrunstate passing[] = { VMRUNSTATE_STARTUP, VMRUNSTATE_MIGRATING,
		VMRUNSTATE_TERMINATING };
	struct vm_request request = { 0 };
	struct error err = { 0 };

	ops_add_vm(VM1, VMRUNSTATE_RUNNING);
	assert_non_null(job_start(NULL, WORK_VM_PAUSE, &request, VM1, OP, NULL, NULL, NULL, &err));
	begin();
	keep();
	run(3000);
	assert_int_equal(here.n_asked, 0);
	ops_find_job(WORK_VM_PAUSE)->vm[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(passing); i++) {
		ops_add_vm(VM1, passing[i]);
		run(3000);
		assert_int_equal(here.n_asked, 0);
	}
	ops_add_vm(VM1, VMRUNSTATE_RUNNING);
	run(5000);
	assert_int_equal(here.n_asked, 1);
	arrive(VM1, H2, VMRUNSTATE_RUNNING);
	run(1000);
	assert_string_equal(ops_state(record()->operation), "completed");
}

/* It came by a migration that is not over: its record would be lost. */
static void
test_is_arriving(void **state)
{
	struct inventory *inventory = here.ctx.inventory;
	struct vm_report report;
	struct oplog_item *item;

	ops_report(VM1, VMRUNSTATE_RUNNING, &report);
	item = model_append(&report.oplog.items, &report.oplog.n_items);
	item->op = xstrdup("VmMigrate");
	item->status = xstrdup("started");
	inventory_report_vm(inventory, inventory_mark(inventory), true, &report);
	model_clear(&vm_report_model, &report);
	begin();
	keep();
	run(5000);
	assert_int_equal(here.n_asked, 0);
	/* It is gone by itself. */
	inventory_remove_vm(inventory, VM1);
	run(5000);
	assert_string_equal(ops_state(record()->operation), "completed");
}

/* The largest first, and no more at once than are allowed. */
static void
test_order(void **state)
{
	struct inventory *inventory = here.ctx.inventory;
	static const char *const vms[] = { VM1, VM2, VM3 };
	static const int32_t sizes[] = { 16, 64, 32 };

	for (size_t i = 0; i < 3; i++) {
		struct vm_report report;

		ops_report(vms[i], VMRUNSTATE_POWEROFF, &report);
		report.def.memory.total = sizes[i];
		inventory_report_vm(inventory, inventory_mark(inventory), true, &report);
		model_clear(&vm_report_model, &report);
	}
	begin();
	keep();
	run(500);
	assert_int_equal(here.n_asked, here.config.evacuations);
	assert_string_equal(here.asked[0].path, "/vms/" VM2 "/reservation");
	assert_string_equal(here.asked[1].path, "/vms/" VM3 "/reservation");
	arrive(VM2, H2, VMRUNSTATE_POWEROFF);
	run(500);
	assert_string_equal(here.asked[1].path, "/vms/" VM1 "/reservation");
}

/* That a VM was here is kept before it leaves: nobody would bring it back. */
static void
test_turns_up(void **state)
{
	ops_add_vm(VM1, VMRUNSTATE_POWEROFF);
	begin();
	keep();
	run(200);
	assert_int_equal(here.n_asked, 1);
	ops_add_vm(VM2, VMRUNSTATE_POWEROFF);
	ops_advance(500);
	assert_int_equal(here.n_asked, 1);
	assert_int_equal(
	    ((const struct maintenance_save_request *)ops_request_of(WORK_MAINTENANCE_SAVE))
		->maintenance.n_vms,
	    2);
	keep();
	ops_advance(100);
	assert_int_equal(here.n_asked, 2);
	assert_string_equal(here.asked[1].path, "/vms/" VM2 "/reservation");
}

/* VMs that have not left yet stay, and those that have are brought back. */
static void
test_ended_before_it_was_done(void **state)
{
	char operation[37];

	here.config.evacuations = 1;
	ops_add_vm(VM1, VMRUNSTATE_POWEROFF);
	ops_add_vm(VM2, VMRUNSTATE_POWEROFF);
	begin();
	keep();
	snprintf(operation, sizeof(operation), "%s", record()->operation);
	run(500);
	/* Asked for again: it is the same one. */
	begin();
	assert_int_equal(here.status, 202);
	assert_non_null(strstr(here.body, operation));
	end(true);
	/* That is just being kept. */
	begin();
	assert_int_equal(here.status, 409);
	keep();
	arrive(VM1, H2, VMRUNSTATE_POWEROFF);
	run(500);
	expect_failed(operation, "it was ended before it was done: 1 of 2 VMs stay");
	assert_string_equal(here.asked[0].path, "/vms/" VM1 "/runstate/migrate");
	/* And asked for the same way back. */
	end(true);
	assert_int_equal(here.status, 202);
	ops_add_vm(VM1, VMRUNSTATE_POWEROFF);
	ops_answer(409, "{\"status\":409,\"detail\":\"it is busy\"}");
	run(3000);
	assert_int_equal(record()->since, 0);
	assert_string_equal(ops_latest()->state, "completed");
}

/* A return that had to wait for the VM that is still leaving, and is not wanted any more. */
static void
test_overtaken(void **state)
{
	char back[37];

	ops_add_vm(VM1, VMRUNSTATE_POWEROFF);
	begin();
	keep();
	run(200);
	end(true);
	keep();
	snprintf(back, sizeof(back), "%s", record()->operation);
	run(500);
	assert_string_equal(ops_state(back), "started");
	begin();
	keep();
	expect_failed(back, "a later change of the maintenance came before it began");
	arrive(VM1, H2, VMRUNSTATE_POWEROFF);
	run(1000);
	assert_string_equal(ops_state(record()->operation), "completed");
	assert_int_equal(here.announced, record()->since);
}

/* The storage does not keep it: nothing has changed. */
static void
test_not_kept(void **state)
{
	begin();
	ops_fail_job(WORK_MAINTENANCE_SAVE, 507, "the storage is full");
	assert_int_equal(here.status, 507);
	assert_int_equal(here.announced, 0);
	assert_int_equal(record()->since, 0);
	assert_string_equal(ops_latest()->state, "failed");
	/* It may be there all the same: what holds is kept anew. */
	ops_advance(1000);
	assert_int_equal(
	    ((const struct maintenance_save_request *)ops_request_of(WORK_MAINTENANCE_SAVE))
		->maintenance.since,
	    0);
	keep();
	run(2000);
	assert_null(ops_find_job(WORK_MAINTENANCE_SAVE));
}

/* A VM that turns up until then stays, as this host is in no maintenance; the next time it leaves.
 */
static void
test_turns_up_and_is_not_kept(void **state)
{
	begin();
	ops_add_vm(VM1, VMRUNSTATE_RUNNING);
	ops_fail_job(WORK_MAINTENANCE_SAVE, 507, "the storage is full");
	run(2000);
	assert_int_equal(here.n_asked, 0);
	begin();
	keep();
	run(200);
	assert_int_equal(here.n_asked, 1);
	assert_string_equal(here.asked[0].path, "/vms/" VM1 "/reservation");
}

static void
test_async(void **state)
{
	struct request *req = ops_request(ROUTE_MAINTENANCE_BEGIN, SELF, "{}");

	req->respond_async = true;
	host_maintenance_begin(here.ctx.host_maintenance, req);
	assert_int_equal(here.status, 202);
	ops_fail_job(WORK_MAINTENANCE_SAVE, 507, "the storage is full");
	assert_int_equal(here.replies, 1);
	assert_string_equal(ops_latest()->state, "failed");
}

/* After a start of virtxd */

static void
test_goes_on_leaving(void **state)
{
	struct error err = { 0 };

	assert_int_equal(host_maintenance_check_open(&here.ctx, &err), -1);
	assert_non_null(strstr(err.detail, "is not known"));
	load(false, NULL);
	assert_int_equal(here.announced, 1600000000000);
	ops_add_vm(VM1, VMRUNSTATE_POWEROFF);
	run(500);
	assert_string_equal(ops_latest()->user, "me");
	assert_string_equal(here.asked[0].path, "/vms/" VM1 "/reservation");
}

/* Nothing is placed before the other hosts have told of themselves, or a minute is over. */
static void
test_goes_on_returning(void **state)
{
	load(true, VM1);
	assert_int_equal(here.announced, 0);
	inventory_set_host(here.ctx.inventory, H3, "h3", CSTATE_ACTIVE);
	ops_add_remote(VM1, H2, VMRUNSTATE_POWEROFF);
	here.libvirt = "it does not answer";
	run(5000);
	here.libvirt = NULL;
	run(5000);
	assert_int_equal(here.n_asked, 0);
	run(60000);
	assert_int_equal(here.n_asked, 1);
	assert_string_equal(here.asked[0].host, H2);
	assert_non_null(strstr(here.asked[0].body, SELF));
}

/* VMs that were to come back do not, when this host is to be left again meanwhile. */
static void
test_changed_while_it_settles(void **state)
{
	load(true, VM1);
	ops_add_remote(VM1, H2, VMRUNSTATE_POWEROFF);
	inventory_set_host(here.ctx.inventory, H3, "h3", CSTATE_ACTIVE);
	run(5000);
	assert_int_equal(here.n_asked, 0);
	begin();
	keep();
	assert_int_equal(here.status, 202);
	ops_add_vm(VM2, VMRUNSTATE_POWEROFF);
	run(500);
	assert_int_equal(here.n_asked, 1);
	assert_string_equal(here.asked[0].path, "/vms/" VM2 "/reservation");
}

static void
test_cannot_be_read(void **state)
{
	ops_start();
	ops_fail_job(WORK_MAINTENANCE_LOAD, 507, "the storage does not answer");
	assert_non_null(
	    strstr(host_maintenance_why(here.ctx.host_maintenance), "the storage does not answer"));
	begin();
	assert_int_equal(here.status, 503);
	end(true);
	assert_int_equal(here.status, 503);
	ops_advance(1100);
	ops_end_job(WORK_MAINTENANCE_LOAD, NULL);
	assert_string_equal(host_maintenance_why(here.ctx.host_maintenance), "");
}

/* What is kept is malformed: it is replaced, but nobody knows what is to come back. */
static void
test_damaged(void **state)
{
	ops_start();
	ops_fail_job(WORK_MAINTENANCE_LOAD, MAINTENANCE_FILE_DAMAGED, "it is no JSON");
	end(true);
	assert_int_equal(here.status, 422);
	begin();
	/* It is replaced, unless the storage refuses. */
	ops_fail_job(WORK_MAINTENANCE_SAVE, 507, "the storage is full");
	assert_int_equal(here.status, 507);
	assert_string_equal(host_maintenance_why(here.ctx.host_maintenance), "it is no JSON");
	ops_advance(1100);
	ops_fail_job(WORK_MAINTENANCE_LOAD, MAINTENANCE_FILE_DAMAGED, "it is no JSON");
	end(false);
	keep();
	assert_int_equal(here.status, 204);
	assert_string_equal(host_maintenance_why(here.ctx.host_maintenance), "");
}

/* The storage is away: what is told is that, and nothing is read from what is there instead. */
static void
test_storage_is_away(void **state)
{
	ops_start();
	ops_fail_job(WORK_MAINTENANCE_LOAD, 507, "it was cut off");
	here.unattended = true;
	keeper_set_libvirt(here.ctx.keeper, true);
	ops_end_job(WORK_COLLECT, NULL);
	ops_fail_job(WORK_STORAGE_CHECK, 503, "'/vms' is not mounted");
	ops_advance(1900);
	assert_null(ops_find_job(WORK_MAINTENANCE_LOAD));
	assert_string_equal(
	    host_maintenance_why(here.ctx.host_maintenance), "'/vms' is not mounted");
}

static void
test_stop(void **state)
{
	begin();
	host_maintenance_free(steal_ptr(here.ctx.host_maintenance));
	assert_int_equal(here.status, 503);
	assert_non_null(strstr(here.body, "virtxd stops"));
}

/* The plan of a dry run: where each would go, and what keeps some here. */
static void
test_plan(void **state)
{
	char vm[] = VM2, why[] = "it has a device of this host";
	struct vm_stay stay = { vm, why };
	const struct vm_stays_result stays = { &stay, 1 };
	struct maintenance_plan plan = { 0 };

	ops_add_vm(VM1, VMRUNSTATE_RUNNING);
	ops_add_vm(VM2, VMRUNSTATE_RUNNING);
	evacuation_plan(&here.ctx, &stays, &plan);
	assert_int_equal(plan.n_items, 2);
	assert_string_equal(plan.items[0].vm, VM1);
	assert_string_equal(plan.items[0].host, H2);
	assert_string_equal(plan.items[1].host, "");
	assert_string_equal(plan.items[1].reason, why);
	model_clear(&maintenance_plan_model, &plan);
}

static bool
hands_over(void)
{
	return host_maintenance_hands_over(here.ctx.host_maintenance);
}

/* Only a host that is shut down, is told to, and is known not to be in maintenance. */
static void
test_hands_over(void **state)
{
	char folder[] = "/tmp/virtx-XXXXXX";
	_free_ char *flag = NULL;
	struct error err = { 0 };

	assert_non_null(mkdtemp(folder));
	flag = xasprintf("%s/guests", folder);
	str_set(&here.config.run_dir, folder);
	here.config.ha_hands_over = true;
	ops_start();
	assert_int_equal(host_down_begin_guests(folder, &err), 0);
	/* Whether it is in maintenance is not known yet. */
	assert_false(hands_over());
	ops_end_job(WORK_MAINTENANCE_LOAD, NULL);
	assert_true(hands_over());
	here.config.ha_hands_over = false;
	assert_false(hands_over());
	here.config.ha_hands_over = true;
	assert_int_equal(unlink(flag), 0);
	assert_false(hands_over());
	assert_int_equal(host_down_begin_guests(folder, &err), 0);
	begin();
	keep();
	assert_false(hands_over());
	run(1000);
	end(false);
	keep();
	assert_true(hands_over());
	assert_int_equal(unlink(flag), 0);
	assert_int_equal(rmdir(folder), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		HOST(test_empty),
		HOST(test_evacuation_and_return),
		HOST(test_nowhere_to_go),
		HOST(test_refused),
		HOST(test_waits),
		HOST(test_is_arriving),
		HOST(test_order),
		HOST(test_turns_up),
		HOST(test_ended_before_it_was_done),
		HOST(test_overtaken),
		HOST(test_not_kept),
		HOST(test_turns_up_and_is_not_kept),
		HOST(test_async),
		TEST(test_goes_on_leaving),
		TEST(test_goes_on_returning),
		TEST(test_changed_while_it_settles),
		TEST(test_cannot_be_read),
		TEST(test_damaged),
		TEST(test_storage_is_away),
		HOST(test_stop),
		HOST(test_plan),
		TEST(test_hands_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
