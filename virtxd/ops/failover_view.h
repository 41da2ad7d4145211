/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A host that may be dead, for failover_text.c; all is borrowed. */
#ifndef OPS_FAILOVER_VIEW_H
#define OPS_FAILOVER_VIEW_H

#include "ops/failover_proof.h"
#include "ops/failover_vms.h"

struct failover;

struct failover_view {
	const struct inventory *inventory;
	const char *host;
	int64_t since; /* when it was suspected, ms since the epoch */
	enum cstate cstate;
	enum failover_sight sight;
	const char *why; /* it is not proved dead, "" where it is */
	int64_t wait_ms; /* from its last word until others may take its leases */
	const struct host_vms_result *found; /* NULL until its VMs are known */
	const struct failover_vms *vms;	     /* NULL until they are brought back */
};

/* False for a host of which nothing is suspected. */
bool failover_get(const struct failover *failover, const char *host, struct failover_view *ret);

#endif
