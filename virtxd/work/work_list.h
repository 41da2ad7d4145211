/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list of the jobs. */
#ifndef WORK_WORK_LIST_H
#define WORK_WORK_LIST_H

/* Each kind of job: its id, and its function, which takes the request and the result of its row. */
#define WORKS(W)                                          \
	W(WORK_PROBE, work_probe)                         \
	W(WORK_COLLECT, work_collect)                     \
	W(WORK_REFRESH, work_refresh)                     \
	W(WORK_WHOSE, work_whose)                         \
	W(WORK_INSPECT, work_inspect)                     \
	W(WORK_RECONCILE, work_reconcile)                 \
	W(WORK_STORAGE_CHECK, work_storage_check)         \
	W(WORK_STORAGE_LOOK, work_storage_look)           \
	W(WORK_STORAGE_INIT, work_storage_init)           \
	W(WORK_LOCKSPACE, work_lockspace)                 \
	W(WORK_LOCKSPACE_WATCH, work_lockspace_watch)     \
	W(WORK_WATCHDOG, work_watchdog)                   \
	W(WORK_SELF_FENCE, work_self_fence)               \
	W(WORK_VM_CHECK, work_vm_check)                   \
	W(WORK_VM_CREATE, work_vm_create)                 \
	W(WORK_VM_UPDATE, work_vm_update)                 \
	W(WORK_VM_DELETE, work_vm_delete)                 \
	W(WORK_VM_BOOT, work_vm_boot)                     \
	W(WORK_VM_SHUTDOWN, work_vm_shutdown)             \
	W(WORK_VM_PAUSE, work_vm_pause)                   \
	W(WORK_VM_RESUME, work_vm_resume)                 \
	W(WORK_VM_RESET, work_vm_reset)                   \
	W(WORK_VM_REBOOT, work_vm_reboot)                 \
	W(WORK_VM_MIGRATE, work_vm_migrate)               \
	W(WORK_VM_STAYS, work_vm_stays)                   \
	W(WORK_MIGRATION_INFO, work_migration_info)       \
	W(WORK_MIGRATION_CONTROL, work_migration_control) \
	W(WORK_VM_HEAL, work_vm_heal)                     \
	W(WORK_VM_REGISTER, work_vm_register)             \
	W(WORK_VM_CLAIM, work_vm_claim)                   \
	W(WORK_REPAIR, work_repair)                       \
	W(WORK_MAINTENANCE_LOAD, work_maintenance_load)   \
	W(WORK_MAINTENANCE_SAVE, work_maintenance_save)   \
	W(WORK_TOKENS_LOAD, work_tokens_load)             \
	W(WORK_TOKEN_SAVE, work_token_save)               \
	W(WORK_TOKEN_REVOKE, work_token_revoke)           \
	W(WORK_HOST_OUT, work_host_out)                   \
	W(WORK_CLUSTER_SIGN, work_cluster_sign)           \
	W(WORK_AUTOSTART, work_autostart)                 \
	W(WORK_LOCKSPACE_HOSTS, work_lockspace_hosts)     \
	W(WORK_HOST_VMS, work_host_vms)

#define WORK_ID(id, run) id,
enum work_id {
	WORKS(WORK_ID) WORK_N,
};

#endif
