/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this host knows of all hosts and VMs, in memory: every GET is answered from here. What is
 * learnt in the background may be older than what is here already, so each learner takes a mark
 * before it looks, and what changed after its mark wins over what it brings.
 */
#ifndef STATE_INVENTORY_H
#define STATE_INVENTORY_H

#include "proto/error.h"
#include "proto/gossip.h"
#include "proto/model.h"
#include "proto/uuid.h"
#include "state/filter.h"
#include "state/host_ha.h"
#include "state/report.h"

struct inventory;
struct shared_text;
struct tokens;

/* What is known of the sizes of a local VM's disks, which are their images'. */
enum disk_sizes {
	DISK_SIZES_UNREAD,
	DISK_SIZES_UNREADABLE, /* the job that reads them has failed, or the storage is not there */
	DISK_SIZES_READ,       /* but those of disks whose image cannot be read */
};

/* A VM as it is known; borrowed from the inventory until its next change. */
struct inventory_vm {
	struct vm vm; /* of a VM on another host only uuid, name, vlanid, custom, runinfo and ts are
			 set, and memory (0 for not told) and want where that has told of them */
	bool local;
	bool whole; /* all of the definition is known, if maybe to be read again */
	enum disk_sizes sizes;
	int16_t vcpus; /* of a VM on another host; of a local one vm.def tells */
	bool foreign;  /* not made by VirtX: made with virsh, say */
	char *foreign_why;
	bool leased; /* it has a lease of its own; of a local one only */
	char *cloud_init;
	bool excused, recorded; /* as in the report */
	bool signalled;	 /* its process was told to end, and not by its guest, since it began to run
			  */
	char *told;	 /* why it is in its state, as libvirt tells */
	char *unstarted; /* why it is off though it is wanted on, NULL or "" */
	char *loss; /* why its leases were lost when it ended, NULL or "" where they were not */
};

struct inventory *inventory_new(void);
void inventory_free(struct inventory *inventory);

/*
 * Told after each change, local or learnt of others; each callback may be NULL. What is passed is
 * borrowed for the call, in which nothing of the inventory may be changed.
 */
struct inventory_observer {
	/* A VM is new or has changed; or it is gone, and vm is what it was, ts the time of its end.
	 */
	void (*vm)(void *arg, const struct inventory_vm *vm, bool gone);
	/* A host is new, or something of it other than ts and resources.*.used has changed. */
	void (*host)(void *arg, const struct host *host);
	/* Others than before are this host's undecided VMs. */
	void (*undecided)(void *arg);
};
/* Both are borrowed until inventory_unobserve with the same two. Called in the order of
 * registration. */
void inventory_observe(
    struct inventory *inventory, const struct inventory_observer *observer, void *arg);
void inventory_unobserve(
    struct inventory *inventory, const struct inventory_observer *observer, void *arg);

/* This host's uuid: "" until the first report came. */
const char *inventory_self(const struct inventory *inventory);

/* The point in time from which a job looks; pass it with what it found. */
uint64_t inventory_mark(struct inventory *inventory);

/* This host's figures. */
void inventory_report_host(struct inventory *inventory, const struct host_report *report);
void inventory_set_lockid(struct inventory *inventory, int lockid);
/* Why the leases of this host's VMs are lost, "" for not. It is the reason of those that end
 * meanwhile, or ended just before, and that nobody here asked to. */
void inventory_set_loss(struct inventory *inventory, const char *why);
/* What is wrong with the shared storage, "" for nothing: a problem of this host. */
void inventory_set_storage(struct inventory *inventory, const char *why);
/* A host (this one, too) takes no VMs, or does again. */
void inventory_set_maintenance(struct inventory *inventory, const char *uuid, bool maintenance);
/* Whether a host (this one, too) takes nothing over by itself, though it may be armed: it has told
 * so. One that is not known, or says nothing, does take over. */
void inventory_set_ha_off(struct inventory *inventory, const char *uuid, bool off);
bool inventory_is_ha_off(const struct inventory *inventory, const char *uuid);
/* Whether a watchdog protects a host (this one, too). */
void inventory_set_watchdog(struct inventory *inventory, const char *uuid, enum watchdog watchdog);
/* Whether a host (this one, too) is armed, and what it tells then; of one that has failed, what it
 * was. One that is not known is not armed. */
