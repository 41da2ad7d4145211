/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/table.h"

#include <string.h>

void *
field_member(const struct field *f, const void *obj)
{
	return (char *)obj + f->offset;
}

static size_t
scalar_size(enum kind kind)
{
	switch (kind) {
	case KIND_BOOL:
		return sizeof(bool);
	case KIND_INT16:
		return sizeof(int16_t);
	case KIND_INT32:
		return sizeof(int32_t);
	case KIND_INT64:
		return sizeof(int64_t);
	case KIND_FLOAT:
		return sizeof(float);
	case KIND_ENUM:
		return sizeof(enum kind);
	case KIND_STRING:
	case KIND_STRUCT:
	case KIND_ARRAY:
		break;
	}
	return 0;
}

int64_t
field_get_int(const struct field *f, const void *obj)
{
	const void *p = field_member(f, obj);

	switch (f->kind) {
	case KIND_BOOL:
		return *(const bool *)p;
	case KIND_INT16:
		return *(const int16_t *)p;
	case KIND_INT32:
		return *(const int32_t *)p;
	case KIND_INT64:
		return *(const int64_t *)p;
	case KIND_ENUM:
		return *(const unsigned int *)p;
	default:
		return 0;
	}
}

void
field_set_int(const struct field *f, void *obj, int64_t value)
{
	void *p = field_member(f, obj);

	switch (f->kind) {
	case KIND_BOOL:
		*(bool *)p = value != 0;
		break;
	case KIND_INT16:
		*(int16_t *)p = (int16_t)value;
		break;
	case KIND_INT32:
		*(int32_t *)p = (int32_t)value;
		break;
	case KIND_INT64:
		*(int64_t *)p = value;
		break;
	case KIND_ENUM:
		*(unsigned int *)p = (unsigned int)value;
		break;
	default:
		break;
	}
}

void
field_range(const struct field *f, int64_t *min, int64_t *max)
{
	switch (f->kind) {
	case KIND_INT16:
		*min = INT16_MIN;
		*max = INT16_MAX;
		break;
	case KIND_INT32:
		*min = INT32_MIN;
		*max = INT32_MAX;
		break;
	case KIND_INT64:
		*min = INT64_MIN;
		*max = INT64_MAX;
		break;
	case KIND_ENUM:
		*min = 0;
		*max = (int64_t)f->words->n_words - 1;
		break;
	default:
		*min = 0;
		*max = 1;
		break;
	}
}

const char *
field_get_string(const struct field *f, const void *obj)
{
	return str_or_empty(*(char *const *)field_member(f, obj));
}

/* Array members are pointers of different types, so they are read and written as bytes. */
static char *
get_items(const struct field *f, const void *obj)
{
	char *items;

	memcpy(&items, field_member(f, obj), sizeof(items));
	return items;
}

static void
set_items(const struct field *f, void *obj, char *items)
{
	memcpy(field_member(f, obj), &items, sizeof(items));
}

static size_t *
get_count(const struct field *f, const void *obj)
{
	return (size_t *)(void *)((char *)obj + f->count_offset);
}

void *
field_items(const struct field *f, const void *obj, size_t *n)
{
	*n = *get_count(f, obj);
	return *n ? get_items(f, obj) : NULL;
}

void *
field_append(const struct field *f, void *obj)
{
	size_t *n = get_count(f, obj);
	char *items = get_items(f, obj);
	char *element;

	/* Grown by doubling, which needs no capacity kept: it is full at the powers of two. */
	if ((*n & (*n - 1)) == 0) {
		items = xrealloc(items, *n ? *n * 2 : 1, f->sub->size);
		set_items(f, obj, items);
	}
	element = items + *n * f->sub->size;
	memset(element, 0, f->sub->size);
	(*n)++;
	return element;
}

void
model_clear_field(const struct field *f, void *obj)
{
	void *p = field_member(f, obj);

	if (f->kind == KIND_STRING) {
		char **text = p;

		free(*text);
		*text = NULL;
	} else if (f->kind == KIND_STRUCT) {
		model_clear(f->sub, p);
	} else if (f->kind == KIND_ARRAY) {
		char *items = get_items(f, obj);

		for (size_t i = 0; i < *get_count(f, obj); i++)
			model_clear(f->sub, items + i * f->sub->size);
		free(items);
		set_items(f, obj, NULL);
		*get_count(f, obj) = 0;
	} else {
		memset(p, 0, scalar_size(f->kind));
	}
}

void
model_clear(const struct model *m, void *obj)
{
	if (!obj)
		return;
	for (unsigned int i = 0; i < m->n_fields; i++)
		model_clear_field(&m->fields[i], obj);
}

static void
copy_array(const struct field *f, void *dst, const void *src)
{
	size_t n = *get_count(f, src), size = f->sub->size;
	const char *from = get_items(f, src);
	char *to;

	/* Its room is what field_append expects to find: a power of two. */
	for (size_t i = 0; i < n; i++) {
		to = field_append(f, dst);
		model_copy(f->sub, to, from + i * size);
	}
}

