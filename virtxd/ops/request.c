/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Query parameters, and the ways to reply. */
#include "ops/request.h"

#include <assert.h>
#include <string.h>

#include "proto/json.h"
#include "proto/problem.h"
#include "proto/shared_text.h"

#define TYPE_JSON    "application/json"
#define TYPE_PROBLEM "application/problem+json"

/* Decodes len bytes of a query (%XX, and '+' as a space); NULL for a bad escape or a NUL. */
static char *
decode(const char *text, size_t len)
{
	char *out = xcalloc(len + 1, 1);
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int hi, lo;

		if (text[i] != '%') {
			out[n++] = text[i] == '+' ? ' ' : text[i];
			continue;
		}
		hi = i + 2 < len ? hex_digit(text[i + 1]) : -1;
		lo = i + 2 < len ? hex_digit(text[i + 2]) : -1;
		if (hi < 0 || lo < 0 || (hi == 0 && lo == 0)) {
			free(out);
			return NULL;
		}
		out[n++] = (char)(hi << 4 | lo);
		i += 2;
	}
	return out;
}

/* The bytes of a parameter's name. */
static size_t
key_length(const char *part)
{
	return strcspn(part, "&=");
}

int
request_next_key(const char **at, char **ret, struct error *err)
{
	const char *part = *at;
	size_t len = strcspn(part, "&"), key_len = key_length(part);

	*ret = decode(part, key_len);
	if (!*ret)
		return error_set(err, 400, "bad percent-encoding in the query parameter '%.*s'",
		    key_len > 64 ? 64 : (int)key_len, part);
	*at = part + len + (part[len] == '&');
	return 0;
}

int
request_query(const struct request *req, const char *name, char **ret, struct error *err)
{
	const char *at = str_or_empty(req->query);

	*ret = NULL;
	while (*at) {
		const char *value = at + key_length(at);
		_free_ char *key = NULL;

		if (request_next_key(&at, &key, err) < 0)
			return -1;
		if (strcmp(key, name) != 0)
			continue;
		value += *value == '=';
		*ret = decode(value, strcspn(value, "&"));
		if (!*ret)
			return error_set(err, 400,
			    "bad percent-encoding in the value of the query parameter '%s'", name);
		return 0;
	}
	return 0;
}

int
request_flag(const struct request *req, const char *name, bool *ret, struct error *err)
{
	_free_ char *text = NULL;

	*ret = false;
	if (request_query(req, name, &text, err) < 0)
		return -1;
	if (!text || str_equal(text, "false") || str_equal(text, "0"))
		return 0;
	if (!str_empty(text) && !str_equal(text, "true") && !str_equal(text, "1"))
		return error_set(err, 400, "%s: '%.64s' is neither true nor false", name, text);
	*ret = true;
	return 0;
}

/* The one way out. body is given away. */
static void
reply(struct request *req, int status, const char *content_type, char *body, size_t len,
    const struct request_header *headers, size_t n_headers)
{
	_free_ char *news = req->news ? req->news(req->news_arg, req) : NULL;
	_free_ char *text = steal_ptr(req->warning);
	_free_ char *warning = text && status / 100 == 2 ? request_warning(text) : NULL;
	_free_ struct request_header *all = NULL;

	assert(!req->replied);
	req->replied = true;
	if (news || warning) {
		all = xcalloc(n_headers + 2, sizeof(*all));
		if (n_headers > 0)
			memcpy(all, headers, n_headers * sizeof(*all));
		headers = all;
	}
	if (news)
		all[n_headers++] = (struct request_header){ REQUEST_NEWS, news };
	if (warning)
		all[n_headers++] = (struct request_header){ "Warning", warning };
	if (warning && status == 204)
		status = 200;
	req->send(req, status, content_type, body, len, headers, n_headers);
}

void
request_reply(struct request *req, int status)
{
	reply(req, status, NULL, NULL, 0, NULL, 0);
}

void
request_reply_model(struct request *req, int status, const struct model *model, const void *obj)
{
	size_t len;
	char *json = json_encode(model, obj, &len);

	reply(req, status, TYPE_JSON, json, len, NULL, 0);
}

void
request_reply_json(struct request *req, int status, char *json, size_t len,
    const struct request_header *headers, size_t n_headers)
{
	reply(req, status, TYPE_JSON, json, len, headers, n_headers);
}

void
request_reply_shared(struct request *req, int status, struct shared_text *text,
    const struct request_header *headers, size_t n_headers)
{
	size_t len = text->len;
	char *copy = NULL;

	if (req->shares) {
		req->shared = text;
	} else {
		copy = xmemdup(text->data, len);
		shared_text_drop(text);
	}
	reply(req, status, TYPE_JSON, copy, len, headers, n_headers);
}

void
request_reply_text(
    struct request *req, int status, const char *content_type, char *text, size_t len)
{
	reply(req, status, content_type, text, len, NULL, 0);
}

void
request_reply_full(struct request *req, int status, const char *content_type, char *body,
    size_t len, const struct request_header *headers, size_t n_headers)
{
	reply(req, status, content_type, body, len, headers, n_headers);
}

void
request_reply_error(struct request *req, const struct error *err)
{
	request_reply_error_full(req, err, NULL, 0);
}

void
request_reply_error_full(struct request *req, const struct error *err,
    const struct request_header *headers, size_t n_headers)
{
	size_t len;
	char *json = problem_encode(err, &len);

	reply(req, err->status, TYPE_PROBLEM, json, len, headers, n_headers);
}

void
request_set_watch(struct request *req, const struct request_watch *watch, void *arg)
{
	req->watch = watch;
	req->watch_arg = arg;
}

void
request_start(struct request *req, int status, const char *content_type, int64_t length,
    const struct request_header *headers, size_t n_headers)
{
	assert(!req->replied);
	req->replied = true;
	req->stream->start(req, status, content_type, length, headers, n_headers);
}

size_t
request_write(struct request *req, const void *data, size_t len)
{
	return req->stream->write(req, data, len);
}

void
request_end(struct request *req, bool whole)
{
	req->stream->end(req, whole);
}

/* A header's quoted text: no control characters, quotes escaped. */
char *
request_warning(const char *text)
{
	_buffer_ struct buffer out = { 0 };

	buffer_printf(&out, "299 VirtX \"");
	for (const char *p = text; *p && out.len < 2048; p++) {
		if (*p == '"' || *p == '\\')
			buffer_add(&out, "\\", 1);
		buffer_add(&out, (unsigned char)*p < ' ' || *p == 0x7f ? " " : p, 1);
	}
	buffer_printf(&out, "\"");
	return buffer_steal(&out, NULL);
}
