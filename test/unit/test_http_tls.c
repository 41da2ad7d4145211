/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The server over TLS, with the client that other hosts have, and with one that does as it likes.
 */
#include "http_fixture.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "certificates.h"
#include "http/peer.h"
#include "http/tls.h"
#include "http/tls_sessions.h"
#include "loop/base.h"

#define HOST	  "11111111-2222-3333-4444-555555555555"
#define OTHER	  "99999999-2222-3333-4444-555555555555"
#define SAN	  "URI:virtx:host:" HOST
#define GET	  "GET /vms/" UUID "/runstate HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define PIPELINED 3000
#define HALF_OPEN 300
#define UPDATES	  1000
#define STANDING  12 /* more than the handshakes that one client may always have */

#define HANDSHAKES_MAX 64 /* of the server, at one time */

static char folder[] = "/tmp/virtx-tls-XXXXXX";
static struct authority *ours, *foreign;

/* Of the next server. */
static enum config_access access_of_server = ACCESS_OPEN;

/* What serf says of the host that asks. */
static enum guard_who member = GUARD_MEMBER;

static enum guard_who
on_member(void *arg, const char *host, const char **why)
{
	assert_string_equal(host, OTHER);
	*why = "serf is away";
	return *(enum guard_who *)arg;
}

/* What a call came to. */
struct got {
	bool done;
	int status;
	char *body;
	struct error err;
};

/* Beside the fixture's server: a host that asks it. */
struct tls_fixture {
	struct fixture *f;
	struct tls *server_tls;
	struct tls *client_tls;
	struct config client_config;
	struct peers *peers;
};

static void
use_files(struct config *config, const char *certificate, const char *ca)
{
	_free_ char *pem = xasprintf("%s.pem", certificate),
		    *key = xasprintf("%s.key", certificate);
	_free_ char *ca_pem = xasprintf("%s.pem", ca);

	free(config->tls_certificate);
	free(config->tls_key);
	free(config->tls_ca);
	config->tls_certificate = authority_path(ours, pem);
	config->tls_key = authority_path(ours, key);
	config->tls_ca = authority_path(ours, ca_pem);
}

static struct tls *
new_tls(struct fixture *f, struct config *config)
{
	struct error err = { 0 };
	struct tls *tls = tls_new(f->base, config, &err);

	if (!tls)
		fail_msg("%s", err.detail);
	return tls;
}

/* A server with one certificate, and a host that asks with another. */
static void
start(struct tls_fixture *t, struct fixture *f, const char *server, const char *client,
    const char *ca)
{
	*t = (struct tls_fixture){ .f = f };
	fixture_stop(f);
	f->config.listen[0].transport = TRANSPORT_TLS;
	f->config.listen[0].access = access_of_server;
	use_files(&f->config, server, "ca");
	t->server_tls = new_tls(f, &f->config);
	fixture_start(f);
	http_server_set_tls(f->server, t->server_tls);
	http_server_set_hosts(f->server, NULL, NULL, &member);
	http_server_set_members(f->server, on_member);
	config_init(&t->client_config);
	use_files(&t->client_config, client, ca);
	t->client_tls = new_tls(f, &t->client_config);
	t->peers = peers_new(f->base, NULL);
	peers_set_tls(t->peers, t->client_tls);
}

static void
stop(struct tls_fixture *t)
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

static void
on_got(void *arg, const struct peer_answer *answer, const struct error *err)
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

static void
ask(struct tls_fixture *t, const char *host, const char *path, struct got *got)
{
	const struct peer_to to = { "127.0.0.1", http_server_port(t->f->server, 0), host, true };
	int64_t end = monotonic_ms() + 10000;

	*got = (struct got){ 0 };
	peer_get(t->peers, &to, path, 8000, on_got, got);
	while (!got->done && monotonic_ms() < end)
		event_base_loop(t->f->base, EVLOOP_ONCE);
	assert_true(got->done);
}

static void
ask_well(struct tls_fixture *t)
{
	struct got got;

	ask(t, HOST, "/vms/" UUID "/runstate", &got);
	if (got.status != 200)
		fail_msg("%d %s", got.status, got.err.detail);
	assert_non_null(strstr(got.body, UUID));
	free(got.body);
}

static void
ask_in_vain(struct tls_fixture *t, const char *host, const char *words)
{
	unsigned int handled = t->f->handled;
	struct got got;

	ask(t, host, "/vms/" UUID "/runstate", &got);
	if (got.status != 0 || got.err.status != 502 || !strstr(got.err.detail, words))
		fail_msg("%d '%s' does not say '%s'", got.status, got.err.detail, words);
	assert_int_equal(t->f->handled, handled);
}

