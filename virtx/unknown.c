/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/unknown.h"

#include <string.h>

#include "proto/json.h"

void
unknown_clear(struct unknown_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		free(list->items[i].path);
		free(list->items[i].key);
		free(list->items[i].json);
	}
	free(list->items);
	*list = (struct unknown_list){ 0 };
}

static void add_object(struct buffer *out, const struct unknown_list *list, const struct model *m,
    const void *obj, const char *path);

static void
add_items(struct buffer *out, const struct unknown_list *list, const struct field *f,
    const void *obj, const char *path)
{
	size_t n;
	const char *items = field_items(f, obj, &n);

	buffer_printf(out, "[");
	for (size_t i = 0; i < n; i++) {
		_free_ char *here = xasprintf("%s[%zu]", path, i);

		buffer_printf(out, "%s", i ? "," : "");
		add_object(out, list, f->sub, items + i * f->sub->size, here);
	}
	buffer_printf(out, "]");
}

/* "name":value */
static void
add_field(struct buffer *out, const struct unknown_list *list, const struct model *m,
    const struct field *f, const void *obj, const char *path)
{
	const struct model alone = { m->name, m->size, f, 1 };
	_free_ char *here = xasprintf("%s%s%s", path, *path ? "." : "", f->name);
	_free_ char *text = NULL;
	size_t len;

	if (f->kind == KIND_STRUCT || f->kind == KIND_ARRAY) {
		buffer_printf(out, "\"%s\":", f->name);
		if (f->kind == KIND_ARRAY)
			add_items(out, list, f, obj, here);
		else
			add_object(out, list, f->sub, field_member(f, obj), here);
		return;
	}
	text = json_encode(&alone, obj, &len);
	buffer_add(out, text + 1, len - 2);
}

static void
add_object(struct buffer *out, const struct unknown_list *list, const struct model *m,
    const void *obj, const char *path)
{
	buffer_printf(out, "{");
	for (unsigned int i = 0; i < m->n_fields; i++) {
		buffer_printf(out, "%s", i ? "," : "");
		add_field(out, list, m, &m->fields[i], obj, path);
	}
	for (size_t i = 0; i < list->n; i++) {
		_free_ char *key = json_quote(list->items[i].key);

		if (strcmp(list->items[i].path, path) == 0)
			buffer_printf(out, ",%s:%s", key, list->items[i].json);
	}
	buffer_printf(out, "}");
}

char *
unknown_encode(const struct unknown_list *list, const struct model *m, const void *obj)
{
	const struct field *first = &m->fields[0];
	const struct model rest = { m->name, m->size, first + 1, m->n_fields - 1 };
	struct buffer out = { 0 };
	_free_ char *text = json_encode(&rest, obj, NULL);

	buffer_printf(&out, "{\"%s\":", first->name);
	add_object(&out, list, first->sub, field_member(first, obj), "");
	buffer_printf(&out, "%s%s", rest.n_fields > 0 ? "," : "", text + 1);
	return buffer_steal(&out, NULL);
}
