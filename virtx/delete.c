/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx delete vm. */
#include "proto/model.h"
#include "virtx/operation.h"
#include "virtx/verbs.h"

static const struct option_row delete_vm_options[] = {
	{ 's', "storage", NULL, "delete its managed disks, too" },
	{ 0 },
};

static enum command_result
delete_vm(struct command_call *call, struct error *err)
{
	struct vm_delete_options options = { .deletestorage = call->counts['s'] > 0 };

	return operation_call_vm(call, ROUTE_VM_DELETE, &options, true, "cannot delete vm", err);
}

const struct command delete_vm_command = {
	.words = "delete vm",
	.operands = { ARG_VM },
	.options = delete_vm_options,
	.summary = "Delete a powered-off VM",
	.examples = "virtx delete vm -s web\n",
	.run = delete_vm,
};
