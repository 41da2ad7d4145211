/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/uuid.h"

#include <errno.h>
#include <uuid/uuid.h>

#include "proto/util.h"

void
uuid_make(char out[UUID_TEXT_SIZE])
{
	uuid_t uuid;

	uuid_generate_random(uuid);
	uuid_unparse_lower(uuid, out);
}

int
uuid_normalize(const char *text, char out[UUID_TEXT_SIZE])
{
	size_t i = 0;

	/* Each request and each message has several: libuuid takes four times as long. */
	for (; text && i < UUID_TEXT_SIZE - 1; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? text[i] != '-' : hex_digit(text[i]) < 0)
			break;
		out[i] = (char)(text[i] | (dash ? 0 : 0x20));
	}
	if (i == UUID_TEXT_SIZE - 1 && text[i] == '\0') {
		out[i] = '\0';
		return 0;
	}
	out[0] = '\0';
	return -EINVAL;
}
