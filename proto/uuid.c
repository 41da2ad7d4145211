/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/uuid.h"

#include <errno.h>
#include <string.h>
#include <uuid/uuid.h>

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
	uuid_t uuid;

	if (!text || strlen(text) != UUID_TEXT_SIZE - 1 || uuid_parse(text, uuid) < 0) {
		out[0] = '\0';
		return -EINVAL;
	}
	uuid_unparse_lower(uuid, out);
	return 0;
}
