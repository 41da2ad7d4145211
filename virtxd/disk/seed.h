/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cloud-init CD of a VM: a NoCloud ISO at ROOT/ds/ci/VM/seed.iso. What is on it is secret: it
 * stands in no argument, message or log, only in files that others cannot read. Blocks: jobs only.
 */
#ifndef DISK_SEED_H
#define DISK_SEED_H

#include "proto/error.h"
#include "proto/model.h"

/* ROOT/ds/ci/VM/seed.iso; the caller frees. */
char *seed_path(const char *root, const char *uuid);
/*
 * Builds the CD from checked options, in place of an earlier one that is then lost. The files that
 * it is made from are in RUN_DIR, a local directory, while this runs. 507 where the storage or
 * xorrisofs refuses.
 */
int seed_build(const char *root, const char *run_dir, const char *uuid,
    const struct cloud_init_option *options, size_t n, struct error *err);
/* Gives QEMU's group the CD and its folders; not there is fine. */
int seed_mend(const char *root, const char *uuid, struct error *err);
/* Removes what a seed_build that was killed has left; a complete CD stays. */
int seed_undo(const char *root, const char *run_dir, const char *uuid, struct error *err);
/* Removes the CD and its directory; not there is fine. */
int seed_delete(const char *root, const char *uuid, struct error *err);

#endif
