/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A listener that lets nobody in who does not show who that is. */
#include "http_fixture.h"

#include <event2/keyvalq_struct.h>
#include <malloc.h>
#include <string.h>
#include <sys/queue.h>

#include "http/headers.h"
#include "proto/token_secret.h"
#include "state/tokens.h"

#define BEARER(secret) "Authorization: Bearer " secret "\r\n"

struct auth_fixture {
	struct fixture *f;
	struct tokens *tokens;
};

static void
add(struct auth_fixture *a, const char *name, enum role role, int64_t expires)
{
	char hash[TOKEN_HASH_LEN + 1];
	struct token_record record = {
		.token = { .name = (char *)name, .role = role, .expires = expires },
		.hash = hash,
	};

	token_secret_hash(name, hash);
	if (strcmp(name, "alice") == 0)
		record.token.only = (struct custom_field){ (char *)"owner", (char *)"alice" };
	tokens_add(a->tokens, &record);
}

/* The secret of each token is its name. */
static int
setup(void **state)
{
	struct auth_fixture *a = xcalloc(1, sizeof(*a));
	struct token_set none = { 0 };

	if (fixture_setup((void **)&a->f) < 0)
		return -1;
	fixture_stop(a->f);
	a->f->config.listen[0].access = ACCESS_AUTH;
	fixture_start(a->f);
	a->tokens = tokens_new();
	tokens_replace(a->tokens, &none);
	add(a, "viewer", ROLE_VIEWER, 0);
	add(a, "operator", ROLE_OPERATOR, 0);
	add(a, "admin", ROLE_ADMIN, now_ms() + 3600000);
	add(a, "alice", ROLE_ADMIN, 0);
	add(a, "old", ROLE_ADMIN, now_ms() - 1);
	http_server_set_tokens(a->f->server, a->tokens);
	*state = a;
	return 0;
}

static int
teardown(void **state)
{
	struct auth_fixture *a = *state;
	void *f = a->f;
	int r = fixture_teardown(&f);

	tokens_free(a->tokens);
	free(a);
	return r;
}

#define AUTH_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

/* Asks on a connection of its own, by a line as "GET /vms" and more headers. */
static void
ask(struct auth_fixture *a, const char *line, const char *headers, struct reply *r)
{
	_free_ char *text = xasprintf("%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", line, headers);
	struct client c;

	client_open(&c, a->f);
	client_send(&c, text);
	read_reply(&c, false, r);
	client_close(&c);
}

static void
expect_status(struct auth_fixture *a, const char *line, const char *headers, int status)
{
	struct reply r;

	ask(a, line, headers, &r);
	if (r.status != status)
		fail_msg("%s with '%s': %d %s", line, headers, r.status, r.body);
	reply_clear(&r);
}

/* Each route, by each role: what is refused names the role that is needed. */
static void
test_each_route(void **state)
{
	static const struct {
		const char *headers;
		enum role role;
	} who[] = {
		{ "", ROLE_NONE },
		{ BEARER("viewer"), ROLE_VIEWER },
		{ BEARER("operator"), ROLE_OPERATOR },
		{ BEARER("admin"), ROLE_ADMIN },
		/* Limited to some VMs: what is of none is nothing for it. */
		{ BEARER("alice"), ROLE_OPERATOR },
	};
	struct auth_fixture *a = *state;

	for (int i = 0; i < ROUTE_N; i++) {
		_free_ char *path = route_path(i, UUID);
		_free_ char *line = xasprintf("%s %s", method_word(routes[i].method), path);

		for (size_t k = 0; k < ARRAY_SIZE(who); k++) {
			unsigned int handled = a->f->handled;
			bool allowed = role_may(who[k].role, routes[i].role);
			struct reply r;

			/* Those that are held, or are a stream, are tried below. */
			if (allowed &&
			    (i == ROUTE_READYZ || i == ROUTE_EVENTS || i == ROUTE_OPENAPI))
				continue;
			ask(a, line, who[k].headers, &r);
			if (who[k].role == ROLE_NONE)
				assert_int_equal(r.status, 401);
			else if ((r.status == 403) == allowed)
				fail_msg("%s: %d for %s", line, r.status, role_name(who[k].role));
			if (r.status == 403 && strstr(who[k].headers, "alice"))
				assert_non_null(strstr(r.body, "'owner' of the value 'alice'"));
			else if (r.status == 403 && routes[i].role != ROLE_HOST)
				assert_non_null(strstr(r.body, role_name(routes[i].role)));
			assert_int_equal(a->f->handled, handled + allowed);
			reply_clear(&r);
		}
	}
}

