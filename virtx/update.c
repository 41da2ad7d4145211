/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx update vm. */
#include "proto/model.h"
#include "virtx/definition.h"
#include "virtx/operation.h"
#include "virtx/verbs.h"

static const struct option_row update_vm_options[] = {
	{ 's', "storage", NULL, "delete the managed disks that the new definition has no more" },
	{ 'f', "force", NULL, "drop what it says beside and cannot keep; send unknown keys" },
	DEFINITION_OPTIONS,
	{ 0 },
};

static enum command_result
update_vm(struct command_call *call, struct error *err)
{
	struct vm_update_options options = {
		.deletestorage = call->counts['s'] > 0,
		.force = call->counts['f'] > 0,
	};
	_unknown_ struct unknown_list unknown = { 0 };
	_free_ char *body = NULL;
	struct client client;
	int rc = definition_read(call, call->operands[1], &options.vmdef, &unknown, err);

	if (rc == 0) {
		client =
		    definition_client(call, &unknown, &vm_update_options_model, &options, &body);
		rc = operation_call(
		    &client, ROUTE_VM_UPDATE, call->operands[0], &options, true, NULL, NULL, err);
	}
	if (rc < 0)
		error_wrap(err, "cannot update vm %s", call->shown[0]);
	model_clear(&vm_update_options_model, &options);
	return rc < 0 ? COMMAND_FAILED : COMMAND_OK;
}

const struct command update_vm_command = {
	.words = "update vm",
	.operands = { ARG_VM, ARG_FILE },
	.options = update_vm_options,
	.summary = "Give a powered-off VM a new definition",
	.help = DEFINITION_HELP,
	.examples = "virtx get vm -o yaml web > web.yaml\n"
		    "virtx update vm web web.yaml\n",
	.run = update_vm,
};