static void
test_hosts(void **state)
{
	struct peers_stats stats;
	struct tls_fixture t;

	start(&t, *state, "h1", "h2", "ca");
	for (int i = 0; i < 5; i++)
		ask_well(&t);
	peers_get_stats(t.peers, &stats);
	assert_int_equal(stats.connections, 1);
	/* A kept connection is the one host's alone. */
	ask_in_vain(&t, OTHER, "its certificate is for another host, '" HOST "'");
	stop(&t);
}

/* What serf says of another host does not make this one do without TLS. */
static void
test_plain_host(void **state)
{
	struct tls_fixture t;
	struct peer_to to;
	struct got got = { 0 };

	start(&t, *state, "h1", "h2", "ca");
	peers_refuse_plain(t.peers);
	to = (struct peer_to){ "127.0.0.1", http_server_port(t.f->server, 0), HOST, false };
	peer_get(t.peers, &to, "/healthz", 8000, on_got, &got);
	while (!got.done)
		event_base_loop(t.f->base, EVLOOP_ONCE);
	assert_int_equal(got.err.status, 502);
	if (!strstr(got.err.detail, "host '" HOST "'") || !strstr(got.err.detail, "plain HTTP"))
		fail_msg("%s", got.err.detail);
	ask_well(&t);
	stop(&t);
}

static void
test_refused(void **state)
{
	static const struct {
		const char *server, *client, *ca, *words;
	} cases[] = {
		{ "expired", "h2", "ca", "its certificate is refused: certificate has expired" },
		{ "h1", "h2", "foreign", "its certificate is refused: " },
		{ "nobody", "h2", "ca", "no SAN virtx:host:UUID" },
		{ "two", "h2", "ca", "no SAN virtx:host:UUID" },
		{ "h1", "stranger", "ca", "perhaps over the certificate of this host" },
	};
	struct tls_fixture t;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		start(&t, *state, cases[i].server, cases[i].client, cases[i].ca);
		ask_in_vain(&t, HOST, cases[i].words);
		stop(&t);
	}
	start(&t, *state, "h1", "h2", "ca");
	peers_set_tls(t.peers, NULL);
	ask_in_vain(&t, HOST, "wants TLS, for which this host has no certificate");
	stop(&t);
}

/* Who has a host's certificate is a host, with each connection and each session that is resumed. */
static void
test_hosts_are_known(void **state)
{
	static const struct {
		const char *client, *path;
		int status;
	} cases[] = {
		{ "h2", "/vms/" UUID "/runstate", 200 },
		{ "h2", "/gossip/vms", 204 },
		{ "nobody", "/vms/" UUID "/runstate", 401 },
		{ "nobody", "/gossip/vms", 401 },
		{ "two", "/gossip/vms", 401 },
	};
	struct tls_fixture t;
	struct got got;

	access_of_server = ACCESS_AUTH;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		start(&t, *state, "h1", cases[i].client, "ca");
		for (int k = 0; k < 2; k++) {
			ask(&t, HOST, cases[i].path, &got);
			if (got.status != cases[i].status)
				fail_msg("%s %s: %d %s", cases[i].client, cases[i].path, got.status,
				    got.err.detail);
			free(got.body);
			/* The next one is over another connection. */
			peers_free(t.peers);
			t.peers = peers_new(t.f->base, NULL);
			peers_set_tls(t.peers, t.client_tls);
		}
		if (cases[i].status != 401)
			assert_string_equal(t.f->user, "host:" OTHER);
		stop(&t);
	}
	access_of_server = ACCESS_OPEN;
}

/* A certificate alone makes no host: it outlives the membership. */
static void
test_members_alone(void **state)
{
	static const struct {
		enum guard_who who;
		int status;
		const char *words;
	} cases[] = {
		{ GUARD_STRANGER, 403, "no member has this uuid, or it was forgotten" },
		{ GUARD_UNKNOWN, 503, "serf is away" },
		{ GUARD_MEMBER, 204, "" },
	};
	struct tls_fixture t;
	struct got got;

	access_of_server = ACCESS_AUTH;
	start(&t, *state, "h1", "h2", "ca");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned int handled = t.f->handled;

		member = cases[i].who;
		ask(&t, HOST, "/gossip/vms", &got);
		if (got.status != cases[i].status || !strstr(got.body, cases[i].words))
			fail_msg("%d '%s' does not say '%s'", got.status, got.body, cases[i].words);
		assert_int_equal(t.f->handled, handled + (got.status == 204));
		free(got.body);
	}
	stop(&t);
	access_of_server = ACCESS_OPEN;
}

