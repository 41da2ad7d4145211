/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a host may be taken for dead. All of it has to hold: serf does not have it alive; sanlock
 * has not seen a renewal of the host id, in the generation that the host told, for so long that its
 * watchdog has reset it; and this host itself was in the lockspace, and did not stand still, for
 * that long: a sanlock that stood still takes hosts for dead that are not. Nothing of this is a
 * proof for a VM: that is its lease, which is taken for each.
 */
#ifndef OPS_FAILOVER_PROOF_H
#define OPS_FAILOVER_PROOF_H

#include "proto/error.h"
#include "state/host_ha.h"
#include "state/inventory.h"
#include "work/requests.h"

#define FAILOVER_FRESH_MS 10000 /* for so long counts what sanlock has said */

/* How sanlock sees the host id and the generation that a host has told. */
enum failover_sight {
	FAILOVER_SIGHT_UNKNOWN, /* sanlock cannot tell, or was not asked since the suspicion */
	FAILOVER_SIGHT_LIVE,
	FAILOVER_SIGHT_FAIL,
	FAILOVER_SIGHT_DEAD,
	FAILOVER_SIGHT_GONE,  /* nobody has it, or the host has left */
	FAILOVER_SIGHT_TAKEN, /* somebody has it by now, in a later generation */
	FAILOVER_SIGHT_N,
};
extern const struct enumdef failover_sight_enum;

struct failover_evidence {
	enum cstate cstate;  /* as serf has the host */
	struct host_ha host; /* what it told last */
	struct host_ha self; /* what this host tells */
	enum failover_sight sight;
	bool successor; /* FAILOVER_SIGHT_TAKEN: another host that is alive tells that it has it */
	int64_t suspected; /* monotonic ms, when it began */
	int64_t looked;	   /* when sanlock was asked for sight */
	int64_t steady;	   /* since when this host is in the lockspace, and has not stood still */
	int64_t now;
};

/* 0 where it is proved, else -1, and err says what is missing. */
int failover_prove(const struct failover_evidence *evidence, struct error *err);
/* 0 where the VMs of such a host may be brought back by this one once it is dead, else -1 with the
 * reason, which holds as long as none of the two changes. */
int failover_check_pair(const struct host_ha *host, const struct host_ha *self, struct error *err);
/* By what the last look has told. */
enum failover_sight failover_sight_of(
    const struct lockspace_hosts_result *hosts, const struct host_ha *ha);

#endif
