/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/model.h"

static const char *const cstate_words[] = {
	"invalid",
	"active",
	"left",
	"failed",
};
const struct enumdef cstate_enum = { "Cstate", cstate_words, ARRAY_SIZE(cstate_words) };

static const char *const watchdog_words[] = {
	"unknown",
	"off",
	"on",
};
const struct enumdef watchdog_enum = { "Watchdog", watchdog_words, ARRAY_SIZE(watchdog_words) };

static const char *const vmrunstate_words[] = {
	"none",
	"deleted",
	"poweroff",
	"startup",
	"running",
	"paused",
	"migrating",
	"terminating",
	"pmsuspended",
	"crashed",
};
const struct enumdef vmrunstate_enum = { "Vmrunstate", vmrunstate_words,
	ARRAY_SIZE(vmrunstate_words) };

static const char *const disk_bus_words[] = {
	"virtio-blk",
	"virtio-scsi",
	"sata",
	"scsi",
};
const struct enumdef disk_bus_enum = { "DiskBus", disk_bus_words, ARRAY_SIZE(disk_bus_words) };

static const char *const disk_device_words[] = {
	"disk",
	"cdrom",
	"lun",
};
const struct enumdef disk_device_enum = { "DiskDevice", disk_device_words,
	ARRAY_SIZE(disk_device_words) };

static const char *const disk_man_mode_words[] = {
	"unmanaged",
	"managed",
};
const struct enumdef disk_man_mode_enum = { "DiskManMode", disk_man_mode_words,
	ARRAY_SIZE(disk_man_mode_words) };

static const char *const disk_prov_mode_words[] = {
	"none",
	"thin",
	"thick",
};
const struct enumdef disk_prov_mode_enum = { "DiskProvMode", disk_prov_mode_words,
	ARRAY_SIZE(disk_prov_mode_words) };

static const char *const firmware_type_words[] = {
	"bios",
	"uefi",
};
const struct enumdef firmware_type_enum = { "FirmwareType", firmware_type_words,
	ARRAY_SIZE(firmware_type_words) };

static const char *const net_type_words[] = {
	"network",
	"bridge",
};
const struct enumdef net_type_enum = { "NetType", net_type_words, ARRAY_SIZE(net_type_words) };

static const char *const net_model_words[] = {
	"virtio",
	"e1000e",
	"e1000",
};
const struct enumdef net_model_enum = { "NetModel", net_model_words, ARRAY_SIZE(net_model_words) };

static const char *const migration_type_words[] = {
	"cold",
	"live",
};
const struct enumdef migration_type_enum = { "MigrationType", migration_type_words,
	ARRAY_SIZE(migration_type_words) };

static const char *const migration_timeout_words[] = {
	"abort",
	"pause",
	"post-copy",
};
const struct enumdef migration_timeout_enum = { "MigrationTimeout", migration_timeout_words,
	ARRAY_SIZE(migration_timeout_words) };

static const char *const migration_state_words[] = {
	"none",
	"setup",
	"cancelling",
	"cancelled",
	"active",
	"pre-switchover",
	"device",
	"wait-unplug",
	"completed",
	"failed",
};
const struct enumdef migration_state_enum = { "MigrationState", migration_state_words,
	ARRAY_SIZE(migration_state_words) };

static const struct field cpuarch_fields[] = {
	FIELD("arch", struct cpuarch, arch),
	FIELD("vendor", struct cpuarch, vendor),
};
const struct model cpuarch_model = { "Cpuarch", sizeof(struct cpuarch), cpuarch_fields,
	ARRAY_SIZE(cpuarch_fields) };

static const struct field cpudef_fields[] = {
	FIELD("model", struct cpudef, model),
	FIELD("nodes", struct cpudef, nodes),
	FIELD("sockets", struct cpudef, sockets),
	FIELD("cores", struct cpudef, cores),
	FIELD("threads", struct cpudef, threads),
};
const struct model cpudef_model = { "Cpudef", sizeof(struct cpudef), cpudef_fields,
	ARRAY_SIZE(cpudef_fields) };

