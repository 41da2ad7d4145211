/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "http_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/base.h"
#include "proto/json.h"
#include "proto/model.h"
#include "proto/shared_text.h"

static void
on_gone(void *arg)
{
	struct fixture *f = arg;

	f->gone++;
	request_end(steal_ptr(f->stream), false);
}

static const struct request_watch watch = { .gone = on_gone };

void
fixture_handle(void *arg, struct request *req)
{
	struct fixture *f = arg;
	struct vmruninfo info = { .runstate = VMRUNSTATE_RUNNING, .host = req->param };

	f->handled++;
	free(f->body);
	f->body = xcalloc(req->body_len + 1, 1);
	memcpy(f->body, req->body, req->body_len + 1);
	f->body_len = req->body_len;
	str_set(&f->query, req->query);
	snprintf(f->user, sizeof(f->user), "%s", req->user);
	caller_write(req->caller, f->caller);
	f->token_created = req->caller->token_created;
	snprintf(f->shown_names, sizeof(f->shown_names), "%s", req->shown_names);
	f->looped = req->looped;
	f->respond_async = req->respond_async;

	switch (req->route->id) {
	case ROUTE_VM_RUNSTATE_GET:
		request_reply_model(req, 200, &vmruninfo_model, &info);
		break;
	case ROUTE_OPENAPI: {
		char *text = xcalloc(BIG, 1);

		memset(text, 'x', BIG);
		request_reply_text(req, 200, "text/plain", text, BIG);
		break;
	}
	case ROUTE_EVENTS:
		f->stream = req;
		request_set_watch(req, &watch, f);
		request_start(req, 200, "text/event-stream", -1, NULL, 0);
		break;
	case ROUTE_READYZ:
		assert_true(f->n_held < HELD_MAX);
		f->held[f->n_held++] = req;
		break;
	case ROUTE_VM_LIST:
		if (f->shared_len > 0)
			request_reply_shared(req, 200,
			    shared_text_new(xcalloc(f->shared_len + 1, 1), f->shared_len), NULL, 0);
		else
			request_reply(req, 204);
		break;
	case ROUTE_HOST_LIST:
		request_reply_text(
		    req, 200, "text/plain", xstrdup(req->client), strlen(req->client));
		break;
	case ROUTE_VM_CREATE: {
		static const struct request_header header = { "Location", "/operations/1" };

		request_reply_json(req, 202, xstrdup("\"x\""), 3, &header, 1);
		break;
	}
	case ROUTE_HEALTHZ:
		request_reply(req, 202);
		break;
	default:
		request_reply(req, 204);
		break;
	}
}

void
fixture_start(struct fixture *f)
{
	struct error err = { 0 };

	f->server = http_server_new(f->base, &f->config, fixture_handle, f, &err);
	if (!f->server)
		fail_msg("%s", err.detail);
}

void
fixture_stop(struct fixture *f)
{
	http_server_free(f->server);
	f->server = NULL;
}

int
fixture_setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	(void)signal(SIGPIPE, SIG_IGN);
	f->base = base_new();
	config_init(&f->config);
	f->config.listen[0].port = 0;
	f->config.listen[0].access = ACCESS_OPEN;
	f->config.request_timeout = 1;
	f->config.idle_timeout = 20;
	fixture_start(f);
	*state = f;
	return 0;
}

int
fixture_teardown(void **state)
{
	struct fixture *f = *state;

	fixture_stop(f);
	event_base_free(f->base);
	config_clear(&f->config);
	free(f->body);
	free(f->query);
	free(f);
	return 0;
}

void
client_on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;
	char chunk[65536];
	ssize_t n = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT);

	if (n > 0) {
		buffer_add(&c->in, chunk, (size_t)n);
		return;
	}
	if (n < 0 && errno == EAGAIN)
		return;
	c->closed = true;
	c->closed_at = monotonic_ms();
	event_del(c->event);
}

void
client_connect(struct client *c, struct fixture *f)
{
	client_connect_from(c, f, "127.0.0.1");
}

void
client_connect_from(struct client *c, struct fixture *f, const char *addr)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in from = { .sin_family = AF_INET };

	*c = (struct client){ .f = f };
	in.sin_port = htons(http_server_port(f->server, 0));
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(c->fd >= 0);
	assert_int_equal(inet_pton(AF_INET, addr, &from.sin_addr), 1);
	assert_int_equal(bind(c->fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&in, sizeof(in)), 0);
	c->event = event_new(f->base, c->fd, EV_READ | EV_PERSIST, client_on_readable, c);
}

void
client_open(struct client *c, struct fixture *f)
{
	client_connect(c, f);
	event_add(c->event, NULL);
}

void
client_close(struct client *c)
{
	if (c->event)
		event_free(c->event);
	if (c->fd >= 0)
		close(c->fd);
	buffer_clear(&c->in);
	*c = (struct client){ .fd = -1 };
}

