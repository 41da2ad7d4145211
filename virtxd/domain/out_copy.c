/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/out_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/uuid.h"

#define COPY_MAX ((size_t)64 << 10) /* bytes; 1,000 hosts are 37,000 */

/* 0 or a negative errno; -ENOENT for none. */
static int
read_copy(const char *path, struct buffer *ret)
{
	_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	return fd < 0 ? -errno : read_all(fd, ret, COPY_MAX);
}

static int
write_copy(const char *path, const struct buffer *text)
{
	_free_ char *temporary = xasprintf("%s.new", path);
	_close_ int fd =
	    open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : write_all(fd, str_or_empty(text->data), text->len);

	if (r == 0 && (fsync(fd) < 0 || rename(temporary, path) < 0))
		r = -errno;
	if (r < 0 && fd >= 0)
		unlink(temporary);
	return r;
}

int
out_copy_save(const char *dir, const struct token_set *set, struct error *err)
{
	_free_ char *path = xasprintf("%s/" OUT_COPY_NAME, dir);
	_buffer_ struct buffer text = { 0 }, there = { 0 };
	int r;

	for (size_t i = 0; i < set->n_out; i++)
		buffer_printf(&text, "%s\n", set->out[i].name);
	r = read_copy(path, &there);
	if ((r == 0 && str_equal(str_or_empty(there.data), str_or_empty(text.data))) ||
	    (r == -ENOENT && text.len == 0))
		return 0;
	r = write_copy(path, &text);
	return r < 0 ? error_errno(err, 507, -r, "cannot write '%s'", path) : 0;
}

int
out_copy_load(const char *dir, struct token_set *set, struct error *err)
{
	_free_ char *path = xasprintf("%s/" OUT_COPY_NAME, dir);
	_buffer_ struct buffer text = { 0 };
	char *rest = NULL;
	int r = read_copy(path, &text);
	int wrong = 0;

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return error_errno(err, 503, -r, "cannot read '%s'", path);
	for (char *line = text.data ? strtok_r(text.data, "\n", &rest) : NULL; line;
	     line = strtok_r(NULL, "\n", &rest)) {
		char uuid[UUID_TEXT_SIZE];

		if (uuid_normalize(line, uuid) == 0)
			model_append(&set->out, &set->n_out)->name = xstrdup(uuid);
		else
			wrong++;
	}
	return wrong ? error_set(err, 503, "%d lines of '%s' are no UUIDs", wrong, path) : 0;
}
