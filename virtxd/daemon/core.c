/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/core.h"

#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "api/list_reply.h"
#include "daemon/cluster.h"
#include "http/forward.h"
#include "http/peer_rpc.h"
#include "http/tls.h"
#include "ops/autostart.h"
#include "ops/crash_restart.h"
#include "ops/failover.h"
#include "ops/guest_reboot.h"
#include "ops/loss_plan.h"
#include "ops/host_maintenance.h"
#include "state/address.h"

#define ASK_MS	10000 /* for what another host answers from its memory */
#define LOOK_MS 35000 /* for what a job of at most 30 s looks into before it answers */

/* What it does for operations and endpoints */

/* The cluster is joined once it is known who this host is. */
const char *
core_why_no_serf(const struct core *core)
{
	return core->cluster ? cluster_why(core->cluster)
			     : "libvirt has not told this host's uuid yet";
}

static void
on_outside(void *arg, struct metrics_outside *ret)
{
	struct core *core = arg;

	core->ops->outside(core->arg, ret);
}

static void
on_ready(void *arg, struct ready *ret)
{
	struct core *core = arg;
	struct error err = { 0 };

	str_set(&ret->libvirt, core->ops->libvirt_why(core->arg));
	str_set(&ret->serf, core_why_no_serf(core));
	str_set(&ret->listen, core->cluster ? cluster_unreachable(core->cluster) : "");
	free(ret->exposed);
	ret->exposed = config_exposed(core->config);
	free(ret->certificate);
	ret->certificate =
	    core->tls ? tls_warning(core->tls, inventory_self(core->inventory)) : xstrdup("");
	ret->certificate_end = core->tls ? tls_end_of_certificate(core->tls) : 0;
	str_set(&ret->storage, host_maintenance_why(core->ctx.host_maintenance));
	free(ret->clock);
	ret->clock = inventory_skew_text(core->inventory);
	inventory_check_twins(core->inventory, &err);
	str_set(&ret->members, err.detail);
	free(ret->vms);
	ret->vms = inventory_full_text(core->inventory);
}

static int
on_known(void *arg, char **ret_missing, struct error *err)
{
	struct core *core = arg;

	if (!core->cluster || !keeper_knows_vms(core->keeper))
		return error_set(err, 503, "libvirt has not told this host's VMs yet");
	return cluster_check(core->cluster, ret_missing, err);
}

static char *
on_behind(void *arg)
{
	const struct core *core = arg;

	return core->cluster ? cluster_behind(core->cluster) : NULL;
}

static bool
find_address(void *arg, const char *host, struct forward_address *ret)
{
	struct core *core = arg;
	const struct member_host *member =
	    core->cluster ? members_find(cluster_members(core->cluster), host) : NULL;

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
	struct core *core = arg;

	forward_request(core->forwarder, req, host);
}

static void
on_forward_chosen(
    void *arg, struct request *req, const char *host, const struct request_forward *more)
{
	struct core *core = arg;

	forward_chosen(core->forwarder, req, host, more);
}

static int
on_address(void *arg, const char *host, char *ret, struct error *err)
{
	struct forward_address address;
	struct core *core = arg;
	const char *why;

	if (inventory_check_out(core->inventory, host, err) < 0)
		return -1;
	if (!find_address(core, host, &address))
		return error_set(err, 503, "serf does not know the address of host '%s'", host);
	why = address_refusal(address.addr);
	if (why)
		return error_set(err, 502,
		    "host '%s' cannot be reached: what serf has for it, '%s', is %s", host,
		    address.addr, why);
	memcpy(ret, address.addr, sizeof(address.addr));
	return 0;
}

int
core_ask_ms(const struct config *config, enum method method, const char *path)
{
	switch (method) {
	case METHOD_POST:
		/* The next host is asked when one is late, and somebody waits for all. */
		if (strcmp(path, routes[ROUTE_CLUSTER_RENEW].path) == 0)
			return LOOK_MS;
		return config->reply_timeout * 1000 + ASK_MS;
	case METHOD_PUT:
		return LOOK_MS;
	default:
		return ASK_MS;
	}
}

static int
on_ask(void *arg, struct peer_ask *ask, const char *host, enum method method, const char *path,
    const char *user, const char *body, struct error *err)
{
	struct core *core = arg;
	struct forward_address address;

	if (inventory_check_out(core->inventory, host, err) < 0)
		return -1;
	if (!find_address(core, host, &address))
		return error_set(err, 503, "serf does not say where host '%s' is", host);
	return peer_rpc_start(core->peers, ask, &address, host, method, path, user, body,
	    core_ask_ms(core->config, method, path), err);
}

