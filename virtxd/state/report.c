/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/report.h"

static const struct field disk_report_fields[] = {
	FIELD("index", struct disk_report, index),
	FIELD_ENUM("prov", struct disk_report, prov, disk_prov_mode),
	FIELD("capacity", struct disk_report, capacity),
	FIELD("allocation", struct disk_report, allocation),
	FIELD("physical", struct disk_report, physical),
};
const struct model disk_report_model = { "DiskReport", sizeof(struct disk_report),
	disk_report_fields, ARRAY_SIZE(disk_report_fields) };

static const struct field vm_report_fields[] = {
	FIELD("uuid", struct vm_report, uuid),
	FIELD_ENUM("runstate", struct vm_report, runstate, vmrunstate),
	FIELD("reason", struct vm_report, reason),
	FIELD("has_def", struct vm_report, has_def),
	FIELD_STRUCT("def", struct vm_report, def, vmdef),
	FIELD_STRUCT("oplog", struct vm_report, oplog, oplog_list),
	FIELD("foreign", struct vm_report, foreign),
	FIELD("foreign_why", struct vm_report, foreign_why),
	FIELD("leased", struct vm_report, leased),
	FIELD("cloud_init", struct vm_report, cloud_init),
	FIELD_ENUM("want", struct vm_report, want, want),
	FIELD("excused", struct vm_report, excused),
	FIELD("recorded", struct vm_report, recorded),
	FIELD("has_stats", struct vm_report, has_stats),
	FIELD("cpu_ns", struct vm_report, cpu_ns),
	FIELD("memory_rss", struct vm_report, memory_rss),
	FIELD("memory_total", struct vm_report, memory_total),
	FIELD("rx_bytes", struct vm_report, rx_bytes),
	FIELD("tx_bytes", struct vm_report, tx_bytes),
	FIELD_ARRAY("disks", struct vm_report, disks, disk_report),
};
const struct model vm_report_model = { "VmReport", sizeof(struct vm_report), vm_report_fields,
	ARRAY_SIZE(vm_report_fields) };

static const struct field host_report_fields[] = {
	FIELD("uuid", struct host_report, uuid),
	FIELD("has_def", struct host_report, has_def),
	FIELD_STRUCT("def", struct host_report, def, hostdef),
	FIELD("mhz", struct host_report, mhz),
	FIELD("load_factor", struct host_report, load_factor),
	FIELD("memory_total", struct host_report, memory_total),
	FIELD("memory_free", struct host_report, memory_free),
	FIELD("hp_total", struct host_report, hp_total),
	FIELD("hp_free", struct host_report, hp_free),
	FIELD("cpu_ns", struct host_report, cpu_ns),
	FIELD_ARRAY("problems", struct host_report, problems, host_problem),
};
const struct model host_report_model = { "HostReport", sizeof(struct host_report),
	host_report_fields, ARRAY_SIZE(host_report_fields) };
