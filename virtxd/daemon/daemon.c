/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtxd's core and its doors: the HTTP server, libvirt's events, and signals. */
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
#include "api/loop_lag.h"
#include "api/metrics.h"
#include "daemon/cluster.h"
#include "daemon/core.h"
#include "daemon/event_relay.h"
#include "disk/confine.h"
#include "http/server.h"
#include "http/tls.h"
#include "loop/base.h"
#include "ops/host_maintenance.h"
#include "ops/loss_plan.h"
#include "ops/token_keeper.h"
#include "proto/log.h"
#include "state/joins.h"
#include "virt/bridge.h"
#include "virt/virt.h"

#define LEAVE_S 1 /* for serf to take our tags back */

struct daemon {
	const struct daemon_options *options;
	struct config config;
	struct event_base *base;
	struct event *term, *interrupt, *hangup;
	struct core core;
	struct events *events;
	struct event_streams *streams;
	struct loop_lag *lag;
	struct virt *virt;
	struct event_relay *relay; /* NULL until the cluster is joined */
	struct http_server *server;
	struct tls *tls; /* NULL without a certificate */
	struct tokens *tokens;
	struct joins *joins;
	struct token_keeper *token_keeper;
	bool stopping;
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
	if (daemon->stopping || !daemon->core.cluster) {
		event_base_loopbreak(daemon->base);
		return;
	}
	daemon->stopping = true;
	event_base_loopexit(daemon->base, &leave);
	/* All tags stay then: without that of its kind a host counts as none that is armed. */
	if (host_maintenance_hands_over(daemon->core.ctx.host_maintenance))
		on_left(daemon);
	else
		cluster_leave(daemon->core.cluster, on_left, daemon);
}

static bool
is_tls_changed(const struct config *config, const struct config *fresh)
{
	return !str_equal(config->tls_certificate, fresh->tls_certificate) ||
	       !str_equal(config->tls_key, fresh->tls_key) ||
	       !str_equal(config->tls_ca, fresh->tls_ca);
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
		daemon->config.ha_enabled = fresh.ha_enabled;
		daemon->config.ha_hands_over = fresh.ha_hands_over;
		if (!daemon->options->debug)
			log_set_level((enum log_level)fresh.log_level);
		keeper_reload(daemon->core.keeper);
		loss_planner_reload(daemon->core.ctx.loss_planner);
		if (daemon->core.cluster)
			cluster_reload(daemon->core.cluster);
		token_keeper_reload(daemon->token_keeper);
		if (daemon->tls)
			tls_reload(daemon->tls);
		log_info("main", "configuration read again");
		if (is_tls_changed(&daemon->config, &fresh))
			log_warning("main", "what [tls] says now needs a restart");
	}
	config_clear(&fresh);
}

/* It may have seen them: whoever has one is a new host. */
static void
on_host_out(void *arg)
{
	struct daemon *daemon = arg;

	joins_end_all(daemon->joins);
	log_notice("main", "a host was put out: tokens to join by that are from before are over");
}

static void
on_virt_probe(void *arg)
{
	struct daemon *daemon = arg;

	keeper_probe(daemon->core.keeper);
}

static void
on_virt_connected(void *arg)
{
	struct daemon *daemon = arg;

	log_info("libvirt", "connected to '%s'", daemon->config.libvirt_uri);
	keeper_set_libvirt(daemon->core.keeper, true);
}

static void
on_virt_disconnected(void *arg, const char *why)
{
	struct daemon *daemon = arg;

	log_warning("libvirt", "disconnected: %s", why);
	keeper_set_libvirt(daemon->core.keeper, false);
}

static void
on_virt_changed(void *arg, const char *uuid, enum vmrunstate runstate, bool migrated)
{
	struct daemon *daemon = arg;

	log_debug("libvirt", "VM '%s': %s", uuid, enum_word(&vmrunstate_enum, runstate));
	keeper_vm_changed(daemon->core.keeper, uuid, runstate, migrated);
}

static void
on_virt_signalled(void *arg, const char *uuid)
{
	struct daemon *daemon = arg;

	inventory_set_signalled(daemon->core.inventory, uuid);
}

static const struct virt_ops virt_ops = {
	.probe = on_virt_probe,
	.connected = on_virt_connected,
	.disconnected = on_virt_disconnected,
	.changed = on_virt_changed,
	.signalled = on_virt_signalled,
};

static void
on_tokens_changed(void *arg)
{
	struct daemon *daemon = arg;

	if (daemon->core.cluster)
		cluster_tell_tokens(daemon->core.cluster);
}

static void
on_tokens_told(void *arg)
{
	struct daemon *daemon = arg;

	token_keeper_told(daemon->token_keeper);
}

static void
on_probed(void *arg, const struct error *err)
{
	struct daemon *daemon = arg;
	struct core *core = &daemon->core;

	if (core->cluster)
		cluster_on_tokens(core->cluster, on_tokens_told, daemon);
	if (core->cluster && !daemon->relay)
		daemon->relay =
		    event_relay_new(daemon->base, core->peers, cluster_members(core->cluster),
			daemon->streams, daemon->events, core->operations);
	virt_probe_done(daemon->virt, err);
}

static const char *
on_libvirt_why(void *arg)
{
	struct daemon *daemon = arg;

	return virt_why(daemon->virt);
}

static bool
on_is_host(void *arg, const char *name)
{
	struct daemon *daemon = arg;

	return daemon->core.cluster &&
	       members_has_name(cluster_members(daemon->core.cluster), name);
}

