/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Secrets by which hosts may join, and the token that one is part of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "proto/cluster.h"
#include "state/joins.h"

#define HOST   "a0000000-0000-4000-8000-000000000001"
#define OTHER  "a0000000-0000-4000-8000-000000000002"
#define PRINT  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SECRET "virtx_" PRINT
#define TEXT   "virtx-join/192.0.2.1:8080,[2001:db8::1]:443/" PRINT "/" SECRET

int64_t __wrap_now_ms(void);
static int64_t now;

int64_t
__wrap_now_ms(void)
{
	return now;
}

static int
setup(void **state)
{
	now = 1000;
	*state = joins_new();
	return 0;
}

static int
teardown(void **state)
{
	joins_free(*state);
	return 0;
}

static int
add(struct joins *joins, const char *secret, const char *host, int64_t expires, struct error *err)
{
	const struct join_terms terms = { host, expires, false };

	return joins_add(joins, secret, &terms, err);
}

/* A host that was put out may know what was made before, used or not. */
static void
test_ended(void **state)
{
	struct joins *joins = *state;
	char id[JOIN_ID_SIZE], used[JOIN_ID_SIZE];
	struct error err = { 0 };

	assert_int_equal(add(joins, "used", "", 2000, &err), 0);
	assert_int_equal(joins_find(joins, "used", used), JOIN_GOOD);
	assert_int_equal(joins_take(joins, used, HOST, "one", &err), 0);
	assert_int_equal(add(joins, "a", "", 2000, &err), 0);
	joins_end_all(joins);
	assert_int_equal(joins_find(joins, "a", id), JOIN_ENDED);
	assert_int_equal(joins_take(joins, id, OTHER, "two", &err), -1);
	assert_int_equal(err.status, 401);
	assert_int_equal(joins_find(joins, "used", used), JOIN_USED);
	joins_give_back(joins, used);
	assert_int_equal(joins_find(joins, "used", used), JOIN_ENDED);
	/* What is made from then on is good, and there is room for it. */
	for (int i = 0; i < JOINS_MAX; i++) {
		char secret[16];

		snprintf(secret, sizeof(secret), "new %d", i);
		assert_int_equal(add(joins, secret, "", 2000, &err), 0);
		assert_int_equal(joins_find(joins, secret, id), JOIN_GOOD);
	}
}

static void
test_once(void **state)
{
	struct joins *joins = *state;
	char id[JOIN_ID_SIZE], other[JOIN_ID_SIZE];
	struct error err = { 0 };

	assert_int_equal(joins_find(joins, "a", id), JOIN_WRONG);
	assert_int_equal(add(joins, "a", "", 2000, &err), 0);
	assert_int_equal(add(joins, "b", "", 2000, &err), 0);
	assert_int_equal(joins_find(joins, "a", id), JOIN_GOOD);
	assert_int_equal(joins_find(joins, "b", other), JOIN_GOOD);
	assert_string_not_equal(id, other);
	assert_int_equal(joins_find(joins, "c", other), JOIN_WRONG);
	assert_string_equal(other, "");
	assert_int_equal(joins_take(joins, id, HOST, "h1", &err), 0);
	assert_int_equal(joins_take(joins, id, HOST, "h1", &err), -1);
	assert_int_equal(joins_find(joins, "a", id), JOIN_USED);
	assert_int_equal(joins_find(joins, "b", other), JOIN_GOOD);
	/* It has failed, and the same host tries again. */
	joins_give_back(joins, id);
	assert_int_equal(joins_find(joins, "a", id), JOIN_GOOD);
	assert_int_equal(joins_take(joins, id, HOST, "h1", &err), 0);
	assert_int_equal(joins_take(joins, "", HOST, "h1", &err), -1);
	assert_int_equal(joins_take(joins, "0123", HOST, "h1", &err), -1);
}

/* Only by one that was made so the CA's key is given away. */
static void
test_ca_key(void **state)
{
	const struct join_terms terms = { "", 2000, true };
	struct joins *joins = *state;
	char id[JOIN_ID_SIZE], other[JOIN_ID_SIZE];
	struct error err = { 0 };

	assert_int_equal(joins_add(joins, "a", &terms, &err), 0);
	assert_int_equal(add(joins, "b", "", 2000, &err), 0);
	joins_find(joins, "a", id);
	joins_find(joins, "b", other);
	assert_true(joins_gives_ca(joins, id));
	assert_false(joins_gives_ca(joins, other));
	assert_false(joins_gives_ca(joins, ""));
}

static void
test_late(void **state)
{
	struct joins *joins = *state;
	char id[JOIN_ID_SIZE];
	struct error err = { 0 };

	assert_int_equal(add(joins, "a", "", 2000, &err), 0);
	now = 1999;
	assert_int_equal(joins_find(joins, "a", id), JOIN_GOOD);
	now = 2000;
	assert_int_equal(joins_find(joins, "a", id), JOIN_EXPIRED);
	assert_int_equal(joins_take(joins, id, HOST, "h1", &err), -1);
}

