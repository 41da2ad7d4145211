/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hosts that join: which of them, by which token, and what they are told. */
#include "ops_host.h"

#include "api/handlers.h"
#include "disk/lease.h"
#include "ops/signing.h"
#include "ops/token_keeper.h"
#include "proto/cluster.h"
#include "proto/json.h"
#include "proto/problem.h"
#include "state/caller.h"
#include "state/joins.h"

#define ADDRESS "192.0.2.4"
#define NEW	"a0000000-0000-4000-8000-000000000004"
#define SECRET	"virtx_0123"

static struct caller caller;
static const char *from, *query; /* of the next requests */

static void
on_changed(void *arg)
{
}

static int
setup(void **state)
{
	struct config *config = &here.config;

	from = ADDRESS;
	query = NULL;
	ops_setup(state);
	ops_start();
	config_clear_listen(config);
	config->listen = xcalloc(1, sizeof(*config->listen));
	config->n_listen = 1;
	config->listen[0] = (struct config_listen){
		.addr = xstrdup("192.0.2.1"),
		.port = 8080,
		.transport = TRANSPORT_TLS,
		.access = ACCESS_AUTH,
	};
	str_set(&config->tls_ca_key, "/etc/virtx/ca.key");
	here.ctx.joins = joins_new();
	return 0;
}

static int
teardown(void **state)
{
	struct joins *joins = here.ctx.joins;
	int rc = ops_teardown(state);

	joins_free(joins);
	return rc;
}

static void
add_token(const char *secret, const char *host, bool gives_ca)
{
	const struct join_terms terms = { host, now_ms() + 3600 * INT64_C(1000), gives_ca };
	struct error err = { 0 };

	assert_int_equal(joins_add(here.ctx.joins, secret, &terms, &err), 0);
}

/* One who has shown a token of this secret, which is made where there is none yet. */
static struct request *
request_by(const char *secret, const struct cluster_join *join, char **ret_body)
{
	char id[JOIN_ID_SIZE];
	struct request *req;
	size_t len;

	if (joins_find(here.ctx.joins, secret, id) == JOIN_WRONG)
		add_token(secret, "", false);
	joins_find(here.ctx.joins, secret, id);
	caller = (struct caller){ .by = CALLER_TOKEN, .role = ROLE_JOIN };
	snprintf(caller.from, sizeof(caller.from), "%s", from);
	snprintf(caller.user, sizeof(caller.user), "join:%s", id);
	*ret_body = json_encode(&cluster_join_model, join, &len);
	req = ops_request(ROUTE_CLUSTER_JOIN, "", *ret_body);
	req->caller = &caller;
	req->user = caller.user;
	req->query = query;
	return req;
}

/* For a certificate of these names, of which "" is none; those of QEMU are others. */
static void
ask_for(const char *secret, const char *uuid, const char *name, const char *const names[2],
    const char *const qemu[2])
{
	struct cluster_join join = { .uuid = (char *)uuid, .name = (char *)name };
	char *body, *key = pki_key_new();
	struct error err = { 0 };
	struct request *req;

	join.request = pki_request_new(key, names, *names[1] ? 2 : 1, &err);
	join.qemu_request = pki_request_new(key, qemu, *qemu[1] ? 2 : 1, &err);
	req = request_by(secret, &join, &body);
	api_cluster_join(&here.ctx, req);
	pki_wipe(key);
	free(join.request);
	free(join.qemu_request);
	free(body);
}

static void
ask_to_join(const char *secret, const char *uuid, const char *name)
{
	const char *const own[] = { "h4", from };

	ask_for(secret, uuid, name, own, own);
}

static void
assert_refused(int status, const char *words)
{
	assert_null(ops_find_job(WORK_CLUSTER_SIGN));
	assert_int_equal(here.status, status);
	if (!strstr(here.body, words))
		fail_msg("'%s' is not in %s", words, here.body);
}

static void
end_signing(void)
{
	char certificate[] = "one", qemu[] = "two", ca[] = "three", key[] = "four", print[] = "5";
	const struct cluster_sign_result result = { certificate, qemu, ca, print, key, 179, NULL };

	ops_end_job(WORK_CLUSTER_SIGN, &result);
}

static void
take_member(struct cluster_member *ret)
{
	struct error err = { 0 };

	assert_int_equal(here.status, 200);
	assert_int_equal(
	    json_decode(&cluster_member_model, here.body, strlen(here.body), ret, &err), 0);
}

static void
sign(struct cluster_member *ret)
{
	end_signing();
	take_member(ret);
}