static const struct field vmdef_memory_fields[] = {
	FIELD("total", struct vmdef_memory, total),
	FIELD("hp", struct vmdef_memory, hp),
};
const struct model vmdef_memory_model = { "VmdefMemory", sizeof(struct vmdef_memory),
	vmdef_memory_fields, ARRAY_SIZE(vmdef_memory_fields) };

static const struct field numa_fields[] = {
	FIELD("placement", struct numa, placement),
};
const struct model numa_model = { "Numa", sizeof(struct numa), numa_fields,
	ARRAY_SIZE(numa_fields) };

static const struct field disk_fields[] = {
	FIELD("path", struct disk, path),
	FIELD_ENUM("device", struct disk, device, disk_device),
	FIELD_ENUM("bus", struct disk, bus, disk_bus),
	FIELD_ENUM("man", struct disk, man, disk_man_mode),
	FIELD_ENUM("prov", struct disk, prov, disk_prov_mode),
	FIELD("size", struct disk, size),
};
const struct model disk_model = { "Disk", sizeof(struct disk), disk_fields,
	ARRAY_SIZE(disk_fields) };

static const struct field net_fields[] = {
	FIELD("name", struct net, name),
	FIELD_ENUM("nettype", struct net, nettype, net_type),
	FIELD_ENUM("model", struct net, model, net_model),
	FIELD("mac", struct net, mac),
};
const struct model net_model = { "Net", sizeof(struct net), net_fields, ARRAY_SIZE(net_fields) };

static const struct field custom_field_fields[] = {
	FIELD("name", struct custom_field, name),
	FIELD("value", struct custom_field, value),
};
const struct model custom_field_model = { "CustomField", sizeof(struct custom_field),
	custom_field_fields, ARRAY_SIZE(custom_field_fields) };

static const struct field vmdef_fields[] = {
	FIELD("name", struct vmdef, name),
	FIELD_STRUCT("cpudef", struct vmdef, cpudef, cpudef),
	FIELD_STRUCT("memory", struct vmdef, memory, vmdef_memory),
	FIELD_STRUCT("numa", struct vmdef, numa, numa),
	FIELD_STRUCT("osdisk", struct vmdef, osdisk, disk),
	FIELD_ARRAY("disks", struct vmdef, disks, disk),
	FIELD_ARRAY("nets", struct vmdef, nets, net),
	FIELD("vlanid", struct vmdef, vlanid),
	FIELD_ENUM("firmware", struct vmdef, firmware, firmware_type),
	FIELD("genid", struct vmdef, genid),
	FIELD_ARRAY("custom", struct vmdef, custom, custom_field),
};
const struct model vmdef_model = { "Vmdef", sizeof(struct vmdef), vmdef_fields,
	ARRAY_SIZE(vmdef_fields) };

static const struct field vmruninfo_fields[] = {
	FIELD_ENUM("runstate", struct vmruninfo, runstate, vmrunstate),
	FIELD("host", struct vmruninfo, host),
	FIELD("reason", struct vmruninfo, reason),
};
const struct model vmruninfo_model = { "Vmruninfo", sizeof(struct vmruninfo), vmruninfo_fields,
	ARRAY_SIZE(vmruninfo_fields) };

static const struct field oplog_item_fields[] = {
	FIELD("op", struct oplog_item, op),
	FIELD("ts", struct oplog_item, ts),
	FIELD("te", struct oplog_item, te),
	FIELD("status", struct oplog_item, status),
	FIELD("msg", struct oplog_item, msg),
};
const struct model oplog_item_model = { "OplogItem", sizeof(struct oplog_item), oplog_item_fields,
	ARRAY_SIZE(oplog_item_fields) };

static const struct field oplog_list_fields[] = {
	FIELD_ARRAY("items", struct oplog_list, items, oplog_item),
};
const struct model oplog_list_model = { "OplogList", sizeof(struct oplog_list), oplog_list_fields,
	ARRAY_SIZE(oplog_list_fields) };

