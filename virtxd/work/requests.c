/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/requests.h"

static const struct field work_env_fields[] = {
	FIELD("uri", struct work_env, uri),
	FIELD("root", struct work_env, root),
	FIELD("run_dir", struct work_env, run_dir),
	FIELD("host", struct work_env, host),
	FIELD("io_timeout", struct work_env, io_timeout),
	FIELD("qemu_group", struct work_env, qemu_group),
	FIELD("luns", struct work_env, luns),
};
const struct model work_env_model = { "WorkEnv", sizeof(struct work_env), work_env_fields,
	ARRAY_SIZE(work_env_fields) };

static const struct field work_uuid_fields[] = {
	FIELD("uuid", struct work_uuid, uuid),
};
const struct model work_uuid_model = { "WorkUuid", sizeof(struct work_uuid), work_uuid_fields,
	ARRAY_SIZE(work_uuid_fields) };

static const struct field probe_request_fields[] = {
	FIELD("uri", struct probe_request, uri),
};
const struct model probe_request_model = { "ProbeRequest", sizeof(struct probe_request),
	probe_request_fields, ARRAY_SIZE(probe_request_fields) };

static const struct field probe_result_fields[] = {
	FIELD("uuid", struct probe_result, uuid),
};
const struct model probe_result_model = { "ProbeResult", sizeof(struct probe_result),
	probe_result_fields, ARRAY_SIZE(probe_result_fields) };

static const struct field collect_request_fields[] = {
	FIELD_STRUCT("env", struct collect_request, env, work_env),
	FIELD("host", struct collect_request, host),
	FIELD_ARRAY("known", struct collect_request, known, work_uuid),
};
const struct model collect_request_model = { "CollectRequest", sizeof(struct collect_request),
	collect_request_fields, ARRAY_SIZE(collect_request_fields) };

static const struct field collect_result_fields[] = {
	FIELD_STRUCT("host", struct collect_result, host, host_report),
	FIELD_ARRAY("vms", struct collect_result, vms, vm_report),
};
const struct model collect_result_model = { "CollectResult", sizeof(struct collect_result),
	collect_result_fields, ARRAY_SIZE(collect_result_fields) };

static const struct field refresh_request_fields[] = {
	FIELD_STRUCT("env", struct refresh_request, env, work_env),
	FIELD_ARRAY("vms", struct refresh_request, vms, work_uuid),
};
const struct model refresh_request_model = { "RefreshRequest", sizeof(struct refresh_request),
	refresh_request_fields, ARRAY_SIZE(refresh_request_fields) };

static const struct field refresh_result_fields[] = {
	FIELD_ARRAY("vms", struct refresh_result, vms, vm_report),
	FIELD_ARRAY("gone", struct refresh_result, gone, work_uuid),
};
const struct model refresh_result_model = { "RefreshResult", sizeof(struct refresh_result),
	refresh_result_fields, ARRAY_SIZE(refresh_result_fields) };

static const struct field inspect_vm_fields[] = {
	FIELD("uuid", struct inspect_vm, uuid),
	FIELD_ARRAY("disks", struct inspect_vm, disks, disk),
};
const struct model inspect_vm_model = { "InspectVm", sizeof(struct inspect_vm), inspect_vm_fields,
	ARRAY_SIZE(inspect_vm_fields) };

static const struct field inspect_request_fields[] = {
	FIELD_STRUCT("env", struct inspect_request, env, work_env),
	FIELD_ARRAY("vms", struct inspect_request, vms, inspect_vm),
};
const struct model inspect_request_model = { "InspectRequest", sizeof(struct inspect_request),
	inspect_request_fields, ARRAY_SIZE(inspect_request_fields) };

static const struct field inspect_result_fields[] = {
	FIELD_ARRAY("vms", struct inspect_result, vms, vm_report),
};
const struct model inspect_result_model = { "InspectResult", sizeof(struct inspect_result),
	inspect_result_fields, ARRAY_SIZE(inspect_result_fields) };

static const struct field whose_request_fields[] = {
	FIELD_STRUCT("env", struct whose_request, env, work_env),
	FIELD_ARRAY("vms", struct whose_request, vms, work_uuid),
};
const struct model whose_request_model = { "WhoseRequest", sizeof(struct whose_request),
	whose_request_fields, ARRAY_SIZE(whose_request_fields) };

