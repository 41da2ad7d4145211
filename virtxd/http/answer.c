/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "http/answer.h"

#include <ctype.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "http/headers.h"

#define NAME_MAX_LEN  64
#define VALUE_MAX_LEN 8192
#define DIGITS_MAX    18 /* of a length */

/* The headers that mean something here. */
static const struct {
	const char *name;
	bool passes; /* on to the client */
} known[] = {
	{ "Allow", true },
	{ "ETag", true },
	{ "Location", true },
	{ "Retry-After", true },
	{ "Warning", true },
	{ "X-VirtX-Refused", false },
	{ REQUEST_NEWS, false },
};

/* The bodies that there are; the Go virtx tells its errors as plain text. */
static const struct {
	const char *type, *full;
	bool stream;
} types[] = {
	{ "application/json", "application/json", false },
	{ "application/problem+json", "application/problem+json", false },
	{ "text/plain", "text/plain; charset=utf-8", false },
	{ "text/event-stream", "text/event-stream", true },
};

/* What the headers say about the body. */
struct framing {
	const char *length, *encoding, *type, *coding;
	unsigned int n_length, n_encoding;
};

static int PRINTF(3, 4) wrong(struct error *err, const char *where, const char *fmt, ...)
{
	_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	return error_set(err, 502, "%s %s", where, text);
}

static bool
is_text(const char *value)
{
	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static int
check_header(const struct evkeyval *header, const char *where, struct error *err)
{
	if (strlen(header->key) > NAME_MAX_LEN || !headers_is_token(header->key))
		return wrong(err, where, "sent a header with a bad name");
	if (strlen(header->value) > VALUE_MAX_LEN)
		return wrong(err, where, "sent a %s header that is too long", header->key);
	if (!is_text(header->value))
		return wrong(err, where, "sent a %s header with control characters", header->key);
	/* It must not lead our client elsewhere. */
	if (strcasecmp(header->key, "Location") == 0 &&
	    (header->value[0] != '/' || strpbrk(header->value + 1, "\\ ") ||
		header->value[1] == '/'))
		return wrong(err, where, "sent a Location that is no path");
	return 0;
}

static const char *
known_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (strcasecmp(known[i].name, name) == 0)
			return known[i].name;
	}
	return NULL;
}

static int
read_headers(const struct evhttp_request *http, const char *where, struct framing *framing,
    struct peer_answer *ret, struct error *err)
{
	const struct evkeyval *header;
	unsigned int n = 0;

	TAILQ_FOREACH (header, http->input_headers, next) {
		const char *name = known_name(header->key);

		if (n++ == ANSWER_HEADERS_MAX)
			return wrong(err, where, "sent more than %d headers", ANSWER_HEADERS_MAX);
		if (check_header(header, where, err) < 0)
			return -1;
		if (name)
			ret->headers[ret->n_headers++] =
			    (struct request_header){ name, header->value };
		else if (strcasecmp(header->key, "Content-Length") == 0 && framing->n_length++ == 0)
			framing->length = header->value;
		else if (strcasecmp(header->key, "Transfer-Encoding") == 0 &&
			 framing->n_encoding++ == 0)
			framing->encoding = header->value;
		else if (strcasecmp(header->key, "Content-Type") == 0)
			framing->type = header->value;
		else if (strcasecmp(header->key, "Content-Encoding") == 0)
			framing->coding = header->value;
	}
	return 0;
}

/* Whether all who read this agree about where its body ends. */
static int
read_length(const struct framing *framing, bool bodiless, size_t max, const char *where,
    struct peer_answer *ret, struct error *err)
{
	const char *length = framing->length, *encoding = framing->encoding;

	if (framing->n_length > 1 || framing->n_encoding > 1)
		return wrong(err, where, "sent several %s headers",
		    framing->n_length > 1 ? "Content-Length" : "Transfer-Encoding");
	if (length && encoding)
		return wrong(
		    err, where, "sent both a Content-Length and a Transfer-Encoding header");
	if (encoding && strcasecmp(encoding, "chunked") != 0)
		return wrong(err, where, "sent a Transfer-Encoding that is not 'chunked'");
	if (!length && !encoding && !bodiless)
		return wrong(err, where, "does not say how long its answer is");
	if (!length)
		return 0;
	if (!*length || strlen(length) > DIGITS_MAX ||
	    strspn(length, "0123456789") != strlen(length))
		return wrong(err, where, "sent a Content-Length '%.32s' that is no length", length);
	ret->length = strtoll(length, NULL, 10);
	if (!bodiless && (uint64_t)ret->length > max)
		return wrong(err, where, "sent an answer that is too large: %s bytes", length);
	return 0;
}

static int
read_type(const struct framing *framing, const struct answer_need *need, const char *where,
    struct peer_answer *ret, struct error *err)
{
	const char *type = str_or_empty(framing->type);
	size_t len = strcspn(type, "; \t");

	if (framing->coding && strcasecmp(framing->coding, "identity") != 0)
		return wrong(err, where, "sent a body that is encoded as '%.32s'", framing->coding);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (strlen(types[i].type) == len && strncasecmp(types[i].type, type, len) == 0 &&
		    (!types[i].stream || need->stream)) {
			ret->type = types[i].full;
			return 0;
		}
	}
	return wrong(
	    err, where, "sent a body of type '%.64s', which none of its answers has", type);
}

int
answer_read(const struct evhttp_request *http, const struct answer_need *need, const char *where,
    struct peer_answer *ret, struct error *err)
{
	int status = http->response_code;
	bool bodiless = status == 204 || need->method == METHOD_HEAD;
	struct framing framing = { 0 };

	*ret = (struct peer_answer){ .status = status, .length = -1, .body = "" };
	/* Nothing of ours is elsewhere or not modified, and nobody waits for interim ones. */
	if (status < 200 || status > 599 || status / 100 == 3)
		return wrong(
		    err, where, "answered with status %d, which no answer to this has", status);
	if (read_headers(http, where, &framing, ret, err) < 0 ||
	    read_length(&framing, bodiless, need->max, where, ret, err) < 0)
		return -1;
	if (status == 204 && (framing.encoding || ret->length > 0))
		return wrong(err, where, "answered with status 204 and a body");
	if (ret->length == 0 || (bodiless && !framing.type))
		return 0;
	return read_type(&framing, need, where, ret, err);
}

int
answer_check_body(
    const struct peer_answer *answer, size_t len, const char *where, struct error *err)
{
	if (answer->length >= 0 && (uint64_t)answer->length != len)
		return wrong(err, where, "sent %zu bytes where its answer has %lld", len,
		    (long long)answer->length);
	return 0;
}

const char *
answer_header(const struct peer_answer *answer, const char *name)
{
	for (size_t i = 0; i < answer->n_headers; i++) {
		if (strcasecmp(answer->headers[i].name, name) == 0)
			return answer->headers[i].value;
	}
	return NULL;
}

size_t
answer_pass(const struct peer_answer *answer, struct request_header out[ANSWER_HEADERS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < answer->n_headers; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(known); k++) {
			if (known[k].passes &&
			    strcasecmp(known[k].name, answer->headers[i].name) == 0)
				out[n++] = answer->headers[i];
		}
	}
	return n;
}