void inventory_set_ha(struct inventory *inventory, const char *uuid, const struct host_ha *ha);
void inventory_get_ha(const struct inventory *inventory, const char *uuid, struct host_ha *ret);
/* Two members of serf have the host's uuid (this one's, too): the name of the other, "" for not. */
void inventory_set_twin(struct inventory *inventory, const char *uuid, const char *twin);
/* 0 where no two active hosts have one uuid; else -1 with a 409 that says which do. */
int inventory_check_twins(const struct inventory *inventory, struct error *err);
/* By these (borrowed; NULL: there are none) it is known which hosts were put out of the cluster. */
void inventory_set_tokens(struct inventory *inventory, const struct tokens *tokens);
/* Whether a host was, as far as that is known. It may be an active one: it still has serf's key. */
bool inventory_is_out(const struct inventory *inventory, const char *uuid);
/* 0 where it was not, else -1 with a 409. */
int inventory_check_out(const struct inventory *inventory, const char *uuid, struct error *err);
/* A host has shown a certificate that is good from then on, ms since the epoch. */
void inventory_note_certificate(struct inventory *inventory, const char *uuid, int64_t begin);
/* Whether it has shown none that is newer by more than a day, since this virtxd was started. */
bool inventory_is_newest(const struct inventory *inventory, const char *uuid, int64_t begin);
/* What goes on with one that was and is active, for the caller to free; NULL for any other. */
char *inventory_out_text(const struct inventory *inventory, const char *uuid);
/* A local VM is wanted on, and why it is off: a problem of the host, until it runs or is not wanted
 * on any more. */
void inventory_set_unstarted(struct inventory *inventory, const char *uuid, const char *why);
/* What needs a human, as the last reconciliation saw it. */
void inventory_set_problems(
    struct inventory *inventory, const struct host_problem *problems, size_t n);

/*
 * One local VM, as a job found it. own: by the one job that worked on this VM, whose word on the
 * definition is the last; a run state that an event told meanwhile stands all the same.
 */
void inventory_report_vm(
    struct inventory *inventory, uint64_t mark, bool own, const struct vm_report *report);
/* All local VMs: those that are not among them and have not changed since the mark are gone, or
 * have left where a migration of theirs is under way. */
void inventory_report_vms(
    struct inventory *inventory, uint64_t mark, const struct vm_report *reports, size_t n);
/* libvirt's event told so. An unknown VM is passed over: a refresh will bring it. */
void inventory_set_runstate(
    struct inventory *inventory, const char *uuid, enum vmrunstate runstate);
/* libvirt's event told that the process of a local VM ends, which its guest has not asked for. */
void inventory_set_signalled(struct inventory *inventory, const char *uuid);
/* Events come no more: what they told of run states is no later than what the job finds that worked
 * on a VM. What others saw before stays old. */
void inventory_forget_states(struct inventory *inventory);
/* The start of a local VM has failed: it is off, if it was told to start up. */
void inventory_end_startup(struct inventory *inventory, const char *uuid);
/* Whether this host has deleted the VM since the mark: what looked at it then is out of date. */
bool inventory_deleted_after(const struct inventory *inventory, const char *uuid, uint64_t mark);
/* A local VM is gone, or is with the host that claims it, or that a migration takes it to. */
void inventory_remove_vm(struct inventory *inventory, const char *uuid);
/* A local VM was deleted, whatever others say of it. */
void inventory_end_vm(struct inventory *inventory, const char *uuid);
/* A local VM has left for another host, whose gossip tells the rest. Until then it is listed and
 * counted in the digest as before, so that nobody takes it for ended: for a minute, and for as long
 * as that host, where it is known which, has not listed its VMs since, or lists it as undecided. */
void inventory_release_vm(struct inventory *inventory, const char *uuid);
/* The definition must be read again; NULL: those of all local VMs. */
void inventory_forget_def(struct inventory *inventory, const char *uuid);

/* The sizes that are still to be read cannot be, for now. */
void inventory_sizes_unreadable(struct inventory *inventory);

/* Local VMs whose definition is known and current. Calls back for each; nothing may change
 * meanwhile. */
typedef void (*inventory_each)(
    void *arg, const struct inventory_vm *vm, bool def_known, bool disks_known);
void inventory_each_local(struct inventory *inventory, inventory_each each, void *arg);

/* All VMs that are known of a host, this one or another; nothing may change meanwhile. */
void inventory_each_of(const struct inventory *inventory, const char *host,
    void (*each)(void *arg, const struct inventory_vm *vm), void *arg);

/* What the process of a local VM has used since the VM was started, as of the last collection;
 * false where it is off, or was not measured yet. */
