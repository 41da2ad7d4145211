/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One client connection to the real server, with the input as all that it ever sends; some requests
 * are answered late, and some after the client has gone. */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/server.h"
#include "proto/log.h"
#include "proto/model.h"

#define HELD_MAX 4
#define QUIET	 3 /* rounds of the loop without progress, after which nothing more comes */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	struct event_base *base;
	struct http_server *server;
	struct sockaddr_in addr;
	struct request *held[HELD_MAX];
	size_t n_held;
};

static void
handle(void *arg, struct request *req)
{
	static const struct request_header header = { "Location", "/operations/1" };
	struct fuzz *f = arg;
	struct vmruninfo info = { .runstate = VMRUNSTATE_RUNNING, .host = req->param };
	char *value = NULL;
	struct error err;

	if (req->body[req->body_len] != '\0' || !req->client || !req->user)
		abort();
	if (request_query(req, "name", &value, &err) < 0) {
		request_reply_error(req, &err);
		return;
	}
	free(value);
	switch (req->route->id) {
	case ROUTE_VM_RUNSTATE_GET:
		request_reply_model(req, 200, &vmruninfo_model, &info);
		break;
	case ROUTE_VM_CREATE:
		request_reply_json(req, 202, xstrdup("{}"), 2, &header, 1);
		break;
	case ROUTE_READYZ:
		if (f->n_held < HELD_MAX) {
			f->held[f->n_held++] = req;
			break;
		}
		/* fallthrough */
	default:
		request_reply(req, 204);
		break;
	}
}

static void
answer_held(struct fuzz *f)
{
	for (size_t i = 0; i < f->n_held; i++)
		request_reply(f->held[i], 204);
	f->n_held = 0;
}

static void
setup(struct fuzz *f)
{
	static struct config config; /* the server's for good */
	struct error err;

	(void)signal(SIGPIPE, SIG_IGN);
	log_init(LOG_LEVEL_ERROR, NULL);
	f->base = event_base_new();
	config_init(&config);
	config.listen[0].port = 0;
	config.listen[0].access = ACCESS_OPEN;
	config.max_body = 65536;
	config.max_headers = 4096;
	str_set(&config.host_names, "x");
	f->server = http_server_new(f->base, &config, handle, f, &err);
	if (!f->server)
		abort();
	f->addr = (struct sockaddr_in){ .sin_family = AF_INET };
	f->addr.sin_port = htons(http_server_port(f->server, 0));
	f->addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

/* Turns the loop while something comes back, or might. */
static void
run(struct fuzz *f, int fd)
{
	char ignored[65536];

	for (int quiet = 0; quiet < QUIET; quiet++) {
		event_base_loop(f->base, EVLOOP_NONBLOCK);
		if (recv(fd, ignored, sizeof(ignored), MSG_DONTWAIT) > 0)
			quiet = 0;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct linger reset = { .l_onoff = 1 };
	static struct fuzz f;
	size_t first;
	int fd;

	if (size < 2 || size > 100000)
		return 0;
	if (!f.base)
		setup(&f);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* A reset leaves no TIME_WAIT behind, of which there would soon be no port left. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) < 0)
		abort();
	if (connect(fd, (struct sockaddr *)&f.addr, sizeof(f.addr)) < 0) {
		/* The fuzzer's own alarm clock: the input is passed over. */
		if (errno != EINTR)
			abort();
		close(fd);
		return 0;
	}

	/* In two pieces, cut where the first two bytes say. */
	first = (size_t)(data[0] | data[1] << 8) % (size - 1);
	data += 2;
	size -= 2;
	if (first > size)
		first = size;
	(void)!send(fd, data, first, MSG_DONTWAIT | MSG_NOSIGNAL);
	run(&f, fd);
	(void)!send(fd, data + first, size - first, MSG_DONTWAIT | MSG_NOSIGNAL);
	run(&f, fd);
	if (size % 2)
		answer_held(&f);
	run(&f, fd);
	close(fd);
	for (int i = 0; i < QUIET; i++)
		event_base_loop(f.base, EVLOOP_NONBLOCK);
	answer_held(&f);
	return 0;
}
