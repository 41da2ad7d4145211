/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/work.h"

#include "work/requests.h"
#include "work/works.h"

const struct work works[WORK_N] = {
	[WORK_PROBE] = { "probe", "ask whether libvirt answers", &probe_request_model,
	    &probe_result_model, 10, true, work_probe },
	[WORK_COLLECT] = { "collect", "collect the host's and all VMs' figures",
	    &collect_request_model, &collect_result_model, 60, true, work_collect },
	[WORK_REFRESH] = { "refresh", "read the definition and state of some VMs",
	    &refresh_request_model, &refresh_result_model, 60, true, work_refresh },
	[WORK_INSPECT] = { "inspect", "read the sizes of disks from their images",
	    &inspect_request_model, &inspect_result_model, 300, false, work_inspect },
	[WORK_RECONCILE] = { "reconcile", "compare the registry with libvirt",
	    &reconcile_request_model, &reconcile_result_model, 120, true, work_reconcile },
	[WORK_LOCKSPACE] = { "lockspace", "make and join sanlock's lockspace",
	    &lockspace_request_model, &lockspace_result_model, 3600, true, work_lockspace },
	[WORK_VM_CREATE] = { "vm-create", "create a VM with its disks", &vm_create_request_model,
	    &vm_result_model, 6 * 3600, false, work_vm_create },
	[WORK_VM_UPDATE] = { "vm-update", "change a VM, and make and drop its disks",
	    &vm_update_request_model, &vm_result_model, 6 * 3600, false, work_vm_update },
	[WORK_VM_DELETE] = { "vm-delete", "delete a VM, and its storage where asked",
	    &vm_delete_request_model, &vm_result_model, 3600, false, work_vm_delete },
	[WORK_VM_BOOT] = { "vm-boot", "start a VM", &vm_boot_request_model, &vm_result_model, 600,
	    false, work_vm_boot },
	[WORK_VM_SHUTDOWN] = { "vm-shutdown", "ask a VM to shut down, or end it",
	    &vm_shutdown_request_model, &vm_result_model, 120, false, work_vm_shutdown },
	[WORK_VM_PAUSE] = { "vm-pause", "stop a VM's CPUs", &vm_request_model, &vm_result_model, 60,
	    false, work_vm_pause },
	[WORK_VM_RESUME] = { "vm-resume", "let a paused VM run on", &vm_request_model,
	    &vm_result_model, 60, false, work_vm_resume },
	[WORK_VM_HEAL] = { "vm-heal", "undo or finish what an interrupted job left of a VM",
	    &vm_request_model, &vm_result_model, 3600, false, work_vm_heal },
};
