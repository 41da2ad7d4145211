/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What virtxd looks at by itself, when, and what the inventory is told of it. */
#include "keeper_host.h"

#include "ops/known.h"
#include "ops/uuid_set.h"
#include "work/orphans.h"

static void
test_probe(void **state)
{
	char uuid[] = SELF;
	const struct probe_result res = { uuid };

	keeper_probe(here.ctx.keeper);
	keeper_probe(here.ctx.keeper);
	ops_end_job(WORK_PROBE, &res);
	assert_null(ops_find_job(WORK_PROBE));
	assert_int_equal(here.probes, 1);
	assert_string_equal(here.probed, SELF);
	keeper_probe(here.ctx.keeper);
	ops_fail_job(WORK_PROBE, 503, "libvirt hangs");
	assert_int_equal(here.probes, 2);
	assert_string_equal(here.probed, "");
	here.no_jobs = true;
	keeper_probe(here.ctx.keeper);
	assert_int_equal(here.probes, 3);
}

/* A VM that runs here is this host's; one that is off may be anybody's. */
static void
test_newcomers(void **state)
{
	struct whose_result res = { 0 };
	const struct whose_request *asked;

	assert_true(keeper_knows_vms(here.ctx.keeper));
	ops_advance(15000);
	assert_false(((const struct collect_request *)ops_request_of(WORK_COLLECT))->host);
	collect(VM1, VMRUNSTATE_RUNNING);
	assert_true(find(VM1)->local);
	assert_null(ops_find_job(WORK_WHOSE));

	event(VM2, VMRUNSTATE_NONE);
	ops_advance(50);
	refresh(VM2, VMRUNSTATE_POWEROFF);
	asked = ops_request_of(WORK_WHOSE);
	assert_int_equal(asked->n_vms, 1);
	assert_string_equal(asked->vms[0].uuid, VM2);
	assert_null(find(VM2));
	/* It is seen again before that is answered. */
	event(VM2, VMRUNSTATE_NONE);
	ops_advance(50);
	refresh(VM2, VMRUNSTATE_POWEROFF);
	assert_null(find(VM2));

	ops_report(VM2, VMRUNSTATE_POWEROFF, model_append(&res.vms, &res.n_vms));
	ops_end_job(WORK_WHOSE, &res);
	assert_true(find(VM2)->local);
	model_clear(&whose_result_model, &res);
	assert_non_null(ops_find_job(WORK_WHOSE));
}

/* No host is said to have them: this one has what no other has told of. */
static void
test_unregistered(void **state)
{
	struct whose_result res = { 0 };

	ops_add_host(H2, "h2", 4096);
	ops_add_remote(VM1, H2, VMRUNSTATE_POWEROFF);
	event(VM1, VMRUNSTATE_NONE);
	event(VM2, VMRUNSTATE_NONE);
	ops_advance(50);
	ops_end_job(WORK_REFRESH, NULL);
	event(VM1, VMRUNSTATE_NONE);
	ops_advance(50);
	refresh(VM1, VMRUNSTATE_POWEROFF);
	ops_report(VM1, VMRUNSTATE_POWEROFF, model_append(&res.unregistered, &res.n_unregistered));
	ops_report(VM2, VMRUNSTATE_POWEROFF, model_append(&res.unregistered, &res.n_unregistered));
	ops_end_job(WORK_WHOSE, &res);
	assert_false(find(VM1)->local);
	assert_true(find(VM2)->local);
	model_clear(&whose_result_model, &res);
}

/* The registry cannot be asked: VMs that no other host has are shown rather than none. */
static void
test_registry_is_away(void **state)
{
	ops_add_host(H2, "h2", 4096);
	ops_add_remote(VM2, H2, VMRUNSTATE_POWEROFF);
	event(VM1, VMRUNSTATE_NONE);
	ops_advance(50);
	refresh(VM1, VMRUNSTATE_POWEROFF);
	ops_fail_job(WORK_WHOSE, 507, "the storage does not answer");
	assert_null(find(VM1));
	assert_true(keeper_is_undecided(here.ctx.keeper, VM1));
	/* It is no unknown one, as others are. */
	known_reply_no_vm(&here.ctx, ops_request(ROUTE_VM_GET, VM1, ""));
	assert_int_equal(here.status, 503);
	assert_non_null(strstr(here.body, "whether it is another host's is found out"));
	known_reply_no_vm(&here.ctx, ops_request(ROUTE_VM_GET, VM3, ""));
	assert_int_equal(here.status, 404);
	event(VM1, VMRUNSTATE_NONE);
	ops_advance(50);
	refresh(VM1, VMRUNSTATE_POWEROFF);
	assert_true(find(VM1)->local);
	assert_false(keeper_is_undecided(here.ctx.keeper, VM1));
	ops_fail_job(WORK_WHOSE, 507, "the storage does not answer");
	event(VM2, VMRUNSTATE_NONE);
	ops_advance(50);
	refresh(VM2, VMRUNSTATE_POWEROFF);
	assert_false(find(VM2)->local);
}

