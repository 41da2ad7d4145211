/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The API model: what travels as JSON between clients, hosts and jobs. Member names are the JSON
 * names. A number has its unit beside it ("number" where it counts), or above the struct: "All in
 * UNIT"; test/check_model looks. */
#ifndef PROTO_MODEL_H
#define PROTO_MODEL_H

#include "proto/table.h"

enum cstate {
	CSTATE_INVALID = 0,
	CSTATE_ACTIVE,
	CSTATE_LEFT,
	CSTATE_FAILED,
};
extern const struct enumdef cstate_enum;

/* Whether one resets a host whose leases others may take. */
enum watchdog {
	WATCHDOG_UNKNOWN = 0,
	WATCHDOG_OFF,
	WATCHDOG_ON,
};
extern const struct enumdef watchdog_enum;

enum vmrunstate {
	VMRUNSTATE_NONE = 0,
	VMRUNSTATE_DELETED,
	VMRUNSTATE_POWEROFF,
	VMRUNSTATE_STARTUP,
	VMRUNSTATE_RUNNING,
	VMRUNSTATE_PAUSED,
	VMRUNSTATE_MIGRATING,
	VMRUNSTATE_TERMINATING,
	VMRUNSTATE_PMSUSPENDED,
	VMRUNSTATE_CRASHED,
};
extern const struct enumdef vmrunstate_enum;

/* Whether a VM is to be on, as it was asked for last. */
enum want {
	WANT_UNKNOWN = 0, /* nothing is recorded */
	WANT_OFF,
	WANT_ON,
};
extern const struct enumdef want_enum;

enum disk_bus {
	DISK_BUS_VIRTIO_BLK = 0,
	DISK_BUS_VIRTIO_SCSI,
	DISK_BUS_SATA,
	DISK_BUS_SCSI,
};
extern const struct enumdef disk_bus_enum;

enum disk_device {
	DISK_DEVICE_DISK = 0,
	DISK_DEVICE_CDROM,
	DISK_DEVICE_LUN,
};
extern const struct enumdef disk_device_enum;

enum disk_man_mode {
	DISK_MAN_MODE_UNMANAGED = 0,
	DISK_MAN_MODE_MANAGED,
};
extern const struct enumdef disk_man_mode_enum;

enum disk_prov_mode {
	DISK_PROV_MODE_NONE = 0,
	DISK_PROV_MODE_THIN,
	DISK_PROV_MODE_THICK,
};
extern const struct enumdef disk_prov_mode_enum;

enum firmware_type {
	FIRMWARE_TYPE_BIOS = 0,
	FIRMWARE_TYPE_UEFI,
};
extern const struct enumdef firmware_type_enum;

enum net_type {
	NET_TYPE_NETWORK = 0,
	NET_TYPE_BRIDGE,
};
extern const struct enumdef net_type_enum;

enum net_model {
	NET_MODEL_VIRTIO = 0,
	NET_MODEL_E1000E,
	NET_MODEL_E1000,
};
extern const struct enumdef net_model_enum;

enum migration_type {
	MIGRATION_TYPE_COLD = 0,
	MIGRATION_TYPE_LIVE,
};
extern const struct enumdef migration_type_enum;

enum migration_state {
	MIGRATION_STATE_NONE = 0,
	MIGRATION_STATE_SETUP,
	MIGRATION_STATE_CANCELLING,
	MIGRATION_STATE_CANCELLED,
	MIGRATION_STATE_ACTIVE,
	MIGRATION_STATE_PRE_SWITCHOVER,
	MIGRATION_STATE_DEVICE,
	MIGRATION_STATE_WAIT_UNPLUG,
	MIGRATION_STATE_COMPLETED,
	MIGRATION_STATE_FAILED,
};
extern const struct enumdef migration_state_enum;

struct cpuarch {
	char *arch;
	char *vendor;
};
extern const struct model cpuarch_model;

struct cpudef {
	char *model;
	int16_t nodes;	 /* NUMA nodes; of hosts only */
	int16_t sockets; /* number; of a host: per node */
	int16_t cores;	 /* number per socket */
	int16_t threads; /* number per core */
};
extern const struct model cpudef_model;

struct vmdef_memory {
	int32_t total; /* MiB */
	bool hp;
};
extern const struct model vmdef_memory_model;

struct numa {
	bool placement;
};
extern const struct model numa_model;

struct disk {
	char *path;
	enum disk_device device;
	enum disk_bus bus;
	enum disk_man_mode man;
	enum disk_prov_mode prov;
	int32_t size; /* MiB */
};
extern const struct model disk_model;

struct net {
	char *name;
	enum net_type nettype;
	enum net_model model;
	char *mac;
};
extern const struct model net_model;

