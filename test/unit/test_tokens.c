/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "proto/token_secret.h"
#include "state/tokens.h"

static struct token_record
make(const char *name, const char *secret, int64_t expires)
{
	char hash[TOKEN_HASH_LEN + 1];

	token_secret_hash(secret, hash);
	return (struct token_record){
		.token = { .name = xstrdup(name), .role = ROLE_VIEWER, .expires = expires },
		.hash = xstrdup(hash),
	};
}

static void
add(struct token_set *set, const char *name, const char *secret, int64_t expires)
{
	*model_append(&set->items, &set->n_items) = make(name, secret, expires);
}

static void
test_secret(void **state)
{
	char one[TOKEN_SECRET_SIZE], two[TOKEN_SECRET_SIZE], hash[TOKEN_HASH_LEN + 1];

	token_secret_make(one);
	token_secret_make(two);
	assert_int_equal(strlen(one), TOKEN_SECRET_SIZE - 1);
	assert_int_equal(strncmp(one, "virtx_", 6), 0);
	assert_int_equal(strspn(one + 6, "0123456789abcdef"), 64);
	assert_string_not_equal(one, two);
	/* FIPS 180-2's example. */
	token_secret_hash("abc", hash);
	assert_string_equal(
	    hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/* Where a secret is given for something else, nobody is told it by a message or the log. */
static void
test_hide(void **state)
{
	static const char *const cases[][2] = {
		{ "", "" },
		{ "virtx_", "virtx_" },
		{ "virtx_ci", "virtx_ci" },
		{ "virtx_0123456789abcde", "virtx_0123456789abcde" },
		{ "virtx_0123456789abcdef", "virtx_..." },
		{ "/auth/tokens/virtx_0123456789ABCDEF0 is 'virtx_0123456789abcdef'",
		    "/auth/tokens/virtx_... is 'virtx_...'" },
	};
	char secret[TOKEN_SECRET_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_free_ char *text = xstrdup(cases[i][0]);

		token_secret_hide(text);
		assert_string_equal(text, cases[i][1]);
	}
	token_secret_make(secret);
	token_secret_hide(secret);
	assert_string_equal(secret, "virtx_...");
}

/* A certificate is none that sends it, or its fingerprint; nor is a secret one for its hash. */
static void
test_certificate(void **state)
{
	struct tokens *tokens = tokens_new();
	struct token_record secret = make("s", "a secret", 0);
	struct token_record certificate = make("c", "what it is made of", 0);
	const struct token *found;

	certificate.token.certificate = true;
	assert_int_equal(tokens_find_certificate(tokens, certificate.hash, &found), TOKEN_UNREAD);
	tokens_replace(tokens, &(struct token_set){ 0 });
	tokens_add(tokens, &secret);
	tokens_add(tokens, &certificate);
	assert_int_equal(tokens_find(tokens, "a secret", &found), TOKEN_GOOD);
	assert_int_equal(tokens_find_certificate(tokens, secret.hash, &found), TOKEN_WRONG);
	assert_int_equal(tokens_find_certificate(tokens, certificate.hash, &found), TOKEN_GOOD);
	assert_string_equal(found->name, "c");
	assert_int_equal(tokens_find(tokens, "what it is made of", &found), TOKEN_WRONG);
	assert_int_equal(tokens_find(tokens, certificate.hash, &found), TOKEN_WRONG);
	certificate.token.expires = now_ms() - 1;
	tokens_add(tokens, &certificate);
	assert_int_equal(tokens_find_certificate(tokens, certificate.hash, &found), TOKEN_EXPIRED);
	tokens_drop(tokens, "c");
	assert_int_equal(tokens_find_certificate(tokens, certificate.hash, &found), TOKEN_WRONG);
	model_clear(&token_record_model, &secret);
	model_clear(&token_record_model, &certificate);
	tokens_free(tokens);
}

/* A new one of the same name is another one. */
static void
test_has(void **state)
{
	struct tokens *tokens = tokens_new();
	struct token_record record = make("a", "s", 0);

	record.token.created = 7;
	assert_false(tokens_has(tokens, "a", 7));
	tokens_add(tokens, &record);
	assert_int_equal(tokens_created(tokens, "a"), 7);
	assert_int_equal(tokens_created(tokens, "b"), 0);
	assert_true(tokens_has(tokens, "a", 7));
	assert_false(tokens_has(tokens, "a", 8) || tokens_has(tokens, "b", 7));
	record.token.expires = 1;
	tokens_add(tokens, &record);
	assert_false(tokens_has(tokens, "a", 7));
	tokens_drop(tokens, "a");
	assert_false(tokens_has(tokens, "a", 7));
	model_clear(&token_record_model, &record);
	tokens_free(tokens);
}

static void
test_find(void **state)
{
	struct tokens *tokens = tokens_new();
	const struct token *found;
	struct token_set set = { 0 };

	assert_int_equal(tokens_find(tokens, "s1", &found), TOKEN_UNREAD);
	add(&set, "b", "s1", 0);
	add(&set, "a", "s2", now_ms() + 60000);
	add(&set, "c", "s3", 1);
	tokens_replace(tokens, &set);
	assert_int_equal(set.n_items, 0);
	assert_int_equal(tokens_find(tokens, "s1", &found), TOKEN_GOOD);
	assert_string_equal(found->name, "b");
	assert_int_equal(tokens_find(tokens, "s2", &found), TOKEN_GOOD);
	assert_int_equal(tokens_find(tokens, "s3", &found), TOKEN_EXPIRED);
	assert_string_equal(found->name, "c");
	assert_int_equal(tokens_find(tokens, "s4", &found), TOKEN_WRONG);
	assert_null(found);
	assert_int_equal(tokens_find(tokens, "", &found), TOKEN_WRONG);
	tokens_free(tokens);
}

static void
test_changes(void **state)
{
	struct token_record record = make("b", "s1", 0);
	struct tokens *tokens = tokens_new();
	const struct token *found;
	struct token_list list = { 0 };
	struct token_set set = { 0 };

	/* What was made here is good, even where the others are not known yet. */
	tokens_add(tokens, &record);
	assert_int_equal(tokens_find(tokens, "s1", &found), TOKEN_GOOD);
	assert_false(tokens_list(tokens, &list));
	model_clear(&token_list_model, &list);

	tokens_begin(tokens);
	add(&set, "b", "s1", 0);
	add(&set, "a", "s2", 0);
	assert_true(tokens_replace(tokens, &set));
	assert_true(tokens_list(tokens, &list));
	assert_int_equal(list.n_items, 2);
	assert_string_equal(list.items[0].name, "a");
	assert_string_equal(list.items[1].name, "b");
	model_clear(&token_list_model, &list);

	assert_true(tokens_drop(tokens, "b"));
	assert_int_equal(tokens_find(tokens, "s1", &found), TOKEN_WRONG);
	assert_int_equal(tokens_find(tokens, "s2", &found), TOKEN_GOOD);
	assert_false(tokens_drop(tokens, "b"));
	model_clear(&token_record_model, &record);
	tokens_free(tokens);
}

/* One that could not be read stays what it was, and one that was not known before is none. */
static void
test_unread(void **state)
{
	struct tokens *tokens = tokens_new();
	const struct token *found;
	struct token_set set = { 0 };

	add(&set, "a", "s1", 0);
	add(&set, "b", "s2", 0);
	tokens_replace(tokens, &set);
	add(&set, "c", "s3", 0);
	model_append(&set.unread, &set.n_unread)->name = xstrdup("b");
	model_append(&set.unread, &set.n_unread)->name = xstrdup("new");
	tokens_replace(tokens, &set);
	assert_int_equal(tokens_find(tokens, "s1", &found), TOKEN_WRONG);
	assert_int_equal(tokens_find(tokens, "s2", &found), TOKEN_GOOD);
	assert_string_equal(found->name, "b");
	assert_int_equal(tokens_find(tokens, "s3", &found), TOKEN_GOOD);
	model_clear(&token_set_model, &set);
	tokens_free(tokens);
}

/* What was changed here while they were read is not undone by what was read, and the rest of that
 * counts all the same. */
static void
test_changed_meanwhile(void **state)
{
	struct token_record made = make("made", "s1", 0), again = make("again", "s2", 0);
	struct tokens *tokens = tokens_new();
	const struct token *found;
	struct token_set set = { 0 };

	add(&set, "dropped", "s3", 0);
	add(&set, "old", "s4", 0);
	assert_true(tokens_replace(tokens, &set));
	tokens_begin(tokens);
	tokens_drop(tokens, "dropped");
	tokens_drop(tokens, "again");
	tokens_add(tokens, &made);
	tokens_add(tokens, &again);
	add(&set, "dropped", "s3", 0);
	add(&set, "again", "s5", 0);
	add(&set, "new", "s6", 0);
	assert_true(tokens_replace(tokens, &set));
	assert_int_equal(tokens_find(tokens, "s1", &found), TOKEN_GOOD);
	assert_int_equal(tokens_find(tokens, "s2", &found), TOKEN_GOOD);
	assert_int_equal(tokens_find(tokens, "s3", &found), TOKEN_WRONG);
	assert_int_equal(tokens_find(tokens, "s4", &found), TOKEN_WRONG);
	assert_int_equal(tokens_find(tokens, "s5", &found), TOKEN_WRONG);
	assert_int_equal(tokens_find(tokens, "s6", &found), TOKEN_GOOD);
	/* What begins after a change knows of it. */
	tokens_begin(tokens);
	add(&set, "again", "s5", 0);
	assert_true(tokens_replace(tokens, &set));
	assert_int_equal(tokens_find(tokens, "s1", &found), TOKEN_WRONG);
	assert_int_equal(tokens_find(tokens, "s5", &found), TOKEN_GOOD);

	/* There is a bound, beyond which nothing is taken. */
	for (int i = 0; i <= TOKENS_MAX; i++) {
		_free_ char *name = xasprintf("t%d", i);

		tokens_drop(tokens, name);
	}
	add(&set, "new", "s6", 0);
	assert_false(tokens_replace(tokens, &set));
	assert_int_equal(tokens_find(tokens, "s5", &found), TOKEN_GOOD);
	tokens_begin(tokens);
	assert_true(tokens_replace(tokens, &set));
	assert_int_equal(tokens_find(tokens, "s6", &found), TOKEN_GOOD);
	model_clear(&token_record_model, &made);
	model_clear(&token_record_model, &again);
	tokens_free(tokens);
}

static void
count(void *arg)
{
	(*(int *)arg)++;
}

/* Whoever did it; what was so before this host began to look is no news. */
static void
test_put_out_is_told(void **state)
{
	struct tokens *tokens = tokens_new();
	struct token_set set = { 0 };
	int told = 0;

	tokens_watch_out(tokens, count, &told);
	for (int i = 0; i < 2; i++) {
		tokens_begin(tokens);
		model_append(&set.out, &set.n_out)->name = xstrdup("one");
		assert_true(tokens_replace(tokens, &set));
		assert_int_equal(told, 0);
	}
	tokens_begin(tokens);
	model_append(&set.out, &set.n_out)->name = xstrdup("one");
	model_append(&set.out, &set.n_out)->name = xstrdup("two");
	assert_true(tokens_replace(tokens, &set));
	assert_int_equal(told, 1);
	tokens_put_out(tokens, "three", true);
	assert_int_equal(told, 2);
	tokens_put_out(tokens, "three", false);
	assert_int_equal(told, 2);
	model_clear(&token_set_model, &set);
	tokens_free(tokens);
}

static void
test_hosts_put_out(void **state)
{
	struct tokens *tokens = tokens_new();
	struct token_set set = { 0 };

	assert_false(tokens_known(tokens));
	assert_false(tokens_is_out(tokens, "one"));
	tokens_begin(tokens);
	model_append(&set.out, &set.n_out)->name = xstrdup("one");
	assert_true(tokens_replace(tokens, &set));
	assert_true(tokens_known(tokens));
	assert_true(tokens_is_out(tokens, "one"));
	/* What is read meanwhile may be older than what was changed here. */
	tokens_begin(tokens);
	tokens_put_out(tokens, "two", true);
	tokens_put_out(tokens, "two", true);
	tokens_put_out(tokens, "one", false);
	tokens_put_out(tokens, "one", false);
	model_append(&set.out, &set.n_out)->name = xstrdup("one");
	assert_true(tokens_replace(tokens, &set));
	assert_false(tokens_is_out(tokens, "one"));
	assert_true(tokens_is_out(tokens, "two"));
	/* And what is read later is not. */
	tokens_begin(tokens);
	assert_true(tokens_replace(tokens, &set));
	assert_false(tokens_is_out(tokens, "two"));
	model_clear(&token_set_model, &set);
	tokens_free(tokens);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_secret),
		cmocka_unit_test(test_hide),
		cmocka_unit_test(test_certificate),
		cmocka_unit_test(test_has),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_unread),
		cmocka_unit_test(test_changed_meanwhile),
		cmocka_unit_test(test_hosts_put_out),
		cmocka_unit_test(test_put_out_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