static enum guard_who
on_who(void *arg, const char *addr, const char **why)
{
	struct daemon *daemon = arg;

	if (daemon->core.cluster &&
	    members_has_address(cluster_members(daemon->core.cluster), addr, daemon->tokens))
		return GUARD_MEMBER;
	*why = core_why_no_serf(&daemon->core);
	return str_empty(*why) ? GUARD_STRANGER : GUARD_UNKNOWN;
}

static enum guard_who
on_host(void *arg, const char *host, const char **why)
{
	struct daemon *daemon = arg;

	if (daemon->core.cluster && members_has_host(cluster_members(daemon->core.cluster), host))
		return GUARD_MEMBER;
	*why = core_why_no_serf(&daemon->core);
	return str_empty(*why) ? GUARD_STRANGER : GUARD_UNKNOWN;
}

static void
on_metrics(void *arg, struct metrics_outside *ret)
{
	struct daemon *daemon = arg;
	struct peers_stats peers;
	struct http_stats http;

	http_server_get_stats(daemon->server, &http);
	peers_get_stats(daemon->core.peers, &peers);
	*ret = (struct metrics_outside){
		.connections = http.connections,
		.refused = http.refused,
		.requests = http.replies,
		.peer_calls = peers.calls,
		.peer_connections = peers.connections,
		.peer_started = peers.started,
		.peer_failed = peers.failed,
		.handshakes_failed = http.handshakes_failed,
		.unauthorized = http.refusals,
		.unauthorized_words = identity_refusal_words,
		.n_unauthorized = REFUSALS,
		.certificate_end = daemon->tls ? tls_end_of_certificate(daemon->tls) : 0,
	};
	if (daemon->core.cluster) {
		cluster_get_stats(daemon->core.cluster, &ret->gossip);
		ret->members = members_count(cluster_members(daemon->core.cluster));
	}
}

static const struct core_ops core_ops = {
	.probed = on_probed,
	.libvirt_why = on_libvirt_why,
	.outside = on_metrics,
};

static void
on_request(void *arg, struct request *req)
{
	struct daemon *daemon = arg;

	api_handle(&daemon->core.ctx, req);
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
	struct core *core = &daemon->core;
	_free_ char *path = NULL;

	event_set_log_callback(on_libevent_log);
	daemon->base = base_new();
	if (!daemon->base)
		return error_set(err, 500, "libevent has no event base");
	signal(SIGPIPE, SIG_IGN);
	if (config_has_tls(config)) {
		daemon->tls = tls_new(daemon->base, config, err);
		if (!daemon->tls)
			return -1;
	}
	daemon->server = http_server_new(daemon->base, config, on_request, daemon, err);
	if (!daemon->server)
		return -1;
	http_server_set_tls(daemon->server, daemon->tls);
	daemon->tokens = tokens_new();
	http_server_set_tokens(daemon->server, daemon->tokens);
	if (daemon->tls)
		tls_set_tokens(daemon->tls, daemon->tokens);
	daemon->joins = joins_new();
	http_server_set_joins(daemon->server, daemon->joins);
	tokens_watch_out(daemon->tokens, on_host_out, daemon);
	path = xasprintf("%s/" API_SOCKET_NAME, config->run_dir);
	if (http_server_open_socket(daemon->server, path, err) < 0)
		return -1;
	http_server_set_hosts(daemon->server, on_is_host, on_who, daemon);
	http_server_set_members(daemon->server, on_host);
	daemon->term = on_signal(daemon, SIGTERM, on_stop);
	daemon->interrupt = on_signal(daemon, SIGINT, on_stop);
	daemon->hangup = on_signal(daemon, SIGHUP, on_hangup);
	core_init(core, daemon->base, config, &core_ops, daemon);
	core_set_tls(core, daemon->tls);
	inventory_set_tokens(core->inventory, daemon->tokens);
	peers_set_tokens(core->peers, daemon->tokens);
	daemon->token_keeper = token_keeper_new(
	    daemon->base, config, core->jobs, daemon->tokens, on_tokens_changed, daemon);
	core->ctx.tokens = daemon->token_keeper;
	core->ctx.joins = daemon->joins;
	daemon->events = events_new(core->inventory, core->operations);
	daemon->streams = event_streams_new(daemon->base, daemon->events);
	event_streams_set_tokens(daemon->streams, daemon->tokens);
	daemon->lag = loop_lag_new(daemon->base);
	core->ctx.streams = daemon->streams;
	core->ctx.lag = daemon->lag;
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
	virt_free(daemon->virt);
	bridge_done();
	events_free(daemon->events);
	core_free(&daemon->core);
	token_keeper_free(daemon->token_keeper);
	tokens_free(daemon->tokens);
	joins_free(daemon->joins);
	tls_free(daemon->tls);
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

static void
warn_exposed(const struct config *config)
{
	_free_ char *text = config_exposed(config);

	if (*text)
		log_warning("http", "%s", text);
}

/* Here and not by the jobs, whose every program it concerns. */
static void
warn_unconfined(void)
{
	const char *why = confine_missing();

	if (why)
		log_warning("main",
		    "qemu-img and others that work on disks could open more than these: %s", why);
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
		warn_exposed(&daemon.config);
		warn_unconfined();
		notify_ready();
		event_base_dispatch(daemon.base);
	}
	stop(&daemon);
	return r;
}
