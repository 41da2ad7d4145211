/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sanlock: the lockspace, one resource for each VM and each managed disk, and working under its
 * lease. Blocks: jobs only. */
#ifndef DISK_LEASE_H
#define DISK_LEASE_H

#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "proto/error.h"
#include "proto/model.h"

#define LEASE_LOCKSPACE "__VIRTX__DISKS__"
#define LEASE_NAME_SIZE 49

/* A lease that this process holds; sanlock drops it when the process ends. */
struct lease {
	int sock; /* -1: not held */
	char name[LEASE_NAME_SIZE];
	char uuid[37]; /* the owner */
	char *path;
};
#define LEASE_INIT         \
	{                  \
		.sock = -1 \
	}

/* ROOT/lock/NAME/NAME; the caller frees. */
char *lease_path(const char *root, const char *name);

/* Makes the resource with this VM as owner (LVB). 507 when it exists, naming the VM that owns it.
 * uuid also names the temporary directory, so that lease_undo finds it. */
int lease_create(const char *root, const char *name, const char *uuid, struct error *err);
/* The owner in the LVB, read without the lease by O_DIRECT; "" for none; 404 when there is no such
 * resource. */
int lease_owner(const char *root, const char *name, char uuid[37], struct error *err);
/* The same of one that may be missing: *there tells, and the owner is "" then. */
int lease_look_up(
    const char *root, const char *name, bool *there, char uuid[37], struct error *err);
/* Takes the lease (never waits for a dead host: 409 that says who holds it) and checks that the LVB
 * is uuid (409). 404 when there is no such resource, 503 when this host is not in the lockspace. */
int lease_acquire(
    const char *root, const char *name, const char *uuid, struct lease *lease, struct error *err);
/* Releases; fine when not held. The fields of lease are as of LEASE_INIT after. */
void lease_release(struct lease *lease);
/* Whether it is still held: 503 when sanlock died meanwhile, which leaves us without it. */
int lease_check(const struct lease *lease, struct error *err);
/* Asks the host that holds it, over the storage, to end the process for which it does: by SIGTERM,
 * or with force by SIGKILL. Its sanlock does so when it looks next, seconds later; one that is
 * dead never does. 503 where it cannot be asked, 409 where that is this host. */
int lease_recall(const char *root, const char *name, bool force, struct error *err);
/* Deletes the resource whose lease is held: renamed away, released, unlinked. Once it is renamed
 * the lease is not held any more, whatever is returned. */
int lease_delete(const char *root, struct lease *lease, struct error *err);
/* After a crash: removes the temporary directories and deleted leftovers of this VM for this name.
 * Not there is fine. */
int lease_undo(const char *root, const char *name, const char *uuid, struct error *err);

/* The state of the resource's file, as a reader who opens it now would find it. */
int lease_stat(const char *root, const char *name, struct stat *ret, struct error *err);

enum lease_health {
	LEASE_SOUND,
	LEASE_MISSING,
	LEASE_DAMAGED, /* sanlock cannot take it, or nobody is written in it as its owner */
};
/*
 * Whether the resource's file is whole, without taking its lease. *owner is whose it is, "" where
 * that cannot be read; why says what is wrong with one that is not sound. -1 when it cannot be
 * told, as without the sanlock daemon.
 */
int lease_health(const char *root, const char *name, enum lease_health *ret, char owner[37],
    struct error *why, struct error *err);
/* Removes a resource that is damaged, so that nobody can hold it; under the VM's lock, and only of
 * a disk that nobody uses. One that is not there is fine. */
int lease_discard(const char *root, const char *name, const char *uuid, struct error *err);

/* What a process holds of the lockspace. A lease's version grows each time that somebody takes it.
 */
struct lease_held {
	char name[LEASE_NAME_SIZE];
	int64_t version;
};
struct lease_set {
	struct lease_held items[8]; /* sanlock's bound */
	size_t n;
};
/* What another process of this host holds, by the local daemon's memory; 1 when the daemon does not
 * know the process, and err says so. This and the next ones wait up to two seconds while the daemon
 * serves another request for the process. */
