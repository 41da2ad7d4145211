/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/query.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "proto/json.h"
#include "proto/uuid.h"

#define PAGE_MAX 1000000

static int
bad_value(const char *name, const char *text, const char *wanted, struct error *err)
{
	return error_set(err, 400, "query parameter '%s': '%s' is not %s", name, text, wanted);
}

static int
parse_integer(
    const char *name, const char *text, int64_t min, int64_t max, int64_t *ret, struct error *err)
{
	char *end;
	long long value;

	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno || end == text || *end || value < min || value > max) {
		_free_ char *wanted = xasprintf("an integer of %" PRId64 " to %" PRId64, min, max);

		return bad_value(name, text, wanted, err);
	}
	*ret = value;
	return 0;
}

static int
set_field(
    const struct field *field, const char *name, const char *text, char *member, struct error *err)
{
	int64_t value = 0;
	int word;

	switch (field->kind) {
	case KIND_STRING:
		str_set((char **)member, text);
		return 0;
	case KIND_ENUM:
		word = enum_parse(field->words, text);
		if (word < 0)
			return bad_value(name, text, field->words->name, err);
		*(unsigned int *)member = (unsigned int)word;
		return 0;
	case KIND_INT16:
		if (parse_integer(name, text, INT16_MIN, INT16_MAX, &value, err) < 0)
			return -1;
		*(int16_t *)member = (int16_t)value;
		return 0;
	case KIND_INT32:
		if (parse_integer(name, text, INT32_MIN, INT32_MAX, &value, err) < 0)
			return -1;
		*(int32_t *)member = (int32_t)value;
		return 0;
	case KIND_INT64:
		return parse_integer(name, text, INT64_MIN, INT64_MAX, (int64_t *)member, err);
	default:
		return error_set(err, 400, "query parameter '%s' cannot be filtered by", name);
	}
}

/* Finds the member that a dotted name means. */
static const struct field *
find_field(const struct model *model, char *obj, const char *name, char **member)
{
	size_t len = strcspn(name, ".");

	for (unsigned int i = 0; i < model->n_fields; i++) {
		const struct field *field = &model->fields[i];

		if (strlen(field->name) != len || strncmp(field->name, name, len) != 0)
			continue;
		*member = obj + field->offset;
		if (field->kind == KIND_STRUCT)
			return name[len] == '.'
				   ? find_field(field->sub, *member, name + len + 1, member)
				   : NULL;
		return name[len] == '\0' ? field : NULL;
	}
	return NULL;
}

static int
set_parameter(const struct field *filter, char *obj, struct list_page *page, const char *name,
    const char *text, struct error *err)
{
	const struct field *field;
	char *member;
	int64_t value = 0;

	if (strcmp(name, "limit") == 0 || strcmp(name, "offset") == 0) {
		if (parse_integer(name, text, 0, PAGE_MAX, &value, err) < 0)
			return -1;
		*(name[0] == 'l' ? &page->limit : &page->offset) = (size_t)value;
		return 0;
	}
	if (strcmp(name, "name_contains") == 0)
		name = "name";
	else
		page->exact |= strcmp(name, "name") == 0;
	field = find_field(filter->sub, obj + filter->offset, name, &member);
	if (!field)
		return error_set(err, 400, "unknown query parameter '%s'", name);
	return set_field(field, name, text, member, err);
}

/* A VM and a host are filtered by their UUID, in any spelling. */
static int
check_uuids(const struct field *filter, char *obj, struct error *err)
{
	static const char *const names[] = { "vm", "host" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char uuid[UUID_TEXT_SIZE], *member, **text;

		if (!find_field(filter->sub, obj + filter->offset, names[i], &member))
			continue;
		text = (char **)member;
		if (str_empty(*text))
			continue;
		if (uuid_normalize(*text, uuid) < 0)
			return error_set(err, 400, "%s: '%s' is no UUID", names[i], *text);
		str_set(text, uuid);
	}
	return 0;
}

int
query_read(const struct request *req, const struct model *options, void *obj,
    struct list_page *page, struct error *err)
{
	const char *at = str_or_empty(req->query);
	_free_ char *whole = NULL, *contained = NULL;

	if (request_query(req, "name", &whole, err) < 0 ||
	    request_query(req, "name_contains", &contained, err) < 0)
		return -1;
	if (whole && contained)
		return error_set(err, 400, "name and name_contains: only one of them can be given");
	if (json_decode_request(options, req->body, req->body_len, obj, err) < 0)
		return -1;
	while (*at) {
		_free_ char *key = NULL, *text = NULL;

		if (request_next_key(&at, &key, err) < 0)
			return -1;
		if (*key == '\0')
			continue;
		if (request_query(req, key, &text, err) < 0 ||
		    set_parameter(&options->fields[0], obj, page, key, text, err) < 0)
			return -1;
	}
	return check_uuids(&options->fields[0], obj, err);
}