void
model_copy(const struct model *m, void *dst, const void *src)
{
	memset(dst, 0, m->size);
	for (unsigned int i = 0; i < m->n_fields; i++) {
		const struct field *f = &m->fields[i];

		if (f->kind == KIND_STRING) {
			if (*field_get_string(f, src))
				*(char **)field_member(f, dst) = xstrdup(field_get_string(f, src));
		} else if (f->kind == KIND_STRUCT) {
			model_copy(f->sub, field_member(f, dst), field_member(f, src));
		} else if (f->kind == KIND_ARRAY) {
			copy_array(f, dst, src);
		} else {
			memcpy(field_member(f, dst), field_member(f, src), scalar_size(f->kind));
		}
	}
}

static bool
array_equal(const struct field *f, const void *a, const void *b)
{
	size_t na, nb;
	const char *ia = field_items(f, a, &na), *ib = field_items(f, b, &nb);

	if (na != nb)
		return false;
	for (size_t i = 0; i < na; i++) {
		if (!model_equal(f->sub, ia + i * f->sub->size, ib + i * f->sub->size))
			return false;
	}
	return true;
}

static bool
field_equal(const struct field *f, const void *a, const void *b)
{
	switch (f->kind) {
	case KIND_STRING:
		return strcmp(field_get_string(f, a), field_get_string(f, b)) == 0;
	case KIND_STRUCT:
		return model_equal(f->sub, field_member(f, a), field_member(f, b));
	case KIND_ARRAY:
		return array_equal(f, a, b);
	case KIND_FLOAT:
		return *(const float *)field_member(f, a) == *(const float *)field_member(f, b);
	default:
		return field_get_int(f, a) == field_get_int(f, b);
	}
}

bool
model_equal(const struct model *m, const void *a, const void *b)
{
	for (unsigned int i = 0; i < m->n_fields; i++) {
		if (!field_equal(&m->fields[i], a, b))
			return false;
	}
	return true;
}

/* Longer names are like none. */
#define NAME_LENGTH_MAX 40

static char
lower_case(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* How many letters are to be changed, added, dropped or swapped with the next to make b of a. Case
 * does not count. */
static size_t
distance(const char *a, const char *b)
{
	size_t rows[3][NAME_LENGTH_MAX + 1] = { 0 };
	size_t na = strlen(a), nb = strlen(b);

	if (na > NAME_LENGTH_MAX || nb > NAME_LENGTH_MAX)
		return SIZE_MAX;
	for (size_t k = 0; k <= nb; k++)
		rows[0][k] = k;
	for (size_t i = 1; i <= na; i++) {
		size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *top = rows[(i + 1) % 3];
		char c = lower_case(a[i - 1]);

		row[0] = i;
		for (size_t k = 1; k <= nb; k++) {
			char d = lower_case(b[k - 1]);

			row[k] = least(above[k - 1] + (c != d), least(above[k], row[k - 1]) + 1);
			if (i > 1 && k > 1 && c == lower_case(b[k - 2]) &&
			    d == lower_case(a[i - 2]))
				row[k] = least(row[k], top[k - 2] + 1);
		}
	}
	return rows[na % 3][nb];
}

/* Whether name may be a misspelling of candidate, and more so than of what was looked at before;
 * *bound is how far that is from it. */
static bool
is_nearer(const char *name, const char *candidate, size_t *bound)
{
	size_t n = distance(name, candidate);

	if (n >= *bound || n >= strlen(candidate))
		return false;
	*bound = n;
	return true;
}

/* Less is near. */
static size_t
near_bound(const char *name)
{
	return strlen(name) / 3 + 2;
}

const char *
model_nearest(const struct model *m, const char *name)
{
	const char *nearest = NULL;
	size_t bound = near_bound(name);

	for (unsigned int i = 0; i < m->n_fields; i++) {
		if (is_nearer(name, m->fields[i].name, &bound))
			nearest = m->fields[i].name;
	}
	return nearest;
}

const char *
name_nearest(const char *const *names, size_t n, const char *name)
{
	const char *nearest = NULL;
	size_t bound = near_bound(name);

	for (size_t i = 0; i < n; i++) {
		if (is_nearer(name, names[i], &bound))
			nearest = names[i];
	}
	return nearest;
}

const char *
enum_word(const struct enumdef *e, unsigned int value)
{
	return value < e->n_words ? e->words[value] : "?";
}

int
enum_parse(const struct enumdef *e, const char *text)
{
	unsigned long value;
	char *end;

	if (str_empty(text))
		return -1;
	for (unsigned int i = 0; i < e->n_words; i++) {
		if (strcmp(e->words[i], text) == 0)
			return (int)i;
	}
	if (*text < '0' || *text > '9')
		return -1;
	value = strtoul(text, &end, 10);
	return *end == '\0' && value < e->n_words ? (int)value : -1;
}
