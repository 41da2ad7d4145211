/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VMs of one dead host, each of which is claimed by its leases and then booted. All survivors
 * do this at once: which of them is the first to try is the same on each, by a hash of VM and host
 * over those that are armed and have room; the others follow at intervals, in case it does not.
 *
 *   waiting  -> claiming   its turn has come, and there is room here
 *   waiting  -> over       another host has it, or nobody's host is dead any more
 *   claiming -> waiting    somebody holds a lease, or it is not settled: it is asked again
 *   claiming -> claimed    it is this host's, and wanted on
 *   claiming -> over       another host was faster, it is not wanted on, or it may not be claimed
 *   claimed  -> booting    this host knows it, and is ready
 *   claimed  -> over       it runs, or is not to be booted any more, or never was claimed
 *   booting  -> claimed    its images are still locked, or the host could not: it is tried again
 *   booting  -> over       it runs, or does not
 *   over     -> waiting    the dead host has it still, or again
 */
#ifndef OPS_FAILOVER_VMS_H
#define OPS_FAILOVER_VMS_H

#include "ops/context.h"

#define FAILOVER_RANK_MS  10000	 /* from the turn of one host to that of the next */
#define FAILOVER_TRIES_MS 120000 /* for how long it is tried again */
#define FAILOVER_AT_ONCE  2	 /* VMs that this host claims or boots */
#define FAILOVER_LOOKS	  32	 /* VMs whose turn is looked for in a second */

enum failover_result {
	FAILOVER_WAITS, /* it is not over */
	FAILOVER_BOOTED,
	FAILOVER_UNWANTED,  /* claimed, and not wanted on any more */
	FAILOVER_UNBOOTED,  /* claimed, and does not start */
	FAILOVER_LOST,	    /* another host has it */
	FAILOVER_HELD,	    /* somebody holds a lease of it */
	FAILOVER_UNSETTLED, /* an operation on it is not over, and cannot be ended from here */
	FAILOVER_REFUSED,   /* it may not be claimed */
	FAILOVER_NO_ROOM,   /* no host can take it: it waits until one can */
	FAILOVER_RESULT_N,
};
extern const struct enumdef failover_result_enum;

/* What all lists of a host have in common, and what became of VMs since virtxd was started. */
struct failover_count {
	unsigned int at_once; /* VMs that are claimed or booted now */
	uint64_t results[FAILOVER_RESULT_N];
	int64_t booted_ms; /* from the last word of the host until the VM ran, summed */
};

/* A VM as it is told. */
struct failover_vm_view {
	const char *uuid, *name;
	enum failover_result result;
	const char *why; /* "" for nothing */
	bool over;
};

struct failover_vms;

/*
 * ctx and count are borrowed; what the job host-vms has found is taken out of found. host is the
 * uuid of the dead host, and since when it was suspected (monotonic ms).
 */
struct failover_vms *failover_vms_new(struct context *ctx, struct failover_count *count,
    const char *host, struct host_vms_result *found, int64_t since);
/* The same for VMs that a virtxd before this one may have claimed: those that it has are booted. */
struct failover_vms *failover_vms_restored(
    struct context *ctx, struct failover_count *count, const struct vm_stay *vms, size_t n);
/* Those that the host has still, or again, after all were over; as failover_vms_new. */
void failover_vms_add(struct failover_vms *list, struct host_vms_result *found);
/* NULL is fine. None may be under way, unless virtxd stops, after jobs_free and tasks_free. */
void failover_vms_free(struct failover_vms *list);
/* Goes on with all; proved: the host is dead, so that VMs may be claimed. Called each second. True
 * where a VM has come to its end. */
bool failover_vms_step(struct failover_vms *list, bool proved);
/* The host is back: those that wait are over. */
void failover_vms_give_up(struct failover_vms *list, const char *why);
/* Whether any is being claimed or booted, and whether any is not over. */
bool failover_vms_are_busy(const struct failover_vms *list);
bool failover_vms_are_left(const struct failover_vms *list);
void failover_vms_each(const struct failover_vms *list,
    void (*each)(void *arg, const struct failover_vm_view *vm), void *arg);

/* Whether host a comes before host b for this VM. */
bool failover_is_before(const char *vm, const char *a, const char *b);

#endif
