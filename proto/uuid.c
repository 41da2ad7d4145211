/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/uuid.h"

#include <ctype.h>
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
	static const char form[UUID_TEXT_SIZE] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	size_t i = 0;

	/* Each request and each message has several: libuuid takes four times as long. */
	for (; text && i < UUID_TEXT_SIZE - 1; i++) {
		if (form[i] == '-' ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
			break;
		out[i] = (char)(text[i] | 0x20); /* small letters; digits and '-' have that bit */
	}
	if (i == UUID_TEXT_SIZE - 1 && text[i] == '\0') {
		out[i] = '\0';
		return 0;
	}
	out[0] = '\0';
	return -EINVAL;
}
