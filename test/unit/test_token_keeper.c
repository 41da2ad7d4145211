/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tokens: read, made, revoked, and told of. */
#include "token_host.h"

#include <unistd.h>

#include "domain/out_copy.h"

#define GONE "a0000000-0000-4000-8000-00000000000e"

static enum token_match
match(const char *secret)
{
	const struct token *found;

	return tokens_find(tokens, secret, &found);
}

static void
test_reads(void **state)
{
	const struct tokens_load_request *req = ops_request_of(WORK_TOKENS_LOAD);
	struct token_set same = { .same = true, .stamp = (char[]){ "1" } };
	int whole = 0;

	assert_string_equal(str_or_empty(req->stamp), "");
	assert_int_equal(match("a"), TOKEN_UNREAD);
	ask(ROUTE_TOKEN_LIST, "", "");
	assert_int_equal(here.status, 503);
	LOADED("1", "a");
	assert_int_equal(match("a"), TOKEN_GOOD);
	assert_string_equal(token_keeper_why(here.ctx.tokens), "");
	ask(ROUTE_TOKEN_LIST, "", "");
	assert_int_equal(here.status, 200);
	assert_non_null(strstr(here.body, "\"name\":\"a\",\"role\":1"));
	assert_null(strstr(here.body, "hash"));

	/* With each collection, but not what has not changed for a while. */
	ops_advance(here.config.collect_period * 1000);
	LOADED("1", "a");
	ops_advance(here.config.collect_period * 1000);
	req = ops_request_of(WORK_TOKENS_LOAD);
	assert_string_equal(req->stamp, "1");
	ops_end_job(WORK_TOKENS_LOAD, &same);
	assert_int_equal(match("a"), TOKEN_GOOD);
	ops_advance(here.config.collect_period * 1000);
	LOADED("2", "b");
	assert_int_equal(match("a"), TOKEN_WRONG);
	assert_int_equal(match("b"), TOKEN_GOOD);
	ops_advance(here.config.collect_period * 1000);
	LOADED("2", "b");
	/* All of it now and then, whatever the folder's time says. */
	for (int64_t ms = 0; ms < 600 * 1000; ms += here.config.collect_period * 1000) {
		ops_advance(here.config.collect_period * 1000);
		req = ops_request_of(WORK_TOKENS_LOAD);
		if (str_empty(req->stamp)) {
			whole++;
			LOADED("2", "b");
		} else {
			ops_end_job(WORK_TOKENS_LOAD, &same);
		}
	}
	assert_int_equal(whole, 1);
}

/* A change right after another one may leave the folder's time as it was: what was read within two
 * seconds of the first is read once more, whatever the clocks say. */
static void
test_settled(void **state)
{
	const struct tokens_load_request *req;

	LOADED("1", "a");
	token_keeper_told(here.ctx.tokens);
	ops_advance(1000);
	LOADED("1", "a");
	token_keeper_told(here.ctx.tokens);
	ops_advance(1500);
	req = ops_request_of(WORK_TOKENS_LOAD);
	assert_string_equal(str_or_empty(req->stamp), "");
	LOADED("1", "b");
	assert_int_equal(match("b"), TOKEN_GOOD);
	token_keeper_told(here.ctx.tokens);
	ops_advance(2500);
	LOADED("1", "b");
	token_keeper_told(here.ctx.tokens);
	ops_advance(500);
	req = ops_request_of(WORK_TOKENS_LOAD);
	assert_string_equal(req->stamp, "1");
	/* Without a stamp all are read each time. */
	LOADED("", "b");
	for (int i = 0; i < 3; i++) {
		ops_advance(here.config.collect_period * 1000);
		req = ops_request_of(WORK_TOKENS_LOAD);
		assert_string_equal(str_or_empty(req->stamp), "");
		LOADED("", "b");
	}
}

/* They stay known while the storage hangs. */
static void
test_no_storage(void **state)
{
	LOADED("1", "a");
	ops_advance(here.config.collect_period * 1000);
	ops_fail_job(WORK_TOKENS_LOAD, 507, "it hangs");
	assert_int_equal(match("a"), TOKEN_GOOD);
	assert_string_equal(token_keeper_why(here.ctx.tokens), "it hangs");
	ops_advance(here.config.collect_period * 1000);
	assert_non_null(ops_find_job(WORK_TOKENS_LOAD));
	/* One that does not end is not asked again. */
	ops_advance(here.config.collect_period * 3000);
	ops_fail_job(WORK_TOKENS_LOAD, 504, "late");
	assert_null(ops_find_job(WORK_TOKENS_LOAD));
	assert_int_equal(match("a"), TOKEN_GOOD);
}

