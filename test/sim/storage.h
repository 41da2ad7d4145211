/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way of each host to the shared storage, and its place in sanlock's lockspace. While the
 * storage hangs, who touches it waits, and cannot be killed; while it fails, who touches it gets an
 * error. A host that has been without it for longer than sanlock can be loses the lockspace, and
 * the VMs that hold leases there are ended.
 */
#ifndef SIM_STORAGE_H
#define SIM_STORAGE_H

#include "world.h"

enum storage_state { STORAGE_THERE, STORAGE_HANGS, STORAGE_FAILS };

void storage_reset(void);
/* Nothing where it is away already, or there. */
void storage_take_away(int host, enum storage_state how);
void storage_bring_back(int host);
enum storage_state storage_state(int host);
/* The lockspace is joined from the start, until it is lost. */
bool storage_is_joined(int host);
void storage_join(int host);

#endif
