/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptor tables: each struct of the API is one table of fields, and every codec (JSON, the
 * gossip's binary, free, copy, equal) walks the tables. Every member is a scalar of the kind below,
 * a struct, or an array given as a pointer member X with a size_t member n_X. Strings are
 * heap-allocated or NULL, which means "".
 */
#ifndef PROTO_TABLE_H
#define PROTO_TABLE_H

#include "proto/util.h"

enum kind {
	KIND_BOOL,
	KIND_INT16,
	KIND_INT32,
	KIND_INT64,
	KIND_FLOAT, /* float32 */
	KIND_STRING,
	KIND_ENUM, /* an integer on the wire, 0 .. n_words-1 */
	KIND_STRUCT,
	KIND_ARRAY, /* of structs */
};

struct enumdef {
	const char *name;
	const char *const *words; /* for people: "running" */
	unsigned int n_words;
};

struct model {
	const char *name; /* as in the OpenAPI document */
	size_t size;
	const struct field *fields;
	unsigned int n_fields;
};

struct field {
	const char *name;
	enum kind kind;
	size_t offset;
	size_t count_offset;	     /* KIND_ARRAY: of the size_t count */
	const struct model *sub;     /* KIND_STRUCT, KIND_ARRAY: the element */
	const struct enumdef *words; /* KIND_ENUM */
	int64_t unit;		     /* of a size: the bytes that 1 stands for; 0 for others */
};

/* A member whose C type does not fit the kind has no association here, and does not compile. */
#define TABLE_KIND_(T, m) \
	_Generic(((T *)0)->m, bool: KIND_BOOL, int16_t: KIND_INT16, int32_t: KIND_INT32, int64_t: KIND_INT64, float: KIND_FLOAT, char *: KIND_STRING)
#define TABLE_CHECK_(T, m, M) (0 * sizeof(_Generic(&((T *)0)->m, M * : 1)))

/* One row each; json is the JSON name, T the C struct, m its member. */
#define FIELD(json, T, m)                                                         \
	{                                                                         \
		.name = json, .kind = TABLE_KIND_(T, m), .offset = offsetof(T, m) \
	}
/* The same for a size in MiB. */
#define FIELD_MIB (INT64_C(1) << 20)
#define FIELD_SIZE(json, T, m)                                                     \
	{                                                                          \
		.name = json, .kind = TABLE_KIND_(T, m), .offset = offsetof(T, m), \
		.unit = FIELD_MIB                                                  \
	}
#define FIELD_ENUM(json, T, m, E)                                                         \
	{                                                                                 \
		.name = json, .kind = KIND_ENUM,                                          \
		.offset = offsetof(T, m) + TABLE_CHECK_(T, m, enum E), .words = &E##_enum \
	}
#define FIELD_STRUCT(json, T, m, S)                                                        \
	{                                                                                  \
		.name = json, .kind = KIND_STRUCT,                                         \
		.offset = offsetof(T, m) + TABLE_CHECK_(T, m, struct S), .sub = &S##_model \
	}
#define FIELD_ARRAY(json, T, m, S)                                         \
	{                                                                  \
		.name = json, .kind = KIND_ARRAY,                          \
		.offset = offsetof(T, m) + TABLE_CHECK_(T, m, struct S *), \
		.count_offset = offsetof(T, n_##m), .sub = &S##_model      \
	}

/* Frees what obj owns and zeroes it; obj itself is the caller's. NULL is fine. */
void model_clear(const struct model *m, void *obj);
/* The same for one field of obj. */
void model_clear_field(const struct field *f, void *obj);
/* Makes dst (uninitialised or zero) a deep copy of src. */
void model_copy(const struct model *m, void *dst, const void *src);
/* Deep equality; NULL strings equal "". */
bool model_equal(const struct model *m, const void *a, const void *b);
/* The name of the field that this one is a misspelling of, NULL where none is near. */
const char *model_nearest(const struct model *m, const char *name);
/* The same of names. */
const char *name_nearest(const char *const *names, size_t n, const char *name);
/* Appends a zeroed element to an array member: pass &x.items and &x.n_items; returns the element.
 */
#define model_append(items, n)                                              \
	({                                                                  \
		*(items) = xrealloc(*(items), *(n) + 1, sizeof(**(items))); \
		__builtin_memset(&(*(items))[*(n)], 0, sizeof(**(items)));  \
		&(*(items))[(*(n))++];                                      \
	})

/* What the codecs walk with. A pointer to the member itself. */
void *field_member(const struct field *f, const void *obj);
/* KIND_BOOL, the integers and KIND_ENUM. set takes a value within field_range. */
int64_t field_get_int(const struct field *f, const void *obj);
void field_set_int(const struct field *f, void *obj, int64_t value);
void field_range(const struct field *f, int64_t *min, int64_t *max);
/* KIND_STRING; never NULL. */
const char *field_get_string(const struct field *f, const void *obj);
/* KIND_ARRAY: the first element (NULL where there is none) and their number. */
void *field_items(const struct field *f, const void *obj, size_t *n);
/* KIND_ARRAY: a zeroed element more, at the end; earlier elements may move. For codecs, which build
 * an array with nothing but this: its room is always a power of two. */
void *field_append(const struct field *f, void *obj);

/* The enum's word, or "?" for a value out of range. */
const char *enum_word(const struct enumdef *e, unsigned int value);
/* A word or a decimal number to the value, or -1. */
int enum_parse(const struct enumdef *e, const char *text);

#endif