struct inventory_used {
	int64_t cpu_ns;
	int64_t rss; /* KiB of memory that it occupies */
	int64_t rx_bytes, tx_bytes;
};
bool inventory_get_used(
    const struct inventory *inventory, const char *uuid, struct inventory_used *ret);
/* The CPU time of this host since it was booted, as of the last collection. */
int64_t inventory_host_cpu_ns(const struct inventory *inventory);

/* NULL when it is not known. */
const struct inventory_vm *inventory_find_vm(const struct inventory *inventory, const char *uuid);
/* What clients are told of the state of one that inventory_find_vm() has given out, borrowed from
 * it: of a VM whose host has failed nobody knows it. */
struct vmruninfo inventory_told_runinfo(const struct inventory_vm *view);
const struct host *inventory_find_host(const struct inventory *inventory, const char *uuid);

/*
 * What other hosts tell. An older ts never overwrites a newer one, nothing overwrites what is known
 * of this host's own VMs, and only hosts that serf has named are believed. An event about the VM of
 * another host is a claim, see claims.h.
 */
#define INVENTORY_AHEAD_MS 300000
/* What other hosts tell is taken up to so many VMs: of one host, and in all with our own. Where all
 * places are taken, the host with the most VMs of those that are away is forgotten for one that is
 * active. */
#define INVENTORY_HOST_VMS 2000
#define INVENTORY_VMS	   50000
enum inventory_news {
	INVENTORY_TAKEN,
	INVENTORY_OLD,	   /* nothing new, or of this host itself */
	INVENTORY_MISSING, /* taken, but more must be known of the VM for it to be shown */
	INVENTORY_CLAIM,   /* it is about another host's VM: both have to be asked */
	INVENTORY_AHEAD,   /* its time is more than INVENTORY_AHEAD_MS from now: not taken */
	INVENTORY_DOUBTED, /* older than what is known, and not like it, or without the digest that
			      the host tells: which is right has to be asked */
	INVENTORY_FORGED, /* in this host's name, and later than all that it has told: it tells anew
			   */
	INVENTORY_FULL,	  /* there is no room for one VM more: inventory_full_text */
	INVENTORY_REFUSED, /* from no host of the cluster, or no uuid */
};

/* A host as serf's members have it; not for this host itself. One that is CSTATE_INVALID is no
 * more, nor are its VMs. */
void inventory_set_host(
    struct inventory *inventory, const char *uuid, const char *name, enum cstate cstate);
/* Whether a host may be forgotten, which has left or failed; 404, or 409 for an active one. */
int inventory_check_forget(const struct inventory *inventory, const char *uuid, struct error *err);
/* The same, and it is no more, nor are its VMs. */
int inventory_forget_host(struct inventory *inventory, const char *uuid, struct error *err);
/* A host that has been away for so long; false for none. */
bool inventory_find_away(const struct inventory *inventory, int64_t ms, char ret[UUID_TEXT_SIZE]);
/* An HI; digest is NULL when it had none. */
enum inventory_news inventory_take_host(
    struct inventory *inventory, const struct host_info *info, const struct host_digest *digest);
/* A VE or a VI. */
enum inventory_news inventory_take_event(struct inventory *inventory, const struct vm_event *event);
enum inventory_news inventory_take_info(struct inventory *inventory, const struct vm_info *info);
/* All VMs of a host from itself, asked for after the mark: replaces what was known before. */
enum inventory_news inventory_take_list(
    struct inventory *inventory, uint64_t mark, const struct vm_info_list *list);
/* The answer of a host's Go virtx to GET /vms. Of the VMs of the whole cluster in it those of this
 * host are taken, where they are newer than what is known; what is missing has not ended.
 * INVENTORY_CLAIM where another host has one of them, too. */
enum inventory_news inventory_take_listed(
    struct inventory *inventory, const char *uuid, const struct vm_list *list);

/* All that gossip tells of a VM, borrowed from it. */
struct vm_info inventory_vm_info(const struct inventory_vm *view);
/* The VMs of a host as they are known here, with the digest of all: those after this uuid, up to
 * limit (0: all), or fewer where they are large. ret must be zero; the caller clears it. */
void inventory_get_list(const struct inventory *inventory, const char *host, const char *after,
    size_t limit, struct vm_info_list *ret);
/* This host in short, borrowed; false until it is known. Its ts is later than the last time's, and
 * not before any change of its VMs. */
