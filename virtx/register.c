/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx register vm. */
#include "proto/model.h"
#include "virtx/operation.h"
#include "virtx/verbs.h"

static const struct option_row register_vm_options[] = {
	{ 'h', "host", ARG_HOST, "on this host (default: the one that answers)" },
	{ 0 },
};

static enum command_result
register_vm(struct command_call *call, struct error *err)
{
	struct vm_register_options options = { .host = (char *)call->values['h'] };

	return operation_call_vm(
	    call, ROUTE_VM_REGISTER, &options, true, "cannot register vm", err);
}

const struct command register_vm_command = {
	.words = "register vm",
	.operands = { ARG_VM },
	.options = register_vm_options,
	.summary = "Make registry and libvirt agree about a VM",
	.help =
	    "What libvirt has goes to the registry; what only the registry has goes to libvirt.",
	.examples = "virtx register vm -h h2 web\n",
	.run = register_vm,
};
