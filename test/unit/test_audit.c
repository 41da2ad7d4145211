/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the log says of requests: of each that changes something, or is refused, and no other. */
#include "http/audit.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "http_fixture.h"
#include "proto/log.h"
#include "proto/token_secret.h"
#include "state/tokens.h"

#define BEARER(secret) "Authorization: Bearer " secret "\r\n"
#define HEX64	       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* What was stderr is a file. */
struct audit_fixture {
	struct fixture *f;
	struct tokens *tokens;
	int stderr_fd, fd;
};

static int
setup(void **state)
{
	struct audit_fixture *a = xcalloc(1, sizeof(*a));
	char name[] = "/tmp/virtx-test-audit-XXXXXX", hash[TOKEN_HASH_LEN + 1];
	struct token_record record = { .token = { .name = (char *)"ci", .role = ROLE_OPERATOR },
		.hash = hash };
	struct token_set none = { 0 };

	if (fixture_setup((void **)&a->f) < 0)
		return -1;
	fixture_stop(a->f);
	a->f->config.listen[0].access = ACCESS_AUTH;
	fixture_start(a->f);
	a->tokens = tokens_new();
	tokens_replace(a->tokens, &none);
	token_secret_hash("ci", hash);
	tokens_add(a->tokens, &record);
	http_server_set_tokens(a->f->server, a->tokens);
	a->fd = mkostemp(name, O_CLOEXEC | O_APPEND);
	if (a->fd < 0)
		return -1;
	unlink(name);
	a->stderr_fd = dup(STDERR_FILENO);
	dup2(a->fd, STDERR_FILENO);
	log_init(LOG_LEVEL_WARNING, NULL);
	*state = a;
	return 0;
}

static int
teardown(void **state)
{
	struct audit_fixture *a = *state;
	void *f = a->f;
	int r;

	dup2(a->stderr_fd, STDERR_FILENO);
	close(a->stderr_fd);
	close(a->fd);
	r = fixture_teardown(&f);
	tokens_free(a->tokens);
	free(a);
	return r;
}

#define AUDIT_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

/* What was written since the last call; the caller frees. */
static char *
taken(struct audit_fixture *a)
{
	struct buffer b = { 0 };

	lseek(a->fd, 0, SEEK_SET);
	assert_int_equal(read_all(a->fd, &b, 1 << 20), 0);
	assert_int_equal(ftruncate(a->fd, 0), 0);
	buffer_add(&b, "", 0);
	return buffer_steal(&b, NULL);
}

static unsigned int
count(const char *text, const char *part)
{
	unsigned int n = 0;

	for (; (text = strstr(text, part)); text += strlen(part))
		n++;
	return n;
}

static void
assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("'%s' does not hold '%s'", text, part);
}

/* Asks from an address of its own; the lines of that request, which the caller frees. */
static char *
ask(struct audit_fixture *a, const char *line, const char *headers, int status)
{
	_free_ char *text = xasprintf("%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", line, headers);
	struct client c;
	struct reply r;

	client_open(&c, a->f);
	client_send(&c, text);
	read_reply(&c, false, &r);
	assert_int_equal(r.status, status);
	reply_clear(&r);
	client_close(&c);
	return taken(a);
}

static void
test_requests(void **state)
{
	static const struct {
		const char *line, *headers;
		int status;
		const char *words; /* NULL: nothing is told */
	} cases[] = {
		{ "GET /vms/" UUID "/runstate", BEARER("ci"), 200, NULL },
		{ "GET /nothing", BEARER("ci"), 404, NULL },
		{ "POST /vms/" UUID "/runstate/pause", BEARER("ci"), 204,
		    "audit: user=token:ci role=operator by=token from=127.0.0.1 method=POST "
		    "route=/vms/{uuid}/runstate/pause vm=" UUID " status=204 ms=" },
		{ "DELETE /hosts/" UUID, BEARER("ci"), 403,
		    "user=token:ci role=operator by=token from=127.0.0.1 method=DELETE "
		    "route=/hosts/{uuid} host=" UUID " status=403 ms=" },
		{ "DELETE /vms/" UUID, "", 401,
		    "user=127.0.0.1 role=none by=address from=127.0.0.1 method=DELETE "
		    "route=/vms/" UUID " status=401 ms=" },
		{ "GET /vms", BEARER("guess"), 401, "method=GET route=/vms status=401" },
		{ "GET /vms", BEARER("ci") "Origin: http://evil.example\r\n", 403,
		    "user=token:ci role=operator by=token from=127.0.0.1 method=GET route=/vms "
		    "status=403" },
		{ "GET /gossip/vms", BEARER("ci"), 403, "route=/gossip/vms status=403" },
		/* What is no secret of ours is hidden as well where it looks like one. */
		{ "GET /virtx_" HEX64 "/x", "", 401, "route=/virtx_.../x status=401" },
		{ "GET /a'b%0a", "", 401, "route=\"/a'b%0a\" status=401" },
	};
	struct audit_fixture *a = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_free_ char *text = ask(a, cases[i].line, cases[i].headers, cases[i].status);

		if (!cases[i].words && count(text, "audit:") > 0)
			fail_msg("%s: %s", cases[i].line, text);
		if (!cases[i].words)
			continue;
		assert_has(text, cases[i].words);
		assert_int_equal(count(text, "\n"), 1);
		assert_null(strstr(text, "guess"));
		assert_null(strstr(text, "0123456789abcdef"));
	}
}

