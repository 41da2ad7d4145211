/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/binary.h"

#include <errno.h>
#include <string.h>

#include "proto/utf8.h"

/* The bytes of a number of this kind; 0 for what is none. */
static size_t
number_size(enum kind kind)
{
	switch (kind) {
	case KIND_BOOL:
		return 1;
	case KIND_INT16:
	case KIND_ENUM:
		return 2;
	case KIND_INT32:
	case KIND_FLOAT:
		return 4;
	case KIND_INT64:
		return 8;
	default:
		return 0;
	}
}

static void
add_number(struct buffer *out, uint64_t value, size_t size)
{
	unsigned char bytes[8];

	for (size_t i = 0; i < size; i++)
		bytes[i] = (unsigned char)(value >> (8 * i));
	buffer_add(out, bytes, size);
}

static int add_model(const struct model *m, const void *obj, struct buffer *out);

static int
add_field(const struct field *f, const void *obj, struct buffer *out)
{
	const char *text, *items;
	uint32_t bits;
	size_t n;

	switch (f->kind) {
	case KIND_FLOAT:
		memcpy(&bits, field_member(f, obj), sizeof(bits));
		add_number(out, bits, sizeof(bits));
		return 0;
	case KIND_STRING:
		text = field_get_string(f, obj);
		n = strlen(text);
		if (n > UINT16_MAX)
			return -EMSGSIZE;
		add_number(out, n, 2);
		buffer_add(out, text, n);
		return 0;
	case KIND_STRUCT:
		return add_model(f->sub, field_member(f, obj), out);
	case KIND_ARRAY:
		items = field_items(f, obj, &n);
		if (n > UINT16_MAX)
			return -EMSGSIZE;
		add_number(out, n, 2);
		for (size_t i = 0; i < n; i++) {
			if (add_model(f->sub, items + i * f->sub->size, out) < 0)
				return -EMSGSIZE;
		}
		return 0;
	default:
		add_number(out, (uint64_t)field_get_int(f, obj), number_size(f->kind));
		return 0;
	}
}

static int
add_model(const struct model *m, const void *obj, struct buffer *out)
{
	for (unsigned int i = 0; i < m->n_fields; i++) {
		if (add_field(&m->fields[i], obj, out) < 0)
			return -EMSGSIZE;
	}
	return 0;
}

int
binary_encode(const struct model *m, const void *obj, struct buffer *out)
{
	size_t before = out->len;

	if (add_model(m, obj, out) < 0) {
		out->len = before;
		if (out->data)
			out->data[before] = '\0';
		return -EMSGSIZE;
	}
	return 0;
}

/* The bytes still to be read. */
struct input {
	const unsigned char *data;
	size_t left;
	struct error *err;
};

/* The fewest bytes that an object takes: with "" and [] everywhere. */
static size_t
smallest(const struct model *m)
{
	size_t size = 0;

	for (unsigned int i = 0; i < m->n_fields; i++) {
		const struct field *f = &m->fields[i];

		if (f->kind == KIND_STRUCT)
			size += smallest(f->sub);
		else if (f->kind == KIND_STRING || f->kind == KIND_ARRAY)
			size += 2;
		else
			size += number_size(f->kind);
	}
	return size;
}

static int
refuse_short(struct input *in, const struct field *f)
{
	return error_set(in->err, 400, "%s: the message ends early", f->name);
}

static int
take_number(struct input *in, const struct field *f, size_t size, uint64_t *ret)
{
	uint64_t value = 0;

	if (in->left < size)
		return refuse_short(in, f);
	for (size_t i = 0; i < size; i++)
		value |= (uint64_t)in->data[i] << (8 * i);
	in->data += size;
	in->left -= size;
	*ret = value;
	return 0;
}

static int
take_string(struct input *in, const struct field *f, void *obj)
{
	const char *text;
	uint64_t len = 0;

	if (take_number(in, f, 2, &len) < 0)
		return -1;
	if (len > in->left)
		return refuse_short(in, f);
	text = (const char *)in->data;
	if (memchr(text, '\0', len))
		return error_set(in->err, 400, "%s: a string with a NUL in it", f->name);
	if (!utf8_valid(text, len))
		return error_set(in->err, 400, "%s: a string that is no UTF-8", f->name);
	*(char **)field_member(f, obj) = xstrndup(text, len);
	in->data += len;
	in->left -= len;
	return 0;
}

static int take_model(struct input *in, const struct model *m, void *obj);

static int
take_array(struct input *in, const struct field *f, void *obj)
{
	uint64_t n = 0;

	if (take_number(in, f, 2, &n) < 0)
		return -1;
	if (n * smallest(f->sub) > in->left)
		return refuse_short(in, f);
	for (uint64_t i = 0; i < n; i++) {
		if (take_model(in, f->sub, field_append(f, obj)) < 0)
			return error_wrap(in->err, "%s[%u]", f->name, (unsigned int)i);
	}
	return 0;
}

static int
take_field(struct input *in, const struct field *f, void *obj)
{
	uint64_t bits = 0;
	uint32_t half;

	switch (f->kind) {
	case KIND_STRING:
		return take_string(in, f, obj);
	case KIND_STRUCT:
		return take_model(in, f->sub, field_member(f, obj));
	case KIND_ARRAY:
		return take_array(in, f, obj);
	default:
		break;
	}
	if (take_number(in, f, number_size(f->kind), &bits) < 0)
		return -1;
	if (f->kind == KIND_FLOAT) {
		half = (uint32_t)bits;
		memcpy(field_member(f, obj), &half, sizeof(half));
		return 0;
	}
	if (f->kind == KIND_ENUM && bits >= f->words->n_words)
		return error_set(in->err, 400, "%s: %d is out of range 0..%u", f->name,
		    (int)(int16_t)bits, f->words->n_words - 1);
	if (f->kind == KIND_BOOL && bits > 1)
		return error_set(in->err, 400, "%s: %u is no boolean", f->name, (unsigned int)bits);
	field_set_int(f, obj, (int64_t)bits);
	return 0;
}

static int
take_model(struct input *in, const struct model *m, void *obj)
{
	for (unsigned int i = 0; i < m->n_fields; i++) {
		if (take_field(in, &m->fields[i], obj) < 0)
			return -1;
	}
	return 0;
}

long
binary_decode(const struct model *m, const void *data, size_t len, void *obj, struct error *err)
{
	struct input in = { .data = data, .left = len, .err = err };

	if (take_model(&in, m, obj) < 0) {
		model_clear(m, obj);
		return -1;
	}
	return (long)(len - in.left);
}
