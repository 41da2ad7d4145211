/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The server over TLS, with the client that other hosts have: who is taken for whom, and by which
 * certificates. */
#include "tls_fixture.h"

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/ssl.h>
#include <string.h>

#include "http/tls.h"
#include "state/tokens.h"

static void
test_hosts(void **state)
{
	struct peers_stats stats;
	struct tls_fixture t;

	tls_start(&t, *state, "h1", "h2", "ca");
	for (int i = 0; i < 5; i++)
		tls_ask_well(&t);
	peers_get_stats(t.peers, &stats);
	assert_int_equal(stats.connections, 1);
	/* A kept connection is the one host's alone. */
	tls_ask_in_vain(&t, OTHER, "its certificate is for another host, '" HOST "'");
	tls_stop(&t);
}

/* What serf says of another host does not make this one do without TLS. */
static void
test_plain_host(void **state)
{
	struct tls_fixture t;
	struct peer_to to;
	struct got got = { 0 };

	tls_start(&t, *state, "h1", "h2", "ca");
	peers_refuse_plain(t.peers);
	to = (struct peer_to){ "127.0.0.1", http_server_port(t.f->server, 0), HOST, false };
	peer_get(t.peers, &to, "/healthz", 8000, tls_on_got, &got);
	tls_wait_got(&t, &got);
	assert_int_equal(got.err.status, 502);
	if (!strstr(got.err.detail, "host '" HOST "'") || !strstr(got.err.detail, "plain HTTP"))
		fail_msg("%s", got.err.detail);
	tls_ask_well(&t);
	tls_stop(&t);
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
		tls_start(&t, *state, cases[i].server, cases[i].client, cases[i].ca);
		tls_ask_in_vain(&t, HOST, cases[i].words);
		tls_stop(&t);
	}
	tls_start(&t, *state, "h1", "h2", "ca");
	peers_set_tls(t.peers, NULL);
	tls_ask_in_vain(&t, HOST, "wants TLS, for which this host has no certificate");
	tls_stop(&t);
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

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		tls_start_guarded(&t, *state, "h1", cases[i].client, "ca");
		for (int k = 0; k < 2; k++) {
			tls_ask(&t, HOST, cases[i].path, &got);
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
		tls_stop(&t);
	}
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

	tls_start_guarded(&t, *state, "h1", "h2", "ca");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned int handled = t.f->handled;

		t.member = cases[i].who;
		tls_ask(&t, HOST, "/gossip/vms", &got);
		if (got.status != cases[i].status || !strstr(got.body, cases[i].words))
			fail_msg("%d '%s' does not say '%s'", got.status, got.body, cases[i].words);
		assert_int_equal(t.f->handled, handled + (got.status == 204));
		free(got.body);
	}
	tls_stop(&t);
}

/* One that was put out may still be a member: who has serf's key is one. */
static void
test_put_out(void **state)
{
	struct tokens *tokens = tokens_new();
	struct tls_fixture t;
	struct got got;

	tls_start_guarded(&t, *state, "h1", "h2", "ca");
	http_server_set_tokens(t.f->server, tokens);
	t.member = GUARD_MEMBER;
	tls_ask(&t, HOST, "/gossip/vms", &got);
	assert_int_equal(got.status, 204);
	free(got.body);
	tokens_put_out(tokens, OTHER, true);
	tls_ask(&t, HOST, "/gossip/vms", &got);
	assert_int_equal(got.status, 403);
	assert_non_null(strstr(got.body, "was put out of the cluster"));
	free(got.body);
	http_server_set_tokens(t.f->server, NULL);
	tls_stop(&t);
	tokens_free(tokens);
}

static void
ask_anew(struct tls_fixture *t)
{
	peers_free(t->peers);
	t->peers = peers_new(t->f->base, NULL);
	peers_set_tls(t->peers, t->client_tls);
}

/* A certificate of one that was put out since is good for nothing when it has been let in again,
 * whoever shows it to whom, over whatever connection or session that there was. */