/* /readyz and the figures say what is wrong with them. */
static void
test_wrong(void **state)
{
	struct token_set set = { .stamp = xstrdup("1"), .damaged = xstrdup("'x' is malformed") };

	ask(ROUTE_READYZ, "", "");
	assert_non_null(strstr(here.body, "\"tokens\":\"they were not read yet\""));
	ops_end_job(WORK_TOKENS_LOAD, &set);
	ask(ROUTE_READYZ, "", "");
	assert_non_null(strstr(here.body, "\"tokens\":\"'x' is malformed\""));
	model_clear(&token_set_model, &set);
	ops_advance(here.config.collect_period * 1000);
	LOADED("2", "a");
	ask(ROUTE_READYZ, "", "");
	assert_non_null(strstr(here.body, "\"tokens\":\"\""));
	ops_advance(here.config.collect_period * 1000);
	ops_fail_job(WORK_TOKENS_LOAD, 507, "it hangs");
	ask(ROUTE_READYZ, "", "");
	assert_non_null(strstr(here.body, "\"tokens\":\"it hangs\""));
}

/* A host that is asked for itself says the same; of another one nobody knows it. */
static void
test_health(void **state)
{
	static const char told[] = "\"health\":{\"ready\":", version[] = "\"" VIRTX_VERSION "\"";

	inventory_set_host(here.ctx.inventory, H2, "h2", CSTATE_FAILED);
	ask(ROUTE_HOST_GET, SELF, "");
	assert_non_null(strstr(here.body, told));
	assert_non_null(strstr(here.body, "\"tokens\":\"they were not read yet\""));
	assert_non_null(strstr(here.body, version));
	ask(ROUTE_HOST_GET, H2, "");
	assert_non_null(strstr(here.body, told));
	assert_non_null(strstr(here.body, "\"tokens\":\"\",\"version\":\"\""));
}

static void
test_make(void **state)
{
	const struct token_save_request *req;
	struct token_made made = { 0 };
	struct token_save_result none = { 0 };
	struct error err = { 0 };
	char hash[TOKEN_HASH_LEN + 1];

	LOADED("1");
	ask(ROUTE_TOKEN_CREATE, "", "{\"name\":\"ci\",\"role\":2,\"lifetime\":60}");
	assert_int_equal(here.status, 0);
	req = ops_request_of(WORK_TOKEN_SAVE);
	assert_string_equal(req->record.token.name, "ci");
	assert_int_equal(req->record.token.role, ROLE_OPERATOR);
	assert_int_equal(req->record.token.expires, req->record.token.created + 60000);
	assert_string_equal(req->record.token.user, "me");
	snprintf(hash, sizeof(hash), "%s", req->record.hash);
	ops_end_job(WORK_TOKEN_SAVE, &none);
	assert_int_equal(here.status, 200);
	assert_non_null(strstr(here.headers, "Cache-Control: no-store\n"));
	assert_int_equal(changes, 1);
	assert_int_equal(
	    json_decode_exact(&token_made_model, here.body, strlen(here.body), &made, &err), 0);
	assert_int_equal(match(made.secret), TOKEN_GOOD);
	/* What is kept is not the secret. */
	assert_null(strstr(made.secret, hash));
	assert_int_equal(made.token.role, ROLE_OPERATOR);
	model_clear(&token_made_model, &made);

	ask(ROUTE_TOKEN_CREATE, "", "{\"name\":\"ci\",\"role\":2}");
	ops_fail_job(WORK_TOKEN_SAVE, 422, "there is one");
	assert_int_equal(here.status, 422);
}

