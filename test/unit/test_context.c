/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "scratch.h"
#include "virtx/context.h"

static int
setup(void **state)
{
	if (scratch_setup(state) < 0)
		return -1;
	return setenv("XDG_CONFIG_HOME", *state, 1);
}

static void
write_as(const char *name, const char *server)
{
	const struct context context = { (char *)server, (char *)"CA\n", (char *)"secret" };
	struct error err = { 0 };

	if (context_write(name, &context, &err) < 0)
		fail_msg("%s", err.detail);
}

static void
reads(const char *name, const char *server)
{
	_context_ struct context context = { 0 };
	struct error err = { 0 };

	if (context_read(name, &context, &err) != 1)
		fail_msg("%s", err.detail);
	assert_string_equal(context.server, server);
	assert_string_equal(context.ca, "CA\n");
	assert_string_equal(context.token, "secret");
}

/* Neither reading nor using it works, and both say so. */
static void
refuses(const char *name, const char *words)
{
	struct context context = { 0 };
	struct error err = { 0 };

	assert_int_equal(context_read(name, &context, &err), -1);
	assert_null(context.token);
	if (!strstr(err.detail, words))
		fail_msg("'%s' has no '%s'", err.detail, words);
	assert_int_equal(context_use(name, &err), -1);
	assert_null(strstr(err.detail, "secret"));
}

static void
test_kept(void **state)
{
	write_as("lab", "https://h1");
	reads("lab", "https://h1");
	assert_int_equal(scratch_mode(*state, "virtx"), 0700);
	assert_int_equal(scratch_mode(*state, "virtx/lab.json"), 0600);
	write_as("lab", "https://h2:81");
	reads("lab", "https://h2:81");
	/* Nothing but the file is left of it. */
	write_as("a.b_c-D1", "https://h3");
	reads("lab", "https://h2:81");
}

static void
test_home(void **state)
{
	_free_ char *home = scratch_path(*state, "home");
	struct context_names names;
	struct error err = { 0 };

	scratch_mkdir(*state, "home");
	setenv("HOME", home, 1);
	/* A relative path is none. */
	setenv("XDG_CONFIG_HOME", "config", 1);
	assert_int_equal(context_list(&names, &err), 0);
	assert_int_equal(names.n, 0);
	write_as("lab", "https://h1");
	assert_int_equal(scratch_mode(home, ".config"), 0700);
	assert_int_equal(scratch_mode(home, ".config/virtx/lab.json"), 0600);
	unsetenv("XDG_CONFIG_HOME");
	unsetenv("HOME");
	assert_int_equal(context_list(&names, &err), 0);
	assert_int_equal(names.n, 0);
	assert_int_equal(context_write("lab", &(struct context){ 0 }, &err), -1);
	assert_non_null(strstr(err.detail, "neither XDG_CONFIG_HOME nor HOME"));
}

/* Reading makes nothing. */
static void
test_none(void **state)
{
	struct context context = { 0 };
	struct error err = { 0 };
	char *used;

	assert_int_equal(context_read("lab", &context, &err), 0);
	assert_int_equal(context_used(&used, &err), 0);
	assert_null(used);
	assert_int_equal(context_use(CONTEXT_NONE, &err), 0);
	assert_int_equal(context_use("lab", &err), -1);
	assert_string_equal(err.detail, "there is no context 'lab'");
	assert_int_equal(context_remove("lab", &err), -1);
	assert_string_equal(err.detail, "there is no context 'lab'");
	assert_int_equal(scratch_mode(*state, "virtx"), -1);
}

static void
test_names(void **state)
{
	static const char *const bad[] = { "", ".", "..", ".lab", "a/b", "../lab", "a b", "-x",
		CONTEXT_NONE, "h\xc3\xb6", "fd00::1",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
	struct context context = { 0 };
	struct error err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(context_write(bad[i], &context, &err), -1);
		assert_non_null(strstr(err.detail, "is no name for a context"));
		assert_int_equal(context_read(bad[i], &context, &err), -1);
		assert_int_equal(context_remove(bad[i], &err), -1);
	}
	assert_int_equal(scratch_mode(*state, "virtx"), -1);
}

