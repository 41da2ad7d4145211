/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The writing half of json.h. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <yajl/yajl_gen.h>

#include "proto/json.h"
#include "proto/utf8.h"

static void
gen_text(yajl_gen g, const char *text)
{
	_buffer_ struct buffer clean = { 0 };
	size_t len = strlen(text);

	if (!utf8_valid(text, len)) {
		while (len > 0) {
			size_t n = utf8_valid_length(text, len);

			buffer_add(&clean, text, n);
			text += n;
			len -= n;
			if (len > 0) {
				buffer_add(&clean, "\xef\xbf\xbd", 3);
				text++;
				len--;
			}
		}
		text = clean.data;
		len = clean.len;
	}
	yajl_gen_string(g, (const unsigned char *)text, len);
}

/* The shortest text that reads back as the same float32; JSON has no words for the others. */
static void
gen_float(yajl_gen g, float value)
{
	char text[32] = "0";

	for (int digits = 6; isfinite(value) && digits <= 9; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, (double)value);
		if (strtof(text, NULL) == value)
			break;
	}
	yajl_gen_number(g, text, strlen(text));
}

static void
gen_model(yajl_gen g, const struct model *m, const void *obj)
{
	yajl_gen_map_open(g);
	for (unsigned int i = 0; i < m->n_fields; i++) {
		const struct field *f = &m->fields[i];
		const char *items;
		size_t n;

		yajl_gen_string(g, (const unsigned char *)f->name, strlen(f->name));
		switch (f->kind) {
		case KIND_BOOL:
			yajl_gen_bool(g, field_get_int(f, obj) != 0);
			break;
		case KIND_INT16:
		case KIND_INT32:
		case KIND_INT64:
		case KIND_ENUM:
			yajl_gen_integer(g, field_get_int(f, obj));
			break;
		case KIND_FLOAT:
			gen_float(g, *(const float *)field_member(f, obj));
			break;
		case KIND_STRING:
			gen_text(g, field_get_string(f, obj));
			break;
		case KIND_STRUCT:
			gen_model(g, f->sub, field_member(f, obj));
			break;
		case KIND_ARRAY:
			items = field_items(f, obj, &n);
			if (n == 0) {
				/* Raw: the beautifier would put an empty line inside. */
				yajl_gen_number(g, "[]", 2);
				break;
			}
			yajl_gen_array_open(g);
			for (size_t k = 0; k < n; k++)
				gen_model(g, f->sub, items + k * f->sub->size);
			yajl_gen_array_close(g);
			break;
		}
	}
	yajl_gen_map_close(g);
}

static yajl_gen
gen_new(bool pretty)
{
	yajl_gen g = yajl_gen_alloc(NULL);

	if (!g)
		abort();
	yajl_gen_config(g, yajl_gen_beautify, (int)pretty);
	if (pretty)
		yajl_gen_config(g, yajl_gen_indent_string, "  ");
	return g;
}

/* Gives the text away and frees g. */
static char *
gen_finish(yajl_gen g, size_t *ret_len)
{
	const unsigned char *text = NULL;
	struct buffer out = { 0 };
	size_t len = 0;

	yajl_gen_get_buf(g, &text, &len);
	/* The beautifier ends in a newline. */
	while (len > 0 && text[len - 1] == '\n')
		len--;
	buffer_add(&out, text, len);
	yajl_gen_free(g);
	return buffer_steal(&out, ret_len);
}

char *
json_encode(const struct model *m, const void *obj, size_t *len)
{
	yajl_gen g = gen_new(false);

	gen_model(g, m, obj);
	return gen_finish(g, len);
}

char *
json_encode_pretty(const struct model *m, const void *obj, size_t *len)
{
	yajl_gen g = gen_new(true);

	gen_model(g, m, obj);
	return gen_finish(g, len);
}

struct json_list {
	yajl_gen g;
	const struct model *element;
	const char *items;
	size_t next, n;
};

struct json_list *
json_list_new(const struct model *m, const void *obj)
{
	struct json_list *list = xcalloc(1, sizeof(*list));
	const struct field *field = &m->fields[0];

	assert(m->n_fields == 1 && field->kind == KIND_ARRAY);
	list->g = gen_new(false);
	list->element = field->sub;
	list->items = field_items(field, obj, &list->n);
	yajl_gen_map_open(list->g);
	yajl_gen_string(list->g, (const unsigned char *)field->name, strlen(field->name));
	yajl_gen_array_open(list->g);
	return list;
}

bool
json_list_step(struct json_list *list, size_t n)
{
	for (; n > 0 && list->next < list->n; n--)
		gen_model(list->g, list->element, list->items + list->next++ * list->element->size);
	return list->next < list->n;
}

char *
json_list_end(struct json_list *list, size_t *len)
{
	char *text;

	yajl_gen_array_close(list->g);
	yajl_gen_map_close(list->g);
	text = gen_finish(list->g, len);
	free(list);
	return text;
}

char *
json_quote(const char *text)
{
	yajl_gen g = gen_new(false);

	gen_text(g, str_or_empty(text));
	return gen_finish(g, NULL);
}