/* What is kept of a certificate is what the job has found, and it needs the CA's key. */
static void
test_make_certificate(void **state)
{
	static const char asked[] = "{\"name\":\"alice\",\"role\":2,\"request\":\"a request\"}";
	const struct token_save_request *req;
	struct token_save_result done = { 0 };
	struct token_made made = { 0 };
	const struct token *found;
	struct error err = { 0 };
	char hash[TOKEN_HASH_LEN + 1];

	LOADED("1");
	ask(ROUTE_TOKEN_CREATE, "", asked);
	assert_int_equal(here.status, 501);
	assert_non_null(strstr(here.body, "key of the cluster's CA"));
	assert_null(ops_find_job(WORK_TOKEN_SAVE));
	str_set(&here.config.tls_ca, "/ca.pem");
	str_set(&here.config.tls_ca_key, "/ca.key");
	ask(ROUTE_TOKEN_CREATE, "", asked);
	req = ops_request_of(WORK_TOKEN_SAVE);
	assert_true(req->record.token.certificate);
	assert_string_equal(req->ca, "/ca.pem");
	assert_string_equal(req->ca_key, "/ca.key");
	assert_string_equal(req->request, "a request");
	assert_string_equal(str_or_empty(req->record.hash), "");
	assert_int_equal(req->record.token.expires,
	    req->record.token.created + TOKEN_CERTIFICATE_LIFETIME * 1000);
	token_secret_hash("a certificate", hash);
	done.hash = hash;
	done.certificate = (char *)"a certificate";
	ops_end_job(WORK_TOKEN_SAVE, &done);
	assert_int_equal(here.status, 200);
	assert_int_equal(changes, 1);
	assert_int_equal(
	    json_decode_exact(&token_made_model, here.body, strlen(here.body), &made, &err), 0);
	assert_string_equal(made.certificate, "a certificate");
	assert_string_equal(made.secret, "");
	assert_true(made.token.certificate);
	model_clear(&token_made_model, &made);
	assert_int_equal(tokens_find_certificate(tokens, hash, &found), TOKEN_GOOD);
	assert_int_equal(match("a certificate"), TOKEN_WRONG);
	/* What asks for what cannot be signed has changed nothing. */
	ask(ROUTE_TOKEN_CREATE, "", asked);
	ops_fail_job(WORK_TOKEN_SAVE, 400, "it is no request");
	assert_int_equal(here.status, 400);
	assert_int_equal(changes, 1);
	ask(ROUTE_TOKEN_CREATE, "",
	    "{\"name\":\"a\",\"role\":2,\"lifetime\":31536001,\"request\":\"a request\"}");
	assert_int_equal(here.status, 400);
}

static void
test_refused(void **state)
{
	static const char *const bodies[] = { "{}", "{\"name\":\"ci\"}", "{\"role\":1}",
		"{\"name\":\"ci\",\"role\":0}", "{\"name\":\"ci\",\"role\":4}",
		"{\"name\":\".ci\",\"role\":1}", "{\"name\":\"ci\",\"role\":1,\"lifetime\":-1}",
		"{\"name\":\"ci\",\"role\":1,\"lifetime\":9999999999}",
		"{\"name\":\"ci\",\"role\":1,\"only\":\"a=b\"}" };

	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		ask(ROUTE_TOKEN_CREATE, "", bodies[i]);
		if (here.status != 400)
			fail_msg("%s: %d", bodies[i], here.status);
	}
	assert_null(ops_find_job(WORK_TOKEN_SAVE));
}

/* One that is revoked while a job reads does not come back with what that has read before. */
static void
test_revoke(void **state)
{
	struct token none = { 0 };

	LOADED("1", "a", "b");
	ops_advance(here.config.collect_period * 1000);
	ask(ROUTE_TOKEN_REVOKE, "a", "");
	assert_string_equal(
	    ((const struct token_revoke_request *)ops_request_of(WORK_TOKEN_REVOKE))->name, "a");
	assert_int_equal(match("a"), TOKEN_GOOD);
	ops_end_job(WORK_TOKEN_REVOKE, &none);
	assert_int_equal(here.status, 204);
	assert_int_equal(changes, 1);
	assert_int_equal(match("a"), TOKEN_WRONG);
	LOADED("1", "a", "b");
	assert_int_equal(match("a"), TOKEN_WRONG);
	/* And the rest of that is taken. */
	assert_int_equal(match("b"), TOKEN_GOOD);
	ops_advance(here.config.collect_period * 1000);
	LOADED("2", "b");

	ask(ROUTE_TOKEN_REVOKE, "a", "");
	ops_fail_job(WORK_TOKEN_REVOKE, 404, "there is none");
	assert_int_equal(here.status, 404);
	assert_int_equal(changes, 1);
	assert_null(ops_find_job(WORK_TOKENS_LOAD));
}

/* Where the storage is not as it should be, who has lost a token can still have it revoked. */
static void
test_revoke_without_datastore(void **state)
{
	struct collect_result res = { .host = { .uuid = xstrdup(SELF) } };
	struct token none = { 0 };

	LOADED("1", "a");
	here.unattended = true;
	keeper_set_libvirt(here.ctx.keeper, true);
	ops_end_job(WORK_COLLECT, &res);
	model_clear(&collect_result_model, &res);
	ops_fail_job(WORK_STORAGE_CHECK, 503, "there is no '/vms/ds'");
	ask(ROUTE_TOKEN_CREATE, "", "{\"name\":\"ci\",\"role\":2}");
	assert_int_equal(here.status, 503);
	ask(ROUTE_TOKEN_REVOKE, "a", "");
	ops_end_job(WORK_TOKEN_REVOKE, &none);
	assert_int_equal(here.status, 204);
	assert_int_equal(match("a"), TOKEN_WRONG);
}

