/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which storage it is that is mounted: its marker's uuid, and device and inode of the marker and
 * the lockspace; and which of its folders are, by their device and inode. What it
 * was when this host joined, or first saw the folder, is kept in the run directory, so that another
 * one in its place is noticed.
 */
#ifndef WORK_IDENTITY_H
#define WORK_IDENTITY_H

#include "domain/marker.h"
#include "work/requests.h"

/* What is there; the caller frees *ret. 503 where marker or lockspace are missing. */
int identity_read(const char *root, const struct marker *marker, char **ret, struct error *err);
/* The same of a folder of the storage, opened as dir; the caller frees. */
int identity_of_folder(const struct marker *storage, int dir, char **ret, struct error *err);

/* Whether this host has joined the lockspace under the root; false also without sanlock's word. */
bool identity_is_joined(const struct work_env *env);

/* What follows is of one folder, or with NULL of the storage as a whole. This one is the one that
 * the host uses from here on. */
int identity_keep(
    const struct work_env *env, const char *folder, const char *identity, struct error *err);
/* 503 where another one was kept; nothing kept is fine. */
int identity_check(
    const struct work_env *env, const char *folder, const char *identity, struct error *err);
/* Whether something is kept. */
bool identity_is_kept(const struct work_env *env, const char *folder);
/* Nothing is from here on. */
void identity_forget(const struct work_env *env, const char *folder);

#endif