static const struct field vmstats_fields[] = {
	FIELD("cpu_utilization", struct vmstats, cpu_utilization),
	FIELD("mhz_used", struct vmstats, mhz_used),
	FIELD("memory_capacity", struct vmstats, memory_capacity),
	FIELD("memory_used", struct vmstats, memory_used),
	FIELD("disk_capacity", struct vmstats, disk_capacity),
	FIELD("disk_allocation", struct vmstats, disk_allocation),
	FIELD("disk_physical", struct vmstats, disk_physical),
	FIELD("net_rx_bw", struct vmstats, net_rx_bw),
	FIELD("net_tx_bw", struct vmstats, net_tx_bw),
	FIELD_STRUCT("oplog", struct vmstats, oplog, oplog_list),
};
const struct model vmstats_model = { "Vmstats", sizeof(struct vmstats), vmstats_fields,
	ARRAY_SIZE(vmstats_fields) };

static const struct field vm_fields[] = {
	FIELD("uuid", struct vm, uuid),
	FIELD_STRUCT("def", struct vm, def, vmdef),
	FIELD_STRUCT("runinfo", struct vm, runinfo, vmruninfo),
	FIELD_STRUCT("stats", struct vm, stats, vmstats),
	FIELD("ts", struct vm, ts),
};
const struct model vm_model = { "Vm", sizeof(struct vm), vm_fields, ARRAY_SIZE(vm_fields) };

static const struct field vm_list_fields_fields[] = {
	FIELD("name", struct vm_list_fields, name),
	FIELD("host", struct vm_list_fields, host),
	FIELD_ENUM("runstate", struct vm_list_fields, runstate, vmrunstate),
	FIELD("vlanid", struct vm_list_fields, vlanid),
	FIELD_STRUCT("custom", struct vm_list_fields, custom, custom_field),
	FIELD("ts", struct vm_list_fields, ts),
};
const struct model vm_list_fields_model = { "VmListFields", sizeof(struct vm_list_fields),
	vm_list_fields_fields, ARRAY_SIZE(vm_list_fields_fields) };

static const struct field vm_list_item_fields[] = {
	FIELD("uuid", struct vm_list_item, uuid),
	FIELD_STRUCT("fields", struct vm_list_item, fields, vm_list_fields),
	FIELD("reason", struct vm_list_item, reason),
};
const struct model vm_list_item_model = { "VmListItem", sizeof(struct vm_list_item),
	vm_list_item_fields, ARRAY_SIZE(vm_list_item_fields) };

static const struct field vm_list_fields[] = {
	FIELD_ARRAY("items", struct vm_list, items, vm_list_item),
};
const struct model vm_list_model = { "VmList", sizeof(struct vm_list), vm_list_fields,
	ARRAY_SIZE(vm_list_fields) };

static const struct field vm_list_options_fields[] = {
	FIELD_STRUCT("filter", struct vm_list_options, filter, vm_list_fields),
};
const struct model vm_list_options_model = { "VmListOptions", sizeof(struct vm_list_options),
	vm_list_options_fields, ARRAY_SIZE(vm_list_options_fields) };

static const struct field vm_create_options_fields[] = {
	FIELD_STRUCT("vmdef", struct vm_create_options, vmdef, vmdef),
	FIELD("host", struct vm_create_options, host),
};
const struct model vm_create_options_model = { "VmCreateOptions", sizeof(struct vm_create_options),
	vm_create_options_fields, ARRAY_SIZE(vm_create_options_fields) };

static const struct field vm_update_options_fields[] = {
	FIELD_STRUCT("vmdef", struct vm_update_options, vmdef, vmdef),
	FIELD("deletestorage", struct vm_update_options, deletestorage),
	FIELD("force", struct vm_update_options, force),
};
const struct model vm_update_options_model = { "VmUpdateOptions", sizeof(struct vm_update_options),
	vm_update_options_fields, ARRAY_SIZE(vm_update_options_fields) };

static const struct field vm_delete_options_fields[] = {
	FIELD("deletestorage", struct vm_delete_options, deletestorage),
};
const struct model vm_delete_options_model = { "VmDeleteOptions", sizeof(struct vm_delete_options),
	vm_delete_options_fields, ARRAY_SIZE(vm_delete_options_fields) };

static const struct field cloud_init_option_fields[] = {
	FIELD("name", struct cloud_init_option, name),
	FIELD("value", struct cloud_init_option, value),
};
const struct model cloud_init_option_model = { "CloudInitOption", sizeof(struct cloud_init_option),
	cloud_init_option_fields, ARRAY_SIZE(cloud_init_option_fields) };

