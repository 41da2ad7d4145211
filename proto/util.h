/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small helpers: allocation that aborts, cleanup attributes, a growing buffer. */
#ifndef PROTO_UTIL_H
#define PROTO_UTIL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_SIZE(a)	  (sizeof(a) / sizeof((a)[0]))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Owning locals: start them as NULL or -1, give ownership away with steal_ptr/steal_fd. */
#define _free_	 __attribute__((cleanup(util_free)))
#define _close_	 __attribute__((cleanup(util_close)))
#define _buffer_ __attribute__((cleanup(buffer_clear)))

#define steal_ptr(p)                         \
	({                                   \
		__typeof__(p) stolen_ = (p); \
		(p) = NULL;                  \
		stolen_;                     \
	})

/* Allocations of bounded size: abort when memory is out, never return NULL. */
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n, size_t size);
char *xstrdup(const char *s); /* NULL gives "" */
char *xstrndup(const char *s, size_t n);
/* All n bytes, and a NUL after them. */
char *xmemdup(const void *data, size_t n);
char *xasprintf(const char *fmt, ...) PRINTF(1, 2);
char *xvasprintf(const char *fmt, va_list ap) PRINTF(1, 0);

/* For the cleanup attributes: p points to the variable. */
void util_free(void *p);
void util_close(int *fd);
int steal_fd(int *fd);

/* Replaces *dst by a copy of src (NULL counts as ""). */
void str_set(char **dst, const char *src);
/* s, or "" for NULL. */
const char *str_or_empty(const char *s);
/* True for NULL and "". */
bool str_empty(const char *s);
/* strcmp() == 0 where NULL equals "". */
bool str_equal(const char *a, const char *b);

/* 0..15, or -1. */
int hex_digit(char c);

/* Milliseconds since the epoch, UTC. */
int64_t now_ms(void);
/* Milliseconds of the monotonic clock, and microseconds. */
int64_t monotonic_ms(void);
int64_t monotonic_us(void);
/* Microseconds of CPU that this thread has taken. */
int64_t cpu_us(void);

/* A growing byte buffer; data is always NUL-terminated once something was added. Zero-initialise
 * it. */
struct buffer {
	char *data;
	size_t len;
	size_t size;
};

/* Makes room for len more bytes and the NUL. */
void buffer_reserve(struct buffer *b, size_t len);

/* Inline, as what is written is often a character or two. */
static inline void
buffer_add(struct buffer *b, const void *data, size_t len)
{
	if (len >= b->size - b->len)
		buffer_reserve(b, len);
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void buffer_printf(struct buffer *b, const char *fmt, ...) PRINTF(2, 3);
/* Gives the data away (NUL-terminated, never NULL; the caller frees) and leaves b empty; len may be
 * NULL. */
char *buffer_steal(struct buffer *b, size_t *len);
void buffer_clear(struct buffer *b);

/* Reads fd to its end into b; -EFBIG past max bytes, else 0 or -errno. Blocks: only in jobs and
 * tools. */
int read_all(int fd, struct buffer *b, size_t max);
/* Writes all of it, or -errno. Blocks: only in jobs and tools. */
int write_all(int fd, const void *data, size_t len);

/*
 * renameat, not deceived by NFS: where the server carried it out, but the answer was lost and it
 * was restarted, it says ENOENT when asked again. Then the target is the very file that the source
 * was; were any file there good enough, two movers could both believe to have won. 0 or -errno.
 * Blocks.
 */
int rename_at(int from_dir, const char *from, int to_dir, const char *to);
/* linkat inside of a folder, not deceived by NFS either: asked again, the server says EEXIST for
 * what it has made before. 0 or -errno. Blocks. */
int link_at(int dir, const char *from, const char *to);

#endif
