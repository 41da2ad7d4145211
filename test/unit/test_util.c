/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of util.c and utf8.c. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "proto/utf8.h"
#include "proto/util.h"

static void
test_strings(void **state)
{
	char *text = NULL;

	assert_string_equal(str_or_empty(NULL), "");
	assert_true(str_empty(NULL));
	assert_true(str_empty(""));
	assert_false(str_empty("a"));
	assert_true(str_equal(NULL, ""));
	assert_false(str_equal(NULL, "a"));

	str_set(&text, "abc");
	str_set(&text, text + 1);
	assert_string_equal(text, "bc");
	str_set(&text, NULL);
	assert_string_equal(text, "");
	free(text);
}

static void
test_cleanup(void **state)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	{
		_close_ int fd = fds[0];
		_free_ char *text = xstrdup("x");
		char *taken = steal_ptr(text);

		assert_int_equal(fcntl(fd, F_GETFD), 0);
		assert_null(text);
		free(taken);
	}
	assert_int_equal(fcntl(fds[0], F_GETFD), -1);
	{
		_close_ int fd = fds[1];

		assert_int_equal(steal_fd(&fd), fds[1]);
		assert_int_equal(fd, -1);
	}
	assert_int_equal(fcntl(fds[1], F_GETFD), 0);
	close(fds[1]);
}

static void
test_cleanup_keeps_errno(void **state)
{
	errno = ENOENT;
	{
		int fd = 1 << 20;

		util_close(&fd);
	}
	assert_int_equal(errno, ENOENT);
}

static void
test_buffer(void **state)
{
	_buffer_ struct buffer b = { 0 };
	_free_ char *data = NULL;
	size_t len = 1;

	for (int i = 0; i < 1000; i++)
		buffer_printf(&b, "%d,", i);
	assert_int_equal(b.len, 10 * 2 + 90 * 3 + 900 * 4);
	assert_int_equal(strlen(b.data), b.len);
	buffer_add(&b, "\0x", 2);
	assert_int_equal(b.data[b.len], '\0');
	data = buffer_steal(&b, &len);
	assert_int_equal(len, 10 * 2 + 90 * 3 + 900 * 4 + 2);
	assert_null(b.data);
	free(data);
	data = buffer_steal(&b, &len);
	assert_string_equal(data, "");
	assert_int_equal(len, 0);
}

static void
test_read_write_all(void **state)
{
	_buffer_ struct buffer b = { 0 };
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write_all(fds[1], "0123456789", 10), 0);
	close(fds[1]);
	assert_int_equal(read_all(fds[0], &b, 10), 0);
	assert_string_equal(b.data, "0123456789");
	close(fds[0]);

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write_all(fds[1], "0123456789", 10), 0);
	close(fds[1]);
	buffer_clear(&b);
	assert_int_equal(read_all(fds[0], &b, 9), -EFBIG);
	close(fds[0]);

	assert_int_equal(read_all(-1, &b, 9), -EBADF);
	assert_int_equal(write_all(-1, "x", 1), -EBADF);
}

static void
test_clocks(void **state)
{
	int64_t before = monotonic_ms();

	assert_true(now_ms() > 1700000000000);
	assert_true(monotonic_ms() >= before);
}

static void
test_utf8(void **state)
{
	static const struct {
		const char *text;
		uint32_t code;
	} good[] = {
		{ "a", 'a' },
		{ "\x7f", 0x7f },
		{ "\xc2\x80", 0x80 },
		{ "\xdf\xbf", 0x7ff },
		{ "\xe0\xa0\x80", 0x800 },
		{ "\xed\x9f\xbf", 0xd7ff },
		{ "\xee\x80\x80", 0xe000 },
		{ "\xf0\x90\x80\x80", 0x10000 },
		{ "\xf4\x8f\xbf\xbf", 0x10ffff },
	};
	static const char *const bad[] = {
		"\x80",
		"\xc0\x80",
		"\xc1\xbf",
		"\xc2",
		"\xc2 ",
		"\xe0\x9f\xbf",
		"\xed\xa0\x80",
		"\xed\xbf\xbf",
		"\xe2\x82",
		"\xf0\x8f\xbf\xbf",
		"\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80",
		"\xff",
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		uint32_t code = 0;
		size_t len = strlen(good[i].text);

		assert_int_equal(utf8_char(good[i].text, len, &code), len);
		assert_int_equal(code, good[i].code);
		assert_true(utf8_valid(good[i].text, len));
		if (len > 1)
			assert_false(utf8_valid(good[i].text, len - 1));
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(utf8_char(bad[i], strlen(bad[i]), NULL), 0);
	assert_int_equal(utf8_valid_length("ab\xff", 3), 2);
	assert_true(utf8_is_control(0x85));
	assert_false(utf8_is_control(0xa0));
	static const uint32_t hidden[] = { 0xad, 0x200b, 0x200e, 0x2028, 0x202e, 0x2066, 0xfeff,
		0xe0041 };
	static const uint32_t seen[] = { 'a', ' ', 0xa0, 0xe4, 0x2010, 0x20ac, 0x3042, 0x1f600 };
	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++)
		assert_true(utf8_is_hidden(hidden[i]));
	for (size_t i = 0; i < ARRAY_SIZE(seen); i++)
		assert_false(utf8_is_hidden(seen[i]));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_cleanup),
		cmocka_unit_test(test_cleanup_keeps_errno),
		cmocka_unit_test(test_buffer),
		cmocka_unit_test(test_read_write_all),
		cmocka_unit_test(test_clocks),
		cmocka_unit_test(test_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
