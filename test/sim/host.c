/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host.h"

#include <stdio.h>
#include <string.h>

#include "agents.h"
#include "api/api.h"
#include "api/list_reply.h"
#include "api/metrics.h"
#include "checker.h"
#include "clock.h"
#include "daemon/cluster.h"
#include "history.h"
#include "http/forward.h"
#include "http/peer_rpc.h"
#include "libvirt.h"
#include "ops/host_maintenance.h"
#include "ops/sanlock_link.h"
#include "server.h"
#include "state/address.h"
#include "steps.h"

#define ASK_MS	 10000 /* as daemon.c has it */
#define PROBE_MS 5000

struct virtxd {
	int host;
	struct config config;
	struct inventory *inventory;
	struct operations *operations;
	struct list_replies *list_replies;
	struct jobs *jobs;
	struct keeper *keeper;
	struct peers *peers;
	struct forwarder *forwarder;
	struct cluster *cluster;
	struct timer *probe;
	bool connected; /* to libvirt */
	int64_t maintenance;
	struct context ctx;
};

static struct {
	bool powered;
	unsigned int start;
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

/* What daemon.c does for operations and endpoints */

static const char *
libvirt_why(const struct virtxd *virtxd)
{
	return virtxd->connected ? "" : "libvirt does not answer";
}

static void
on_outside(void *arg, struct metrics_outside *ret)
{
	*ret = (struct metrics_outside){ 0 };
}

static void
on_ready(void *arg, struct ready *ret)
{
	struct virtxd *virtxd = arg;

	str_set(&ret->libvirt, libvirt_why(virtxd));
	str_set(&ret->serf, virtxd->cluster ? cluster_why(virtxd->cluster)
					    : "libvirt has not told this host's uuid yet");
	str_set(&ret->storage, host_maintenance_why(virtxd->ctx.host_maintenance));
}

static bool
find_address(void *arg, const char *host, struct forward_address *ret)
{
	struct virtxd *virtxd = arg;
	const struct member_host *member =
	    virtxd->cluster ? members_find(cluster_members(virtxd->cluster), host) : NULL;

	if (!member || str_empty(member->addr))
		return false;
	snprintf(ret->addr, sizeof(ret->addr), "%s", member->addr);
	ret->port = member->port;
	ret->tls = member->tls;
	return true;
}

static void
on_forward(void *arg, struct request *req, const char *host)
{
	struct virtxd *virtxd = arg;

	forward_request(virtxd->forwarder, req, host);
}

static void
on_forward_chosen(
    void *arg, struct request *req, const char *host, const struct request_forward *more)
{
	struct virtxd *virtxd = arg;

	forward_chosen(virtxd->forwarder, req, host, more);
}

static int
on_address(void *arg, const char *host, char *ret, struct error *err)
{
	struct forward_address address;

	if (!find_address(arg, host, &address))
		return error_set(err, 503, "serf does not know the address of host '%s'", host);
	memcpy(ret, address.addr, sizeof(address.addr));
	return 0;
}

static int
on_ask(void *arg, struct peer_ask *ask, const char *host, enum method method, const char *path,
    const char *user, const char *body, struct error *err)
{
	struct virtxd *virtxd = arg;
	struct forward_address address;

	if (!find_address(virtxd, host, &address))
		return error_set(err, 503, "serf does not say where host '%s' is", host);
	return peer_rpc_start(virtxd->peers, ask, &address, host, method, path, user, body,
	    method == METHOD_POST ? virtxd->config.reply_timeout * 1000 + ASK_MS : ASK_MS, err);
}

static void
on_announce(void *arg, int64_t since)
{
	struct virtxd *virtxd = arg;

	virtxd->maintenance = since;
	if (virtxd->cluster)
		cluster_set_maintenance(virtxd->cluster, since);
}

static int
on_known(void *arg, char **ret_missing, struct error *err)
{
	struct virtxd *virtxd = arg;

	if (!virtxd->cluster || !keeper_knows_vms(virtxd->keeper))
		return error_set(err, 503, "libvirt has not told this host's VMs yet");
	return cluster_check(virtxd->cluster, ret_missing, err);
}

static void
on_forgotten(void *arg, const char *host)
{
}

static const struct host_ops host_ops = {
	.outside = on_outside,
	.ready = on_ready,
	.forward = on_forward,
	.forward_chosen = on_forward_chosen,
	.address = on_address,
	.ask = on_ask,
	.announce = on_announce,
	.known = on_known,
	.forgotten = on_forgotten,
};

/* The connection to libvirt, as virt.c keeps it */

static void
on_probe(void *arg)
{
	struct virtxd *virtxd = arg;

	keeper_probe(virtxd->keeper);
}

static void
on_probed(void *arg, const char *host, const struct error *err)
{
	struct virtxd *virtxd = arg;

	if (host && !virtxd->cluster)
		virtxd->cluster =
		    cluster_new(NULL, &virtxd->config, virtxd->inventory, virtxd->peers, host);
	if (virtxd->cluster && virtxd->maintenance >= 0)
		cluster_set_maintenance(virtxd->cluster, virtxd->maintenance);
	if (!host || !libvirt_is_up(virtxd->host)) {
		timer_start(virtxd->probe, PROBE_MS);
		return;
	}
	virtxd->connected = true;
	keeper_set_libvirt(virtxd->keeper, true);
}

void
host_on_libvirt_event(int host, const char *uuid, enum vmrunstate runstate, bool migrated)
{
	struct virtxd *virtxd = hosts[host].virtxd;
	int before = clock_enter(host);

	if (virtxd && virtxd->connected)
		keeper_vm_changed(virtxd->keeper, uuid, runstate, migrated);
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
		keeper_set_libvirt(virtxd->keeper, false);
		timer_start(virtxd->probe, PROBE_MS);
	}
	clock_enter(before);
}

