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
	FIELD("exposed", struct ready, exposed),
	FIELD("certificate", struct ready, certificate),
	FIELD("tokens", struct ready, tokens),
	FIELD("version", struct ready, version),
	FIELD("certificate_end", struct ready, certificate_end),
	FIELD("ha", struct ready, ha),
};
const struct model ready_model = { "Ready", sizeof(struct ready), ready_fields,
	ARRAY_SIZE(ready_fields) };

static const struct field ha_reason_fields[] = {
	FIELD("detail", struct ha_reason, detail),
};
const struct model ha_reason_model = { "HaReason", sizeof(struct ha_reason), ha_reason_fields,
	ARRAY_SIZE(ha_reason_fields) };

static const struct field ha_status_fields[] = {
	FIELD("armed", struct ha_status, armed),
	FIELD("host_id", struct ha_status, host_id),
	FIELD("generation", struct ha_status, generation),
	FIELD("io_timeout", struct ha_status, io_timeout),
	FIELD("fire_timeout", struct ha_status, fire_timeout),
	FIELD_ARRAY("reasons", struct ha_status, reasons, ha_reason),
};
const struct model ha_status_model = { "HaStatus", sizeof(struct ha_status), ha_status_fields,
	ARRAY_SIZE(ha_status_fields) };

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
	FIELD_STRUCT("health", struct host, health, ready),
	FIELD_STRUCT("ha", struct host, ha, ha_status),
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

static const struct field ha_plan_vm_fields[] = {
	FIELD("vm", struct ha_plan_vm, vm),
	FIELD("name", struct ha_plan_vm, name),
	FIELD("order", struct ha_plan_vm, order),
	FIELD("memory", struct ha_plan_vm, memory),
	FIELD("hp", struct ha_plan_vm, hp),
	FIELD("host", struct ha_plan_vm, host),
	FIELD("reason", struct ha_plan_vm, reason),
};
const struct model ha_plan_vm_model = { "HaPlanVm", sizeof(struct ha_plan_vm), ha_plan_vm_fields,
	ARRAY_SIZE(ha_plan_vm_fields) };

static const struct field ha_plan_host_fields[] = {
	FIELD("host", struct ha_plan_host, host),
	FIELD("name", struct ha_plan_host, name),
	FIELD("restarts", struct ha_plan_host, restarts),
	FIELD("stranded", struct ha_plan_host, stranded),
	FIELD_ARRAY("vms", struct ha_plan_host, vms, ha_plan_vm),
};
const struct model ha_plan_host_model = { "HaPlanHost", sizeof(struct ha_plan_host),
	ha_plan_host_fields, ARRAY_SIZE(ha_plan_host_fields) };

static const struct field ha_plan_fields[] = {
	FIELD("enabled", struct ha_plan, enabled),
	FIELD("possible", struct ha_plan, possible),
	FIELD_ARRAY("items", struct ha_plan, items, ha_plan_host),
};
const struct model ha_plan_model = { "HaPlan", sizeof(struct ha_plan), ha_plan_fields,
	ARRAY_SIZE(ha_plan_fields) };

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
	FIELD("leaving", struct maintenance, restoring),
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