static void
test_join(void **state)
{
	const struct cluster_sign_request *request;
	struct cluster_member member = { 0 };

	here.config.ha_enabled = true;
	ask_to_join(SECRET, NEW, "h4");
	request = ops_request_of(WORK_CLUSTER_SIGN);
	assert_false(request->again);
	assert_string_equal(request->uuid, NEW);
	sign(&member);
	assert_string_equal(member.certificate, "one");
	assert_string_equal(member.addresses, "192.0.2.1");
	/* Whoever else joins at the same time has another one. */
	assert_int_equal(member.number, lockspace_default_id(NEW));
	assert_true(member.ha);
	model_clear(&cluster_member_model, &member);
	/* The token was for once. */
	ask_to_join(SECRET, NEW, "h4");
	assert_refused(401, "was used just now");
}

/* Serf would take both for one member. */
static void
test_name_of_another(void **state)
{
	struct cluster_member member = { 0 };

	here.taken = "debian";
	ask_to_join(SECRET, NEW, "debian");
	assert_refused(409, "'debian' is that of another host");
	/* The token is as good as before. */
	ask_to_join(SECRET, NEW, "h4");
	sign(&member);
	model_clear(&cluster_member_model, &member);
}

static void
test_no_name(void **state)
{
	static const char *const bad[] = { "", "localhost", "192.0.2.4", "a b" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ask_to_join(SECRET, NEW, bad[i]);
		assert_refused(400, "is no name of a host");
	}
	/* Who has which name is not known now. */
	here.serf = "serf does not answer";
	ask_to_join(SECRET, NEW, "h4");
	assert_refused(503, "serf does not answer");
}

/* Nor may it pass for another one by its certificate, nor QEMU by its own. */
static void
test_names(void **state)
{
	static const char *const own[] = { "H4", ADDRESS };
	static const char *const bad[][2] = { { "h4", "localhost" }, { "h4", "192.0.2.1" },
		{ "h4", "2001:db8::4" }, { "h4.example.net", ADDRESS }, { "h5", "" } };
	struct cluster_member member = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ask_for(SECRET, NEW, "h4", bad[i], own);
		assert_refused(403, "may have no certificate but for h4, " ADDRESS);
		ask_for(SECRET, NEW, "h4", own, bad[i]);
		assert_refused(403, "may have no certificate but for h4, " ADDRESS);
	}
	here.taken = ADDRESS;
	ask_for(SECRET, NEW, "h4", own, own);
	assert_refused(409, "'" ADDRESS "' is that of another host");
	here.taken = NULL;
	ask_for(SECRET, NEW, "h4", own, own);
	sign(&member);
	model_clear(&cluster_member_model, &member);
}

/* Nobody gets the certificate of a host that there is, by a token that is for any. */
static void
test_known_host(void **state)
{
	struct cluster_member member = { 0 };
	struct error err = { 0 };

	ops_add_host(H2, "h2", 1000);
	add_token("own", H2, false);
	ask_to_join(SECRET, H2, "h4");
	assert_refused(409, "is active and has this UUID");
	ask_to_join("own", H2, "h4");
	assert_refused(409, "is active and has this UUID");
	inventory_set_host(here.ctx.inventory, H2, "h2", CSTATE_FAILED);
	ask_to_join(SECRET, H2, "h4");
	assert_refused(409, "has this UUID and is away");
	ask_to_join("own", H2, "h4");
	sign(&member);
	model_clear(&cluster_member_model, &member);
	assert_int_equal(inventory_forget_host(here.ctx.inventory, H2, &err), 0);
	ask_to_join(SECRET, H2, "h4");
	assert_refused(409, "has joined a moment ago");
}