/* A client that is not ours. */
struct raw {
	struct bufferevent *bev;
	unsigned int answers;
	size_t bytes;
	bool ended, failed;
};

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

static SSL_SESSION *session_got;

/* Resumes what it has got. */
static void
raw_open(struct raw *raw, struct fixture *f, SSL_CTX *ctx)
{
	SSL *ssl = SSL_new(ctx);
	struct client c;

	*raw = (struct raw){ 0 };
	if (session_got)
		SSL_set_session(ssl, session_got);
	client_connect(&c, f);
	event_free(c.event);
	evutil_make_socket_nonblocking(c.fd);
	raw->bev = bufferevent_openssl_socket_new(
	    f->base, c.fd, ssl, BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
	assert_non_null(raw->bev);
	bufferevent_setcb(raw->bev, on_read, NULL, on_event, raw);
	bufferevent_enable(raw->bev, EV_READ | EV_WRITE);
}

static void
wait_answers(struct fixture *f, struct raw *raw, unsigned int n)
{
	int64_t end = monotonic_ms() + 10000;

	while (raw->answers < n && !raw->failed && monotonic_ms() < end)
		event_base_loop(f->base, EVLOOP_ONCE);
	assert_int_equal(raw->answers, n);
}

/* A client that has several certificates has to know which is asked for. */
/* Asks as who forwards a request. */
static void
ask_stating(
    struct tls_fixture *t, const char *path, const char *caller, const char *again, struct got *got)
{
	static const struct peer_ops ops = { .done = on_got };
	const struct request_header headers[] = {
		{ "X-VirtX-Loop", "1" },
		{ "X-Forwarded-For", "somebody" },
		{ "X-VirtX-Caller", caller },
		{ "X-VirtX-Caller", again },
	};
	const struct peer_request request = {
		.addr = "127.0.0.1",
		.port = http_server_port(t->f->server, 0),
		.host = HOST,
		.tls = true,
		.method = METHOD_GET,
		.path = path,
		.headers = headers,
		.n_headers = ARRAY_SIZE(headers) - !again - (!caller),
		.body = "",
		.connect_ms = 2000,
		.deadline_ms = 8000,
		.answer_max = 1 << 20,
	};
	int64_t end = monotonic_ms() + 10000;

	*got = (struct got){ 0 };
	peer_start(t->peers, &request, &ops, got);
	while (!got->done && monotonic_ms() < end)
		event_base_loop(t->f->base, EVLOOP_ONCE);
	assert_true(got->done);
}

/* A host states for whom it asks, who is judged again; nobody else may. */
static void
test_host_states(void **state)
{
	static const char run[] = "/vms/" UUID "/runstate",
			  viewer[] = "token viewer token:v 10.0.0.9";
	static const struct {
		const char *client, *path, *caller, *again;
		int status;
		const char *words; /* of a refusal, or who is believed to ask */
	} cases[] = {
		{ "h2", run, viewer, NULL, 200, viewer },
		{ "h2", run, NULL, NULL, 200, "certificate admin somebody 127.0.0.1" },
		{ "h2", "/auth/tokens", viewer, NULL, 403, "'token:v' has 'viewer'" },
		{ "h2", "/auth/tokens", "socket admin uid:0 unix", NULL, 204,
		    "socket admin uid:0 unix" },
		/* What hosts ask each other, nobody may have asked. */
		{ "h2", "/gossip/vms", "socket admin uid:0 unix", NULL, 403, "'uid:0' is none" },
		{ "h2", "/gossip/vms", "token host token:v x", NULL, 400, "malformed" },
		{ "h2", run, "token", NULL, 400, "malformed" },
		{ "h2", run, viewer, viewer, 400, "several X-VirtX-Caller" },
		{ "nobody", run, viewer, NULL, 401, "who asks is not known" },
	};
	struct tls_fixture t;
	struct got got;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		access_of_server = ACCESS_AUTH;
		start(&t, *state, "h1", cases[i].client, "ca");
		ask_stating(&t, cases[i].path, cases[i].caller, cases[i].again, &got);
		if (got.status != cases[i].status ||
		    !strstr(
			got.status < 300 ? t.f->caller : str_or_empty(got.body), cases[i].words))
			fail_msg("%zu: %d '%s' '%s' '%s'", i, got.status, got.body, t.f->caller,
			    got.err.detail);
		free(got.body);
		stop(&t);
	}
	access_of_server = ACCESS_OPEN;
}

