/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx pause vm and virtx resume vm. */
#include "virtx/operation.h"
#include "virtx/several.h"
#include "virtx/verbs.h"

static const struct option_row pause_options[] = {
	SEVERAL_ROWS,
	{ 0 },
};

static enum command_result
pause_vm(struct command_call *call, struct error *err)
{
	return operation_call_vm(call, ROUTE_VM_PAUSE, NULL, true, "cannot pause vm", err);
}

static const char *
pause_vm_done(const struct command_call *call)
{
	return "paused";
}

static const struct several pause_vm_several = {
	.done = pause_vm_done,
	.already = ERROR_ALREADY_PAUSED,
	.is_already = "already paused",
};

const struct command pause_vm_command = {
	.words = "pause vm",
	.operands = { ARG_VM },
	.options = pause_options,
	.summary = "Stop the CPUs of a VM, or of several",
	.run = pause_vm,
	.several = &pause_vm_several,
};

static enum command_result
resume_vm(struct command_call *call, struct error *err)
{
	return operation_call_vm(call, ROUTE_VM_RESUME, NULL, true, "cannot resume vm", err);
}

static const char *
resume_vm_done(const struct command_call *call)
{
	return "running";
}

static const struct several resume_vm_several = {
	.done = resume_vm_done,
	.already = ERROR_ALREADY_RUNNING,
	.is_already = "already running",
};

const struct command resume_vm_command = {
	.words = "resume vm",
	.operands = { ARG_VM },
	.options = pause_options,
	.summary = "Let a paused VM run on, or several",
	.run = resume_vm,
	.several = &resume_vm_several,
};
