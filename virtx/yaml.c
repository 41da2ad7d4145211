/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/yaml.h"

#include "proto/json.h"

static void add_members(struct buffer *out, const struct model *m, const void *obj, int indent);

static void
add_items(struct buffer *out, const struct field *f, const void *obj, int indent)
{
	size_t n;
	const char *items = field_items(f, obj, &n);

	if (n == 0)
		buffer_printf(out, " []\n");
	else
		buffer_printf(out, "\n");
	for (size_t i = 0; i < n; i++) {
		buffer_printf(out, "%*s- ", indent, "");
		add_members(out, f->sub, items + i * f->sub->size, indent + 2);
	}
}

static void
add_scalar(struct buffer *out, const struct field *f, const void *obj)
{
	_free_ char *quoted = NULL;

	switch (f->kind) {
	case KIND_BOOL:
		buffer_printf(out, " %s\n", field_get_int(f, obj) ? "true" : "false");
		break;
	case KIND_FLOAT:
		buffer_printf(out, " %g\n", (double)*(const float *)field_member(f, obj));
		break;
	case KIND_STRING:
		quoted = json_quote(field_get_string(f, obj));
		buffer_printf(out, " %s\n", quoted);
		break;
	case KIND_ENUM:
		quoted = json_quote(enum_word(f->words, (unsigned int)field_get_int(f, obj)));
		buffer_printf(out, " %s\n", quoted);
		break;
	default:
		buffer_printf(out, " %lld\n", (long long)field_get_int(f, obj));
		break;
	}
}

/* The first one goes on with the line that is there. */
static void
add_members(struct buffer *out, const struct model *m, const void *obj, int indent)
{
	for (unsigned int i = 0; i < m->n_fields; i++) {
		const struct field *f = &m->fields[i];

		buffer_printf(out, "%*s%s:", i > 0 ? indent : 0, "", f->name);
		if (f->kind == KIND_ARRAY) {
			add_items(out, f, obj, indent);
		} else if (f->kind == KIND_STRUCT) {
			buffer_printf(out, "\n%*s", indent + 2, "");
			add_members(out, f->sub, field_member(f, obj), indent + 2);
		} else {
			add_scalar(out, f, obj);
		}
	}
}

char *
yaml_encode(const struct model *m, const void *obj)
{
	struct buffer out = { 0 };

	add_members(&out, m, obj, 0);
	return buffer_steal(&out, NULL);
}
