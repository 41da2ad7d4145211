/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When the storage, the lockspace and the watchdog count as there, and when their loss is what has
 * ended a VM. */
#include "ops_host.h"

#include "api/metrics_host.h"

#define LOOKS_MS 3000 /* while nothing is wrong it looks once in this */

static int
setup(void **state)
{
	ops_setup(state);
	here.unattended = true;
	return 0;
}

static int
setup_up(void **state)
{
	ops_setup(state);
	ops_up();
	here.unattended = true;
	return 0;
}

#define FRESH(function)	 cmocka_unit_test_setup_teardown(function, setup, ops_teardown)
#define JOINED(function) cmocka_unit_test_setup_teardown(function, setup_up, ops_teardown)

static const char *
storage_why(void)
{
	return keeper_storage_why(here.ctx.keeper);
}

static const char *
lockspace_why(void)
{
	return keeper_lockspace_why(here.ctx.keeper);
}

static void
end_storage(void)
{
	char uuid[] = VM3, root[] = "/vms";
	struct storage_room room = { root, INT64_C(8) << 30, INT64_C(3) << 30 };
	const struct storage_check_result storage = { uuid, &room, 1 };

	ops_end_job(WORK_STORAGE_CHECK, &storage);
}

static void
end_lockspace(void)
{
	const struct lockspace_result joined = { 7 };

	ops_end_job(WORK_LOCKSPACE, &joined);
}

static void
collect(void)
{
	struct collect_result res = { .host = { .uuid = xstrdup(SELF) } };

	keeper_set_libvirt(here.ctx.keeper, true);
	ops_end_job(WORK_COLLECT, &res);
	model_clear(&collect_result_model, &res);
}

/* Why a VM with a lease has ended, as far as that is its lease; it runs, and is off then. */
static const char *
loss(void)
{
	struct inventory *inventory = here.ctx.inventory;
	struct vm_report report;

	ops_report(VM1, VMRUNSTATE_RUNNING, &report);
	report.def.osdisk =
	    (struct disk){ .path = xstrdup("/vms/ds/os.qcow2"), .man = DISK_MAN_MODE_MANAGED };
	inventory_report_vm(inventory, inventory_mark(inventory), true, &report);
	model_clear(&vm_report_model, &report);
	inventory_set_runstate(here.ctx.inventory, VM1, VMRUNSTATE_POWEROFF);
	return str_or_empty(inventory_find_vm(here.ctx.inventory, VM1)->loss);
}

/* The renewal that fails for so long is the lockspace's end: 80 s with an io_timeout of 10 s. */
static int64_t
renewal_ms(void)
{
	return 8 * here.config.io_timeout * INT64_C(1000);
}

/* What /metrics says of the storage, "" for nothing; the caller frees. */
static char *
storage_figures(void)
{
	struct buffer out = { 0 };
	char *text, *end;

	metrics_add_host(&here.ctx, &out);
	text = buffer_steal(&out, NULL);
	end = strstr(text, "# HELP virtx_host");
	if (end)
		*end = '\0';
	return text;
}

static void
test_room(void **state)
{
	_free_ char *before = storage_figures(), *there = NULL, *lost = NULL;

	assert_null(strstr(before, "{folder"));
	end_storage();
	there = storage_figures();
	assert_non_null(strstr(there, "\nvirtx_storage_size_bytes{folder=\"/vms\"} 8589934592\n"));
	assert_non_null(strstr(there, "\nvirtx_storage_free_bytes{folder=\"/vms\"} 3221225472\n"));
	/* What is not there any more has no figures. */
	collect();
	ops_fail_job(WORK_STORAGE_CHECK, 503, "it is another one");
	lost = storage_figures();
	assert_null(strstr(lost, "{folder"));
}

static void
test_start(void **state)
{
	assert_non_null(strstr(storage_why(), "not been looked at"));
	assert_non_null(strstr(lockspace_why(), "libvirt has told"));
	ops_fail_job(WORK_STORAGE_CHECK, 503, "'/vms' is not mounted");
	assert_string_equal(storage_why(), "'/vms' is not mounted");
	collect();
	assert_non_null(strstr(lockspace_why(), "when the storage is there"));
	assert_null(ops_find_job(WORK_LOCKSPACE));
	ops_fail_job(WORK_STORAGE_CHECK, 503, "'/vms' is not mounted");

	/* It is looked at again every two seconds. */
	ops_advance(1000);
	assert_null(ops_find_job(WORK_STORAGE_CHECK));
	ops_advance(1000);
	end_storage();
	assert_string_equal(storage_why(), "");
	assert_non_null(strstr(lockspace_why(), "being joined"));
	ops_fail_job(WORK_LOCKSPACE, 503, "sanlock says -13");
	assert_string_equal(lockspace_why(), "sanlock says -13");
	assert_null(ops_find_job(WORK_LOCKSPACE_WATCH));
	ops_advance(2000);
	end_lockspace();
	assert_string_equal(lockspace_why(), "");
	/* What joins looks closer at the storage, and what is joined is watched. */
	end_storage();
	ops_advance(1000);
	assert_non_null(ops_find_job(WORK_LOCKSPACE_WATCH));
	/* It was not joined before: nothing was lost. */
	assert_string_equal(loss(), "");
}