static void
test_use(void **state)
{
	struct error err = { 0 };
	char *used;

	write_as("lab", "https://h1");
	write_as("used", "https://h2");
	assert_int_equal(context_use("lab", &err), 0);
	assert_int_equal(context_used(&used, &err), 0);
	assert_string_equal(used, "lab");
	free(used);
	assert_int_equal(context_use("nosuch", &err), -1);
	/* Removing another one leaves it. */
	assert_int_equal(context_remove("used", &err), 0);
	assert_int_equal(context_used(&used, &err), 0);
	assert_string_equal(used, "lab");
	free(used);
	assert_int_equal(context_remove("lab", &err), 0);
	assert_int_equal(context_used(&used, &err), 0);
	assert_null(used);
	write_as("lab", "https://h1");
	assert_int_equal(context_use("lab", &err), 0);
	assert_int_equal(context_use(CONTEXT_NONE, &err), 0);
	assert_int_equal(context_used(&used, &err), 0);
	assert_null(used);
	reads("lab", "https://h1");
}

static void
test_list(void **state)
{
	struct context_names names;
	struct error err = { 0 };

	write_as("b", "https://h1");
	write_as("a", "https://h1");
	write_as("c", "https://h1");
	scratch_write(*state, "virtx/.d.json", "");
	scratch_write(*state, "virtx/e", "");
	scratch_write(*state, "virtx/" CONTEXT_NONE ".json", "");
	assert_int_equal(context_list(&names, &err), 0);
	assert_int_equal(names.n, 3);
	assert_string_equal(names.items[0], "a");
	assert_string_equal(names.items[1], "b");
	assert_string_equal(names.items[2], "c");
	context_names_clear(&names);
}

/* What others may write is not what was kept. */
static void
test_open(void **state)
{
	_free_ char *folder = scratch_path(*state, "virtx"),
		    *file = scratch_path(*state, "virtx/lab.json"),
		    *used = scratch_path(*state, "virtx/used");
	struct error err = { 0 };
	char *name;

	write_as("lab", "https://h1");
	assert_int_equal(context_use("lab", &err), 0);
	assert_int_equal(chmod(file, 0640), 0);
	refuses("lab", "is open to others, by its mode 0640: chmod 600");
	assert_int_equal(chmod(file, 0600), 0);
	assert_int_equal(chmod(used, 0602), 0);
	assert_int_equal(context_used(&name, &err), -1);
	assert_non_null(strstr(err.detail, "is open to others, by its mode 0602"));
	assert_int_equal(chmod(used, 0600), 0);
	assert_int_equal(chmod(folder, 0755), 0);
	refuses("lab", "is open to others, by its mode 0755: chmod 700");
	assert_int_equal(context_write("lab", &(struct context){ 0 }, &err), -1);
	assert_int_equal(chmod(folder, 0700), 0);
	reads("lab", "https://h1");
}

