/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/check.h"

#include <string.h>

#include "proto/utf8.h"

int
check_length(const char *text, size_t min, size_t max, const char *prefix, const char *field,
    struct error *err)
{
	size_t len = strlen(str_or_empty(text));

	if (len < min)
		return error_set(err, 400, "%s.%s: must not be empty", prefix, field);
	if (len > max)
		return error_set(
		    err, 400, "%s.%s: %zu bytes are more than %zu", prefix, field, len, max);
	return 0;
}

int
check_name(const char *text, size_t max, const char *prefix, const char *field, struct error *err)
{
	uint32_t code = 0;

	if (check_length(text, 1, max, prefix, field, err) < 0)
		return -1;
	for (const char *p = text; *p;) {
		size_t n = utf8_char(p, strlen(p), &code);

		if (n == 0 || !utf8_is_space(code))
			return 0;
		p += n;
	}
	return error_set(err, 400, "%s.%s: there are only spaces in it", prefix, field);
}

int
check_range(long long value, long long min, long long max, const char *prefix, const char *field,
    struct error *err)
{
	if (value >= min && value <= max)
		return 0;
	if (min == max)
		return error_set(err, 400, "%s.%s: %lld must be %lld", prefix, field, value, min);
	return error_set(
	    err, 400, "%s.%s: %lld is out of range %lld..%lld", prefix, field, value, min, max);
}

/* What neither a terminal nor an XML document can show. */
static int
check_characters(const char *text, const char *path, struct error *err)
{
	size_t len = strlen(text);

	for (size_t at = 0; at < len;) {
		uint32_t code = 0;
		size_t n = utf8_char(text + at, len - at, &code);

		if (n == 0)
			return error_set(err, 400, "%s: no UTF-8 at byte %zu", path, at);
		if (utf8_is_control(code))
			return error_set(err, 400, "%s: a control character (0x%02x) at byte %zu",
			    path, (unsigned int)code, at);
		if (utf8_is_hidden(code))
			return error_set(err, 400,
			    "%s: an invisible character (U+%04X) at byte %zu", path,
			    (unsigned int)code, at);
		if (code == 0xfffe || code == 0xffff)
			return error_set(err, 400, "%s: U+%04X, which is no character, at byte %zu",
			    path, (unsigned int)code, at);
		at += n;
	}
	return 0;
}

int
check_fields(const struct model *m, const void *obj, const char *prefix, struct error *err)
{
	for (unsigned int i = 0; i < m->n_fields; i++) {
		const struct field *f = &m->fields[i];
		_free_ char *path = xasprintf("%s.%s", prefix, f->name);
		int64_t min, max;
		const char *items;
		size_t n;

		if (f->kind == KIND_STRING) {
			if (check_characters(field_get_string(f, obj), path, err) < 0)
				return -1;
		} else if (f->kind == KIND_ENUM) {
			field_range(f, &min, &max);
			if (check_range(field_get_int(f, obj), min, max, prefix, f->name, err) < 0)
				return -1;
		} else if (f->kind == KIND_STRUCT) {
			if (check_fields(f->sub, field_member(f, obj), path, err) < 0)
				return -1;
		} else if (f->kind == KIND_ARRAY) {
			items = field_items(f, obj, &n);
			for (size_t k = 0; k < n; k++) {
				_free_ char *element = xasprintf("%s[%zu]", path, k);

				if (check_fields(f->sub, items + k * f->sub->size, element, err) <
				    0)
					return -1;
			}
		}
	}
	return 0;
}

int
check_word(const char *text, const char *prefix, const char *field, struct error *err)
{
	for (const char *p = str_or_empty(text); *p; p++) {
		if (!((*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') ||
			(*p >= '0' && *p <= '9') || *p == '_'))
			return error_set(err, 400,
			    "%s.%s: '%s' has other characters than A-Z, a-z, 0-9 and _", prefix,
			    field, text);
	}
	return 0;
}
