/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What each job is asked and what it answers. */
#ifndef WORK_REQUESTS_H
#define WORK_REQUESTS_H

#include "proto/token.h"
#include "state/report.h"

/* Where a job works: the same for all of a host, so that job_start fills it in. */
struct work_env {
	char *uri;	    /* libvirt's */
	char *root;	    /* of the shared storage */
	char *run_dir;	    /* local, for locks */
	char *host;	    /* this host's uuid */
	int32_t io_timeout; /* sanlock's, s */
	int64_t qemu_group; /* gid that files get for QEMU, 0: that which libvirt gives it */
	char *luns;	    /* patterns of those that VMs may get, "" for all */
};
extern const struct model work_env_model;

struct work_uuid {
	char *uuid;
};
extern const struct model work_uuid_model;

struct probe_request {
	char *uri;
};
struct probe_result {
	char *uuid; /* the host's */
};
extern const struct model probe_request_model, probe_result_model;

struct collect_request {
	struct work_env env;
	bool host;		 /* report what never changes of the host, too */
	struct work_uuid *known; /* definitions that need not be read */
	size_t n_known;
};
struct collect_result {
	struct host_report host;
	struct vm_report *vms; /* all of them */
	size_t n_vms;
};
extern const struct model collect_request_model, collect_result_model;

/* Looks at some VMs alone. */
struct refresh_request {
	struct work_env env;
	struct work_uuid *vms;
	size_t n_vms;
};
struct refresh_result {
	struct vm_report *vms;
	size_t n_vms;
	struct work_uuid *gone; /* those that libvirt does not know */
	size_t n_gone;
};
extern const struct model refresh_request_model, refresh_result_model;

/* The sizes of disks, from their images. */
struct inspect_vm {
	char *uuid;
	struct disk *disks; /* in order, the osdisk first */
	size_t n_disks;
};
struct inspect_request {
	struct work_env env;
	struct inspect_vm *vms;
	size_t n_vms;
};
struct inspect_result {
	struct vm_report *vms; /* uuid and disks alone */
	size_t n_vms;
};
extern const struct model inspect_vm_model, inspect_request_model, inspect_result_model;

/* Asks whose VMs are that libvirt has here, and that are off. */
struct whose_request {
	struct work_env env;
	struct work_uuid *vms;
	size_t n_vms;
};
struct whose_result {
	struct vm_report *vms; /* this host's */
	size_t n_vms;
	struct vm_report *unregistered; /* no host's, by the registry */
	size_t n_unregistered;
	struct work_uuid *leaving; /* a migration from here was cut off: vm-heal finds out */
	size_t n_leaving;
};
extern const struct model whose_request_model, whose_result_model;

struct reconcile_request {
	struct work_env env;
	struct host_problem *known; /* what was told last: looked at again */
	size_t n_known;
	bool deep;     /* look through all images, too */
	bool loose;    /* also tell of images that are nobody's */
	int32_t limit; /* number of resources that are looked at, 0 for all */
	char *cursor;  /* those after this name, then from the first again */
	bool sanlock;  /* it answers */
	bool kill;     /* VMs whose leases it does not keep */
};
struct reconcile_result {
	struct host_problem *problems;
	size_t n_problems;
	char *cursor;		      /* for the next request */
	struct work_uuid *unfinished; /* VMs whose journal, or whose leases, wait for vm-heal */
	size_t n_unfinished;
	struct work_uuid *leftovers; /* off here, and registered under another host: undefined by
					vm-heal */
	size_t n_leftovers;
};
extern const struct model reconcile_request_model, reconcile_result_model;

/* Looks at the shared storage, or makes it, which answers with a struct storage. */
struct storage_request {
	struct work_env env;
};
/* The file system of a folder of the storage. */
struct storage_room {
	char *path;   /* of the folder */
	int64_t size; /* bytes */
	int64_t free; /* bytes that can still be written */
};
struct storage_check_result {
	char *uuid;
	struct storage_room *rooms; /* those that could be asked */
	size_t n_rooms;
};
/* Looks at all of it now, for a VM that is to come to this host. */
struct storage_look_request {
	struct work_env env;
	bool lockspace; /* it must be joined, too */
	char *vm;	/* whose LUNs must be here */
};
extern const struct model storage_request_model, storage_room_model, storage_check_result_model,
    storage_look_request_model;