static void
test_for_one(void **state)
{
	struct joins *joins = *state;
	char id[JOIN_ID_SIZE], other[JOIN_ID_SIZE];
	struct error err = { 0 };

	assert_int_equal(add(joins, "a", HOST, 2000, &err), 0);
	assert_int_equal(add(joins, "b", "", 2000, &err), 0);
	joins_find(joins, "a", id);
	joins_find(joins, "b", other);
	assert_true(joins_is_for(joins, id, HOST));
	assert_false(joins_is_for(joins, id, OTHER));
	assert_false(joins_is_for(joins, other, HOST));
	assert_int_equal(joins_take(joins, id, OTHER, "h2", &err), -1);
	assert_int_equal(err.status, 403);
	assert_int_equal(joins_take(joins, id, HOST, "h1", &err), 0);
}

/* Two boards with one UUID do not both join before serf has told of the first. */
static void
test_same_host(void **state)
{
	struct joins *joins = *state;
	char a[JOIN_ID_SIZE], b[JOIN_ID_SIZE], own[JOIN_ID_SIZE];
	struct error err = { 0 };

	assert_int_equal(add(joins, "a", "", 2000, &err), 0);
	assert_int_equal(add(joins, "b", "", 3000, &err), 0);
	assert_int_equal(add(joins, "own", HOST, 3000, &err), 0);
	joins_find(joins, "a", a);
	joins_find(joins, "b", b);
	joins_find(joins, "own", own);
	assert_int_equal(joins_take(joins, a, HOST, "h1", &err), 0);
	assert_int_equal(joins_take(joins, b, HOST, "h1", &err), -1);
	assert_int_equal(err.status, 409);
	/* It has failed. */
	joins_give_back(joins, a);
	assert_int_equal(joins_take(joins, b, HOST, "h1", &err), 0);
	joins_give_back(joins, b);
	assert_int_equal(joins_take(joins, a, HOST, "h1", &err), 0);
	/* An admin has said that it may. */
	assert_int_equal(joins_take(joins, own, HOST, "h1", &err), 0);
	joins_give_back(joins, own);
	assert_int_equal(joins_take(joins, b, OTHER, "h2", &err), 0);
	joins_give_back(joins, b);
	/* Nor do two of one name. */
	assert_int_equal(joins_take(joins, b, OTHER, "H1", &err), -1);
	assert_int_equal(err.status, 409);
	now = 2000;
	assert_int_equal(joins_take(joins, b, HOST, "h1", &err), 0);
}

static void
test_bound(void **state)
{
	struct joins *joins = *state;
	char id[JOIN_ID_SIZE], secret[16];
	struct error err = { 0 };

	for (int i = 0; i < JOINS_MAX; i++) {
		snprintf(secret, sizeof(secret), "%d", i);
		assert_int_equal(add(joins, secret, "", 2000 + i, &err), 0);
	}
	assert_int_equal(add(joins, "more", "", 5000, &err), -1);
	assert_int_equal(err.status, 503);
	assert_int_equal(joins_find(joins, "7", id), JOIN_GOOD);
	assert_int_equal(joins_take(joins, id, HOST, "h1", &err), 0);
	assert_int_equal(add(joins, "more", "", 5000, &err), 0);
	assert_int_equal(joins_find(joins, "7", id), JOIN_WRONG);
	assert_int_equal(joins_find(joins, "8", id), JOIN_GOOD);
	assert_int_equal(joins_find(joins, "more", id), JOIN_GOOD);
}

static void
test_token(void **state)
{
	struct cluster_token token = { 0 };
	struct error err = { 0 };
	const char *at;
	uint16_t port;

	assert_int_equal(cluster_token_parse(TEXT, &token, &err), 0);
	assert_string_equal(token.fingerprint, PRINT);
	assert_string_equal(token.secret, SECRET);
	_free_ char *text = cluster_token_text(&token);
	assert_string_equal(text, TEXT);
	at = token.addresses;
	_free_ char *first = cluster_next_address(&at, &port);
	assert_string_equal(first, "192.0.2.1");
	assert_int_equal(port, 8080);
	_free_ char *second = cluster_next_address(&at, &port);
	assert_string_equal(second, "2001:db8::1");
	assert_int_equal(port, 443);
	assert_string_equal(at, "");
	model_clear(&cluster_token_model, &token);
}

/* And what is wrong with one is said without it. */
static void
test_bad_token(void **state)
{
	static const char *const bad[] = { "", "virtx-join/", SECRET, TEXT " ", TEXT "/x",
		"virtx-join/192.0.2.1:8080/" PRINT "/", "virtx-join/192.0.2.1:8080/" PRINT "/abc",
		"virtx-join/192.0.2.1/" PRINT "/" SECRET, "virtx-join/h1:8080/" PRINT "/" SECRET,
		"virtx-join//" PRINT "/" SECRET, "virtx-join/192.0.2.1:0/" PRINT "/" SECRET,
		"virtx-join/192.0.2.1:65536/" PRINT "/" SECRET,
		"virtx-join/192.0.2.1:8080/0" PRINT "/" SECRET,
		"virtx-join/192.0.2.1:8080/A23456789abcdef" PRINT "/" SECRET,
		"virtx-join/[192.0.2.1]:8080/" PRINT "/" SECRET };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct cluster_token token = { 0 };
		struct error err = { 0 };

		if (cluster_token_parse(bad[i], &token, &err) == 0)
			fail_msg("'%s' was read", bad[i]);
		assert_null(strstr(err.detail, PRINT));
		assert_null(token.secret);
	}
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_once),
		TEST(test_ended),
		TEST(test_ca_key),
		TEST(test_late),
		TEST(test_for_one),
		TEST(test_same_host),
		TEST(test_bound),
		TEST(test_token),
		TEST(test_bad_token),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
