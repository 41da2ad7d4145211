/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tls_fixture.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <string.h>

#include "http/tls.h"
#include "loop/base.h"
#include "scratch.h"

struct authority *tls_ours;

static struct authority *foreign;

int
tls_make_files(void **state)
{
	if (scratch_setup(state) < 0)
		return -1;
	tls_ours = authority_new(*state, "ca");
	foreign = authority_new(*state, "foreign");
	authority_sign(tls_ours, "h1", SAN ", DNS:localhost", -1, 365);
	authority_sign(tls_ours, "h2", "URI:virtx:host:" OTHER, -1, 365);
	authority_sign(tls_ours, "expired", SAN, -20, -10);
	authority_sign(tls_ours, "soon", SAN, -1, 20);
	authority_sign(tls_ours, "nobody", "DNS:localhost", -1, 365);
	authority_sign(tls_ours, "two", SAN ",URI:virtx:host:" OTHER, -1, 365);
	authority_sign(foreign, "stranger", SAN, -1, 365);
	authority_sign_for(tls_ours, "server", SAN, "serverAuth");
	authority_sign_for(tls_ours, "client", SAN, "clientAuth");
	authority_sign_secret(tls_ours, "secret", "open sesame");
	return 0;
}

int
tls_remove_files(void **state)
{
	authority_free(tls_ours);
	authority_free(foreign);
	return scratch_teardown(state);
}

void
tls_use_files(struct config *config, const char *certificate, const char *ca)
{
	_free_ char *pem = xasprintf("%s.pem", certificate),
		    *key = xasprintf("%s.key", certificate);
	_free_ char *ca_pem = xasprintf("%s.pem", ca);

	free(config->tls_certificate);
	free(config->tls_key);
	free(config->tls_ca);
	config->tls_certificate = authority_path(tls_ours, pem);
	config->tls_key = authority_path(tls_ours, key);
	config->tls_ca = authority_path(tls_ours, ca_pem);
}

struct tls *
tls_load(struct fixture *f, struct config *config)
{
	struct error err = { 0 };
	struct tls *tls = tls_new(f->base, config, &err);

	if (!tls)
		fail_msg("%s", err.detail);
	return tls;
}

static enum guard_who
on_member(void *arg, const char *host, const char **why)
{
	const enum guard_who *member = arg;

	assert_string_equal(host, OTHER);
	*why = "serf is away";
	return *member;
}

static void
start(struct tls_fixture *t, struct fixture *f, enum config_access access, const char *server,
    const char *client, const char *ca)
{
	*t = (struct tls_fixture){ .f = f, .member = GUARD_MEMBER };
	fixture_stop(f);
	f->config.listen[0].transport = TRANSPORT_TLS;
	f->config.listen[0].access = access;
	tls_use_files(&f->config, server, "ca");
	t->server_tls = tls_load(f, &f->config);
	fixture_start(f);
	http_server_set_tls(f->server, t->server_tls);
	http_server_set_hosts(f->server, NULL, NULL, &t->member);
	http_server_set_members(f->server, on_member);
	config_init(&t->client_config);
	tls_use_files(&t->client_config, client, ca);
	t->client_tls = tls_load(f, &t->client_config);
	t->peers = peers_new(f->base, NULL);
	peers_set_tls(t->peers, t->client_tls);
}

void
tls_start(struct tls_fixture *t, struct fixture *f, const char *server, const char *client,
    const char *ca)
{
	start(t, f, ACCESS_OPEN, server, client, ca);
}

void
tls_start_guarded(struct tls_fixture *t, struct fixture *f, const char *server, const char *client,
    const char *ca)
{
	start(t, f, ACCESS_AUTH, server, client, ca);
}

void
tls_stop(struct tls_fixture *t)
{
	peers_free(t->peers);
	fixture_stop(t->f);
	tls_free(t->server_tls);
	tls_free(t->client_tls);
	config_clear(&t->client_config);
	t->f->config.listen[0].transport = TRANSPORT_PLAIN;
	t->f->config.listen[0].access = ACCESS_OPEN;
	fixture_start(t->f);
}