/* What another host finds out whether it is its own is not said to be nowhere. */
static void
test_undecided_elsewhere(void **state)
{
	struct undecided_vm vm = { .uuid = (char[]){ VM3 } };
	struct vm_info_list list = { .host = (char[]){ H2 }, .undecided = &vm, .n_undecided = 1 };

	ops_add_host(H2, "h2", 4096);
	inventory_take_list(here.ctx.inventory, inventory_mark(here.ctx.inventory), &list);
	known_reply_no_vm(&here.ctx, ops_request(ROUTE_VM_GET, VM3, ""));
	assert_int_equal(here.status, 503);
	assert_non_null(strstr(here.body, "host '" H2 "' finds out whether it is its own"));
	list.n_undecided = 0;
	inventory_take_list(here.ctx.inventory, inventory_mark(here.ctx.inventory), &list);
	known_reply_no_vm(&here.ctx, ops_request(ROUTE_VM_GET, VM3, ""));
	assert_int_equal(here.status, 404);
}

static void
assert_unknown(void)
{
	known_reply_no_vm(&here.ctx, ops_request(ROUTE_VM_GET, VM1, ""));
	assert_int_equal(here.status, 404);
}

static void
assert_open(void)
{
	known_reply_no_vm(&here.ctx, ops_request(ROUTE_VM_GET, VM1, ""));
	assert_int_equal(here.status, 503);
}

/* Of what libvirt has told of it is open whose it is, from then until somebody who began later has
 * looked: others are told that, too. */
static void
test_heard(void **state)
{
	struct refresh_result res = { 0 };
	struct collect_result all = { .host = { .uuid = (char[]){ SELF } } };

	ops_advance(15000);
	event(VM1, VMRUNSTATE_NONE);
	assert_open();
	assert_string_equal(inventory_find_undecided(here.ctx.inventory, VM1), SELF);
	/* That one has begun before. */
	ops_end_job(WORK_COLLECT, &all);
	assert_open();
	ops_advance(50);
	ops_fail_job(WORK_REFRESH, 424, "cannot look up the VMs");
	assert_open();
	event(VM1, VMRUNSTATE_NONE);
	ops_advance(50);
	event(VM1, VMRUNSTATE_NONE);
	model_append(&res.gone, &res.n_gone)->uuid = xstrdup(VM1);
	ops_end_job(WORK_REFRESH, &res);
	assert_open();
	ops_advance(50);
	ops_end_job(WORK_REFRESH, &res);
	assert_unknown();
	assert_null(inventory_find_undecided(here.ctx.inventory, VM1));
	model_clear(&refresh_result_model, &res);

	event(VM1, VMRUNSTATE_NONE);
	ops_advance(50);
	ops_end_job(WORK_REFRESH, &res);
	assert_open();
	ops_advance(15000);
	ops_end_job(WORK_COLLECT, &all);
	assert_unknown();
}

/* What was deleted is not there, whatever those say who looked at it before. */
static void
test_deleted_meanwhile(void **state)
{
	struct whose_result res = { 0 };

	event(VM1, VMRUNSTATE_NONE);
	ops_advance(50);
	refresh(VM1, VMRUNSTATE_POWEROFF);
	assert_non_null(ops_find_job(WORK_WHOSE));
	ops_add_vm(VM1, VMRUNSTATE_POWEROFF);
	event(VM1, VMRUNSTATE_NONE);
	ops_advance(50);
	operations_start(here.ctx.operations, "VmDelete", VM1, SELF, "me");
	event(VM1, VMRUNSTATE_DELETED);
	assert_unknown();
	refresh(VM1, VMRUNSTATE_POWEROFF);
	assert_unknown();
	model_append(&res.leaving, &res.n_leaving)->uuid = xstrdup(VM1);
	ops_end_job(WORK_WHOSE, &res);
	assert_unknown();
	model_clear(&whose_result_model, &res);
}

