/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parts of virtxd, and how they are wired together. */
#include "daemon/daemon.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>

#include "api/api.h"
#include "api/events.h"
#include "api/list_reply.h"
#include "api/loop_lag.h"
#include "api/metrics.h"
#include "daemon/cluster.h"
#include "daemon/event_relay.h"
#include "http/forward.h"
#include "http/peer_rpc.h"
#include "http/server.h"
#include "loop/base.h"
#include "ops/context.h"
#include "ops/host_maintenance.h"
#include "proto/log.h"
#include "state/address.h"
#include "virt/bridge.h"
#include "virt/virt.h"

#define LEAVE_S 1     /* for serf to take our tags back */
#define ASK_MS	10000 /* for what another host answers from its memory */

struct daemon {
	const struct daemon_options *options;
	struct config config;
	struct event_base *base;
	struct event *term, *interrupt, *hangup;
	struct inventory *inventory;
	struct operations *operations;
	struct events *events;
	struct event_streams *streams;
	struct loop_lag *lag;
	struct list_replies *list_replies;
	struct jobs *jobs;
	struct keeper *keeper;
	struct virt *virt;
	struct peers *peers;
	struct forwarder *forwarder;
	struct cluster *cluster;   /* NULL until the host's uuid is known */
	struct event_relay *relay; /* likewise */
	struct http_server *server;
	struct host_maintenance *host_maintenance;
	bool stopping;
	int64_t maintenance; /* since then; 0: none, -1: not known yet */
	struct context ctx;
};

/* Tells systemd that the daemon serves; a start by hand has nobody to tell. */
static void
notify_ready(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	_close_ int fd = -1;
	size_t len = path ? strlen(path) : 0;

	if (len == 0 || len >= sizeof(addr.sun_path))
		return;
	memcpy(addr.sun_path, path, len);
	if (addr.sun_path[0] == '@')
		addr.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, "READY=1", 7, MSG_NOSIGNAL, (struct sockaddr *)&addr,
			  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		log_warning("main", "cannot tell systemd that virtxd is ready");
	/* Not for the jobs. */
	unsetenv("NOTIFY_SOCKET");
}

static void
on_libevent_log(int severity, const char *message)
{
	static struct log_limit limit;

	/* Much of what it warns of, peers and clients bring about. */
	if (severity >= EVENT_LOG_ERR)
		log_error("event", "%s", message);
	else if (severity == EVENT_LOG_WARN)
		log_limited(&limit, 20, "event", "%s", message);
	else
		log_debug("event", "%s", message);
}

static void
on_left(void *arg)
{
	struct daemon *daemon = arg;

	event_base_loopbreak(daemon->base);
}

/* The others are told; they, and who stops this host, do not wait for long. */
static void
on_stop(evutil_socket_t signum, short what, void *arg)
{
	static const struct timeval leave = { .tv_sec = LEAVE_S };
	struct daemon *daemon = arg;

	log_info("main", "%s: stopping", strsignal((int)signum));
	if (daemon->stopping || !daemon->cluster) {
		event_base_loopbreak(daemon->base);
		return;
	}
	daemon->stopping = true;
	event_base_loopexit(daemon->base, &leave);
	cluster_leave(daemon->cluster, on_left, daemon);
}

static void
on_hangup(evutil_socket_t signum, short what, void *arg)
{
	struct daemon *daemon = arg;
	struct config fresh;
	struct error err = { 0 };

	config_init(&fresh);
	if (config_load(&fresh, daemon->options->config_file, daemon->options->config_given, &err) <
	    0) {
		log_error("main", "the configuration stays as it is: %s", err.detail);
	} else {
		daemon->config.log_level = fresh.log_level;
		daemon->config.collect_period = fresh.collect_period;
		daemon->config.reply_timeout = fresh.reply_timeout;
		if (!daemon->options->debug)
			log_set_level((enum log_level)fresh.log_level);
		keeper_reload(daemon->keeper);
		log_info("main", "configuration read again");
	}
	config_clear(&fresh);
}

