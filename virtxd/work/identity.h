/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which storage it is that is mounted: its marker's uuid, and device and inode of the marker and
 * the lockspace. What it was when this host joined is kept in the run directory, so that another
 * storage in its place is noticed.
 */
#ifndef WORK_IDENTITY_H
#define WORK_IDENTITY_H

#include "domain/marker.h"
#include "work/requests.h"

/* What is there; the caller frees *ret. 503 where marker or lockspace are missing. */
int identity_read(const char *root, const struct marker *marker, char **ret, struct error *err);
/* The lockspace of this storage is joined. */
int identity_keep(const struct work_env *env, const char *identity, struct error *err);
/* 503 where the lockspace is joined and another storage was kept; nothing kept is fine. */
int identity_check(const struct work_env *env, const char *identity, struct error *err);
/* Whether something is kept. */
bool identity_is_kept(const struct work_env *env);

#endif