static const struct field vm_stays_request_fields[] = {
	FIELD_STRUCT("env", struct vm_stays_request, env, work_env),
	FIELD_ARRAY("vms", struct vm_stays_request, vms, work_uuid),
	FIELD("live", struct vm_stays_request, live),
	FIELD("as_it_is", struct vm_stays_request, as_it_is),
};
const struct model vm_stays_request_model = { "VmStaysRequest", sizeof(struct vm_stays_request),
	vm_stays_request_fields, ARRAY_SIZE(vm_stays_request_fields) };

static const struct field vm_stay_fields[] = {
	FIELD("uuid", struct vm_stay, uuid),
	FIELD("why", struct vm_stay, why),
};
const struct model vm_stay_model = { "VmStay", sizeof(struct vm_stay), vm_stay_fields,
	ARRAY_SIZE(vm_stay_fields) };

static const struct field vm_stays_result_fields[] = {
	FIELD_ARRAY("vms", struct vm_stays_result, vms, vm_stay),
};
const struct model vm_stays_result_model = { "VmStaysResult", sizeof(struct vm_stays_result),
	vm_stays_result_fields, ARRAY_SIZE(vm_stays_result_fields) };

static const struct field autostart_request_fields[] = {
	FIELD_STRUCT("env", struct autostart_request, env, work_env),
	FIELD("keep", struct autostart_request, keep),
	FIELD("failover", struct autostart_request, failover),
	FIELD_ARRAY("vms", struct autostart_request, vms, vm_stay),
};
const struct model autostart_request_model = { "AutostartRequest", sizeof(struct autostart_request),
	autostart_request_fields, ARRAY_SIZE(autostart_request_fields) };

static const struct field autostart_result_fields[] = {
	FIELD("kept", struct autostart_result, kept),
	FIELD_ARRAY("vms", struct autostart_result, vms, vm_stay),
};
const struct model autostart_result_model = { "AutostartResult", sizeof(struct autostart_result),
	autostart_result_fields, ARRAY_SIZE(autostart_result_fields) };

static const struct field whose_result_fields[] = {
	FIELD_ARRAY("vms", struct whose_result, vms, vm_report),
	FIELD_ARRAY("unregistered", struct whose_result, unregistered, vm_report),
	FIELD_ARRAY("leaving", struct whose_result, leaving, work_uuid),
};
const struct model whose_result_model = { "WhoseResult", sizeof(struct whose_result),
	whose_result_fields, ARRAY_SIZE(whose_result_fields) };

static const struct field reconcile_request_fields[] = {
	FIELD_STRUCT("env", struct reconcile_request, env, work_env),
	FIELD_ARRAY("known", struct reconcile_request, known, host_problem),
	FIELD("deep", struct reconcile_request, deep),
	FIELD("loose", struct reconcile_request, loose),
	FIELD("limit", struct reconcile_request, limit),
	FIELD("cursor", struct reconcile_request, cursor),
	FIELD("sanlock", struct reconcile_request, sanlock),
	FIELD("kill", struct reconcile_request, kill),
};
const struct model reconcile_request_model = { "ReconcileRequest", sizeof(struct reconcile_request),
	reconcile_request_fields, ARRAY_SIZE(reconcile_request_fields) };

static const struct field reconcile_result_fields[] = {
	FIELD_ARRAY("problems", struct reconcile_result, problems, host_problem),
	FIELD("cursor", struct reconcile_result, cursor),
	FIELD_ARRAY("unfinished", struct reconcile_result, unfinished, work_uuid),
	FIELD_ARRAY("leftovers", struct reconcile_result, leftovers, work_uuid),
};
const struct model reconcile_result_model = { "ReconcileResult", sizeof(struct reconcile_result),
	reconcile_result_fields, ARRAY_SIZE(reconcile_result_fields) };

static const struct field storage_request_fields[] = {
	FIELD_STRUCT("env", struct storage_request, env, work_env),
};
const struct model storage_request_model = { "StorageRequest", sizeof(struct storage_request),
	storage_request_fields, ARRAY_SIZE(storage_request_fields) };

