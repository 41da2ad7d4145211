/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx pause vm and virtx resume vm. */
#include "virtx/operation.h"
#include "virtx/verbs.h"

static enum command_result
pause_vm(struct command_call *call, struct error *err)
{
	return operation_call_vm(call, ROUTE_VM_PAUSE, NULL, true, "cannot pause vm", err);
}

const struct command pause_vm_command = {
	.words = "pause vm",
	.operands = { ARG_VM },
	.summary = "Stop the CPUs of a VM",
	.run = pause_vm,
};

static enum command_result
resume_vm(struct command_call *call, struct error *err)
{
	return operation_call_vm(call, ROUTE_VM_RESUME, NULL, true, "cannot resume vm", err);
}

const struct command resume_vm_command = {
	.words = "resume vm",
	.operands = { ARG_VM },
	.summary = "Let a paused VM run on",
	.run = resume_vm,
};
