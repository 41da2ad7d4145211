/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the client makes of answers, whatever the command. */
#include "verb_fixture.h"

#include <string.h>

#define HEAD "HTTP/1.1 200 OK\r\n"

static void
test_request(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *host = xasprintf("Host: 127.0.0.1:%u\r\n", f->port);

	verb_ok(f, "-D pause vm " VM_UUID);
	assert_says(f->requests[0].head, host);
	assert_says(f->requests[0].head, "User-Agent: virtx/" VIRTX_VERSION "\r\n");
	assert_says(f->requests[0].head, "Content-Length: 0\r\n");
	assert_null(strstr(f->requests[0].head, "Prefer"));
	assert_says(f->said, "> POST /vms/" VM_UUID "/runstate/pause\n");
	assert_says(f->said, "> User-Agent: virtx/");
	assert_says(f->said, "< HTTP 204 No Content\n");
	verb_ok(f, "delete vm " VM_UUID);
	assert_says(f->requests[1].head, "Content-Type: application/json\r\n");
	assert_string_equal(f->said, "");
	assert_null(strstr(f->requests[1].head, "Authorization"));
}

/* A proxy has virtxd below a path, which it may or may not put before what virtxd says. */
static void
test_prefix(void **state)
{
	static const struct {
		const char *location, *operation;
	} cases[] = {
		{ "/a/virtx/operations/" OPERATION_UUID, OPERATION_UUID },
		{ "/operations/" OPERATION_UUID, OPERATION_UUID },
		{ "https://127.0.0.1/a/virtx/operations/" OPERATION_UUID, OPERATION_UUID },
		{ "https://127.0.0.2/a/virtx/operations/" OPERATION_UUID, NULL },
		{ "/a/operations/" OPERATION_UUID, NULL },
		{ "/a/virtx/a/virtx/operations/" OPERATION_UUID, NULL },
		{ "/a/virtx/vms/" OPERATION_UUID, NULL },
	};
	struct verb_fixture *f = *state;
	struct client client = { .server = { .host = (char *)"127.0.0.1",
				     .port = f->port,
				     .prefix = (char *)"/a/virtx" },
		.timeout = 5 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_free_ char *header = xasprintf("Location: %s\r\n", cases[i].location);
		_answer_ struct answer answer = { 0 };
		struct error err = { 0 };
		int rc;

		verb_forget(f);
		verb_answer(f, 202, header, "");
		client.query = i == 1 ? "x=1" : NULL;
		rc = client_call(&client, ROUTE_VM_BOOT, VM_UUID, NULL, &answer, &err);
		assert_int_equal(rc, cases[i].operation ? 0 : -1);
		assert_string_equal(answer.operation, str_or_empty(cases[i].operation));
	}
	verb_asked(f, 0, "POST /a/virtx/vms/" VM_UUID "/runstate/boot", "");
	verb_asked(f, 1, "POST /a/virtx/vms/" VM_UUID "/runstate/boot?x=1", "");
}

/* It goes to the server, and nowhere else. */
static void
test_token(void **state)
{
	struct verb_fixture *f = *state;

	f->token = (char[]){ "virtx_secret" };
	verb_ok(f, "-D pause vm " VM_UUID);
	assert_says(f->requests[0].head, "Authorization: Bearer virtx_secret\r\n");
	assert_null(strstr(f->said, "virtx_secret"));
	assert_null(strstr(f->out, "virtx_secret"));
}

static void
test_problems(void **state)
{
	static const struct {
		int status;
		const char *headers, *body, *words;
	} cases[] = {
		{ 409, "Content-Type: application/problem+json\r\n",
		    "{\"title\":\"T\",\"status\":409,\"detail\":\"VM is busy\","
		    "\"operation\":\"op-7\"}",
		    "409: VM is busy; operation 'op-7'" },
		/* A Go virtxd has a text. */
		{ 404, "Content-Type: text/plain\r\n", "unknown uuid\n", "404: unknown uuid" },
		{ 405, "", "", "405: Method Not Allowed" },
		{ 302, "Location: /login\r\n", "", "302: " },
		/* The page of a proxy is for a browser. */
		{ 502, "Content-Type: text/html; charset=utf-8\r\n", "<html>\r\nno",
		    "502: Bad Gateway" },
	};
	struct verb_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		verb_forget(f);
		verb_answer(f, cases[i].status, cases[i].headers, cases[i].body);
		verb_fails(f, "pause vm " VM_UUID, COMMAND_FAILED, cases[i].words);
		assert_says(f->err.detail, "cannot pause vm '" VM_UUID "': ");
		assert_null(strstr(f->err.detail, "<html>"));
		assert_int_equal(f->err.status, cases[i].status);
	}
}

static void
test_warnings(void **state)
{
	struct verb_fixture *f = *state;

	verb_forget(f);
	verb_answer(
	    f, 200, "Warning: 299 VirtX \"cannot delete \\\"a\\\"\"\r\nwarning: odd\x07\r\n", "");
	verb_ok(f, "delete vm " VM_UUID);
	assert_string_equal(f->said, "virtx: warning: cannot delete \"a\"\nvirtx: warning: odd?\n");
}