static void
test_names_of_ca(void **state)
{
	struct fixture *f = *state;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	const STACK_OF(X509_NAME) * names;
	char name[80] = "";
	struct tls_fixture t;
	struct raw raw;

	start(&t, f, "h1", "h2", "ca");
	raw_open(&raw, f, ctx);
	bufferevent_write(raw.bev, GET, strlen(GET));
	wait_answers(f, &raw, 1);
	names = SSL_get0_peer_CA_list(bufferevent_openssl_get_ssl(raw.bev));
	assert_int_equal(sk_X509_NAME_num(names), 1);
	X509_NAME_get_text_by_NID(sk_X509_NAME_value(names, 0), NID_commonName, name, sizeof(name));
	assert_string_equal(name, "ca");
	bufferevent_free(raw.bev);
	stop(&t);
	SSL_CTX_free(ctx);
}

/* Far more than is read ahead: none is forgotten, and each is answered once. */
static void
test_pipelining(void **state)
{
	static const char held[] = "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n";
	struct fixture *f = *state;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int64_t end = monotonic_ms() + 20000;
	struct tls_fixture t;
	struct raw raw;

	start(&t, f, "h1", "h2", "ca");
	raw_open(&raw, f, ctx);
	/* They come while an answer is waited for. */
	bufferevent_write(raw.bev, held, strlen(held));
	wait_held(f, 1);
	for (int i = 0; i < PIPELINED; i++)
		evbuffer_add_printf(bufferevent_get_output(raw.bev), GET);
	run_for(f, 300);
	assert_int_equal(f->handled, 1);
	request_reply(f->held[0], 204);
	while (f->handled <= PIPELINED && monotonic_ms() < end && !raw.failed)
		event_base_loop(f->base, EVLOOP_ONCE);
	run_for(f, 200);
	assert_int_equal(f->handled, PIPELINED + 1);
	assert_false(raw.failed);
	bufferevent_free(raw.bev);
	stop(&t);
	SSL_CTX_free(ctx);
}

/* What evhttp says of a bad request is ours, once, and the end is told. */
static void
test_bad_request(void **state)
{
	static const char bad[] = "GET\r\n\r\n";
	struct fixture *f = *state;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int64_t end = monotonic_ms() + 8000;
	struct tls_fixture t;
	struct raw raw;

	start(&t, f, "h1", "h2", "ca");
	raw_open(&raw, f, ctx);
	bufferevent_write(raw.bev, GET, strlen(GET));
	wait_answers(f, &raw, 1);
	raw.bytes = 0;
	bufferevent_write(raw.bev, bad, strlen(bad));
	while (!raw.ended && !raw.failed && monotonic_ms() < end)
		event_base_loop(f->base, EVLOOP_ONCE);
	assert_true(raw.ended);
	assert_false(raw.failed);
	assert_in_range(raw.bytes, 100, 1000);
	bufferevent_free(raw.bev);
	stop(&t);
	SSL_CTX_free(ctx);
}

