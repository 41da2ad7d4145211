/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/definition.h"

#include "proto/json.h"
#include "virtx/command.h"

#define DEFINITION_MAX (1024 * 1024) /* more the server would not take */

int
definition_read(const char *file, struct vmdef *def, struct error *err)
{
	_free_ char *text = NULL;
	size_t len;

	text = command_read(file, DEFINITION_MAX, &len, err);
	if (!text)
		return -1;
	if (json_decode(&vmdef_model, text, len, def, err) < 0) {
		err->status = CLIENT_ERROR_STATUS;
		return error_wrap(err, "'%s'", file);
	}
	return 0;
}
