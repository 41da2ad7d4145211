/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/definition.h"

#include "proto/json.h"

#define DEFINITION_MAX (1024 * 1024) /* more the server would not take */

/* Documents that have a definition in them are taken for one easily. */
static const char *
definition_key(const char *text, size_t len)
{
	struct vm_create_options options = { 0 };
	struct vm vm = { 0 };
	const char *key = NULL;
	struct error ignored;

	if (json_decode(&vm_model, text, len, &vm, &ignored) == 0 && !str_empty(vm.def.name))
		key = "def";
	else if (json_decode(&vm_create_options_model, text, len, &options, &ignored) == 0 &&
		 !str_empty(options.vmdef.name))
		key = "vmdef";
	model_clear(&vm_model, &vm);
	model_clear(&vm_create_options_model, &options);
	return key;
}

static int
set_ha(const struct command_call *call, struct vmdef *def, struct error *err)
{
	_free_ char *order = NULL;
	int policy;
	long n;

	if (command_enum(call, 'a', &policy, err) < 0 ||
	    command_number(call, 'O', 1, 9, &n, err) < 0)
		return -1;
	if (call->values['a'])
		ha_set(def, HA_POLICY, enum_word(&ha_policy_enum, policy));
	if (n) {
		order = xasprintf("%ld", n);
		ha_set(def, HA_ORDER, order);
	}
	return 0;
}

int
definition_read(
    const struct command_call *call, const char *file, struct vmdef *def, struct error *err)
{
	static const struct vmdef none = { 0 };
	_free_ char *text = NULL;
	const char *key;
	size_t len;

	text = command_read(file, DEFINITION_MAX, &len, err);
	if (!text)
		return -1;
	if (json_decode_exact(&vmdef_model, text, len, def, err) < 0) {
		err->status = CLIENT_ERROR_STATUS;
		key = definition_key(text, len);
		if (key)
			return error_set(err, CLIENT_ERROR_STATUS,
			    "'%s' is not a definition, but has one under the key '%s': take that "
			    "alone (jq .%s)",
			    file, key, key);
		return error_wrap(err, "'%s'", file);
	}
	if (model_equal(&vmdef_model, def, &none))
		return error_set(
		    err, CLIENT_ERROR_STATUS, "'%s': the definition says nothing", file);
	return set_ha(call, def, err);
}