static const struct field storage_room_fields[] = {
	FIELD("path", struct storage_room, path),
	FIELD("size", struct storage_room, size),
	FIELD("free", struct storage_room, free),
};
const struct model storage_room_model = { "StorageRoom", sizeof(struct storage_room),
	storage_room_fields, ARRAY_SIZE(storage_room_fields) };

static const struct field storage_check_result_fields[] = {
	FIELD("uuid", struct storage_check_result, uuid),
	FIELD_ARRAY("rooms", struct storage_check_result, rooms, storage_room),
};
const struct model storage_check_result_model = { "StorageCheckResult",
	sizeof(struct storage_check_result), storage_check_result_fields,
	ARRAY_SIZE(storage_check_result_fields) };

static const struct field storage_look_request_fields[] = {
	FIELD_STRUCT("env", struct storage_look_request, env, work_env),
	FIELD("lockspace", struct storage_look_request, lockspace),
	FIELD("vm", struct storage_look_request, vm),
};
const struct model storage_look_request_model = { "StorageLookRequest",
	sizeof(struct storage_look_request), storage_look_request_fields,
	ARRAY_SIZE(storage_look_request_fields) };

static const struct field lockspace_request_fields[] = {
	FIELD_STRUCT("env", struct lockspace_request, env, work_env),
	FIELD("kill", struct lockspace_request, kill),
};
const struct model lockspace_request_model = { "LockspaceRequest", sizeof(struct lockspace_request),
	lockspace_request_fields, ARRAY_SIZE(lockspace_request_fields) };

static const struct field lockspace_watch_request_fields[] = {
	FIELD_STRUCT("env", struct lockspace_watch_request, env, work_env),
	FIELD("seconds", struct lockspace_watch_request, seconds),
	FIELD("look_ms", struct lockspace_watch_request, look_ms),
};
const struct model lockspace_watch_request_model = { "LockspaceWatchRequest",
	sizeof(struct lockspace_watch_request), lockspace_watch_request_fields,
	ARRAY_SIZE(lockspace_watch_request_fields) };

static const struct field fence_process_fields[] = {
	FIELD("uuid", struct fence_process, uuid),
	FIELD("pid", struct fence_process, pid),
	FIELD("start", struct fence_process, start),
	FIELD("why", struct fence_process, why),
};
const struct model fence_process_model = { "FenceProcess", sizeof(struct fence_process),
	fence_process_fields, ARRAY_SIZE(fence_process_fields) };

static const struct field self_fence_request_fields[] = {
	FIELD_STRUCT("env", struct self_fence_request, env, work_env),
	FIELD_ARRAY("victims", struct self_fence_request, victims, fence_process),
};
const struct model self_fence_request_model = { "SelfFenceRequest",
	sizeof(struct self_fence_request), self_fence_request_fields,
	ARRAY_SIZE(self_fence_request_fields) };

static const struct field self_fence_result_fields[] = {
	FIELD_ARRAY("loose", struct self_fence_result, loose, fence_process),
	FIELD_ARRAY("ended", struct self_fence_result, ended, fence_process),
};
const struct model self_fence_result_model = { "SelfFenceResult", sizeof(struct self_fence_result),
	self_fence_result_fields, ARRAY_SIZE(self_fence_result_fields) };
static const struct field lockspace_hosts_request_fields[] = {
	FIELD_STRUCT("env", struct lockspace_hosts_request, env, work_env),
};
const struct model lockspace_hosts_request_model = { "LockspaceHostsRequest",
	sizeof(struct lockspace_hosts_request), lockspace_hosts_request_fields,
	ARRAY_SIZE(lockspace_hosts_request_fields) };

static const struct field seen_host_fields[] = {
	FIELD("host_id", struct seen_host, host_id),
	FIELD("generation", struct seen_host, generation),
	FIELD("io_timeout", struct seen_host, io_timeout),
	FIELD("sight", struct seen_host, sight),
};
const struct model seen_host_model = { "SeenHost", sizeof(struct seen_host), seen_host_fields,
	ARRAY_SIZE(seen_host_fields) };

