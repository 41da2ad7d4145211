/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hosts that are forgotten, and put out. */
#include "token_host.h"

#include "ops/forget.h"

#define H4 "a0000000-0000-4000-8000-000000000004"

/* A host that is forgotten stays out where hosts are known by certificates. */
static void
test_host_forgotten(void **state)
{
	const struct host_out_request *request;
	struct error err = { 0 };
	struct token none = { 0 };

	assert_int_equal(token_keeper_check_host(here.ctx.tokens, H2, &err), -1);
	assert_int_equal(err.status, 503);
	LOADED("1");
	assert_int_equal(token_keeper_check_host(here.ctx.tokens, H2, &err), 0);
	str_set(&here.config.tls_certificate, "/etc/virtx/host.pem");
	ops_add_host(H2, "h2", 1000);
	ask(ROUTE_HOST_FORGET, H2, "");
	assert_int_equal(here.status, 409);
	inventory_set_host(here.ctx.inventory, H2, "h2", CSTATE_FAILED);
	/* Not before that is kept. */
	ask(ROUTE_HOST_FORGET, H2, "");
	ops_fail_job(WORK_HOST_OUT, 507, "no room");
	assert_int_equal(here.status, 507);
	assert_non_null(inventory_find_host(here.ctx.inventory, H2));
	assert_int_equal(token_keeper_check_host(here.ctx.tokens, H2, &err), 0);
	LOADED("1");
	/* It comes back meanwhile: what was done is said. */
	ask(ROUTE_HOST_FORGET, H2, "");
	inventory_set_host(here.ctx.inventory, H2, "h2", CSTATE_ACTIVE);
	ops_end_job(WORK_HOST_OUT, &none);
	assert_int_equal(here.status, 409);
	assert_non_null(strstr(here.body, "remove 'auth/.out." H2 "' of the storage"));
	inventory_set_host(here.ctx.inventory, H2, "h2", CSTATE_FAILED);
	ask(ROUTE_HOST_FORGET, H2, "");
	request = ops_request_of(WORK_HOST_OUT);
	assert_string_equal(request->uuid, H2);
	assert_true(request->out);
	changes = 0;
	ops_end_job(WORK_HOST_OUT, &none);
	assert_int_equal(here.status, 204);
	assert_int_equal(changes, 1);
	assert_null(inventory_find_host(here.ctx.inventory, H2));
	assert_int_equal(token_keeper_check_host(here.ctx.tokens, H2, &err), -1);
	assert_int_equal(err.status, 403);
}

/* One that was away for so long that nobody knows it has its certificate all the same. */
static void
test_unknown_host_forgotten(void **state)
{
	const struct host_out_request *request;
	struct error err = { 0 };
	struct token none = { 0 };

	LOADED("1");
	ask(ROUTE_HOST_FORGET, H2, "");
	assert_int_equal(here.status, 404);
	str_set(&here.config.tls_certificate, "/etc/virtx/host.pem");
	/* It may be active. */
	here.missing = NULL;
	ask(ROUTE_HOST_FORGET, H2, "");
	assert_int_equal(here.status, 503);
	here.missing = "";
	here.serf = "the agent is away";
	ask(ROUTE_HOST_FORGET, H2, "");
	assert_int_equal(here.status, 503);
	assert_non_null(strstr(here.body, "the agent is away"));
	assert_null(ops_find_job(WORK_HOST_OUT));
	here.serf = NULL;
	/* Some VMs are not known, and all hosts are. */
	here.missing = "not known are the VMs of 'h3'";
	ask(ROUTE_HOST_FORGET, H2, "");
	ops_fail_job(WORK_HOST_OUT, 507, "no room");
	assert_int_equal(here.status, 507);
	LOADED("1");
	ask(ROUTE_HOST_FORGET, H2, "");
	request = ops_request_of(WORK_HOST_OUT);
	assert_string_equal(request->uuid, H2);
	assert_true(request->out);
	changes = 0;
	ops_end_job(WORK_HOST_OUT, &none);
	assert_int_equal(here.status, 200);
	assert_non_null(strstr(here.headers, "no host '" H2 "' is known"));
	assert_int_equal(changes, 1);
	assert_int_equal(token_keeper_check_host(here.ctx.tokens, H2, &err), -1);
	assert_int_equal(err.status, 403);
}

