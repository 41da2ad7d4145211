/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The reading half of json.h. */
#include "proto/json.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "proto/utf8.h"

#define DEPTH_MAX    16
#define ELEMENTS_MAX 100000

/* An object being read, or the array whose elements are. */
struct frame {
	const struct model *m;	   /* of the object, NULL for an array */
	const struct field *field; /* object: whose value comes next; array: the member */
	void *obj;		   /* the object; array: the object with the member */
	uint64_t seen;		   /* object: its fields that were read, bit by bit */
	unsigned int next;	   /* object: the field behind the one that was read last */
};

struct reader {
	struct frame frames[DEPTH_MAX];
	unsigned int depth;
	unsigned int skipped; /* levels open inside the value of an unknown field */
	bool unique;	      /* doubled fields are refused */
	bool exact;	      /* unknown fields are refused */
	const struct model *root;
	void *root_obj;
	char **root_string; /* where the document is one string */
	struct error *err;
};

static struct frame *
top(struct reader *r)
{
	return r->depth > 0 ? &r->frames[r->depth - 1] : NULL;
}

/* "vmdef.disks[2].size": where the reader stands. */
static void
add_path(const struct reader *r, struct buffer *out)
{
	for (unsigned int i = 0; i < r->depth; i++) {
		const struct frame *frame = &r->frames[i];
		size_t n;

		if (!frame->m) {
			field_items(frame->field, frame->obj, &n);
			/* Inside an element it is the one counted last. */
			buffer_printf(out, "[%zu]", i + 1 < r->depth ? n - 1 : n);
		} else if (frame->field) {
			buffer_printf(out, "%s%s", out->len ? "." : "", frame->field->name);
		}
	}
}

/* A callback's failure that ends the parse; the message follows the path. */
static int PRINTF(2, 3) refuse(struct reader *r, const char *fmt, ...)
{
	_buffer_ struct buffer path = { 0 };
	_free_ char *text = NULL;
	va_list ap;

	add_path(r, &path);
	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	error_set(r->err, 400, "%s: %s", path.len ? path.data : "the document", text);
	return 0;
}

static const char *
kind_word(const struct field *f)
{
	switch (f->kind) {
	case KIND_BOOL:
		return "a boolean";
	case KIND_INT16:
		return "an integer of 16 bits";
	case KIND_INT32:
		return "an integer of 32 bits";
	case KIND_INT64:
		return "an integer of 64 bits";
	case KIND_FLOAT:
		return "a number";
	case KIND_STRING:
		return "a string";
	case KIND_ENUM:
		return "an integer";
	case KIND_STRUCT:
		return "an object";
	case KIND_ARRAY:
		return "an array";
	}
	return "?";
}

static int
refuse_type(struct reader *r, const char *got)
{
	struct frame *frame = top(r);
	const char *expected = r->root_string ? "a string" : "an object";

	if (frame && frame->m)
		expected = kind_word(frame->field);
	return refuse(r, "expected %s, got %s", expected, got);
}

/* What is to be done with a value that begins. */
enum place {
	PLACE_SKIP,  /* in an unknown field */
	PLACE_FIELD, /* top(r)->field's */
	PLACE_OTHER, /* the document, or an array's element: an object only */
};

static enum place
place(struct reader *r)
{
	struct frame *frame = top(r);

	if (r->skipped > 0 || (frame && frame->m && !frame->field))
		return PLACE_SKIP;
	return frame && frame->m ? PLACE_FIELD : PLACE_OTHER;
}

/* A new element of the array that is being read; NULL where there are too many. */
static void *
append_element(struct reader *r)
{
	struct frame *frame = top(r);
	size_t n;

	field_items(frame->field, frame->obj, &n);
	if (n < ELEMENTS_MAX)
		return field_append(frame->field, frame->obj);
	refuse(r, "more than %d elements", ELEMENTS_MAX);
	return NULL;
}

/* null is the zero value, an element's too. */
static int
on_null(void *ctx)
{
	struct reader *r = ctx;

	switch (place(r)) {
	case PLACE_SKIP:
		return 1;
	case PLACE_FIELD:
		model_clear_field(top(r)->field, top(r)->obj);
		return 1;
	default:
		return top(r) ? append_element(r) != NULL : refuse_type(r, "null");
	}
}

static int
on_boolean(void *ctx, int value)
{
	struct reader *r = ctx;

	if (place(r) == PLACE_SKIP)
		return 1;
	if (place(r) != PLACE_FIELD || top(r)->field->kind != KIND_BOOL)
		return refuse_type(r, "a boolean");
	field_set_int(top(r)->field, top(r)->obj, value);
	return 1;
}

static int
set_float(struct reader *r, const char *text)
{
	const struct field *f = top(r)->field;
	float value = strtof(text, NULL);

	if (!isfinite(value))
		return refuse(r, "%.40s is out of the range of a float of 32 bits", text);
	*(float *)field_member(f, top(r)->obj) = value;
	return 1;
}