static const struct field lockspace_hosts_result_fields[] = {
	FIELD_ARRAY("hosts", struct lockspace_hosts_result, hosts, seen_host),
};
const struct model lockspace_hosts_result_model = { "LockspaceHostsResult",
	sizeof(struct lockspace_hosts_result), lockspace_hosts_result_fields,
	ARRAY_SIZE(lockspace_hosts_result_fields) };

static const struct field host_vms_request_fields[] = {
	FIELD_STRUCT("env", struct host_vms_request, env, work_env),
	FIELD("host", struct host_vms_request, host),
	FIELD("otherwise", struct host_vms_request, otherwise),
};
const struct model host_vms_request_model = { "HostVmsRequest", sizeof(struct host_vms_request),
	host_vms_request_fields, ARRAY_SIZE(host_vms_request_fields) };

static const struct field host_vm_fields[] = {
	FIELD("uuid", struct host_vm, uuid),
	FIELD_STRUCT("def", struct host_vm, def, vmdef),
	FIELD("order", struct host_vm, order),
};
const struct model host_vm_model = { "HostVm", sizeof(struct host_vm), host_vm_fields,
	ARRAY_SIZE(host_vm_fields) };

static const struct field host_vms_result_fields[] = {
	FIELD_ARRAY("vms", struct host_vms_result, vms, host_vm),
	FIELD("others", struct host_vms_result, others),
	FIELD("warning", struct host_vms_result, warning),
};
const struct model host_vms_result_model = { "HostVmsResult", sizeof(struct host_vms_result),
	host_vms_result_fields, ARRAY_SIZE(host_vms_result_fields) };

static const struct field watchdog_request_fields[] = {
	FIELD_STRUCT("env", struct watchdog_request, env, work_env),
	FIELD("sanlock", struct watchdog_request, sanlock),
};
const struct model watchdog_request_model = { "WatchdogRequest", sizeof(struct watchdog_request),
	watchdog_request_fields, ARRAY_SIZE(watchdog_request_fields) };

static const struct field watchdog_result_fields[] = {
	FIELD("why", struct watchdog_result, why),
	FIELD("name_why", struct watchdog_result, name_why),
	FIELD("host_id", struct watchdog_result, host_id),
	FIELD("generation", struct watchdog_result, generation),
	FIELD("io_timeout", struct watchdog_result, io_timeout),
	FIELD("fire_timeout", struct watchdog_result, fire_timeout),
	FIELD("joined", struct watchdog_result, joined),
};
const struct model watchdog_result_model = { "WatchdogResult", sizeof(struct watchdog_result),
	watchdog_result_fields, ARRAY_SIZE(watchdog_result_fields) };

static const struct field lockspace_result_fields[] = {
	FIELD("lockid", struct lockspace_result, lockid),
};
const struct model lockspace_result_model = { "LockspaceResult", sizeof(struct lockspace_result),
	lockspace_result_fields, ARRAY_SIZE(lockspace_result_fields) };

static const struct field maintenance_load_request_fields[] = {
	FIELD_STRUCT("env", struct maintenance_load_request, env, work_env),
};
const struct model maintenance_load_request_model = { "MaintenanceLoadRequest",
	sizeof(struct maintenance_load_request), maintenance_load_request_fields,
	ARRAY_SIZE(maintenance_load_request_fields) };

static const struct field maintenance_save_request_fields[] = {
	FIELD_STRUCT("env", struct maintenance_save_request, env, work_env),
	FIELD_STRUCT("maintenance", struct maintenance_save_request, maintenance, maintenance),
};
const struct model maintenance_save_request_model = { "MaintenanceSaveRequest",
	sizeof(struct maintenance_save_request), maintenance_save_request_fields,
	ARRAY_SIZE(maintenance_save_request_fields) };

static const struct field tokens_load_request_fields[] = {
	FIELD_STRUCT("env", struct tokens_load_request, env, work_env),
	FIELD("stamp", struct tokens_load_request, stamp),
	FIELD("ca", struct tokens_load_request, ca),
	FIELD("ca_key", struct tokens_load_request, ca_key),
	FIELD("state_dir", struct tokens_load_request, state_dir),
};
const struct model tokens_load_request_model = { "TokensLoadRequest",
	sizeof(struct tokens_load_request), tokens_load_request_fields,
	ARRAY_SIZE(tokens_load_request_fields) };

