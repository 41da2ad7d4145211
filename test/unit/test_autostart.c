/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMs that are booted after their host was: which, when, and in which order. */
#include "own_boot_host.h"

#include <unistd.h>

#include "ops/autostart.h"
#include "work/host_down.h"

static struct autostart *autostart;

static int
setup(void **state)
{
	ops_setup(state);
	autostart = autostart_new(&here.ctx);
	return 0;
}

static int
teardown(void **state)
{
	autostart_free(autostart);
	return ops_teardown(state);
}

#define AUTOSTART(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

static void
add_due(const char *vm)
{
	wanted_vm(vm, VMRUNSTATE_POWEROFF, WANT_ON, "restart", NULL, "vm");
}

/* The job tells what was kept since the host was booted: n VMs, or nothing (-1). */
static void
tell(int n, struct vm_stay *vms)
{
	struct autostart_result res = {
		.kept = n >= 0, .vms = vms, .n_vms = n > 0 ? (size_t)n : 0
	};

	assert_false(((const struct autostart_request *)ops_request_of(WORK_AUTOSTART))->keep);
	ops_end_job(WORK_AUTOSTART, &res);
}

/* The job is to keep so many, the first of them this one. */
static void
keep(size_t n, const char *first)
{
	const struct autostart_request *asked;

	if (!ops_find_job(WORK_AUTOSTART))
		ops_advance(1250);
	asked = ops_request_of(WORK_AUTOSTART);
	assert_true(asked->keep);
	assert_int_equal(asked->n_vms, n);
	if (n > 0)
		assert_string_equal(asked->vms[0].uuid, first);
	ops_end_job(WORK_AUTOSTART, NULL);
}

static void
heal(const char *vm)
{
	struct vm_result res = ops_result(vm, VMRUNSTATE_POWEROFF);

	res.vm.want = WANT_ON;
	res.vm.recorded = true;
	ha_set(&res.vm.def, HA_POLICY, "restart");
	ops_end_job(WORK_VM_HEAL, &res);
	model_clear(&vm_result_model, &res);
}

static void
test_in_order_one_at_a_time(void **state)
{
	ops_up();
	here.config.ha_boot_delay = 30;
	wanted_vm(VM1, VMRUNSTATE_POWEROFF, WANT_ON, "restart", NULL, "b");
	wanted_vm(VM2, VMRUNSTATE_CRASHED, WANT_ON, "restart", NULL, "a");
	wanted_vm(VM3, VMRUNSTATE_POWEROFF, WANT_ON, "restart", "1", "z");
	ops_advance(1250);
	tell(-1, NULL);
	keep(3, VM3);
	ops_advance(1250);
	assert_string_equal(booting(), VM3);
	assert_string_equal(ops_latest()->op, "VmBoot");
	assert_string_equal(ops_latest()->user, "virtxd");
	ops_advance(60000);
	assert_string_equal(booting(), VM3);
	end_boot(VM3);
	ops_advance(25000);
	assert_null(ops_find_job(WORK_AUTOSTART));
	ops_advance(6250);
	keep(2, VM2);
	ops_advance(1250);
	end_boot(VM2);
	ops_advance(31250);
	keep(1, VM1);
	ops_advance(1250);
	end_boot(VM1);
	ops_advance(31250);
	keep(0, NULL);
	ops_advance(1250);
	assert_true(autostart_is_over(autostart));
	assert_null(ops_find_job(WORK_AUTOSTART));
}

static void
test_which(void **state)
{
	static const struct {
		enum vmrunstate runstate;
		enum want want;
		const char *policy;
		bool otherwise, due;
	} rows[] = {
		{ VMRUNSTATE_POWEROFF, WANT_ON, "restart", false, true },
		{ VMRUNSTATE_POWEROFF, WANT_ON, NULL, true, true },
		{ VMRUNSTATE_POWEROFF, WANT_ON, "what", true, true },
		{ VMRUNSTATE_POWEROFF, WANT_ON, NULL, false, false },
		{ VMRUNSTATE_POWEROFF, WANT_ON, "none", true, false },
		{ VMRUNSTATE_POWEROFF, WANT_OFF, "restart", true, false },
		{ VMRUNSTATE_POWEROFF, WANT_UNKNOWN, "restart", true, false },
		{ VMRUNSTATE_RUNNING, WANT_ON, "restart", true, false },
		{ VMRUNSTATE_PAUSED, WANT_ON, "restart", true, false },
	};

	ops_up();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		autostart_free(autostart);
		autostart = autostart_new(&here.ctx);
		here.config.ha_restart = rows[i].otherwise;
		inventory_end_vm(here.ctx.inventory, VM1);
		wanted_vm(VM1, rows[i].runstate, rows[i].want, rows[i].policy, NULL, "vm");
		ops_advance(1250);
		tell(-1, NULL);
		keep(rows[i].due, VM1);
		ops_advance(1250);
		assert_string_equal(booting(), rows[i].due ? VM1 : "");
		if (rows[i].due)
			end_boot(VM1);
	}
}

