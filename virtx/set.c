/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx set vm. */
#include "proto/model.h"
#include "virtx/definition.h"
#include "virtx/setting.h"
#include "virtx/verbs.h"

#define TRIES 4

static const struct option_row set_vm_options[] = {
	{ 'f', "force", NULL, "drop what it says beside and cannot keep" },
	{ 0 },
};

/* Reads, changes and sends it once. Where nothing is to be changed nothing is sent. */
static int
try_once(struct command_call *call, struct error *err)
{
	struct vm_update_options options = { .force = call->counts['f'] > 0 };
	struct vmdef before = { 0 };
	_free_ char *tag = NULL;
	int rc = definition_fetch(call, &options.vmdef, &tag, err);

	if (rc == 0)
		model_copy(&vmdef_model, &before, &options.vmdef);
	for (size_t i = 0; rc == 0 && i < call->n_more; i++)
		rc = setting_apply(&options.vmdef, call->more[i], err);
	if (rc == 0 && !model_equal(&vmdef_model, &before, &options.vmdef))
		rc = definition_send(call, &options, tag, err);
	model_clear(&vmdef_model, &before);
	model_clear(&vm_update_options_model, &options);
	return rc;
}

static enum command_result
set_vm(struct command_call *call, struct error *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < call->n_more; i++)
		rc = setting_check(call->more[i], err);
	if (rc == 0)
		rc = try_once(call, err);
	/* Another one was quicker: the same of what is there now. */
	for (int i = 1; rc < 0 && error_is(err, ERROR_CHANGED) && i < TRIES; i++)
		rc = try_once(call, err);
	if (rc == 0)
		return COMMAND_OK;
	error_wrap(err, "cannot set vm %s", call->shown[0]);
	return COMMAND_FAILED;
}

const struct command set_vm_command = {
	.words = "set vm",
	.operands = { ARG_VM, ARG_TEXT("FIELD=VALUE") },
	.more = true,
	.options = set_vm_options,
	.summary = "Change fields of the definition of a powered-off VM",
	.help = "FIELD is memory, cpus, custom.NAME, or the path of any field as 'virtx get vm -o "
		"yaml' has it. A custom field with an empty value goes. What others change "
		"meanwhile stays.",
	.examples = "virtx set vm web memory=8G cpus=4\n"
		    "virtx set vm web name=www custom.owner=ann\n"
		    "virtx set vm web cpudef.model=host-model nets[0].model=virtio\n",
	.run = set_vm,
};
