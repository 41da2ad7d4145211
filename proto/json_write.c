/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The writing half of json.h. Lists are written all the time, so that nothing here is formatted by
 * printf, and no text is copied twice. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "proto/json.h"
#include "proto/text.h"
#include "proto/utf8.h"

struct writer {
	struct buffer *out;
	bool pretty;
	unsigned int depth;
};

/* The others have to be escaped, or may be no UTF-8. */
static const bool plain[256] = {
	[' ' ... '!'] = true, ['#' ... '['] = true, [']' ... 0x7f] = true
};

static void
write_escaped(struct buffer *out, char c)
{
	static const char hex[] = "0123456789ABCDEF";
	static const char short_of[] =
	    "\"\"\\\\b\bf\fn\nr\rt\t"; /* each letter with its character */
	char text[6] = { '\\', 'u', '0', '0', hex[(unsigned char)c >> 4], hex[c & 15] };

	for (size_t i = 0; i < sizeof(short_of) - 1; i += 2) {
		if (short_of[i + 1] == c) {
			text[1] = short_of[i];
			buffer_add(out, text, 2);
			return;
		}
	}
	buffer_add(out, text, sizeof(text));
}

/* The first character of len bytes, which is not plain; returns how many it has. */
static size_t
write_odd(struct buffer *out, const char *text, size_t len)
{
	size_t n = utf8_char(text, len, NULL);

	if (n == 0)
		buffer_add(out, "\xef\xbf\xbd", 3);
	else if (n == 1)
		write_escaped(out, *text);
	else
		buffer_add(out, text, n);
	return n ? n : 1;
}

static void
write_text(struct buffer *out, const char *text)
{
	size_t len = strlen(text);

	buffer_add(out, "\"", 1);
	while (len > 0) {
		size_t n = 0;

		while (n < len && plain[(unsigned char)text[n]])
			n++;
		buffer_add(out, text, n);
		if (n < len)
			n += write_odd(out, text + n, len - n);
		text += n;
		len -= n;
	}
	buffer_add(out, "\"", 1);
}

static void
write_integer(struct buffer *out, int64_t value)
{
	char text[TEXT_DECIMAL_SIZE];

	buffer_add(out, text, text_decimal(text, value));
}

/* The shortest text that reads back as the same float32; JSON has no words for the others. */
static void
write_float(struct buffer *out, float value)
{
	char text[32] = "0";

	for (int digits = 6; isfinite(value) && digits <= 9; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, (double)value);
		if (strtof(text, NULL) == value)
			break;
	}
	buffer_add(out, text, strlen(text));
}

/* Begins a line, where it is for people. */
static void
write_line(const struct writer *w)
{
	if (!w->pretty)
		return;
	buffer_add(w->out, "\n", 1);
	for (unsigned int i = 0; i < w->depth; i++)
		buffer_add(w->out, "  ", 2);
}

static void
write_open(struct writer *w, const char *bracket)
{
	buffer_add(w->out, bracket, 1);
	w->depth++;
}

static void
write_close(struct writer *w, const char *bracket)
{
	w->depth--;
	write_line(w);
	buffer_add(w->out, bracket, 1);
}

static void
write_name(const struct writer *w, const char *name)
{
	buffer_add(w->out, "\"", 1);
	buffer_add(w->out, name, strlen(name));
	buffer_add(w->out, "\": ", w->pretty ? 3 : 2);
}

static void write_model(struct writer *w, const struct model *m, const void *obj);

static void
write_array(struct writer *w, const struct field *f, const void *obj)
{
	size_t n;
	const char *items = field_items(f, obj, &n);

	if (n == 0) {
		buffer_add(w->out, "[]", 2);
		return;
	}
	write_open(w, "[");
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buffer_add(w->out, ",", 1);
		write_line(w);
		write_model(w, f->sub, items + i * f->sub->size);
	}
	write_close(w, "]");
}

static void
write_value(struct writer *w, const struct field *f, const void *obj)
{
	switch (f->kind) {
	case KIND_BOOL:
		buffer_add(w->out, field_get_int(f, obj) ? "true" : "false",
		    field_get_int(f, obj) ? 4 : 5);
		break;
	case KIND_INT16:
	case KIND_INT32:
	case KIND_INT64:
	case KIND_ENUM:
		write_integer(w->out, field_get_int(f, obj));
		break;
	case KIND_FLOAT:
		write_float(w->out, *(const float *)field_member(f, obj));
		break;
	case KIND_STRING:
		write_text(w->out, field_get_string(f, obj));
		break;
	case KIND_STRUCT:
		write_model(w, f->sub, field_member(f, obj));
		break;
	case KIND_ARRAY:
		write_array(w, f, obj);
		break;
	}
}

static void
write_model(struct writer *w, const struct model *m, const void *obj)
{
	write_open(w, "{");
	for (unsigned int i = 0; i < m->n_fields; i++) {
		if (i > 0)
			buffer_add(w->out, ",", 1);
		write_line(w);
		write_name(w, m->fields[i].name);
		write_value(w, &m->fields[i], obj);
	}
	write_close(w, "}");
}

static char *
encode(const struct model *m, const void *obj, bool pretty, size_t *len)
{
	struct buffer out = { 0 };
	struct writer w = { .out = &out, .pretty = pretty };

	write_model(&w, m, obj);
	return buffer_steal(&out, len);
}

void
json_append(struct buffer *out, const struct model *m, const void *obj)
{
	struct writer w = { .out = out };

	write_model(&w, m, obj);
}

char *
json_encode(const struct model *m, const void *obj, size_t *len)
{
	return encode(m, obj, false, len);
}

char *
json_encode_pretty(const struct model *m, const void *obj, size_t *len)
{
	return encode(m, obj, true, len);
}

char *
json_quote(const char *text)
{
	struct buffer out = { 0 };

	write_text(&out, str_or_empty(text));
	return buffer_steal(&out, NULL);
}