/* A proxy's answer is not taken for virtxd's. */
static void
test_no_success(void **state)
{
	static const struct {
		const char *line;
		int status;
		const char *headers, *body, *words;
	} cases[] = {
		{ "list vm", 200, "Content-Type: text/html; charset=utf-8\r\n", "<html>",
		    "status 200 with 6 bytes of 'text/html; charset=utf-8' instead of "
		    "'application/json'" },
		{ "watch", 200, "Content-Type: application/json\r\n", "{}",
		    "with 2 bytes of 'application/json' instead of 'text/event-stream'" },
		{ "list vm", 206, "", "{}", "status 206 with 2 bytes instead of 200" },
		{ "boot vm " VM_UUID, 200, "", "", "status 200 with 0 bytes instead of 204" },
		{ "boot vm " VM_UUID, 202, "", "", "status 202 with 0 bytes instead of 204" },
		{ "boot vm " VM_UUID, 202, "Location: /operations/../vms\r\n", "",
		    "its Location is '/operations/../vms' instead of '/operations/UUID'" },
		{ "shutdown vm -f " VM_UUID, 202, "", "", "instead of 204" },
	};
	struct verb_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		verb_forget(f);
		verb_answer(f, cases[i].status, cases[i].headers, cases[i].body);
		verb_fails(
		    f, cases[i].line, COMMAND_FAILED, "the answer is no success of virtxd: ");
		assert_says(f->err.detail, cases[i].words);
	}
}

/* What a Go virtxd has, and what is another success. */
static void
test_other_successes(void **state)
{
	static const struct {
		const char *line;
		int status;
	} cases[] = {
		{ "shutdown vm " VM_UUID, 204 },
		{ "register vm " VM_UUID, 200 },
		{ "register vm " VM_UUID, 201 },
		{ "register vm " VM_UUID, 204 },
		{ "migrate vm " VM_UUID, 202 },
	};
	struct verb_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		verb_forget(f);
		verb_answer(f, cases[i].status, "", "");
		verb_ok(f, cases[i].line);
	}
}

/* What is asked for is a success, whatever its status: of a host that is not ready, say. */
static void
test_wanted_status(void **state)
{
	struct answer answer = { .status = 503, .type = (char[]){ "application/json" } };
	struct error err = { 0 };

	(void)state;
	assert_int_equal(answer_check(&answer, ROUTE_READYZ, 503, &err), 0);
	assert_int_equal(answer_check(&answer, ROUTE_READYZ, 200, &err), -1);
	assert_int_equal(err.status, 503);
}

/* count times the text behind the head. The caller frees. */
static char *
repeated(const char *head, const char *text, size_t count)
{
	struct buffer out = { 0 };

	buffer_printf(&out, "%s", head);
	for (size_t i = 0; i < count; i++)
		buffer_printf(&out, "%s", text);
	return buffer_steal(&out, NULL);
}

static void
test_broken_answers(void **state)
{
	static const struct {
		const char *head, *more;
		size_t count;
		const char *words;
	} cases[] = {
		{ "", "", 0, "closed the connection before its answer was whole" },
		{ HEAD "Content-Length: 20\r\n\r\nab", "", 0, "closed the connection" },
		{ "SSH-2.0-OpenSSH\r\n\r\n", "", 0,
		    "the head of the answer is too long or not HTTP" },
		{ HEAD "Content-Length: 67108865\r\n\r\n", "", 0, "the answer is too long" },
		{ HEAD "X: ", "xxxxxxxxxx", 7000, "too long" },
		{ "", "HTTP/1.1 100 Continue\r\n\r\n", 1000, "sends what is no answer (HTTP 1xx)" },
		{ HEAD "Transfer-Encoding: chunked\r\n\r\n", "1111111111", 10000,
		    "the answer is too long" },
		{ HEAD "Content-Length: 4\r\n\r\n[1,2", "", 0, "the server's answer: " },
		{ HEAD "Content-Length: 16\r\n\r\n{\"items\": [{}, 1]", "", 0,
		    "the server's answer: " },
		{ HEAD "Content-Length: 0\r\n\r\n", "", 0, "the server's answer is empty" },
	};
	struct verb_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_free_ char *answer = repeated(cases[i].head, cases[i].more, cases[i].count);

		verb_forget(f);
		verb_answer_raw(f, answer);
		verb_fails(f, "list vm", COMMAND_FAILED, "cannot list vms: ");
		assert_says(f->err.detail, cases[i].words);
		assert_int_equal(f->err.status, CLIENT_ERROR_STATUS);
	}
}

static void
test_addresses(void **state)
{
	struct client client = { .server = { .host = (char *)"127.0.0.1", .port = 1 },
		.timeout = 5 };
	struct error err = { 0 };
	struct answer answer;

	assert_int_equal(client_call(&client, ROUTE_HEALTHZ, NULL, NULL, &answer, &err), -1);
	assert_string_equal(err.detail, "cannot connect to 127.0.0.1 port 1: Connection refused");
	client.server.tls = true;
	assert_int_equal(client_call(&client, ROUTE_HEALTHZ, NULL, NULL, &answer, &err), -1);
	assert_string_equal(err.detail, "cannot connect to 127.0.0.1 port 1: Connection refused");
	client.server.tls = false;
	/* Both addresses of this host are tried. */
	client.server.host = (char *)"localhost";
	assert_int_equal(client_call(&client, ROUTE_HEALTHZ, NULL, NULL, &answer, &err), -1);
	assert_says(err.detail, "cannot connect to 127.0.0.1 port 1: Connection refused; cannot "
				"connect to ::1 port 1");
	client.server.host = (char *)"name.invalid";
	assert_int_equal(client_call(&client, ROUTE_HEALTHZ, NULL, NULL, &answer, &err), -1);
	assert_says(err.detail, "cannot resolve 'name.invalid': ");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_request),
		TEST(test_prefix),
		TEST(test_token),
		TEST(test_problems),
		TEST(test_warnings),
		TEST(test_no_success),
		TEST(test_other_successes),
		cmocka_unit_test(test_wanted_status),
		TEST(test_broken_answers),
		cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
