/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Settings that are put into files of others, and taken back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "virtx/cluster_edit.h"

#define BEGIN CLUSTER_EDIT_BEGIN "\n"
#define END   CLUSTER_EDIT_END "\n"
#define WAS   CLUSTER_EDIT_WAS

static void
check_rule(const char *before, const char *settings, const struct cluster_edit_rule *rule,
    const char *after)
{
	_free_ char *once = cluster_edit_set(before, settings, rule);
	_free_ char *twice = cluster_edit_set(once, settings, rule);
	_free_ char *undone = cluster_edit_undo(once, rule);

	assert_string_equal(once, after);
	assert_string_equal(twice, once);
	assert_string_equal(undone, before);
}

static void
check(const char *before, const char *settings, const char *several, const char *after)
{
	const struct cluster_edit_rule rule = { several, NULL, NULL, NULL };

	check_rule(before, settings, &rule, after);
}

static void
test_set(void **state)
{
	check("", "a = 1\n", NULL, BEGIN "a = 1\n" END);
	check("# a = 0\nb = 2\n", "a = 1\n", NULL, "# a = 0\nb = 2\n" BEGIN "a = 1\n" END);
	check("a = 0\nb=2\n a=3\n", "a = 1\n", NULL,
	    WAS "a = 0\nb=2\n" WAS " a=3\n" BEGIN "a = 1\n" END);
	check("ab = 0\nba = 0\n", "a = 1\n", NULL, "ab = 0\nba = 0\n" BEGIN "a = 1\n" END);
	/* Shell. */
	check("x=\"-w 0\"\n", "x=\"\"\n", NULL, WAS "x=\"-w 0\"\n" BEGIN "x=\"\"\n" END);
	/* A list that goes on. */
	check("l = [ \"a\" ]\nb = 1\n", "l = [ \"x\" ]\n", NULL,
	    WAS "l = [ \"a\" ]\nb = 1\n" BEGIN "l = [ \"x\" ]\n" END);
	check("l = [\n  \"a\",\n  \"b\"\n]\nb = 1\n", "l = [ \"x\" ]\n", NULL,
	    WAS "l = [\n" WAS "  \"a\",\n" WAS "  \"b\"\n" WAS "]\nb = 1\n" BEGIN
		"l = [ \"x\" ]\n" END);
}

/* A list ends neither in a word of it, nor in a comment. */
static void
test_list_end(void **state)
{
	check("l = [\"O=[x]\",\n\"b\"]\nb = 1\n", "l = 1\n", NULL,
	    WAS "l = [\"O=[x]\",\n" WAS "\"b\"]\nb = 1\n" BEGIN "l = 1\n" END);
	check("l = [ # all ]\n  'a]', # ]\n  'b'\n] # end\nb = 1\n", "l = 1\n", NULL,
	    WAS "l = [ # all ]\n" WAS "  'a]', # ]\n" WAS "  'b'\n" WAS "] # end\nb = 1\n" BEGIN
		"l = 1\n" END);
	check("l = [ \"it's\" ]\nb = 1\n", "l = 1\n", NULL,
	    WAS "l = [ \"it's\" ]\nb = 1\n" BEGIN "l = 1\n" END);
}

static void
test_sections(void **state)
{
	check("[s]\na = 0\n[t]\na = 5\n", "[t]\na = 1\n", NULL,
	    "[s]\na = 0\n[t]\n" WAS "a = 5\n" BEGIN "[t]\na = 1\n" END);
	/* Of what may be there several times, the one of the same address. */
	check("[h]\nl = 1.2.3.4:1 plain open\nl = 1.2.3.5:1 tls\n", "[h]\nl = 1.2.3.4:1 tls\n", "l",
	    "[h]\n" WAS "l = 1.2.3.4:1 plain open\nl = 1.2.3.5:1 tls\n" BEGIN
	    "[h]\nl = 1.2.3.4:1 tls\n" END);
}