/* What the job has found of the certificates of those that are out. */
static void
found_out(const char *taken, bool unsigned_out, bool signed_here)
{
	struct token_set set = { .stamp = xstrdup("1"),
		.taken = xstrdup(taken),
		.unsigned_out = unsigned_out,
		.signed_here = signed_here };

	model_append(&set.out, &set.n_out)->name = xstrdup(H2);
	ops_end_job(WORK_TOKENS_LOAD, &set);
	model_clear(&token_set_model, &set);
}

static void
put_out(void)
{
	struct token none = { 0 };

	str_set(&here.config.tls_certificate, "/etc/virtx/host.pem");
	str_set(&here.config.tls_ca, "/etc/virtx/ca.pem");
	here.config.migrate_tls = true;
	ops_add_host(H2, "h2", 1000);
	inventory_set_host(here.ctx.inventory, H2, "h2", CSTATE_FAILED);
	ask(ROUTE_HOST_FORGET, H2, "");
	ops_end_job(WORK_HOST_OUT, &none);
	/* From here on, whoever has to sign. */
	assert_true(tokens_is_out(tokens, H2));
}

/* It is answered when its certificates are taken back, by this host or another one. */
static void
test_certificates_taken_back(void **state)
{
	const struct tokens_load_request *req;

	LOADED("1");
	changes = 0;
	put_out();
	assert_int_equal(here.status, 0);
	assert_int_equal(changes, 1);
	req = ops_request_of(WORK_TOKENS_LOAD);
	assert_string_equal(req->ca, "/etc/virtx/ca.pem");
	found_out("nobody has signed", true, false);
	assert_int_equal(here.status, 0);
	ask(ROUTE_READYZ, "", "");
	assert_non_null(strstr(here.body, "\"tokens\":\"nobody has signed\""));
	here.status = 0;
	token_keeper_told(here.ctx.tokens);
	ops_advance(500);
	/* By then this host itself has not taken it over, and looks soon. */
	found_out("it is on its way", false, false);
	assert_int_equal(here.status, 204);
	assert_int_equal(changes, 1);
	ops_advance(1500);
	found_out("", false, true);
	/* Of what was signed here the others are told. */
	assert_int_equal(changes, 2);
	ask(ROUTE_READYZ, "", "");
	assert_non_null(strstr(here.body, "\"tokens\":\"\""));
}

/* A read that has begun before says nothing of it. */
static void
test_read_before_put_out(void **state)
{
	put_out();
	found_out("", false, false);
	assert_int_equal(here.status, 0);
	ops_advance(500);
	found_out("", false, false);
	assert_int_equal(here.status, 204);
}

/* Of the site's own CA no host has the key. */
static void
test_own_ca(void **state)
{
	const struct tokens_load_request *req;

	LOADED("1");
	str_set(&here.config.serf_encrypt_file, "/etc/virtx/serf-encrypt.key");
	put_out();
	assert_int_equal(here.status, 200);
	assert_non_null(strstr(here.headers, "a CRL of your CA"));
	req = ops_request_of(WORK_TOKENS_LOAD);
	assert_string_equal(str_or_empty(req->ca), "");
}

/* No host that could sign is up: the operator is told. */
static void
test_nobody_signs(void **state)
{
	LOADED("1");
	put_out();
	found_out("nobody has signed", true, false);
	ops_advance(4000);
	assert_int_equal(here.status, 0);
	ops_advance(2000);
	assert_int_equal(here.status, 200);
	assert_non_null(strstr(here.headers, "Warning: "));
	assert_non_null(strstr(here.headers, "nobody has signed"));
	assert_null(inventory_find_host(here.ctx.inventory, H2));
}

/* As with "?put_out=" and this. */
static void
force(const char *uuid, const char *value, bool looped)
{
	_free_ char *query = xasprintf("put_out=%s", value);
	struct request *req = ops_request(ROUTE_HOST_FORGET, uuid, "");

	here.status = 0;
	req->query = query;
	req->looped = looped;
	api_handle(&here.ctx, req);
}