static int
on_check_name(void *arg, const char *which, const char *uuid, const char *addr, struct error *err)
{
	const struct core *core = arg;
	const char *why = core_why_no_serf(core), *other;

	if (!str_empty(why))
		return error_set(err, 503, "serf does not say now which hosts there are: %s", why);
	other = members_other(cluster_members(core->cluster), which, uuid, addr);
	if (!other)
		return 0;
	return error_set(err, 409,
	    "'%s' is that of another host, the member '%s' of serf: each host needs a name and an "
	    "address of its own, and a host that is gone keeps its name until serf has dropped it",
	    which, other);
}

static void
on_forgotten(void *arg, const char *host)
{
	struct core *core = arg;

	if (core->cluster)
		cluster_forget(core->cluster, host);
}

static void
on_announce(void *arg, int64_t since)
{
	struct core *core = arg;

	core->maintenance = since;
	if (core->cluster)
		cluster_set_maintenance(core->cluster, since);
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
	.behind = on_behind,
	.check_name = on_check_name,
	.forgotten = on_forgotten,
};

/* Its life */

static void
on_probed(void *arg, const char *host, const struct error *err)
{
	struct core *core = arg;

	/* The uuid is a tag of the serf member, so that serf waits for it. */
	if (host && !core->cluster)
		core->cluster =
		    cluster_new(core->base, core->config, core->inventory, core->peers, host);
	if (core->cluster && core->maintenance >= 0)
		cluster_set_maintenance(core->cluster, core->maintenance);
	core->ops->probed(core->arg, host ? NULL : err);
}

void
core_init(struct core *core, struct event_base *base, const struct config *config,
    const struct core_ops *ops, void *arg)
{
	struct jobs_limits limits = {
		.running_max = config->jobs_max,
		.queue_max = config->jobs_queue_max,
		.stuck_max = config->jobs_stuck_max,
	};
	const struct work_env env = {
		.uri = config->libvirt_uri,
		.root = config->storage_root,
		.run_dir = config->run_dir,
		.io_timeout = config->io_timeout,
		.qemu_group = config->qemu_group,
		.luns = config->luns,
	};

	*core = (struct core){
		.config = config, .base = base, .ops = ops, .arg = arg, .maintenance = -1
	};
	core->inventory = inventory_new();
	core->operations = operations_new();
	core->list_replies = list_replies_new(base, core->inventory);
	core->peers = peers_new(base, address_refusal);
	core->forwarder = forwarder_new(
	    core->peers, config, core->inventory, core->operations, find_address, core);
	core->jobs = jobs_new(base, &limits, &env);
	core->keeper = keeper_new(
	    base, config, core->jobs, core->inventory, core->operations, on_probed, core);
	core->ctx = (struct context){
		.base = base,
		.config = config,
		.inventory = core->inventory,
		.operations = core->operations,
		.jobs = core->jobs,
		.keeper = core->keeper,
		.list_replies = core->list_replies,
		.host_ops = &host_ops,
		.host_arg = core,
	};
	core->ctx.host_maintenance = host_maintenance_new(&core->ctx);
	core->autostart = autostart_new(&core->ctx);
	core->crash_restart = crash_restart_new(&core->ctx);
	core->guest_reboots = guest_reboots_new(&core->ctx);
	core->ctx.failover = failover_new(&core->ctx);
	core->ctx.loss_planner = loss_planner_new(&core->ctx);
}

void
core_set_tls(struct core *core, struct tls *tls)
{
	core->tls = tls;
	peers_set_tls(core->peers, tls);
	if (config_wants_tls(core->config))
		peers_refuse_plain(core->peers);
}

void
core_free(struct core *core)
{
	list_replies_free(core->list_replies);
	loss_planner_free(core->ctx.loss_planner);
	cluster_free(core->cluster);
	forwarder_free(core->forwarder);
	peers_free(core->peers);
	keeper_free(core->keeper);
	jobs_free(core->jobs);
	api_stop(&core->ctx);
	failover_free(core->ctx.failover);
	guest_reboots_free(core->guest_reboots);
	crash_restart_free(core->crash_restart);
	autostart_free(core->autostart);
	host_maintenance_free(core->ctx.host_maintenance);
	operations_free(core->operations);
	inventory_free(core->inventory);
}