static int
refuse_range(struct reader *r, const char *text, int64_t min, int64_t max)
{
	const struct field *f = top(r)->field;
	_buffer_ struct buffer words = { 0 };

	for (unsigned int i = 0; f->kind == KIND_ENUM && i < f->words->n_words; i++)
		buffer_printf(&words, "%s%s", i ? ", " : " (", f->words->words[i]);
	return refuse(r, "%.40s is out of range %" PRId64 "..%" PRId64 "%s%s", text, min, max,
	    words.len ? words.data : "", words.len ? ")" : "");
}

static int
on_number(void *ctx, const char *data, size_t len)
{
	struct reader *r = ctx;
	_free_ char *text = NULL;
	int64_t min, max;
	long long value;
	enum kind kind;

	if (place(r) == PLACE_SKIP)
		return 1;
	if (place(r) != PLACE_FIELD)
		return refuse_type(r, "a number");
	kind = top(r)->field->kind;
	text = xstrndup(data, len);
	if (kind == KIND_FLOAT)
		return set_float(r, text);
	if (kind != KIND_INT16 && kind != KIND_INT32 && kind != KIND_INT64 && kind != KIND_ENUM)
		return refuse_type(r, "a number");
	if (strcspn(text, ".eE") < len) {
		_free_ char *got = xasprintf("the number %.40s", text);

		return refuse_type(r, got);
	}

	field_range(top(r)->field, &min, &max);
	errno = 0;
	value = strtoll(text, NULL, 10);
	if (errno == ERANGE || value < min || value > max)
		return refuse_range(r, text, min, max);
	field_set_int(top(r)->field, top(r)->obj, value);
	return 1;
}

static int
on_string(void *ctx, const unsigned char *data, size_t len)
{
	struct reader *r = ctx;
	char **member = r->root_string;

	if (place(r) == PLACE_SKIP)
		return 1;
	if (place(r) == PLACE_FIELD) {
		if (top(r)->field->kind != KIND_STRING)
			return refuse_type(r, "a string");
		member = field_member(top(r)->field, top(r)->obj);
	} else if (top(r) || !member) {
		return refuse_type(r, "a string");
	}
	if (memchr(data, '\0', len))
		return refuse(r, "a string with a NUL in it");

	free(*member);
	*member = xstrndup((const char *)data, len);
	return 1;
}

/* A level inside an unknown field. */
static int
skip_open(struct reader *r)
{
	if (r->depth + r->skipped >= DEPTH_MAX)
		return refuse(r, "nested deeper than %d levels", DEPTH_MAX);
	r->skipped++;
	return 1;
}

static int
push(struct reader *r, const struct model *m, const struct field *field, void *obj)
{
	if (r->depth >= DEPTH_MAX)
		return refuse(r, "nested deeper than %d levels", DEPTH_MAX);
	r->frames[r->depth++] = (struct frame){ .m = m, .field = field, .obj = obj };
	return 1;
}

static int
on_start_map(void *ctx)
{
	struct reader *r = ctx;
	struct frame *frame = top(r);
	const struct field *f;
	void *element;

	switch (place(r)) {
	case PLACE_SKIP:
		return skip_open(r);
	case PLACE_FIELD:
		f = frame->field;
		if (f->kind != KIND_STRUCT)
			return refuse_type(r, "an object");
		/* Of a doubled key the last wins, whole. */
		model_clear_field(f, frame->obj);
		return push(r, f->sub, NULL, field_member(f, frame->obj));
	default:
		break;
	}
	if (!frame) {
		if (!r->root)
			return refuse_type(r, "an object");
		return push(r, r->root, NULL, r->root_obj);
	}
	element = append_element(r);
	return element ? push(r, frame->field->sub, NULL, element) : 0;
}

/* A key that is none of the object's fields; comments are of no concern. */
static int
unknown_key(struct reader *r, const struct model *m, const char *key, size_t len)
{
	_buffer_ struct buffer names = { 0 };
	_free_ char *text = NULL;
	const char *nearest;

	if (!r->exact || (len > 0 && *key == '$'))
		return 1;
	text = xstrndup(key, len);
	nearest = model_nearest(m, text);
	if (nearest)
		return refuse(r, "unknown key '%s', did you mean '%s'?", text, nearest);
	for (unsigned int i = 0; i < m->n_fields; i++)
		buffer_printf(&names, "%s%s", i ? ", " : "", m->fields[i].name);
	return refuse(r, "unknown key '%s'; there are %s", text, names.data);
}

static int
on_map_key(void *ctx, const unsigned char *data, size_t len)
{
	struct reader *r = ctx;
	struct frame *frame = top(r);

	if (r->skipped > 0)
		return 1;
	frame->field = NULL;
	/* Whoever writes by the same model has them in its order. */
	for (unsigned int n = 0; n < frame->m->n_fields; n++) {
		unsigned int i = (frame->next + n) % frame->m->n_fields;
		const struct field *f = &frame->m->fields[i];

		if (strlen(f->name) == len && memcmp(f->name, data, len) == 0) {
			frame->field = f;
			if (r->unique && i < 64 && (frame->seen & UINT64_C(1) << i))
				return refuse(r, "the key is there twice");
			frame->seen |= i < 64 ? UINT64_C(1) << i : 0;
			frame->next = i + 1;
			return 1;
		}
	}
	return unknown_key(r, frame->m, (const char *)data, len);
}

