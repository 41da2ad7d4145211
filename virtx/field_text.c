/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/field_text.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "proto/model.h"
#include "virtx/answer.h"

#define WHOLE_DIGITS_MAX    9 /* of a size: what has more is none of this world */
#define FRACTION_DIGITS_MAX 3

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* As JSON has it: others would be read as octal by some. */
static bool
is_integer(const char *text)
{
	const char *digits = text + (*text == '-');
	size_t len = strspn(digits, "0123456789");

	return len > 0 && digits[len] == '\0' && (len == 1 || *digits != '0');
}

/* The bytes that a unit stands for, 0 for none of them. */
static int64_t
unit_bytes(const char *text)
{
	static const char letters[] = "KMGT";
	const char *rest = text + 1;
	int64_t bytes = 1, base;
	size_t power = 0;

	while (letters[power] && strncasecmp(text, &letters[power], 1) != 0)
		power++;
	if (!letters[power])
		return 0;
	if (*rest == '\0' || strcasecmp(rest, "iB") == 0)
		base = 1024;
	else if (strcasecmp(rest, "B") == 0)
		base = 1000;
	else
		return 0;
	for (size_t i = 0; i <= power; i++)
		bytes *= base;
	return bytes;
}

static const char *
unit_word(const struct field *f)
{
	return f->unit == FIELD_MIB ? "MiB" : "bytes";
}

/* "1.5": its digits, as a number of which each is scale. 0, or -1 where it is none. */
static int
read_decimal(const char **at, int64_t *value, int64_t *scale)
{
	const char *p = *at;
	size_t whole = strspn(p, "0123456789"), fraction = 0;

	*value = 0;
	*scale = 1;
	if (whole == 0 || whole > WHOLE_DIGITS_MAX)
		return -1;
	if (p[whole] == '.') {
		fraction = strspn(p + whole + 1, "0123456789");
		if (fraction == 0 || fraction > FRACTION_DIGITS_MAX)
			return -1;
	}
	for (size_t i = 0; i < whole + fraction + (fraction > 0); i++) {
		if (!is_digit(p[i]))
			continue;
		*value = *value * 10 + (p[i] - '0');
		*scale *= i > whole ? 10 : 1;
	}
	*at = p + whole + fraction + (fraction > 0);
	return 0;
}

static int
read_size(const struct field *f, const char *text, int64_t *ret, struct error *err)
{
	const char *at = text;
	int64_t value, scale, bytes;

	if (read_decimal(&at, &value, &scale) < 0)
		bytes = 0;
	else
		bytes = unit_bytes(at + (*at == ' '));
	if (bytes == 0)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "'%s' is no size: write a number of %s, or one with a unit as in 512M or 4G",
		    text, unit_word(f));
	if (__builtin_mul_overflow(value, bytes, &value))
		return error_set(err, CLIENT_ERROR_STATUS, "'%s' is out of range", text);
	scale *= f->unit;
	if (value % scale != 0)
		return error_set(
		    err, CLIENT_ERROR_STATUS, "'%s' is no whole number of %s", text, unit_word(f));
	*ret = value / scale;
	return 0;
}

static int
read_int(const struct field *f, void *obj, const char *text, struct error *err)
{
	int64_t min, max, value = 0;

	errno = 0;
	if (is_integer(text))
		value = strtoll(text, NULL, 10);
	else if (f->unit == 0)
		return error_set(err, CLIENT_ERROR_STATUS, "'%s' is no whole number", text);
	else if (read_size(f, text, &value, err) < 0)
		return -1;
	field_range(f, &min, &max);
	if (errno == ERANGE || value < min || value > max)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "'%s' is out of range %" PRId64 "..%" PRId64 "%s%s", text, min, max,
		    f->unit ? " " : "", f->unit ? unit_word(f) : "");
	field_set_int(f, obj, value);
	return 0;
}

/* Names that others have for the same. */
static const char *
own_word(const struct enumdef *e, const char *text)
{
	static const struct {
		const struct enumdef *words;
		const char *theirs;
		unsigned int value;
	} rows[] = {
		{ &disk_bus_enum, "virtio", DISK_BUS_VIRTIO_BLK }, /* libvirt's */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].words == e && strcmp(rows[i].theirs, text) == 0)
			return enum_word(e, rows[i].value);
	return text;
}

static int
read_enum(const struct field *f, void *obj, const char *text, struct error *err)
{
	const struct enumdef *e = f->words;
	int value = enum_parse(e, own_word(e, text));
	_buffer_ struct buffer words = { 0 };
	const char *nearest;

	if (value >= 0) {
		field_set_int(f, obj, value);
		return 0;
	}
	for (unsigned int i = 0; i < e->n_words; i++)
		buffer_printf(&words, "%s%s", i ? ", " : "", e->words[i]);
	error_set(err, CLIENT_ERROR_STATUS, "'%s' is none of %s", text, words.data);
	nearest = name_nearest(e->words, e->n_words, text);
	if (nearest)
		error_append(err, "did you mean '%s'?", nearest);
	return -1;
}

static int
read_bool(const struct field *f, void *obj, const char *text, struct error *err)
{
	static const char *const words[] = { "false", "true", "no", "yes", "off", "on" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcasecmp(text, words[i]) == 0) {
			field_set_int(f, obj, i % 2);
			return 0;
		}
	}
	return error_set(err, CLIENT_ERROR_STATUS, "'%s' is neither true nor false", text);
}

static int
read_float(const struct field *f, void *obj, const char *text, struct error *err)
{
	char *end;
	float value = strtof(text, &end);

	if (end == text || *end || !isfinite(value))
		return error_set(err, CLIENT_ERROR_STATUS, "'%s' is no number", text);
	*(float *)field_member(f, obj) = value;
	return 0;
}

int
field_read(const struct field *f, void *obj, const char *text, bool quoted, struct error *err)
{
	if (f->kind == KIND_STRING) {
		str_set(field_member(f, obj), text);
		return 0;
	}
	if (quoted && (is_integer(text) || f->kind == KIND_BOOL || f->kind == KIND_FLOAT))
		return error_set(err, CLIENT_ERROR_STATUS,
		    "\"%s\" is a string: write it without the quotes", text);
	switch (f->kind) {
	case KIND_BOOL:
		return read_bool(f, obj, text, err);
	case KIND_ENUM:
		return read_enum(f, obj, text, err);
	case KIND_FLOAT:
		return read_float(f, obj, text, err);
	default:
		return read_int(f, obj, text, err);
	}
}