void
client_send_bytes(struct client *c, const char *data, size_t len)
{
	int64_t end = monotonic_ms() + 10000;

	while (len > 0) {
		ssize_t n = send(c->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			assert_true(monotonic_ms() < end);
			event_base_loop(c->f->base, EVLOOP_ONCE);
			continue;
		}
		if (n < 0)
			fail_msg("send: %s", strerror(errno));
		data += n;
		len -= (size_t)n;
	}
}

void
client_send(struct client *c, const char *text)
{
	client_send_bytes(c, text, strlen(text));
}

void
run_for(struct fixture *f, int ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	event_base_loopexit(f->base, &tv);
	event_base_dispatch(f->base);
}

void
wait_held(struct fixture *f, unsigned int n)
{
	int64_t end = monotonic_ms() + 5000;

	while (f->n_held < n && monotonic_ms() < end)
		event_base_loop(f->base, EVLOOP_ONCE);
	assert_int_equal(f->n_held, n);
}

bool
client_wait_closed(struct client *c, int ms)
{
	int64_t end = monotonic_ms() + ms;

	while (!c->closed && monotonic_ms() < end)
		event_base_loop(c->f->base, EVLOOP_ONCE);
	return c->closed;
}

void
reply_clear(struct reply *r)
{
	free(r->head);
	free(r->body);
	*r = (struct reply){ 0 };
}

char *
reply_header(const struct reply *r, const char *name)
{
	_free_ char *key = xasprintf("\r\n%s: ", name);
	const char *at = strcasestr(r->head, key);

	if (!at)
		return NULL;
	at += strlen(key);
	return xstrndup(at, strcspn(at, "\r"));
}

void
assert_header(const struct reply *r, const char *name, const char *value)
{
	_free_ char *got = reply_header(r, name);

	assert_non_null(got);
	assert_string_equal(got, value);
}

/* Takes one reply off the front of what was read, if it is there whole. */
static bool
take_reply(struct client *c, bool head, struct reply *r)
{
	_free_ char *length = NULL;
	const char *end = c->in.data ? memmem(c->in.data, c->in.len, "\r\n\r\n", 4) : NULL;
	size_t head_len, body_len = 0;

	if (!end)
		return false;
	head_len = (size_t)(end - c->in.data) + 4;
	r->head = xstrndup(c->in.data, head_len);
	assert_int_equal(sscanf(r->head, "HTTP/1.%*d %d", &r->status), 1);
	length = reply_header(r, "Content-Length");
	if (length && !head)
		body_len = (size_t)strtoul(length, NULL, 10);
	if (c->in.len < head_len + body_len) {
		reply_clear(r);
		return false;
	}
	r->body = xcalloc(body_len + 1, 1);
	memcpy(r->body, c->in.data + head_len, body_len);
	r->len = body_len;
	c->in.len -= head_len + body_len;
	memmove(c->in.data, c->in.data + head_len + body_len, c->in.len + 1);
	return true;
}

void
read_reply(struct client *c, bool head, struct reply *r)
{
	int64_t end = monotonic_ms() + 10000;

	*r = (struct reply){ 0 };
	while (!take_reply(c, head, r)) {
		if (c->closed || monotonic_ms() >= end)
			fail_msg("no reply, only '%s'%s", str_or_empty(c->in.data),
			    c->closed ? " and the end" : "");
		event_base_loop(c->f->base, EVLOOP_ONCE);
	}
}

void
expect(struct client *c, int status)
{
	struct reply r;

	read_reply(c, false, &r);
	if (r.status != status)
		fail_msg("%s%s", r.head, r.body);
	reply_clear(&r);
}

void
expect_problem(struct client *c, int status, const char *word)
{
	struct problem problem = { 0 };
	struct error err = { 0 };
	struct reply r;

	read_reply(c, false, &r);
	if (r.status != status)
		fail_msg("%s%s", r.head, r.body);
	assert_header(&r, "Content-Type", "application/problem+json");
	if (json_decode(&problem_model, r.body, r.len, &problem, &err) < 0)
		fail_msg("%s", err.detail);
	assert_int_equal(problem.status, status);
	if (!strstr(problem.detail, word))
		fail_msg("'%s' does not say '%s'", problem.detail, word);
	model_clear(&problem_model, &problem);
	reply_clear(&r);
}

void
refused(struct fixture *f, const char *request, int status, const char *word, bool closes)
{
	unsigned int handled = f->handled;
	struct client c;

	client_open(&c, f);
	client_send(&c, request);
	expect_problem(&c, status, word);
	assert_int_equal(f->handled, handled);
	if (closes) {
		assert_true(client_wait_closed(&c, 2000));
	} else {
		client_send(&c, "GET /healthz HTTP/1.1\r\n\r\n");
		expect(&c, 202);
	}
	client_close(&c);
}

unsigned int
count_connections(struct fixture *f)
{
	struct http_stats stats;

	http_server_get_stats(f->server, &stats);
	return stats.connections;
}
