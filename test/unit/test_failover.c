/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When the VMs of another host are taken over, and what keeps this host from it. */
#include "failover_host.h"

#include <unistd.h>

#include "work/host_down.h"

static void
test_a_host_dies(void **state)
{
	let_h2_die();
	assert_string_equal(claiming(), VM1);
	/* Read when it was suspected, and again when it was dead. */
	assert_int_equal(listed, 2);
	assert_int_equal(kept, 1);
	end_claim(VM1, true);
	pass(2000);
	assert_true(is_booting(VM1));
	assert_string_equal(ops_latest()->op, "VmBoot");
	assert_string_equal(ops_latest()->user, "virtxd");
	end_boot(VM1);
	pass(5000);
	assert_int_equal(results(FAILOVER_BOOTED), 1);
	assert_true(failover_count(failover)->booted_ms > 0);
	assert_int_equal(failover_count(failover)->at_once, 0);
	/* That nothing is left is kept, too. */
	assert_int_equal(kept, 2);
	pass(600000);
	assert_string_equal(claiming(), "");
	assert_string_equal(booting(), "");
}

static void
test_disabled(void **state)
{
	failover_free(failover);
	here.config.ha_enabled = false;
	failover = failover_new(&here.ctx);
	let_h2_die();
	pass(600000);
	assert_int_equal(hosts_asked, 0);
	assert_int_equal(listed, 0);
	assert_string_equal(claiming(), "");
}

/* The configuration is read again: what is not claimed yet stays then, and goes on later. */
static void
test_switched(void **state)
{
	pass(WAIT_MS + 5000);
	here.config.ha_enabled = false;
	set_serf(H2, CSTATE_FAILED);
	sight = LOCKSPACE_SIGHT_FAIL;
	pass(60000);
	assert_int_equal(listed, 0);
	here.config.ha_enabled = true;
	pass(10000);
	assert_int_equal(listed, 1);
	here.config.ha_enabled = false;
	sight = LOCKSPACE_SIGHT_DEAD;
	pass(60000);
	assert_int_equal(listed, 1);
	assert_string_equal(claiming(), "");
	/* This host was there all the while: nothing is waited for. */
	here.config.ha_enabled = true;
	pass(10000);
	assert_string_equal(claiming(), VM1);
	/* One that is being claimed is booted. */
	here.config.ha_enabled = false;
	pass(2000);
	end_claim(VM1, true);
	pass(2000);
	assert_true(is_booting(VM1));
	end_boot(VM1);
	pass(5000);
	assert_int_equal(failover_count(failover)->results[FAILOVER_BOOTED], 1);
	assert_string_equal(claiming(), "");
}

/* A host that is shut down itself claims and boots nothing; one that stays up after all goes on. */
static void
test_goes_down_itself(void **state)
{
	char folder[] = "/tmp/virtx-XXXXXX";
	_free_ char *flag = NULL;
	struct error err = { 0 };

	assert_non_null(mkdtemp(folder));
	flag = xasprintf("%s/guests", folder);
	str_set(&here.config.run_dir, folder);
	assert_int_equal(host_down_begin_guests(folder, &err), 0);
	let_h2_die();
	pass(60000);
	assert_string_equal(claiming(), "");
	/* libvirt-guests may have been stopped alone, which nobody would see else. */
	assert_non_null(strstr(failover_record_why(failover), "libvirt-guests"));
	assert_int_equal(unlink(flag), 0);
	assert_string_equal(failover_record_why(failover), "");
	pass(10000);
	end_claim(VM1, true);
	assert_int_equal(host_down_begin_guests(folder, &err), 0);
	pass(60000);
	assert_false(is_booting(VM1));
	assert_int_equal(unlink(flag), 0);
	pass(5000);
	assert_true(is_booting(VM1));
	end_boot(VM1);
	pass(5000);
	assert_int_equal(rmdir(folder), 0);
}

/* It was shut down in order, and leaves its tag: nothing is waited for once its host id is free. */
static void
test_hands_over(void **state)
{
	pass(WAIT_MS + 5000);
	set_serf(H2, CSTATE_LEFT);
	pass(10000);
	assert_string_equal(claiming(), "");
	sight = LOCKSPACE_SIGHT_FREE;
	pass(10000);
	end_claim(VM1, true);
	pass(2000);
	end_boot(VM1);
	pass(5000);
}

/* sanlock says LIVE: nothing is done, however long serf does not reach it. */
static void
test_a_partition(void **state)
{
	pass(WAIT_MS + 5000);
	set_serf(H2, CSTATE_FAILED);
	pass(3600000);
	assert_string_equal(claiming(), "");
	set_serf(H2, CSTATE_ACTIVE);
	pass(5000);
	assert_string_equal(claiming(), "");
}

/* sanlock alone proves nothing, and what it said before the suspicion does not either. */
static void
test_sanlock_alone(void **state)
{
	pass(WAIT_MS + 5000);
	sight = LOCKSPACE_SIGHT_DEAD;
	pass(600000);
	assert_string_equal(claiming(), "");
	deaf = true;
	pass(10000);
	set_serf(H2, CSTATE_FAILED);
	pass(600000);
	assert_string_equal(claiming(), "");
	deaf = false;
	pass(10000);
	assert_string_equal(claiming(), VM1);
	end_claim_as(CLAIM_LOST);
}

