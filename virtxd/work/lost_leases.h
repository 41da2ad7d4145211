/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Leases of this host's VMs that are missing or damaged. */
#ifndef WORK_LOST_LEASES_H
#define WORK_LOST_LEASES_H

#include <libvirt/libvirt.h>

#include "proto/error.h"
#include "work/orphans.h"
#include "work/requests.h"

/* Kinds of problems; path is of the resource. */
#define LOST_MISSING "lease-missing"
#define LOST_DAMAGED "lease-damaged"

/*
 * Adds to res what is lost. Each lease is missed at once; for damage those are read that
 * orphans_find looked at (between req->cursor and res->cursor), and those that were damaged before.
 */
int lost_leases_find(const struct reconcile_request *req, virConnectPtr conn,
    const struct orphan_knowledge *knowledge, struct reconcile_result *res, struct error *err);
/*
 * Makes the lease of such a problem anew, with its VM as the owner, after looking again: the VM
 * must be off, registered here and still have the disk, and nobody may have its image open. 409
 * says what is not so.
 */
int lost_lease_make(const struct work_env *env, virConnectPtr conn,
    const struct host_problem *problem, struct error *err);

#endif
