/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/answer.h"

#include <string.h>
#include <strings.h>

#include "proto/json.h"
#include "proto/problem.h"
#include "proto/uuid.h"

void
answer_clear(struct answer *answer)
{
	free(answer->location);
	free(answer->etag);
	free(answer->type);
	free(answer->body);
	*answer = (struct answer){ 0 };
}

/* The type of what a route answers where it does. */
static const char *
route_type(enum route_id id)
{
	switch (id) {
	case ROUTE_EVENTS:
		return "text/event-stream";
	case ROUTE_METRICS:
	case ROUTE_HEALTHZ:
		return "text/plain";
	default:
		return "application/json";
	}
}

bool
answer_is_of_type(const char *text, enum route_id id)
{
	const char *type = route_type(id);
	size_t len = strlen(type);

	return str_empty(text) || (!strncasecmp(text, type, len) && strchr("; \t", text[len]));
}

/* What the server says of a failure. The page of a proxy, which is for a browser, says no more than
 * its status. */
static int
server_error(const struct answer *answer, struct error *err)
{
	static const char page[] = "text/html";
	bool is_page = strncasecmp(str_or_empty(answer->type), page, strlen(page)) == 0;

	*err = (struct error){ 0 };
	problem_decode(err, answer->status, answer->body, is_page ? 0 : answer->len);
	if (!err->detail[0])
		error_set(err, answer->status, "%s", error_title(answer->status));
	if (err->operation[0])
		error_append(err, "operation '%s'", err->operation);
	error_wrap(err, "%d", answer->status);
	err->status = answer->status;
	return -1;
}

/* Where work that goes on is to be followed. A Go virtx names no operation. */
static int
read_operation(struct answer *answer, struct error *err)
{
	static const char prefix[] = "/operations/";
	size_t len = strlen(prefix);

	if (answer->status != 202 || !answer->location)
		return 0;
	if (strncmp(answer->location, prefix, len) == 0 &&
	    uuid_normalize(answer->location + len, answer->operation) == 0)
		return 0;
	return error_set(err, CLIENT_ERROR_STATUS,
	    "the answer is no success of virtxd: its Location is '%s' instead of "
	    "'/operations/UUID', so that nothing tells what becomes of the request",
	    answer->location);
}

/* Whether the status is what this call has when it is well. */
static bool
is_success(const struct answer *answer, enum route_id id, int wanted)
{
	static const struct {
		enum route_id id;
		int status;
	} also[] = {
		{ ROUTE_VM_SHUTDOWN, 204 }, /* it was off */
		{ ROUTE_VM_REGISTER, 201 }, { ROUTE_VM_REGISTER, 202 },
		{ ROUTE_VM_REGISTER, 204 }, /* a Go virtx had nothing to do */
	};
	int status = answer->status;

	if (status == 202 && wanted != 202 && !answer->operation[0])
		return false;
	if (status == 200 && wanted != 200 && answer->warned)
		status = 204;
	for (size_t i = 0; i < ARRAY_SIZE(also); i++) {
		if (also[i].id == id && also[i].status == status)
			return true;
	}
	/* Any work may be put off; what is wanted to be told comes with a 200. */
	return status == wanted || (status == 202 && wanted != 200 && routes[id].op);
}

int
answer_check(struct answer *answer, enum route_id id, int wanted, struct error *err)
{
	if ((answer->status < 200 || answer->status > 299) && answer->status != wanted)
		return server_error(answer, err);
	if (!answer_is_of_type(answer->type, id))
		return error_set(err, CLIENT_ERROR_STATUS,
		    "the answer is no success of virtxd: status %d with %zu bytes of '%s' instead "
		    "of '%s'",
		    answer->status, answer->len, answer->type, route_type(id));
	if (read_operation(answer, err) < 0)
		return -1;
	if (is_success(answer, id, wanted))
		return 0;
	return error_set(err, CLIENT_ERROR_STATUS,
	    "the answer is no success of virtxd: status %d with %zu bytes instead of %d",
	    answer->status, answer->len, wanted);
}

int
answer_decode(
    const struct answer *answer, const struct model *model, void *reply, struct error *err)
{
	if (answer->len == 0)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "the server's answer is empty (status %d)", answer->status);
	if (json_decode(model, answer->body, answer->len, reply, err) < 0) {
		err->status = CLIENT_ERROR_STATUS;
		return error_wrap(err, "the server's answer");
	}
	return 0;
}
