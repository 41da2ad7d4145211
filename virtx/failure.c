/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/failure.h"

#include "proto/json.h"

const enum failure_code failure_order[FAILURE_CODES] = { FAILURE_OTHER, FAILURE_USAGE,
	FAILURE_UNREACHABLE, FAILURE_NOT_ALLOWED, FAILURE_NOT_FOUND, FAILURE_REFUSED,
	FAILURE_CONFLICT, FAILURE_GOES_ON };

enum failure_code
failure_code(enum command_result result, const struct error *err)
{
	static const struct {
		int status;
		enum failure_code code;
	} codes[] = {
		{ 401, FAILURE_NOT_ALLOWED },
		{ 403, FAILURE_NOT_ALLOWED },
		{ 404, FAILURE_NOT_FOUND },
		{ 409, FAILURE_CONFLICT },
		{ 412, FAILURE_CONFLICT },
		{ 422, FAILURE_REFUSED },
		{ 502, FAILURE_UNREACHABLE },
		{ 503, FAILURE_UNREACHABLE },
		{ 504, FAILURE_GOES_ON },
		{ CLIENT_UNREACHABLE_STATUS, FAILURE_UNREACHABLE },
		{ CLIENT_GOES_ON_STATUS, FAILURE_GOES_ON },
		{ CLIENT_FILE_STATUS, FAILURE_USAGE },
	};

	if (result == COMMAND_OK)
		return FAILURE_NONE;
	if (result == COMMAND_USAGE)
		return FAILURE_USAGE;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (codes[i].status == err->status)
			return codes[i].code;
	return FAILURE_OTHER;
}

static void
add_member(struct buffer *out, const char *name, const char *value)
{
	_free_ char *quoted = json_quote(value);

	if (*value)
		buffer_printf(out, ",\"%s\":%s", name, quoted);
}

void
failure_print(FILE *out, enum failure_code code, const struct error *err, bool json)
{
	_free_ char *plain = writer_safe(err->detail), *safe = NULL;
	_buffer_ struct buffer text = { 0 };

	if (!json) {
		fprintf(out, "virtx: %s\n", plain);
		if (code == FAILURE_USAGE && err->status != CLIENT_FILE_STATUS)
			fprintf(out, "Try 'virtx --help' or 'virtx COMMAND --help'.\n");
		return;
	}
	buffer_printf(
	    &text, "{\"code\":%d,\"status\":%d", (int)code, err->status > 0 ? err->status : 0);
	add_member(&text, "detail", err->detail);
	add_member(&text, "vm", err->vm);
	add_member(&text, "host", err->host);
	add_member(&text, "operation", err->operation);
	safe = writer_safe_json(text.data);
	fprintf(out, "%s}\n", safe);
}