/* Keys in the other spelling of INI. */
static void
test_colon(void **state)
{
	check("[t]\nca: /x\nb : c=1\n", "[t]\nca = /y\nb = 1\n", NULL,
	    "[t]\n" WAS "ca: /x\n" WAS "b : c=1\n" BEGIN "[t]\nca = /y\nb = 1\n" END);
	check("[h]\nl: 1.2.3.4:1 plain\nl = [::1]:1\n", "[h]\nl = 1.2.3.4:1 tls\n", "l",
	    "[h]\n" WAS "l: 1.2.3.4:1 plain\nl = [::1]:1\n" BEGIN "[h]\nl = 1.2.3.4:1 tls\n" END);
}

static bool
drops(const char *section, const char *key, const char *value)
{
	return strcmp(section, "s") == 0 && strcmp(key, "out") == 0 && strcmp(value, "1") == 0;
}

/* A key that none of the settings has. */
static void
test_drops(void **state)
{
	static const struct cluster_edit_rule rule = { NULL, drops, NULL, NULL };

	check_rule("out = 1\n[s]\nout=1 \nout = 2\n[t]\nout = 1\n", "[s]\na = 1\n", &rule,
	    "out = 1\n[s]\n" WAS "out=1 \nout = 2\n[t]\nout = 1\n" BEGIN "[s]\na = 1\n" END);
}

/* A key that is not to be set, and nothing that is: all else is left alone. */
static void
test_never(void **state)
{
	static const struct cluster_edit_rule rule = { NULL, NULL, NULL, "n" };
	_free_ char *gone =
	    cluster_edit_set("a = 1\n" WAS "n = 2\n" BEGIN "n = 1\n" END, "", &rule);
	_free_ char *none = cluster_edit_set(BEGIN "n = 1\n" END, "", &rule);

	check_rule("# n = 1\n n=1\nnn = 1\n[s]\nn = 1\n", "", &rule,
	    "# n = 1\n" WAS " n=1\nnn = 1\n[s]\nn = 1\n");
	check_rule("a = 1\n", "", &rule, "a = 1\n");
	check_rule("", "", &rule, "");
	/* One that a block had said before. */
	assert_string_equal(gone, "a = 1\n" WAS "n = 2\n");
	assert_string_equal(none, "");
	assert_false(cluster_edit_says(BEGIN "n = 1\n" END, "", &rule));
	assert_true(cluster_edit_says("a = 1\n", "", &rule));
}

static bool
stays(const char *section, const char *key, const char *value)
{
	return drops(section, key, value);
}

/* What is not to be there again stays a comment of ours, which the next setting knows as such. */
static void
test_stays(void **state)
{
	static const struct cluster_edit_rule rule = { NULL, drops, stays, NULL };
	_free_ char *set = cluster_edit_set("[s]\na = 0\nout=1 \nout = 2\n", "[t]\na = 1\n", &rule);
	_free_ char *undone = cluster_edit_undo(set, &rule), *twice = NULL, *again = NULL;
	_free_ char *all = cluster_edit_undo(set, NULL);

	assert_string_equal(undone, "[s]\na = 0\n" WAS "out=1 \nout = 2\n");
	twice = cluster_edit_undo(undone, &rule);
	assert_string_equal(twice, undone);
	again = cluster_edit_set(undone, "[t]\na = 1\n", &rule);
	assert_string_equal(again, set);
	assert_string_equal(all, "[s]\na = 0\nout=1 \nout = 2\n");
}

/* Of what stands behind the block the section is that in front of it. */
static void
test_stays_section(void **state)
{
	static const struct cluster_edit_rule rule = { NULL, drops, stays, NULL };
	_free_ char *undone =
	    cluster_edit_undo("[s]\n" BEGIN "[t]\na = 1\n" END WAS "out = 1\n", &rule);

	assert_string_equal(undone, "[s]\n" WAS "out = 1\n");
}

static void
test_has(void **state)
{
	assert_true(cluster_edit_has("a = 1\n" BEGIN));
	assert_false(cluster_edit_has("a = 1\n" WAS "b = 1\n " BEGIN));
	assert_false(cluster_edit_has(""));
}