static const struct field vm_boot_options_fields[] = {
	FIELD_ARRAY("cloud_init", struct vm_boot_options, cloud_init, cloud_init_option),
};
const struct model vm_boot_options_model = { "VmBootOptions", sizeof(struct vm_boot_options),
	vm_boot_options_fields, ARRAY_SIZE(vm_boot_options_fields) };

static const struct field vm_shutdown_options_fields[] = {
	FIELD("force", struct vm_shutdown_options, force),
};
const struct model vm_shutdown_options_model = { "VmShutdownOptions",
	sizeof(struct vm_shutdown_options), vm_shutdown_options_fields,
	ARRAY_SIZE(vm_shutdown_options_fields) };

static const struct field vm_migrate_options_fields[] = {
	FIELD("host", struct vm_migrate_options, host),
	FIELD_ENUM("migration_type", struct vm_migrate_options, migration_type, migration_type),
	FIELD("bandwidth", struct vm_migrate_options, bandwidth),
	FIELD("downtime", struct vm_migrate_options, downtime),
	FIELD("post_copy", struct vm_migrate_options, post_copy),
	FIELD("timeout", struct vm_migrate_options, timeout),
	FIELD_ENUM("timeout_action", struct vm_migrate_options, timeout_action, migration_timeout),
};
const struct model vm_migrate_options_model = { "VmMigrateOptions",
	sizeof(struct vm_migrate_options), vm_migrate_options_fields,
	ARRAY_SIZE(vm_migrate_options_fields) };

static const struct field vm_register_options_fields[] = {
	FIELD("host", struct vm_register_options, host),
};
const struct model vm_register_options_model = { "VmRegisterOptions",
	sizeof(struct vm_register_options), vm_register_options_fields,
	ARRAY_SIZE(vm_register_options_fields) };

static const struct field vm_reservation_fields[] = {
	FIELD("host", struct vm_reservation, host),
	FIELD("operation", struct vm_reservation, operation),
	FIELD("renew", struct vm_reservation, renew),
	FIELD("chosen", struct vm_reservation, chosen),
	FIELD("leases", struct vm_reservation, leases),
	FIELD("name", struct vm_reservation, name),
	FIELD_STRUCT("cpudef", struct vm_reservation, cpudef, cpudef),
	FIELD_STRUCT("memory", struct vm_reservation, memory, vmdef_memory),
	FIELD_ARRAY("custom", struct vm_reservation, custom, custom_field),
};
const struct model vm_reservation_model = { "VmReservation", sizeof(struct vm_reservation),
	vm_reservation_fields, ARRAY_SIZE(vm_reservation_fields) };

static const struct field vm_reservation_end_fields[] = {
	FIELD("host", struct vm_reservation_end, host),
	FIELD("operation", struct vm_reservation_end, operation),
};
const struct model vm_reservation_end_model = { "VmReservationEnd",
	sizeof(struct vm_reservation_end), vm_reservation_end_fields,
	ARRAY_SIZE(vm_reservation_end_fields) };

static const struct field transfer_progress_fields[] = {
	FIELD("total", struct transfer_progress, total),
	FIELD("transferred", struct transfer_progress, transferred),
	FIELD("remaining", struct transfer_progress, remaining),
	FIELD("rate", struct transfer_progress, rate),
	FIELD("dirty_rate", struct transfer_progress, dirty_rate),
	FIELD("iteration", struct transfer_progress, iteration),
	FIELD("expected_downtime", struct transfer_progress, expected_downtime),
	FIELD("downtime", struct transfer_progress, downtime),
};
const struct model transfer_progress_model = { "TransferProgress", sizeof(struct transfer_progress),
	transfer_progress_fields, ARRAY_SIZE(transfer_progress_fields) };

static const struct field migration_info_fields[] = {
	FIELD_ENUM("state", struct migration_info, state, migration_state),
	FIELD_STRUCT("progress", struct migration_info, progress, transfer_progress),
};
const struct model migration_info_model = { "MigrationInfo", sizeof(struct migration_info),
	migration_info_fields, ARRAY_SIZE(migration_info_fields) };

