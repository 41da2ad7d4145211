/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host that goes down. sanlock, its watchdog and the storage can only be stopped once the host is
 * out of the lockspace: a file in the run directory keeps virtxd from joining again. Before that
 * libvirt-guests asks the VMs to shut down, which is not the wish of whoever has booted them, and
 * is known by another file. The run directory is empty after a boot.
 */
#ifndef WORK_HOST_DOWN_H
#define WORK_HOST_DOWN_H

#include "proto/error.h"

/* Leaves the lockspace once no process of this host holds a lease in it, for which it waits so many
 * seconds; 0 also where the host is not in it. 503 where leases are still held then, or where
 * sanlock does not answer; virtxd does not join in any case. Blocks while the storage hangs. */
int host_down_leave(const char *root, const char *run_dir, int seconds, struct error *err);
/* The host stays up: virtxd may join. */
int host_down_allow(const char *run_dir, struct error *err);
/* 503 between the two. */
int host_down_check(const char *run_dir, struct error *err);

/* libvirt-guests asks the VMs to shut down from now on, or does not any more: what is heard of that
 * for a moment after counts still. */
int host_down_begin_guests(const char *run_dir, struct error *err);
int host_down_end_guests(const char *run_dir, struct error *err);
/* Whether a guest that goes off does so as the host goes down, in one way or the other. */
bool host_down_takes_guests(const char *run_dir);

#endif