static const struct field token_save_request_fields[] = {
	FIELD_STRUCT("env", struct token_save_request, env, work_env),
	FIELD_STRUCT("record", struct token_save_request, record, token_record),
	FIELD("ca", struct token_save_request, ca),
	FIELD("ca_key", struct token_save_request, ca_key),
	FIELD("request", struct token_save_request, request),
};
const struct model token_save_request_model = { "TokenSaveRequest",
	sizeof(struct token_save_request), token_save_request_fields,
	ARRAY_SIZE(token_save_request_fields) };

static const struct field token_save_result_fields[] = {
	FIELD("hash", struct token_save_result, hash),
	FIELD("certificate", struct token_save_result, certificate),
};
const struct model token_save_result_model = { "TokenSaveResult", sizeof(struct token_save_result),
	token_save_result_fields, ARRAY_SIZE(token_save_result_fields) };

static const struct field token_revoke_request_fields[] = {
	FIELD_STRUCT("env", struct token_revoke_request, env, work_env),
	FIELD("name", struct token_revoke_request, name),
};
const struct model token_revoke_request_model = { "TokenRevokeRequest",
	sizeof(struct token_revoke_request), token_revoke_request_fields,
	ARRAY_SIZE(token_revoke_request_fields) };

static const struct field host_out_request_fields[] = {
	FIELD_STRUCT("env", struct host_out_request, env, work_env),
	FIELD("uuid", struct host_out_request, uuid),
	FIELD("out", struct host_out_request, out),
};
const struct model host_out_request_model = { "HostOutRequest", sizeof(struct host_out_request),
	host_out_request_fields, ARRAY_SIZE(host_out_request_fields) };

static const struct field cluster_sign_request_fields[] = {
	FIELD_STRUCT("env", struct cluster_sign_request, env, work_env),
	FIELD("ca", struct cluster_sign_request, ca),
	FIELD("ca_key", struct cluster_sign_request, ca_key),
	FIELD("serf_key_file", struct cluster_sign_request, serf_key_file),
	FIELD("uuid", struct cluster_sign_request, uuid),
	FIELD("request", struct cluster_sign_request, request),
	FIELD("qemu_request", struct cluster_sign_request, qemu_request),
	FIELD("gives_ca_key", struct cluster_sign_request, gives_ca_key),
	FIELD("again", struct cluster_sign_request, again),
};
const struct model cluster_sign_request_model = { "ClusterSignRequest",
	sizeof(struct cluster_sign_request), cluster_sign_request_fields,
	ARRAY_SIZE(cluster_sign_request_fields) };

static const struct field cluster_sign_result_fields[] = {
	FIELD("certificate", struct cluster_sign_result, certificate),
	FIELD("qemu_certificate", struct cluster_sign_result, qemu_certificate),
	FIELD("ca", struct cluster_sign_result, ca),
	FIELD("fingerprint", struct cluster_sign_result, fingerprint),
	FIELD("serf_key", struct cluster_sign_result, serf_key),
	FIELD("sanlock_group", struct cluster_sign_result, sanlock_group),
	FIELD("sealed", struct cluster_sign_result, sealed),
};
const struct model cluster_sign_result_model = { "ClusterSignResult",
	sizeof(struct cluster_sign_result), cluster_sign_result_fields,
	ARRAY_SIZE(cluster_sign_result_fields) };

static const struct field repair_vm_fields[] = {
	FIELD("uuid", struct repair_vm, uuid),
	FIELD("host", struct repair_vm, host),
	FIELD("active", struct repair_vm, active),
};
const struct model repair_vm_model = { "RepairVm", sizeof(struct repair_vm), repair_vm_fields,
	ARRAY_SIZE(repair_vm_fields) };

static const struct field repair_request_fields[] = {
	FIELD_STRUCT("env", struct repair_request, env, work_env),
	FIELD_STRUCT("options", struct repair_request, options, repair_options),
	FIELD_ARRAY("elsewhere", struct repair_request, elsewhere, repair_vm),
	FIELD("missing", struct repair_request, missing),
	FIELD("sanlock", struct repair_request, sanlock),
};
const struct model repair_request_model = { "RepairRequest", sizeof(struct repair_request),
	repair_request_fields, ARRAY_SIZE(repair_request_fields) };

