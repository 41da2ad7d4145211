/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host.h"

#include <stdio.h>
#include <string.h>

#include "agents.h"
#include "api/metrics.h"
#include "checker.h"
#include "clock.h"
#include "daemon/core.h"
#include "history.h"
#include "libvirt.h"
#include "lockspace.h"
#include "ops/sanlock_link.h"
#include "server.h"
#include "steps.h"

#define PROBE_MS 5000

struct virtxd {
	int host;
	struct config config;
	struct core core;
	struct timer *probe;
	bool connected; /* to libvirt */
};

static struct {
	bool powered;
	unsigned int start;
	int64_t started;       /* ms */
	struct virtxd *virtxd; /* NULL while it does not run */
} hosts[WORLD_HOSTS];
static int slow;

/* A stand-in for the connection to sanlock, which is always there. */
struct sanlock_link {
	char unused;
};

struct sanlock_link *
sanlock_link_new(struct event_base *base, sanlock_link_ended ended, void *arg)
{
	return xcalloc(1, sizeof(struct sanlock_link));
}

void
sanlock_link_free(struct sanlock_link *link)
{
	free(link);
}

int
sanlock_link_check(struct sanlock_link *link, struct error *err)
{
	return 0;
}

int32_t
sanlock_link_number(const struct sanlock_link *link)
{
	return 1;
}

/* The connection to libvirt, as virt.c keeps it */

static void
on_probe(void *arg)
{
	struct virtxd *virtxd = arg;

	keeper_probe(virtxd->core.keeper);
}

static void
on_probed(void *arg, const struct error *err)
{
	struct virtxd *virtxd = arg;

	if (err || !libvirt_is_up(virtxd->host)) {
		timer_start(virtxd->probe, PROBE_MS);
		return;
	}
	virtxd->connected = true;
	keeper_set_libvirt(virtxd->core.keeper, true);
}

static const char *
libvirt_why(void *arg)
{
	struct virtxd *virtxd = arg;

	return virtxd->connected ? "" : "libvirt does not answer";
}

static void
on_outside(void *arg, struct metrics_outside *ret)
{
	*ret = (struct metrics_outside){ 0 };
}

static const struct core_ops core_ops = {
	.probed = on_probed,
	.libvirt_why = libvirt_why,
	.outside = on_outside,
};

void
host_on_libvirt_event(int host, const char *uuid, enum vmrunstate runstate, bool migrated)
{
	struct virtxd *virtxd = hosts[host].virtxd;
	int before = clock_enter(host);

	if (virtxd && virtxd->connected) {
		keeper_vm_changed(virtxd->core.keeper, uuid, runstate, migrated);
		checker_on_event(host, uuid, runstate);
	}
	clock_enter(before);
}

void
host_on_libvirt_lost(int host)
{
	struct virtxd *virtxd = hosts[host].virtxd;
	int before = clock_enter(host);

	history_add(host, "libvirtd ends");
	if (virtxd && virtxd->connected) {
		virtxd->connected = false;
		keeper_set_libvirt(virtxd->core.keeper, false);
		timer_start(virtxd->probe, PROBE_MS);
	}
	clock_enter(before);
}

/* Its life */

/* Some hosts are stopped by fewer jobs that cannot be killed than others. */
static void
configure(struct config *config, int host)
{
	config_init(config);
	free(config->listen[0].addr);
	config->listen[0].addr = xstrdup("0.0.0.0");
	config->listen[0].access = ACCESS_OPEN;
	if (world.ha) {
		config->ha_enabled = config->ha_restart = true;
		config->io_timeout = LOCKSPACE_T;
		config->ha_boot_delay = 1;
	}
	config->jobs_stuck_max = 1 + host;
}

static void
on_operation(void *arg, const struct operation *operation)
{
	struct virtxd *virtxd = arg;

	checker_on_operation(virtxd->host, operation);
}

void
host_run(int host)
{
	struct virtxd *virtxd;
	int before = clock_enter(host);

	if (hosts[host].virtxd || !hosts[host].powered || clock_is_ending()) {
		clock_enter(before);
		return;
	}
	history_add(host, "virtxd starts");
	virtxd = xcalloc(1, sizeof(*virtxd));
	hosts[host].start++;
	hosts[host].started = clock_now();
	hosts[host].virtxd = virtxd;
	virtxd->host = host;
	configure(&virtxd->config, host);
	core_init(&virtxd->core, NULL, &virtxd->config, &core_ops, virtxd);
	operations_observe(virtxd->core.operations, on_operation, virtxd);
	virtxd->probe = timer_new(NULL, on_probe, virtxd);
	timer_start(virtxd->probe, 0);
	clock_enter(before);
}

void
host_kill(int host)
{
	struct virtxd *virtxd = hosts[host].virtxd;
	int before = clock_enter(host);

	if (!virtxd) {
		clock_enter(before);
		return;
	}
	history_add(host, "virtxd is killed");
	hosts[host].virtxd = NULL;
	checker_on_killed(host);
	operations_observe(virtxd->core.operations, NULL, NULL);
	server_drop(host);
	timer_free(virtxd->probe);
	core_free(&virtxd->core);
	config_clear(&virtxd->config);
	free(virtxd);
	clock_enter(before);
}

void
host_power_off(int host)
{
	if (!hosts[host].powered)
		return;
	history_add(host, "the power goes");
	host_kill(host);
	hosts[host].powered = false;
	child_drop(host);
	clock_freeze(host, 0);
	lockspace_power_off(host);
	libvirt_power_off(host);
}

void
host_power_on(int host)
{
	if (hosts[host].powered)
		return;
	history_add(host, "the power is back");
	hosts[host].powered = true;
	world.boots[host]++;
	lockspace_power_on(host);
	libvirt_power_on(host);
	host_run(host);
}

void
hosts_reset(void)
{
	for (int i = 0; i < WORLD_HOSTS; i++) {
		host_kill(i);
		hosts[i].powered = true;
		hosts[i].start = 0;
	}
	slow = 0;
}

bool
host_is_powered(int host)
{
	return hosts[host].powered;
}

bool
host_serves(int host)
{
	return hosts[host].virtxd != NULL;
}

unsigned int
host_start(int host)
{
	return hosts[host].start;
}

int64_t
host_started(int host)
{
	return hosts[host].started;
}

struct context *
host_context(int host)
{
	return hosts[host].virtxd ? &hosts[host].virtxd->core.ctx : NULL;
}

int
host_slow_permille(void)
{
	return slow;
}

void
hosts_set_slow(int permille)
{
	slow = permille;
}
