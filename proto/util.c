/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Says so without allocating, then aborts: the VMs live on under libvirt. */
static void __attribute__((noreturn)) out_of_memory(void)
{
	static const char text[] = "out of memory\n";

	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	abort();
}

void *
xcalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	if (!p)
		out_of_memory();
	return p;
}

void *
xrealloc(void *p, size_t n, size_t size)
{
	p = reallocarray(p, n ? n : 1, size ? size : 1);
	if (!p)
		out_of_memory();
	return p;
}

char *
xstrdup(const char *s)
{
	char *copy = strdup(str_or_empty(s));

	if (!copy)
		out_of_memory();
	return copy;
}

char *
xstrndup(const char *s, size_t n)
{
	char *copy = strndup(s, n);

	if (!copy)
		out_of_memory();
	return copy;
}

char *
xmemdup(const void *data, size_t n)
{
	char *copy = malloc(n + 1);

	if (!copy)
		out_of_memory();
	memcpy(copy, data, n);
	copy[n] = '\0';
	return copy;
}

char *
xvasprintf(const char *fmt, va_list ap)
{
	char *text;

	if (vasprintf(&text, fmt, ap) < 0)
		out_of_memory();
	return text;
}

char *
xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	return text;
}

void
util_free(void *p)
{
	void *target;

	memcpy(&target, p, sizeof(target));
	free(target);
}

void
util_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
	errno = saved;
}

int
steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

void
str_set(char **dst, const char *src)
{
	/* Copied first: src may lie inside *dst. */
	char *copy = xstrdup(src);

	free(*dst);
	*dst = copy;
}

const char *
str_or_empty(const char *s)
{
	return s ? s : "";
}

bool
str_empty(const char *s)
{
	return !s || !*s;
}

bool
str_equal(const char *a, const char *b)
{
	return strcmp(str_or_empty(a), str_or_empty(b)) == 0;
}

int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static int64_t
clock_us(clockid_t id)
{
	struct timespec ts;

	if (clock_gettime(id, &ts) < 0)
		abort();
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
now_ms(void)
{
	return clock_us(CLOCK_REALTIME) / 1000;
}

int64_t
monotonic_ms(void)
{
	return monotonic_us() / 1000;
}

int64_t
monotonic_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

int64_t
cpu_us(void)
{
	return clock_us(CLOCK_THREAD_CPUTIME_ID);
}

void
buffer_reserve(struct buffer *b, size_t len)
{
	size_t need, size;

	if (len > SIZE_MAX / 4 - b->len)
		out_of_memory();
	need = b->len + len + 1;
	if (need <= b->size)
		return;
	size = b->size ? b->size : 256;
	while (size < need)
		size *= 2;
	b->data = xrealloc(b->data, size, 1);
	b->size = size;
}

void
buffer_printf(struct buffer *b, const char *fmt, ...)
{
	_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	buffer_add(b, text, strlen(text));
}

char *
buffer_steal(struct buffer *b, size_t *len)
{
	char *data = b->data ? b->data : xstrdup("");

	if (len)
		*len = b->len;
	*b = (struct buffer){ 0 };
	return data;
}

void
buffer_clear(struct buffer *b)
{
	free(b->data);
	*b = (struct buffer){ 0 };
}

int
read_all(int fd, struct buffer *b, size_t max)
{
	size_t total = 0;

	for (;;) {
		char chunk[16384];
		ssize_t n = read(fd, chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		if ((size_t)n > max - total)
			return -EFBIG;
		total += (size_t)n;
		buffer_add(b, chunk, (size_t)n);
	}
	buffer_add(b, NULL, 0);
	return 0;
}

int
write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Whether that is the file of the name. */
static bool
is_file(int dir, const char *name, const struct stat *file)
{
	struct statx ignored;
	struct stat found;

	/* The kernel may remember of the lookup before the rename that there is none: not once it
	 * has seen that the directory has changed. */
	(void)statx(dir, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &ignored);
	return fstatat(dir, name, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
	       found.st_dev == file->st_dev && found.st_ino == file->st_ino;
}

int
rename_at(int from_dir, const char *from, int to_dir, const char *to)
{
	struct stat source;
	bool known = fstatat(from_dir, from, &source, AT_SYMLINK_NOFOLLOW) == 0;
	int r;

	if (renameat(from_dir, from, to_dir, to) == 0)
		return 0;
	r = -errno;
	return r == -ENOENT && known && is_file(to_dir, to, &source) ? 0 : r;
}

int
link_at(int dir, const char *from, const char *to)
{
	struct stat source;
	bool known = fstatat(dir, from, &source, AT_SYMLINK_NOFOLLOW) == 0;
	int r;

	if (linkat(dir, from, dir, to, 0) == 0)
		return 0;
	r = -errno;
	return r == -EEXIST && known && is_file(dir, to, &source) ? 0 : r;
}
