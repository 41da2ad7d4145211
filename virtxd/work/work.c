/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/work.h"

#include <linux/capability.h>

#include "disk/confine.h"
#include "work/requests.h"
#include "work/works.h"

/*
 * What a work does as root that root's own rights are not enough for. libvirt's socket and what
 * virtxd has made need none of it.
 */
#define MAY_NONE UINT64_C(0)
/* Reads what others have put on the storage: images, definitions of another virtx. */
#define MAY_LOOKS CAPABILITY(CAP_DAC_READ_SEARCH)
/* Talks to sanlock, whose socket is its user's and its group's, and reads leases. */
#define MAY_SANLOCK (MAY_LOOKS | CAPABILITY(CAP_DAC_OVERRIDE))
/* And ends the QEMU of a VM whose leases sanlock does not keep, which is another user's. */
#define MAY_KILL (MAY_SANLOCK | CAPABILITY(CAP_KILL))
/* Makes files, mends and removes those of others, and gives them to QEMU's and sanlock's group, in
 * folders that are set-group-ID. */
#define MAY_FILES \
	(MAY_SANLOCK | CAPABILITY(CAP_CHOWN) | CAPABILITY(CAP_FOWNER) | CAPABILITY(CAP_FSETID))
/* Brings to its end what was left of a VM, be it a migration: libvirt takes all capabilities from
 * the ssh that it runs for qemu+ssh, which is to set them. */
#define MAY_VM (MAY_FILES | CAPABILITY(CAP_SETPCAP))
/* Asks as QEMU's user what that may open. */
#define MAY_QEMU (MAY_VM | CAPABILITY(CAP_SETUID) | CAPABILITY(CAP_SETGID))