static void
on_virt_probe(void *arg)
{
	struct daemon *daemon = arg;

	keeper_probe(daemon->keeper);
}

static void
on_virt_connected(void *arg)
{
	struct daemon *daemon = arg;

	log_info("libvirt", "connected to '%s'", daemon->config.libvirt_uri);
	keeper_set_libvirt(daemon->keeper, true);
}

static void
on_virt_disconnected(void *arg, const char *why)
{
	struct daemon *daemon = arg;

	log_warning("libvirt", "disconnected: %s", why);
	keeper_set_libvirt(daemon->keeper, false);
}

static void
on_virt_changed(void *arg, const char *uuid, enum vmrunstate runstate, bool migrated)
{
	struct daemon *daemon = arg;

	log_debug("libvirt", "VM '%s': %s", uuid, enum_word(&vmrunstate_enum, runstate));
	keeper_vm_changed(daemon->keeper, uuid, runstate, migrated);
}

static const struct virt_ops virt_ops = {
	.probe = on_virt_probe,
	.connected = on_virt_connected,
	.disconnected = on_virt_disconnected,
	.changed = on_virt_changed,
};

static void
on_probed(void *arg, const char *host, const struct error *err)
{
	struct daemon *daemon = arg;

	/* The uuid is a tag of the serf member, so that serf waits for it. */
	if (host && !daemon->cluster) {
		daemon->cluster = cluster_new(
		    daemon->base, &daemon->config, daemon->inventory, daemon->peers, host);
		daemon->relay =
		    event_relay_new(daemon->base, daemon->peers, cluster_members(daemon->cluster),
			daemon->streams, daemon->events, daemon->operations);
	}
	if (daemon->cluster && daemon->maintenance >= 0)
		cluster_set_maintenance(daemon->cluster, daemon->maintenance);
	virt_probe_done(daemon->virt, host ? NULL : err);
}

/* The cluster is joined once it is known who this host is. */
static const char *
why_no_serf(const struct daemon *daemon)
{
	return daemon->cluster ? cluster_why(daemon->cluster)
			       : "libvirt has not told this host's uuid yet";
}

static void
on_ready(void *arg, struct ready *ret)
{
	struct daemon *daemon = arg;
	struct error err = { 0 };

	str_set(&ret->libvirt, virt_why(daemon->virt));
	str_set(&ret->serf, why_no_serf(daemon));
	str_set(&ret->listen, daemon->cluster ? cluster_unreachable(daemon->cluster) : "");
	str_set(&ret->storage, host_maintenance_why(daemon->host_maintenance));
	free(ret->clock);
	ret->clock = inventory_skew_text(daemon->inventory);
	inventory_check_twins(daemon->inventory, &err);
	str_set(&ret->members, err.detail);
	free(ret->vms);
	ret->vms = inventory_full_text(daemon->inventory);
}

static int
on_known(void *arg, char **ret_missing, struct error *err)
{
	struct daemon *daemon = arg;

	if (!daemon->cluster || !keeper_knows_vms(daemon->keeper))
		return error_set(err, 503, "libvirt has not told this host's VMs yet");
	return cluster_check(daemon->cluster, ret_missing, err);
}

static bool
find_address(void *arg, const char *host, struct forward_address *ret)
{
	struct daemon *daemon = arg;
	const struct member_host *member =
	    daemon->cluster ? members_find(cluster_members(daemon->cluster), host) : NULL;

	if (!member || str_empty(member->addr))
		return false;
	snprintf(ret->addr, sizeof(ret->addr), "%s", member->addr);
	ret->port = member->port;
	ret->tls = member->tls;
	return true;
}

static bool
on_is_host(void *arg, const char *name)
{
	struct daemon *daemon = arg;

	return daemon->cluster && members_has_name(cluster_members(daemon->cluster), name);
}

