/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The listeners, and evhttp with its limits. */
#include "http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/connections.h"
#include "http/exchange.h"
#include "http/guard.h"
#include "http/local_door.h"
#include "http/slowdown.h"
#include "http/socket_file.h"
#include "proto/log.h"

#define BACKLOG	     1024
#define SOCKET_GROUP "virtx"
#define GUESSES_MAX  64	 /* of tokens that wait to be told so ... */
#define GUESSES_PART 8	 /* ... and no more than this part of all connections */
#define FDS_RESERVED 128 /* for jobs, serf, libvirt and the rest of the process */

struct listener {
	struct evconnlistener *listener; /* owned by its evhttp */
	enum connection_kind kind;
};

struct http_server {
	struct event_base *base;
	struct evhttp *http[CONNECTION_KINDS];
	struct local_door *door; /* NULL without a UNIX socket */
	struct socket_file socket, gate;
	int socket_fd;
	struct connections *connections;
	struct listener *listeners;
	size_t n_listeners;
	http_handler handler;
	void *arg;
	uint64_t requests;
	struct guard guard;
	struct exchange_counts counts;
};

static void
on_request(struct evhttp_request *req, void *arg)
{
	struct http_server *server = arg;
	struct evhttp_connection *evcon = evhttp_request_get_connection(req);
	struct connection *connection = connections_find(server->connections, evcon);

	server->requests++;
	exchange_start(
	    req, connection, &server->guard, &server->counts, server->handler, server->arg);
}

/* No more descriptors, most likely. Without a pause the loop would spin, as the listener stays
 * readable. evhttp has taken the argument for itself, so the next set_accepting ends the pause. */
static void
on_accept_error(struct evconnlistener *listener, void *arg)
{
	static struct log_limit limit;

	log_limited(&limit, 2, "http", "cannot accept a connection: %s", strerror(errno));
	evconnlistener_disable(listener);
}

static void
set_accepting(void *arg, enum connection_kind kind, bool on)
{
	struct http_server *server = arg;

	for (size_t i = 0; i < server->n_listeners; i++) {
		if (server->listeners[i].kind != kind)
			continue;
		if (on)
			evconnlistener_enable(server->listeners[i].listener);
		else
			evconnlistener_disable(server->listeners[i].listener);
	}
	if (server->door && kind == CONNECTION_LOCAL)
		local_door_accept(server->door, on);
}

