/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/yaml_read.h"

#include <string.h>
#include <yaml.h>

#include "proto/json.h"
#include "virtx/answer.h"
#include "virtx/field_text.h"

#define DEPTH_MAX    16
#define ELEMENTS_MAX 100000

struct reader {
	yaml_parser_t parser;
	yaml_event_t event; /* the one that was read last */
	unsigned int depth; /* of the mappings and lists that are open */
	const char *data;   /* for the line of what is no UTF-8 */
	size_t len;
	struct unknown_list *unknown; /* NULL: none may be */
	size_t under;		      /* bytes of a path that name what is read, and no field */
	struct error *err;
};

/* Where the reader stands: a key of a mapping, or an element of a list. */
struct place {
	const struct place *up; /* NULL at the top */
	const char *key;	/* NULL for an element */
	size_t index;
};

static void
add_path(const struct place *at, struct buffer *out)
{
	if (!at)
		return;
	add_path(at->up, out);
	if (at->key)
		buffer_printf(out, "%s%s", out->len ? "." : "", at->key);
	else
		buffer_printf(out, "[%zu]", at->index);
}

/* Of the last event, from 1. */
static size_t
line_of(const struct reader *r)
{
	return r->event.start_mark.line + 1;
}

static int PRINTF(4, 5)
    refuse_at(struct reader *r, size_t line, const struct place *at, const char *fmt, ...)
{
	_buffer_ struct buffer path = { 0 };
	_free_ char *text = NULL;
	va_list ap;

	add_path(at, &path);
	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	return error_set(r->err, CLIENT_ERROR_STATUS, "line %zu: %s: %s", line,
	    path.len ? path.data : "the document", text);
}

/* libyaml's own words. */
static int
refuse_syntax(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	const char *problem = p->problem ? p->problem : "no memory";
	size_t line = p->problem_mark.line + 1;

	if (p->error == YAML_READER_ERROR) {
		line = 1;
		for (size_t i = 0; i < p->problem_offset && i < r->len; i++)
			line += r->data[i] == '\n';
	}
	return error_set(r->err, CLIENT_ERROR_STATUS, "line %zu: no YAML or JSON: %s%s%s", line,
	    problem, p->context ? " " : "", p->context ? p->context : "");
}

/* Keeps count of what is open. */
static int
count_depth(struct reader *r, const struct place *at)
{
	switch (r->event.type) {
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		r->depth--;
		return 0;
	case YAML_MAPPING_START_EVENT:
	case YAML_SEQUENCE_START_EVENT:
		if (++r->depth > DEPTH_MAX)
			return refuse_at(
			    r, line_of(r), at, "nested deeper than %d levels", DEPTH_MAX);
		return 0;
	default:
		return 0;
	}
}

/* What there is no use for. */
static int
refuse_extras(struct reader *r, const struct place *at)
{
	const yaml_char_t *tag = NULL, *anchor = NULL;

	switch (r->event.type) {
	case YAML_SCALAR_EVENT:
		tag = r->event.data.scalar.tag;
		anchor = r->event.data.scalar.anchor;
		break;
	case YAML_MAPPING_START_EVENT:
		tag = r->event.data.mapping_start.tag;
		anchor = r->event.data.mapping_start.anchor;
		break;
	case YAML_SEQUENCE_START_EVENT:
		tag = r->event.data.sequence_start.tag;
		anchor = r->event.data.sequence_start.anchor;
		break;
	case YAML_ALIAS_EVENT:
		anchor = r->event.data.alias.anchor;
		break;
	default:
		return 0;
	}
	if (anchor)
		return refuse_at(r, line_of(r), at,
		    "the anchor '%s': neither anchors nor aliases are taken, write it out", anchor);
	return tag ? refuse_at(r, line_of(r), at, "the tag '%s': tags are not taken", tag) : 0;
}

static int
next_event(struct reader *r, const struct place *at)
{
	yaml_event_delete(&r->event);
	if (!yaml_parser_parse(&r->parser, &r->event))
		return refuse_syntax(r);
	return refuse_extras(r, at) < 0 ? -1 : count_depth(r, at);
}

static bool
is_plain(const struct reader *r)
{
	return r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static const char *
scalar(const struct reader *r)
{
	return (const char *)r->event.data.scalar.value;
}

static bool
is_null(const struct reader *r)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL" };

	if (r->event.type != YAML_SCALAR_EVENT || !is_plain(r))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(scalar(r), words[i]) == 0)
			return true;
	return false;
}