/* A restart of virtxd goes on with what was left, and begins nothing. */
static void
test_once_for_each_boot_of_the_host(void **state)
{
	struct vm_stay left = { (char *)VM2, (char *)"" };

	ops_up();
	here.config.ha_boot_delay = 0;
	add_due(VM1);
	add_due(VM2);
	ops_advance(1250);
	tell(1, &left);
	ops_advance(1250);
	end_boot(VM2);
	keep(0, NULL);
	ops_advance(1250);
	assert_true(autostart_is_over(autostart));

	autostart_free(autostart);
	autostart = autostart_new(&here.ctx);
	ops_advance(1250);
	tell(0, NULL);
	ops_advance(1250);
	assert_true(autostart_is_over(autostart));
	assert_null(ops_find_job(WORK_VM_BOOT));
}

/* It is told of, and not tried again, also by the next virtxd. */
static void
test_one_that_does_not_start(void **state)
{
	struct vm_stay failed = { (char *)VM1, (char *)"no such file" };

	ops_up();
	here.config.ha_boot_delay = 0;
	add_due(VM1);
	add_due(VM2);
	ops_advance(1250);
	tell(-1, NULL);
	keep(2, VM1);
	ops_advance(1250);
	assert_string_equal(booting(), VM1);
	ops_fail_job(WORK_VM_BOOT, 424, "no such file");
	assert_string_equal(ops_latest()->state, "failed");
	assert_non_null(strstr(problem_of(VM1), "no such file"));
	keep(2, VM1);
	ops_advance(1250);
	end_boot(VM2);
	keep(1, VM1);
	ops_advance(1250);
	assert_true(autostart_is_over(autostart));
	/* A reconciliation leaves it. */
	inventory_set_problems(here.ctx.inventory, NULL, 0);
	assert_non_null(problem_of(VM1));

	autostart_free(autostart);
	autostart = autostart_new(&here.ctx);
	inventory_set_unstarted(here.ctx.inventory, VM1, "");
	inventory_set_problems(here.ctx.inventory, NULL, 0);
	assert_null(problem_of(VM1));
	ops_advance(1250);
	tell(1, &failed);
	ops_advance(1250);
	assert_true(autostart_is_over(autostart));
	assert_non_null(strstr(problem_of(VM1), "no such file"));
	/* Somebody has seen to it. */
	wanted_vm(VM1, VMRUNSTATE_RUNNING, WANT_ON, "restart", NULL, "vm");
	inventory_set_problems(here.ctx.inventory, NULL, 0);
	assert_null(problem_of(VM1));
}

/* A host that was about to take it over, and sees that this one is back, has its leases still. */
static void
test_one_that_is_locked(void **state)
{
	static const char held[] = "Failed to acquire lock: Lease is held by another host";
	unsigned int boots = 0;

	ops_up();
	here.config.ha_boot_delay = 0;
	add_due(VM1);
	add_due(VM2);
	ops_advance(1250);
	tell(-1, NULL);
	keep(2, VM1);
	ops_advance(1250);
	assert_string_equal(booting(), VM1);
	ops_fail_job(WORK_VM_BOOT, 424, held);
	assert_null(problem_of(VM1));
	/* The next one does not wait for it. */
	ops_advance(6250);
	end_boot(VM2);
	keep(1, VM1);
	ops_advance(1250);
	for (; is_booting(VM1) && boots < 100; boots++) {
		ops_fail_job(WORK_VM_BOOT, 424, held);
		ops_advance(10000);
	}
	assert_true(boots >= 10 && boots <= 13);
	assert_non_null(strstr(problem_of(VM1), held));
	keep(1, VM1);
}