/* One that is active, by whom nothing is to be believed any more: its VMs stay known. */
static void
test_active_put_out(void **state)
{
	static const char put_out_path[] = "/hosts/" H2 "?put_out=true";
	const struct host *self = inventory_find_host(here.ctx.inventory, SELF);
	struct token none = { 0 };

	LOADED("1");
	inventory_set_tokens(here.ctx.inventory, tokens);
	ops_add_host(H2, "h2", 1000);
	ops_add_host(H3, "h3", 1000);
	ops_add_remote(VM1, H2, VMRUNSTATE_RUNNING);
	force(H2, "maybe", false);
	assert_int_equal(here.status, 400);
	assert_non_null(strstr(here.body, "put_out"));
	force(H2, "true", false);
	assert_int_equal(here.status, 409);
	assert_non_null(strstr(here.body, "no certificates"));
	force(H2, "true", true);
	assert_int_equal(here.status, 409);
	str_set(&here.config.tls_certificate, "/etc/virtx/host.pem");
	force(SELF, "true", false);
	assert_int_equal(here.status, 409);
	assert_non_null(strstr(here.body, "is this one"));
	force(H2, "false", false);
	assert_int_equal(here.status, 409);
	assert_non_null(strstr(here.body, "--put-out"));
	assert_null(ops_find_job(WORK_HOST_OUT));
	/* Not before that is kept. */
	force(H2, "true", false);
	ops_fail_job(WORK_HOST_OUT, 507, "no room");
	assert_int_equal(here.status, 507);
	assert_false(tokens_is_out(tokens, H2));
	LOADED("1");
	force(H2, "true", false);
	ops_end_job(WORK_HOST_OUT, &none);
	assert_true(tokens_is_out(tokens, H2));
	assert_int_equal(here.n_asked, 1);
	assert_string_equal(here.asked[0].host, H3);
	assert_string_equal(here.asked[0].path, put_out_path);
	ops_answer(204, "");
	assert_int_equal(here.status, 200);
	assert_non_null(strstr(here.headers, "its 1 VMs run on there, out of reach"));
	assert_non_null(strstr(here.headers, "serf's key and the storage"));
	assert_non_null(inventory_find_host(here.ctx.inventory, H2));
	assert_non_null(inventory_find_vm(here.ctx.inventory, VM1));
	inventory_set_problems(here.ctx.inventory, NULL, 0);
	assert_int_equal(self->n_problems, 1);
	assert_string_equal(self->problems[0].kind, "put-out");
	assert_non_null(strstr(self->problems[0].detail, "'h2'"));
	/* Once it has failed it is forgotten as any other. */
	inventory_set_host(here.ctx.inventory, H2, "h2", CSTATE_FAILED);
	inventory_set_problems(here.ctx.inventory, NULL, 0);
	assert_int_equal(self->n_problems, 0);
	force(H2, "true", false);
	ops_end_job(WORK_HOST_OUT, &none);
	ops_answer(204, "");
	assert_int_equal(here.status, 204);
	assert_null(inventory_find_host(here.ctx.inventory, H2));
}

/* The host that was asked has written it: this one reads that, and believes nobody's word. */
static void
test_active_put_out_elsewhere(void **state)
{
	LOADED("1");
	str_set(&here.config.tls_certificate, "/etc/virtx/host.pem");
	ops_add_host(H2, "h2", 1000);
	force(H2, "true", true);
	assert_int_equal(here.status, 204);
	assert_null(ops_find_job(WORK_HOST_OUT));
	assert_false(tokens_is_out(tokens, H2));
	assert_null(ops_find_job(WORK_TOKENS_LOAD));
	ops_advance(500);
	found_out("", false, false);
	assert_true(tokens_is_out(tokens, H2));
	assert_non_null(inventory_find_host(here.ctx.inventory, H2));
}

/* By its address it is known alone while it is a member. */
static void
test_host_forgotten_without_certificates(void **state)
{
	struct error err = { 0 };

	LOADED("1");
	ops_add_host(H2, "h2", 1000);
	inventory_set_host(here.ctx.inventory, H2, "h2", CSTATE_FAILED);
	ask(ROUTE_HOST_FORGET, H2, "");
	assert_int_equal(here.status, 204);
	assert_int_equal(token_keeper_check_host(here.ctx.tokens, H2, &err), 0);
}

