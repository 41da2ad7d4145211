/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The server over TLS, with a client that does as it likes. */
#include "tls_fixture.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <string.h>

#include "http/tls.h"
#include "http/tls_sessions.h"
#include "loop/base.h"
#include "state/tokens.h"

#define PIPELINED 3000
#define HALF_OPEN 450
#define UPDATES	  1000
#define STANDING  12 /* more than the handshakes that one client may always have */

#define HANDSHAKES_MAX 384 /* of the server, at one time */

/* The last one that the server gave to a client that keeps it by on_session. */
static SSL_SESSION *session_got;

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

	tls_start(&t, f, "h1", "h2", "ca");
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
	tls_stop(&t);
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

	tls_start(&t, f, "h1", "h2", "ca");
	raw_open(&raw, f, ctx);
	bufferevent_write(raw.bev, GET, strlen(GET));
	raw_wait_answers(f, &raw, 1);
	raw.bytes = 0;
	bufferevent_write(raw.bev, bad, strlen(bad));
	while (!raw.ended && !raw.failed && monotonic_ms() < end)
		event_base_loop(f->base, EVLOOP_ONCE);
	assert_true(raw.ended);
	assert_false(raw.failed);
	assert_in_range(raw.bytes, 100, 1000);
	bufferevent_free(raw.bev);
	tls_stop(&t);
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

	tls_start(&t, f, "h1", "h2", "ca");
	raw_open(&raw, f, ctx);
	bufferevent_write(raw.bev, GET, strlen(GET));
	raw_wait_answers(f, &raw, 1);
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
	tls_stop(&t);
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

	tls_start(&t, f, "h1", "h2", "ca");
	raw_open(&raw, f, ctx);
	bufferevent_write(raw.bev, big, strlen(big));
	while (raw.bytes < BIG && !raw.failed && monotonic_ms() < end)
		event_base_loop(f->base, EVLOOP_ONCE);
	run_for(f, 100);
	assert_in_range(raw.bytes, BIG, BIG + 1000);
	bufferevent_write(raw.bev, GET, strlen(GET));
	raw_wait_answers(f, &raw, 2);
	bufferevent_free(raw.bev);
	tls_stop(&t);
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

	tls_start(&t, f, "h1", "h2", "ca");
	for (int i = 0; i < HALF_OPEN; i++) {
		client_open(&half[i], f);
		if (i % 2)
			client_send_bytes(&half[i], "\x16\x03\x01", 3);
		if (i % 50 == 0)
			run_for(f, 1);
	}
	/* One in a hurry, which comes last. */
	tls_ask_well(&t);
	http_server_get_stats(f->server, &stats);
	assert_true(stats.handshakes <= HANDSHAKES_MAX);
	for (int i = 0; i < HALF_OPEN; i++)
		assert_true(client_wait_closed(&half[i], 20000));
	assert_true(monotonic_ms() - began < 30000);
	http_server_get_stats(f->server, &stats);
	assert_int_equal(stats.handshakes, 0);
	assert_int_equal(stats.handshakes_failed, HALF_OPEN);
	tls_ask_well(&t);
	for (int i = 0; i < HALF_OPEN; i++)
		client_close(&half[i]);
	tls_stop(&t);
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

	tls_start(&t, f, "h1", "h2", "ca");
	for (int i = 0; i < STANDING; i++) {
		raw_open(&standing[i], f, ctx);
		bufferevent_write(standing[i].bev, GET, strlen(GET));
		raw_wait_answers(f, &standing[i], 1);
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
	tls_stop(&t);
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

	tls_start(&t, f, "h1", "h2", "ca");
	for (int i = 0; i < HANDSHAKES_MAX; i++) {
		_free_ char *from = xasprintf("127.0.%d.%d", 1 + i / 200, 1 + i % 200);

		client_connect_from(&half[i], f, from);
	}
	do {
		event_base_loop(f->base, EVLOOP_ONCE);
		http_server_get_stats(f->server, &stats);
	} while (stats.handshakes < HANDSHAKES_MAX && monotonic_ms() < end);
	assert_int_equal(stats.handshakes, HANDSHAKES_MAX);
	tls_stop(&t);
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

	tls_start(&t, f, "h1", "h2", "ca");
	client_open(&c, f);
	client_send(&c, GET);
	assert_true(client_wait_closed(&c, 2000));
	assert_null(memmem(str_or_empty(c.in.data), c.in.len, "HTTP", 4));
	client_close(&c);
	tls_stop(&t);
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
		raw_resume(&raw, f, ctx, session_got);
		bufferevent_write(raw.bev, GET, strlen(GET));
		raw_wait_answers(f, &raw, 1);
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

	tls_start(&t, f, "h1", "h2", "ca");
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
	tls_stop(&t);
}