/* What is no data is taken in a piece at a time, and others have their turn between. */
static void
test_key_updates(void **state)
{
	struct fixture *f = *state;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int64_t end = monotonic_ms() + 20000;
	unsigned int turns = 0;
	struct tls_fixture t;
	struct raw raw;
	SSL *ssl;

	start(&t, f, "h1", "h2", "ca");
	raw_open(&raw, f, ctx);
	bufferevent_write(raw.bev, GET, strlen(GET));
	wait_answers(f, &raw, 1);
	ssl = bufferevent_openssl_get_ssl(raw.bev);
	for (int i = 0; i < UPDATES; i++) {
		assert_int_equal(SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		assert_int_equal(SSL_do_handshake(ssl), 1);
	}
	assert_int_equal(SSL_write(ssl, GET, strlen(GET)), strlen(GET));
	for (; f->handled < 2 && monotonic_ms() < end; turns++)
		event_base_loop(f->base, EVLOOP_ONCE);
	assert_int_equal(f->handled, 2);
	assert_true(turns >= UPDATES / 2);
	bufferevent_free(raw.bev);
	stop(&t);
	SSL_CTX_free(ctx);
}

/* A long answer comes whole, and the next one behind it. */
static void
test_long_answer(void **state)
{
	static const char big[] = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n";
	struct fixture *f = *state;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int64_t end = monotonic_ms() + 20000;
	struct tls_fixture t;
	struct raw raw;

	start(&t, f, "h1", "h2", "ca");
	raw_open(&raw, f, ctx);
	bufferevent_write(raw.bev, big, strlen(big));
	while (raw.bytes < BIG && !raw.failed && monotonic_ms() < end)
		event_base_loop(f->base, EVLOOP_ONCE);
	run_for(f, 100);
	assert_in_range(raw.bytes, BIG, BIG + 1000);
	bufferevent_write(raw.bev, GET, strlen(GET));
	wait_answers(f, &raw, 2);
	bufferevent_free(raw.bev);
	stop(&t);
	SSL_CTX_free(ctx);
}

static void
test_half_open(void **state)
{
	_free_ struct client *half = xcalloc(HALF_OPEN, sizeof(*half));
	struct fixture *f = *state;
	int64_t began = monotonic_ms();
	struct http_stats stats;
	struct tls_fixture t;

	start(&t, f, "h1", "h2", "ca");
	for (int i = 0; i < HALF_OPEN; i++) {
		client_open(&half[i], f);
		if (i % 2)
			client_send_bytes(&half[i], "\x16\x03\x01", 3);
		if (i % 50 == 0)
			run_for(f, 1);
	}
	/* One in a hurry, which comes last. */
	ask_well(&t);
	http_server_get_stats(f->server, &stats);
	assert_true(stats.handshakes <= HANDSHAKES_MAX);
	for (int i = 0; i < HALF_OPEN; i++)
		assert_true(client_wait_closed(&half[i], 20000));
	assert_true(monotonic_ms() - began < 30000);
	http_server_get_stats(f->server, &stats);
	assert_int_equal(stats.handshakes, 0);
	assert_int_equal(stats.handshakes_failed, HALF_OPEN);
	ask_well(&t);
	for (int i = 0; i < HALF_OPEN; i++)
		client_close(&half[i]);
	stop(&t);
}

/* Who has many connections that stand has not many handshakes; who has them makes room for others.
 */
static void
test_half_open_of_one(void **state)
{
	_free_ struct client *half = xcalloc(HANDSHAKES_MAX, sizeof(*half));
	struct raw standing[STANDING];
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct fixture *f = *state;
	struct client one;
	struct tls_fixture t;

	start(&t, f, "h1", "h2", "ca");
	for (int i = 0; i < STANDING; i++) {
		raw_open(&standing[i], f, ctx);
		bufferevent_write(standing[i].bev, GET, strlen(GET));
		wait_answers(f, &standing[i], 1);
	}
	client_open(&one, f);
	for (int i = 0; i < HANDSHAKES_MAX; i++) {
		client_connect_from(&half[i], f, "127.0.0.2");
		event_add(half[i].event, NULL);
	}
	assert_true(client_wait_closed(&half[0], 900));
	for (int i = 0; i < STANDING; i++)
		bufferevent_free(standing[i].bev);
	assert_false(one.closed);
	run_for(f, 50);
	assert_false(one.closed);
	for (int i = 0; i < HANDSHAKES_MAX; i++)
		client_close(&half[i]);
	client_close(&one);
	stop(&t);
	SSL_CTX_free(ctx);
}

/* Their end makes room for others, for whom nothing listens any more. */
static void
test_half_open_at_stop(void **state)
{
	_free_ struct client *half = xcalloc(HANDSHAKES_MAX, sizeof(*half));
	int64_t end = monotonic_ms() + 10000;
	struct fixture *f = *state;
	struct http_stats stats;
	struct tls_fixture t;

	start(&t, f, "h1", "h2", "ca");
	for (int i = 0; i < HANDSHAKES_MAX; i++) {
		_free_ char *from = xasprintf("127.0.0.%d", 2 + i);

		client_connect_from(&half[i], f, from);
	}
	do {
		event_base_loop(f->base, EVLOOP_ONCE);
		http_server_get_stats(f->server, &stats);
	} while (stats.handshakes < HANDSHAKES_MAX && monotonic_ms() < end);
	assert_int_equal(stats.handshakes, HANDSHAKES_MAX);
	stop(&t);
	for (int i = 0; i < HANDSHAKES_MAX; i++)
		client_close(&half[i]);
}

/* Plain HTTP at the wrong port is no reason to wait. */
static void
test_plain_client(void **state)
{
	struct fixture *f = *state;
	struct tls_fixture t;
	struct client c;

	start(&t, f, "h1", "h2", "ca");
	client_open(&c, f);
	client_send(&c, GET);
	assert_true(client_wait_closed(&c, 2000));
	assert_null(memmem(str_or_empty(c.in.data), c.in.len, "HTTP", 4));
	client_close(&c);
	stop(&t);
}

static int
on_session(SSL *ssl, SSL_SESSION *session)
{
	SSL_SESSION_free(session_got);
	session_got = session;
	return 1;
}

/* Whether a client that comes back need not do all of it again. */
static bool
is_resumed(struct fixture *f, SSL_CTX *ctx)
{
	struct raw raw;
	bool resumed = false;

	for (int i = 0; i < 2; i++) {
		raw_open(&raw, f, ctx);
		bufferevent_write(raw.bev, GET, strlen(GET));
		wait_answers(f, &raw, 1);
		resumed = SSL_session_reused(bufferevent_openssl_get_ssl(raw.bev));
		/* Else OpenSSL has the session be of no use any more. */
		SSL_shutdown(bufferevent_openssl_get_ssl(raw.bev));
		bufferevent_free(raw.bev);
	}
	SSL_SESSION_free(steal_ptr(session_got));
	return resumed;
}

/* By tickets alone: what the server had to keep would be as much as clients like. */
static void
test_resumption(void **state)
{
	static const struct {
		int version;
		bool tickets;
	} cases[] = {
		{ TLS1_3_VERSION, true },
		{ TLS1_2_VERSION, true },
		{ TLS1_2_VERSION, false },
	};
	struct fixture *f = *state;
	struct tls_fixture t;

	start(&t, f, "h1", "h2", "ca");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

		SSL_CTX_set_max_proto_version(ctx, cases[i].version);
		if (!cases[i].tickets)
			SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
		SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT);
		SSL_CTX_sess_set_new_cb(ctx, on_session);
		assert_int_equal(is_resumed(f, ctx), cases[i].tickets);
		SSL_CTX_free(ctx);
	}
	stop(&t);
}

