/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files under test/golden: expected texts, rewritten with VIRTX_TEST_REGENERATE=1. */
#ifndef TEST_UNIT_GOLDEN_H
#define TEST_UNIT_GOLDEN_H

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "proto/util.h"

/* The path of a golden file; the caller frees. */
static inline char *
golden_path(const char *name)
{
	const char *root = getenv("VIRTX_SOURCE_ROOT");

	if (!root)
		fail_msg("VIRTX_SOURCE_ROOT is not set");
	return xasprintf("%s/test/golden/%s", root, name);
}

/* The content of a golden file, the caller's; NULL when it is not there. */
static inline char *
golden_find(const char *name)
{
	_free_ char *path = golden_path(name);
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_buffer_ struct buffer text = { 0 };

	if (fd < 0 && errno == ENOENT)
		return NULL;
	if (fd < 0 || read_all(fd, &text, 16 * 1024 * 1024) < 0)
		fail_msg("cannot read '%s'", path);
	return buffer_steal(&text, NULL);
}

static inline char *
golden_read(const char *name)
{
	char *text = golden_find(name);

	if (!text)
		fail_msg("there is no golden file '%s'", name);
	return text;
}

/* Compares a text with a golden file, or writes it there. */
static inline void
golden_expect(const char *name, const char *text)
{
	_free_ char *expected = golden_find(name);

	if (getenv("VIRTX_TEST_REGENERATE")) {
		_free_ char *path = golden_path(name);
		_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

		if (fd < 0 || write_all(fd, text, strlen(text)) < 0)
			fail_msg("cannot write '%s'", path);
		return;
	}
	assert_non_null(expected);
	assert_string_equal(text, expected);
}

/* How often a word is in a text. */
static inline size_t
text_count(const char *text, const char *word)
{
	size_t n = 0;

	for (const char *p = text; (p = strstr(p, word)); p++)
		n++;
	return n;
}

#endif