static void
test_let_in_again(void **state)
{
	struct token_set set = { 0 };
	struct tokens *tokens = tokens_new();
	struct tls_fixture t;
	struct got got;

	authority_number(tls_ours, "virtx:host:" OTHER);
	authority_sign(tls_ours, "old2", "URI:virtx:host:" OTHER, -1, 365);
	authority_number(tls_ours, "virtx:host:" HOST);
	authority_sign(tls_ours, "old1", SAN, -1, 365);
	authority_number(tls_ours, "virtx:host:" HOST "#1");
	authority_sign(tls_ours, "new1", SAN, -1, 365);
	authority_number(tls_ours, NULL);
	model_append(&set.again, &set.n_again)->name = xstrdup(OTHER "#1");
	model_append(&set.again, &set.n_again)->name = xstrdup(HOST "#1");

	tls_start_guarded(&t, *state, "h1", "old2", "ca");
	http_server_set_tokens(t.f->server, tokens);
	t.member = GUARD_MEMBER;
	tls_ask(&t, HOST, "/gossip/vms", &got);
	assert_int_equal(got.status, 204);
	free(got.body);
	assert_true(tokens_replace(tokens, &set));
	tls_ask(&t, HOST, "/gossip/vms", &got);
	assert_int_equal(got.status, 403);
	assert_non_null(strstr(got.body, "from before it was put out of the cluster"));
	free(got.body);
	http_server_set_tokens(t.f->server, NULL);
	tls_stop(&t);

	tls_start(&t, *state, "old1", "h2", "ca");
	tls_ask_well(&t);
	tls_set_tokens(t.client_tls, tokens);
	ask_anew(&t);
	tls_ask_in_vain(&t, HOST, "is from before it was put out of the cluster");
	tls_stop(&t);
	tls_start(&t, *state, "new1", "h2", "ca");
	tls_set_tokens(t.client_tls, tokens);
	tls_ask_well(&t);
	tls_stop(&t);
	model_clear(&token_set_model, &set);
	tokens_free(tokens);
}

/* Asks as who forwards a request. */
static void
ask_stating(
    struct tls_fixture *t, const char *path, const char *caller, const char *again, struct got *got)
{
	static const struct peer_ops ops = { .done = tls_on_got };
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

	*got = (struct got){ 0 };
	peer_start(t->peers, &request, &ops, got);
	tls_wait_got(t, got);
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
	struct token_record record = { .token = { .name = (char *)"v", .created = 77 },
		.hash = (char *)"" };
	struct tokens *tokens = tokens_new();
	struct token_set none = { 0 };
	struct tls_fixture t;
	struct got got;

	assert_true(tokens_replace(tokens, &none));
	tokens_add(tokens, &record);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		tls_start_guarded(&t, *state, "h1", cases[i].client, "ca");
		http_server_set_tokens(t.f->server, tokens);
		ask_stating(&t, cases[i].path, cases[i].caller, cases[i].again, &got);
		if (got.status != cases[i].status ||
		    !strstr(
			got.status < 300 ? t.f->caller : str_or_empty(got.body), cases[i].words))
			fail_msg("%zu: %d '%s' '%s' '%s'", i, got.status, got.body, t.f->caller,
			    got.err.detail);
		/* Which of those that have had the name, this host knows by itself. */
		if (got.status < 300)
			assert_int_equal(t.f->token_created, cases[i].caller == viewer ? 77 : 0);
		free(got.body);
		http_server_set_tokens(t.f->server, NULL);
		tls_stop(&t);
	}
	tokens_free(tokens);
}

/* A client that has several certificates has to know which is asked for. */
static void
test_names_of_ca(void **state)
{
	struct fixture *f = *state;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	const STACK_OF(X509_NAME) * names;
	char name[80] = "";
	struct tls_fixture t;
	struct raw raw;

	tls_start(&t, f, "h1", "h2", "ca");
	raw_open(&raw, f, ctx);
	bufferevent_write(raw.bev, GET, strlen(GET));
	raw_wait_answers(f, &raw, 1);
	names = SSL_get0_peer_CA_list(bufferevent_openssl_get_ssl(raw.bev));
	assert_int_equal(sk_X509_NAME_num(names), 1);
	X509_NAME_get_text_by_NID(sk_X509_NAME_value(names, 0), NID_commonName, name, sizeof(name));
	assert_string_equal(name, "ca");
	bufferevent_free(raw.bev);
	tls_stop(&t);
	SSL_CTX_free(ctx);
}