/* A client with this certificate, which resumes what it can. */
static SSL_CTX *
client_with(const char *name)
{
	_free_ char *pem = xasprintf("%s.pem", name), *key = xasprintf("%s.key", name);
	_free_ char *pem_path = authority_path(ours, pem), *key_path = authority_path(ours, key);
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	assert_int_equal(SSL_CTX_use_certificate_file(ctx, pem_path, SSL_FILETYPE_PEM), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, key_path, SSL_FILETYPE_PEM), 1);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
	return ctx;
}

/* Asks once more; whether it was taken for a host. */
static bool
is_taken(struct fixture *f, struct raw *raw)
{
	int64_t end = monotonic_ms() + 10000;
	unsigned int answers = raw->answers;
	size_t bytes = raw->bytes;

	bufferevent_write(raw->bev, GET, strlen(GET));
	while (raw->bytes == bytes && !raw->failed && !raw->ended && monotonic_ms() < end)
		event_base_loop(f->base, EVLOOP_ONCE);
	assert_true(raw->bytes > bytes);
	return raw->answers > answers;
}

/* Neither a connection that stands nor a session that is resumed outlives it. */
static void
test_end_of_certificate(void **state)
{
	struct fixture *f = *state;
	struct raw kept, resumed;
	struct tls_fixture t;
	SSL_CTX *ctx;
	int64_t end;

	access_of_server = ACCESS_AUTH;
	start(&t, f, "h1", "h2", "ca");
	authority_sign_briefly(ours, "brief", "URI:virtx:host:" OTHER, 5);
	end = now_ms() + 6000;
	ctx = client_with("brief");
	raw_open(&kept, f, ctx);
	assert_true(is_taken(f, &kept));
	assert_non_null(session_got);
	while (now_ms() < end)
		run_for(f, 100);
	assert_false(is_taken(f, &kept));
	raw_open(&resumed, f, ctx);
	assert_false(is_taken(f, &resumed));
	assert_int_equal(SSL_session_reused(bufferevent_openssl_get_ssl(resumed.bev)), 1);
	bufferevent_free(kept.bev);
	bufferevent_free(resumed.bev);
	SSL_SESSION_free(steal_ptr(session_got));
	SSL_CTX_free(ctx);
	stop(&t);
	access_of_server = ACCESS_OPEN;
}

