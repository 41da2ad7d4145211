/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "http/headers.h"

#include <ctype.h>
#include <event2/keyvalq_struct.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

/* Does a list such as `wait=10, respond-async` hold the preference? */
static bool
has_preference(const char *list, const char *name)
{
	size_t len = strlen(name);
	const char *p = list;

	while (*p) {
		bool quoted = false;

		p += strspn(p, " \t,");
		if (strncasecmp(p, name, len) == 0 && strchr(" \t,;", p[len]))
			return true;
		for (; *p && (quoted || *p != ','); p++) {
			if (*p == '"')
				quoted = !quoted;
			else if (*p == '\\' && quoted && p[1])
				p++;
		}
	}
	return false;
}

bool
headers_is_token(const char *name)
{
	if (!*name)
		return false;
	for (; *name; name++) {
		if (!isalnum((unsigned char)*name) && !strchr("!#$%&'*+-.^_`|~", *name))
			return false;
	}
	return true;
}

void
headers_read(struct evhttp_request *http, struct headers *h)
{
	struct evkeyval *header;

	*h = (struct headers){ 0 };
	TAILQ_FOREACH (header, evhttp_request_get_input_headers(http), next) {
		const char *name = header->key;

		/* Also "Content-Length :", which evhttp does not take for one. */
		if (!headers_is_token(name))
			h->bad_name = true;
		else if (strcasecmp(name, "Host") == 0 && h->n_host++ == 0)
			h->host = header->value;
		else if (strcasecmp(name, "Origin") == 0 && h->n_origin++ == 0)
			h->origin = header->value;
		else if (strcasecmp(name, "Content-Type") == 0 && h->n_type++ == 0)
			h->type = header->value;
		else if (strcasecmp(name, "Content-Length") == 0 && h->n_length++ == 0)
			h->length = header->value;
		else if (strcasecmp(name, "Transfer-Encoding") == 0 && h->n_encoding++ == 0)
			h->encoding = header->value;
		else if (strcasecmp(name, "X-Forwarded-For") == 0)
			h->forwarded = header->value;
		else if (strcasecmp(name, "Last-Event-ID") == 0)
			h->last_event_id = header->value;
		else if (strcasecmp(name, "If-Match") == 0)
			h->if_match = header->value;
		else if (strcasecmp(name, "Authorization") == 0 && h->n_authorization++ == 0)
			h->authorization = header->value;
		else if (strcasecmp(name, "X-VirtX-Caller") == 0 && h->n_caller++ == 0)
			h->caller = header->value;
		else if (strcasecmp(name, "X-VirtX-Loop") == 0)
			h->looped = true;
		else if (strcasecmp(name, "X-VirtX-Placement") == 0)
			h->placement = header->value;
		else if (strcasecmp(name, "X-VirtX-Placed") == 0)
			h->placed = header->value;
		else if (strcasecmp(name, "X-VirtX-Known") == 0)
			h->known = header->value;
		else if (strcasecmp(name, "Prefer") == 0)
			h->respond_async |= has_preference(header->value, "respond-async");
	}
}

void
headers_wipe_secrets(struct evhttp_request *http)
{
	struct evkeyval *header;

	TAILQ_FOREACH (header, evhttp_request_get_input_headers(http), next) {
		if (strcasecmp(header->key, "Authorization") == 0)
			explicit_bzero(header->value, strlen(header->value));
	}
}

int
headers_check(const struct headers *h, enum evhttp_cmd_type type, bool *close, struct error *err)
{
	bool bodiless = !(type & (EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
				     EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH));

	if (h->bad_name) {
		*close = true;
		return error_set(err, 400, "a header has a bad name");
	}
	if (!h->length && !h->encoding)
		return 0;
	if (h->length && h->encoding) {
		*close = true;
		return error_set(
		    err, 400, "there are both a Content-Length and a Transfer-Encoding header");
	}
	if (h->n_length > 1 || h->n_encoding > 1) {
		*close = true;
		return error_set(err, 400, "there are several %s headers",
		    h->length ? "Content-Length" : "Transfer-Encoding");
	}
	if (h->encoding && strcasecmp(h->encoding, "chunked") != 0) {
		*close = true;
		return error_set(err, 400,
		    "Transfer-Encoding '%.64s' is not supported, only 'chunked' is", h->encoding);
	}
	if (h->length && strspn(h->length, "0123456789") != strlen(h->length)) {
		*close = true;
		return error_set(err, 400, "Content-Length '%.64s' is no number", h->length);
	}
	if (bodiless && (h->encoding || strspn(h->length, "0") != strlen(h->length))) {
		*close = true;
		/* Any other method of these gets its 404 or 405. */
		if (type == EVHTTP_REQ_HEAD)
			return error_set(err, 400, "a HEAD request must not have a body");
	}
	return 0;
}