/* A secret that is given for a name is not told again. */
static void
test_secret_for_name(void **state)
{
	char secret[TOKEN_SECRET_SIZE];
	_free_ char *body = NULL;

	LOADED("1", "a");
	token_secret_make(secret);
	ask(ROUTE_TOKEN_REVOKE, secret, "");
	assert_int_equal(here.status, 404);
	assert_non_null(strstr(here.body, "'virtx_...'"));
	assert_null(ops_find_job(WORK_TOKEN_REVOKE));
	body = xasprintf("{\"name\":\"%s\",\"role\":2}", secret);
	ask(ROUTE_TOKEN_CREATE, "", body);
	assert_int_equal(here.status, 400);
	assert_non_null(strstr(here.body, "'virtx_...'"));
}

/* Where a job has failed it is found out what it has done, and the others are told; a refusal says
 * that it did nothing. */
static void
test_failed_change(void **state)
{
	static const struct {
		int status;
		bool done;
	} cases[] = { { 507, true }, { 504, true }, { 500, true }, { 503, false }, { 422, false } };

	LOADED("1", "a", "b");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		changes = 0;
		ask(ROUTE_TOKEN_REVOKE, "a", "");
		ops_fail_job(WORK_TOKEN_REVOKE, cases[i].status, "it failed");
		assert_int_equal(here.status, cases[i].status);
		assert_int_equal(changes, cases[i].done);
		assert_true(!ops_find_job(WORK_TOKENS_LOAD) == !cases[i].done);
		if (cases[i].done)
			LOADED("1", "a", "b");
		ask(ROUTE_TOKEN_CREATE, "", "{\"name\":\"ci\",\"role\":2}");
		ops_fail_job(WORK_TOKEN_SAVE, cases[i].status, "it failed");
		assert_int_equal(here.status, cases[i].status);
		assert_true(!ops_find_job(WORK_TOKENS_LOAD) == !cases[i].done);
		if (cases[i].done)
			LOADED("1", "a", "b");
	}
	/* One that is known here alone has ended before. */
	changes = 0;
	ask(ROUTE_TOKEN_REVOKE, "a", "");
	ops_fail_job(WORK_TOKEN_REVOKE, 404, "there is none");
	assert_int_equal(match("a"), TOKEN_WRONG);
	assert_int_equal(match("b"), TOKEN_GOOD);
	assert_int_equal(changes, 1);
	assert_non_null(ops_find_job(WORK_TOKENS_LOAD));
}

/* What another host has changed is known within a second, however often it says so. */
static void
test_told(void **state)
{
	token_keeper_told(here.ctx.tokens);
	ops_advance(500);
	LOADED("1", "a");
	/* What that has read may be old. */
	assert_int_equal(match("a"), TOKEN_GOOD);
	ops_advance(500);
	LOADED("2", "b");
	assert_int_equal(match("a"), TOKEN_WRONG);
	assert_null(ops_find_job(WORK_TOKENS_LOAD));
	for (int i = 0; i < 100; i++)
		token_keeper_told(here.ctx.tokens);
	assert_null(ops_find_job(WORK_TOKENS_LOAD));
	ops_advance(500);
	LOADED("3");
	assert_null(ops_find_job(WORK_TOKENS_LOAD));
	assert_int_equal(match("b"), TOKEN_WRONG);
	assert_int_equal(changes, 0);
}

/* Who tells without end keeps nothing from being known. */
static void
test_told_without_end(void **state)
{
	static const char *const names[] = { "a", "b", "c", "d", "e" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		for (int k = 0; k < 10; k++) {
			token_keeper_told(here.ctx.tokens);
			ops_advance(100);
		}
		LOADED("1", names[i]);
		assert_int_equal(match(names[i]), TOKEN_GOOD);
		assert_null(ops_find_job(WORK_TOKENS_LOAD));
	}
}

/* A read that has failed is tried again soon, and then later and later, but not as late as others
 * collect. */