static int
on_start_array(void *ctx)
{
	struct reader *r = ctx;
	struct frame *frame = top(r);

	switch (place(r)) {
	case PLACE_SKIP:
		return skip_open(r);
	case PLACE_FIELD:
		if (frame->field->kind != KIND_ARRAY)
			return refuse_type(r, "an array");
		model_clear_field(frame->field, frame->obj);
		return push(r, NULL, frame->field, frame->obj);
	default:
		return refuse_type(r, "an array");
	}
}

static int
on_end(void *ctx)
{
	struct reader *r = ctx;

	if (r->skipped > 0)
		r->skipped--;
	else
		r->depth--;
	return 1;
}

static const yajl_callbacks callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_boolean,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_start_map = on_start_map,
	.yajl_map_key = on_map_key,
	.yajl_end_map = on_end,
	.yajl_start_array = on_start_array,
	.yajl_end_array = on_end,
};

/* The number that four hex digits say, or -1. */
static int
hex4(const char *text, size_t len)
{
	int value = 0;

	if (len < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = hex_digit(text[i]);

		if (digit < 0)
			return -1;
		value = value << 4 | digit;
	}
	return value;
}

/*
 * What yajl does not check: the UTF-8 (it takes overlong forms) and that \u surrogates come in
 * pairs (it makes others "?" or broken UTF-8). Other bad escapes are left to it. A backslash
 * outside a string is an error anyway, so strings need not be told apart.
 */
static int
check_text(const char *text, size_t len, struct error *err)
{
	size_t at = utf8_valid_length(text, len);
	const char *p = text;

	if (at < len)
		return error_set(err, 400, "invalid JSON at byte %zu: no UTF-8", at);
	while ((p = memchr(p, '\\', len - (size_t)(p - text)))) {
		size_t left = len - (size_t)(p - text);
		int code = left >= 2 && p[1] == 'u' ? hex4(p + 2, left - 2) : -1;

		if (code >= 0xd800 && code <= 0xdfff) {
			int low =
			    left >= 8 && p[6] == '\\' && p[7] == 'u' ? hex4(p + 8, left - 8) : -1;

			if (code >= 0xdc00 || low < 0xdc00 || low > 0xdfff)
				return error_set(err, 400,
				    "invalid JSON at byte %zu: half a surrogate pair",
				    (size_t)(p - text));
			p += 12;
		} else {
			p += left >= 2 ? 2 : 1;
		}
	}
	return 0;
}

static int
refuse_syntax(yajl_handle handle, struct error *err)
{
	unsigned char *text = yajl_get_error(handle, 0, NULL, 0);

	error_set(err, 400, "invalid JSON at byte %zu: %s", yajl_get_bytes_consumed(handle),
	    text ? (const char *)text : "?");
	/* After error_set, which takes the newline off. */
	yajl_free_error(handle, text);
	return -1;
}

static int
read_document(struct reader *r, const char *text, size_t len)
{
	yajl_handle handle;
	yajl_status status;
	int rc = -1;

	if (check_text(text, len, r->err) < 0)
		return -1;
	handle = yajl_alloc(&callbacks, NULL, r);
	if (!handle)
		abort();
	yajl_config(handle, yajl_dont_validate_strings, 1);
	status = yajl_parse(handle, (const unsigned char *)text, len);
	if (status == yajl_status_ok)
		status = yajl_complete_parse(handle);
	if (status == yajl_status_ok)
		rc = 0;
	else if (status == yajl_status_error)
		refuse_syntax(handle, r->err);
	yajl_free(handle);
	return rc;
}

static int
decode(struct reader *r, const char *text, size_t len)
{
	size_t blank = 0;

	while (blank < len && memchr(" \t\r\n", text[blank], 4))
		blank++;
	if (blank == len)
		return 0;
	if (read_document(r, text, len) < 0) {
		model_clear(r->root, r->root_obj);
		return -1;
	}
	return 0;
}

int
json_decode(const struct model *m, const char *text, size_t len, void *obj, struct error *err)
{
	return decode(&(struct reader){ .root = m, .root_obj = obj, .err = err }, text, len);
}

int
json_decode_request(
    const struct model *m, const char *text, size_t len, void *obj, struct error *err)
{
	return decode(
	    &(struct reader){ .unique = true, .root = m, .root_obj = obj, .err = err }, text, len);
}

int
json_decode_exact(const struct model *m, const char *text, size_t len, void *obj, struct error *err)
{
	struct reader reader = { .unique = true, .exact = true, .root = m, .root_obj = obj };

	reader.err = err;
	return decode(&reader, text, len);
}

int
json_decode_string(const char *text, size_t len, char **ret, struct error *err)
{
	_free_ char *string = NULL;
	struct reader r = { .root_string = &string, .err = err };

	if (read_document(&r, text, len) < 0)
		return -1;
	*ret = steal_ptr(string);
	return 0;
}