static const char *
got_word(const struct reader *r)
{
	switch (r->event.type) {
	case YAML_SCALAR_EVENT:
		return "one value";
	case YAML_SEQUENCE_START_EVENT:
		return "a list";
	default:
		return "keys with values";
	}
}

/* Passes over the value that the last event begins. */
static int
skip(struct reader *r, const struct place *at)
{
	bool opens = r->event.type != YAML_SCALAR_EVENT;
	unsigned int depth = r->depth;

	while (opens && r->depth >= depth)
		if (next_event(r, at) < 0)
			return -1;
	return 0;
}

/* The key that comes next: 1, 0 at the end of the mapping, or -1. */
static int
next_key(struct reader *r, const struct place *up)
{
	if (next_event(r, up) < 0)
		return -1;
	if (r->event.type == YAML_MAPPING_END_EVENT)
		return 0;
	if (r->event.type != YAML_SCALAR_EVENT)
		return refuse_at(r, line_of(r), up, "a key is one word, not %s", got_word(r));
	if (strlen(scalar(r)) != r->event.data.scalar.length)
		return refuse_at(r, line_of(r), up, "a key with a NUL in it");
	return 1;
}

/* Whether JSON has a scalar as it stands, and not as a string. */
static bool
is_bare(const struct reader *r)
{
	static const char *const words[] = { "true", "false", "null" };
	const char *p = scalar(r);
	size_t n;

	if (!is_plain(r))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(p, words[i]) == 0)
			return true;
	p += *p == '-';
	n = strspn(p, "0123456789");
	if (n == 0 || (n > 1 && *p == '0'))
		return false;
	p += n;
	if (*p == '.') {
		n = strspn(p + 1, "0123456789");
		p += n > 0 ? n + 1 : 0;
	}
	return *p == '\0';
}

/* Adds the value that the last event begins to out, as JSON, and goes on to its end. */
static int
copy_value(struct reader *r, const struct place *at, struct buffer *out)
{
	bool mapping = r->event.type == YAML_MAPPING_START_EVENT;
	_free_ char *quoted = NULL;
	int rc;

	if (r->event.type == YAML_SCALAR_EVENT) {
		if (strlen(scalar(r)) != r->event.data.scalar.length)
			return refuse_at(r, line_of(r), at, "a string with a NUL in it");
		quoted = is_bare(r) ? xstrdup(scalar(r)) : json_quote(scalar(r));
		buffer_printf(out, "%s", is_null(r) ? "null" : quoted);
		return 0;
	}
	buffer_printf(out, "%s", mapping ? "{" : "[");
	for (size_t i = 0;; i++) {
		rc = mapping ? next_key(r, at) : next_event(r, at);
		if (rc < 0)
			return -1;
		if (mapping ? rc == 0 : r->event.type == YAML_SEQUENCE_END_EVENT)
			break;
		buffer_printf(out, "%s", i ? "," : "");
		if (mapping) {
			free(quoted);
			quoted = json_quote(scalar(r));
			buffer_printf(out, "%s:", quoted);
			if (next_event(r, at) < 0)
				return -1;
		}
		if (copy_value(r, at, out) < 0)
			return -1;
	}
	buffer_printf(out, "%s", mapping ? "}" : "]");
	return 0;
}

/* Keeps an unknown key, of which the value is next, for the server. */
static int
keep_unknown(struct reader *r, const struct place *at)
{
	_buffer_ struct buffer path = { 0 }, json = { 0 };
	_free_ char *key = xstrdup(scalar(r));
	const char *own = "";
	struct unknown *item;

	if (r->unknown->n == UNKNOWN_MAX)
		return refuse_at(r, line_of(r), at, "more than %d unknown keys", UNKNOWN_MAX);
	add_path(at, &path);
	if (path.len > r->under)
		own = path.data + r->under + (r->under > 0);
	if (next_event(r, at) < 0 || copy_value(r, at, &json) < 0)
		return -1;
	item = model_append(&r->unknown->items, &r->unknown->n);
	*item = (struct unknown){
		.path = xstrdup(own), .key = steal_ptr(key), .json = buffer_steal(&json, NULL)
	};
	return 0;
}

static int read_mapping(struct reader *r, const struct place *at, const struct model *m, void *obj);