static void
test_nobody(void **state)
{
	struct auth_fixture *a = *state;
	struct reply r;

	ask(a, "GET /vms", "", &r);
	assert_int_equal(r.status, 401);
	assert_header(&r, "WWW-Authenticate", "Bearer realm=\"virtx\"");
	assert_non_null(strstr(r.body, "/problems/who"));
	reply_clear(&r);
	/* Not even what there is. */
	expect_status(a, "GET /nothing", "", 401);
	expect_status(a, "DELETE /vms", "", 401);
	expect_status(a, "GET /vms", "X-VirtX-Loop: 1\r\nX-Forwarded-For: admin\r\n", 401);
	assert_int_equal(a->f->handled, 0);
}

/* By what name a host is asked is not told to nobody. */
static void
test_names(void **state)
{
	static const struct {
		const char *host, *headers;
		int status;
	} cases[] = {
		{ "localhost", "", 401 },
		{ "nobody.example", "", 401 },
		{ "localhost", "Origin: https://nobody.example\r\n", 401 },
		{ "nobody.example", BEARER("viewer"), 421 },
		{ "localhost", BEARER("viewer") "Origin: https://nobody.example\r\n", 403 },
		{ "localhost", BEARER("viewer"), 204 },
	};
	struct auth_fixture *a = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_free_ char *text = xasprintf(
		    "GET /vms HTTP/1.1\r\nHost: %s\r\n%s\r\n", cases[i].host, cases[i].headers);
		struct client c;

		client_open(&c, a->f);
		client_send(&c, text);
		expect(&c, cases[i].status);
		client_close(&c);
	}
	assert_int_equal(a->f->handled, 1);
}

static void
test_wrong(void **state)
{
	static const struct {
		const char *headers, *words;
	} cases[] = {
		{ BEARER("no"), "no token has this secret" },
		{ BEARER(""), "only 'Bearer SECRET'" },
		{ BEARER("viewer2"), "no token has this secret" },
		{ BEARER("Viewer"), "no token has this secret" },
		{ BEARER("old"), "the token 'old' has expired" },
		{ "Authorization: Basic YWRtaW46YWRtaW4=\r\n", "only 'Bearer SECRET'" },
	};
	struct auth_fixture *a = *state;
	struct http_stats stats;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		/* An address of its own: the first wrong one of it does not wait for long. */
		_free_ char *addr = xasprintf("127.0.1.%zu", i);
		_free_ char *text =
		    xasprintf("GET /vms HTTP/1.1\r\nHost: localhost\r\n%s\r\n", cases[i].headers);
		int64_t from = monotonic_ms();
		struct client c;
		struct reply r;

		client_connect_from(&c, a->f, addr);
		event_add(c.event, NULL);
		client_send(&c, text);
		read_reply(&c, false, &r);
		if (r.status != 401 || !strstr(r.body, cases[i].words))
			fail_msg("%d '%s' does not say '%s'", r.status, r.body, cases[i].words);
		assert_header(
		    &r, "WWW-Authenticate", "Bearer realm=\"virtx\", error=\"invalid_token\"");
		/* No secret is told back, and the answer was held back. */
		assert_null(strstr(r.body, "viewer2"));
		assert_true(monotonic_ms() - from >= 95);
		reply_clear(&r);
		client_close(&c);
	}
	assert_int_equal(a->f->handled, 0);
	http_server_get_stats(a->f->server, &stats);
	assert_int_equal(stats.refusals[REFUSAL_WRONG], ARRAY_SIZE(cases));
	assert_int_equal(stats.refusals[REFUSAL_MISSING], 0);
	expect_status(a, "GET /vms", BEARER("viewer") BEARER("admin"), 400);
}