static void
test_links(void **state)
{
	_free_ char *folder = scratch_path(*state, "virtx"),
		    *file = scratch_path(*state, "virtx/lab.json"),
		    *away = scratch_path(*state, "away"), *moved = scratch_path(*state, "moved");
	struct context context = { 0 };
	struct error err = { 0 };
	struct stat st;

	write_as("lab", "https://h1");
	assert_int_equal(rename(file, away), 0);
	assert_int_equal(symlink(away, file), 0);
	refuses("lab", "cannot open");
	/* It is replaced, and what it led to is not touched. */
	write_as("lab", "https://h2");
	assert_int_equal(lstat(file, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	reads("lab", "https://h2");
	assert_int_equal(rename(away, file), 0);
	reads("lab", "https://h1");

	assert_int_equal(rename(folder, moved), 0);
	assert_int_equal(symlink(moved, folder), 0);
	refuses("lab", "cannot open the folder");
	assert_int_equal(context_write("lab", &context, &err), -1);
	assert_int_equal(unlink(folder), 0);
	assert_int_equal(rename(moved, folder), 0);
	/* Nothing waits for who would write into it. */
	assert_int_equal(unlink(file), 0);
	assert_int_equal(mkfifo(file, 0600), 0);
	refuses("lab", "is no file of yours");
}

/* The contexts of somebody else are none, as for root in the environment of a user. */
static void
test_another(void **state)
{
	_free_ char *folder = scratch_path(*state, "virtx"),
		    *file = scratch_path(*state, "virtx/lab.json");
	struct context context = { 0 };
	struct error err = { 0 };
	char *used;

	if (geteuid() != 0)
		skip();
	write_as("lab", "https://h1");
	assert_int_equal(context_use("lab", &err), 0);
	assert_int_equal(chown(file, 1, 1), 0);
	refuses("lab", "is no file of yours");
	assert_int_equal(chown(folder, 1, 1), 0);
	assert_int_equal(context_used(&used, &err), 0);
	assert_null(used);
	assert_int_equal(context_read("lab", &context, &err), 0);
	assert_int_equal(context_write("lab", &context, &err), -1);
	assert_non_null(strstr(err.detail, "is no folder of yours"));
}

static void
test_home_of_another(void **state)
{
	_free_ char *home = scratch_path(*state, "home");
	struct context context = { 0 };
	struct error err = { 0 };

	if (geteuid() != 0)
		skip();
	scratch_mkdir(*state, "home");
	assert_int_equal(chown(home, 1, 1), 0);
	unsetenv("XDG_CONFIG_HOME");
	setenv("HOME", home, 1);
	assert_int_equal(context_read("lab", &context, &err), 0);
	assert_int_equal(context_write("lab", &context, &err), -1);
	assert_non_null(strstr(err.detail, "is another user's"));
	assert_int_equal(scratch_mode(home, ".config"), -1);
}

/* What cannot be looked at is not taken for none: commands would go elsewhere. */
static void
test_out_of_reach(void **state)
{
	_free_ char *loop = scratch_path(*state, "loop");
	struct context_names names;
	struct context context;
	struct error err = { 0 };
	char *used;

	assert_int_equal(symlink("loop", loop), 0);
	setenv("XDG_CONFIG_HOME", loop, 1);
	assert_int_equal(context_used(&used, &err), -1);
	assert_non_null(strstr(err.detail, "cannot look for contexts in '"));
	assert_int_equal(context_read("lab", &context, &err), -1);
	assert_int_equal(context_list(&names, &err), -1);
}

/* A write that was killed leaves its secret in a file that is not used. */
static void
test_killed(void **state)
{
	struct error err = { 0 };

	write_as("lab", "https://h1");
	scratch_write(*state, "virtx/.lab.json.new", "secret");
	write_as("lab", "https://h2");
	assert_int_equal(scratch_mode(*state, "virtx/.lab.json.new"), -1);
	reads("lab", "https://h2");
	scratch_write(*state, "virtx/.lab.json.new", "secret");
	assert_int_equal(context_remove("lab", &err), 0);
	assert_int_equal(scratch_mode(*state, "virtx/.lab.json.new"), -1);
}

static void
test_damaged(void **state)
{
	static const char *const bad[] = { "", "{", "{\"server\":7,\"token\":\"secret\"}", "{}",
		"{\"token\":\"secret\"}", "[]" };
	struct error err = { 0 };

	write_as("lab", "https://h1");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		scratch_write(*state, "virtx/lab.json", bad[i]);
		refuses("lab", "context 'lab': 'lab.json'");
	}
	assert_int_equal(context_remove("lab", &err), 0);
	assert_int_equal(scratch_mode(*state, "virtx/lab.json"), -1);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, scratch_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_kept),
		TEST(test_home),
		TEST(test_none),
		TEST(test_names),
		TEST(test_use),
		TEST(test_list),
		TEST(test_open),
		TEST(test_links),
		TEST(test_another),
		TEST(test_home_of_another),
		TEST(test_out_of_reach),
		TEST(test_killed),
		TEST(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
