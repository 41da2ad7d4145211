/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A job is a list of steps over the world, in the order of the real work's. Between any two of them
 * time passes, and the job may be killed there. What a step does is done at once and whole: one
 * call to libvirt, one file on the storage.
 */
#ifndef SIM_STEPS_H
#define SIM_STEPS_H

#include "job/child.h"
#include "libvirt.h"
#include "work/requests.h"

enum step {
	STEP_NEXT,
	STEP_AGAIN, /* it is not over: the same once more */
	STEP_FAIL,  /* the job ends with child.err */
	STEP_DONE,  /* the job ends with its result */
};
typedef enum step (*step_fn)(struct child *child);

struct child {
	const struct work *work;
	enum work_id id;
	const struct child_ops *ops; /* NULL: virtxd has forgotten it */
	void *arg;
	int host;
	unsigned int start;   /* of virtxd */
	unsigned int libvirt; /* which libvirtd it is connected to */
	void *request;	      /* as the work's model has it */
	void *result;
	struct error err;
	bool failed, ended, late;
	char *text; /* of the result, JSON */
	size_t len;
	enum work_stage stage;
	struct timer *timer;
	int64_t late_at;  /* its deadline, ms */
	bool killed;	  /* it ends when the storage lets it */
	bool written_off; /* it outlived that */
	const step_fn *at;
	struct child *next;

	/* Of a VM's. */
	struct world_vm *vm; /* NULL while there is none of that uuid */
	struct libvirt_migration *migration;
	enum {
		DECIDED_NOTHING,
		DECIDED_STAY,
		DECIDED_LEAVE,
		DECIDED_HAND, /* nothing of it is here any more */
		DECIDED_HANDED,
	} decided;
	bool moved;
	struct world_journal earlier; /* of a deletion, before it began */
	bool adrift;		      /* libvirt has refused */
	bool holds;		      /* the VM's lease, and no process of the VM does */
	int target;
	int64_t ts;	 /* of the entry in its log */
	int64_t ends_at; /* of one that goes on for a while, ms */
	int64_t wait;	 /* ms until the next step, 0: as it comes */
};

/* The steps of each work, NULL-terminated. */
extern const step_fn *const steps_of[WORK_N];
/* Of virtxd's own and host-wide works. */
extern const step_fn steps_probe[], steps_collect[], steps_refresh[], steps_whose[],
    steps_inspect[], steps_reconcile[], steps_storage_check[], steps_storage_look[],
    steps_lockspace[], steps_lockspace_watch[], steps_watchdog[], steps_self_fence[], steps_stays[],
    steps_autostart[], steps_lockspace_hosts[], steps_host_vms[], steps_maintenance_load[],
    steps_maintenance_save[], steps_migration_info[];
/* Of a VM's. */
extern const step_fn steps_create[], steps_delete[], steps_boot[], steps_shutdown[], steps_pause[],
    steps_resume[], steps_migrate[], steps_abort[], steps_heal[], steps_claim[];

/* Where the registry has a VM, as vm_owner.h has it. */
enum step_place { PLACE_HERE, PLACE_NOWHERE, PLACE_COMING, PLACE_ELSEWHERE };
enum step_place step_place(const struct world_vm *vm, int host, int *other);
bool step_is_leftover(const struct world_vm *vm, int host);
/* The VM's lock, as the job holds it to its end. */
enum step step_lock(struct child *child);
enum step step_open_libvirt(struct child *child);
/* Whether its connection still works: that ends with libvirtd, and no job makes another. */
bool step_has_libvirt(const struct child *child);
enum step step_recover(struct child *child);
/* The VM's domain has to be there. */
enum step step_find(struct child *child);
/* Whether it is this host's to change. */
enum step step_check_owner(struct child *child);
/* The VM as it is now becomes the result. */
enum step step_report(struct child *child);
/* What a job has seen is told later, and may be old by then. */
enum step step_has_looked(struct child *child);
void step_report_vm(const struct world_vm *vm, int host, struct vm_report *ret);
/* Settles a migration by its journal: one act at a time. */
enum step step_settle(struct child *child);
enum step step_roll_forward(struct child *child);
/* Begins it on the host of the job, with its target. */
void step_save_journal(struct child *child, enum world_op op);
void step_set_stage(struct child *child, enum work_stage stage);
enum step step_fail_storage(struct child *child);
enum step step_fail(struct child *child, int status, const char *fmt, ...) PRINTF(3, 4);

/* Those that touch the storage, NULL-terminated. */
extern const step_fn steps_on_storage[], host_steps_on_storage[], vm_steps_on_storage[];
/* The same, where what follows of an error is their own matter. */
extern const step_fn vm_steps_asking_storage[];

/* Ends a job that runs, as a kill does; false where none does. */
bool child_kill_any(void);
/* Those of a host that has no power. */
void child_drop(int host);
void children_reset(void);
size_t children_count(void);

#endif