/* After a start: what libvirt has here is not known before somebody has told whose it is, or what
 * is off was looked at again. */
static void
test_registry_is_away_at_first(void **state)
{
	struct whose_result res = { 0 };

	keeper_set_libvirt(here.ctx.keeper, true);
	collect(VM1, VMRUNSTATE_POWEROFF);
	assert_false(keeper_knows_vms(here.ctx.keeper));
	ops_fail_job(WORK_WHOSE, 424, "libvirt has gone");
	assert_false(keeper_knows_vms(here.ctx.keeper));
	/* This is not all there is. */
	event(VM2, VMRUNSTATE_NONE);
	ops_advance(50);
	refresh(VM2, VMRUNSTATE_POWEROFF);
	ops_report(VM2, VMRUNSTATE_POWEROFF, model_append(&res.vms, &res.n_vms));
	ops_end_job(WORK_WHOSE, &res);
	model_clear(&whose_result_model, &res);
	assert_false(keeper_knows_vms(here.ctx.keeper));
	ops_advance(15000);
	collect(VM1, VMRUNSTATE_POWEROFF);
	ops_report(VM1, VMRUNSTATE_POWEROFF, model_append(&res.vms, &res.n_vms));
	assert_false(keeper_knows_vms(here.ctx.keeper));
	ops_end_job(WORK_WHOSE, &res);
	model_clear(&whose_result_model, &res);
	assert_true(keeper_knows_vms(here.ctx.keeper));
	assert_true(find(VM1)->local);
}

/* It hangs: the same after a while. */
static void
test_registry_hangs(void **state)
{
	event(VM1, VMRUNSTATE_NONE);
	ops_advance(50);
	refresh(VM1, VMRUNSTATE_POWEROFF);
	ops_advance(here.config.answer_timeout * 1000 + 1);
	event(VM1, VMRUNSTATE_NONE);
	ops_advance(50);
	refresh(VM1, VMRUNSTATE_POWEROFF);
	assert_true(find(VM1)->local);
}

static void
test_period(void **state)
{
	const struct collect_request *asked;

	ops_add_vm(VM1, VMRUNSTATE_RUNNING);
	ops_advance(15000);
	asked = ops_request_of(WORK_COLLECT);
	/* What is known need not be read again. */
	assert_int_equal(asked->n_known, 1);
	assert_string_equal(asked->known[0].uuid, VM1);
	ops_fail_job(WORK_COLLECT, 424, "libvirt says no");
	assert_int_equal(ops_runstate(VM1), VMRUNSTATE_RUNNING);
	ops_advance(15000);
	collect(VM1, VMRUNSTATE_PAUSED);
	assert_int_equal(ops_runstate(VM1), VMRUNSTATE_PAUSED);

	here.config.collect_period = 5;
	keeper_reload(here.ctx.keeper);
	ops_advance(5000);
	ops_end_job(WORK_COLLECT, NULL);

	/* It rests while libvirt is away; then all is read again. */
	keeper_set_libvirt(here.ctx.keeper, false);
	ops_advance(60000);
	assert_null(ops_find_job(WORK_COLLECT));
	keeper_set_libvirt(here.ctx.keeper, true);
	asked = ops_request_of(WORK_COLLECT);
	assert_true(asked->host);
	assert_int_equal(asked->n_known, 0);
}

