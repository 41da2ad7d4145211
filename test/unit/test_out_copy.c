/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which hosts were put out, as this host keeps it for itself, and what is made of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "scratch.h"

#include "domain/out_copy.h"
#include "state/tokens.h"

#define ONE "a0000000-0000-4000-8000-000000000001"
#define TWO "a0000000-0000-4000-8000-000000000002"

static void
test_kept(void **state)
{
	struct token_set set = { 0 }, read = { 0 };
	struct error err = { 0 };

	/* Where nobody was put out there is no file. */
	assert_int_equal(out_copy_load(*state, &read, &err), 0);
	assert_int_equal(out_copy_save(*state, &set, &err), 0);
	assert_int_equal(scratch_mode(*state, OUT_COPY_NAME), -1);
	model_append(&set.out, &set.n_out)->name = xstrdup(ONE);
	model_append(&set.out, &set.n_out)->name = xstrdup(TWO);
	assert_int_equal(out_copy_save(*state, &set, &err), 0);
	assert_int_equal(scratch_mode(*state, OUT_COPY_NAME), 0600);
	assert_int_equal(out_copy_load(*state, &read, &err), 0);
	assert_int_equal(read.n_out, 2);
	assert_string_equal(read.out[0].name, ONE);
	assert_string_equal(read.out[1].name, TWO);
	model_clear(&token_set_model, &read);
	/* All are in again. */
	model_clear(&token_set_model, &set);
	assert_int_equal(out_copy_save(*state, &set, &err), 0);
	assert_int_equal(out_copy_load(*state, &read, &err), 0);
	assert_int_equal(read.n_out, 0);
}

/* What can be read of it counts, and the rest is told. */
static void
test_damaged(void **state)
{
	struct token_set set = { 0 };
	struct error err = { 0 };

	scratch_write(*state, OUT_COPY_NAME, "../x\n" TWO "\n\n" ONE "0\n");
	assert_int_equal(out_copy_load(*state, &set, &err), -1);
	assert_non_null(strstr(err.detail, "2 lines of "));
	assert_int_equal(set.n_out, 1);
	assert_string_equal(set.out[0].name, TWO);
	model_clear(&token_set_model, &set);
}

/* Until the storage is read, and no longer. */
static void
test_assumed(void **state)
{
	struct tokens *tokens = tokens_new();
	struct token_set set = { 0 };

	tokens_assume_out(tokens, ONE);
	tokens_assume_out(tokens, ONE);
	assert_true(tokens_is_out(tokens, ONE));
	assert_false(tokens_known(tokens));
	tokens_begin(tokens);
	assert_true(tokens_replace(tokens, &set));
	assert_false(tokens_is_out(tokens, ONE));
	tokens_assume_out(tokens, ONE);
	assert_false(tokens_is_out(tokens, ONE));
	tokens_free(tokens);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kept, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_damaged, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_assumed, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
