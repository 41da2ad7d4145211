/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The secrets of tokens, and what is kept of them. */
#ifndef PROTO_TOKEN_SECRET_H
#define PROTO_TOKEN_SECRET_H

#include <stdbool.h>

#define TOKEN_SECRET_SIZE 71 /* "virtx_", 64 hexadecimal digits and a NUL */
#define TOKEN_HASH_LEN	  64 /* hexadecimal digits of a SHA-256 */

/* A secret of 256 random bits. */
void token_secret_make(char ret[TOKEN_SECRET_SIZE]);
/* Cuts what may be a secret, or a part of one, out of a text that is logged or told: "virtx_..." is
 * left of it. */
void token_secret_hide(char *text);
/* What is kept of a secret, be it one or not. */
void token_secret_hash(const char *secret, char ret[TOKEN_HASH_LEN + 1]);
/* Whether two of these are the same; how long that takes does not tell how much of them is. */
bool token_secret_same(const char a[TOKEN_HASH_LEN + 1], const char b[TOKEN_HASH_LEN + 1]);

#endif