static const struct field vm_create_request_fields[] = {
	FIELD_STRUCT("env", struct vm_create_request, env, work_env),
	FIELD("uuid", struct vm_create_request, uuid),
	FIELD_STRUCT("def", struct vm_create_request, def, vmdef),
	FIELD("admin", struct vm_create_request, admin),
};
const struct model vm_create_request_model = { "VmCreateRequest", sizeof(struct vm_create_request),
	vm_create_request_fields, ARRAY_SIZE(vm_create_request_fields) };

static const struct field vm_check_request_fields[] = {
	FIELD_STRUCT("env", struct vm_check_request, env, work_env),
	FIELD_STRUCT("def", struct vm_check_request, def, vmdef),
};
const struct model vm_check_request_model = { "VmCheckRequest", sizeof(struct vm_check_request),
	vm_check_request_fields, ARRAY_SIZE(vm_check_request_fields) };

static const struct field vm_update_request_fields[] = {
	FIELD_STRUCT("env", struct vm_update_request, env, work_env),
	FIELD("uuid", struct vm_update_request, uuid),
	FIELD_STRUCT("def", struct vm_update_request, def, vmdef),
	FIELD("admin", struct vm_update_request, admin),
	FIELD("deletestorage", struct vm_update_request, deletestorage),
	FIELD("force", struct vm_update_request, force),
};
const struct model vm_update_request_model = { "VmUpdateRequest", sizeof(struct vm_update_request),
	vm_update_request_fields, ARRAY_SIZE(vm_update_request_fields) };

static const struct field vm_delete_request_fields[] = {
	FIELD_STRUCT("env", struct vm_delete_request, env, work_env),
	FIELD("uuid", struct vm_delete_request, uuid),
	FIELD("deletestorage", struct vm_delete_request, deletestorage),
};
const struct model vm_delete_request_model = { "VmDeleteRequest", sizeof(struct vm_delete_request),
	vm_delete_request_fields, ARRAY_SIZE(vm_delete_request_fields) };

static const struct field vm_boot_request_fields[] = {
	FIELD_STRUCT("env", struct vm_boot_request, env, work_env),
	FIELD("uuid", struct vm_boot_request, uuid),
	FIELD_ARRAY("cloud_init", struct vm_boot_request, cloud_init, cloud_init_option),
	FIELD("if_needed", struct vm_boot_request, if_needed),
};
const struct model vm_boot_request_model = { "VmBootRequest", sizeof(struct vm_boot_request),
	vm_boot_request_fields, ARRAY_SIZE(vm_boot_request_fields) };

static const struct field vm_shutdown_request_fields[] = {
	FIELD_STRUCT("env", struct vm_shutdown_request, env, work_env),
	FIELD("uuid", struct vm_shutdown_request, uuid),
	FIELD("force", struct vm_shutdown_request, force),
	FIELD("if_needed", struct vm_shutdown_request, if_needed),
	FIELD("storage", struct vm_shutdown_request, storage),
};
const struct model vm_shutdown_request_model = { "VmShutdownRequest",
	sizeof(struct vm_shutdown_request), vm_shutdown_request_fields,
	ARRAY_SIZE(vm_shutdown_request_fields) };

static const struct field vm_migrate_request_fields[] = {
	FIELD_STRUCT("env", struct vm_migrate_request, env, work_env),
	FIELD("uuid", struct vm_migrate_request, uuid),
	FIELD("live", struct vm_migrate_request, live),
	FIELD("target", struct vm_migrate_request, target),
	FIELD("target_uri", struct vm_migrate_request, target_uri),
	FIELD("data_uri", struct vm_migrate_request, data_uri),
	FIELD("foreign", struct vm_migrate_request, foreign),
	FIELD("bandwidth", struct vm_migrate_request, bandwidth),
	FIELD("downtime", struct vm_migrate_request, downtime),
	FIELD("post_copy", struct vm_migrate_request, post_copy),
	FIELD("tls", struct vm_migrate_request, tls),
};
const struct model vm_migrate_request_model = { "VmMigrateRequest",
	sizeof(struct vm_migrate_request), vm_migrate_request_fields,
	ARRAY_SIZE(vm_migrate_request_fields) };