struct lockspace_request {
	struct work_env env;
	bool kill; /* VMs whose process sanlock does not know */
};
struct lockspace_result {
	int32_t lockid; /* number in the lockspace, 0 while not joined */
};
/* Ends when the lockspace is not joined any more (503), or after so many seconds; its progress
 * changes with each look. */
struct lockspace_watch_request {
	struct work_env env;
	int32_t seconds; /* s, 0: one look */
	int32_t look_ms; /* ms, between two looks */
};
extern const struct model lockspace_watch_request_model;

/* How sanlock sees the hosts of the lockspace. */
struct lockspace_hosts_request {
	struct work_env env;
};
struct seen_host {
	int32_t host_id;    /* number in the lockspace */
	int64_t generation; /* number of times that it was joined with this host_id */
	int32_t io_timeout; /* s */
	int16_t sight;	    /* number of the enum lockspace_sight */
};
struct lockspace_hosts_result {
	struct seen_host *hosts;
	size_t n_hosts;
};
extern const struct model lockspace_hosts_request_model, seen_host_model,
    lockspace_hosts_result_model;

/* The VMs of another host that are to be brought back where it dies, by its folder of the
 * registry. */
struct host_vms_request {
	struct work_env env;
	char *host;	/* its uuid */
	bool otherwise; /* VMs that say nothing of it are brought back */
};
struct host_vm {
	char *uuid;
	struct vmdef def; /* name, cpudef, memory and custom alone */
	int16_t order;	  /* number: 1 to 9, the first is brought back first */
};
struct host_vms_result {
	struct host_vm *vms; /* by order, then the largest first */
	size_t n_vms;
	int32_t others; /* number of those that are wanted off, or not to be brought back */
	char *warning;	/* files that cannot be read, in words; "" for none */
};
extern const struct model host_vms_request_model, host_vm_model, host_vms_result_model;

/* Whether a watchdog protects this host; what is not answered is an error. */
struct watchdog_request {
	struct work_env env;
	int32_t sanlock; /* the number of the daemon that answers, another after each start; 0: none
			    does */
};
struct watchdog_result {
	char *why;	/* not, "" where one does */
	char *name_why; /* why sanlock's name does not let this host be armed, "" for nothing */
	/* By what it is known in the lockspace; 0 where it is not joined, or not known to be. */
	int32_t host_id;      /* number of it */
	int64_t generation;   /* number of it */
	int32_t io_timeout;   /* sanlock's, s */
	int32_t fire_timeout; /* that others count on, s */
	int64_t joined;	      /* for how long, s */
};
/* A VM that runs here without its leases, by its process. */
struct fence_process {
	char *uuid;
	int64_t pid;   /* number of it */
	int64_t start; /* ticks, number of them since the host was booted */
	char *why;     /* what is missing */
};
/* Looks for them; those of victims that still are such are killed. */
struct self_fence_request {
	struct work_env env;
	struct fence_process *victims;
	size_t n_victims;
};
struct self_fence_result {
	struct fence_process *loose; /* that run on */
	size_t n_loose;
	struct fence_process *ended;
	size_t n_ended;
};
extern const struct model fence_process_model, self_fence_request_model, self_fence_result_model;

extern const struct model watchdog_request_model, watchdog_result_model;
extern const struct model lockspace_request_model, lockspace_result_model;

struct maintenance_load_request {
	struct work_env env;
};
/* Saves what is to be known after a restart; the answer is what was saved. */
struct maintenance_save_request {
	struct work_env env;
	struct maintenance maintenance;
};
extern const struct model maintenance_load_request_model, maintenance_save_request_model;

