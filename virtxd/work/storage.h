/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a VM's disk takes on shared storage: its lease, and its image where it is provisioned. The
 * VM's own lease is a disk here that has nothing else: vm_lease_disk(). */
#ifndef WORK_STORAGE_H
#define WORK_STORAGE_H

#include "domain/domain_xml.h"
#include "proto/error.h"
#include "state/report.h"
#include "work/requests.h"

/* Whether a VM may get the disk, before any is made: a LUN by a path that means it on every host
 * (422) and that is no smaller than what is asked for (422), and a disk that no other VM manages,
 * nor has at all where this one is to manage it (422). Of a LUN also what lun_rules_check says. */
int storage_check(const struct work_env *env, const char *uuid, const struct disk *disk, bool admin,
    struct error *err);
/* Whether the VM may start with its disks: they are there (422), the leases of those that it
 * manages and its own are sound (507), and what it writes to is managed for no other VM, by
 * whatever name of a LUN or of a file (422). */
int storage_check_boot(
    const struct work_env *env, const struct domain_info *info, struct error *err);
/*
 * Whether the lease of a managed disk that the VM gets is its own already, as of a disk that it
 * could not let go of: such a disk is adopted. An image that is there counts as made by nobody from
 * now on, whatever an earlier operation has left. Under the VM's lock.
 */
int storage_find_adopted(const struct work_env *env, const char *uuid, const struct disk *disk,
    bool *ret, struct error *err);
/*
 * Makes the lease of a managed disk that is not adopted and, under it, the image of a provisioned
 * one; else the image must be there. Fills disk->prov and disk->size, and report with what was
 * measured. What a failure leaves is for storage_undo.
 */
int storage_make(const struct work_env *env, const char *uuid, struct disk *disk, bool adopted,
    struct disk_report *report, struct error *err);
/* Whether there is no room for even a small file. */
bool storage_is_full(const struct work_env *env);
/* The operation is complete: what was made stays. */
int storage_commit(
    const struct work_env *env, const char *uuid, const struct disk *disk, struct error *err);
/* Undoes storage_make wherever it, or an earlier process, was interrupted. Touches nothing that
 * was there before: the lease of an adopted disk stays. */
int storage_undo(const struct work_env *env, const char *uuid, const struct disk *disk,
    bool adopted, struct error *err);
/*
 * Releases a managed disk for good, its image too where deletestorage. One that is released already
 * is fine. *left (the caller's, NULL for nothing) says what stays: without a lease nobody can tell
 * whose the image is by now, one that is another VM's is not touched, and one that is not there to
 * be deleted may be somewhere else. left may be NULL.
 */
int storage_drop(const struct work_env *env, const char *uuid, const struct disk *disk,
    bool deletestorage, char **left, struct error *err);
/* Makes the lease of a disk of this VM where it is missing or damaged; 409 for one that is another
 * VM's. Nobody may use the disk, and the caller holds the VM's lock. */
int storage_mend_lease(
    const struct work_env *env, const char *uuid, const struct disk *disk, struct error *err);
/* Measures a disk that is there; report->index is the caller's. */
int storage_inspect(const struct work_env *env, const struct disk *disk, struct disk_report *report,
    struct error *err);
/* Where the disks of one operation stand: disk number index of n is next; its progress becomes the
 * job's. */
void storage_progress(size_t index, size_t n);

#endif
