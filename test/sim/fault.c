/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fault.h"

#include <inttypes.h>
#include <stdint.h>

#include "checker.h"
#include "clock.h"
#include "dice.h"
#include "history.h"
#include "host.h"
#include "lockspace.h"
#include "net.h"
#include "steps.h"
#include "storage.h"

/* ms: a host does not tell an earlier time than it has told, and all is to be well again at the
 * end. */
#define WRONG_MAX 900000

static bool ended;
static int64_t pace;		   /* ms between faults, at most */
static int64_t wrong[WORLD_HOSTS]; /* ms that the clock of a host is ahead, and how fast it goes */
static int ppm[WORLD_HOSTS];

static void
on_run(void *arg)
{
	host_run((int)(intptr_t)arg);
}

static int
n_dead(void)
{
	int n = 0;

	for (int i = 0; i < world.n_hosts; i++)
		n += !host_is_powered(i);
	return n;
}

static void
kill_virtxd(int host)
{
	if (!host_serves(host))
		return;
	host_kill(host);
	clock_after(dice_between(100, 10000), on_run, (void *)(intptr_t)host);
}

void
fault_kill_virtxd(void *arg)
{
	kill_virtxd((int)(intptr_t)arg);
}

static void
kill_job(int host)
{
	child_kill_any();
}

static void
on_power(void *arg)
{
	host_power_on((int)(intptr_t)arg);
}

static void
cut_power(int host)
{
	if (!host_is_powered(host))
		return;
	host_power_off(host);
	clock_after(dice_between(2000, 60000), on_power, (void *)(intptr_t)host);
}

static void
restart_libvirt(int host)
{
	if (host_is_powered(host) && libvirt_is_up(host))
		libvirt_restart(host, dice_between(100, 8000));
}

static void
on_joined(void *arg)
{
	net_join();
}

static void
split(int host)
{
	net_split();
	clock_after(dice_between(500, 20000), on_joined, NULL);
}

static void
lose(int host)
{
	int permille = dice_permille(300) ? (int)dice_between(1, 400) : 0;

	net_set_loss(permille);
	history_add(CLOCK_NOBODY, "of a thousand messages %d are lost", permille);
}

static void
slow_down(int host)
{
	int permille = dice_permille(500) ? (int)dice_between(1, 300) : 0;

	hosts_set_slow(permille);
	history_add(CLOCK_NOBODY, "of a thousand steps %d take long", permille);
}

/* By a little, or by more than anybody waits. */
static void
set_clock(int host)
{
	int64_t most = dice_permille(200) ? 600000 : 5000;

	wrong[host] = dice_permille(200) ? 0 : wrong[host] + dice_between(-most, most);
	if (wrong[host] > WRONG_MAX || wrong[host] < -WRONG_MAX)
		wrong[host] = 0;
	clock_set_error(host, wrong[host], ppm[host]);
	history_add(host, "the clock is set: %" PRId64 " ms off", wrong[host]);
}

/* Somebody defines a VM of another host, which proves nothing. */
static void
define(int host)
{
	struct world_vm *vm;

	if (world.n_vms == 0 || !libvirt_is_up(host))
		return;
	vm = &world.vms[dice_below((int64_t)world.n_vms)];
	if (world_registered(vm, WORLD_NOBODY) == WORLD_NOBODY || vm->registry[host] ||
	    vm->journal[host].there || vm->domain[host].defined || vm->domain[host].on ||
	    vm->domain[host].coming)
		return;
	history_add(host, "somebody defines VM %.8s", vm->uuid);
	vm->by_hand = true;
	libvirt_define(vm, host);
}

static void
on_storage(void *arg)
{
	storage_bring_back((int)(intptr_t)arg);
}

/* For one host or for all, for less or for more than sanlock goes on. */
static void
take_storage(int host)
{
	bool all = dice_permille(400);
	enum storage_state how = dice_permille(600) ? STORAGE_HANGS : STORAGE_FAILS;
	int64_t ms = dice_permille(700) ? dice_between(500, 20000) : dice_between(20000, 240000);

	for (int i = 0; i < world.n_hosts; i++) {
		if ((i != host && !all) || storage_state(i) != STORAGE_THERE)
			continue;
		storage_take_away(i, how);
		clock_after(ms, on_storage, (void *)(intptr_t)i);
	}
}

