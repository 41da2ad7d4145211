/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads a definition as a person writes it; what was read must survive being printed and read
 * again, and what is sent with unknown keys in it must be read by the server as what is known. */
#include <string.h>

#include "proto/json.h"
#include "proto/model.h"
#include "virtx/answer.h"
#include "virtx/yaml.h"
#include "virtx/yaml_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
round_trip(const struct vmdef *def)
{
	_free_ char *text = yaml_encode(&vmdef_model, def);
	const struct yaml_text yaml = { .data = text, .len = strlen(text) };
	struct vmdef again = { 0 };
	struct error err;

	/* libyaml takes no raw control characters, which the writer makes escapes of. */
	if (yaml_decode(&yaml, &vmdef_model, &again, &err) == 0 &&
	    !model_equal(&vmdef_model, def, &again))
		abort();
	model_clear(&vmdef_model, &again);
}

static void
try_unknown(const struct yaml_text *given)
{
	_unknown_ struct unknown_list unknown = { 0 };
	struct yaml_text text = *given;
	struct vm_update_options options = { 0 }, again = { 0 };
	_free_ char *json = NULL;
	struct error err;

	text.unknown = &unknown;
	if (yaml_decode(&text, &vmdef_model, &options.vmdef, &err) < 0)
		return;
	json = unknown_encode(&unknown, &vm_update_options_model, &options);
	/* The server reads all that is known, or refuses what is nested too deeply for it. */
	if (json_decode(&vm_update_options_model, json, strlen(json), &again, &err) == 0 &&
	    !model_equal(&vm_update_options_model, &options, &again))
		abort();
	model_clear(&vm_update_options_model, &options);
	model_clear(&vm_update_options_model, &again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A block of its own size, so that a read past its end is seen. */
	_free_ char *copy = xcalloc(size + 1, 1);
	struct yaml_text text = { .data = copy, .len = size };
	struct vmdef def = { 0 };
	struct error err = { 0 };

	memcpy(copy, data, size);
	if (yaml_has_key(copy, size, "def"))
		text.under = "def";
	if (yaml_decode(&text, &vmdef_model, &def, &err) == 0)
		round_trip(&def);
	else if (err.status != CLIENT_ERROR_STATUS || !err.detail[0])
		abort();
	model_clear(&vmdef_model, &def);
	try_unknown(&text);
	return 0;
}