static enum guard_who
on_who(void *arg, const char *addr, const char **why)
{
	struct daemon *daemon = arg;

	if (daemon->cluster && members_has_address(cluster_members(daemon->cluster), addr))
		return GUARD_MEMBER;
	*why = why_no_serf(daemon);
	return str_empty(*why) ? GUARD_STRANGER : GUARD_UNKNOWN;
}

static void
on_forward(void *arg, struct request *req, const char *host)
{
	struct daemon *daemon = arg;

	forward_request(daemon->forwarder, req, host);
}

static void
on_forward_chosen(
    void *arg, struct request *req, const char *host, const struct request_forward *more)
{
	struct daemon *daemon = arg;

	forward_chosen(daemon->forwarder, req, host, more);
}

static int
on_address(void *arg, const char *host, char *ret, struct error *err)
{
	struct forward_address address;
	const char *why;

	if (!find_address(arg, host, &address))
		return error_set(err, 503, "serf does not know the address of host '%s'", host);
	why = address_refusal(address.addr);
	if (why)
		return error_set(err, 502,
		    "host '%s' cannot be reached: what serf has for it, '%s', is %s", host,
		    address.addr, why);
	memcpy(ret, address.addr, sizeof(address.addr));
	return 0;
}

static int
on_ask(void *arg, struct peer_ask *ask, const char *host, enum method method, const char *path,
    const char *user, const char *body, struct error *err)
{
	struct daemon *daemon = arg;
	struct forward_address address;

	if (!find_address(daemon, host, &address))
		return error_set(err, 503, "serf does not say where host '%s' is", host);
	return peer_rpc_start(daemon->peers, ask, &address, host, method, path, user, body,
	    method == METHOD_POST ? daemon->config.reply_timeout * 1000 + ASK_MS : ASK_MS, err);
}

static void
on_forgotten(void *arg, const char *host)
{
	struct daemon *daemon = arg;

	if (daemon->cluster)
		cluster_forget(daemon->cluster, host);
}

static void
on_announce(void *arg, int64_t since)
{
	struct daemon *daemon = arg;

	daemon->maintenance = since;
	if (daemon->cluster)
		cluster_set_maintenance(daemon->cluster, since);
}

static void
on_metrics(void *arg, struct metrics_outside *ret)
{
	struct daemon *daemon = arg;
	struct peers_stats peers;
	struct http_stats http;

	http_server_get_stats(daemon->server, &http);
	peers_get_stats(daemon->peers, &peers);
	*ret = (struct metrics_outside){
		.connections = http.connections,
		.refused = http.refused,
		.requests = http.replies,
		.peer_calls = peers.calls,
		.peer_connections = peers.connections,
		.peer_started = peers.started,
		.peer_failed = peers.failed,
	};
	if (daemon->cluster) {
		cluster_get_stats(daemon->cluster, &ret->gossip);
		ret->members = members_count(cluster_members(daemon->cluster));
	}
}

static const struct host_ops host_ops = {
	.outside = on_metrics,
	.ready = on_ready,
	.forward = on_forward,
	.forward_chosen = on_forward_chosen,
	.address = on_address,
	.ask = on_ask,
	.announce = on_announce,
	.known = on_known,
	.forgotten = on_forgotten,
};

static void
on_request(void *arg, struct request *req)
{
	struct daemon *daemon = arg;

	api_handle(&daemon->ctx, req);
}

static struct event *
on_signal(struct daemon *daemon, int signum, event_callback_fn callback)
{
	struct event *event = evsignal_new(daemon->base, signum, callback, daemon);

	evsignal_add(event, NULL);
	return event;
}

