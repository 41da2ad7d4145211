/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/secret_file.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "virtx/command.h"

#define SECRET_MAX 4096 /* bytes */

int
secret_file_read(const char *given, char **ret, struct error *err)
{
	size_t len;
	char *text;

	*ret = NULL;
	if (!given)
		given = getenv("VIRTX_TOKEN_FILE");
	if (str_empty(given))
		return 0;
	text = command_read(given, SECRET_MAX, &len, err);
	if (!text)
		return error_wrap(err, "the token");
	while (len > 0 && isspace((unsigned char)text[len - 1]))
		text[--len] = '\0';
	for (size_t i = 0; i < len; i++) {
		if (!isgraph((unsigned char)text[i]))
			len = 0;
	}
	if (len == 0) {
		secret_file_free(text);
		return error_set(err, CLIENT_ERROR_STATUS,
		    "the token: '%s' has to hold its secret, one word, and nothing else", given);
	}
	*ret = text;
	return 0;
}

void
secret_file_free(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}
