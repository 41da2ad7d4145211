/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/definition.h"

#include "virtx/operation.h"
#include "virtx/yaml_read.h"

#define DEFINITION_MAX (1024 * 1024) /* more the server would not take */

static int
set_ha(const struct command_call *call, struct vmdef *def, struct error *err)
{
	_free_ char *order = NULL;
	int policy;
	long n;

	if (command_enum(call, 'a', &policy, err) < 0 ||
	    command_number(call, 'O', 1, 9, &n, err) < 0) {
		err->status = CLIENT_FILE_STATUS;
		return -1;
	}
	if (call->values['a'])
		ha_set(def, HA_POLICY, enum_word(&ha_policy_enum, policy));
	if (n) {
		order = xasprintf("%ld", n);
		ha_set(def, HA_ORDER, order);
	}
	return 0;
}

int
definition_read_file(
    const char *file, struct vmdef *def, struct unknown_list *unknown, struct error *err)
{
	static const struct vmdef none = { 0 };
	_free_ char *text = NULL;
	struct yaml_text yaml = { .unknown = unknown };

	text = command_read(file, DEFINITION_MAX, &yaml.len, err);
	if (!text)
		return -1;
	yaml.data = text;
	/* All that 'get vm' tells of a VM has the definition in it. */
	if (yaml_has_key(text, yaml.len, "def"))
		yaml.under = "def";
	if (yaml_decode(&yaml, &vmdef_model, def, err) < 0) {
		if (yaml_has_key(text, yaml.len, "vmdef"))
			error_set(err, CLIENT_FILE_STATUS,
			    "it is no definition, but has one under the key 'vmdef': take that "
			    "alone");
		err->status = CLIENT_FILE_STATUS;
		return error_wrap(err, "'%s'", file);
	}
	if (model_equal(&vmdef_model, def, &none) && (!unknown || unknown->n == 0))
		return error_set(
		    err, CLIENT_FILE_STATUS, "'%s': the definition says nothing", file);
	return 0;
}

int
definition_read(const struct command_call *call, const char *file, struct vmdef *def,
    struct unknown_list *unknown, struct error *err)
{
	bool force = call->counts['f'] > 0;

	if (definition_read_file(file, def, force ? unknown : NULL, err) < 0)
		return -1;
	return set_ha(call, def, err);
}

struct client
definition_client(const struct command_call *call, const struct unknown_list *unknown,
    const struct model *m, const void *options, char **body)
{
	struct client client = *call->client;

	*body = unknown->n > 0 ? unknown_encode(unknown, m, options) : NULL;
	client.body = *body;
	return client;
}

int
definition_fetch(const struct command_call *call, struct vmdef *def, char **tag, struct error *err)
{
	static const struct vmdef none = { 0 };
	_answer_ struct answer answer = { 0 };
	struct vm vm = { 0 };

	if (client_call(call->client, ROUTE_VM_GET, call->operands[0], NULL, &answer, err) < 0 ||
	    answer_decode(&answer, &vm_model, &vm, err) < 0)
		return -1;
	/* Whoever changes a field of nothing would send nothing but that field. */
	if (model_equal(&vmdef_model, &vm.def, &none)) {
		model_clear(&vm_model, &vm);
		return error_set(err, CLIENT_ERROR_STATUS,
		    "the server's answer: VM '%s' has no definition", call->operands[0]);
	}
	*tag = steal_ptr(answer.etag);
	*def = vm.def;
	vm.def = (struct vmdef){ 0 };
	model_clear(&vm_model, &vm);
	return 0;
}

int
definition_send(const struct command_call *call, const struct vm_update_options *options,
    const char *tag, struct error *err)
{
	struct client client = *call->client;

	client.if_match = tag;
	return operation_call(
	    &client, ROUTE_VM_UPDATE, call->operands[0], options, true, NULL, NULL, err);
}