int lease_held_by(pid_t pid, struct lease_set *ret, struct error *err);
/* Whether there is no daemon: one that hangs is there. */
bool lease_daemon_is_gone(void);
/* Takes these leases for a process that the daemon knows: all or none. 409 when one is not free. */
int lease_acquire_for(const char *root, pid_t pid, const struct lease_set *set, struct error *err);
int lease_release_for(const char *root, pid_t pid, const struct lease_set *set, struct error *err);
/* The version on the storage. 404 when there is no such resource. */
int lease_version(const char *root, const char *name, int64_t *ret, struct error *err);
/* NULL when the set has no such lease. */
const struct lease_held *lease_set_find(const struct lease_set *set, const char *name);

/* The names of all resources; *ret is an array of n texts of LEASE_NAME_SIZE bytes, the caller's.
 */
int lease_list(const char *root, char (**ret)[LEASE_NAME_SIZE], size_t *n, struct error *err);

/* What an interrupted creation or deletion left: ROOT/lock/.NAME.UUID or .NAME.UUID.deleted, which
 * lease_undo removes. */
struct lease_leftover {
	char name[LEASE_NAME_SIZE];
	char uuid[37];
	bool deleted;
};
int lease_list_leftovers(
    const char *root, struct lease_leftover **ret, size_t *n, struct error *err);
/* The path of a leftover; the caller frees. */
char *lease_leftover_path(const char *root, const struct lease_leftover *leftover);

enum lockspace_state {
	LOCKSPACE_JOINED,
	LOCKSPACE_JOINING,
	LOCKSPACE_LOST,	  /* our host_id was not renewed in time: sanlock is about to leave */
	LOCKSPACE_ABSENT, /* this host is not in it, or is leaving it */
};
/* By what this host is known in the lockspace, from the daemon's memory: 1 where it is not joined,
 * or was just now, so that its first renewal is not known yet. 503 as above. */
int lockspace_self(const char *root, int *host_id, uint64_t *generation, struct error *err);
/* Makes the lockspace where there is none: only a complete one is ever visible under ROOT/lock. */
int lockspace_create(const char *root, int io_timeout, struct error *err);
/* Whether a host has ever joined the lockspace; none there is no error. */
int lockspace_is_used(const char *root, bool *ret, struct error *err);
/* The state of our host_id in the local sanlock daemon, from its memory; *host_id is set unless
 * absent. Fails (503) when the daemon does not answer or is in one of this name elsewhere. */
int lockspace_state(const char *root, enum lockspace_state *state, int *host_id, struct error *err);
/* Joins: first_id is tried first (1..2000), then upward with wrap-around past ids that are busy.
 * Blocks about 2 x io_timeout. */
int lockspace_join(const char *root, int first_id, int io_timeout, int *host_id, struct error *err);
/* How the local daemon sees a host_id of the lockspace. */
enum lockspace_sight {
	LOCKSPACE_SIGHT_UNKNOWN, /* it was not looked at for long enough */
	LOCKSPACE_SIGHT_FREE,	 /* its host has left */
	LOCKSPACE_SIGHT_LIVE,
	LOCKSPACE_SIGHT_FAIL, /* not renewed for 8 io_timeouts */
	LOCKSPACE_SIGHT_DEAD, /* nor for the time of its watchdog after these */
};
struct lockspace_host {
	int host_id;
	int64_t generation; /* it grows each time that somebody joins with this host_id */
	int io_timeout;	    /* s, as that host has it */
	enum lockspace_sight sight;
};
/* All hosts of the lockspace, this one among them, from the daemon's memory; *ret is the caller's.
 * One that is not among them has never been seen by this daemon. What is told proves nothing: a
 * daemon that stood still for a while takes hosts for dead that are not. 503 when it does not
 * answer. */
int lockspace_hosts(struct lockspace_host **ret, size_t *n, struct error *err);
/* Leaves it: 1 when this host is not in it any more, 0 while a process holds a lease in it or
 * somebody else's joining is under way. 503 when the daemon does not answer. Blocks until the
 * storage has it. */
int lockspace_leave(const char *root, struct error *err);
/* md5(host uuid)'s first four bytes big-endian, mod 2000, plus 1. */
int lockspace_default_id(const char *host_uuid);

#endif
