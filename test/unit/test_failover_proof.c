/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What has to hold for a host to be taken for dead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "disk/lease.h"
#include "ops/failover_proof.h"

#define WAIT_MS 140000 /* 8 x 10 s, and 60 s */

static const struct host_ha armed = { true, 7, 3, 10, 60 };

/* One that proves it. */
static struct failover_evidence
dead(void)
{
	return (struct failover_evidence){
		.cstate = CSTATE_FAILED,
		.host = armed,
		.self = { true, 8, 1, 10, 60 },
		.sight = FAILOVER_SIGHT_DEAD,
		.suspected = 500000,
		.looked = 600000,
		.steady = 601000 - WAIT_MS,
		.now = 601000,
	};
}

static void
expect(const struct failover_evidence *evidence, const char *missing)
{
	struct error err = { 0 };
	int r = failover_prove(evidence, &err);

	if (!missing) {
		if (r < 0)
			fail_msg("not proved: %s", err.detail);
		return;
	}
	assert_int_equal(r, -1);
	if (!strstr(err.detail, missing))
		fail_msg("no '%s' in '%s'", missing, err.detail);
}

static void
test_what_proves(void **state)
{
	static const enum cstate away[] = { CSTATE_FAILED, CSTATE_LEFT };
	static const enum failover_sight sights[] = { FAILOVER_SIGHT_DEAD, FAILOVER_SIGHT_GONE };

	for (size_t i = 0; i < ARRAY_SIZE(away); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(sights); k++) {
			struct failover_evidence evidence = dead();

			evidence.cstate = away[i];
			evidence.sight = sights[k];
			expect(&evidence, NULL);
		}
	}
}

/* Without any one of it nothing is. */
static void
test_what_is_missing(void **state)
{
	struct failover_evidence evidence = dead();

	evidence.cstate = CSTATE_ACTIVE;
	expect(&evidence, "serf says active");
	evidence.cstate = CSTATE_INVALID;
	expect(&evidence, "serf says");
	evidence = dead();
	evidence.sight = FAILOVER_SIGHT_LIVE;
	expect(&evidence, "LIVE");
	evidence.sight = FAILOVER_SIGHT_FAIL;
	expect(&evidence, "FAIL");
	evidence.sight = FAILOVER_SIGHT_UNKNOWN;
	expect(&evidence, "does not tell");
	evidence = dead();
	evidence.suspected = evidence.looked + 1;
	expect(&evidence, "not answered since");
	evidence = dead();
	evidence.looked = evidence.now - FAILOVER_FRESH_MS - 1;
	expect(&evidence, "not answered since");
	evidence = dead();
	evidence.steady++;
	expect(&evidence, "for 139 s only, and 140 s");
	evidence = dead();
	evidence.self.armed = false;
	expect(&evidence, "this host is not armed");
	evidence = dead();
	evidence.host.armed = false;
	expect(&evidence, "it was not armed");
	evidence = dead();
	evidence.host.io_timeout = 5;
	expect(&evidence, "io_timeout of 5 s");
	evidence = dead();
	evidence.host.fire_timeout = 30;
	expect(&evidence, "fires after 30 s");
}

/* Somebody who has its host id is another host, or it is the host itself. */
static void
test_a_host_id_that_is_taken(void **state)
{
	struct failover_evidence evidence = dead();

	evidence.sight = FAILOVER_SIGHT_TAKEN;
	expect(&evidence, "its host_id 7 is renewed again, and no host tells that it has it");
	evidence.successor = true;
	expect(&evidence, NULL);
}

static void
test_what_sanlock_tells(void **state)
{
	static const struct {
		int32_t host_id;
		int64_t generation;
		enum lockspace_sight seen;
		enum failover_sight sight;
	} rows[] = {
		{ 7, 3, LOCKSPACE_SIGHT_LIVE, FAILOVER_SIGHT_LIVE },
		{ 7, 3, LOCKSPACE_SIGHT_FAIL, FAILOVER_SIGHT_FAIL },
		{ 7, 3, LOCKSPACE_SIGHT_DEAD, FAILOVER_SIGHT_DEAD },
		{ 7, 3, LOCKSPACE_SIGHT_UNKNOWN, FAILOVER_SIGHT_UNKNOWN },
		{ 7, 3, LOCKSPACE_SIGHT_FREE, FAILOVER_SIGHT_GONE },
		{ 7, 4, LOCKSPACE_SIGHT_LIVE, FAILOVER_SIGHT_TAKEN },
		{ 7, 4, LOCKSPACE_SIGHT_DEAD, FAILOVER_SIGHT_TAKEN },
		{ 7, 2, LOCKSPACE_SIGHT_DEAD, FAILOVER_SIGHT_UNKNOWN },
		{ 9, 3, LOCKSPACE_SIGHT_LIVE, FAILOVER_SIGHT_GONE },
	};
	struct host_ha hostile = armed;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct seen_host seen = { .host_id = rows[i].host_id,
			.generation = rows[i].generation,
			.sight = (int16_t)rows[i].seen };
		struct lockspace_hosts_result hosts = { &seen, 1 };

		assert_int_equal(failover_sight_of(&hosts, &armed), rows[i].sight);
		hostile.generation = UINT64_MAX;
		if (rows[i].host_id == 7 && rows[i].seen != LOCKSPACE_SIGHT_FREE)
			assert_int_equal(
			    failover_sight_of(&hosts, &hostile), FAILOVER_SIGHT_UNKNOWN);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_proves),
		cmocka_unit_test(test_what_is_missing),
		cmocka_unit_test(test_a_host_id_that_is_taken),
		cmocka_unit_test(test_what_sanlock_tells),
	};

	return cmocka_run_group_tests_name("failover_proof", tests, NULL, NULL);
}