/* It comes back where an admin has said so of this very host, and nobody else by that token. */
static void
test_put_out(void **state)
{
	const struct host_out_request *request;
	struct tokens *tokens = tokens_new();
	struct cluster_member member = { 0 };
	struct token_set none = { 0 };
	struct token nothing = { 0 };

	here.ctx.tokens =
	    token_keeper_new(here.ctx.base, &here.config, here.ctx.jobs, tokens, on_changed, NULL);
	ask_to_join(SECRET, NEW, "h4");
	assert_refused(503, "has not been read from the storage yet");
	ops_end_job(WORK_TOKENS_LOAD, &none);
	tokens_put_out(tokens, NEW, true);
	ask_to_join(SECRET, NEW, "h4");
	assert_refused(403, "'virtx cluster token --host' makes a token");
	add_token("own", NEW, false);
	ask_to_join("own", H2, "h4");
	assert_refused(403, "is for host '" NEW "' alone");
	/* Without a certificate it stays out. */
	ask_to_join("own", NEW, "h4");
	/* Its number is another one than that of what it had. */
	assert_true(
	    ((const struct cluster_sign_request *)ops_request_of(WORK_CLUSTER_SIGN))->again);
	ops_fail_job(WORK_CLUSTER_SIGN, 500, "the CA has ended");
	assert_refused(500, "the CA has ended");
	assert_null(ops_find_job(WORK_HOST_OUT));
	ask_to_join("own", NEW, "h4");
	end_signing();
	request = ops_request_of(WORK_HOST_OUT);
	assert_string_equal(request->uuid, NEW);
	assert_false(request->out);
	/* As long as the other hosts are not told it has joined none. */
	ops_fail_job(WORK_HOST_OUT, 507, "the storage is full");
	assert_refused(507, "the storage is full");
	assert_true(tokens_is_out(tokens, NEW));
	ask_to_join("own", NEW, "h4");
	end_signing();
	ops_end_job(WORK_HOST_OUT, &nothing);
	assert_false(tokens_is_out(tokens, NEW));
	take_member(&member);
	assert_string_equal(member.certificate, "one");
	model_clear(&cluster_member_model, &member);
	token_keeper_free(here.ctx.tokens);
	here.ctx.tokens = NULL;
	tokens_free(tokens);
}

static void
test_token_for_one(void **state)
{
	char print[] = "5", ca[] = "c", key[] = "k";
	const struct cluster_sign_result result = {
		.fingerprint = print, .ca = ca, .serf_key = key
	};
	struct cluster_token token = { 0 };
	char id[JOIN_ID_SIZE];
	struct error err = { 0 };

	api_cluster_token(&here.ctx, ops_request(ROUTE_CLUSTER_TOKEN, "", "{\"host\":\"h4\"}"));
	assert_refused(400, "host: is not the UUID of a host");
	api_cluster_token(
	    &here.ctx, ops_request(ROUTE_CLUSTER_TOKEN, "", "{\"host\":\"" NEW "\"}"));
	ops_end_job(WORK_CLUSTER_SIGN, &result);
	assert_int_equal(here.status, 200);
	assert_int_equal(
	    json_decode(&cluster_token_model, here.body, strlen(here.body), &token, &err), 0);
	assert_int_equal(joins_find(here.ctx.joins, token.secret, id), JOIN_GOOD);
	assert_true(joins_is_for(here.ctx.joins, id, NEW));
	model_clear(&cluster_token_model, &token);
}

/* Who has a token that says so gets the CA's key, and does not where it has not asked. */
static void
test_ca_key(void **state)
{
	char certificate[] = "one", sealed[] = "sealed";
	const struct cluster_sign_result result = { .certificate = certificate, .sealed = sealed };
	struct cluster_member member = { 0 };
	struct error err = { 0 };

	add_token("gives", "", true);
	query = "ca=true";
	ask_to_join(SECRET, NEW, "h4");
	assert_refused(403, "'virtx cluster token --ca' makes one");
	query = "ca=false";
	ask_to_join(SECRET, NEW, "h4");
	assert_false(
	    ((const struct cluster_sign_request *)ops_request_of(WORK_CLUSTER_SIGN))->gives_ca_key);
	ops_fail_job(WORK_CLUSTER_SIGN, 500, "it failed");
	query = "ca=true";
	ask_to_join("gives", NEW, "h4");
	assert_true(
	    ((const struct cluster_sign_request *)ops_request_of(WORK_CLUSTER_SIGN))->gives_ca_key);
	ops_end_job(WORK_CLUSTER_SIGN, &result);
	assert_int_equal(here.status, 200);
	assert_int_equal(
	    json_decode(&cluster_member_model, here.body, strlen(here.body), &member, &err), 0);
	assert_string_equal(member.ca_key, "sealed");
	model_clear(&cluster_member_model, &member);
}

/* A host of the cluster gets it later, from its own address by a token for it alone. */
static void
test_ca_key_later(void **state)
{
	struct cluster_member member = { 0 };

	ops_add_host(H2, "h2", 1000);
	add_token("gives", "", true);
	add_token("own", H2, true);
	query = "ca=true";
	ask_to_join("own", H2, "h4");
	assert_refused(409, "is active and has this UUID");
	from = "192.0.2.2";
	ask_to_join("gives", H2, "h4");
	assert_refused(409, "is active and has this UUID");
	query = NULL;
	ask_to_join("own", H2, "h4");
	assert_refused(409, "is active and has this UUID");
	query = "ca=true";
	ask_to_join("own", H2, "h4");
	sign(&member);
	model_clear(&cluster_member_model, &member);
}

