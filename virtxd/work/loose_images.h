/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images that no VM has, and no lease: left behind, or kept for a VM to come. */
#ifndef WORK_LOOSE_IMAGES_H
#define WORK_LOOSE_IMAGES_H

#include "domain/registry.h"
#include "proto/error.h"
#include "work/requests.h"

/* The kind of problem. Nothing tells whether VirtX made it, so that it is told and never deleted.
 */
#define LOOSE_IMAGE "image-without-lease"

/* Adds to res each .qcow2 and .raw file, not young, that no VM of the registry names as a disk and
 * that has no resource. */
int loose_images_find(const struct work_env *env, const struct registry_entry *entries, size_t n,
    struct reconcile_result *res, struct error *err);

#endif