/* A client with this certificate, which resumes what it can. */
static SSL_CTX *
client_with(const char *name)
{
	_free_ char *pem = xasprintf("%s.pem", name), *key = xasprintf("%s.key", name);
	_free_ char *pem_path = authority_path(tls_ours, pem),
		    *key_path = authority_path(tls_ours, key);
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

/* A host gets certificates for the names of the one that it shows. */
static void
test_shown_names(void **state)
{
	static const char renew[] =
	    "POST /cluster/certificates HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
	struct fixture *f = *state;
	struct tls_fixture t;
	struct raw raw;
	SSL_CTX *ctx;

	tls_start(&t, f, "h1", "h2", "ca");
	authority_sign(tls_ours, "named",
	    "URI:virtx:host:" OTHER ",DNS:h2.example,IP:192.0.2.2,email:a@b.example", -1, 10);
	ctx = client_with("named");
	raw_open(&raw, f, ctx);
	bufferevent_write(raw.bev, GET, strlen(GET));
	raw_wait_answers(f, &raw, 1);
	/* Where nobody asks for them they are not read. */
	assert_string_equal(f->shown_names, "");
	bufferevent_write(raw.bev, renew, strlen(renew));
	while (f->handled < 2 && !raw.failed)
		event_base_loop(f->base, EVLOOP_ONCE);
	assert_string_equal(f->shown_names, "h2.example,192.0.2.2");
	bufferevent_free(raw.bev);
	SSL_SESSION_free(steal_ptr(session_got));
	SSL_CTX_free(ctx);
	tls_stop(&t);
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

	tls_start_guarded(&t, f, "h1", "h2", "ca");
	authority_sign_briefly(tls_ours, "brief", "URI:virtx:host:" OTHER, 5);
	end = now_ms() + 6000;
	ctx = client_with("brief");
	raw_open(&kept, f, ctx);
	assert_true(is_taken(f, &kept));
	assert_non_null(session_got);
	while (now_ms() < end)
		run_for(f, 100);
	assert_false(is_taken(f, &kept));
	raw_resume(&resumed, f, ctx, session_got);
	assert_false(is_taken(f, &resumed));
	assert_int_equal(SSL_session_reused(bufferevent_openssl_get_ssl(resumed.bev)), 1);
	bufferevent_free(kept.bev);
	bufferevent_free(resumed.bev);
	SSL_SESSION_free(steal_ptr(session_got));
	SSL_CTX_free(ctx);
	tls_stop(&t);
}

/* A connection that stands is a host's while the CA is, whatever this host's own certificate. */
static void
test_end_of_ca(void **state)
{
	struct fixture *f = *state;
	SSL_CTX *ctx = client_with("h2");
	struct tls_fixture t;
	struct raw raw;

	tls_start_guarded(&t, f, "h1", "h2", "ca");
	raw_open(&raw, f, ctx);
	assert_true(is_taken(f, &raw));
	tls_reload(t.server_tls);
	assert_true(is_taken(f, &raw));
	tls_use_files(&f->config, "stranger", "foreign");
	tls_reload(t.server_tls);
	assert_false(is_taken(f, &raw));
	tls_use_files(&f->config, "h1", "ca");
	tls_reload(t.server_tls);
	assert_true(is_taken(f, &raw));
	bufferevent_free(raw.bev);
	SSL_SESSION_free(steal_ptr(session_got));
	SSL_CTX_free(ctx);
	tls_stop(&t);
}

/* That there is this certificate, as the store has it. */
static void
keep_certificate(struct tokens *tokens, const char *file, const char *name, int64_t expires)
{
	_free_ char *pem = xasprintf("%s.pem", file);
	_free_ char *path = authority_path(tls_ours, pem);
	char print[CERTIFICATE_PRINT_SIZE];
	struct token_record record = {
		.token = { .name = (char *)name,
		    .role = ROLE_VIEWER,
		    .expires = expires,
		    .only = { (char *)"owner", (char *)"alice" },
		    .certificate = true },
		.hash = print,
	};
	FILE *in = fopen(path, "r");
	X509 *certificate;

	assert_non_null(in);
	certificate = PEM_read_X509(in, NULL, NULL, NULL);
	assert_non_null(certificate);
	certificate_print(certificate, print);
	tokens_add(tokens, &record);
	X509_free(certificate);
	(void)fclose(in);
}

/* Whether who has the certificate of this name is let in, on a connection of its own. */
static bool
is_let_in(struct fixture *f, const char *name)
{
	SSL_CTX *ctx = client_with(name);
	struct raw raw;
	bool taken;

	raw_open(&raw, f, ctx);
	taken = is_taken(f, &raw);
	bufferevent_free(raw.bev);
	SSL_SESSION_free(steal_ptr(session_got));
	SSL_CTX_free(ctx);
	return taken;
}

struct user_fixture {
	struct tls_fixture t;
	struct tokens *tokens;
};

static void
start_users(struct user_fixture *u, struct fixture *f)
{
	static const struct {
		const char *name, *san;
	} made[] = {
		{ "alice", "URI:virtx:user:alice" },
		{ "alice2", "URI:virtx:user:alice" },
		{ "both", "URI:virtx:user:alice,URI:virtx:host:" OTHER },
		{ "qemu", "DNS:h1" },
	};
	struct token_set none = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(made); i++)
		authority_sign(tls_ours, made[i].name, made[i].san, -1, 365);
	tls_start_guarded(&u->t, f, "h1", "h2", "ca");
	u->tokens = tokens_new();
	tokens_replace(u->tokens, &none);
	http_server_set_tokens(f->server, u->tokens);
}