/* What was joined is joined no more: VMs that end now end by that, and for a while after. */
static void
test_loss(void **state)
{
	ops_advance(1000);
	ops_fail_job(WORK_LOCKSPACE_WATCH, 503, "the lockspace is not joined any more");
	assert_string_equal(lockspace_why(), "the lockspace is not joined any more");
	assert_string_equal(loss(), "the lockspace is not joined any more");
	/* It is joined anew at once. */
	end_lockspace();
	assert_string_equal(lockspace_why(), "");
	here.unattended = false;
	ops_advance(renewal_ms() - 1000);
	assert_string_equal(loss(), "the lockspace is not joined any more");
	ops_advance(2000);
	assert_string_equal(loss(), "");
}

/* As long as it is not joined the loss goes on. */
static void
test_loss_lasts(void **state)
{
	ops_advance(1000);
	ops_fail_job(WORK_LOCKSPACE_WATCH, 503, "the lockspace is not joined any more");
	for (int i = 0; i < 100; i++) {
		if (ops_find_job(WORK_LOCKSPACE))
			ops_fail_job(WORK_LOCKSPACE, 503, "sanlock says -13");
		ops_advance(2000);
	}
	assert_string_equal(lockspace_why(), "sanlock says -13");
	assert_string_equal(loss(), "the lockspace is not joined any more");
}

/* A look that fails tells nothing of the lockspace but that it is to be joined. */
static void
test_watch_fails(void **state)
{
	ops_advance(1000);
	ops_fail_job(WORK_LOCKSPACE_WATCH, 500, "the job was killed");
	assert_string_equal(lockspace_why(), "the job was killed");
	assert_string_equal(loss(), "");
	end_lockspace();
	assert_string_equal(lockspace_why(), "");
	/* One that comes to its end is followed by the next. */
	ops_advance(LOOKS_MS);
	ops_end_job(WORK_LOCKSPACE_WATCH, NULL);
	assert_string_equal(lockspace_why(), "");
	ops_advance(LOOKS_MS);
	assert_non_null(ops_find_job(WORK_LOCKSPACE_WATCH));
}

/* sanlock's process ends while it is asked: its answer was the one's that was there before. */
static void
test_sanlock_ends(void **state)
{
	ops_advance(1000);
	ops_fail_job(WORK_LOCKSPACE_WATCH, 500, "the job was killed");
	assert_non_null(ops_find_job(WORK_LOCKSPACE));
	here.sanlock_ended(here.sanlock_arg);
	assert_string_equal(lockspace_why(), "sanlock has ended");
	end_lockspace();
	assert_string_equal(lockspace_why(), "sanlock has ended");
	ops_advance(2000);
	end_lockspace();
	assert_string_equal(lockspace_why(), "");

	here.sanlock_ended(here.sanlock_arg);
	assert_string_equal(loss(), "sanlock has ended");
}

static void
test_sanlock_is_stopped(void **state)
{
	assert_true(keeper_sanlock_answers(here.ctx.keeper));
	here.sanlock = "sanlock is stopped";
	ops_advance(1000);
	assert_string_equal(lockspace_why(), "sanlock is stopped");
	assert_false(keeper_sanlock_answers(here.ctx.keeper));
	/* Nothing is asked of it. */
	ops_advance(10000);
	assert_null(ops_find_job(WORK_LOCKSPACE));
	here.sanlock = NULL;
	ops_advance(1000);
	assert_non_null(strstr(lockspace_why(), "being joined"));
	end_lockspace();
	assert_string_equal(lockspace_why(), "");
}

/* After a silence as long as a renewal the first word is not believed. */
static void
test_long_stop(void **state)
{
	here.sanlock = "sanlock is stopped";
	ops_advance(renewal_ms() + 5000);
	here.sanlock = NULL;
	ops_advance(1000);
	end_lockspace();
	assert_string_not_equal(lockspace_why(), "");
	ops_advance(2000);
	end_lockspace();
	assert_string_equal(lockspace_why(), "");
}

static void
test_late_answer(void **state)
{
	ops_advance(1000);
	ops_fail_job(WORK_LOCKSPACE_WATCH, 503, "the lockspace is not joined any more");
	ops_advance(renewal_ms() + 1);
	end_lockspace();
	assert_string_equal(lockspace_why(), "the lockspace is not joined any more");
}

/* Nobody answers: neither is there until that changes. */
static void
test_silence(void **state)
{
	ops_advance(1000);
	assert_non_null(ops_find_job(WORK_LOCKSPACE_WATCH));
	for (int i = 0; i < 15; i++) {
		ops_progress(WORK_LOCKSPACE_WATCH, i, WORK_STAGE_NONE);
		ops_advance(1000);
	}
	assert_string_equal(lockspace_why(), "");
	ops_advance(here.config.answer_timeout * 1000 + 1000);
	assert_string_equal(lockspace_why(), "sanlock does not answer");
	assert_false(keeper_sanlock_answers(here.ctx.keeper));
	ops_end_job(WORK_LOCKSPACE_WATCH, NULL);
	end_lockspace();
	assert_string_equal(lockspace_why(), "");

	ops_fail_job(WORK_COLLECT, 424, "no");
	ops_advance(15000);
	collect();
	assert_non_null(ops_find_job(WORK_STORAGE_CHECK));
	ops_advance(here.config.answer_timeout * 1000 + 1000);
	assert_string_equal(storage_why(), "the shared storage does not answer");
	end_storage();
	assert_string_equal(storage_why(), "");
}

