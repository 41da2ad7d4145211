/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMs of a host that is dead are brought back here, where [ha] enabled says so. Each survivor does
 * all of this by itself, and none is the master; who gets a VM is settled by its leases. Hosts that
 * were not armed, or whose timeouts are others, are not taken from.
 *
 *   watching   -> suspected    serf does not have it alive any more, or sanlock says FAIL
 *   suspected  -> watching     it is back: nothing was done
 *   suspected  -> listing      it is dead, as failover_proof.h has it: which VMs are its own now?
 *   listing    -> suspected    that is not proved any more, or they cannot be read for now
 *   listing    -> watching     it is back
 *   listing    -> keeping      they are known
 *   keeping    -> restarting   it is kept which they are, for a virtxd that is started anew
 *   restarting -> over         none is left
 *   restarting -> watching     it is back, and none is being claimed or booted any more
 *   over       -> watching     it is back
 *   over       -> keeping      it has VMs still, or again: what nobody got is tried anew
 */
#ifndef OPS_FAILOVER_H
#define OPS_FAILOVER_H

#include "ops/context.h"
#include "ops/failover_vms.h"

struct failover;

/* ctx is borrowed; so is what it points to, by now. */
struct failover *failover_new(struct context *ctx);
/* virtxd stops. After jobs_free, and tasks_free. */
void failover_free(struct failover *failover);
/* What became of VMs since virtxd was started. */
const struct failover_count *failover_count(const struct failover *failover);
/* Why this host takes over nothing anew, though [ha] enabled says so: its own record of it cannot
 * be read or written, or it goes down, by what libvirt-guests' unit has told. "" for not, and where
 * there is no failover (NULL); borrowed. */
const char *failover_record_why(const struct failover *failover);
/* What is told of another host that may be dead, and of its VMs; "" for nothing, as where there is
 * no failover (NULL). The caller frees. */
char *failover_text(const struct failover *failover, const char *host);

#endif
