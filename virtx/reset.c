/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx reset vm and virtx reboot vm. */
#include "virtx/operation.h"
#include "virtx/several.h"
#include "virtx/verbs.h"

static const struct option_row reset_options[] = {
	SEVERAL_ROWS,
	SEVERAL_ROW_YES,
	{ 0 },
};

static enum command_result
reset_vm(struct command_call *call, struct error *err)
{
	return operation_call_vm(call, ROUTE_VM_RESET, NULL, true, "cannot reset vm", err);
}

static const char *
reset_vm_done(const struct command_call *call)
{
	return "reset";
}

static const char *
reset_vm_danger(const struct command_call *call)
{
	return "Reset";
}

static const struct several reset_vm_several = {
	.done = reset_vm_done,
	.danger = reset_vm_danger,
};

const struct command reset_vm_command = {
	.words = "reset vm",
	.operands = { ARG_VM },
	.options = reset_options,
	.summary = "Reset a VM without asking its guest, or several",
	.help = "As the button of a machine does it: what the guest has not written is lost. The "
		"VM stays on.",
	.examples = "virtx reset vm web\n"
		    "virtx reset vm --yes web db\n",
	.run = reset_vm,
	.several = &reset_vm_several,
};

static const struct option_row reboot_options[] = {
	SEVERAL_ROWS,
	{ 0 },
};

static enum command_result
reboot_vm(struct command_call *call, struct error *err)
{
	return operation_call_vm(call, ROUTE_VM_REBOOT, NULL, true, "cannot reboot vm", err);
}

static const char *
reboot_vm_done(const struct command_call *call)
{
	return "asked to reboot";
}

static const struct several reboot_vm_several = {
	.done = reboot_vm_done,
};

const struct command reboot_vm_command = {
	.words = "reboot vm",
	.operands = { ARG_VM },
	.options = reboot_options,
	.summary = "Ask the guest of a VM to reboot, or several",
	.help =
	    "The guest is asked by ACPI, and the command does not wait for it. When it has gone "
	    "off, the VM is booted again.",
	.examples = "virtx reboot vm web\n"
		    "virtx reboot vm --filter state=running,name~test\n",
	.run = reboot_vm,
	.several = &reboot_vm_several,
};