/* A connection that stands is a host's while the CA is, whatever this host's own certificate. */
static void
test_end_of_ca(void **state)
{
	struct fixture *f = *state;
	SSL_CTX *ctx = client_with("h2");
	struct tls_fixture t;
	struct raw raw;

	access_of_server = ACCESS_AUTH;
	start(&t, f, "h1", "h2", "ca");
	raw_open(&raw, f, ctx);
	assert_true(is_taken(f, &raw));
	tls_reload(t.server_tls);
	assert_true(is_taken(f, &raw));
	use_files(&f->config, "stranger", "foreign");
	tls_reload(t.server_tls);
	assert_false(is_taken(f, &raw));
	use_files(&f->config, "h1", "ca");
	tls_reload(t.server_tls);
	assert_true(is_taken(f, &raw));
	bufferevent_free(raw.bev);
	SSL_SESSION_free(steal_ptr(session_got));
	SSL_CTX_free(ctx);
	stop(&t);
	access_of_server = ACCESS_OPEN;
}

static void
test_groups(void **state)
{
	static const struct {
		const char *groups;
		bool fails;
	} cases[] = {
		{ "P-256", false },
		{ "X25519", false },
		{ "P-521:X25519", false },
		{ "P-521:P-384:X448", true },
		{ "ffdhe8192", true },
	};
	struct fixture *f = *state;
	struct tls_fixture t;
	struct raw raw;

	start(&t, f, "h1", "h2", "ca");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
		int64_t end = monotonic_ms() + 5000;

		assert_int_equal(SSL_CTX_set1_groups_list(ctx, cases[i].groups), 1);
		raw_open(&raw, f, ctx);
		bufferevent_write(raw.bev, GET, strlen(GET));
		while (!raw.failed && raw.answers == 0 && monotonic_ms() < end)
			event_base_loop(f->base, EVLOOP_ONCE);
		assert_int_equal(raw.failed, cases[i].fails);
		bufferevent_free(raw.bev);
		SSL_CTX_free(ctx);
	}
	stop(&t);
}

static void
test_old_version(void **state)
{
	struct fixture *f = *state;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int64_t end = monotonic_ms() + 5000;
	struct tls_fixture t;
	struct raw raw;

	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(ctx, TLS1_1_VERSION);
	start(&t, f, "h1", "h2", "ca");
	raw_open(&raw, f, ctx);
	while (!raw.failed && monotonic_ms() < end)
		event_base_loop(f->base, EVLOOP_ONCE);
	assert_true(raw.failed);
	bufferevent_free(raw.bev);
	stop(&t);
	SSL_CTX_free(ctx);
}

static void
test_reload(void **state)
{
	struct fixture *f = *state;
	struct tls_fixture t;
	int64_t before;

	authority_sign(ours, "changing", SAN, -1, 10);
	start(&t, f, "changing", "h2", "ca");
	ask_well(&t);
	before = tls_end_of_certificate(t.server_tls);
	/* What nobody would take is not used, nor what is no certificate. */
	authority_sign(ours, "changing", SAN, -20, -10);
	tls_reload(t.server_tls);
	assert_int_equal(tls_end_of_certificate(t.server_tls), before);
	str_set(&f->config.tls_certificate, "/dev/null");
	tls_reload(t.server_tls);
	assert_int_equal(tls_end_of_certificate(t.server_tls), before);
	ask_well(&t);
	use_files(&f->config, "changing", "ca");
	authority_sign(ours, "changing", SAN, -1, 100);
	tls_reload(t.server_tls);
	assert_true(tls_end_of_certificate(t.server_tls) > before);
	/* A kept connection goes on; a new one has the new one. */
	ask_well(&t);
	run_for(f, 5000);
	ask_well(&t);
	stop(&t);
}

/* What was checked by a CA that is not the cluster's any more is checked again. */
static void
test_other_ca(void **state)
{
	struct fixture *f = *state;
	struct tls_fixture t;

	start(&t, f, "h1", "h2", "ca");
	ask_well(&t);
	use_files(&t.client_config, "stranger", "foreign");
	tls_reload(t.client_tls);
	ask_in_vain(&t, HOST, "its certificate is refused: ");
	stop(&t);
}

/* A ticket says nothing of the certificate for longer than the check counts. */
static void
test_sessions(void **state)
{
	struct tls_sessions *sessions = tls_sessions_new();
	SSL_SESSION *session = SSL_SESSION_new();
	int64_t now = monotonic_ms(), checked = 0;

	assert_null(tls_sessions_find(sessions, HOST, &checked));
	tls_sessions_keep(sessions, HOST, session, now - 590000);
	assert_non_null(tls_sessions_find(sessions, HOST, &checked));
	assert_int_equal(checked, now - 590000);
	assert_null(tls_sessions_find(sessions, OTHER, &checked));
	tls_sessions_keep(sessions, HOST, session, now - 600000);
	assert_null(tls_sessions_find(sessions, HOST, &checked));
	SSL_SESSION_free(session);
	tls_sessions_free(sessions);
}

