/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A member of the cluster answers what is forwarded to it with the input, in two pieces and for two
 * requests of one client; what gets through must be such as a browser may see. */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/forward.h"
#include "http/peer.h"
#include "http/server.h"
#include "proto/json.h"
#include "proto/log.h"
#include "state/inventory.h"
#include "state/operations.h"

#define HOST   "11111111-2222-3333-4444-555555555555"
#define VM     "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
#define ROUNDS 4 /* of the loop without progress, after which nothing more comes */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the first byte of the input says. */
enum { FLAG_HEAD = 1, FLAG_DELETE = 2, FLAG_CHOSEN = 4, FLAG_CLOSE = 8, FLAG_TWICE = 16 };

struct fuzz {
	struct event_base *base;
	struct config config;
	struct peers *peers;
	struct inventory *inventory;
	struct operations *operations;
	struct forwarder *forwarder;
	struct http_server *front;
	struct sockaddr_in addr;
	int listener;
	uint16_t port;
	bool chosen;
	/* The member's connection, and the client's. */
	int peer, client;
	struct buffer reply;
};

static bool
find(void *arg, const char *host, struct forward_address *ret)
{
	struct fuzz *f = arg;

	*ret = (struct forward_address){ .addr = "127.0.0.1", .port = f->port };
	return true;
}

static bool
on_answered(void *arg, struct request *req, const struct request_answer *answer)
{
	if (answer->status && (!answer->body || answer->body[answer->len] != '\0'))
		abort();
	return false;
}

static void
on_front(void *arg, struct request *req)
{
	struct fuzz *f = arg;
	struct request_forward more = { .answered = on_answered, .arg = f };

	if (f->chosen)
		forward_chosen(f->forwarder, req, HOST, &more);
	else
		forward_request(f->forwarder, req, HOST);
}

static void
setup(struct fuzz *f)
{
	socklen_t len = sizeof(f->addr);
	struct error err;

	(void)signal(SIGPIPE, SIG_IGN);
	log_init(LOG_LEVEL_ERROR, NULL);
	f->base = event_base_new();
	config_init(&f->config);
	f->config.listen[0].port = 0;
	f->config.listen[0].access = ACCESS_OPEN;
	f->peers = peers_new(f->base, NULL);
	f->inventory = inventory_new();
	f->operations = operations_new();
	f->forwarder = forwarder_new(f->peers, &f->config, f->inventory, f->operations, find, f);
	f->front = http_server_new(f->base, &f->config, on_front, f, &err);
	f->addr = (struct sockaddr_in){ .sin_family = AF_INET };
	f->addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (!f->front || bind(f->listener, (struct sockaddr *)&f->addr, len) < 0 ||
	    listen(f->listener, 16) < 0 ||
	    getsockname(f->listener, (struct sockaddr *)&f->addr, &len) < 0)
		abort();
	f->port = ntohs(f->addr.sin_port);
	f->addr.sin_port = htons(http_server_port(f->front, 0));
	f->peer = f->client = -1;
}