static void
test_show(void **state)
{
	static const struct cluster_edit_rule rule = { "l", NULL, NULL, NULL };
	_free_ char *shown = NULL;
	size_t len;
	FILE *out = open_memstream(&shown, &len);

	cluster_edit_show("a = 1\n" WAS "key = secret\n" WAS " l = 1.2.3.4 open\n" WAS
			  "  x ]\n#b = 1\n",
	    &rule, "was", out);
	fclose(out);
	assert_string_equal(shown, "    was: key\n    was: l = 1.2.3.4 open\n");
}

/* What was set before and is no more is taken back. */
static void
test_changed(void **state)
{
	_free_ char *first = cluster_edit_set("a = 0\n", "a = 1\nb = 1\n", NULL);
	_free_ char *second = cluster_edit_set(first, "b = 2\n", NULL);

	assert_string_equal(second, "a = 0\n" BEGIN "b = 2\n" END);
}

static void
test_end(void **state)
{
	_free_ char *without = cluster_edit_set("b = 1", "a = 1\n", NULL);

	assert_string_equal(without, "b = 1\n" BEGIN "a = 1\n" END);
}

/* Behind a block of which the end was lost may be what somebody else has written. */
static void
test_end_lost(void **state)
{
	static const char *const texts[] = { "b = 1\n" BEGIN "a = 1\nc = 2\n",
		BEGIN "a = 1\nc = 2\n" BEGIN "a = 1\n" END };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_null(cluster_edit_undo(texts[i], NULL));
		assert_null(cluster_edit_set(texts[i], "a = 1\n", NULL));
	}
}

static void
test_get(void **state)
{
	static const char text[] = "#u = \"x\"\n u = \"y\"\nu=z\n[s]\nv = 1\n";
	_free_ char *u = cluster_edit_get(text, "", "u");
	_free_ char *v = cluster_edit_get(text, "s", "v");

	assert_string_equal(u, "y");
	assert_string_equal(v, "1");
	assert_null(cluster_edit_get(text, "", "v"));
	assert_null(cluster_edit_get("", "", "u"));
}

static void
test_says(void **state)
{
	const struct cluster_edit_rule rule = { NULL, drops, NULL, NULL };

	assert_true(cluster_edit_says("b = 2\n a=1 \n", "a = 1\n", NULL));
	assert_true(cluster_edit_says("[s]\na = 0\n[t]\na = 1\n", "[t]\na = 1\n", NULL));
	assert_true(cluster_edit_says("a = 1\na = 1\n", "a = 1\n", NULL));
	assert_false(cluster_edit_says("", "a = 1\n", NULL));
	assert_false(cluster_edit_says("#a = 1\n", "a = 1\n", NULL));
	assert_false(cluster_edit_says("a = 1\na = 2\n", "a = 1\n", NULL));
	assert_false(cluster_edit_says("[t]\na = 1\n", "a = 1\n", NULL));
	assert_false(cluster_edit_says("a = 1\n", "a = 1\nb = 1\n", NULL));
	assert_false(cluster_edit_says("a = 1 2\n", "a = 1\n", NULL));
	assert_true(cluster_edit_says("[s]\na = 1\nout = 2\n", "[s]\na = 1\n", &rule));
	assert_false(cluster_edit_says("[s]\na = 1\nout = 1\n", "[s]\na = 1\n", &rule));
	/* What else was in a block goes with it. */
	assert_false(cluster_edit_says(BEGIN "a = 1\nb = 1\n" END, "a = 1\n", NULL));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_list_end),
		cmocka_unit_test(test_sections),
		cmocka_unit_test(test_colon),
		cmocka_unit_test(test_drops),
		cmocka_unit_test(test_never),
		cmocka_unit_test(test_stays),
		cmocka_unit_test(test_stays_section),
		cmocka_unit_test(test_show),
		cmocka_unit_test(test_has),
		cmocka_unit_test(test_changed),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_end_lost),
		cmocka_unit_test(test_says),
		cmocka_unit_test(test_get),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
