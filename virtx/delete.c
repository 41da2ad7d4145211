/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx delete vm. */
#include "proto/model.h"
#include "virtx/operation.h"
#include "virtx/several.h"
#include "virtx/verbs.h"

static const struct option_row delete_vm_options[] = {
	{ 's', "storage", NULL, "delete its managed disks, too" },
	SEVERAL_ROWS,
	SEVERAL_ROW_YES,
	{ 0 },
};

static enum command_result
delete_vm(struct command_call *call, struct error *err)
{
	struct vm_delete_options options = { .deletestorage = call->counts['s'] > 0 };

	return operation_call_vm(call, ROUTE_VM_DELETE, &options, true, "cannot delete vm", err);
}

static const char *
delete_vm_done(const struct command_call *call)
{
	return "deleted";
}

static const char *
delete_vm_danger(const struct command_call *call)
{
	return call->counts['s'] > 0 ? "Delete with their managed disks" : "Delete";
}

static const struct several delete_vm_several = {
	.done = delete_vm_done,
	.danger = delete_vm_danger,
};

const struct command delete_vm_command = {
	.words = "delete vm",
	.operands = { ARG_VM },
	.options = delete_vm_options,
	.summary = "Delete a powered-off VM, or several",
	.examples = "virtx delete vm -s web\n"
		    "virtx delete vm --yes web db\n",
	.run = delete_vm,
	.several = &delete_vm_several,
};
