/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The folders of the storage beside the registry's: ds and nvram. Each may be a mount of its own,
 * so that each has a marker with the storage's uuid; one without it may be the local folder that
 * the real one is mounted on.
 */
#ifndef WORK_FOLDERS_H
#define WORK_FOLDERS_H

#include "domain/marker.h"
#include "work/requests.h"

/*
 * Whether each is there, and is this storage's, and the one that this host has used until now: 503
 * that says which is not, what is there, and what heals it. joined: this host is in the lockspace;
 * only such a one marks a folder that hosts without markers use, where what is in it proves whose
 * it is. Before it is joined, one without a marker passes where not strict.
 */
int folders_check(const struct work_env *env, const struct marker *storage, bool joined,
    bool strict, struct error *err);
/* Whether each is the one, and has the marker, that this host has used until now: then sanlock need
 * not be asked whether it is joined. False where that is not known. */
bool folders_are_kept(const struct work_env *env, const struct marker *storage);
/*
 * Somebody says that what is mounted is this storage: marks the folders that have no marker, and
 * makes ds where it is missing; *n is how many. 503 where that cannot be: it is the local disk's
 * beside a registry that is mounted, or VMs of the registry have files in it and none is there.
 */
int folders_mark(
    const struct work_env *env, const struct marker *storage, size_t *n, struct error *err);
/*
 * The uuid that the markers of the folders have, where the registry has VMs and has lost its own
 * marker; "" where it is new, or no folder has one. 503 where a folder has nothing of what those
 * VMs have in it, so that it is not mounted, or another storage's, or the folders differ.
 */
int folders_find_uuid(const struct work_env *env, char uuid[37], struct error *err);
/* What this host has used until now counts no more. */
void folders_forget(const struct work_env *env);
/* Makes nvram where it is missing, beside the registry alone: 503 where that is mounted and the
 * root is not. */
int folders_make_nvram(const struct work_env *env, struct error *err);

#endif