static void
test_warning(void **state)
{
	static const struct {
		const char *certificate, *self, *words;
	} cases[] = {
		{ "h1", HOST, NULL },
		{ "h1", "", NULL },
		{ "h1", OTHER, "is for host '" HOST "', not for this one" },
		{ "nobody", HOST, "no SAN virtx:host:UUID" },
		{ "soon", HOST, "ends in 19 days" },
		{ "expired", HOST, "has ended 10 days ago" },
		{ "stranger", HOST, "others refuse the certificate: " },
		{ "server", HOST, "as that of a client: " },
		{ "client", HOST, "as that of a server: " },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_free_ char *text = NULL;
		struct tls *tls;

		use_files(&f->config, cases[i].certificate, "ca");
		tls = new_tls(f, &f->config);
		text = tls_warning(tls, cases[i].self);
		if (cases[i].words ? !strstr(text, cases[i].words) : *text)
			fail_msg("%s: '%s'", cases[i].certificate, text);
		tls_free(tls);
	}
}

static void
test_bad_files(void **state)
{
	struct fixture *f = *state;
	struct error err = { 0 };

	use_files(&f->config, "h1", "ca");
	str_set(&f->config.tls_key, f->config.tls_ca);
	assert_null(tls_new(f->base, &f->config, &err));
	assert_non_null(strstr(err.detail, f->config.tls_key));
	use_files(&f->config, "h1", "none");
	assert_null(tls_new(f->base, &f->config, &err));
	assert_non_null(strstr(err.detail, "/none.pem"));
	use_files(&f->config, "h1", "ca");
	free(f->config.tls_key);
	f->config.tls_key = authority_path(ours, "h2.key");
	assert_null(tls_new(f->base, &f->config, &err));
	assert_non_null(strstr(err.detail, "key values mismatch"));
	/* Nobody is asked for its passphrase. */
	use_files(&f->config, "secret", "ca");
	assert_null(tls_new(f->base, &f->config, &err));
	if (!strstr(err.detail, "/secret.key': ") || !strstr(err.detail, "it has a passphrase"))
		fail_msg("%s", err.detail);
}

static int
make_files(void **state)
{
	if (!mkdtemp(folder))
		return -1;
	ours = authority_new(folder, "ca");
	foreign = authority_new(folder, "foreign");
	authority_sign(ours, "h1", SAN ", DNS:localhost", -1, 365);
	authority_sign(ours, "h2", "URI:virtx:host:" OTHER, -1, 365);
	authority_sign(ours, "expired", SAN, -20, -10);
	authority_sign(ours, "soon", SAN, -1, 20);
	authority_sign(ours, "nobody", "DNS:localhost", -1, 365);
	authority_sign(ours, "two", SAN ",URI:virtx:host:" OTHER, -1, 365);
	authority_sign(foreign, "stranger", SAN, -1, 365);
	authority_sign_for(ours, "server", SAN, "serverAuth");
	authority_sign_for(ours, "client", SAN, "clientAuth");
	authority_sign_secret(ours, "secret", "open sesame");
	return 0;
}

static int
remove_files(void **state)
{
	_free_ char *command = xasprintf("rm -r '%s'", folder);

	authority_free(ours);
	authority_free(foreign);
	return system(command);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_hosts),
		TEST(test_refused),
		TEST(test_host_states),
		TEST(test_plain_host),
		TEST(test_names_of_ca),
		TEST(test_hosts_are_known),
		TEST(test_members_alone),
		TEST(test_pipelining),
		TEST(test_bad_request),
		TEST(test_key_updates),
		TEST(test_long_answer),
		TEST(test_half_open),
		TEST(test_half_open_of_one),
		TEST(test_half_open_at_stop),
		TEST(test_plain_client),
		TEST(test_resumption),
		TEST(test_end_of_certificate),
		TEST(test_end_of_ca),
		TEST(test_groups),
		TEST(test_old_version),
		TEST(test_reload),
		TEST(test_other_ca),
		cmocka_unit_test(test_sessions),
		TEST(test_warning),
		TEST(test_bad_files),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
