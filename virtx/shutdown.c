/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx shutdown vm. */
#include "proto/model.h"
#include "virtx/operation.h"
#include "virtx/several.h"
#include "virtx/verbs.h"

static const struct option_row shutdown_vm_options[] = {
	{ 'f', "force", NULL, "end the VM's process by SIGTERM; given twice, by SIGKILL" },
	SEVERAL_ROWS,
	SEVERAL_ROW_YES,
	{ 0 },
};

static enum command_result
shutdown_vm(struct command_call *call, struct error *err)
{
	struct vm_shutdown_options options = { .force = (int16_t)call->counts['f'] };
	struct client client = *call->client;

	if (call->counts['f'] > 2) {
		error_set(err, CLIENT_ERROR_STATUS, "--force can be given once or twice");
		return COMMAND_USAGE;
	}
	/* To be asked, as without force, is not to be ended. */
	client.success = options.force > 0 ? 204 : 0;
	call->client = &client;
	return operation_call_vm(
	    call, ROUTE_VM_SHUTDOWN, &options, options.force > 0, "cannot shut down vm", err);
}

static const char *
shutdown_vm_done(const struct command_call *call)
{
	return call->counts['f'] > 0 ? "poweroff" : "asked to shut down";
}

static const char *
shutdown_vm_danger(const struct command_call *call)
{
	return call->counts['f'] > 0 ? "End by force" : NULL;
}

static const struct several shutdown_vm_several = {
	.done = shutdown_vm_done,
	.already = ERROR_ALREADY_OFF,
	.is_already = "already off",
	.danger = shutdown_vm_danger,
};

const struct command shutdown_vm_command = {
	.words = "shutdown vm",
	.operands = { ARG_VM },
	.options = shutdown_vm_options,
	.summary = "Shut down a VM, or several",
	.help =
	    "Without an option the guest is asked by ACPI, and the command does not wait for it.",
	.examples = "virtx shutdown vm web\n"
		    "virtx shutdown vm -ff web\n"
		    "virtx shutdown vm --filter state=running,name~test\n",
	.run = shutdown_vm,
	.several = &shutdown_vm_several,
};