const struct work works[WORK_N] = {
	[WORK_PROBE] = { "probe", "ask whether libvirt answers", &probe_request_model,
	    &probe_result_model, 60, true, work_probe, false, MAY_NONE },
	[WORK_COLLECT] = { "collect", "collect the host's and all VMs' figures",
	    &collect_request_model, &collect_result_model, 60, true, work_collect, true,
	    MAY_LOOKS },
	[WORK_REFRESH] = { "refresh", "read the definition and state of some VMs",
	    &refresh_request_model, &refresh_result_model, 60, true, work_refresh, false,
	    MAY_LOOKS },
	[WORK_WHOSE] = { "whose", "tell whose the VMs are that are off here", &whose_request_model,
	    &whose_result_model, 60, true, work_whose, false, MAY_FILES },
	[WORK_INSPECT] = { "inspect", "read the sizes of disks from their images",
	    &inspect_request_model, &inspect_result_model, 300, false, work_inspect, false,
	    MAY_LOOKS },
	[WORK_RECONCILE] = { "reconcile", "compare the registry with libvirt",
	    &reconcile_request_model, &reconcile_result_model, 120, true, work_reconcile, true,
	    MAY_FILES },
	[WORK_STORAGE_CHECK] = { "storage-check", "look whether the shared storage is there",
	    &storage_request_model, &storage_check_result_model, 3600, true, work_storage_check,
	    true, MAY_FILES },
	[WORK_STORAGE_LOOK] = { "storage-look", "look whether all is there that a VM's disks need",
	    &storage_look_request_model, NULL, 30, true, work_storage_look, false, MAY_SANLOCK },
	[WORK_STORAGE_INIT] = { "storage-init", "make a new shared storage", &storage_request_model,
	    &storage_model, 600, false, work_storage_init, false, MAY_FILES },
	[WORK_LOCKSPACE] = { "lockspace", "join sanlock's lockspace", &lockspace_request_model,
	    &lockspace_result_model, 3600, true, work_lockspace, true, MAY_FILES },
	[WORK_LOCKSPACE_WATCH] = { "lockspace-watch", "look whether the lockspace stays joined",
	    &lockspace_watch_request_model, &lockspace_result_model, 300, true,
	    work_lockspace_watch, true, MAY_SANLOCK },
	[WORK_WATCHDOG] = { "watchdog", "look whether a watchdog protects the host",
	    &watchdog_request_model, &watchdog_result_model, 30, true, work_watchdog, true,
	    MAY_SANLOCK },
	[WORK_SELF_FENCE] = { "self-fence", "end VMs that run without their leases",
	    &self_fence_request_model, &self_fence_result_model, 15, true, work_self_fence, true,
	    MAY_KILL },
	[WORK_VM_CHECK] = { "vm-check", "look whether the host has what a VM needs",
	    &vm_check_request_model, NULL, 30, false, work_vm_check, false, MAY_NONE },
	[WORK_VM_CREATE] = { "vm-create", "create a VM with its disks", &vm_create_request_model,
	    &vm_result_model, 6 * 3600, false, work_vm_create, false, MAY_VM },
	[WORK_VM_UPDATE] = { "vm-update", "change a VM, and make and drop its disks",
	    &vm_update_request_model, &vm_result_model, 6 * 3600, false, work_vm_update, false,
	    MAY_VM },
	[WORK_VM_DELETE] = { "vm-delete", "delete a VM, and its storage where asked",
	    &vm_delete_request_model, &vm_result_model, 6 * 3600, false, work_vm_delete, false,
	    MAY_VM },
	[WORK_VM_BOOT] = { "vm-boot", "start a VM", &vm_boot_request_model, &vm_result_model, 600,
	    false, work_vm_boot, false, MAY_QEMU },
	[WORK_VM_SHUTDOWN] = { "vm-shutdown", "ask a VM to shut down, or end it",
	    &vm_shutdown_request_model, &vm_result_model, 120, false, work_vm_shutdown, false,
	    MAY_VM },
	[WORK_VM_PAUSE] = { "vm-pause", "stop a VM's CPUs", &vm_request_model, &vm_result_model, 60,
	    false, work_vm_pause, false, MAY_VM },
	[WORK_VM_RESUME] = { "vm-resume", "let a paused VM run on", &vm_request_model,
	    &vm_result_model, 60, false, work_vm_resume, false, MAY_VM },
	[WORK_VM_RESET] = { "vm-reset", "reset a VM", &vm_request_model, &vm_result_model, 60,
	    false, work_vm_reset, false, MAY_VM },
	[WORK_VM_REBOOT] = { "vm-reboot", "ask a VM's guest to reboot", &vm_request_model,
	    &vm_result_model, 60, false, work_vm_reboot, false, MAY_VM },
	[WORK_VM_MIGRATE] = { "vm-migrate", "move a VM to another host", &vm_migrate_request_model,
	    &vm_result_model, 8 * 24 * 3600, false, work_vm_migrate, false, MAY_QEMU },
	[WORK_VM_STAYS] = { "vm-stays", "look what keeps VMs on this host", &vm_stays_request_model,
	    &vm_stays_result_model, 60, true, work_vm_stays, false, MAY_SANLOCK },
	[WORK_MIGRATION_INFO] = { "migration-info", "read how far a VM's migration is",
	    &vm_request_model, &migration_info_model, 40, true, work_migration_info, true,
	    MAY_NONE },
	[WORK_MIGRATION_CONTROL] = { "migration-control",
	    "abort a VM's migration, or pause the VM, or change to post-copy",
	    &migration_control_request_model, &vm_result_model, 40, true, work_migration_control,
	    false, MAY_LOOKS },
	[WORK_VM_HEAL] = { "vm-heal", "undo or finish what an interrupted job left of a VM",
	    &vm_heal_request_model, &vm_result_model, 3600, false, work_vm_heal, false, MAY_VM },
	[WORK_VM_REGISTER] = { "vm-register", "make registry and libvirt agree about a VM",
	    &vm_request_model, &vm_result_model, 600, false, work_vm_register, false, MAY_VM },
	[WORK_VM_CLAIM] = { "vm-claim", "make the VM of a host that is dead this host's",
	    &vm_claim_request_model, &vm_claim_result_model, 600, false, work_vm_claim, false,
	    MAY_VM },
	[WORK_REPAIR] = { "repair", "repair what was left behind, or tell what would be done",
	    &repair_request_model, &repair_list_model, 6 * 3600, false, work_repair, false,
	    MAY_VM },
	[WORK_MAINTENANCE_LOAD] = { "maintenance-load", "read whether the host is in maintenance",
	    &maintenance_load_request_model, &maintenance_model, 60, true, work_maintenance_load,
	    false, MAY_LOOKS },
	[WORK_MAINTENANCE_SAVE] = { "maintenance-save", "keep that the host is in maintenance",
	    &maintenance_save_request_model, &maintenance_model, 60, true, work_maintenance_save,
	    false, MAY_FILES },
	[WORK_TOKENS_LOAD] = { "tokens-load", "read the tokens that the hosts share",
	    &tokens_load_request_model, &token_set_model, 60, true, work_tokens_load, true,
	    MAY_LOOKS },
	[WORK_TOKEN_SAVE] = { "token-save", "keep a new token", &token_save_request_model,
	    &token_save_result_model, 30, true, work_token_save, false, MAY_FILES },
	[WORK_TOKEN_REVOKE] = { "token-revoke", "drop a token", &token_revoke_request_model,
	    &token_model, 30, true, work_token_revoke, false, MAY_FILES },
	[WORK_HOST_OUT] = { "host-out", "keep that a host was put out, or is let in again",
	    &host_out_request_model, &token_model, 30, true, work_host_out, false, MAY_FILES },
	[WORK_CLUSTER_SIGN] = { "cluster-sign", "sign the certificates of a host",
	    &cluster_sign_request_model, &cluster_sign_result_model, 30, true, work_cluster_sign,
	    false, MAY_FILES },
	[WORK_AUTOSTART] = { "autostart", "keep which VMs are still to be booted after the host",
	    &autostart_request_model, &autostart_result_model, 30, true, work_autostart, false,
	    MAY_NONE },
	[WORK_LOCKSPACE_HOSTS] = { "lockspace-hosts", "tell how sanlock sees the other hosts",
	    &lockspace_hosts_request_model, &lockspace_hosts_result_model, 30, true,
	    work_lockspace_hosts, true, MAY_SANLOCK },
	[WORK_HOST_VMS] = { "host-vms", "read which VMs of a dead host are to be brought back",
	    &host_vms_request_model, &host_vms_result_model, 60, true, work_host_vms, false,
	    MAY_LOOKS },
};
