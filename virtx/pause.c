/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx pause vm and virtx resume vm. */
#include "virtx/operation.h"
#include "virtx/verbs.h"

enum command_result
pause_vm(struct command_call *call, struct error *err)
{
	return operation_call_vm(call, ROUTE_VM_PAUSE, NULL, true, "cannot pause vm", err);
}

enum command_result
resume_vm(struct command_call *call, struct error *err)
{
	return operation_call_vm(call, ROUTE_VM_RESUME, NULL, true, "cannot resume vm", err);
}
