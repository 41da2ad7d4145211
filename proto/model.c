/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/model.h"

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

static const char *const want_words[] = {
	"unknown",
	"off",
	"on",
};
const struct enumdef want_enum = { "Want", want_words, ARRAY_SIZE(want_words) };

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
	FIELD_SIZE("total", struct vmdef_memory, total),
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
	FIELD_SIZE("size", struct disk, size),
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
	FIELD_ENUM("last", struct vmruninfo, last, vmrunstate),
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
	FIELD_ENUM("want", struct vm, want, want),
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
	FIELD_ENUM("last", struct vm_list_item, last, vmrunstate),
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

static const struct field vm_failover_options_fields[] = {
	FIELD("host", struct vm_failover_options, host),
};
const struct model vm_failover_options_model = { "VmFailoverOptions",
	sizeof(struct vm_failover_options), vm_failover_options_fields,
	ARRAY_SIZE(vm_failover_options_fields) };

static const struct field vm_recall_options_fields[] = {
	FIELD("host", struct vm_recall_options, host),
	FIELD("force", struct vm_recall_options, force),
};
const struct model vm_recall_options_model = { "VmRecallOptions", sizeof(struct vm_recall_options),
	vm_recall_options_fields, ARRAY_SIZE(vm_recall_options_fields) };

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