/* Where the CA is the site's own, no host has its key, and one that joins has its certificates. */
static void
test_own_ca(void **state)
{
	char ca[] = "three", key[] = "four", print[] = "5";
	const struct cluster_sign_result result = {
		.ca = ca, .fingerprint = print, .serf_key = key, .sanlock_group = 179
	};
	struct cluster_join join = { .uuid = (char[]){ NEW }, .name = (char[]){ "h4" } };
	struct cluster_member member = { 0 };
	_free_ char *body = NULL;
	struct error err = { 0 };

	str_set(&here.config.tls_ca_key, "");
	api_cluster_join(&here.ctx, request_by(SECRET, &join, &body));
	assert_refused(501, "does not have the key of the cluster's CA");
	str_set(&here.config.serf_encrypt_file, "/etc/virtx/serf-encrypt.key");
	ask_to_join(SECRET, NEW, "h4");
	assert_refused(501, "does not have the key of the cluster's CA");
	free(body);
	api_cluster_join(&here.ctx, request_by(SECRET, &join, &body));
	ops_end_job(WORK_CLUSTER_SIGN, &result);
	assert_int_equal(here.status, 200);
	assert_int_equal(
	    json_decode(&cluster_member_model, here.body, strlen(here.body), &member, &err), 0);
	assert_string_equal(member.serf_key, "four");
	assert_string_equal(str_or_empty(member.certificate), "");
	model_clear(&cluster_member_model, &member);
	/* Where there is a key, a host without a request gets nothing. */
	str_set(&here.config.tls_ca_key, "/etc/virtx/ca.key");
	free(body);
	api_cluster_join(&here.ctx, request_by("another", &join, &body));
	assert_refused(400, "request");
}

/* No admin but root of a host that has it has such a token made, whatever a host states of who
 * asks. */
static void
test_ca_token(void **state)
{
	static const struct {
		const char *client, *user;
		bool may;
	} rows[] = {
		{ "192.0.2.9", "token:boss", false },
		{ "192.0.2.9", "uid:0", false },
		{ "unix", "uid:1000", false },
		{ "unix", "uid:0", true },
	};
	char print[] = "5", ca[] = "c", key[] = "k", id[JOIN_ID_SIZE];
	const struct cluster_sign_result result = {
		.fingerprint = print, .ca = ca, .serf_key = key
	};
	struct cluster_token token = { 0 };
	struct error err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct request *req = ops_request(ROUTE_CLUSTER_TOKEN, "", "");

		req->query = "ca=true";
		req->client = rows[i].client;
		req->user = rows[i].user;
		api_cluster_token(&here.ctx, req);
		if (!rows[i].may)
			assert_refused(403, "is made by root on a host that has it");
	}
	ops_end_job(WORK_CLUSTER_SIGN, &result);
	assert_int_equal(
	    json_decode(&cluster_token_model, here.body, strlen(here.body), &token, &err), 0);
	assert_int_equal(joins_find(here.ctx.joins, token.secret, id), JOIN_GOOD);
	assert_true(joins_gives_ca(here.ctx.joins, id));
	model_clear(&cluster_token_model, &token);
}

/* Nobody joins but by a token, as a host, and what is asked for has to be clear. */
static void
test_who(void **state)
{
	struct cluster_join join = { .uuid = (char[]){ NEW }, .name = (char[]){ "h4" } };
	_free_ char *body = NULL;
	struct request *req = request_by(SECRET, &join, &body);

	caller.role = ROLE_ADMIN;
	api_cluster_join(&here.ctx, req);
	assert_refused(403, "a host joins by a token");
	free(body);
	req = request_by(SECRET, &join, &body);
	req->user = "uid:0";
	api_cluster_join(&here.ctx, req);
	assert_refused(403, "a host joins by a token");
	ask_to_join(SECRET, "h4", "h4");
	assert_refused(400, "uuid: is not the UUID of a host");
	query = "ca=maybe";
	ask_to_join(SECRET, NEW, "h4");
	assert_refused(400, "ca");
}

