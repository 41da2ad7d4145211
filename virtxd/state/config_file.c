/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/util.h"

int
config_file_read(const char *file, size_t max, struct buffer *b, int *errnum, struct error *err)
{
	/* O_NONBLOCK: a FIFO by mistake must not stop the start. */
	_close_ int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int r;

	*errnum = fd < 0 || fstat(fd, &st) < 0 ? errno : 0;
	if (*errnum)
		return error_errno(err, 500, *errnum, "cannot read '%s'", file);
	if (S_ISDIR(st.st_mode))
		return error_errno(err, 500, EISDIR, "cannot read '%s'", file);
	if (!S_ISREG(st.st_mode))
		return error_set(err, 500, "cannot read '%s': not a regular file", file);
	r = read_all(fd, b, max);
	if (r == -EFBIG)
		return error_set(err, 500, "cannot read '%s': larger than %zu bytes", file, max);
	if (r < 0)
		return error_errno(err, 500, -r, "cannot read '%s'", file);
	if (b->len && memchr(b->data, '\0', b->len))
		return error_set(err, 500, "cannot read '%s': it holds a NUL byte", file);
	return 0;
}

void
config_file_wipe(struct buffer *b)
{
	if (b->data)
		explicit_bzero(b->data, b->size);
}