/* What the host lacks for a moment is waited for. */
static void
test_a_host_that_is_not_ready(void **state)
{
	here.libvirt = "gone";
	ops_up();
	here.config.ha_boot_delay = 0;
	add_due(VM1);
	ops_advance(5000);
	assert_null(ops_find_job(WORK_AUTOSTART));
	here.libvirt = NULL;
	ops_advance(1250);
	tell(-1, NULL);
	keep(1, VM1);
	here.libvirt = "gone";
	ops_advance(5000);
	assert_string_equal(booting(), "");
	here.libvirt = NULL;
	ops_advance(1250);
	ops_fail_job(WORK_VM_BOOT, 503, "lockspace: it is left");
	assert_null(problem_of(VM1));
	/* What the job may have left is healed first. */
	ops_advance(6250);
	assert_string_equal(booting(), "");
	heal(VM1);
	ops_advance(1250);
	end_boot(VM1);
	keep(0, NULL);
}

/* It takes no VMs, nor boots those that it still has. */
static void
test_a_host_in_maintenance(void **state)
{
	ops_up();
	add_due(VM1);
	inventory_set_maintenance(here.ctx.inventory, SELF, true);
	ops_advance(5000);
	assert_null(ops_find_job(WORK_AUTOSTART));
	inventory_set_maintenance(here.ctx.inventory, SELF, false);
	ops_advance(1250);
	tell(-1, NULL);
	keep(1, VM1);
}

/* What is booted as libvirt-guests shuts the others down would be on when the storage is to go. */
static void
test_a_host_that_goes_down(void **state)
{
	char folder[] = "/tmp/virtx-XXXXXX";
	_free_ char *flag = NULL;
	struct error err = { 0 };

	assert_non_null(mkdtemp(folder));
	flag = xasprintf("%s/guests", folder);
	str_set(&here.config.run_dir, folder);
	ops_up();
	add_due(VM1);
	ops_advance(1250);
	tell(-1, NULL);
	keep(1, VM1);
	assert_int_equal(host_down_begin_guests(folder, &err), 0);
	ops_advance(60000);
	assert_string_equal(booting(), "");
	/* It stays up after all. */
	assert_int_equal(unlink(flag), 0);
	ops_advance(1250);
	assert_string_equal(booting(), VM1);
	assert_int_equal(rmdir(folder), 0);
}

/* Nothing is booted of which a killed virtxd would not know. */
static void
test_what_cannot_be_kept(void **state)
{
	ops_up();
	add_due(VM1);
	ops_advance(1250);
	ops_fail_job(WORK_AUTOSTART, 503, "cannot read it");
	ops_advance(6250);
	tell(-1, NULL);
	ops_advance(1250);
	ops_fail_job(WORK_AUTOSTART, 507, "no space left");
	ops_advance(4000);
	assert_null(ops_find_job(WORK_VM_BOOT));
	ops_advance(2250);
	keep(1, VM1);
	ops_advance(1250);
	assert_string_equal(booting(), VM1);
}

/* It was shut down, deleted or booted by somebody meanwhile. */
static void
test_one_that_is_not_due_any_more(void **state)
{
	struct error err = { 0 };

	ops_up();
	here.config.ha_boot_delay = 0;
	add_due(VM1);
	add_due(VM2);
	add_due(VM3);
	ops_advance(1250);
	tell(-1, NULL);
	keep(3, VM1);
	wanted_vm(VM1, VMRUNSTATE_POWEROFF, WANT_OFF, "restart", NULL, "vm");
	inventory_end_vm(here.ctx.inventory, VM2);
	ops_advance(1250);
	keep(2, VM2);
	ops_advance(1250);
	keep(1, VM3);
	ops_advance(1250);
	/* Nor is the one that somebody has just booted a failure. */
	error_set_type(&err, ERROR_ALREADY_RUNNING, "it is running already");
	assert_string_equal(booting(), VM3);
	ops_fail_job_as(WORK_VM_BOOT, &err);
	assert_null(problem_of(VM3));
	keep(0, NULL);
}