/* Its life */

static void
configure(struct config *config)
{
	config_init(config);
	free(config->listen[0].addr);
	config->listen[0].addr = xstrdup("0.0.0.0");
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
	struct jobs_limits limits;
	int before = clock_enter(host);

	if (hosts[host].virtxd || !hosts[host].powered || clock_is_ending()) {
		clock_enter(before);
		return;
	}
	history_add(host, "virtxd starts");
	virtxd = xcalloc(1, sizeof(*virtxd));
	hosts[host].start++;
	hosts[host].virtxd = virtxd;
	virtxd->host = host;
	configure(&virtxd->config);
	limits = (struct jobs_limits){ .running_max = virtxd->config.jobs_max,
		.queue_max = virtxd->config.jobs_queue_max,
		.stuck_max = virtxd->config.jobs_stuck_max };
	virtxd->inventory = inventory_new();
	virtxd->operations = operations_new();
	operations_observe(virtxd->operations, on_operation, virtxd);
	virtxd->list_replies = list_replies_new(NULL, virtxd->inventory);
	virtxd->peers = peers_new(NULL, address_refusal);
	virtxd->forwarder = forwarder_new(virtxd->peers, &virtxd->config, virtxd->inventory,
	    virtxd->operations, find_address, virtxd);
	virtxd->jobs = jobs_new(NULL, &limits);
	virtxd->keeper = keeper_new(NULL, &virtxd->config, virtxd->jobs, virtxd->inventory,
	    virtxd->operations, on_probed, virtxd);
	virtxd->ctx = (struct context){
		.config = &virtxd->config,
		.inventory = virtxd->inventory,
		.operations = virtxd->operations,
		.jobs = virtxd->jobs,
		.keeper = virtxd->keeper,
		.list_replies = virtxd->list_replies,
		.host_ops = &host_ops,
		.host_arg = virtxd,
	};
	virtxd->maintenance = -1;
	virtxd->ctx.host_maintenance = host_maintenance_new(&virtxd->ctx);
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
	operations_observe(virtxd->operations, NULL, NULL);
	server_drop(host);
	timer_free(virtxd->probe);
	cluster_free(virtxd->cluster);
	forwarder_free(virtxd->forwarder);
	peers_free(virtxd->peers);
	keeper_free(virtxd->keeper);
	jobs_free(virtxd->jobs);
	api_stop(&virtxd->ctx);
	host_maintenance_free(virtxd->ctx.host_maintenance);
	list_replies_free(virtxd->list_replies);
	operations_free(virtxd->operations);
	inventory_free(virtxd->inventory);
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
	libvirt_power_off(host);
}

void
host_power_on(int host)
{
	if (hosts[host].powered)
		return;
	history_add(host, "the power is back");
	hosts[host].powered = true;
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

struct context *
host_context(int host)
{
	return hosts[host].virtxd ? &hosts[host].virtxd->ctx : NULL;
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