/* Sends a few at a time that are wrong, from one address; they wait. */
static void
guess(struct auth_fixture *a, const char *addr, struct client *guessers, size_t n)
{
	static const char text[] = "GET /vms HTTP/1.1\r\nHost: localhost\r\n" BEARER("no") "\r\n";

	for (size_t i = 0; i < n; i++) {
		client_connect_from(&guessers[i], a->f, addr);
		event_add(guessers[i].event, NULL);
		client_send(&guessers[i], text);
	}
	run_for(a->f, 50);
}

/* Until all tries from its address have arrived. */
static void
wait_refused(struct client *c, const char *good, int64_t end)
{
	struct reply r;
	int status;

	do {
		client_send(c, good);
		read_reply(c, false, &r);
		status = r.status;
		reply_clear(&r);
	} while (status == 204 && monotonic_ms() < end);
}

/* Of one address few are looked at together: neither more connections nor those that hang up as
 * soon as they know enough get more tries. */
static void
test_tries(void **state)
{
	static const char good[] =
	    "GET /vms HTTP/1.1\r\nHost: localhost\r\n" BEARER("viewer") "\r\n";
	struct auth_fixture *a = *state;
	struct client guessers[4], c;
	struct reply r;
	int64_t began;

	/* Longer waits for what is next. */
	guess(a, "127.0.3.1", guessers, ARRAY_SIZE(guessers));
	for (size_t i = 0; i < ARRAY_SIZE(guessers); i++) {
		expect(&guessers[i], 401);
		client_close(&guessers[i]);
	}
	began = monotonic_ms();
	guess(a, "127.0.3.1", guessers, ARRAY_SIZE(guessers));
	client_connect_from(&c, a->f, "127.0.3.1");
	event_add(c.event, NULL);
	wait_refused(&c, good, began + 1600);
	for (size_t i = 0; i < ARRAY_SIZE(guessers); i++)
		client_close(&guessers[i]);
	client_send(&c, good);
	read_reply(&c, false, &r);
	/* The first of them is over after 1.6 s, which a busy machine may have taken for this. */
	if (monotonic_ms() - began < 1600) {
		_free_ char *after = reply_header(&r, "Retry-After");

		assert_int_equal(r.status, 429);
		assert_non_null(after);
		assert_in_range(strtol(after, NULL, 10), 1, 2);
	}
	reply_clear(&r);
	/* Neither others, nor what has no token, have to wait. */
	client_send(&c, "GET /vms HTTP/1.1\r\nHost: localhost\r\n\r\n");
	expect(&c, 401);
	expect_status(a, "GET /vms", BEARER("viewer"), 204);
	run_for(a->f, 2000);
	client_send(&c, good);
	expect(&c, 204);
	client_close(&c);
}

/* The next that is wrong from there waits for 0.8 s. */
static void
guess_thrice(struct auth_fixture *a, const char *addr)
{
	struct client guessers[3];

	guess(a, addr, guessers, ARRAY_SIZE(guessers));
	for (size_t i = 0; i < ARRAY_SIZE(guessers); i++) {
		expect(&guessers[i], 401);
		client_close(&guessers[i]);
	}
}