/* Of those that are off all must be known; the others may take their time. */
static void
test_one_that_is_not_known(void **state)
{
	ops_up();
	add_due(VM1);
	add_due(VM2);
	inventory_forget_def(here.ctx.inventory, VM2);
	ops_advance(1250);
	tell(-1, NULL);
	ops_advance(1250);
	tell(-1, NULL);
	wanted_vm(VM2, VMRUNSTATE_RUNNING, WANT_ON, "restart", NULL, "vm");
	inventory_forget_def(here.ctx.inventory, VM2);
	ops_advance(1250);
	tell(-1, NULL);
	keep(1, VM1);
}

/* libvirt has it, and it is asked whose it is. */
static void
ask_whose(const char *vm)
{
	event(vm, VMRUNSTATE_NONE);
	ops_advance(50);
	refresh(vm, VMRUNSTATE_POWEROFF);
	assert_non_null(ops_find_job(WORK_WHOSE));
	assert_null(find(vm));
}

/* The registry was asked in vain: the others are not kept waiting, and it is not left out. */
static void
test_one_that_may_be_here(void **state)
{
	ops_up();
	here.config.ha_boot_delay = 0;
	add_due(VM2);
	ask_whose(VM1);
	ops_fail_job(WORK_WHOSE, 507, "the storage does not answer");
	ops_advance(1250);
	tell(-1, NULL);
	keep(2, VM2);
	ops_advance(1250);
	end_boot(VM2);
	keep(1, VM1);
	ops_advance(5000);
	assert_string_equal(booting(), "");
	assert_false(autostart_is_over(autostart));
	add_due(VM1);
	ops_advance(1250);
	end_boot(VM1);
	keep(0, NULL);
	ops_advance(1250);
	assert_true(autostart_is_over(autostart));
}

/* A migration of it was cut off, as the record of an earlier virtxd has it, too. */
static void
test_one_that_was_about_to_leave(void **state)
{
	struct vm_stay left[] = { { (char *)VM1, (char *)"" }, { (char *)VM2, (char *)"" } };
	struct work_uuid leaving = { (char *)VM1 };
	const struct whose_result res = { .leaving = &leaving, .n_leaving = 1 };

	ops_up();
	here.config.ha_boot_delay = 0;
	add_due(VM2);
	ask_whose(VM1);
	ops_end_job(WORK_WHOSE, &res);
	ops_advance(1250);
	tell(2, left);
	ops_advance(1250);
	assert_string_equal(booting(), VM2);
	/* It is found to be here while another is booted, which is not mistaken for it. */
	add_due(VM1);
	end_boot(VM2);
	keep(1, VM1);
	ops_advance(1250);
	assert_string_equal(booting(), VM1);
}

static void
test_one_that_has_left(void **state)
{
	struct work_uuid leaving = { (char *)VM1 };
	const struct whose_result res = { .leaving = &leaving, .n_leaving = 1 };

	ops_up();
	ask_whose(VM1);
	ops_end_job(WORK_WHOSE, &res);
	ops_advance(1250);
	tell(-1, NULL);
	keep(1, VM1);
	ops_advance(5000);
	assert_null(ops_find_job(WORK_AUTOSTART));
	/* libvirt has another one, and not this one any more. */
	ops_advance(15000);
	collect(VM2, VMRUNSTATE_RUNNING);
	ops_advance(1250);
	keep(0, NULL);
	ops_advance(1250);
	assert_true(autostart_is_over(autostart));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		AUTOSTART(test_in_order_one_at_a_time),
		AUTOSTART(test_which),
		AUTOSTART(test_once_for_each_boot_of_the_host),
		AUTOSTART(test_one_that_does_not_start),
		AUTOSTART(test_one_that_is_locked),
		AUTOSTART(test_a_host_that_is_not_ready),
		AUTOSTART(test_a_host_in_maintenance),
		AUTOSTART(test_a_host_that_goes_down),
		AUTOSTART(test_what_cannot_be_kept),
		AUTOSTART(test_one_that_is_not_due_any_more),
		AUTOSTART(test_one_that_is_not_known),
		AUTOSTART(test_one_that_may_be_here),
		AUTOSTART(test_one_that_was_about_to_leave),
		AUTOSTART(test_one_that_has_left),
	};

	return cmocka_run_group_tests_name("autostart", tests, NULL, NULL);
}
