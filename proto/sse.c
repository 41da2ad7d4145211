/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/sse.h"

#include <string.h>

/* The end of an event. */
static bool
dispatch(struct sse *sse, sse_got got, void *arg)
{
	struct sse_event event = {
		.id = str_or_empty(sse->id),
		.type = str_empty(sse->type) ? "message" : sse->type,
		.data = str_or_empty(sse->data.data),
	};
	bool go_on = sse->data.len == 0 || got(arg, &event);

	buffer_clear(&sse->data);
	str_set(&sse->type, "");
	return go_on;
}

static bool
take_line(struct sse *sse, char *line, sse_got got, void *arg)
{
	char *value = strchr(line, ':');

	if (!*line)
		return dispatch(sse, got, arg);
	if (value == line)
		return true;
	if (value) {
		*value++ = '\0';
		value += *value == ' ';
	} else {
		value = line + strlen(line);
	}
	if (strcmp(line, "event") == 0) {
		str_set(&sse->type, value);
	} else if (strcmp(line, "id") == 0) {
		str_set(&sse->id, value);
	} else if (strcmp(line, "data") == 0) {
		if (sse->data.len + strlen(value) > SSE_EVENT_MAX)
			return false;
		buffer_printf(&sse->data, "%s%s", sse->data.len ? "\n" : "", value);
	}
	return true;
}

bool
sse_feed(struct sse *sse, const char *data, size_t len, sse_got got, void *arg)
{
	while (len > 0) {
		const char *end = memchr(data, '\n', len);
		size_t part = end ? (size_t)(end - data) : len;
		bool go_on;

		if (sse->line.len + part > SSE_EVENT_MAX)
			return false;
		buffer_add(&sse->line, data, part);
		if (!end)
			return true;
		data += part + 1;
		len -= part + 1;
		if (sse->line.len > 0 && sse->line.data[sse->line.len - 1] == '\r')
			sse->line.data[sse->line.len - 1] = '\0';
		go_on = take_line(sse, sse->line.data, got, arg);
		buffer_clear(&sse->line);
		if (!go_on)
			return false;
	}
	return true;
}

void
sse_restart(struct sse *sse)
{
	buffer_clear(&sse->line);
	buffer_clear(&sse->data);
	str_set(&sse->type, "");
}

void
sse_clear(struct sse *sse)
{
	sse_restart(sse);
	free(sse->type);
	free(sse->id);
	*sse = (struct sse){ 0 };
}