/* The elements, which are zero where they are null. */
static int
read_list(struct reader *r, const struct place *at, const struct field *f, void *obj)
{
	struct place here = { .up = at };

	for (;; here.index++) {
		void *element;

		if (next_event(r, &here) < 0)
			return -1;
		if (r->event.type == YAML_SEQUENCE_END_EVENT)
			return 0;
		if (here.index >= ELEMENTS_MAX)
			return refuse_at(r, line_of(r), at, "more than %d elements", ELEMENTS_MAX);
		element = field_append(f, obj);
		if (!is_null(r) && read_mapping(r, &here, f->sub, element) < 0)
			return -1;
	}
}

static int
read_scalar(struct reader *r, const struct place *at, const struct field *f, void *obj)
{
	size_t line = line_of(r);

	if (r->event.type != YAML_SCALAR_EVENT)
		return refuse_at(r, line, at, "one value belongs here, not %s", got_word(r));
	if (is_null(r))
		return 0;
	if (strlen(scalar(r)) != r->event.data.scalar.length)
		return refuse_at(r, line, at, "a string with a NUL in it");
	if (field_read(f, obj, scalar(r), !is_plain(r), r->err) < 0) {
		_free_ char *why = xstrdup(r->err->detail);

		return refuse_at(r, line, at, "%s", why);
	}
	return 0;
}

static int
read_value(struct reader *r, const struct place *at, const struct field *f, void *obj)
{
	switch (f->kind) {
	case KIND_STRUCT:
		return is_null(r) ? 0 : read_mapping(r, at, f->sub, field_member(f, obj));
	case KIND_ARRAY:
		if (is_null(r))
			return 0;
		if (r->event.type != YAML_SEQUENCE_START_EVENT)
			return refuse_at(
			    r, line_of(r), at, "a list belongs here, not %s", got_word(r));
		return read_list(r, at, f, obj);
	default:
		return read_scalar(r, at, f, obj);
	}
}

static int
unknown_key(struct reader *r, const struct place *up, const struct model *m)
{
	_buffer_ struct buffer names = { 0 };
	const char *key = scalar(r), *nearest = model_nearest(m, key);

	if (nearest)
		return refuse_at(
		    r, line_of(r), up, "unknown key '%s', did you mean '%s'?", key, nearest);
	for (unsigned int i = 0; i < m->n_fields; i++)
		buffer_printf(&names, "%s%s", i ? ", " : "", m->fields[i].name);
	return refuse_at(r, line_of(r), up, "unknown key '%s'; there are %s", key, names.data);
}

static const struct field *
find_field(const struct model *m, const char *name)
{
	for (unsigned int i = 0; i < m->n_fields; i++)
		if (strcmp(m->fields[i].name, name) == 0)
			return &m->fields[i];
	return NULL;
}

static int
read_mapping(struct reader *r, const struct place *at, const struct model *m, void *obj)
{
	uint64_t seen = 0;
	int rc;

	if (r->event.type != YAML_MAPPING_START_EVENT)
		return refuse_at(
		    r, line_of(r), at, "keys with values belong here, not %s", got_word(r));
	while ((rc = next_key(r, at)) > 0) {
		const struct field *f = find_field(m, scalar(r));
		struct place here = { .up = at, .key = f ? f->name : "$" };
		uint64_t bit = f ? UINT64_C(1) << (f - m->fields) : 0;

		if (!f && scalar(r)[0] != '$' && r->unknown) {
			if (keep_unknown(r, at) < 0)
				return -1;
			continue;
		}
		if (!f && scalar(r)[0] != '$')
			return unknown_key(r, at, m);
		if (seen & bit)
			return refuse_at(r, line_of(r), &here, "the key is there twice");
		seen |= bit;
		if (next_event(r, &here) < 0)
			return -1;
		if ((f ? read_value(r, &here, f, obj) : skip(r, &here)) < 0)
			return -1;
	}
	return rc;
}

/* From the mapping at the top to the value of one of its keys: 1, 0 where there is none, or -1. */
static int
go_under(struct reader *r, const char *key)
{
	const struct place here = { .key = key };
	int rc;

	if (r->event.type != YAML_MAPPING_START_EVENT)
		return 0;
	while ((rc = next_key(r, NULL)) > 0) {
		bool found = strcmp(scalar(r), key) == 0;

		if (next_event(r, &here) < 0)
			return -1;
		if (found)
			return 1;
		if (skip(r, &here) < 0)
			return -1;
	}
	return rc;
}

/* To the first event of the document: 1, 0 where there is none, or -1. */
static int
begin(struct reader *r)
{
	do {
		if (next_event(r, NULL) < 0)
			return -1;
	} while (
	    r->event.type == YAML_STREAM_START_EVENT || r->event.type == YAML_DOCUMENT_START_EVENT);
	return r->event.type != YAML_STREAM_END_EVENT && !is_null(r);
}

