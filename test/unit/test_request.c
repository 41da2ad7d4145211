/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/json.h"
#include "proto/model.h"
#include "proto/problem.h"
#include "proto/shared_text.h"

/* A request whose reply is kept. */
struct kept {
	struct request req;
	unsigned int n;
	int status;
	char type[64];
	char *body;
	size_t len;
	size_t n_headers;
	char last[128]; /* header, "" for none */
};

static void
keep(struct request *req, int status, const char *content_type, char *body, size_t len,
    const struct request_header *headers, size_t n_headers)
{
	struct kept *k = (struct kept *)req;

	k->n++;
	k->status = status;
	strncpy(k->type, str_or_empty(content_type), sizeof(k->type) - 1);
	free(k->body);
	k->body = body;
	k->len = len;
	k->n_headers = n_headers;
	k->last[0] = '\0';
	if (n_headers > 0)
		snprintf(k->last, sizeof(k->last), "%s: %s", headers[n_headers - 1].name,
		    headers[n_headers - 1].value);
}

static void
test_query(void **state)
{
	static const struct {
		const char *query, *name, *value; /* value NULL: not there; "!": an error */
	} rows[] = {
		{ NULL, "a", NULL },
		{ "", "a", NULL },
		{ "a=1", "a", "1" },
		{ "a=1", "b", NULL },
		{ "ab=1&a=2", "a", "2" },
		{ "a=1&a=2", "a", "1" },
		{ "a", "a", "" },
		{ "a=", "a", "" },
		{ "a=b=c", "a", "b=c" },
		{ "&&a=1", "a", "1" },
		{ "a=x%20y+z%2B%c3%A9", "a", "x y z+\xc3\xa9" },
		{ "%61=1", "a", "1" },
		{ "a=%", "a", "!" },
		{ "a=%4", "a", "!" },
		{ "a=%zz", "a", "!" },
		{ "a=x%00y", "a", "!" },
		{ "a=1&b=%zz", "a", "1" },
		{ "%zz=1&a=1", "a", "!" },
		{ "b=%zz&a=1", "a", "1" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct request req = { .query = rows[i].query };
		_free_ char *value = NULL;
		struct error err = { 0 };
		int r = request_query(&req, rows[i].name, &value, &err);

		if (rows[i].value && strcmp(rows[i].value, "!") == 0) {
			assert_int_equal(r, -1);
			assert_int_equal(err.status, 400);
			assert_non_null(strstr(err.detail, "percent-encoding"));
			assert_null(value);
			continue;
		}
		assert_int_equal(r, 0);
		if (rows[i].value)
			assert_string_equal(value, rows[i].value);
		else
			assert_null(value);
	}
}

/* Who sends may take the text that others hold, and has a copy of it else. */
static void
test_shared(void **state)
{
	struct shared_text *text = shared_text_new(xstrdup("[1]"), 3);
	struct kept k = { .req = { .send = keep, .shares = true } };

	request_reply_shared(&k.req, 200, shared_text_hold(text), NULL, 0);
	assert_ptr_equal(k.req.shared, text);
	assert_null(k.body);
	assert_int_equal(k.len, 3);
	assert_string_equal(k.type, "application/json");
	shared_text_drop(k.req.shared);

	k.req = (struct request){ .send = keep };
	request_reply_shared(&k.req, 200, shared_text_hold(text), NULL, 0);
	assert_null(k.req.shared);
	assert_memory_equal(k.body, "[1]", 3);
	assert_int_equal(text->holders, 1);
	shared_text_drop(text);
	free(k.body);
}

static void
test_replies(void **state)
{
	static const struct request_header header = { "Location", "/operations/1" };
	struct kept k = { .req.send = keep };
	struct vmruninfo info = { .runstate = VMRUNSTATE_PAUSED };
	struct error err = { 0 }, read = { 0 };

	request_reply(&k.req, 204);
	assert_int_equal(k.n, 1);
	assert_true(k.req.replied);
	assert_int_equal(k.status, 204);
	assert_null(k.body);
	assert_int_equal(k.len, 0);
	assert_string_equal(k.type, "");

	k.req.replied = false;
	request_reply_model(&k.req, 200, &vmruninfo_model, &info);
	assert_string_equal(k.type, "application/json");
	assert_string_equal(k.body, "{\"runstate\":5,\"host\":\"\",\"reason\":\"\",\"last\":0}");
	assert_int_equal(k.len, strlen(k.body));

	k.req.replied = false;
	request_reply_json(&k.req, 202, xstrdup("\"x\""), 3, &header, 1);
	assert_int_equal(k.status, 202);
	assert_string_equal(k.type, "application/json");
	assert_int_equal(k.n_headers, 1);

	k.req.replied = false;
	request_reply_text(&k.req, 200, "text/plain", xstrdup("ok\n"), 3);
	assert_string_equal(k.type, "text/plain");
	assert_int_equal(k.len, 3);

	k.req.replied = false;
	error_set(&err, 409, "VM '%s' is busy", "x");
	strcpy(err.operation, "op-1");
	request_reply_error(&k.req, &err);
	assert_int_equal(k.status, 409);
	assert_string_equal(k.type, "application/problem+json");
	problem_decode(&read, 0, k.body, k.len);
	assert_int_equal(read.status, 409);
	assert_string_equal(read.detail, err.detail);
	assert_string_equal(read.operation, "op-1");
	assert_int_equal(k.n, 5);
	free(k.body);
}

/* What is told with whatever goes well, behind the other headers. */
static void
test_warning(void **state)
{
	static const struct request_header more[] = { { "Location", "/operations/7" } };
	static const struct {
		int status, told;
		bool warns;
	} rows[] = { { 204, 200, true }, { 202, 202, true }, { 409, 409, false } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct kept k = { .req = { .send = keep, .warning = xstrdup("it is \"so\"") } };

		request_reply_json(&k.req, rows[i].status, NULL, 0, more, 1);
		assert_int_equal(k.status, rows[i].told);
		assert_int_equal(k.n_headers, rows[i].warns ? 2 : 1);
		assert_string_equal(k.last, rows[i].warns
						? "Warning: 299 VirtX \"it is \\\"so\\\"\""
						: "Location: /operations/7");
		assert_null(k.req.warning);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_query),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_warning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
