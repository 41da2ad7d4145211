/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs seeds: each is a cluster, its users, and what goes wrong. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "agents.h"
#include "checker.h"
#include "client.h"
#include "clock.h"
#include "dice.h"
#include "fault.h"
#include "history.h"
#include "host.h"
#include "lockspace.h"
#include "net.h"
#include "proto/log.h"
#include "server.h"
#include "storage.h"
#include "steps.h"

#define REST_MS	 1000000 /* after the last fault, until all must have come to rest */
#define LOOK_MS	 5000
#define CALM_MS	 150000 /* with failovers: from the last fault to the death of one host more */
#define DEATH_MS 400000 /* and from there until its VMs must run again */

static void
on_start(void *arg)
{
	host_run((int)(intptr_t)arg);
}

static void
begin(uint64_t seed, bool loud, bool ha)
{
	dice_seed(seed * UINT64_C(0x9e3779b97f4a7c15) + 1);
	clock_reset();
	history_reset(loud);
	net_reset();
	world_reset((int)dice_between(2, WORLD_HOSTS), ha);
	hosts_reset();
	libvirt_reset();
	lockspace_reset();
	storage_reset();
	checker_reset();
	agents_reset();
	for (int i = 0; i < world.n_hosts; i++)
		clock_after(dice_between(0, 3000), on_start, (void *)(intptr_t)i);
	history_add(CLOCK_NOBODY, "seed %" PRIu64 ": %d hosts", seed, world.n_hosts);
}

static void
end(void)
{
	for (int i = 0; i < WORLD_HOSTS; i++)
		host_kill(i);
	children_reset();
	clock_end();
	libvirt_reset();
	server_reset();
	world_reset(0, false);
}

static bool
run_until(int64_t until)
{
	while (!history_first_violation() && clock_run_next(until))
		;
	return !history_first_violation();
}

/* Whether nothing was wrong; *ms is how long it took in the simulation, *sum tells its history. */
static bool
run(uint64_t seed, bool loud, bool ha, int64_t *ms, uint64_t *sum)
{
	char why[256] = "";
	int64_t until;
	bool ok;

	begin(seed, loud, ha);
	clients_start();
	faults_start();
	until = dice_between(30000, 180000);
	ok = run_until(until);
	clients_stop();
	faults_end();
	if (ha) {
		ok = ok && run_until(until + CALM_MS / 2);
		clients_boot_all();
		ok = ok && run_until(until + CALM_MS);
		faults_last_death();
		until += CALM_MS + DEATH_MS;
		ok = ok && run_until(until) && checker_is_brought_back();
		faults_end();
	}
	for (until += REST_MS; ok && clock_now() < until;) {
		ok = run_until(clock_now() + LOOK_MS);
		if (ok && checker_is_at_rest(why, sizeof(why)))
			break;
	}
	if (ok && clock_now() >= until)
		history_violation("it does not come to rest: %s", why);
	history_add(CLOCK_NOBODY, "%s", history_first_violation() ? "wrong" : "at rest");
	ok = !history_first_violation();
	*ms = clock_now();
	*sum = history_sum();
	history_reset(false);
	end();
	return ok;
}

static double
seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int
usage(void)
{
	fprintf(stderr,
	    "usage: sim [--seed N] [--seeds FROM-TO] [--seconds S] [--keep-going] [--ha]\n"
	    "Simulates clusters. --seed prints the history of one; of others only that of "
	    "the first\nthat is wrong. Ends with 1 where one was.\n");
	return 2;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = { { "seed", required_argument, NULL, 's' },
		{ "seeds", required_argument, NULL, 'r' },
		{ "seconds", required_argument, NULL, 't' },
		{ "keep-going", no_argument, NULL, 'k' }, { "ha", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 } };
	uint64_t from = 1, to = UINT64_MAX, sum, again, n = 0, wrong = 0;
	bool loud = false, keep_going = false, ha = false;
	double began = seconds(), limit = 0;
	int64_t ms, total = 0;
	int option;

	log_set_level((enum log_level)0);
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 's') {
			from = to = strtoull(optarg, NULL, 10);
			loud = true;
		} else if (option == 'r') {
			if (sscanf(optarg, "%" SCNu64 "-%" SCNu64, &from, &to) != 2)
				return usage();
		} else if (option == 't') {
			limit = strtod(optarg, NULL);
		} else if (option == 'k') {
			keep_going = true;
		} else if (option == 'h') {
			ha = true;
		} else {
			return usage();
		}
	}
	for (uint64_t seed = from; seed <= to && (!limit || seconds() - began < limit); seed++) {
		n++;
		if (run(seed, loud, ha, &ms, &sum)) {
			total += ms;
			continue;
		}
		wrong++;
		if (!loud && !keep_going && (run(seed, true, ha, &ms, &again) || again != sum))
			printf("it was another one: something in here is not from the seed\n");
		printf("seed %" PRIu64 " is wrong: sim %s--seed %" PRIu64 " shows it\n", seed,
		    ha ? "--ha " : "", seed);
		fflush(stdout);
		if (!keep_going)
			break;
	}
	printf("%" PRIu64 " seeds, %" PRIu64 " wrong, %" PRId64 " s simulated in %.1f s\n", n,
	    wrong, total / 1000, seconds() - began);
	return wrong > 0;
}