struct custom_field {
	char *name;
	char *value;
};
extern const struct model custom_field_model;

struct vmdef {
	char *name;
	struct cpudef cpudef;
	struct vmdef_memory memory;
	struct numa numa;
	struct disk osdisk;
	struct disk *disks;
	size_t n_disks;
	struct net *nets;
	size_t n_nets;
	int16_t vlanid; /* VLAN tag, 0 for none */
	enum firmware_type firmware;
	char *genid;
	struct custom_field *custom;
	size_t n_custom;
};
extern const struct model vmdef_model;

struct vmruninfo {
	enum vmrunstate runstate;
	char *host;
	char *reason;	      /* why it is so, for people; "" where there is nothing to say */
	enum vmrunstate last; /* of one that is not known, as its host has failed: what was told
				 last; else none */
};
extern const struct model vmruninfo_model;

struct oplog_item {
	char *op;
	int64_t ts; /* ms since the epoch */
	int64_t te; /* ms since the epoch, 0 while it goes on */
	char *status;
	char *msg;
};
extern const struct model oplog_item_model;

struct oplog_list {
	struct oplog_item *items;
	size_t n_items;
};
extern const struct model oplog_list_model;

struct vmstats {
	int32_t cpu_utilization; /* per cent of one CPU */
	int32_t mhz_used;	 /* MHz */
	int64_t memory_capacity; /* MiB defined */
	int64_t memory_used;	 /* MiB that its QEMU occupies */
	int64_t disk_capacity;	 /* MiB that its disks offer */
	int64_t disk_allocation; /* MiB written on them */
	int64_t disk_physical;	 /* MiB that they take on the storage */
	int32_t net_rx_bw;	 /* KiB/s received */
	int32_t net_tx_bw;	 /* KiB/s sent */
	struct oplog_list oplog;
};
extern const struct model vmstats_model;

struct vm {
	char *uuid;
	struct vmdef def;
	struct vmruninfo runinfo;
	struct vmstats stats;
	int64_t ts; /* ms since the epoch */
	enum want want;
};
extern const struct model vm_model;

struct vm_list_fields {
	char *name;
	char *host;
	enum vmrunstate runstate;
	int16_t vlanid; /* VLAN tag, 0 for none */
	struct custom_field custom;
	int64_t ts; /* ms since the epoch */
};
extern const struct model vm_list_fields_model;

struct vm_list_item {
	char *uuid;
	struct vm_list_fields fields;
	char *reason;	      /* in events of its own host: of its run state, as in vmruninfo */
	enum vmrunstate last; /* as in vmruninfo */
};
extern const struct model vm_list_item_model;

struct vm_list {
	struct vm_list_item *items;
	size_t n_items;
};
extern const struct model vm_list_model;

struct vm_list_options {
	struct vm_list_fields filter;
};
extern const struct model vm_list_options_model;

struct vm_create_options {
	struct vmdef vmdef;
	char *host;
};
extern const struct model vm_create_options_model;

struct vm_update_options {
	struct vmdef vmdef;
	bool deletestorage;
	bool force; /* what no Vmdef says and cannot stay goes */
};
extern const struct model vm_update_options_model;

struct vm_delete_options {
	bool deletestorage;
};
extern const struct model vm_delete_options_model;

struct cloud_init_option {
	char *name;
	char *value;
};
extern const struct model cloud_init_option_model;

struct vm_boot_options {
	struct cloud_init_option *cloud_init;
	size_t n_cloud_init;
};
extern const struct model vm_boot_options_model;

struct vm_shutdown_options {
	int16_t force; /* number of the way: 0 ACPI, 1 SIGTERM, 2 SIGKILL */
};
extern const struct model vm_shutdown_options_model;

enum migration_timeout {
	MIGRATION_TIMEOUT_ABORT = 0,
	MIGRATION_TIMEOUT_PAUSE,
	MIGRATION_TIMEOUT_POST_COPY,
};
extern const struct enumdef migration_timeout_enum;

/* All but the first two are for live migrations, and unset when 0. */
struct vm_migrate_options {
	char *host;
	enum migration_type migration_type;
	int32_t bandwidth; /* MiB/s at most */
	int32_t downtime;  /* ms that the VM may stand still at the end */
	bool post_copy;	   /* it may go on on the other host before all its memory is there */
	int32_t timeout;   /* s, then timeout_action */
	enum migration_timeout timeout_action;
};
extern const struct model vm_migrate_options_model;

struct vm_register_options {
	char *host;
};
extern const struct model vm_register_options_model;

/* A VM whose host is dead. */
struct vm_failover_options {
	char *host; /* uuid of the one that is to have it, "" for the one that answers */
};
extern const struct model vm_failover_options_model;