/* A collection that was under way when libvirt came back may have looked before. */
static void
test_collect_again(void **state)
{
	const struct collect_request *asked;

	ops_add_vm(VM1, VMRUNSTATE_RUNNING);
	ops_advance(15000);
	keeper_set_libvirt(here.ctx.keeper, false);
	keeper_set_libvirt(here.ctx.keeper, true);
	/* Until it ends: none is begun beside it. */
	ops_advance(15000);
	collect(VM1, VMRUNSTATE_RUNNING);
	asked = ops_request_of(WORK_COLLECT);
	assert_true(asked->host);
	assert_int_equal(asked->n_known, 0);
	/* Once is enough. */
	collect(VM1, VMRUNSTATE_POWEROFF);
	assert_int_equal(ops_runstate(VM1), VMRUNSTATE_POWEROFF);
	assert_null(ops_find_job(WORK_COLLECT));

	/* Nor need it have ended well; where libvirt is away by then, it waits. */
	ops_advance(15000);
	keeper_set_libvirt(here.ctx.keeper, false);
	keeper_set_libvirt(here.ctx.keeper, true);
	ops_fail_job(WORK_COLLECT, 424, "libvirt ends");
	keeper_set_libvirt(here.ctx.keeper, false);
	keeper_set_libvirt(here.ctx.keeper, true);
	keeper_set_libvirt(here.ctx.keeper, false);
	ops_end_job(WORK_COLLECT, NULL);
	assert_null(ops_find_job(WORK_COLLECT));
	keeper_set_libvirt(here.ctx.keeper, true);
	ops_end_job(WORK_COLLECT, NULL);
	assert_null(ops_find_job(WORK_COLLECT));
}

static void
test_events(void **state)
{
	const struct refresh_request *asked;

	ops_add_vm(VM1, VMRUNSTATE_RUNNING);
	event(VM1, VMRUNSTATE_POWEROFF);
	/* Known at once; why, a job finds out, one for what came together. */
	assert_int_equal(ops_runstate(VM1), VMRUNSTATE_POWEROFF);
	event(VM2, VMRUNSTATE_NONE);
	event(VM1, VMRUNSTATE_NONE);
	assert_null(ops_find_job(WORK_REFRESH));
	ops_advance(50);
	asked = ops_request_of(WORK_REFRESH);
	assert_int_equal(asked->n_vms, 2);
	/* What comes while it runs is for the next one. */
	event(VM3, VMRUNSTATE_NONE);
	ops_advance(1000);
	ops_fail_job(WORK_REFRESH, 424, "libvirt says no");
	ops_advance(50);
	asked = ops_request_of(WORK_REFRESH);
	assert_int_equal(asked->n_vms, 1);
	assert_string_equal(asked->vms[0].uuid, VM3);
	ops_end_job(WORK_REFRESH, NULL);

	/* No job is needed where the event tells it all. */
	event(VM1, VMRUNSTATE_CRASHED);
	ops_advance(50);
	ops_end_job(WORK_REFRESH, NULL);
	event(VM1, VMRUNSTATE_TERMINATING);
	ops_advance(50);
	assert_null(ops_find_job(WORK_REFRESH));
	assert_int_equal(ops_runstate(VM1), VMRUNSTATE_TERMINATING);
}

/* What could not be looked at is read by the next collection. */
static void
test_no_refresh(void **state)
{
	for (int i = 0; i < 2; i++) {
		ops_add_vm(VM1, VMRUNSTATE_RUNNING);
		event(VM1, VMRUNSTATE_NONE);
		here.no_jobs = i == 0;
		ops_advance(50);
		here.no_jobs = false;
		if (i == 1)
			ops_fail_job(WORK_REFRESH, 504, "it was killed");
		ops_advance(15000);
		assert_int_equal(
		    ((const struct collect_request *)ops_request_of(WORK_COLLECT))->n_known, 0);
		ops_fail_job(WORK_COLLECT, 424, "no");
	}
}

