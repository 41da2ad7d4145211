/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A text that does not change, and that several hold: the last one frees it. */
#ifndef PROTO_SHARED_TEXT_H
#define PROTO_SHARED_TEXT_H

#include <stddef.h>

struct shared_text {
	unsigned int holders;
	char *data; /* NUL-terminated */
	size_t len;
};

/* With one holder, the caller; data is given away. */
struct shared_text *shared_text_new(char *data, size_t len);
/* One holder more; returns text. */
struct shared_text *shared_text_hold(struct shared_text *text);
/* One less; NULL is fine. */
void shared_text_drop(struct shared_text *text);
/* The bytes of all that somebody holds. */
size_t shared_text_alive(void);

#endif