static socklen_t
make_address(const struct config_listen *listen, struct sockaddr_storage *ss)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;
	struct sockaddr_in *in = (struct sockaddr_in *)ss;

	memset(ss, 0, sizeof(*ss));
	if (inet_pton(AF_INET, listen->addr, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(listen->port);
		return sizeof(*in);
	}
	if (inet_pton(AF_INET6, listen->addr, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(listen->port);
		return sizeof(*in6);
	}
	return 0;
}

/* A listening socket, or -errno. */
static int
open_listener(const struct config_listen *where)
{
	struct sockaddr_storage ss;
	socklen_t len = make_address(where, &ss);
	_close_ int fd = -1;
	int on = 1;

	if (len == 0)
		return -EINVAL;
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* Connections inherit the last two. NODELAY: the end of a long reply must not wait for the
	 * client's delayed acknowledgement. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		return -errno;
	/* [::] leaves 0.0.0.0 to the listener that asks for it. */
	if (ss.ss_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&ss, len) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	return steal_fd(&fd);
}

static enum connection_kind
kind_of(const struct config_listen *where)
{
	bool tls = where->transport == TRANSPORT_TLS;

	if (where->access == ACCESS_AUTH)
		return tls ? CONNECTION_TLS_AUTH : CONNECTION_PLAIN_AUTH;
	return tls ? CONNECTION_TLS : CONNECTION_PLAIN;
}

/* fd listens, and is given away. */
static void
serve(struct http_server *server, struct event_base *base, int fd, enum connection_kind kind)
{
	struct evconnlistener *listener = evconnlistener_new(
	    base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);

	if (!listener || !evhttp_bind_listener(server->http[kind], listener))
		abort();
	evconnlistener_set_error_cb(listener, on_accept_error);
	server->listeners =
	    xrealloc(server->listeners, server->n_listeners + 1, sizeof(*server->listeners));
	server->listeners[server->n_listeners++] = (struct listener){ listener, kind };
}

static int
add_listener(struct http_server *server, struct event_base *base, const struct config_listen *where,
    struct error *err)
{
	int fd = open_listener(where);

	if (fd < 0)
		return error_errno(
		    err, 500, -fd, "cannot listen on '%s' port %u", where->addr, where->port);
	serve(server, base, fd, kind_of(where));
	return 0;
}

/* As many as asked for, unless the process may not have that many descriptors. */
static int
connections_max(const struct config *config)
{
	struct rlimit limit;
	rlim_t most;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return config->max_connections;
	most =
	    limit.rlim_cur > 2 * FDS_RESERVED ? limit.rlim_cur - FDS_RESERVED : limit.rlim_cur / 2;
	if ((rlim_t)config->max_connections <= most)
		return config->max_connections;
	log_warning("http",
	    "max_connections is %d here instead of %d: the limit of open files is %llu", (int)most,
	    config->max_connections, (unsigned long long)limit.rlim_cur);
	return (int)most;
}

static struct evhttp *
make_evhttp(struct http_server *server, struct event_base *base, const struct config *config)
{
	struct evhttp *http = evhttp_new(base);

	if (!http)
		abort();
	evhttp_set_max_headers_size(http, config->max_headers);
	evhttp_set_max_body_size(http, config->max_body - 1);
	/* All, known to evhttp or not, so that it leaves the answer to us. */
	evhttp_set_allowed_methods(http, UINT16_MAX);
	evhttp_set_default_content_type(http, NULL);
	evhttp_set_gencb(http, on_request, server);
	return http;
}

struct http_server *
http_server_new(struct event_base *base, const struct config *config, http_handler handler,
    void *arg, struct error *err)
{
	struct http_server *server = xcalloc(1, sizeof(*server));
	struct connections_limits limits = {
		.max = connections_max(config),
		.request_timeout = config->request_timeout,
		.idle_timeout = config->idle_timeout,
		.max_input = (size_t)config->max_body + (size_t)config->max_headers,
	};
	unsigned int guesses;

	server->handler = handler;
	server->arg = arg;
	server->guard.config = config;
	guesses = (unsigned int)limits.max / GUESSES_PART;
	server->guard.slowdown = slowdown_new(base, guesses < GUESSES_MAX ? guesses : GUESSES_MAX);
	server->base = base;
	server->socket_fd = -1;
	server->connections = connections_new(base, &limits, set_accepting, server);
	for (int kind = 0; kind < CONNECTION_KINDS; kind++) {
		server->http[kind] = make_evhttp(server, base, config);
		connections_serve(
		    server->connections, server->http[kind], (enum connection_kind)kind);
	}

	for (size_t i = 0; i < config->n_listen; i++) {
		if (add_listener(server, base, &config->listen[i], err) < 0) {
			http_server_free(server);
			return NULL;
		}
	}
	return server;
}

void
http_server_set_tls(struct http_server *server, struct tls *tls)
{
	connections_set_tls(server->connections, tls);
}

int
http_server_open_socket(struct http_server *server, const char *path, struct error *err)
{
	_free_ char *gate = xasprintf("%s.gate", path);
	int fd;

	server->socket_fd = socket_file_open(&server->socket, path, SOCKET_GROUP, err);
	if (server->socket_fd < 0)
		return -1;
	fd = socket_file_open(&server->gate, gate, NULL, err);
	if (fd < 0)
		return -1;
	server->door = local_door_new(server->base, server->socket_fd, gate);
	connections_set_door(server->connections, server->door);
	serve(server, server->base, fd, CONNECTION_LOCAL);
	return 0;
}

void
http_server_free(struct http_server *server)
{
	if (!server)
		return;
	/* evhttp frees them before its connections, whose ends would have them accept again. */
	server->n_listeners = 0;
	socket_file_remove(&server->socket);
	socket_file_remove(&server->gate);
	for (int kind = 0; kind < CONNECTION_KINDS; kind++)
		evhttp_free(server->http[kind]);
	connections_free(server->connections);
	slowdown_free(server->guard.slowdown);
	local_door_free(server->door);
	util_close(&server->socket_fd);
	free(server->listeners);
	free(server);
}

void
http_server_set_hosts(struct http_server *server, guard_is_host is_host, guard_who who, void *arg)
{
	server->guard.is_host = is_host;
	server->guard.who = who;
	server->guard.arg = arg;
}

void
http_server_set_members(struct http_server *server, guard_who host)
{
	server->guard.host = host;
}

void
http_server_set_tokens(struct http_server *server, const struct tokens *tokens)
{
	server->guard.tokens = tokens;
}

void
http_server_set_joins(struct http_server *server, const struct joins *joins)
{
	server->guard.joins = joins;
}

void
http_server_get_stats(const struct http_server *server, struct http_stats *ret)
{
	struct connections_stats stats;

	connections_get_stats(server->connections, &stats);
	*ret = (struct http_stats){
		.connections = stats.open,
		.requests = server->requests,
		.refused = stats.refused,
		.handshakes = stats.handshakes,
		.handshakes_failed = stats.handshakes_failed,
		.replies = server->counts.requests,
		.refusals = server->counts.refusals,
	};
}

uint16_t
http_server_port(const struct http_server *server, size_t index)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int fd;

	if (index >= server->n_listeners)
		return 0;
	fd = evconnlistener_get_fd(server->listeners[index].listener);
	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return 0;
	return ntohs(ss.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&ss)->sin6_port
					      : ((struct sockaddr_in *)&ss)->sin_port);
}
