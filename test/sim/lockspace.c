/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lockspace.h"

#include <stddef.h>
#include <string.h>

#include "clock.h"
#include "dice.h"
#include "history.h"
#include "host.h"
#include "libvirt.h"

#define CLAIM_MS 60000
#define BEAT_MS	 500
#define RENEW_MS (2 * LOCKSPACE_T * INT64_C(1000))
#define FAIL_MS	 (8 * LOCKSPACE_T * INT64_C(1000))

/* What a sanlock has read of another one. */
struct seen {
	int64_t renewed, generation;
	int64_t at; /* when that was new to it, ms */
};

static struct {
	/* On the storage. */
	int64_t renewed, generation;
	/* Of the daemon. */
	bool joined;
	int64_t joined_at, looked, stopped, hung; /* ms; the last two: until then */
	struct seen of[WORLD_HOSTS];
} hosts[WORLD_HOSTS];

static void
look(int by, int of)
{
	struct seen *seen = &hosts[by].of[of];

	if (seen->renewed == hosts[of].renewed && seen->generation == hosts[of].generation)
		return;
	*seen = (struct seen){ hosts[of].renewed, hosts[of].generation, clock_now() };
}

bool
lockspace_answers(int host)
{
	return host_is_powered(host) && clock_now() >= hosts[host].stopped &&
	       !clock_is_frozen(host);
}

bool
lockspace_writes(int host)
{
	return lockspace_answers(host) && clock_now() >= hosts[host].hung;
}

static void
renew(int host)
{
	hosts[host].renewed = hosts[host].looked = clock_now();
	for (int i = 0; i < world.n_hosts; i++)
		look(host, i);
}

/* sanlock gives up: it ends what holds its leases. */
static void
fail(int host)
{
	history_add(host, "sanlock did not renew in time");
	for (size_t i = 0; i < world.n_vms; i++) {
		if (world.vms[i].domain[host].on)
			libvirt_destroy(&world.vms[i], host);
	}
	hosts[host].joined = false;
}

static void
on_power(void *arg)
{
	host_power_on((int)(intptr_t)arg);
}

static void
beat(int host)
{
	int64_t age = clock_now() - hosts[host].renewed;

	if (!host_is_powered(host) || !hosts[host].joined)
		return;
	if (age >= LOCKSPACE_DEAD_MS - 2 * BEAT_MS) {
		history_add(host, "the watchdog fires");
		host_power_off(host);
		clock_after(dice_between(2000, 60000), on_power, (void *)(intptr_t)host);
	} else if (age >= FAIL_MS && lockspace_answers(host)) {
		fail(host);
	} else if (lockspace_writes(host) && age >= RENEW_MS) {
		renew(host);
	}
}

static void
on_beat(void *arg)
{
	if (clock_is_ending())
		return;
	for (int i = 0; i < world.n_hosts; i++)
		beat(i);
	clock_after(BEAT_MS, on_beat, NULL);
}

void
lockspace_reset(void)
{
	memset(hosts, 0, sizeof(hosts));
	if (world.ha)
		clock_after(BEAT_MS, on_beat, NULL);
}

void
lockspace_power_on(int host)
{
	hosts[host].stopped = hosts[host].hung = 0;
}

void
lockspace_power_off(int host)
{
	hosts[host].joined = false;
}

void
lockspace_stop(int host, int64_t ms)
{
	hosts[host].stopped = clock_now() + ms;
}

void
lockspace_hang(int host, int64_t ms)
{
	hosts[host].hung = clock_now() + ms;
}

void
lockspace_mend(void)
{
	for (int i = 0; i < WORLD_HOSTS; i++)
		hosts[i].stopped = hosts[i].hung = 0;
}

bool
lockspace_is_joined(int host)
{
	return host_is_powered(host) && hosts[host].joined;
}

bool
lockspace_lives(int host)
{
	return lockspace_is_joined(host) && lockspace_joined_ms(host) > CLAIM_MS;
}

/* Its name is another one at each start, so that it waits until the one before is dead. */
bool
lockspace_try_join(int host)
{
	if (hosts[host].joined)
		return true;
	if (!lockspace_writes(host) ||
	    (hosts[host].generation && clock_now() - hosts[host].renewed < LOCKSPACE_DEAD_MS))
		return false;
	hosts[host].generation++;
	hosts[host].joined = true;
	hosts[host].joined_at = clock_now();
	for (int i = 0; i < world.n_hosts; i++)
		hosts[host].of[i] = (struct seen){ -1, -1, 0 };
	renew(host);
	return true;
}

int64_t
lockspace_generation(int host)
{
	return hosts[host].generation;
}

int64_t
lockspace_joined_ms(int host)
{
	return clock_now() - hosts[host].joined_at;
}

enum lockspace_sight
lockspace_sees(int by, int of)
{
	int64_t age = clock_now() - hosts[by].of[of].at;

	return age >= LOCKSPACE_DEAD_MS ? LOCKSPACE_SIGHT_DEAD
	       : age >= FAIL_MS		? LOCKSPACE_SIGHT_FAIL
					: LOCKSPACE_SIGHT_LIVE;
}

bool
lockspace_is_free(int by, int of, int64_t generation)
{
	look(by, of);
	return hosts[of].generation != generation ||
	       (of != by && lockspace_sees(by, of) == LOCKSPACE_SIGHT_DEAD);
}
