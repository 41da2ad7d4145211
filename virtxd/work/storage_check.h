/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WORK_STORAGE_CHECK_H
#define WORK_STORAGE_CHECK_H

#include "proto/error.h"
#include "work/requests.h"

/*
 * Whether the shared storage is there, with all its folders, and takes writes, now: else a 503
 * "storage: ...". What the daemon knows may be as old as a collection, in which a folder was
 * unmounted: each job that makes, deletes or starts what is in one looks first.
 */
int storage_look(const struct work_env *env, struct error *err);

#endif
