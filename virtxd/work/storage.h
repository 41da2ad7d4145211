/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a VM's disk takes on shared storage: its lease, and its image where it is provisioned. */
#ifndef WORK_STORAGE_H
#define WORK_STORAGE_H

#include "proto/error.h"
#include "state/report.h"
#include "work/requests.h"

/* Whether a VM may get the disk, before any is made: a LUN by a path that means it on every host
 * (422), an unmanaged disk that is managed for no VM (422). */
int storage_check(
    const struct work_env *env, const char *uuid, const struct disk *disk, struct error *err);
/* Whether the VM may start with a disk that it has: it is managed for no other VM (422), by
 * whatever name of a LUN. */
int storage_check_boot(
    const struct work_env *env, const char *uuid, const struct disk *disk, struct error *err);
/*
 * Makes the lease of a managed disk and, under it, the image of a provisioned one; else the image
 * must be there. Fills disk->prov and disk->size, and report with what was measured. What a failure
 * leaves is for storage_undo.
 */
int storage_make(const struct work_env *env, const char *uuid, struct disk *disk,
    struct disk_report *report, struct error *err);
/* Whether there is no room for even a small file. */
bool storage_is_full(const struct work_env *env);
/* The operation is complete: what was made stays. */
int storage_commit(
    const struct work_env *env, const char *uuid, const struct disk *disk, struct error *err);
/* Undoes storage_make wherever it, or an earlier process, was interrupted. Touches nothing that
 * this VM did not make. */
int storage_undo(
    const struct work_env *env, const char *uuid, const struct disk *disk, struct error *err);
/*
 * Releases a managed disk for good, its image too where deletestorage. One that is released already
 * is fine. Without a lease nobody can tell whose the image is by now: then it stays, and *left (the
 * caller's, NULL for nothing) says so; left may be NULL.
 */
int storage_drop(const struct work_env *env, const char *uuid, const struct disk *disk,
    bool deletestorage, char **left, struct error *err);
/* Measures a disk that is there; report->index is the caller's. */
int storage_inspect(const struct work_env *env, const struct disk *disk, struct disk_report *report,
    struct error *err);
/* Where the disks of one operation stand: disk number index of n is next; its progress becomes the
 * job's. */
void storage_progress(size_t index, size_t n);

#endif