void
tls_on_got(void *arg, const struct peer_answer *answer, const struct error *err)
{
	struct got *got = arg;

	got->done = true;
	if (answer) {
		got->status = answer->status;
		got->body = xmemdup(answer->body, answer->len);
	} else {
		got->err = *err;
	}
}

void
tls_wait_got(struct tls_fixture *t, const struct got *got)
{
	int64_t end = monotonic_ms() + 10000;

	while (!got->done && monotonic_ms() < end)
		event_base_loop(t->f->base, EVLOOP_ONCE);
	assert_true(got->done);
}

void
tls_ask(struct tls_fixture *t, const char *host, const char *path, struct got *got)
{
	const struct peer_to to = { "127.0.0.1", http_server_port(t->f->server, 0), host, true };

	*got = (struct got){ 0 };
	peer_get(t->peers, &to, path, 8000, tls_on_got, got);
	tls_wait_got(t, got);
}

void
tls_ask_well(struct tls_fixture *t)
{
	struct got got;

	tls_ask(t, HOST, "/vms/" UUID "/runstate", &got);
	if (got.status != 200)
		fail_msg("%d %s", got.status, got.err.detail);
	assert_non_null(strstr(got.body, UUID));
	free(got.body);
}

void
tls_ask_in_vain(struct tls_fixture *t, const char *host, const char *words)
{
	unsigned int handled = t->f->handled;
	struct got got;

	tls_ask(t, host, "/vms/" UUID "/runstate", &got);
	if (got.status != 0 || got.err.status != 502 || !strstr(got.err.detail, words))
		fail_msg("%d '%s' does not say '%s'", got.status, got.err.detail, words);
	assert_int_equal(t->f->handled, handled);
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	static const char line[] = "HTTP/1.1 200 OK";
	struct evbuffer *input = bufferevent_get_input(bev);
	struct raw *raw = arg;
	struct evbuffer_ptr at = { 0 };

	evbuffer_ptr_set(input, &at, 0, EVBUFFER_PTR_SET);
	while ((at = evbuffer_search(input, line, strlen(line), &at)).pos >= 0) {
		raw->answers++;
		evbuffer_ptr_set(input, &at, 1, EVBUFFER_PTR_ADD);
	}
	/* All that is behind the beginning of a line that may still come whole. */
	raw->bytes += evbuffer_get_length(input);
	evbuffer_drain(input, evbuffer_get_length(input));
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	struct raw *raw = arg;

	raw->ended |= (what & BEV_EVENT_EOF) != 0;
	raw->failed |= (what & BEV_EVENT_ERROR) != 0;
}

void
raw_resume(struct raw *raw, struct fixture *f, SSL_CTX *ctx, SSL_SESSION *session)
{
	SSL *ssl = SSL_new(ctx);
	struct client c;

	*raw = (struct raw){ 0 };
	if (session)
		SSL_set_session(ssl, session);
	client_connect(&c, f);
	event_free(c.event);
	evutil_make_socket_nonblocking(c.fd);
	raw->bev = bufferevent_openssl_socket_new(
	    f->base, c.fd, ssl, BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
	assert_non_null(raw->bev);
	bufferevent_setcb(raw->bev, on_read, NULL, on_event, raw);
	bufferevent_enable(raw->bev, EV_READ | EV_WRITE);
}

void
raw_open(struct raw *raw, struct fixture *f, SSL_CTX *ctx)
{
	raw_resume(raw, f, ctx, NULL);
}

void
raw_wait_answers(struct fixture *f, struct raw *raw, unsigned int n)
{
	int64_t end = monotonic_ms() + 10000;

	while (raw->answers < n && !raw->failed && monotonic_ms() < end)
		event_base_loop(f->base, EVLOOP_ONCE);
	assert_int_equal(raw->answers, n);
}
