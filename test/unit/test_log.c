/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "proto/log.h"

/* What stderr was, and the file that stands in for it. */
struct capture {
	int stderr_fd;
	int fd;
};

static int
setup(void **state)
{
	struct capture *c = xcalloc(1, sizeof(*c));
	char name[] = "/tmp/virtx-test-log-XXXXXX";

	c->fd = mkostemp(name, O_CLOEXEC | O_APPEND);
	if (c->fd < 0)
		return -1;
	unlink(name);
	c->stderr_fd = dup(STDERR_FILENO);
	dup2(c->fd, STDERR_FILENO);
	unsetenv("JOURNAL_STREAM");
	log_init(LOG_LEVEL_DEBUG, NULL);
	*state = c;
	return 0;
}

static int
teardown(void **state)
{
	struct capture *c = *state;

	dup2(c->stderr_fd, STDERR_FILENO);
	close(c->stderr_fd);
	close(c->fd);
	free(c);
	return 0;
}

/* What was written since the last call; the caller frees. */
static char *
taken(struct capture *c)
{
	_buffer_ struct buffer b = { 0 };

	lseek(c->fd, 0, SEEK_SET);
	assert_int_equal(read_all(c->fd, &b, 1 << 20), 0);
	assert_int_equal(ftruncate(c->fd, 0), 0);
	return buffer_steal(&b, NULL);
}

/* Makes the stand-in look like the journal, the inode moved by offset. */
static void
set_journal(struct capture *c, unsigned long offset)
{
	struct stat st;
	char text[64];

	assert_int_equal(fstat(c->fd, &st), 0);
	snprintf(text, sizeof(text), "%lu:%lu", (unsigned long)st.st_dev,
	    (unsigned long)st.st_ino + offset);
	setenv("JOURNAL_STREAM", text, 1);
}

static void
test_stamp(void **state)
{
	_free_ char *line = NULL;
	int year, month, day, hour, minute, second, ms, used = 0;

	log_info("http", "listening on '%s'", "127.0.0.1");
	line = taken(*state);
	assert_int_equal(sscanf(line, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ %n", &year, &month, &day, &hour,
			     &minute, &second, &ms, &used),
	    7);
	assert_int_equal(used, 25);
	assert_string_equal(line + used, "info http: listening on '127.0.0.1'\n");
}

static void
test_journal_and_tag(void **state)
{
	_free_ char *text = NULL;

	set_journal(*state, 0);
	log_init(LOG_LEVEL_INFO, NULL);
	log_error("a", "1");
	log_warning("b", "2");
	log_info("c", "3");
	log_debug("d", "4");
	log_init(LOG_LEVEL_DEBUG, "create 17");
	log_debug("d", "5");
	text = taken(*state);
	assert_string_equal(text, "<3>a: 1\n<4>b: 2\n<6>c: 3\n<7>[create 17] d: 5\n");
}

static void
test_another_journal(void **state)
{
	_free_ char *text = NULL;

	set_journal(*state, 1);
	log_init(LOG_LEVEL_INFO, NULL);
	log_error("a", "1");
	text = taken(*state);
	assert_non_null(strstr(text, "Z error a: 1\n"));
}

static void
test_escapes(void **state)
{
	_free_ char *text = NULL;

	set_journal(*state, 0);
	log_init(LOG_LEVEL_INFO, NULL);
	log_info("x", "%s", "a\nb\tc\x1b[0m \x7f \xc2\x85 \xff größe \xe2\x80\xae");
	text = taken(*state);
	assert_string_equal(
	    text, "<6>x: a\\nb\\tc\\x1b[0m \\x7f \\xc2\\x85 \\xff größe \\xe2\\x80\\xae\n");
}

static void
test_long_line_is_one(void **state)
{
	_free_ char *text = NULL;
	_free_ char *big = xcalloc(1, 100000);

	memset(big, '\n', 99999);
	log_info("x", "%s", big);
	text = taken(*state);
	assert_true(strlen(text) <= 4096);
	assert_true(strlen(text) > 4000);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	assert_string_equal(text + strlen(text) - 4, "...\n");
}

static void
test_level(void **state)
{
	log_set_level(LOG_LEVEL_WARNING);
	assert_int_equal(log_get_level(), LOG_LEVEL_WARNING);
	log_info("x", "no");
	{
		_free_ char *text = taken(*state);

		assert_string_equal(text, "");
	}
	assert_int_equal(log_level_from_word("warning"), LOG_LEVEL_WARNING);
	assert_int_equal(log_level_from_word("Warning"), -1);
	assert_int_equal(log_level_from_word(""), -1);
	assert_int_equal(log_level_from_word(NULL), -1);
}

static void
test_errno_survives(void **state)
{
	errno = ENOTDIR;
	log_info("x", "%s", "y");
	assert_int_equal(errno, ENOTDIR);
}

static void
test_limited(void **state)
{
	struct log_limit limit = { 0 };
	_free_ char *text = NULL;
	unsigned int lines = 0;

	for (int i = 0; i < 100; i++)
		log_limited(&limit, 3, "serf", "bad event %d", i);
	/* The minute is over. */
	limit.window_ms -= 60000;
	log_limited(&limit, 3, "serf", "bad event again");
	text = taken(*state);
	for (const char *p = text; (p = strchr(p, '\n')); p++)
		lines++;
	assert_int_equal(lines, 5);
	assert_non_null(strstr(text, "97 more lines"));
	assert_non_null(strstr(text, "bad event again"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stamp, setup, teardown),
		cmocka_unit_test_setup_teardown(test_journal_and_tag, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_journal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_escapes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_line_is_one, setup, teardown),
		cmocka_unit_test_setup_teardown(test_level, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errno_survives, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limited, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