/* The sizes of disks are read once the definition is known. */
static void
test_inspect(void **state)
{
	struct inventory *inventory = here.ctx.inventory;
	struct disk_report sizes[] = { { 0, DISK_PROV_MODE_THIN, 1 << 30, 4096, 8192 },
		{ 1, DISK_PROV_MODE_THIN, 1 << 30, 4096, 8192 } };
	char vm[] = VM1;
	struct vm_report measured = { .uuid = vm, .disks = sizes, .n_disks = 2 };
	const struct inspect_result res = { &measured, 1 };
	const struct inspect_request *asked;
	struct vm_report report;
	struct disk *disk;

	ops_report(VM1, VMRUNSTATE_RUNNING, &report);
	report.def.osdisk = (struct disk){ .path = xstrdup("/vms/ds/os.qcow2"), .size = 1024 };
	disk = model_append(&report.def.disks, &report.def.n_disks);
	*disk = (struct disk){ .path = xstrdup("/vms/ds/data.qcow2"), .size = 1024 };
	inventory_report_vm(inventory, inventory_mark(inventory), true, &report);
	model_clear(&vm_report_model, &report);
	assert_int_equal(find(VM1)->sizes, DISK_SIZES_UNREAD);
	event(VM2, VMRUNSTATE_NONE);
	ops_advance(50);
	ops_end_job(WORK_REFRESH, NULL);

	asked = ops_request_of(WORK_INSPECT);
	assert_int_equal(asked->n_vms, 1);
	assert_int_equal(asked->vms[0].n_disks, 2);
	assert_string_equal(asked->vms[0].disks[1].path, "/vms/ds/data.qcow2");
	ops_fail_job(WORK_INSPECT, 507, "the storage does not answer");
	assert_int_equal(find(VM1)->sizes, DISK_SIZES_UNREADABLE);
	event(VM2, VMRUNSTATE_NONE);
	ops_advance(50);
	ops_end_job(WORK_REFRESH, NULL);
	ops_end_job(WORK_INSPECT, &res);
	assert_int_equal(find(VM1)->sizes, DISK_SIZES_READ);

	/* Once the VM has been off they may be others. */
	inventory_set_runstate(inventory, VM1, VMRUNSTATE_PAUSED);
	inventory_set_runstate(inventory, VM1, VMRUNSTATE_RUNNING);
	assert_int_equal(find(VM1)->sizes, DISK_SIZES_READ);
	inventory_set_runstate(inventory, VM1, VMRUNSTATE_POWEROFF);
	assert_int_equal(find(VM1)->sizes, DISK_SIZES_READ);
	inventory_set_runstate(inventory, VM1, VMRUNSTATE_RUNNING);
	assert_int_equal(find(VM1)->sizes, DISK_SIZES_UNREAD);
	event(VM2, VMRUNSTATE_NONE);
	ops_advance(50);
	ops_end_job(WORK_REFRESH, NULL);
	sizes[0].capacity = 2LL << 30;
	ops_end_job(WORK_INSPECT, &res);
	assert_int_equal(find(VM1)->vm.def.osdisk.size, 2048);
}

/* It has left, or is no more. */
static void
test_gone(void **state)
{
	ops_add_vm(VM1, VMRUNSTATE_RUNNING);
	ops_add_vm(VM2, VMRUNSTATE_RUNNING);
	ops_add_vm(VM3, VMRUNSTATE_RUNNING);
	keeper_vm_changed(here.ctx.keeper, VM1, VMRUNSTATE_POWEROFF, true);
	/* Its new host is yet to tell of it. */
	assert_false(find(VM1)->local);
	operations_start(here.ctx.operations, "VmMigrate", VM2, SELF, "me");
	event(VM2, VMRUNSTATE_DELETED);
	assert_false(find(VM2)->local);
	event(VM3, VMRUNSTATE_DELETED);
	assert_null(find(VM3));
}

/* An operation that was left to the guest ends when the VM is off, or is not there any more. */
static void
test_ends_when_off(void **state)
{
	struct operations *operations = here.ctx.operations;
	const char *gone, *deleted, *off;

	gone = operations_start(operations, "VmShutdown", VM1, SELF, "me");
	keeper_end_when_off(here.ctx.keeper, VM1, gone);
	assert_string_equal(ops_state(gone), "completed");

	ops_add_vm(VM2, VMRUNSTATE_RUNNING);
	deleted = operations_start(operations, "VmShutdown", VM2, SELF, "me");
	keeper_end_when_off(here.ctx.keeper, VM2, deleted);
	assert_string_equal(ops_state(deleted), "started");
	event(VM2, VMRUNSTATE_DELETED);
	assert_string_equal(ops_state(deleted), "completed");

	/* It has moved to another host meanwhile, which goes away, and the VM with it. */
	ops_add_host(H2, "h2", 4096);
	ops_add_remote(VM3, H2, VMRUNSTATE_RUNNING);
	off = operations_start(operations, "VmShutdown", VM3, SELF, "me");
	keeper_end_when_off(here.ctx.keeper, VM3, off);
	inventory_set_host(here.ctx.inventory, H2, "h2", CSTATE_INVALID);
	assert_string_equal(ops_state(off), "started");
	ops_advance(60000);
	assert_string_equal(ops_state(off), "completed");
	assert_string_equal(operations_find(operations, off)->msg, "no host has the VM any more");
}

/* Reconciliation */