static const struct field migration_control_request_fields[] = {
	FIELD_STRUCT("env", struct migration_control_request, env, work_env),
	FIELD("uuid", struct migration_control_request, uuid),
	FIELD_ENUM("action", struct migration_control_request, action, migration_timeout),
};
const struct model migration_control_request_model = { "MigrationControlRequest",
	sizeof(struct migration_control_request), migration_control_request_fields,
	ARRAY_SIZE(migration_control_request_fields) };

static const struct field vm_request_fields[] = {
	FIELD_STRUCT("env", struct vm_request, env, work_env),
	FIELD("uuid", struct vm_request, uuid),
	FIELD("if_needed", struct vm_request, if_needed),
};
const struct model vm_request_model = { "VmRequest", sizeof(struct vm_request), vm_request_fields,
	ARRAY_SIZE(vm_request_fields) };

static const struct field vm_heal_request_fields[] = {
	FIELD_STRUCT("env", struct vm_heal_request, env, work_env),
	FIELD("uuid", struct vm_heal_request, uuid),
	FIELD("op", struct vm_heal_request, op),
	FIELD("target", struct vm_heal_request, target),
	FIELD("ended", struct vm_heal_request, ended),
};
const struct model vm_heal_request_model = { "VmHealRequest", sizeof(struct vm_heal_request),
	vm_heal_request_fields, ARRAY_SIZE(vm_heal_request_fields) };

static const struct field vm_result_fields[] = {
	FIELD("gone", struct vm_result, gone),
	FIELD("moved", struct vm_result, moved),
	FIELD("nothing", struct vm_result, nothing),
	FIELD("defined", struct vm_result, defined),
	FIELD("done", struct vm_result, done),
	FIELD_STRUCT("vm", struct vm_result, vm, vm_report),
	FIELD("warning", struct vm_result, warning),
};
const struct model vm_result_model = { "VmResult", sizeof(struct vm_result), vm_result_fields,
	ARRAY_SIZE(vm_result_fields) };

static const char *const claim_recall_words[] = { "none", "term", "kill" };
const struct enumdef claim_recall_enum = { "ClaimRecall", claim_recall_words,
	ARRAY_SIZE(claim_recall_words) };

static const struct field vm_claim_request_fields[] = {
	FIELD_STRUCT("env", struct vm_claim_request, env, work_env),
	FIELD("uuid", struct vm_claim_request, uuid),
	FIELD("from", struct vm_claim_request, from),
	FIELD("or_fail", struct vm_claim_request, or_fail),
	FIELD("doubt", struct vm_claim_request, doubt),
	FIELD_ENUM("recall", struct vm_claim_request, recall, claim_recall),
	FIELD("bounded", struct vm_claim_request, bounded),
	FIELD("memory", struct vm_claim_request, memory),
	FIELD("hugepages", struct vm_claim_request, hugepages),
	FIELD_ARRAY("away", struct vm_claim_request, away, work_uuid),
	FIELD("unproved", struct vm_claim_request, unproved),
};
const struct model vm_claim_request_model = { "VmClaimRequest", sizeof(struct vm_claim_request),
	vm_claim_request_fields, ARRAY_SIZE(vm_claim_request_fields) };

static const char *const claim_outcome_words[] = { "claimed", "lost", "held", "unsettled",
	"refused" };
const struct enumdef claim_outcome_enum = { "ClaimOutcome", claim_outcome_words,
	ARRAY_SIZE(claim_outcome_words) };

static const struct field vm_claim_result_fields[] = {
	FIELD_STRUCT("result", struct vm_claim_result, result, vm_result),
	FIELD_ENUM("outcome", struct vm_claim_result, outcome, claim_outcome),
	FIELD("why", struct vm_claim_result, why),
	FIELD("want_on", struct vm_claim_result, want_on),
};
const struct model vm_claim_result_model = { "VmClaimResult", sizeof(struct vm_claim_result),
	vm_claim_result_fields, ARRAY_SIZE(vm_claim_result_fields) };