/* From the value of this key of the mapping at the top to the end of the mapping. */
static int
leave(struct reader *r, const char *key)
{
	const struct place here = { .key = key };
	int rc;

	while ((rc = next_key(r, NULL)) > 0) {
		if (strcmp(scalar(r), key) == 0)
			return refuse_at(r, line_of(r), &here, "the key is there twice");
		if (next_event(r, &here) < 0 || skip(r, &here) < 0)
			return -1;
	}
	return rc;
}

/* What follows the document has to be nothing. */
static int
finish(struct reader *r)
{
	while (r->event.type != YAML_STREAM_END_EVENT) {
		if (next_event(r, NULL) < 0)
			return -1;
		if (r->event.type == YAML_DOCUMENT_START_EVENT)
			return refuse_at(r, line_of(r), NULL, "a second one begins here");
	}
	return 0;
}

/* The number of an escape as JSON has it, 0 for none. */
static unsigned int
escape(const char *data, const char *end)
{
	unsigned int code = 0;

	if (end - data < 6 || data[0] != '\\' || data[1] != 'u')
		return 0;
	for (size_t i = 2; i < 6; i++) {
		int digit = hex_digit(data[i]);

		if (digit < 0)
			return 0;
		code = code << 4 | (unsigned int)digit;
	}
	return code;
}

/*
 * A copy in which a pair of surrogates, by which JSON writes what lies past U+FFFF, is the
 * character: libyaml takes none. An escape stands in a string with double quotes alone; elsewhere a
 * backslash with such digits behind it is nothing that anybody writes.
 */
static char *
join_surrogates(const char *data, size_t len, size_t *ret_len)
{
	char *out = xmemdup(data, len), *to = out;
	const char *end = data + len;

	while (data < end) {
		unsigned int high = escape(data, end), low = high ? escape(data + 6, end) : 0;

		if (high >= 0xd800 && high <= 0xdbff && low >= 0xdc00 && low <= 0xdfff) {
			unsigned int code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);

			*to++ = (char)(0xf0 | code >> 18);
			*to++ = (char)(0x80 | (code >> 12 & 0x3f));
			*to++ = (char)(0x80 | (code >> 6 & 0x3f));
			*to++ = (char)(0x80 | (code & 0x3f));
			data += 12;
		} else {
			/* Of two backslashes the second escapes nothing. */
			if (*data == '\\' && end - data > 1)
				*to++ = *data++;
			*to++ = *data++;
		}
	}
	*ret_len = (size_t)(to - out);
	return out;
}

static void
open_reader(struct reader *r)
{
	static const char bom[] = "\xef\xbb\xbf"; /* some editors begin a file so */
	size_t skip = strlen(bom);

	/* libyaml takes it away only where it has to find out the encoding. */
	if (r->len >= skip && memcmp(r->data, bom, skip) == 0) {
		r->data += skip;
		r->len -= skip;
	}
	if (!yaml_parser_initialize(&r->parser))
		abort();
	yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r->parser, (const unsigned char *)r->data, r->len);
}

static void
close_reader(struct reader *r)
{
	yaml_event_delete(&r->event);
	yaml_parser_delete(&r->parser);
}

bool
yaml_has_key(const char *data, size_t len, const char *key)
{
	_free_ char *copy = NULL;
	struct error ignored = { 0 };
	struct reader r = { .err = &ignored };
	bool found;

	r.data = copy = join_surrogates(data, len, &r.len);
	open_reader(&r);
	found = begin(&r) > 0 && go_under(&r, key) > 0;
	close_reader(&r);
	return found;
}

int
yaml_decode(const struct yaml_text *text, const struct model *m, void *obj, struct error *err)
{
	_free_ char *copy = NULL;
	struct reader r = { .err = err, .unknown = text->unknown };
	int rc;

	r.data = copy = join_surrogates(text->data, text->len, &r.len);
	open_reader(&r);
	rc = begin(&r);
	if (rc > 0 && text->under)
		rc = go_under(&r, text->under);
	if (rc > 0) {
		const struct place under = { .key = text->under };

		r.under = text->under ? strlen(text->under) : 0;
		rc = read_mapping(&r, text->under ? &under : NULL, m, obj);
		if (rc == 0 && text->under)
			rc = leave(&r, text->under);
	}
	if (rc == 0 && r.event.type != YAML_STREAM_END_EVENT)
		rc = finish(&r);
	close_reader(&r);
	if (rc < 0)
		model_clear(m, obj);
	return rc;
}