/* A VM whose host lives, and cannot be asked to end it. */
struct vm_recall_options {
	char *host; /* as above */
	bool force; /* its process gets a SIGKILL, not a SIGTERM */
};
extern const struct model vm_recall_options_model;

/* What a VM that comes from another host needs of this one. */
struct vm_reservation {
	char *host;	 /* that is asked */
	char *operation; /* that moves the VM */
	bool renew;	 /* the VM is on its way: there is nothing to refuse any more */
	bool chosen;	 /* the host was, by placement: what is to be apart counts, too */
	bool leases;	 /* it has some */
	char *name;
	struct cpudef cpudef;
	struct vmdef_memory memory;
	struct custom_field *custom;
	size_t n_custom;
};
extern const struct model vm_reservation_model;

struct vm_reservation_end {
	char *host;
	char *operation;
};
extern const struct model vm_reservation_end_model;

struct transfer_progress {
	int64_t total;		   /* MiB */
	int64_t transferred;	   /* MiB */
	int64_t remaining;	   /* MiB */
	float rate;		   /* MiB/s */
	float dirty_rate;	   /* MiB/s that the guest changes */
	int32_t iteration;	   /* number of rounds through the memory */
	int32_t expected_downtime; /* ms */
	int32_t downtime;	   /* ms, of one that is completed */
};
extern const struct model transfer_progress_model;

struct migration_info {
	enum migration_state state;
	struct transfer_progress progress;
};
extern const struct model migration_info_model;

/* All in MiB, of the cpu in MHz. */
struct hostresource {
	int32_t total;
	int32_t used;
	int32_t free;
	int32_t usedos;
	int32_t reservedvms;
	int32_t usedvms;
	int32_t availablevms;
};
extern const struct model hostresource_model;

struct hostresources {
	struct hostresource memory;
	struct hostresource hp;
	struct hostresource cpu;
};
extern const struct model hostresources_model;

struct hostdef_sysinfo {
	char *version;
	char *date;
};
extern const struct model hostdef_sysinfo_model;

struct hostdef {
	char *name;
	struct cpuarch cpuarch;
	struct cpudef cpudef;
	int64_t tscfreq; /* Hz, 0 where it is not known */
	struct hostdef_sysinfo sysinfo;
	char *osid;
	char *osv;
};
extern const struct model hostdef_model;

struct host_problem {
	char *kind;
	char *vm;
	char *path;
	char *detail;
};
extern const struct model host_problem_model;

struct repair_options {
	bool apply; /* else nothing is changed */
	bool deletestorage;
	bool define;
};
extern const struct model repair_options_model;

struct repair_item {
	char *kind; /* as of the host_problem */
	char *vm;
	char *path;
	char *action; /* what is or would be done, "none" for nothing */
	bool done;
	char *detail; /* what is wrong, or why it was not done */
};
extern const struct model repair_item_model;

struct repair_list {
	struct repair_item *items;
	size_t n_items;
};
extern const struct model repair_list_model;

/* What a host says of itself. */
struct ready {
	bool ready;
	char *libvirt;
	char *serf;
	char *lockspace;
	char *storage;
	char *listen;
	char *clock; /* these do not keep it from being ready */
	char *members;
	char *vms;
	char *watchdog;
	char *exposed;
	char *certificate;
	char *tokens;
	char *version;		 /* of virtxd */
	int64_t certificate_end; /* ms since the epoch, when others take it no more; 0: none */
	char *ha;		 /* this does not keep it from being ready either */
};
extern const struct model ready_model;

struct ha_reason {
	char *detail;
};
extern const struct model ha_reason_model;

/* Whether others may take over what a host runs when it fails. */
struct ha_status {
	bool armed;	      /* as the host has told the others */
	int16_t host_id;      /* number of it in sanlock's lockspace, 0 where it is not armed */
	int64_t generation;   /* number of times that the host_id was taken, 0 likewise */
	int32_t io_timeout;   /* sanlock's, s; 0 likewise */
	int32_t fire_timeout; /* the watchdog's, s; 0 likewise */
	struct ha_reason *reasons; /* why it is not, or not any more, where it answers itself */
	size_t n_reasons;
};
extern const struct model ha_status_model;

struct host {
	char *uuid;
	struct hostdef def;
	enum cstate cstate;
	int16_t lockid; /* number in the lockspace, 1 to 2000; 0 while not joined */
	struct hostresources resources;
	int64_t ts; /* ms since the epoch */
	struct host_problem *problems;
	size_t n_problems;
	bool maintenance; /* no VMs are placed on it */
	enum watchdog watchdog;
	struct ready health; /* where it answers itself; else nothing is in it */
	struct ha_status ha;
};
extern const struct model host_model;