/* A host that gets new certificates has asked for something that matters. */
static void
test_certificates(void **state)
{
	struct audit_fixture *a = *state;
	const struct caller host = {
		.by = CALLER_CERTIFICATE, .role = ROLE_HOST, .user = "host:1", .from = "10.0.0.9"
	};
	struct request req = { .route = &routes[ROUTE_CLUSTER_RENEW], .client = "10.0.0.9" };
	_free_ char *text = NULL;

	audit_note(&(struct audit_entry){ &host, &req, "POST", "", 200, 7, false });
	text = taken(a);
	assert_has(text, "audit: user=host:1 role=host by=certificate from=10.0.0.9 method=POST "
			 "route=/cluster/certificates status=200 ms=7");
}

/* Nothing that anybody sends makes a second line, or a word of its own. */
static void
test_escapes(void **state)
{
	struct audit_fixture *a = *state;
	const struct caller caller = { .by = CALLER_TOKEN,
		.role = ROLE_ADMIN,
		.user = "token:x role=none",
		.from = "10.0.0.9" };
	struct request req = {
		.route = &routes[ROUTE_TOKEN_REVOKE], .client = "10.0.0.1", .operation = UUID
	};
	const struct audit_entry entry = { &caller, &req, "DELETE", "", 204, 7, false };
	_free_ char *text = NULL;

	snprintf(req.param, sizeof(req.param), "a\"\\b\n\xc3\xa4 virtx_%.20s", HEX64);
	audit_note(&entry);
	text = taken(a);
	assert_has(text,
	    "audit: user=\"token:x role=none\" role=admin by=token from=10.0.0.9 peer=10.0.0.1 "
	    "method=DELETE route=/auth/tokens/{id} "
	    "name=\"a\\\"\\\\b\\x0a\\xc3\\xa4 virtx_...\" status=204 ms=7 "
	    "operation=" UUID "\n");
	assert_int_equal(count(text, "\n"), 1);
}

/* Whoever floods the log with what is refused hides neither what was done, nor others. */
static void
test_flood(void **state)
{
	struct audit_fixture *a = *state;
	const struct caller nobody = { .user = "10.0.0.9", .from = "10.0.0.9" };
	const struct caller known = {
		.by = CALLER_TOKEN, .role = ROLE_OPERATOR, .user = "token:ci", .from = "10.0.0.9"
	};
	struct request get = { .route = &routes[ROUTE_VM_LIST], .client = "10.0.0.9" };
	struct request post = { .route = &routes[ROUTE_VM_PAUSE], .client = "10.0.0.9" };
	_free_ char *text = NULL, *more = NULL;

	for (int i = 0; i < 2000; i++) {
		audit_note(&(struct audit_entry){ &nobody, &get, "GET", "", 401, 0, true });
		audit_note(&(struct audit_entry){ &known, &post, "POST", "", 409, 0, false });
	}
	text = taken(a);
	assert_in_range(count(text, "status=401"), 1, 60);
	assert_in_range(count(text, "status=409"), 1, 600);
	for (int i = 0; i < 1000; i++)
		audit_note(&(struct audit_entry){ &known, &post, "POST", "", 204, 0, false });
	snprintf(post.operation, sizeof(post.operation), "%s", UUID);
	audit_note(&(struct audit_entry){ &known, &post, "POST", "", 500, 0, false });
	more = taken(a);
	assert_int_equal(count(more, "status=204"), 1000);
	assert_int_equal(count(more, "status=500"), 1);
}

/* Hosts renew their reservations by what nobody has asked for. */
static void
test_hosts(void **state)
{
	struct audit_fixture *a = *state;
	const struct caller host = {
		.by = CALLER_CERTIFICATE, .role = ROLE_HOST, .user = "host:1", .from = "10.0.0.9"
	};
	struct request req = { .route = &routes[ROUTE_VM_RESERVE], .client = "10.0.0.9" };
	_free_ char *text = NULL;

	audit_note(&(struct audit_entry){ &host, &req, "PUT", "", 204, 0, false });
	text = taken(a);
	assert_string_equal(text, "");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		AUDIT_TEST(test_requests),
		AUDIT_TEST(test_certificates),
		AUDIT_TEST(test_escapes),
		AUDIT_TEST(test_flood),
		AUDIT_TEST(test_hosts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