static const struct field hostresource_fields[] = {
	FIELD("total", struct hostresource, total),
	FIELD("used", struct hostresource, used),
	FIELD("free", struct hostresource, free),
	FIELD("usedos", struct hostresource, usedos),
	FIELD("reservedvms", struct hostresource, reservedvms),
	FIELD("usedvms", struct hostresource, usedvms),
	FIELD("availablevms", struct hostresource, availablevms),
};
const struct model hostresource_model = { "Hostresource", sizeof(struct hostresource),
	hostresource_fields, ARRAY_SIZE(hostresource_fields) };

static const struct field hostresources_fields[] = {
	FIELD_STRUCT("memory", struct hostresources, memory, hostresource),
	FIELD_STRUCT("hp", struct hostresources, hp, hostresource),
	FIELD_STRUCT("cpu", struct hostresources, cpu, hostresource),
};
const struct model hostresources_model = { "Hostresources", sizeof(struct hostresources),
	hostresources_fields, ARRAY_SIZE(hostresources_fields) };

static const struct field hostdef_sysinfo_fields[] = {
	FIELD("version", struct hostdef_sysinfo, version),
	FIELD("date", struct hostdef_sysinfo, date),
};
const struct model hostdef_sysinfo_model = { "HostdefSysinfo", sizeof(struct hostdef_sysinfo),
	hostdef_sysinfo_fields, ARRAY_SIZE(hostdef_sysinfo_fields) };

static const struct field hostdef_fields[] = {
	FIELD("name", struct hostdef, name),
	FIELD_STRUCT("cpuarch", struct hostdef, cpuarch, cpuarch),
	FIELD_STRUCT("cpudef", struct hostdef, cpudef, cpudef),
	FIELD("tscfreq", struct hostdef, tscfreq),
	FIELD_STRUCT("sysinfo", struct hostdef, sysinfo, hostdef_sysinfo),
	FIELD("osid", struct hostdef, osid),
	FIELD("osv", struct hostdef, osv),
};
const struct model hostdef_model = { "Hostdef", sizeof(struct hostdef), hostdef_fields,
	ARRAY_SIZE(hostdef_fields) };

static const struct field host_problem_fields[] = {
	FIELD("kind", struct host_problem, kind),
	FIELD("vm", struct host_problem, vm),
	FIELD("path", struct host_problem, path),
	FIELD("detail", struct host_problem, detail),
};
const struct model host_problem_model = { "HostProblem", sizeof(struct host_problem),
	host_problem_fields, ARRAY_SIZE(host_problem_fields) };

static const struct field repair_options_fields[] = {
	FIELD("apply", struct repair_options, apply),
	FIELD("deletestorage", struct repair_options, deletestorage),
	FIELD("define", struct repair_options, define),
};
const struct model repair_options_model = { "RepairOptions", sizeof(struct repair_options),
	repair_options_fields, ARRAY_SIZE(repair_options_fields) };

static const struct field repair_item_fields[] = {
	FIELD("kind", struct repair_item, kind),
	FIELD("vm", struct repair_item, vm),
	FIELD("path", struct repair_item, path),
	FIELD("action", struct repair_item, action),
	FIELD("done", struct repair_item, done),
	FIELD("detail", struct repair_item, detail),
};
const struct model repair_item_model = { "RepairItem", sizeof(struct repair_item),
	repair_item_fields, ARRAY_SIZE(repair_item_fields) };

static const struct field repair_list_fields[] = {
	FIELD_ARRAY("items", struct repair_list, items, repair_item),
};
const struct model repair_list_model = { "RepairList", sizeof(struct repair_list),
	repair_list_fields, ARRAY_SIZE(repair_list_fields) };

static const struct field host_fields[] = {
	FIELD("uuid", struct host, uuid),
	FIELD_STRUCT("def", struct host, def, hostdef),
	FIELD_ENUM("cstate", struct host, cstate, cstate),
	FIELD("lockid", struct host, lockid),
	FIELD_STRUCT("resources", struct host, resources, hostresources),
	FIELD("ts", struct host, ts),
	FIELD_ARRAY("problems", struct host, problems, host_problem),
	FIELD("maintenance", struct host, maintenance),
	FIELD_ENUM("watchdog", struct host, watchdog, watchdog),
};
const struct model host_model = { "Host", sizeof(struct host), host_fields,
	ARRAY_SIZE(host_fields) };

