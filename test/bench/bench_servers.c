/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bench_servers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/api.h"
#include "api/list_reply.h"
#include "http/forward.h"
#include "http/peer.h"
#include "http/server.h"
#include "http/tls.h"
#include "loop/base.h"
#include "ops/context.h"

#define HOST_VMS 100

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "bench_http: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Tells the port, then serves until the process ends. */
static void __attribute__((noreturn)) serve(struct event_base *base, int fd, uint16_t port)
{
	if (write(fd, &port, sizeof(port)) != sizeof(port))
		die("write");
	close(fd);
	event_base_dispatch(base);
	exit(1);
}

static void
add_local_vm(struct inventory *inventory)
{
	struct vm_report vm = { .uuid = (char[]){ BENCH_VM },
		.runstate = VMRUNSTATE_RUNNING,
		.has_def = true,
		.foreign = true, /* so nobody waits for the sizes of its disks */
		.def.name = (char[]){ "bench" } };

	inventory_report_vm(inventory, inventory_mark(inventory), true, &vm);
}

static void
add_vm(struct inventory *inventory, unsigned int i)
{
	_free_ char *host = xasprintf("00000001-1111-4222-8333-%012u", i / HOST_VMS);
	_free_ char *uuid = xasprintf("5a1f3c7e-9b52-4d0a-8f3e-%012u", i);
	_free_ char *name = xasprintf("customer-vm-%05u", i), *title = NULL;
	struct vm_info info = { .uuid = uuid,
		.host = host,
		.name = name,
		.runstate = i % 2 ? VMRUNSTATE_RUNNING : VMRUNSTATE_POWEROFF,
		.vlanid = (int16_t)(i % 4094),
		.ts = 1763846400000 + i,
		.vcpus = 4 };

	if (i % HOST_VMS == 0) {
		title = xasprintf("host%u", i / HOST_VMS);
		inventory_set_host(inventory, host, title, CSTATE_ACTIVE);
	}
	inventory_take_info(inventory, &info);
}

static struct inventory *
make_inventory(unsigned int vms)
{
	struct host_report self = { .uuid = (char[]){ BENCH_HOST }, .has_def = true };
	struct inventory *inventory = inventory_new();

	inventory_report_host(inventory, &self);
	add_local_vm(inventory);
	for (unsigned int i = 1; i < vms; i++)
		add_vm(inventory, i - 1);
	return inventory;
}

static int
know_all(void *arg, char **ret_missing, struct error *err)
{
	*ret_missing = xstrdup("");
	return 0;
}

static void
handle_api(void *arg, struct request *req)
{
	api_handle(arg, req);
}

/* The one host to which requests are passed on. */
struct other {
	struct forwarder *forwarder;
	uint16_t port;
};

static bool
find_other(void *arg, const char *host, struct forward_address *ret)
{
	const struct other *other = arg;

	*ret = (struct forward_address){ .addr = "127.0.0.1", .port = other->port, .tls = true };
	return true;
}

static void
forward(void *arg, struct request *req, const char *to)
{
	const struct other *other = arg;

	forward_request(other->forwarder, req, to);
}

static char *
is_behind(void *arg)
{
	return NULL;
}

static const struct host_ops host_ops = {
	.known = know_all,
	.behind = is_behind,
	.forward = forward,
};

/* Which listens on any port, by TLS where there are files. */
static struct tls *
configure(struct event_base *base, const struct bench_tls *files, struct config *config)
{
	struct error err = { 0 };
	struct tls *tls;

	config_init(config);
	config->listen[0].port = 0;
	config->listen[0].access = ACCESS_OPEN;
	if (!files)
		return NULL;
	config->listen[0].transport = TRANSPORT_TLS;
	str_set(&config->tls_certificate, files->certificate);
	str_set(&config->tls_key, files->key);
	str_set(&config->tls_ca, files->ca);
	tls = tls_new(base, config, &err);
	if (tls)
		return tls;
	fprintf(stderr, "bench_tls: %s\n", err.detail);
	exit(1);
}

static void __attribute__((noreturn)) serve_context(int fd, struct context *ctx, struct tls *tls)
{
	struct error err = { 0 };
	struct http_server *server;

	ctx->list_replies = list_replies_new(ctx->base, ctx->inventory);
	server = http_server_new(ctx->base, ctx->config, handle_api, ctx, &err);
	if (!server) {
		fprintf(stderr, "bench_http: %s\n", err.detail);
		exit(1);
	}
	http_server_set_tls(server, tls);
	serve(ctx->base, fd, http_server_port(server, 0));
}

void
bench_serve_api(int fd, unsigned int vms, const struct bench_tls *files)
{
	struct context ctx = {
		.base = base_new(), .inventory = make_inventory(vms), .host_ops = &host_ops
	};
	struct config config;
	struct tls *tls = configure(ctx.base, files, &config);

	ctx.config = &config;
	serve_context(fd, &ctx, tls);
}

/* That of a host without VMs, which knows of the other one's. */
static struct inventory *
make_forwarder_inventory(void)
{
	struct host_report self = { .uuid = (char[]){ BENCH_FORWARDER }, .has_def = true };
	struct vm_info vm = { .uuid = (char[]){ BENCH_VM },
		.host = (char[]){ BENCH_HOST },
		.name = (char[]){ "bench" },
		.runstate = VMRUNSTATE_RUNNING };
	struct inventory *inventory = inventory_new();

	inventory_report_host(inventory, &self);
	inventory_set_host(inventory, BENCH_HOST, "other", CSTATE_ACTIVE);
	inventory_take_info(inventory, &vm);
	return inventory;
}

void
bench_serve_forwarder(int fd, uint16_t to, const struct bench_tls *files)
{
	struct other other = { .port = to };
	struct context ctx = { .base = base_new(),
		.inventory = make_forwarder_inventory(),
		.operations = operations_new(),
		.host_ops = &host_ops,
		.host_arg = &other };
	struct peers *peers = peers_new(ctx.base, NULL);
	struct config config;
	struct tls *tls = configure(ctx.base, files, &config);

	ctx.config = &config;
	peers_set_tls(peers, tls);
	other.forwarder =
	    forwarder_new(peers, &config, ctx.inventory, ctx.operations, find_other, &other);
	serve_context(fd, &ctx, tls);
}

static void
handle_bare(struct evhttp_request *req, void *arg)
{
	const struct buffer *reply = arg;
	struct evbuffer *output = evhttp_request_get_output_buffer(req);

	evhttp_add_header(
	    evhttp_request_get_output_headers(req), "Content-Type", "application/json");
	evbuffer_add(output, reply->data, reply->len);
	evhttp_send_reply(req, 200, "OK", NULL);
}

void
bench_serve_bare(int fd, const struct buffer *reply)
{
	struct event_base *base = base_new();
	struct evhttp *http = evhttp_new(base);
	struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(http, "127.0.0.1", 0);
	struct sockaddr_in in;
	socklen_t len = sizeof(in);

	if (!bound || getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&in, &len))
		die("bind");
	evhttp_set_gencb(http, handle_bare, (void *)reply);
	serve(base, fd, ntohs(in.sin_port));
}