/* All tokens, unless nothing has changed since the stamp; the answer is a token_set. */
struct tokens_load_request {
	struct work_env env;
	char *stamp;
	char *ca, *ca_key; /* files of this host, "" for none */
	char *state_dir;   /* where the hosts that are out are kept, too; "" for nowhere */
};
/* One that has a secret, or a certificate that is to be signed for the request. */
struct token_save_request {
	struct work_env env;
	struct token_record record; /* of a certificate there is no hash yet */
	char *ca, *ca_key;	    /* files of this host */
	char *request;		    /* PEM, "" for a secret */
};
struct token_save_result {
	char *hash;
	char *certificate; /* PEM, "" for a secret */
};
/* The answer is the token, of which there is the name alone. */
struct token_revoke_request {
	struct work_env env;
	char *name;
};
/* Whether a host was put out of the cluster. The answer has its uuid as a token's name. */
struct host_out_request {
	struct work_env env;
	char *uuid;
	bool out;
};
extern const struct model tokens_load_request_model, token_save_request_model,
    token_save_result_model, token_revoke_request_model, host_out_request_model;

/* Certificates for a host, or nothing but which CA it is where request is "". */
struct cluster_sign_request {
	struct work_env env;
	char *ca, *ca_key, *serf_key_file; /* files of this host; the last may be "" */
	char *uuid;
	char *request, *qemu_request; /* PEM */
	bool gives_ca_key;	      /* to the host that these are of */
	bool again;		      /* it was put out, and is let in again */
};
struct cluster_sign_result {
	char *certificate, *qemu_certificate, *ca; /* PEM */
	char *fingerprint;			   /* of the CA */
	char *serf_key;
	int32_t sanlock_group; /* its number */
	char *sealed;	       /* the CA's key for that host, "" where it is not given it */
};
extern const struct model cluster_sign_request_model, cluster_sign_result_model;

struct vm_create_request {
	struct work_env env;
	char *uuid;
	struct vmdef def; /* checked */
	bool admin;	  /* asks for it */
};
/* Whether the host can have a VM, by what its memory does not tell. */
struct vm_check_request {
	struct work_env env;
	struct vmdef def;
};
struct vm_update_request {
	struct work_env env;
	char *uuid;
	struct vmdef def; /* checked */
	bool deletestorage;
	bool force;
	bool admin; /* asks for it */
};
struct vm_delete_request {
	struct work_env env;
	char *uuid;
	bool deletestorage;
};
struct vm_boot_request {
	struct work_env env;
	char *uuid;
	struct cloud_init_option *cloud_init;
	size_t n_cloud_init;
	bool if_needed; /* one that runs is no error */
};
struct vm_shutdown_request {
	struct work_env env;
	char *uuid;
	int16_t force;	/* number of the way: 0 ACPI, 1 SIGTERM, 2 SIGKILL */
	bool if_needed; /* one that is off is no error */
	bool storage;	/* it is there, so that the registry can be told */
};
struct vm_migrate_request {
	struct work_env env;
	char *uuid;
	bool live;
	char *target;	   /* uuid of the host */
	char *target_uri;  /* of its libvirt */
	char *data_uri;	   /* where its QEMU listens: "tcp://10.0.0.2" */
	bool foreign;	   /* it runs no virtxd of this kind: the source ends the VM's record */
	int32_t bandwidth; /* MiB/s at most, 0 for no limit */
	int32_t downtime;  /* ms that the VM may stand still at the end, 0 for QEMU's own */
	bool post_copy;
	bool tls; /* QEMU encrypts what it sends */
};
/* Which of the VMs a migration would not take away, whatever the target is. */
struct vm_stays_request {
	struct work_env env;
	struct work_uuid *vms;
	size_t n_vms;
	bool live;     /* it is meant to be */
	bool as_it_is; /* live where the VM is on */
};
struct vm_stay {
	char *uuid, *why;
};
struct vm_stays_result {
	struct vm_stay *vms; /* those that stay */
	size_t n_vms;
};
extern const struct model vm_stays_request_model, vm_stay_model, vm_stays_result_model;

/* VMs that are to be booted after the host was, in order; why is "" of those that were not tried
 * yet, else why it failed. */