struct host_list_fields {
	char *name;
	struct cpuarch cpuarch;
	struct cpudef cpudef;
	enum cstate cstate;
	int32_t memoryavailable; /* MiB */
	int32_t hpavailable;	 /* MiB */
	char *osid;
	char *osv;
	int64_t ts; /* ms since the epoch */
};
extern const struct model host_list_fields_model;

struct host_list_item {
	char *uuid;
	struct host_list_fields fields;
	bool maintenance;
	enum watchdog watchdog;
	int64_t skew; /* ms that its clock is ahead of that of the host that lists it */
};
extern const struct model host_list_item_model;

struct host_list {
	struct host_list_item *items;
	size_t n_items;
};
extern const struct model host_list_model;

struct host_list_options {
	struct host_list_fields filter;
};
extern const struct model host_list_options_model;

struct operation {
	char *id;
	char *op;
	char *vm;
	char *host;
	char *user;
	char *state;
	int32_t progress; /* per cent, -1 where it is not known */
	int64_t ts;	  /* ms since the epoch */
	int64_t te;	  /* ms since the epoch, 0 while it goes on */
	char *msg;
};
extern const struct model operation_model;

struct operation_list {
	struct operation *items;
	size_t n_items;
};
extern const struct model operation_list_model;

/* Which operations to list; what is empty or 0 does not filter. */
struct operation_list_fields {
	char *vm;
	char *host;
	char *op;
	char *state;
	char *user;
	int64_t since; /* ms since the epoch: those that began then or later */
};
struct operation_list_options {
	struct operation_list_fields filter;
};
extern const struct model operation_list_fields_model, operation_list_options_model;

struct problem {
	char *type;
	char *title;
	int32_t status; /* HTTP status */
	char *detail;
	char *vm;
	char *host;
	char *operation;
};
extern const struct model problem_model;

/* A host, and how it would be with a VM on it. */
struct placement_candidate {
	char *host;
	char *name;
	bool feasible;
	char *reason;	/* why it is not, or how it would be */
	int32_t memory; /* MiB of the VM's kind that would be left for VMs */
	int32_t cpu;	/* per cent: vCPUs of its VMs by CPUs */
	int32_t vms;	/* number that it would have */
};
extern const struct model placement_candidate_model;

struct placement {
	char *vm;   /* "" for one that is to be created */
	char *host; /* "" where none is feasible */
	char *reason;
	struct placement_candidate
	    *candidates; /* the best first, then those that are not feasible */
	size_t n_candidates;
};
extern const struct model placement_model;

struct maintenance_options {
	bool dry_run; /* nothing is changed, and the plan is told */
};
extern const struct model maintenance_options_model;

struct maintenance_end_options {
	bool back; /* what was moved away comes back */
};
extern const struct model maintenance_end_options_model;

/* Where each VM of a host would go. */
/* A VM of a host that is thought to die. */
struct ha_plan_vm {
	char *vm;
	char *name;
	int16_t order;	/* number: its turn, 1 to 9 */
	int32_t memory; /* MiB */
	bool hp;
	char *host;   /* that would bring it back, "" for none */
	char *reason; /* why that one, or why none */
};
extern const struct model ha_plan_vm_model;

struct ha_plan_host {
	char *host; /* that is thought to die */
	char *name;
	int32_t restarts; /* number of VMs that another host would bring back */
	int32_t stranded; /* number of those that none would, and is to */
	struct ha_plan_vm *vms;
	size_t n_vms;
};
extern const struct model ha_plan_host_model;

struct ha_plan {
	bool enabled;  /* VMs are brought back at all, as the host that answers has it */
	bool possible; /* nothing is stranded by the loss of any one of the hosts */
	struct ha_plan_host *items;
	size_t n_items;
};
extern const struct model ha_plan_model;

struct maintenance_plan {
	struct placement *items;
	size_t n_items;
};
extern const struct model maintenance_plan_model;

/* A VM that was on the host. */
struct maintenance_vm {
	char *vm;
	char *host;   /* where it went, "" while it is here */
	char *reason; /* why it did not go, or come back */
};
extern const struct model maintenance_vm_model;

/* Of one host; also the file that keeps it. */
struct maintenance {
	int64_t since; /* ms since the epoch, 0: it is not in maintenance */
	char *user;
	bool restoring;	 /* "leaving" in JSON: it has ended, and the VMs come back */
	char *operation; /* the latest that moves VMs */
	struct maintenance_vm *vms;
	size_t n_vms;
};
extern const struct model maintenance_model;

/* The storage that the hosts of a cluster share. */
struct storage {
	char *uuid;
	char *root; /* where it is mounted */
};
extern const struct model storage_model;

#endif