static void
test_reconcile(void **state)
{
	char orphan[] = ORPHAN_LEASE, other[] = "other", path[] = "/vms/lock/x", text[] = "what",
	     vm1[] = VM1, vm2[] = VM2, vm3[] = VM3, none[] = "", cursor[] = "x";
	struct host_problem problems[] = { { orphan, vm1, path, text },
		{ orphan, none, path, text }, { other, vm1, path, text } };
	struct work_uuid unfinished = { vm2 }, leftover = { vm3 };
	struct reconcile_result res = { .problems = problems,
		.n_problems = 3,
		.cursor = cursor,
		.unfinished = &unfinished,
		.n_unfinished = 1,
		.leftovers = &leftover,
		.n_leftovers = 1 };
	const struct host *self;

	here.unattended = true;
	ops_add_host(H2, "h2", 4096);
	ops_add_remote(VM1, H2, VMRUNSTATE_RUNNING);
	ops_add_vm(VM3, VMRUNSTATE_POWEROFF);
	keeper_reconcile(here.ctx.keeper);
	/* Asked for once more while it runs. */
	keeper_reconcile(here.ctx.keeper);
	assert_false(((const struct reconcile_request *)ops_request_of(WORK_RECONCILE))->deep);
	ops_end_job(WORK_RECONCILE, &res);
	self = inventory_find_host(here.ctx.inventory, SELF);
	assert_int_equal(self->n_problems, 2);
	assert_string_equal(self->problems[1].kind, "other");
	assert_null(find(VM3));
	assert_string_equal(
	    ((const struct reconcile_request *)ops_request_of(WORK_RECONCILE))->cursor, "x");
	assert_int_equal(
	    ((const struct reconcile_request *)ops_request_of(WORK_RECONCILE))->n_known, 2);
	ops_fail_job(WORK_RECONCILE, 507, "the storage does not answer");
	assert_null(ops_find_job(WORK_RECONCILE));
	/* What was left is healed. */
	ops_advance(200);
	assert_non_null(ops_find_job(WORK_VM_HEAL));
	ops_end_job(WORK_VM_HEAL, NULL);
	assert_non_null(ops_find_job(WORK_VM_HEAL));
}

/* All images are looked at every ten minutes. */
static void
test_deep(void **state)
{
	here.unattended = true;
	here.now += 600000;
	keeper_reconcile(here.ctx.keeper);
	assert_true(((const struct reconcile_request *)ops_request_of(WORK_RECONCILE))->deep);
	ops_end_job(WORK_RECONCILE, NULL);
	keeper_reconcile(here.ctx.keeper);
	assert_false(((const struct reconcile_request *)ops_request_of(WORK_RECONCILE))->deep);
}

/* A set of VMs */

static void
test_uuid_set(void **state)
{
	struct uuid_set set = { 0 };
	char uuid[37];

	assert_true(uuid_set_is_empty(&set));
	uuid_set_add(&set, "no uuid");
	assert_true(uuid_set_is_empty(&set));
	uuid_set_add(&set, "A0000000-0000-4000-8000-000000000002");
	uuid_set_add(&set, H2);
	assert_true(uuid_set_take(&set, uuid));
	assert_string_equal(uuid, H2);
	assert_false(uuid_set_take(&set, uuid));
	uuid_set_add(&set, H3);
	assert_true(uuid_set_has(&set, H3));
	assert_false(uuid_set_has(&set, H2));
	uuid_set_remove(&set, H2);
	assert_true(uuid_set_has(&set, H3));
	uuid_set_remove(&set, H3);
	assert_true(uuid_set_is_empty(&set));
	uuid_set_add(&set, H3);
	uuid_set_clear(&set);
	assert_true(uuid_set_is_empty(&set));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		KEEPER(test_probe),
		KEEPER(test_newcomers),
		KEEPER(test_unregistered),
		KEEPER(test_registry_is_away),
		KEEPER(test_undecided_elsewhere),
		KEEPER(test_heard),
		KEEPER(test_deleted_meanwhile),
		KEEPER(test_registry_hangs),
		cmocka_unit_test_setup_teardown(
		    test_registry_is_away_at_first, ops_setup, ops_teardown),
		KEEPER(test_period),
		KEEPER(test_collect_again),
		KEEPER(test_events),
		KEEPER(test_no_refresh),
		KEEPER(test_inspect),
		KEEPER(test_gone),
		KEEPER(test_ends_when_off),
		KEEPER(test_reconcile),
		KEEPER(test_deep),
		cmocka_unit_test(test_uuid_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
