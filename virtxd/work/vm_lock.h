/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One job at a time on one VM of this host, also across a restart of virtxd: the jobs of the old
 * daemon finish by themselves, and hold this lock until then.
 */
#ifndef WORK_VM_LOCK_H
#define WORK_VM_LOCK_H

#include "proto/error.h"

/* Takes RUN_DIR/vm-UUID.lock, or fails at once with a 409. The caller closes *fd. */
int vm_lock(const char *run_dir, const char *uuid, int *fd, struct error *err);

#endif
