/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Objects filled at random by their tables, the same ones in every run. */
#ifndef TEST_UNIT_RANDOM_MODEL_H
#define TEST_UNIT_RANDOM_MODEL_H

#include <string.h>

#include "proto/table.h"

struct random {
	uint64_t state; /* not 0 */
};

/* xorshift64 */
static inline uint64_t
random_next(struct random *r)
{
	r->state ^= r->state << 13;
	r->state ^= r->state >> 7;
	r->state ^= r->state << 17;
	return r->state;
}

static inline char *
random_string(struct random *r)
{
	static const char *const pieces[] = { "a", "Z9_", "/vms/ds/", "\"", "\\", "\n", "\x01",
		"\x7f", "größe-π", "\xf0\x9f\x98\x80", "\xef\xbf\xbd", "{[", "]}", ",", "u0000",
		"\t\r\b" };
	_buffer_ struct buffer out = { 0 };

	for (uint64_t n = random_next(r) % 6; n > 0; n--) {
		const char *piece = pieces[random_next(r) % ARRAY_SIZE(pieces)];

		buffer_add(&out, piece, strlen(piece));
	}
	return buffer_steal(&out, NULL);
}

/* An integer, often at an end of its range. */
static inline int64_t
random_int(struct random *r, const struct field *f)
{
	int64_t min, max;

	field_range(f, &min, &max);
	switch (random_next(r) % 4) {
	case 0:
		return min;
	case 1:
		return max;
	default:
		if (f->kind == KIND_INT64)
			return (int64_t)random_next(r);
		return min + (int64_t)(random_next(r) % (uint64_t)(max - min + 1));
	}
}

/* A finite float of any size. */
static inline float
random_float(struct random *r)
{
	uint32_t bits = (uint32_t)random_next(r);
	float value;

	if ((bits & 0x7f800000) == 0x7f800000)
		bits &= ~0x40000000u;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* Fills obj, which must be zero. */
static inline void
random_fill(struct random *r, const struct model *m, void *obj)
{
	for (unsigned int i = 0; i < m->n_fields; i++) {
		const struct field *f = &m->fields[i];

		switch (f->kind) {
		case KIND_STRING:
			*(char **)field_member(f, obj) = random_string(r);
			break;
		case KIND_FLOAT:
			*(float *)field_member(f, obj) = random_float(r);
			break;
		case KIND_STRUCT:
			random_fill(r, f->sub, field_member(f, obj));
			break;
		case KIND_ARRAY:
			for (uint64_t n = random_next(r) % 5; n > 0; n--)
				random_fill(r, f->sub, field_append(f, obj));
			break;
		default:
			field_set_int(f, obj, random_int(r, f));
			break;
		}
	}
}

#endif