static int
start(struct daemon *daemon, struct error *err)
{
	const struct config *config = &daemon->config;
	struct jobs_limits limits = {
		.running_max = config->jobs_max,
		.queue_max = config->jobs_queue_max,
		.stuck_max = config->jobs_stuck_max,
	};

	event_set_log_callback(on_libevent_log);
	daemon->base = base_new();
	if (!daemon->base)
		return error_set(err, 500, "libevent has no event base");
	signal(SIGPIPE, SIG_IGN);
	daemon->server = http_server_new(daemon->base, config, on_request, daemon, err);
	if (!daemon->server)
		return -1;
	http_server_set_hosts(daemon->server, on_is_host, on_who, daemon);
	daemon->term = on_signal(daemon, SIGTERM, on_stop);
	daemon->interrupt = on_signal(daemon, SIGINT, on_stop);
	daemon->hangup = on_signal(daemon, SIGHUP, on_hangup);
	daemon->inventory = inventory_new();
	daemon->operations = operations_new();
	daemon->events = events_new(daemon->inventory, daemon->operations);
	daemon->streams = event_streams_new(daemon->base, daemon->events);
	daemon->lag = loop_lag_new(daemon->base);
	daemon->list_replies = list_replies_new(daemon->base, daemon->inventory);
	daemon->peers = peers_new(daemon->base, address_refusal);
	daemon->forwarder = forwarder_new(
	    daemon->peers, config, daemon->inventory, daemon->operations, find_address, daemon);
	daemon->jobs = jobs_new(daemon->base, &limits);
	daemon->keeper = keeper_new(daemon->base, config, daemon->jobs, daemon->inventory,
	    daemon->operations, on_probed, daemon);
	daemon->ctx = (struct context){
		.base = daemon->base,
		.config = config,
		.inventory = daemon->inventory,
		.operations = daemon->operations,
		.jobs = daemon->jobs,
		.keeper = daemon->keeper,
		.streams = daemon->streams,
		.lag = daemon->lag,
		.list_replies = daemon->list_replies,
		.host_ops = &host_ops,
		.host_arg = daemon,
	};
	daemon->maintenance = -1;
	daemon->host_maintenance = daemon->ctx.host_maintenance =
	    host_maintenance_new(&daemon->ctx);
	bridge_register(daemon->base);
	daemon->virt =
	    virt_new(daemon->base, config->libvirt_uri, config->libvirt_retry, &virt_ops, daemon);
	return 0;
}

static void
event_free_if(struct event *event)
{
	if (event)
		event_free(event);
}

static void
stop(struct daemon *daemon)
{
	http_server_free(daemon->server);
	event_relay_free(daemon->relay);
	event_streams_free(daemon->streams);
	loop_lag_free(daemon->lag);
	list_replies_free(daemon->list_replies);
	cluster_free(daemon->cluster);
	virt_free(daemon->virt);
	forwarder_free(daemon->forwarder);
	peers_free(daemon->peers);
	keeper_free(daemon->keeper);
	jobs_free(daemon->jobs);
	api_stop(&daemon->ctx);
	host_maintenance_free(daemon->host_maintenance);
	bridge_done();
	events_free(daemon->events);
	operations_free(daemon->operations);
	inventory_free(daemon->inventory);
	event_free_if(daemon->term);
	event_free_if(daemon->interrupt);
	event_free_if(daemon->hangup);
	if (daemon->base) {
		/* A callback that libevent has put off holds its connection, until it has run. */
		event_base_loop(daemon->base, EVLOOP_NONBLOCK);
		event_base_free(daemon->base);
	}
	config_clear(&daemon->config);
}

int
daemon_run(const struct daemon_options *options, struct config *config)
{
	struct daemon daemon = { .options = options, .config = *config };
	struct error err = { 0 };
	int r = start(&daemon, &err);

	*config = (struct config){ 0 };
	if (r < 0) {
		log_error("main", "%s", err.detail);
	} else {
		log_info("main", "virtxd " VIRTX_VERSION " serves");
		notify_ready();
		event_base_dispatch(daemon.base);
	}
	stop(&daemon);
	return r;
}