/* What waits to be told does not hold its body. */
static void
test_body(void **state)
{
	enum { BODY = 1000000 };
	struct auth_fixture *a = *state;
	_free_ char *body = xcalloc(BODY + 1, 1);
	_free_ char *head = xasprintf("POST /vms HTTP/1.1\r\nHost: localhost\r\n" JSON BEARER(
					  "no") "Content-Length: %d\r\n\r\n",
	    BODY);
	struct client c;
	size_t before;

	/* A machine that is busy takes its time with so much. */
	fixture_stop(a->f);
	a->f->config.request_timeout = 20;
	fixture_start(a->f);
	http_server_set_tokens(a->f->server, a->tokens);
	guess_thrice(a, "127.0.3.1");
	memset(body, ' ', BODY);
	client_connect_from(&c, a->f, "127.0.3.1");
	event_add(c.event, NULL);
	before = mallinfo2().uordblks + mallinfo2().hblkhd;
	client_send(&c, head);
	client_send(&c, body);
	run_for(a->f, 200);
	assert_int_equal(c.in.len, 0);
	assert_true(mallinfo2().uordblks + mallinfo2().hblkhd < before + BODY / 2);
	expect(&c, 401);
	client_close(&c);
}

/* However many guess: most connections are for others. */
static void
test_part(void **state)
{
	struct auth_fixture *a = *state;
	struct client first, second;

	fixture_stop(a->f);
	a->f->config.max_connections = 8;
	fixture_start(a->f);
	http_server_set_tokens(a->f->server, a->tokens);
	guess_thrice(a, "127.0.3.1");
	guess_thrice(a, "127.0.3.2");
	guess(a, "127.0.3.1", &first, 1);
	guess(a, "127.0.3.2", &second, 1);
	expect(&second, 401);
	assert_int_equal(first.in.len, 0);
	expect(&first, 401);
	client_close(&first);
	client_close(&second);
}

/* While one waits, others are served; one that hangs up is forgotten, and so are those that wait
 * when the server ends. */
static void
test_wait(void **state)
{
	static const char guess[] = "GET /vms HTTP/1.1\r\nHost: localhost\r\n" BEARER("no") "\r\n";
	struct auth_fixture *a = *state;
	struct client guessers[3];
	struct http_stats stats;
	int64_t end;

	for (size_t i = 0; i < ARRAY_SIZE(guessers); i++) {
		client_open(&guessers[i], a->f);
		client_send(&guessers[i], guess);
		expect_status(a, "GET /vms", BEARER("viewer"), 204);
	}
	client_close(&guessers[2]);
	end = monotonic_ms() + 5000;
	do {
		run_for(a->f, 10);
		http_server_get_stats(a->f->server, &stats);
	} while (stats.refusals[REFUSAL_WRONG] < 3 && monotonic_ms() < end);
	expect(&guessers[0], 401);
	client_send(&guessers[0], guess);
	run_for(a->f, 50);
	for (size_t i = 0; i < 2; i++)
		client_close(&guessers[i]);
}

/* Who asks is who has the token, whatever they say. */
static void
test_user(void **state)
{
	struct auth_fixture *a = *state;

	expect_status(a, "GET /vms/" UUID "/runstate",
	    BEARER("viewer") "X-VirtX-Loop: 1\r\nX-Forwarded-For: root\r\n", 200);
	assert_string_equal(a->f->user, "token:viewer");
	/* Nor is it a host, which would have asked the others itself. */
	assert_false(a->f->looped);
	expect_status(a, "GET /vms/" UUID "/runstate", "authorization: bearer  admin\r\n", 200);
	assert_string_equal(a->f->user, "token:admin");
	/* Revoked. */
	tokens_drop(a->tokens, "admin");
	expect_status(a, "GET /vms", BEARER("admin"), 401);
}

/* For whom one asks, only hosts may state; who guesses is told no more than others. */
static void
test_states(void **state)
{
	static const char stated[] = BEARER("viewer") "X-VirtX-Loop: 1\r\n"
						      "X-VirtX-Caller: socket admin uid:0 unix\r\n";
	struct auth_fixture *a = *state;
	struct http_stats stats;

	expect_status(a, "GET /vms", stated, 403);
	expect_status(a, "GET /vms", BEARER("admin") "x-virtx-caller:\r\n", 403);
	expect_status(a, "GET /vms", "X-VirtX-Caller: socket admin uid:0 unix\r\n", 401);
	assert_int_equal(a->f->handled, 0);
	http_server_get_stats(a->f->server, &stats);
	assert_int_equal(stats.refusals[REFUSAL_ROLE], 2);
	assert_int_equal(stats.refusals[REFUSAL_MISSING], 1);
}