/* What others could not ask is of no use to who joins, whose token is as good as before. */
static void
test_no_address(void **state)
{
	struct cluster_member member = { 0 };
	const char *const any[] = { "0.0.0.0", "::" };

	ask_to_join(SECRET, NEW, "h4");
	for (size_t i = 0; i < ARRAY_SIZE(any); i++) {
		str_set(&here.config.listen[0].addr, any[i]);
		end_signing();
		assert_refused(409, "does not listen by 'tls' at an address");
		ask_to_join(SECRET, NEW, "h4");
	}
	str_set(&here.config.listen[0].addr, "2001:db8::1");
	sign(&member);
	assert_string_equal(member.addresses, "[2001:db8::1]");
	model_clear(&cluster_member_model, &member);
}

/* virtxd stops: nobody has joined by the token. */
static void
test_stopped(void **state)
{
	char id[JOIN_ID_SIZE];

	ask_to_join(SECRET, NEW, "h4");
	assert_int_equal(joins_find(here.ctx.joins, SECRET, id), JOIN_USED);
	signings_free(&here.ctx);
	assert_int_equal(here.status, 503);
	assert_non_null(strstr(here.body, "virtxd stops"));
	assert_int_equal(joins_find(here.ctx.joins, SECRET, id), JOIN_GOOD);
}

/* The same, while it is kept that the host is in again. */
static void
test_stopped_letting_in(void **state)
{
	struct tokens *tokens = tokens_new();
	struct token_set none = { 0 };
	char id[JOIN_ID_SIZE];

	here.ctx.tokens =
	    token_keeper_new(here.ctx.base, &here.config, here.ctx.jobs, tokens, on_changed, NULL);
	ops_end_job(WORK_TOKENS_LOAD, &none);
	tokens_put_out(tokens, NEW, true);
	add_token("own", NEW, false);
	ask_to_join("own", NEW, "h4");
	end_signing();
	assert_non_null(ops_find_job(WORK_HOST_OUT));
	here.status = 0;
	token_keeper_free(here.ctx.tokens);
	here.ctx.tokens = NULL;
	assert_refused(503, "virtxd stops");
	assert_int_equal(joins_find(here.ctx.joins, "own", id), JOIN_GOOD);
	tokens_free(tokens);
}

static void
ask_for_token(const char *body)
{
	here.status = 0;
	api_cluster_token(&here.ctx, ops_request(ROUTE_CLUSTER_TOKEN, "", body));
}

/* A token that would be of no use is not made. */
static void
test_no_token(void **state)
{
	char print[] = "5", ca[] = "c", key[] = "k";
	const struct cluster_sign_result result = {
		.fingerprint = print, .ca = ca, .serf_key = key
	};
	struct request *req;
	struct joins *joins = here.ctx.joins;

	ask_for_token("{\"lifetime\":-1}");
	assert_refused(400, "lifetime: -1 is not from 0");
	ask_for_token("{\"lifetime\":99999999999}");
	assert_refused(400, "lifetime: 99999999999 is not from 0");
	ask_for_token("{\"no\":1}");
	assert_refused(400, "no");
	req = ops_request(ROUTE_CLUSTER_TOKEN, "", "");
	req->query = "ca=maybe";
	api_cluster_token(&here.ctx, req);
	assert_refused(400, "ca");
	here.ctx.joins = NULL;
	ask_for_token("");
	assert_refused(501, "no host joins by this one");
	here.ctx.joins = joins;
	ask_for_token("");
	ops_fail_job(WORK_CLUSTER_SIGN, 500, "the CA has ended");
	assert_refused(500, "the CA has ended");
	ask_for_token("");
	here.config.listen[0].transport = TRANSPORT_PLAIN;
	ops_end_job(WORK_CLUSTER_SIGN, &result);
	assert_refused(409, "does not listen by 'tls' at an address");
	str_set(&here.config.tls_ca_key, "");
	req = ops_request(ROUTE_CLUSTER_TOKEN, "", "");
	req->query = "ca=true";
	req->client = CALLER_UNIX;
	req->user = CALLER_ROOT;
	api_cluster_token(&here.ctx, req);
	assert_refused(501, "does not have the key of the CA itself");
}

#undef TEST
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_join),
		TEST(test_name_of_another),
		TEST(test_no_name),
		TEST(test_names),
		TEST(test_known_host),
		TEST(test_put_out),
		TEST(test_token_for_one),
		TEST(test_ca_key),
		TEST(test_ca_key_later),
		TEST(test_ca_token),
		TEST(test_own_ca),
		TEST(test_who),
		TEST(test_no_address),
		TEST(test_stopped),
		TEST(test_stopped_letting_in),
		TEST(test_no_token),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