static void
test_back_before_it_is_proved(void **state)
{
	pass(WAIT_MS + 5000);
	set_serf(H2, CSTATE_FAILED);
	sight = LOCKSPACE_SIGHT_FAIL;
	pass(60000);
	set_serf(H2, CSTATE_ACTIVE);
	sight = LOCKSPACE_SIGHT_LIVE;
	pass(600000);
	assert_string_equal(claiming(), "");
	assert_int_equal(listed, 1);
	set_serf(H2, CSTATE_FAILED);
	sight = LOCKSPACE_SIGHT_FAIL;
	pass(5000);
	assert_int_equal(listed, 2);
}

/* It comes back while its VMs are taken over: what is under way ends, and nothing else begins. */
static void
test_back_afterwards(void **state)
{
	vms_of_h2[1] = VM2;
	vms_of_h2[2] = VM3;
	let_h2_die();
	set_serf(H2, CSTATE_ACTIVE);
	pass(5000);
	end_claim(VM1, true);
	end_claim_as(CLAIM_HELD);
	pass(5000);
	end_boot(VM1);
	pass(600000);
	assert_string_equal(claiming(), "");
	assert_int_equal(results(FAILOVER_BOOTED), 1);
	assert_int_equal(results(FAILOVER_LOST), 2);
	/* And it dies again. */
	vms_of_h2[0] = VM2;
	vms_of_h2[1] = NULL;
	sight = LOCKSPACE_SIGHT_DEAD;
	set_serf(H2, CSTATE_FAILED);
	pass(10000);
	assert_string_equal(claiming(), VM2);
	end_claim_as(CLAIM_LOST);
}

/* As long as this host was not well itself for long enough, what its sanlock says does not count.
 */
static void
test_this_host_was_away(void **state)
{
	pass(WAIT_MS + 5000);
	here.sanlock = "gone";
	pass(5000);
	here.sanlock = NULL;
	set_serf(H2, CSTATE_FAILED);
	sight = LOCKSPACE_SIGHT_DEAD;
	pass(WAIT_MS - 10000);
	assert_string_equal(claiming(), "");
	pass(30000);
	assert_string_equal(claiming(), VM1);
	end_claim_as(CLAIM_LOST);
}

/* Nor after it stood still, be it while it takes over. */
static void
test_this_host_stood_still(void **state)
{
	pass(WAIT_MS + 5000);
	set_serf(H2, CSTATE_FAILED);
	pass(5000);
	here.now += 21000;
	sight = LOCKSPACE_SIGHT_DEAD;
	pass(WAIT_MS - 5000);
	assert_string_equal(claiming(), "");
	vms_of_h2[1] = VM2;
	vms_of_h2[2] = VM3;
	pass(20000);
	assert_string_equal(claiming(), VM1);
	here.now += 21000;
	pass(2000);
	end_claim_as(CLAIM_LOST);
	end_claim_as(CLAIM_LOST);
	pass(WAIT_MS - 10000);
	assert_string_equal(claiming(), "");
	pass(20000);
	assert_string_equal(claiming(), VM3);
	end_claim_as(CLAIM_LOST);
}

static void
test_who_is_not_armed(void **state)
{
	static const struct host_ha off, other = { true, 2, 5, 10, 60 },
					 slow = { true, 2, 5, 20, 60 };

	inventory_set_ha(here.ctx.inventory, H2, &slow);
	let_h2_die();
	pass(600000);
	assert_string_equal(claiming(), "");
	here.answers = WORK_WATCHDOG;
	inventory_set_ha(here.ctx.inventory, H2, &slow);
	pass(130000);
	inventory_set_ha(here.ctx.inventory, H2, &other);
	pass(600000);
	assert_string_equal(claiming(), "");
	inventory_set_ha(here.ctx.inventory, H2, &off);
	here.answers = WORK_PROBE;
	pass(600000);
	assert_string_equal(claiming(), "");
}

/* It is nobody's any more, and what sanlock said of it last suspects nobody. */
static void
test_a_host_that_is_forgotten(void **state)
{
	unsigned int before;

	pass(WAIT_MS + 5000);
	sight = LOCKSPACE_SIGHT_DEAD;
	pass(10000);
	told("serf says active, sanlock DEAD");
	set_serf(H2, CSTATE_INVALID);
	pass(5000);
	told("");
	before = hosts_asked;
	pass(60000);
	assert_true(hosts_asked - before <= 7);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FAILOVER(test_a_host_dies),
		FAILOVER(test_disabled),
		FAILOVER(test_switched),
		FAILOVER(test_goes_down_itself),
		FAILOVER(test_hands_over),
		FAILOVER(test_a_partition),
		FAILOVER(test_sanlock_alone),
		FAILOVER(test_back_before_it_is_proved),
		FAILOVER(test_back_afterwards),
		FAILOVER(test_this_host_was_away),
		FAILOVER(test_this_host_stood_still),
		FAILOVER(test_who_is_not_armed),
		FAILOVER(test_a_host_that_is_forgotten),
	};

	return cmocka_run_group_tests_name("failover", tests, NULL, NULL);
}
