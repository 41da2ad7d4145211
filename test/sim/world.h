/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The world that the hosts share and work on: the storage with its registry, journals, leases and
 * images, and what each host's libvirt has of a VM. Nothing here decides; what virtxd does to it
 * comes as the steps of jobs (see steps.h), what happens by itself is libvirt.c's.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "proto/model.h"
#include "proto/uuid.h"

#define WORLD_HOSTS	5
#define WORLD_VMS	32
#define WORLD_NOBODY	(-1)
#define WORLD_LEASE_MS	80000 /* that the leases of a dead host count */
#define WORLD_NOTE_SIZE (2 * WORLD_HOSTS + 2)

struct child;

enum world_op {
	WORLD_OP_BOOT,
	WORLD_OP_SHUTDOWN,
	WORLD_OP_PAUSE,
	WORLD_OP_RESUME,
	WORLD_OP_MIGRATE,
	WORLD_OP_CREATE,
	WORLD_OP_DELETE,
	WORLD_OP_FAILOVER,
	WORLD_OP_N,
	WORLD_OPS_LOGGED = WORLD_OP_CREATE, /* in a VM's own log */
};
extern const char *const world_op_names[WORLD_OP_N];

/* One operation in a VM's own log. */
struct world_log {
	const char *status; /* NULL: never */
	int64_t ts, te;	    /* ms, by the clock of the host that wrote it */
	char msg[UUID_TEXT_SIZE];
};

enum world_pause {
	WORLD_PAUSED_BY_USER,
	WORLD_PAUSED_BY_MIGRATION,
};

/* A VM in the libvirt of a host. */
struct world_domain {
	bool defined; /* for good */
	bool coming;  /* libvirt takes it in, or has it without a definition */
	bool on;      /* there is a process */
	bool stands;  /* whose CPUs do not run */
	enum world_pause why;
	bool went_away;	 /* it is off since a migration took it away */
	bool is_leaving; /* libvirt has a job for its migration */
	int64_t off_at;	 /* the guest obeys then, 0: it was not asked to shut down */
	struct world_log log[WORLD_OPS_LOGGED];
};

struct world_journal {
	bool there;
	enum world_op op;
	int target;
	bool live, deletestorage;
	int64_t ts;
};

struct world_vm {
	char uuid[UUID_TEXT_SIZE];
	struct vmdef def;
	bool lease, image;
	int holder;		   /* of the lease, a host; WORLD_NOBODY for none */
	int64_t holder_generation; /* with failovers: of its host id in the lockspace */
	int64_t free_at; /* ms: the holder is dead, and the lease counts until then; 0: it lives */
	bool wanted;	 /* on, as the registry has it */
	bool registry[WORLD_HOSTS];
	struct world_journal journal[WORLD_HOSTS];
	struct world_domain domain[WORLD_HOSTS];
	const struct child *lock[WORLD_HOSTS];
	bool by_hand;		     /* somebody has defined it where it was not */
	char noted[WORLD_NOTE_SIZE]; /* as the history has it last */
	/* For the checker: when it last was so, ms; 0 for never. */
	int64_t was_on[WORLD_HOSTS], was_off[WORLD_HOSTS];
	int64_t was_here[WORLD_HOSTS]; /* registered */
	int64_t
	    rests_since[WORLD_HOSTS]; /* registered and defined, and all is done; 0: it is not so */
	int64_t was_gone;
	enum vmrunstate runstate[WORLD_HOSTS];
	int64_t since[WORLD_HOSTS]; /* it is in that state */
};

struct world_maintenance {
	bool there;
	char *json;
};

/* What a host keeps of VMs that are to be booted, of one boot of the host. */
struct world_kept {
	char *json;
	unsigned int boot;
};

struct world {
	bool ha; /* with failovers, and a lockspace that they need */
	int n_hosts;
	struct world_kept kept[WORLD_HOSTS][2]; /* after a boot of the host, and of failovers */
	unsigned int boots[WORLD_HOSTS];
	struct world_vm vms[WORLD_VMS];
	size_t n_vms;
	char hosts[WORLD_HOSTS][UUID_TEXT_SIZE];
	struct world_maintenance maintenance[WORLD_HOSTS];
};
extern struct world world;

void world_reset(int n_hosts, bool ha);
struct world_vm *world_find(const char *uuid);
/* Where a create begins; NULL where there are too many. def is copied. */
struct world_vm *world_add(const char *uuid, const struct vmdef *def);
int world_host(const char *uuid);

/* The host that has the VM's file in the registry, but not this one (WORLD_NOBODY: any); or
 * WORLD_NOBODY. */
int world_registered(const struct world_vm *vm, int but);
bool world_runs(const struct world_vm *vm, int host);
bool world_is_somewhere(const struct world_vm *vm);
/* What is left of it is what somebody has defined: that waits for a repair. */
bool world_is_stray(const struct world_vm *vm);
/* Takes the lease for a host, or says who has it. */
bool world_take_lease(struct world_vm *vm, int host);
void world_free_lease(struct world_vm *vm, int host);
enum vmrunstate world_runstate(const struct world_domain *domain);
/* Something has changed: the checker's notes are brought up to date. */
void world_changed(struct world_vm *vm);

#endif
