/* SPDX-License-Identifier: GPL-2.0-or-later */
#define ERROR_C
#include "proto/error.h"

#include <stdio.h>
#include <string.h>

#include "proto/utf8.h"

/* Takes line ends off the end (tools end their messages with one), and what a cut left of a
 * character. */
static void
tidy(char *text, size_t size)
{
	size_t len = strlen(text);

	for (size_t back = 1; len + 1 == size && back <= 3 && back <= len; back++) {
		const char *last = text + len - back;

		if (((unsigned char)*last & 0xc0) == 0x80)
			continue;
		if (((unsigned char)*last & 0x80) && utf8_char(last, back, NULL) != back)
			len -= back;
		break;
	}
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		len--;
	text[len] = '\0';
}

static void PRINTF(2, 0) set_detail(struct error *err, const char *fmt, va_list ap)
{
	char text[ERROR_DETAIL_MAX];

	/* Not straight into detail: the arguments may point there. */
	vsnprintf(text, sizeof(text), fmt, ap);
	tidy(text, sizeof(text));
	memcpy(err->detail, text, strlen(text) + 1);
}

int
error_set(struct error *err, int status, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return -1;
	va_start(ap, fmt);
	set_detail(err, fmt, ap);
	va_end(ap);
	err->status = status;
	err->type = ERROR_BY_STATUS;
	err->vm[0] = err->host[0] = err->operation[0] = '\0';
	return -1;
}

int
error_set_type(struct error *err, enum error_type type, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return -1;
	va_start(ap, fmt);
	set_detail(err, fmt, ap);
	va_end(ap);
	err->status = error_types[type].status;
	err->type = type;
	err->vm[0] = err->host[0] = err->operation[0] = '\0';
	return -1;
}

int
error_errno(struct error *err, int status, int errnum, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return -1;
	va_start(ap, fmt);
	set_detail(err, fmt, ap);
	va_end(ap);
	return error_set(err, status, "%s: %s", err->detail, strerror(errnum));
}

/* As snprintf into the detail. */
static void PRINTF(2, 3) rewrite_detail(struct error *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set_detail(err, fmt, ap);
	va_end(ap);
}

int
error_wrap(struct error *err, const char *fmt, ...)
{
	_free_ char *context = NULL;
	va_list ap;

	if (!err)
		return -1;
	va_start(ap, fmt);
	context = xvasprintf(fmt, ap);
	va_end(ap);
	rewrite_detail(err, "%s: %s", context, err->detail);
	return -1;
}

void
error_append(struct error *err, const char *fmt, ...)
{
	_free_ char *text = NULL;
	va_list ap;

	if (!err)
		return;
	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	rewrite_detail(err, "%s%s%s", err->detail, err->detail[0] ? "; " : "", text);
}

const char *
error_title(int status)
{
	static const struct {
		int status;
		const char *title;
	} titles[] = {
		{ 200, "OK" },
		{ 201, "Created" },
		{ 202, "Accepted" },
		{ 204, "No Content" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 411, "Length Required" },
		{ 412, "Precondition Failed" },
		{ 413, "Content Too Large" },
		{ 415, "Unsupported Media Type" },
		{ 417, "Expectation Failed" },
		{ 421, "Misdirected Request" },
		{ 422, "Unprocessable Content" },
		{ 424, "Failed Dependency" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 502, "Bad Gateway" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
		{ 507, "Insufficient Storage" },
		{ 508, "Loop Detected" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(titles); i++) {
		if (titles[i].status == status)
			return titles[i].title;
	}
	return "Error";
}