/* From where a token's owner asks, the proxies that are trusted say. */
static void
test_from(void **state)
{
	struct auth_fixture *a = *state;
	const char *line = "GET /vms/" UUID "/runstate";

	expect_status(a, line, BEARER("viewer") "X-Forwarded-For: 10.0.0.9\r\n", 200);
	assert_string_equal(a->f->caller, "token viewer token:viewer 127.0.0.1");
	str_set(&a->f->config.trusted_proxies, "127.0.0.1");
	expect_status(a, line, BEARER("viewer") "X-Forwarded-For: x, 10.0.0.9\r\n", 200);
	assert_string_equal(a->f->caller, "token viewer token:viewer 10.0.0.9");
}

static void
test_limited(void **state)
{
	struct auth_fixture *a = *state;

	expect_status(a, "GET /vms/" UUID "/runstate", BEARER("alice"), 200);
	assert_string_equal(a->f->caller, "token admin token:alice 127.0.0.1 owner alice");
}

/* Until they are read nobody is told that they are wrong. */
static void
test_unread(void **state)
{
	struct auth_fixture *a = *state;
	struct tokens *unread = tokens_new();

	http_server_set_tokens(a->f->server, unread);
	expect_status(a, "GET /vms", BEARER("viewer"), 503);
	expect_status(a, "GET /vms", "", 401);
	http_server_set_tokens(a->f->server, NULL);
	expect_status(a, "GET /vms", BEARER("viewer"), 503);
	tokens_free(unread);
}

/* A listener that is open asks nobody. */
static void
test_open(void **state)
{
	struct auth_fixture *a = *state;

	fixture_stop(a->f);
	a->f->config.listen[0].access = ACCESS_OPEN;
	fixture_start(a->f);
	expect_status(a, "DELETE /vms/" UUID, "", 204);
	expect_status(a, "DELETE /vms/" UUID, BEARER("no"), 204);
}

/* All of them, and nothing else. */
static void
test_secrets_are_wiped(void **state)
{
	struct evhttp_request *http = evhttp_request_new(NULL, NULL);
	struct evkeyvalq *headers = evhttp_request_get_input_headers(http);
	static const char nothing[sizeof("Bearer secret")];
	struct evkeyval *header;
	struct headers h;

	evhttp_add_header(headers, "Host", "localhost");
	evhttp_add_header(headers, "AUTHORIZATION", "Bearer secret");
	evhttp_add_header(headers, "Authorization", "Bearer secret");
	headers_read(http, &h);
	assert_string_equal(h.authorization, "Bearer secret");
	headers_wipe_secrets(http);
	assert_memory_equal(h.authorization, nothing, sizeof(nothing));
	assert_string_equal(evhttp_find_header(headers, "Host"), "localhost");
	TAILQ_FOREACH (header, headers, next) {
		if (strcasecmp(header->key, "authorization") == 0)
			assert_string_equal(header->value, "");
	}
	evhttp_request_free(http);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		AUTH_TEST(test_each_route),
		AUTH_TEST(test_nobody),
		AUTH_TEST(test_names),
		AUTH_TEST(test_wrong),
		AUTH_TEST(test_wait),
		AUTH_TEST(test_tries),
		AUTH_TEST(test_body),
		AUTH_TEST(test_part),
		AUTH_TEST(test_user),
		AUTH_TEST(test_states),
		AUTH_TEST(test_from),
		AUTH_TEST(test_limited),
		AUTH_TEST(test_unread),
		AUTH_TEST(test_open),
		cmocka_unit_test(test_secrets_are_wiped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