/* One that has failed, and two others. */
static void
add_others(void)
{
	LOADED("1");
	ops_add_host(H2, "h2", 1000);
	inventory_set_host(here.ctx.inventory, H2, "h2", CSTATE_FAILED);
	ops_add_host(H3, "h3", 1000);
	ops_add_host(H4, "h4", 1000);
}

/* Who does not forget it is named, and why; who does not know it has nothing to forget. */
static void
test_others_asked(void **state)
{
	add_others();
	ask(ROUTE_HOST_FORGET, H2, "");
	assert_null(inventory_find_host(here.ctx.inventory, H2));
	assert_int_equal(here.n_asked, 2);
	assert_string_equal(here.asked[0].path, "/hosts/" H2);
	assert_int_equal(here.asked[0].method, METHOD_DELETE);
	ops_answer(404, "");
	assert_int_equal(here.status, 0);
	ops_answer(0, "it was late");
	assert_int_equal(here.status, 200);
	assert_non_null(strstr(here.headers, "does not forget it: it was late"));
	assert_null(strstr(here.headers, "; host"));
	/* Nobody can be asked. */
	inventory_set_host(here.ctx.inventory, H2, "h2", CSTATE_FAILED);
	here.unreachable = true;
	ask(ROUTE_HOST_FORGET, H2, "");
	assert_int_equal(here.n_asked, 0);
	assert_int_equal(here.status, 200);
	assert_non_null(strstr(here.headers, "host 'h3' does not forget it: serf does not say"));
	assert_non_null(strstr(here.headers, "host 'h4' does not forget it: serf does not say"));
}

/* What another host asks for is for this one. */
static void
test_asked_by_another(void **state)
{
	add_others();
	force(H2, "false", true);
	assert_int_equal(here.status, 204);
	assert_int_equal(here.n_asked, 0);
	assert_null(inventory_find_host(here.ctx.inventory, H2));
}

/* The others go on without a client, who is answered once. */
static void
test_client_gone(void **state)
{
	struct request *req = ops_request(ROUTE_HOST_FORGET, H2, "");

	add_others();
	here.replies = 0;
	api_handle(&here.ctx, req);
	assert_int_equal(here.replies, 0);
	req->watch->gone(req->watch_arg);
	assert_int_equal(here.replies, 1);
	assert_int_equal(here.status, 499);
	ops_answer(204, "");
	ops_answer(503, "");
	assert_int_equal(here.replies, 1);
	assert_true(LIST_EMPTY(&here.ctx.forgettings));
}

/* It is forgotten here: whoever has not answered when virtxd stops is not waited for. */
static void
test_stopped(void **state)
{
	add_others();
	ask(ROUTE_HOST_FORGET, H2, "");
	ops_answer(0, "it was late");
	assert_int_equal(here.status, 0);
	forgettings_free(&here.ctx);
	assert_int_equal(here.status, 200);
	assert_non_null(strstr(here.headers, "does not forget it: it was late"));
}

/* That it is out is not kept when virtxd stops: it is not forgotten. */
static void
test_stopped_putting_out(void **state)
{
	add_others();
	str_set(&here.config.tls_certificate, "/etc/virtx/host.pem");
	ask(ROUTE_HOST_FORGET, H2, "");
	assert_non_null(ops_find_job(WORK_HOST_OUT));
	forgettings_free(&here.ctx);
	assert_int_equal(here.status, 0);
	token_keeper_free(here.ctx.tokens);
	here.ctx.tokens = NULL;
	assert_int_equal(here.status, 503);
	assert_non_null(strstr(here.body, "virtxd stops"));
	assert_non_null(inventory_find_host(here.ctx.inventory, H2));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		KEEPER_TEST(test_host_forgotten),
		KEEPER_TEST(test_unknown_host_forgotten),
		KEEPER_TEST(test_certificates_taken_back),
		KEEPER_TEST(test_read_before_put_out),
		KEEPER_TEST(test_nobody_signs),
		KEEPER_TEST(test_own_ca),
		KEEPER_TEST(test_active_put_out),
		KEEPER_TEST(test_active_put_out_elsewhere),
		KEEPER_TEST(test_host_forgotten_without_certificates),
		KEEPER_TEST(test_others_asked),
		KEEPER_TEST(test_asked_by_another),
		KEEPER_TEST(test_client_gone),
		KEEPER_TEST(test_stopped),
		KEEPER_TEST(test_stopped_putting_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
