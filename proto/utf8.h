/* SPDX-License-Identifier: GPL-2.0-or-later */
/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing past U+10FFFF. */
#ifndef PROTO_UTF8_H
#define PROTO_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The length of the character at the front of s (1..4), its number in *code (may be NULL); 0 where
 * the bytes are none, or len is 0. */
size_t utf8_char(const char *s, size_t len, uint32_t *code);
/* The number of bytes in front of the first that is no UTF-8; len where all of it is. */
size_t utf8_valid_length(const char *s, size_t len);
bool utf8_valid(const char *s, size_t len);
/* C0, DEL and C1. */
bool utf8_is_control(uint32_t code);
/* What nobody sees and yet changes a text or its order: zero width, bidi, tags, line separators. */
bool utf8_is_hidden(uint32_t code);
/* A blank of whatever width. */
bool utf8_is_space(uint32_t code);
/* A mark that belongs to the character before it, of the blocks that are named so. */
bool utf8_is_combining(uint32_t code);

#endif