static void
test_reload(void **state)
{
	struct fixture *f = *state;
	struct tls_fixture t;
	int64_t before;

	authority_sign(tls_ours, "changing", SAN, -1, 10);
	tls_start(&t, f, "changing", "h2", "ca");
	tls_ask_well(&t);
	before = tls_end_of_certificate(t.server_tls);
	/* What nobody would take is not used, nor what is no certificate. */
	authority_sign(tls_ours, "changing", SAN, -20, -10);
	tls_reload(t.server_tls);
	assert_int_equal(tls_end_of_certificate(t.server_tls), before);
	str_set(&f->config.tls_certificate, "/dev/null");
	tls_reload(t.server_tls);
	assert_int_equal(tls_end_of_certificate(t.server_tls), before);
	tls_ask_well(&t);
	tls_use_files(&f->config, "changing", "ca");
	authority_sign(tls_ours, "changing", SAN, -1, 100);
	tls_reload(t.server_tls);
	assert_true(tls_end_of_certificate(t.server_tls) > before);
	/* A kept connection goes on; a new one has the new one. */
	tls_ask_well(&t);
	run_for(f, 5000);
	tls_ask_well(&t);
	tls_stop(&t);
}

/* What was checked by a CA that is not the cluster's any more is checked again. */
static void
test_other_ca(void **state)
{
	struct fixture *f = *state;
	struct tls_fixture t;

	tls_start(&t, f, "h1", "h2", "ca");
	tls_ask_well(&t);
	tls_use_files(&t.client_config, "stranger", "foreign");
	tls_reload(t.client_tls);
	tls_ask_in_vain(&t, HOST, "its certificate is refused: ");
	tls_stop(&t);
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

		tls_use_files(&f->config, cases[i].certificate, "ca");
		tls = tls_load(f, &f->config);
		text = tls_warning(tls, cases[i].self);
		if (cases[i].words ? !strstr(text, cases[i].words) : *text)
			fail_msg("%s: '%s'", cases[i].certificate, text);
		tls_free(tls);
	}
}

/* With its CA's certificate a host's is over, however long that were to last. */
static void
test_warning_of_ca(void **state)
{
	struct fixture *f = *state;
	struct authority *ending;
	_free_ char *text = NULL;
	struct tls *tls;

	_free_ char *folder = authority_path(tls_ours, "");
	ending = authority_new_for(folder, "ending", 10);
	authority_sign(ending, "outlives", SAN, -1, 365);
	tls_use_files(&f->config, "outlives", "ending");
	tls = tls_load(f, &f->config);
	text = tls_warning(tls, HOST);
	assert_string_equal(text, "the CA's certificate ends in 9 days");
	assert_true(tls_end_of_certificate(tls) <= now_ms() + 10 * INT64_C(86400000));
	tls_free(tls);
	authority_free(ending);
}

static void
test_bad_files(void **state)
{
	struct fixture *f = *state;
	struct error err = { 0 };

	tls_use_files(&f->config, "h1", "ca");
	str_set(&f->config.tls_key, f->config.tls_ca);
	assert_null(tls_new(f->base, &f->config, &err));
	assert_non_null(strstr(err.detail, f->config.tls_key));
	tls_use_files(&f->config, "h1", "none");
	assert_null(tls_new(f->base, &f->config, &err));
	assert_non_null(strstr(err.detail, "/none.pem"));
	tls_use_files(&f->config, "h1", "ca");
	free(f->config.tls_key);
	f->config.tls_key = authority_path(tls_ours, "h2.key");
	assert_null(tls_new(f->base, &f->config, &err));
	assert_non_null(strstr(err.detail, "key values mismatch"));
	/* Nobody is asked for its passphrase. */
	tls_use_files(&f->config, "secret", "ca");
	assert_null(tls_new(f->base, &f->config, &err));
	if (!strstr(err.detail, "/secret.key': ") || !strstr(err.detail, "it has a passphrase"))
		fail_msg("%s", err.detail);
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
		TEST(test_put_out),
		TEST(test_let_in_again),
		TEST(test_reload),
		TEST(test_other_ca),
		TEST(test_warning),
		TEST(test_warning_of_ca),
		TEST(test_bad_files),
	};

	return cmocka_run_group_tests(tests, tls_make_files, tls_remove_files);
}