bool inventory_get_self(
    struct inventory *inventory, struct host_info *ret_info, struct host_digest *ret_digest);

/* This host as its answer to a request leaves it, with the VM that the request was about ("" for
 * none). ret must be zero; the caller clears it. False until this host is known. */
bool inventory_get_news(const struct inventory *inventory, const char *vm, struct host_news *ret);
/* The same of another host, from its own answer to this one, asked for after the mark. */
enum inventory_news inventory_take_news(
    struct inventory *inventory, uint64_t mark, const struct host_news *news);
/*
 * What is known of the VM, in short: the same text on two hosts of which one has nothing new for
 * the other. "" where that cannot be said.
 */
#define INVENTORY_STAMP_SIZE 48
void inventory_get_stamp(
    const struct inventory *inventory, const char *vm, char ret[INVENTORY_STAMP_SIZE]);

/* VMs that libvirt has here, and of which this host still finds out whether they are its own, in
 * place of those before: the others are told of INVENTORY_HOST_VMS of them at most. */
void inventory_set_undecided(struct inventory *inventory, const struct undecided_vm *vms, size_t n);
/* Of this host's: the same number for the same VMs, 0 for none. */
uint64_t inventory_undecided_digest(const struct inventory *inventory);
/* The host, this one or another, that still finds out whether the VM is its own: its uuid,
 * borrowed; NULL for none. */
const char *inventory_find_undecided(const struct inventory *inventory, const char *uuid);

/* The hosts of which each says that it has a VM: each has to be asked for its list until that is
 * settled. A host may come several times. */
void inventory_each_dispute(
    const struct inventory *inventory, void (*each)(void *arg, const char *host), void *arg);

/* Whether the host has told of itself since the start. */
bool inventory_has_told(const struct inventory *inventory, const char *host);
/* Whether the host runs this virtxd, and not the Go one: its news come with a digest. */
bool inventory_tells_digest(const struct inventory *inventory, const char *host);

/* How what is known of a host's VMs compares with the digest that it told. */
enum inventory_match {
	INVENTORY_MATCH_UNKNOWN, /* it told none, or there is later news of a VM */
	INVENTORY_MATCH_EQUAL,
	INVENTORY_MATCH_DIFFERS,
};
/* ret_digest (NULL or) becomes the digest that it told. */
enum inventory_match inventory_match(
    const struct inventory *inventory, const char *host, uint64_t *ret_digest);

/* The active hosts whose clocks differ from this one's by more than 2 s, in words; "" for none. The
 * caller frees. */
char *inventory_skew_text(const struct inventory *inventory);

/* Of which active hosts not all VMs are known, because of which bound, and who has most of them, in
 * words; "" for none. The caller frees. */
char *inventory_full_text(const struct inventory *inventory);
/* Those hosts of them for whose VMs there is room by now. */
void inventory_each_short(
    const struct inventory *inventory, void (*each)(void *arg, const char *host), void *arg);

/* How many there are: hosts by cstate, VMs by vmrunstate, as clients are told of it. */
#define INVENTORY_STATES 16
struct inventory_counts {
	unsigned int hosts[INVENTORY_STATES];
	unsigned int hosts_maintenance;
	unsigned int vms[INVENTORY_STATES];	  /* of all hosts */
	unsigned int local_vms[INVENTORY_STATES]; /* of this one */
};
/* only: of VMs, those with this custom field; empty for all. */
void inventory_count(const struct inventory *inventory, const struct custom_field *only,
    struct inventory_counts *ret);

/* Of all hosts. */
size_t inventory_n_vms(const struct inventory *inventory);
/* Filtered, sorted by name then uuid; page NULL: all. ret must be zero; the caller clears it.
 */
void inventory_list_vms(struct inventory *inventory, const struct vm_list_fields *filter,
    const struct list_page *page, struct vm_list *ret);
void inventory_list_hosts(const struct inventory *inventory, const struct host_list_fields *filter,
    const struct list_page *page, struct host_list *ret);
/* The same lists as the JSON that tells them. It is joined of what was written when a VM or a host
 * was listed before and has not changed since. That of VMs is for the caller to drop: all of them
 * are the same text until one changes. That of hosts is NUL-terminated, len bytes long; the caller
 * frees. */
struct shared_text *inventory_vms_json(
    struct inventory *inventory, const struct vm_list_fields *filter, const struct list_page *page);
char *inventory_hosts_json(struct inventory *inventory, const struct host_list_fields *filter,
    const struct list_page *page, size_t *len);

#endif
