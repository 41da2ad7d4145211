/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One client connection to the real server, with the input as all that it ever sends; some requests
 * are answered late, and some after the client has gone. One listener lets everybody in, the other
 * one who has the secret of a token. */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/server.h"
#include "proto/log.h"
#include "proto/model.h"
#include "state/tokens.h"

#define HELD_MAX 4
#define SECRETS	 0x80 /* of the second byte: by the listener that wants one */
#define QUIET	 3    /* rounds of the loop without progress, after which nothing more comes */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	struct event_base *base;
	struct http_server *server;
	struct sockaddr_in addrs[2]; /* of both listeners */
	const uint8_t *data;	     /* what the client sends */
	size_t size;
	bool secrets;
	struct request *held[HELD_MAX];
	size_t n_held;
};

/* The name of each token is its secret. */
static const struct token tokens[] = {
	{ .name = (char[]){ "secret-viewer" }, .role = ROLE_VIEWER },
	{ .name = (char[]){ "secret-operator" }, .role = ROLE_OPERATOR },
	{ .name = (char[]){ "secret-admin" }, .role = ROLE_ADMIN },
	{ .name = (char[]){ "secret-alice" },
	    .role = ROLE_ADMIN,
	    .only = { (char[]){ "owner" }, (char[]){ "alice" } } },
	{ .name = (char[]){ "secret-old" }, .role = ROLE_ADMIN, .expires = 1 },
};

/* Nobody gets in without a secret, nor further than by it. */
static void
check_caller(const struct fuzz *f, const struct request *req)
{
	const char *name = req->caller->user + strlen(CALLER_TOKEN_USER);
	size_t i = 0;

	if (req->caller->by != CALLER_TOKEN ||
	    strncmp(req->caller->user, CALLER_TOKEN_USER, strlen(CALLER_TOKEN_USER)) != 0)
		abort();
	while (i < ARRAY_SIZE(tokens) && strcmp(tokens[i].name, name) != 0)
		i++;
	if (i == ARRAY_SIZE(tokens) || tokens[i].expires ||
	    !memmem(f->data, f->size, name, strlen(name)))
		abort();
	if (req->caller->role != tokens[i].role || !role_may(tokens[i].role, req->route->role) ||
	    caller_is_limited(req->caller) != (tokens[i].only.name != NULL))
		abort();
}

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
	if (f->secrets)
		check_caller(f, req);
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

static struct tokens *
make_tokens(void)
{
	struct tokens *ret = tokens_new();
	struct token_set none = { 0 };

	tokens_begin(ret);
	tokens_replace(ret, &none);
	for (size_t i = 0; i < ARRAY_SIZE(tokens); i++) {
		char hash[TOKEN_HASH_LEN + 1];
		const struct token_record record = { .token = tokens[i], .hash = hash };

		token_secret_hash(tokens[i].name, hash);
		tokens_add(ret, &record);
	}
	return ret;
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
	*model_append(&config.listen, &config.n_listen) =
	    (struct config_listen){ .addr = xstrdup(config.listen[0].addr), .access = ACCESS_AUTH };
	config.max_body = 65536;
	config.max_headers = 4096;
	str_set(&config.host_names, "x");
	f->server = http_server_new(f->base, &config, handle, f, &err);
	if (!f->server)
		abort();
	http_server_set_tokens(f->server, make_tokens());
	for (size_t i = 0; i < ARRAY_SIZE(f->addrs); i++) {
		f->addrs[i] = (struct sockaddr_in){ .sin_family = AF_INET };
		f->addrs[i].sin_port = htons(http_server_port(f->server, i));
		f->addrs[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	}
}

/* A connection, as from another client each time: who was wrong has to wait. Or -1 where the
 * fuzzer's own alarm clock is in the way. */
static int
open_client(const struct fuzz *f)
{
	static const struct linger reset = { .l_onoff = 1 };
	static uint32_t n;
	struct sockaddr_in own = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	own.sin_addr.s_addr = htonl(INADDR_LOOPBACK + ++n % 0xfffff0);
	/* A reset leaves no TIME_WAIT behind, of which there would soon be no port left. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) < 0 ||
	    bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0)
		abort();
	if (connect(fd, (const struct sockaddr *)&f->addrs[f->secrets], sizeof(f->addrs[0])) == 0)
		return fd;
	if (errno != EINTR)
		abort();
	close(fd);
	return -1;
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
	static struct fuzz f;
	size_t first;
	int fd;

	if (size < 2 || size > 100000)
		return 0;
	if (!f.base)
		setup(&f);
	f.secrets = data[1] & SECRETS;
	/* In two pieces, cut where the first two bytes say. */
	first = (size_t)(data[0] | (data[1] & ~SECRETS) << 8) % (size - 1);
	f.data = data += 2;
	f.size = size -= 2;
	fd = open_client(&f);
	if (fd < 0)
		return 0;
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