static const struct field host_list_fields_fields[] = {
	FIELD("name", struct host_list_fields, name),
	FIELD_STRUCT("cpuarch", struct host_list_fields, cpuarch, cpuarch),
	FIELD_STRUCT("cpudef", struct host_list_fields, cpudef, cpudef),
	FIELD_ENUM("cstate", struct host_list_fields, cstate, cstate),
	FIELD("memoryavailable", struct host_list_fields, memoryavailable),
	FIELD("hpavailable", struct host_list_fields, hpavailable),
	FIELD("osid", struct host_list_fields, osid),
	FIELD("osv", struct host_list_fields, osv),
	FIELD("ts", struct host_list_fields, ts),
};
const struct model host_list_fields_model = { "HostListFields", sizeof(struct host_list_fields),
	host_list_fields_fields, ARRAY_SIZE(host_list_fields_fields) };

static const struct field host_list_item_fields[] = {
	FIELD("uuid", struct host_list_item, uuid),
	FIELD_STRUCT("fields", struct host_list_item, fields, host_list_fields),
	FIELD("maintenance", struct host_list_item, maintenance),
	FIELD_ENUM("watchdog", struct host_list_item, watchdog, watchdog),
	FIELD("skew", struct host_list_item, skew),
};
const struct model host_list_item_model = { "HostListItem", sizeof(struct host_list_item),
	host_list_item_fields, ARRAY_SIZE(host_list_item_fields) };

static const struct field host_list_fields[] = {
	FIELD_ARRAY("items", struct host_list, items, host_list_item),
};
const struct model host_list_model = { "HostList", sizeof(struct host_list), host_list_fields,
	ARRAY_SIZE(host_list_fields) };

static const struct field host_list_options_fields[] = {
	FIELD_STRUCT("filter", struct host_list_options, filter, host_list_fields),
};
const struct model host_list_options_model = { "HostListOptions", sizeof(struct host_list_options),
	host_list_options_fields, ARRAY_SIZE(host_list_options_fields) };

static const struct field operation_fields[] = {
	FIELD("id", struct operation, id),
	FIELD("op", struct operation, op),
	FIELD("vm", struct operation, vm),
	FIELD("host", struct operation, host),
	FIELD("user", struct operation, user),
	FIELD("state", struct operation, state),
	FIELD("progress", struct operation, progress),
	FIELD("ts", struct operation, ts),
	FIELD("te", struct operation, te),
	FIELD("msg", struct operation, msg),
};
const struct model operation_model = { "Operation", sizeof(struct operation), operation_fields,
	ARRAY_SIZE(operation_fields) };

static const struct field operation_list_fields[] = {
	FIELD_ARRAY("items", struct operation_list, items, operation),
};
const struct model operation_list_model = { "OperationList", sizeof(struct operation_list),
	operation_list_fields, ARRAY_SIZE(operation_list_fields) };

static const struct field operation_list_fields_fields[] = {
	FIELD("vm", struct operation_list_fields, vm),
	FIELD("host", struct operation_list_fields, host),
	FIELD("op", struct operation_list_fields, op),
	FIELD("state", struct operation_list_fields, state),
	FIELD("user", struct operation_list_fields, user),
	FIELD("since", struct operation_list_fields, since),
};
const struct model operation_list_fields_model = { "OperationListFields",
	sizeof(struct operation_list_fields), operation_list_fields_fields,
	ARRAY_SIZE(operation_list_fields_fields) };

static const struct field operation_list_options_fields[] = {
	FIELD_STRUCT("filter", struct operation_list_options, filter, operation_list_fields),
};
const struct model operation_list_options_model = { "OperationListOptions",
	sizeof(struct operation_list_options), operation_list_options_fields,
	ARRAY_SIZE(operation_list_options_fields) };