/* With failovers */

/* For good, as far as anybody can wait for it. */
static void
die(int host)
{
	if (!host_is_powered(host) || n_dead() > 0)
		return;
	host_power_off(host);
	clock_after(dice_between(30000, 120000), on_power, (void *)(intptr_t)host);
}

static int64_t
for_so_long(void)
{
	return dice_permille(500) ? dice_between(1000, 8000) : dice_between(8000, 45000);
}

static void
stop_sanlock(int host)
{
	int64_t ms = for_so_long();

	if (!world.ha || !lockspace_answers(host))
		return;
	history_add(host, "sanlock stands still for %" PRId64 " ms", ms);
	lockspace_stop(host, ms);
}

static void
hang_storage(int host)
{
	int64_t ms = for_so_long();

	if (!world.ha || !lockspace_answers(host))
		return;
	history_add(host, "sanlock does not reach the storage for %" PRId64 " ms", ms);
	lockspace_hang(host, ms);
}

static void
freeze(int host)
{
	int64_t ms = for_so_long();

	if (!world.ha || !host_is_powered(host) || clock_is_frozen(host))
		return;
	history_add(host, "all of it stands still for %" PRId64 " ms", ms);
	clock_freeze(host, ms);
}

/* Long enough for a host to be taken for dead, were it not for sanlock. */
static void
split_for_long(int host)
{
	if (!world.ha)
		return;
	net_split();
	clock_after(dice_between(20000, 90000), on_joined, NULL);
}

static const struct act {
	void (*act)(int host);
	int weight;
} acts_ha[] = {
	{ kill_job, 20 },
	{ kill_virtxd, 8 },
	{ cut_power, 4 },
	{ die, 12 },
	{ restart_libvirt, 4 },
	{ split, 3 },
	{ split_for_long, 4 },
	{ stop_sanlock, 6 },
	{ hang_storage, 6 },
	{ freeze, 6 },
	{ lose, 4 },
	{ slow_down, 4 },
	{ set_clock, 3 },
};

static const struct act acts[] = {
	{ kill_job, 40 },
	{ kill_virtxd, 15 },
	{ cut_power, 4 },
	{ restart_libvirt, 8 },
	{ split, 5 },
	{ lose, 8 },
	{ slow_down, 8 },
	{ set_clock, 3 },
	{ define, 5 },
	{ take_storage, 5 },
};

static void
on_turn(void *arg)
{
	const struct act *list = world.ha ? acts_ha : acts;
	size_t i,
	    n = world.ha ? sizeof(acts_ha) / sizeof(acts_ha[0]) : sizeof(acts) / sizeof(acts[0]);
	int64_t at, sum = 0;

	if (ended || clock_is_ending())
		return;
	for (i = 0; i < n; i++)
		sum += list[i].weight;
	at = dice_below(sum);
	for (i = 0; at >= list[i].weight; i++)
		at -= list[i].weight;
	list[i].act((int)dice_below(world.n_hosts));
	clock_after(dice_between(1, pace), on_turn, NULL);
}

void
faults_start(void)
{
	static const int64_t paces[] = { 1000, 3000, 8000, 20000 };

	ended = false;
	pace = paces[dice_below(4)];
	for (int i = 0; i < world.n_hosts; i++) {
		wrong[i] = dice_between(-2000, 2000);
		ppm[i] = (int)dice_between(-100, 100);
		clock_set_error(i, wrong[i], ppm[i]);
	}
	clock_after(5000, on_turn, NULL);
}

void
faults_end(void)
{
	ended = true;
	history_add(CLOCK_NOBODY, "nothing goes wrong any more");
	net_join();
	net_set_loss(0);
	hosts_set_slow(0);
	lockspace_mend();
	for (int i = 0; i < world.n_hosts; i++) {
		clock_set_error(i, dice_between(-500, 500), ppm[i]);
		if (world.ha)
			clock_freeze(i, 0);
		storage_bring_back(i);
		host_power_on(i);
		host_run(i);
	}
}

void
faults_last_death(void)
{
	int host = (int)dice_below(world.n_hosts);

	checker_on_last_death(host);
	host_power_off(host);
}
