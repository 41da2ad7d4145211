/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/shared_text.h"

#include <stdlib.h>

#include "proto/util.h"

static size_t alive; /* bytes of all of them */

struct shared_text *
shared_text_new(char *data, size_t len)
{
	struct shared_text *text = xcalloc(1, sizeof(*text));

	text->holders = 1;
	text->data = data;
	text->len = len;
	alive += len;
	return text;
}

struct shared_text *
shared_text_hold(struct shared_text *text)
{
	text->holders++;
	return text;
}

void
shared_text_drop(struct shared_text *text)
{
	if (!text || --text->holders > 0)
		return;
	alive -= text->len;
	free(text->data);
	free(text);
}

size_t
shared_text_alive(void)
{
	return alive;
}