static const struct field problem_fields[] = {
	FIELD("type", struct problem, type),
	FIELD("title", struct problem, title),
	FIELD("status", struct problem, status),
	FIELD("detail", struct problem, detail),
	FIELD("vm", struct problem, vm),
	FIELD("host", struct problem, host),
	FIELD("operation", struct problem, operation),
};
const struct model problem_model = { "Problem", sizeof(struct problem), problem_fields,
	ARRAY_SIZE(problem_fields) };

static const struct field placement_candidate_fields[] = {
	FIELD("host", struct placement_candidate, host),
	FIELD("name", struct placement_candidate, name),
	FIELD("feasible", struct placement_candidate, feasible),
	FIELD("reason", struct placement_candidate, reason),
	FIELD("memory", struct placement_candidate, memory),
	FIELD("cpu", struct placement_candidate, cpu),
	FIELD("vms", struct placement_candidate, vms),
};
const struct model placement_candidate_model = { "PlacementCandidate",
	sizeof(struct placement_candidate), placement_candidate_fields,
	ARRAY_SIZE(placement_candidate_fields) };

static const struct field placement_fields[] = {
	FIELD("vm", struct placement, vm),
	FIELD("host", struct placement, host),
	FIELD("reason", struct placement, reason),
	FIELD_ARRAY("candidates", struct placement, candidates, placement_candidate),
};
const struct model placement_model = { "Placement", sizeof(struct placement), placement_fields,
	ARRAY_SIZE(placement_fields) };

static const struct field maintenance_options_fields[] = {
	FIELD("dry_run", struct maintenance_options, dry_run),
};
const struct model maintenance_options_model = { "MaintenanceOptions",
	sizeof(struct maintenance_options), maintenance_options_fields,
	ARRAY_SIZE(maintenance_options_fields) };

static const struct field maintenance_end_options_fields[] = {
	FIELD("back", struct maintenance_end_options, back),
};
const struct model maintenance_end_options_model = { "MaintenanceEndOptions",
	sizeof(struct maintenance_end_options), maintenance_end_options_fields,
	ARRAY_SIZE(maintenance_end_options_fields) };

static const struct field maintenance_plan_fields[] = {
	FIELD_ARRAY("items", struct maintenance_plan, items, placement),
};
const struct model maintenance_plan_model = { "MaintenancePlan", sizeof(struct maintenance_plan),
	maintenance_plan_fields, ARRAY_SIZE(maintenance_plan_fields) };

static const struct field maintenance_vm_fields[] = {
	FIELD("vm", struct maintenance_vm, vm),
	FIELD("host", struct maintenance_vm, host),
	FIELD("reason", struct maintenance_vm, reason),
};
const struct model maintenance_vm_model = { "MaintenanceVm", sizeof(struct maintenance_vm),
	maintenance_vm_fields, ARRAY_SIZE(maintenance_vm_fields) };

static const struct field maintenance_fields[] = {
	FIELD("since", struct maintenance, since),
	FIELD("user", struct maintenance, user),
	FIELD("leaving", struct maintenance, leaving),
	FIELD("operation", struct maintenance, operation),
	FIELD_ARRAY("vms", struct maintenance, vms, maintenance_vm),
};
const struct model maintenance_model = { "Maintenance", sizeof(struct maintenance),
	maintenance_fields, ARRAY_SIZE(maintenance_fields) };

static const struct field storage_fields[] = {
	FIELD("uuid", struct storage, uuid),
	FIELD("root", struct storage, root),
};
const struct model storage_model = { "Storage", sizeof(struct storage), storage_fields,
	ARRAY_SIZE(storage_fields) };

static const struct field ready_fields[] = {
	FIELD("ready", struct ready, ready),
	FIELD("libvirt", struct ready, libvirt),
	FIELD("serf", struct ready, serf),
	FIELD("lockspace", struct ready, lockspace),
	FIELD("storage", struct ready, storage),
	FIELD("listen", struct ready, listen),
	FIELD("clock", struct ready, clock),
	FIELD("members", struct ready, members),
	FIELD("vms", struct ready, vms),
	FIELD("watchdog", struct ready, watchdog),
};
const struct model ready_model = { "Ready", sizeof(struct ready), ready_fields,
	ARRAY_SIZE(ready_fields) };