static void
stop_users(struct user_fixture *u)
{
	tls_stop(&u->t);
	tokens_free(u->tokens);
}

/* Who they are is what the store says of their certificate, and nobody is by their name alone. */
static void
test_user(void **state)
{
	struct fixture *f = *state;
	struct user_fixture u;

	start_users(&u, f);
	assert_false(is_let_in(f, "alice"));
	keep_certificate(u.tokens, "alice", "alice", 0);
	assert_true(is_let_in(f, "alice"));
	assert_string_equal(f->caller, "certificate viewer user:alice 127.0.0.1 owner alice");
	assert_false(is_let_in(f, "alice2"));
	/* What is in the store, but of no user, or of a host as well. */
	keep_certificate(u.tokens, "both", "both", 0);
	keep_certificate(u.tokens, "qemu", "qemu", 0);
	keep_certificate(u.tokens, "h2", "h2", 0);
	assert_false(is_let_in(f, "both"));
	assert_false(is_let_in(f, "qemu"));
	assert_true(is_let_in(f, "h2"));
	assert_non_null(strstr(f->caller, "certificate admin"));
	keep_certificate(u.tokens, "alice", "alice", now_ms() - 1);
	assert_false(is_let_in(f, "alice"));
	stop_users(&u);
}

/* What only hosts may, and for whom one asks: a user has no more of it than who has a token. */
static void
test_user_is_no_host(void **state)
{
	static const char *const bad[] = {
		"GET /gossip/vms HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /vms/" UUID "/runstate HTTP/1.1\r\nHost: localhost\r\n"
		"X-VirtX-Caller: socket admin uid:0 unix\r\n\r\n",
		"DELETE /vms/" UUID " HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /auth/tokens HTTP/1.1\r\nHost: localhost\r\n\r\n",
	};
	struct fixture *f = *state;
	unsigned int handled = f->handled;
	struct user_fixture u;
	struct raw raw;
	SSL_CTX *ctx;

	start_users(&u, f);
	ctx = client_with("alice");
	keep_certificate(u.tokens, "alice", "alice", 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		int64_t end = monotonic_ms() + 10000;

		raw_open(&raw, f, ctx);
		bufferevent_write(raw.bev, bad[i], strlen(bad[i]));
		while (raw.bytes == 0 && !raw.failed && monotonic_ms() < end)
			event_base_loop(f->base, EVLOOP_ONCE);
		assert_true(raw.bytes > 0);
		bufferevent_free(raw.bev);
	}
	assert_int_equal(f->handled, handled);
	SSL_SESSION_free(steal_ptr(session_got));
	SSL_CTX_free(ctx);
	stop_users(&u);
}

/* Neither a connection that stands nor a session that is resumed outlives that it is revoked. */
static void
test_user_revoked(void **state)
{
	struct fixture *f = *state;
	struct raw kept, resumed;
	struct user_fixture u;
	SSL_CTX *ctx;

	start_users(&u, f);
	ctx = client_with("alice");
	keep_certificate(u.tokens, "alice", "alice", 0);
	raw_open(&kept, f, ctx);
	assert_true(is_taken(f, &kept));
	assert_non_null(session_got);
	raw_resume(&resumed, f, ctx, session_got);
	assert_true(is_taken(f, &resumed));
	assert_int_equal(SSL_session_reused(bufferevent_openssl_get_ssl(resumed.bev)), 1);
	bufferevent_free(resumed.bev);
	tokens_drop(u.tokens, "alice");
	assert_false(is_taken(f, &kept));
	raw_resume(&resumed, f, ctx, session_got);
	assert_false(is_taken(f, &resumed));
	bufferevent_free(kept.bev);
	bufferevent_free(resumed.bev);
	SSL_SESSION_free(steal_ptr(session_got));
	SSL_CTX_free(ctx);
	stop_users(&u);
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

	tls_start(&t, f, "h1", "h2", "ca");
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
	tls_stop(&t);
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
	tls_start(&t, f, "h1", "h2", "ca");
	raw_open(&raw, f, ctx);
	while (!raw.failed && monotonic_ms() < end)
		event_base_loop(f->base, EVLOOP_ONCE);
	assert_true(raw.failed);
	bufferevent_free(raw.bev);
	tls_stop(&t);
	SSL_CTX_free(ctx);
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

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_pipelining),
		TEST(test_bad_request),
		TEST(test_key_updates),
		TEST(test_long_answer),
		TEST(test_half_open),
		TEST(test_half_open_of_one),
		TEST(test_half_open_at_stop),
		TEST(test_plain_client),
		TEST(test_resumption),
		TEST(test_shown_names),
		TEST(test_end_of_certificate),
		TEST(test_end_of_ca),
		TEST(test_user),
		TEST(test_user_is_no_host),
		TEST(test_user_revoked),
		TEST(test_groups),
		TEST(test_old_version),
		cmocka_unit_test(test_sessions),
	};

	return cmocka_run_group_tests(tests, tls_make_files, tls_remove_files);
}
