/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is written for each request, without the cost of printf. */
#ifndef PROTO_TEXT_H
#define PROTO_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Copies what fits into size bytes (not 0), with a NUL. */
void text_copy(char *ret, size_t size, const char *text);

/* Of any int64_t, with its NUL. */
#define TEXT_DECIMAL_SIZE 21
/* Returns the length, without the NUL. */
size_t text_decimal(char ret[TEXT_DECIMAL_SIZE], int64_t value);

#endif