struct autostart_request {
	struct work_env env;
	bool keep; /* these; else what was kept is told */
	struct vm_stay *vms;
	size_t n_vms;
	bool failover; /* those that are claimed from a dead host, which are kept apart */
};
struct autostart_result {
	bool kept; /* something was, since the host was booted */
	struct vm_stay *vms;
	size_t n_vms;
};
extern const struct model autostart_request_model, autostart_result_model;

/* What is done with a live migration under way; MIGRATION_TIMEOUT_ABORT is any user's, too. */
struct migration_control_request {
	struct work_env env;
	char *uuid;
	enum migration_timeout action;
};
struct vm_request {
	struct work_env env;
	char *uuid;
	bool if_needed; /* one that is so already is no error */
};
struct vm_heal_request {
	struct work_env env;
	char *uuid;
	char *op; /* the operation of the VM that was interrupted, "" for none that is asked for */
	char *target; /* the host that it was to move the VM to */
	bool ended;   /* it was ended by what is none of its guest's doing, as is known */
};
/* The answer of every vm- job. */
struct vm_result {
	bool gone;    /* the VM is no more; else vm tells how it is now */
	bool moved;   /* the VM is on another host; vm tells nothing */
	bool nothing; /* it was already as was asked for */
	bool defined; /* libvirt did not have it before (vm-register) */
	bool done;    /* what the operation wanted is so (vm-heal) */
	struct vm_report vm;
	char *warning; /* what was left undone, "" for nothing */
};
/* Whether a host that holds a VM's leases is made to end it there. */
enum claim_recall {
	CLAIM_RECALL_NONE,
	CLAIM_RECALL_TERM, /* its process gets a SIGTERM */
	CLAIM_RECALL_KILL, /* or a SIGKILL */
};
extern const struct enumdef claim_recall_enum;
/* Makes another host's VM this one's, by its leases: for a host that is dead. */
struct vm_claim_request {
	struct work_env env;
	char *uuid;
	char *from;   /* uuid of the host whose registry has it, "" for whichever has */
	bool or_fail; /* what is not claimed is an error: for an operation */
	/* Whether that host is dead is for sanlock to say, unless it is one of those that serf says
	 * are away. Who does not ask for this knows that it is. */
	bool doubt;
	enum claim_recall recall;
	/* What this host has for VMs that are wanted on, where that is known and matters. */
	bool bounded;
	int64_t memory, hugepages; /* MiB */
	struct work_uuid *away;
	size_t n_away;
	char *unproved; /* a warning of one that is claimed: why its end there is no fact; "": it is
			 */
};
enum claim_outcome {
	CLAIM_CLAIMED,	 /* the VM is this host's, defined and off */
	CLAIM_LOST,	 /* the registry has it under another host by now, or under none */
	CLAIM_HELD,	 /* a host that lives, or is not known to be dead yet, holds a lease */
	CLAIM_UNSETTLED, /* an operation that is not over, and cannot be ended from here */
	CLAIM_REFUSED,	 /* nothing keeps it from running twice, or it cannot be here */
};
extern const struct enumdef claim_outcome_enum;
struct vm_claim_result {
	struct vm_result result; /* as of every vm- job; of a VM that is claimed. The first */
	enum claim_outcome outcome;
	char *why; /* it is not claimed: for people, in sanlock's words where these are; else "" */
	bool want_on; /* the VM was wanted on, and is to be booted */
};
extern const struct model vm_claim_request_model, vm_claim_result_model;
/* A VM that the cluster has, and its host. */
struct repair_vm {
	char *uuid;
	char *host;
	bool active; /* the host is */
};
/* The answer is a repair_list. */
struct repair_request {
	struct work_env env;
	struct repair_options options;
	struct repair_vm *elsewhere; /* the VMs of the other hosts */
	size_t n_elsewhere;
	char *missing; /* whose VMs are not among them, in words; "" for none */
	bool sanlock;  /* it answers */
};
extern const struct model repair_vm_model, repair_request_model;
extern const struct model vm_check_request_model, vm_create_request_model, vm_update_request_model,
    vm_delete_request_model, vm_boot_request_model, vm_migrate_request_model,
    migration_control_request_model;
extern const struct model vm_shutdown_request_model, vm_request_model, vm_heal_request_model,
    vm_result_model;

#endif