/* A reset leaves no TIME_WAIT behind, of which there would soon be no port left. */
static void
reset(int *fd)
{
	static const struct linger linger = { .l_onoff = 1 };

	if (*fd < 0)
		return;
	(void)setsockopt(*fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	util_close(fd);
	*fd = -1;
}

/* Turns the loop while something moves; the client reads what there is. */
static void
run(struct fuzz *f)
{
	static char chunk[65536];
	ssize_t n;

	for (int quiet = 0; quiet < ROUNDS; quiet++) {
		event_base_loop(f->base, EVLOOP_NONBLOCK);
		while ((n = recv(f->client, chunk, sizeof(chunk), MSG_DONTWAIT)) > 0) {
			buffer_add(&f->reply, chunk, (size_t)n);
			quiet = 0;
		}
	}
}

/* Connections that a request before this one has left. */
static void
refuse_waiting(struct fuzz *f)
{
	int fd;

	while ((fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
		reset(&fd);
}

/* Until the member has a request; false where none comes. */
static bool
await_request(struct fuzz *f)
{
	char request[4096];

	for (int i = 0; i < 50; i++) {
		int fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			reset(&f->peer);
			f->peer = fd;
		}
		event_base_loop(f->base, EVLOOP_NONBLOCK);
		if (f->peer >= 0 && recv(f->peer, request, sizeof(request), MSG_DONTWAIT) > 0)
			return true;
	}
	return false;
}

static bool
is_one_of(const char *text, size_t len, const char *const *list)
{
	for (; *list; list++) {
		if (strlen(*list) == len && strncasecmp(*list, text, len) == 0)
			return true;
	}
	return false;
}

/* The head of what the client got. */
static void
check_reply(const struct buffer *reply)
{
	static const char *const names[] = { "Allow", "Connection", "Content-Length",
		"Content-Type", "Date", "Location", "Retry-After", "Transfer-Encoding", "Warning",
		NULL };
	static const char *const types[] = { "application/json", "application/problem+json",
		"text/plain; charset=utf-8", NULL };
	const char *line = reply->data, *end;
	struct problem problem = { 0 };
	struct error err;
	int status;

	if (reply->len == 0)
		return;
	if (sscanf(line, "HTTP/1.1 %d ", &status) != 1 || status < 200 || status > 599 ||
	    status / 100 == 3)
		abort();
	while ((line = strstr(line, "\r\n")) && strncmp(line, "\r\n\r\n", 4) != 0) {
		line += 2;
		end = strstr(line, "\r\n");
		if (!end || !is_one_of(line, strcspn(line, ":"), names))
			abort();
		if (strncasecmp(line, "Content-Type: ", 14) == 0 &&
		    !is_one_of(line + 14, (size_t)(end - line) - 14, types))
			abort();
	}
	/* Ours quotes what the member said. */
	if (status == 502 && line && strstr(line, "' at 127.0.0.1 port ") &&
	    json_decode(&problem_model, line + 4, strlen(line + 4), &problem, &err) < 0)
		abort();
	model_clear(&problem_model, &problem);
}

/* One request of the client, and the member's answer; false where the client has been left. */
static bool
ask(struct fuzz *f, const char *method, const uint8_t *data, size_t size, size_t first, bool closes)
{
	_free_ char *request =
	    xasprintf("%s /vms/" VM " HTTP/1.1\r\nHost: localhost\r\n\r\n", method);

	buffer_clear(&f->reply);
	if (send(f->client, request, strlen(request), MSG_NOSIGNAL) < 0 || !await_request(f))
		return false;
	(void)!send(f->peer, data, first, MSG_DONTWAIT | MSG_NOSIGNAL);
	run(f);
	(void)!send(f->peer, data + first, size - first, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (closes)
		(void)shutdown(f->peer, SHUT_WR);
	run(f);
	check_reply(&f->reply);
	return f->reply.len > 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz f;
	const char *method;
	size_t first, half;
	uint8_t flags;

	if (size < 4 || size > 200000)
		return 0;
	if (!f.base)
		setup(&f);
	flags = data[0];
	first = (size_t)(data[1] | data[2] << 8);
	data += 3;
	size -= 3;
	half = flags & FLAG_TWICE ? size / 2 : size;
	first = first % (half + 1);
	f.chosen = flags & FLAG_CHOSEN;
	method = flags & FLAG_HEAD ? "HEAD" : flags & FLAG_DELETE ? "DELETE" : "GET";

	f.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (f.client < 0)
		abort();
	/* The fuzzer's own alarm clock: the input is passed over. */
	if (connect(f.client, (struct sockaddr *)&f.addr, sizeof(f.addr)) < 0) {
		if (errno != EINTR)
			abort();
		reset(&f.client);
		return 0;
	}
	if (ask(&f, method, data, half, first, flags & FLAG_CLOSE) && (flags & FLAG_TWICE))
		ask(&f, "GET", data + half, size - half, 0, flags & FLAG_CLOSE);
	reset(&f.client);
	reset(&f.peer);
	run(&f);
	refuse_waiting(&f);
	return 0;
}