/* What is wrong with the storage is a problem of the host. */
static void
test_storage_is_lost(void **state)
{
	keeper_set_libvirt(here.ctx.keeper, true);
	collect();
	ops_fail_job(WORK_STORAGE_CHECK, 503, "it is another one");
	assert_string_equal(storage_why(), "it is another one");
	assert_int_equal(inventory_find_host(here.ctx.inventory, SELF)->n_problems, 1);
	ops_advance(2000);
	end_storage();
	assert_int_equal(inventory_find_host(here.ctx.inventory, SELF)->n_problems, 0);
}

static enum watchdog
watchdog(void)
{
	return inventory_find_host(here.ctx.inventory, SELF)->watchdog;
}

static void
end_watchdog(const char *why)
{
	char text[64];
	const struct watchdog_result res = { .why = text };

	snprintf(text, sizeof(text), "%s", why);
	ops_end_job(WORK_WATCHDOG, &res);
}

static void
test_watchdog(void **state)
{
	assert_int_equal(watchdog(), WATCHDOG_ON);
	assert_string_equal(keeper_watchdog_why(here.ctx.keeper), "");
	ops_advance(here.config.collect_period * 1000);
	end_watchdog("wdmd does not run");
	assert_int_equal(watchdog(), WATCHDOG_OFF);
	assert_string_equal(keeper_watchdog_why(here.ctx.keeper), "wdmd does not run");
	/* What is not answered stays as it was known. */
	ops_advance(here.config.collect_period * 1000);
	ops_fail_job(WORK_WATCHDOG, 503, "it hangs");
	assert_string_equal(keeper_watchdog_why(here.ctx.keeper), "wdmd does not run");
	ops_advance(here.config.collect_period * 1000);
	end_watchdog("");
	assert_int_equal(watchdog(), WATCHDOG_ON);
}

static void
test_watchdog_at_first(void **state)
{
	ops_advance(1000);
	ops_fail_job(WORK_WATCHDOG, 503, "it hangs");
	assert_string_equal(keeper_watchdog_why(here.ctx.keeper), "it hangs");
	/* Asked again soon while nothing is known. */
	ops_advance(2000);
	assert_non_null(ops_find_job(WORK_WATCHDOG));
}

static void
end_look(int64_t generation, int64_t joined)
{
	const struct watchdog_result res = { NULL, NULL, 7, generation, 10, 60, joined };

	ops_end_job(WORK_WATCHDOG, &res);
}

/* It is looked at soon after each join, and then with the watchdog; once a minute at least. */
static void
test_arming(void **state)
{
	const struct arming *arming = keeper_arming(here.ctx.keeper);

	here.unattended = false;
	ops_advance(20000);
	here.answers = WORK_WATCHDOG;
	here.config.collect_period = 3600;
	assert_true(arming_is_armed(arming));
	ops_advance(61000);
	end_look(1, 4000);
	assert_true(arming_is_armed(arming));
	here.sanlock_ended(here.sanlock_arg);
	assert_false(arming_is_armed(arming));
	assert_true(arming_fences(arming));
	assert_string_equal(arming_why(arming), "the lockspace is not joined: sanlock has ended");
	ops_advance(2 * LOOKS_MS);
	end_look(2, 10);
	assert_false(arming_fences(arming));
	assert_non_null(strstr(arming_why(arming), "has to be joined for 140 s"));
	for (int s = 10; s < 140 - 60; s += 60) {
		ops_advance(60000 + LOOKS_MS);
		end_look(2, s + 60);
		assert_false(arming_is_armed(arming));
	}
	ops_advance(60000 + LOOKS_MS);
	assert_true(arming_is_armed(arming));
}

/* No job can be started: what was known stays, and it is tried again. */
static void
test_no_jobs(void **state)
{
	here.no_jobs = true;
	ops_advance(5000);
	assert_string_equal(lockspace_why(), "");
	assert_string_equal(storage_why(), "");
	here.no_jobs = false;
	ops_advance(LOOKS_MS);
	assert_non_null(ops_find_job(WORK_LOCKSPACE_WATCH));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FRESH(test_start),
		FRESH(test_room),
		JOINED(test_loss),
		JOINED(test_loss_lasts),
		JOINED(test_watch_fails),
		JOINED(test_sanlock_ends),
		JOINED(test_sanlock_is_stopped),
		JOINED(test_long_stop),
		JOINED(test_late_answer),
		JOINED(test_silence),
		JOINED(test_storage_is_lost),
		JOINED(test_watchdog),
		FRESH(test_watchdog_at_first),
		JOINED(test_arming),
		JOINED(test_no_jobs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
