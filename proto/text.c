/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/text.h"

#include <string.h>

void
text_copy(char *ret, size_t size, const char *text)
{
	size_t len = strlen(text);

	if (len >= size)
		len = size - 1;
	memcpy(ret, text, len);
	ret[len] = '\0';
}

size_t
text_decimal(char ret[TEXT_DECIMAL_SIZE], int64_t value)
{
	uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
	char digits[TEXT_DECIMAL_SIZE], *p = digits + sizeof(digits);
	size_t size;

	*--p = '\0';
	do {
		*--p = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest > 0);
	if (value < 0)
		*--p = '-';
	size = (size_t)(digits + sizeof(digits) - p);
	memcpy(ret, p, size);
	return size - 1;
}