static void
test_failed_read(void **state)
{
	here.config.collect_period = 3600;
	token_keeper_reload(here.ctx.tokens);
	LOADED("1", "a");
	token_keeper_told(here.ctx.tokens);
	ops_advance(500);
	for (int64_t ms = 1000; ms < 64000; ms *= 2) {
		ops_fail_job(WORK_TOKENS_LOAD, 507, "it stutters");
		assert_null(ops_find_job(WORK_TOKENS_LOAD));
		ops_advance(ms < 15000 ? ms / 2 : 5000);
		if (ms <= 4000)
			assert_null(ops_find_job(WORK_TOKENS_LOAD));
		ops_advance(ms < 15000 ? ms / 2 : 15000);
		assert_non_null(ops_find_job(WORK_TOKENS_LOAD));
	}
	LOADED("2", "b");
	assert_int_equal(match("a"), TOKEN_WRONG);
	/* It begins anew. */
	ops_advance(20000);
	ops_fail_job(WORK_TOKENS_LOAD, 507, "it stutters");
	ops_advance(1000);
	assert_non_null(ops_find_job(WORK_TOKENS_LOAD));
}

/* Neither does one that cannot be read wait for long, nor those that can. */
static void
test_unread(void **state)
{
	struct token_set set = { 0 };

	LOADED("1", "a", "b");
	ops_advance(here.config.collect_period * 1000);
	model_append(&set.unread, &set.n_unread)->name = xstrdup("b");
	ops_end_job(WORK_TOKENS_LOAD, &set);
	assert_int_equal(match("a"), TOKEN_WRONG);
	assert_int_equal(match("b"), TOKEN_GOOD);
	assert_null(ops_find_job(WORK_TOKENS_LOAD));
	ops_advance(1000);
	LOADED("2");
	assert_int_equal(match("b"), TOKEN_WRONG);
	model_clear(&token_set_model, &set);
}

/* No second process is lost to a storage that hangs. */
static void
test_stuck(void **state)
{
	here.stuck = true;
	ops_fail_job(WORK_TOKENS_LOAD, 504, "written off");
	for (int i = 0; i < 20; i++) {
		token_keeper_told(here.ctx.tokens);
		ops_advance(5000);
		assert_null(ops_find_job(WORK_TOKENS_LOAD));
	}
	assert_string_equal(token_keeper_why(here.ctx.tokens), "written off");
	here.stuck = false;
	ops_advance(here.config.collect_period * 1000);
	LOADED("1", "a");
	assert_int_equal(match("a"), TOKEN_GOOD);
}

/* Who waits when virtxd stops is answered. */
static void
test_stop(void **state)
{
	LOADED("1");
	ask(ROUTE_TOKEN_CREATE, "", "{\"name\":\"ci\",\"role\":2}");
	token_keeper_free(here.ctx.tokens);
	here.ctx.tokens = NULL;
	assert_int_equal(here.status, 503);
	ask(ROUTE_TOKEN_REVOKE, "a", "");
	assert_int_equal(here.status, 503);
}

/* Started while the storage is away, it takes no host that was put out, as far as it knew. */
static void
test_put_out_before_a_start(void **state)
{
	_free_ char *dir = xasprintf("%s/virtx-test-XXXXXX", getenv("TMPDIR") ?: "/tmp");
	_free_ char *file = NULL;
	struct token_keeper *keeper;
	struct token_set set = { 0 };
	struct error err = { 0 };

	assert_non_null(mkdtemp(dir));
	file = xasprintf("%s/" OUT_COPY_NAME, dir);
	model_append(&set.out, &set.n_out)->name = xstrdup(GONE);
	assert_int_equal(out_copy_save(dir, &set, &err), 0);
	model_clear(&token_set_model, &set);
	str_set(&here.config.state_dir, dir);
	assert_false(tokens_is_out(tokens, GONE));
	keeper =
	    token_keeper_new(here.ctx.base, &here.config, here.ctx.jobs, tokens, on_changed, NULL);
	assert_true(tokens_is_out(tokens, GONE));
	token_keeper_free(keeper);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(rmdir(dir), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		KEEPER_TEST(test_reads),
		KEEPER_TEST(test_put_out_before_a_start),
		KEEPER_TEST(test_settled),
		KEEPER_TEST(test_no_storage),
		KEEPER_TEST(test_wrong),
		KEEPER_TEST(test_health),
		KEEPER_TEST(test_make),
		KEEPER_TEST(test_make_certificate),
		KEEPER_TEST(test_refused),
		KEEPER_TEST(test_revoke),
		KEEPER_TEST(test_revoke_without_datastore),
		KEEPER_TEST(test_secret_for_name),
		KEEPER_TEST(test_failed_change),
		KEEPER_TEST(test_told),
		KEEPER_TEST(test_told_without_end),
		KEEPER_TEST(test_failed_read),
		KEEPER_TEST(test_unread),
		KEEPER_TEST(test_stuck),
		KEEPER_TEST(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
